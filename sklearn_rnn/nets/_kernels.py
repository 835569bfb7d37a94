"""Forward and backward through time of the recurrent cells, compiled by numba (imported only when a cell first runs).

Samples are worked through in tiles of some rows; a tile runs all its steps while its state stays in the first-level cache.
Inside, an array of features is cut into panels: ``(n_panels, rows, LANES)``, where a panel's last axis is one SIMD vector.
So one gate of a tile is a contiguous run of ``n_panels * rows * LANES`` numbers, and the products keep a block of
``ROWS x VECTORS`` sums in registers. Hidden sizes that do not fill a panel are padded with zeros by the caller.

All in one file, because numba's cache of compiled code looks at the date of this file alone: a change of a function that
stood in another would go unseen.
"""

from __future__ import annotations

import math

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, overload
from numba.np.arrayobj import populate_array

RNN_TANH, RNN_RELU, LSTM, GRU = range(4)

# 24 sums, 3 vectors and a broadcast fill AVX512's 32 registers; 12 sums fill the 16 of AVX2.
_WIDE = bool(llvm.get_host_cpu_features().get("avx512f"))
ROWS, VECTORS, VECTOR_BYTES = (8, 3, 64) if _WIDE else (4, 3, 32)
LARGEST_TILE = 16  # rows: as many share each block of weights that was brought into the first-level cache
SLOT_ROWS, SLOTS = 64, 16  # rows of gate gradients, and steps at most, gathered before one weight-gradient product

# No "reassoc": the order of sums is part of the result. No "nnan": a NaN has to stay one.
_OPTIONS = {"fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy", "nogil": True}
_inner = njit(inline="never", **_OPTIONS)
_inlined = njit(inline="always", **_OPTIONS)
_kernel = njit(cache=True, **_OPTIONS)


def n_lanes(itemsize: int) -> int:
    """Numbers in one SIMD vector."""
    return VECTOR_BYTES // itemsize


# --- products ---------------------------------------------------------------------------------------------------------


class _Operand:
    """Address arithmetic on one array argument of an intrinsic."""

    def __init__(self, context, builder, array_type, value):
        array = context.make_array(array_type)(context, builder, value)
        self.builder = builder
        self.bytes = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        self.strides = cgutils.unpack_tuple(builder, array.strides)
        self.shape = cgutils.unpack_tuple(builder, array.shape)
        self.number = context.get_value_type(array_type.dtype)
        self.align = array_type.dtype.bitwidth // 8
        self.vector = ir.VectorType(self.number, n_lanes(self.align))

    def address(self, kind, *indices):
        offset = ir.Constant(self.strides[0].type, 0)
        for index, stride in zip(indices, self.strides):
            offset = self.builder.add(offset, self.builder.mul(index, stride))
        return self.builder.bitcast(self.builder.gep(self.bytes, [offset]), kind.as_pointer())

    def load(self, kind, *indices):
        return self.load_at(self.address(kind, *indices), kind)

    def load_at(self, address, kind):
        return self.builder.load(self.builder.bitcast(address, kind.as_pointer()), align=self.align)

    def store(self, value, *indices):
        self.builder.store(value, self.address(value.type, *indices), align=self.align)


def _broadcast(builder, number, vector):
    undefined, index = ir.Constant(vector, ir.Undefined), ir.IntType(32)
    first = builder.insert_element(undefined, number, ir.Constant(index, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(index, vector.count), [0] * vector.count))


def _register_block(n_rows: int, n_vectors: int):
    """Build ``block(c, start, a, b, row, vector)``: the part of ``product`` whose sums fit the registers."""

    def codegen(context, builder, signature, args):
        c, start, a, b = (_Operand(context, builder, kind, arg) for kind, arg in zip(signature.args, args[:4]))
        row, vector = args[4:]
        rows = [builder.add(row, ir.Constant(row.type, i)) for i in range(n_rows)]
        vectors = [builder.add(vector, ir.Constant(row.type, i)) for i in range(n_vectors)]
        name = f"llvm.fma.v{c.vector.count}f{8 * c.align}"
        fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(c.vector, [c.vector] * 3), name)
        # Variables on the stack in form only: LLVM turns each into a register.
        sums = {(r, v): cgutils.alloca_once_value(builder, start.load(c.vector, v, r)) for r in rows for v in vectors}
        # Pointers that move on by a stride, and offsets from them that do not change: left to find them from indices, LLVM
        # keeps so many that they do not fit the registers.
        left_at, right_at = (cgutils.alloca_once(builder, operand.bytes.type) for operand in (a, b))
        below = [builder.mul(a.strides[0], ir.Constant(row.type, i)) for i in range(n_rows)]
        beside = [builder.mul(b.strides[0], ir.Constant(row.type, i)) for i in range(n_vectors)]
        first_left = builder.gep(a.bytes, [builder.mul(row, a.strides[0])])
        first_right = builder.gep(b.bytes, [builder.mul(vector, b.strides[0])])
        with cgutils.for_range(builder, b.shape[1], intp=row.type) as outer:
            builder.store(builder.gep(first_left, [builder.mul(outer.index, a.strides[1])]), left_at)
            builder.store(builder.gep(first_right, [builder.mul(outer.index, b.strides[1])]), right_at)
            with cgutils.for_range(builder, b.shape[2], intp=row.type):
                left, right = builder.load(left_at), builder.load(right_at)
                of_b = [b.load_at(builder.gep(right, [offset]), b.vector) for offset in beside]
                for r, offset in zip(rows, below):
                    of_a = _broadcast(builder, a.load_at(builder.gep(left, [offset]), a.number), c.vector)
                    for v, factor in zip(vectors, of_b):
                        builder.store(builder.call(fma, [of_a, factor, builder.load(sums[r, v])]), sums[r, v])
                builder.store(builder.gep(left, [a.strides[2]]), left_at)
                builder.store(builder.gep(right, [ir.Constant(row.type, VECTOR_BYTES)]), right_at)
        for (r, v), total in sums.items():
            c.store(builder.load(total), v, r)
        return context.get_dummy_value()

    @intrinsic
    def block(typing_context, c, start, a, b, row, vector):
        return types.void(c, start, a, b, types.intp, types.intp), codegen

    return block


_block_1, _block_2, _block_3 = (_register_block(ROWS, n) for n in (1, 2, 3))
_row_1, _row_2, _row_3 = (_register_block(1, n) for n in (1, 2, 3))


def _axes(*order: int):
    """Build numpy's transpose for one order of the axes; numba's own takes seconds to compile.

    The result's type says that its strides are not known, so the products are compiled once, not per layout.
    """

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        result = context.make_array(signature.return_type)(context, builder)
        shape, strides = (cgutils.unpack_tuple(builder, values) for values in (array.shape, array.strides))
        shape, strides = [shape[axis] for axis in order], [strides[axis] for axis in order]
        populate_array(result, array.data, shape, strides, array.itemsize, array.meminfo, array.parent)
        return impl_ret_borrowed(context, builder, signature.return_type, result._getvalue())

    @intrinsic
    def transposed(typing_context, array):
        return array.copy(layout="A", readonly=False)(array), codegen

    return transposed


@intrinsic
def borrow(typing_context, array):
    """The same array without its reference count, for a caller that keeps it: counting is atomic, slow and everywhere."""

    def codegen(context, builder, signature, args):
        result = context.make_array(array)(context, builder, args[0])
        result.meminfo = ir.Constant(result.meminfo.type, None)
        return result._getvalue()

    return array(array), codegen


_as_is_3, _as_is_4 = _axes(0, 1, 2), _axes(0, 1, 2, 3)
rows_first = _axes(1, 0, 2)  # (panels, rows, lanes) as the left side of a product over features
features_first = _axes(2, 0, 1)  # (slots, rows, lanes) as the left side of a product over slots and rows
panels_first = _axes(1, 0, 2, 3)


@_inner
def _product(c, start, a, b):
    n_vectors, n_rows = c.shape[0], c.shape[1]
    vector = 0
    while vector < n_vectors:
        left = n_vectors - vector
        width = min(left, 2 if left == 4 else VECTORS)  # 2 + 2 keep more units busy than 3 + 1
        # The vectors' part of b stays in the first-level cache for all rows.
        for row in range(0, n_rows, ROWS):
            if n_rows - row == 1:
                if width == 3:
                    _row_3(c, start, a, b, row, vector)
                elif width == 2:
                    _row_2(c, start, a, b, row, vector)
                else:
                    _row_1(c, start, a, b, row, vector)
            elif width == 3:
                _block_3(c, start, a, b, row, vector)
            elif width == 2:
                _block_2(c, start, a, b, row, vector)
            else:
                _block_1(c, start, a, b, row, vector)
        vector += width


@njit(inline="always")
def product(c, start, a, b):
    """c = start + einsum("roi,voil->vrl", a, b); the order of the sum over o, then i, is the same for every row.

    The last axes of c and start and the last two of b are contiguous; rows are 1 or a multiple of ROWS. start may be c.
    """
    _product(_as_is_3(c), _as_is_3(start), _as_is_3(a), _as_is_4(b))


# --- moving rows of (batch, steps, features) arrays into panels and back ----------------------------------------------


@intrinsic
def _copy_vector(typing_context, to, p, r, source, row, step, column):
    """to[p, r, :] = source[row, step, column:column + LANES]"""

    def codegen(context, builder, signature, args):
        target = _Operand(context, builder, signature.args[0], args[0])
        origin = _Operand(context, builder, signature.args[3], args[3])
        target.store(origin.load(origin.vector, *args[4:]), *args[1:3])
        return context.get_dummy_value()

    index = types.intp
    return types.void(to, index, index, source, index, index, index), codegen


@intrinsic
def _copy_vector_back(typing_context, to, row, step, column, source, p, r):
    """to[row, step, column:column + LANES] = source[p, r, :]"""

    def codegen(context, builder, signature, args):
        target = _Operand(context, builder, signature.args[0], args[0])
        origin = _Operand(context, builder, signature.args[4], args[4])
        target.store(origin.load(origin.vector, *args[5:]), *args[1:4])
        return context.get_dummy_value()

    index = types.intp
    return types.void(to, index, index, index, source, index, index), codegen


@_inner
def gather(panels, array, first_row, n_rows, step):
    lanes, n_features = panels.shape[2], array.shape[2]
    whole = n_features // lanes
    for r in range(n_rows):
        for p in range(whole):
            _copy_vector(panels, p, r, array, first_row + r, step, p * lanes)
        for feature in range(whole * lanes, n_features):
            panels[whole, r, feature - whole * lanes] = array[first_row + r, step, feature]


@_inner
def scatter(array, first_row, n_rows, step, panels):
    lanes, n_features = panels.shape[2], array.shape[2]
    whole = n_features // lanes
    for r in range(n_rows):
        for p in range(whole):
            _copy_vector_back(array, first_row + r, step, p * lanes, panels, p, r)
        for feature in range(whole * lanes, n_features):
            array[first_row + r, step, feature] = panels[whole, r, feature - whole * lanes]


# --- activations ------------------------------------------------------------------------------------------------------

# Minimax fraction of tanh in single precision, as in Eigen: error 3e-7, no table, no branch, so LLVM vectorises it.
_BOUND = np.float32(7.90531110763549805)
_P1, _P3, _P5, _P7, _P9, _P11, _P13 = _P = np.array(
    [
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    ],
    dtype=np.float32,
)
_Q0, _Q2, _Q4, _Q6 = _Q = np.array(
    [4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06], dtype=np.float32
)
_HALF = np.float32(0.5)
# sigmoid(x) = 1/2 + tanh(x / 2) / 2, the factors put into the coefficients (powers of two: exactly)
_S1, _S3, _S5, _S7, _S9, _S11, _S13 = (np.float32(p * 0.5 ** (2 * i + 2)) for i, p in enumerate(_P))
_R0, _R2, _R4, _R6 = (np.float32(q * 0.25**i) for i, q in enumerate(_Q))
_TWICE_BOUND = 2 * _BOUND


def _tanh(x):
    raise NotImplementedError("compiled only")


def _sigmoid(x):
    raise NotImplementedError("compiled only")


@overload(_tanh, inline="always")
def _tanh_of_type(x):
    def single(x):
        x = _BOUND if x > _BOUND else x
        x = -_BOUND if x < -_BOUND else x
        s = x * x
        p = ((((((_P13 * s + _P11) * s + _P9) * s + _P7) * s + _P5) * s + _P3) * s + _P1) * x
        return p / (((_Q6 * s + _Q4) * s + _Q2) * s + _Q0)

    def double(x):
        return math.tanh(x)

    return single if x == types.float32 else double


@overload(_sigmoid, inline="always")
def _sigmoid_of_type(x):
    def single(x):
        x = _TWICE_BOUND if x > _TWICE_BOUND else x
        x = -_TWICE_BOUND if x < -_TWICE_BOUND else x
        s = x * x
        p = ((((((_S13 * s + _S11) * s + _S9) * s + _S7) * s + _S5) * s + _S3) * s + _S1) * x
        return _HALF + p / (((_R6 * s + _R4) * s + _R2) * s + _R0)

    def double(x):
        return 1.0 / (1.0 + math.exp(-x))

    return single if x == types.float32 else double


# --- the cells: one step of a tile; every argument is a flat run of panels --------------------------------------------


# Loops, not slice assignments: those compile a message for shapes that differ, which takes seconds.


@_inner
def set_zero(x):
    for j in range(x.size):
        x[j] = 0


@_inner
def copy(to, source):
    for j in range(to.size):
        to[j] = source[j]


@_inner
def add(to, source):
    for j in range(source.size):
        to[j] += source[j]


@_inner
def sigmoid_in_place(x):
    for j in range(x.size):
        x[j] = _sigmoid(x[j])


@_inner
def tanh_in_place(x):
    for j in range(x.size):
        x[j] = _tanh(x[j])


@_inner
def relu_in_place(x):
    for j in range(x.size):
        if x[j] < 0:
            x[j] = 0


@_inner
def gru_forward(gates, state):
    """gates: n (input part), r, z, n (hidden part), each before its activation; on return n, r, z and the hidden part."""
    m = state.size
    sigmoid_in_place(gates[m : 3 * m])
    n, r, z, hidden_part = gates[:m], gates[m : 2 * m], gates[2 * m : 3 * m], gates[3 * m :]
    for j in range(m):
        n[j] = _tanh(n[j] + r[j] * hidden_part[j])
        state[j] = n[j] + z[j] * (state[j] - n[j])


@_inner
def lstm_forward(gates, state):
    """gates: i, f, g, o before their activations, then room for the new cell state; state: h, c."""
    m = state.size // 2
    sigmoid_in_place(gates[: 2 * m])
    tanh_in_place(gates[2 * m : 3 * m])
    sigmoid_in_place(gates[3 * m : 4 * m])
    i, f, g, o, cell = gates[:m], gates[m : 2 * m], gates[2 * m : 3 * m], gates[3 * m : 4 * m], state[m:]
    for j in range(m):
        cell[j] = f[j] * cell[j] + i[j] * g[j]
    copy(gates[4 * m :], cell)
    hidden = state[:m]
    for j in range(m):
        hidden[j] = o[j] * _tanh(cell[j])


@_inlined
def step_forward(cell, gates, state):
    if cell == GRU:
        gru_forward(gates, state)
    elif cell == LSTM:
        lstm_forward(gates, state)
    else:
        if cell == RNN_TANH:
            tanh_in_place(gates)
        else:
            relu_in_place(gates)
        copy(state, gates)


@_inner
def gru_backward(gates, before, carry, grads):
    """grads: of n, r, z and n's hidden part before activation; carry: in dh, out the direct part of dh of the step before."""
    m = carry.size
    n, r, z, hidden_part = gates[:m], gates[m : 2 * m], gates[2 * m : 3 * m], gates[3 * m :]
    dn, dr, dz, dhidden = grads[:m], grads[m : 2 * m], grads[2 * m : 3 * m], grads[3 * m :]
    for j in range(m):
        dz[j] = carry[j] * (before[j] - n[j]) * (z[j] - z[j] * z[j])
    for j in range(m):
        kept = carry[j] * z[j]
        dn[j] = (carry[j] - kept) - (carry[j] - kept) * n[j] * n[j]
        carry[j] = kept
    for j in range(m):
        dr[j] = dn[j] * hidden_part[j] * (r[j] - r[j] * r[j])
    for j in range(m):
        dhidden[j] = dn[j] * r[j]


@_inner
def lstm_backward(gates, before, carry, grads):
    """before: h, c of the step before; carry: in dh, dc; out zero and the direct part of dc of the step before."""
    m = carry.size // 2
    i, f, g, o, cell = gates[:m], gates[m : 2 * m], gates[2 * m : 3 * m], gates[3 * m : 4 * m], gates[4 * m :]
    di, df, dg, do = grads[:m], grads[m : 2 * m], grads[2 * m : 3 * m], grads[3 * m : 4 * m]
    dh, dc, cell_before = carry[:m], carry[m:], before[m:]
    for j in range(m):
        shown = _tanh(cell[j])
        do[j] = dh[j] * shown * (o[j] - o[j] * o[j])
        dc[j] += dh[j] * o[j] - dh[j] * o[j] * shown * shown
    for j in range(m):
        di[j] = dc[j] * g[j] * (i[j] - i[j] * i[j])
    for j in range(m):
        dg[j] = dc[j] * i[j] - dc[j] * i[j] * g[j] * g[j]
    for j in range(m):
        df[j] = dc[j] * cell_before[j] * (f[j] - f[j] * f[j])
    for j in range(m):
        dc[j] = dc[j] * f[j]
    set_zero(dh)


@_inner
def rnn_backward(cell, gates, carry, grads):
    for j in range(carry.size):
        if cell == RNN_TANH:
            grads[j] = carry[j] - carry[j] * gates[j] * gates[j]
        else:
            grads[j] = carry[j]
            if gates[j] <= 0:
                grads[j] = 0
    set_zero(carry)


@_inlined
def step_backward(cell, gates, before, carry, grads):
    if cell == GRU:
        gru_backward(gates, before, carry, grads)
    elif cell == LSTM:
        lstm_backward(gates, before, carry, grads)
    else:
        rnn_backward(cell, gates, carry, grads)


# --- through time -----------------------------------------------------------------------------------------------------


@_inner
def _load_channels(x_now, x, first_row, n_rows, step):
    for r in range(n_rows):
        for channel in range(x.shape[2]):
            x_now[r, channel] = x[first_row + r, step, channel]


@_inner
def _gather_state(state, array, first_row, n_rows):
    n_panels = state.shape[0] // array.shape[1]
    for part in range(array.shape[1]):
        gather(state[part * n_panels : (part + 1) * n_panels], array, first_row, n_rows, part)


@_inner
def _scatter_state(array, first_row, n_rows, state):
    n_panels = state.shape[0] // array.shape[1]
    for part in range(array.shape[1]):
        scatter(array, first_row, n_rows, part, state[part * n_panels : (part + 1) * n_panels])


@_inlined
def _forward_tile(cell, x, initial, w_x, w_h, bias, gates, states, final, x_now, state, first_row):
    n_x, n_products, last = w_x.shape[0], bias.shape[0], gates.shape[0] - 1
    n_rows = min(state.shape[1], x.shape[0] - first_row)
    hidden, flat_state = state[: w_h.shape[1]], state.reshape(-1)
    flat_gates = gates.reshape(gates.shape[0], -1)
    only_hidden = bias[n_x:].reshape(-1)
    first, end = n_x * bias[0].size, n_products * bias[0].size
    set_zero(x_now.reshape(-1))
    set_zero(flat_state)
    _gather_state(state, initial, first_row, n_rows)
    for step in range(x.shape[1]):
        slot = min(step, last)
        now, flat_now = gates[slot], flat_gates[slot]
        _load_channels(x_now[0], x, first_row, n_rows, step)
        product(now[:n_x], bias[:n_x], rows_first(x_now), w_x)
        copy(flat_now[first:end], only_hidden)
        from_hidden = now[n_products - n_x : n_products]
        product(from_hidden, from_hidden, rows_first(hidden), w_h)
        step_forward(cell, flat_now, flat_state)
        scatter(states, first_row, n_rows, step, hidden)
    _scatter_state(final, first_row, n_rows, state)


@_kernel
def forward(cell, x, initial, w_x, w_h, bias, keep, gates, states, final, first_tile, end_tile):
    """Run the tiles from first_tile to before end_tile: fill their states, the final ones and, if keep, their gates.

    x : (batch, steps, channels). initial and final : (batch, 1 or 2, hidden), h and the LSTM's c.
    w_x : (vectors, 1, channels, lanes), for the first gates; w_h : (vectors, hidden panels, lanes, lanes), for the last
    of those that are products. bias : (panels of products, rows, lanes). states : (batch, steps, hidden).
    gates : (tiles, steps, panels, rows, lanes), or (1, 1, ...) if not keep.
    """
    rows, lanes = gates.shape[3:]
    x_now = np.empty((1, rows, x.shape[2]), x.dtype)
    state = np.empty((initial.shape[1] * w_h.shape[1], rows, lanes), x.dtype)
    for tile in range(first_tile, end_tile):
        _forward_tile(
            cell, borrow(x), borrow(initial), borrow(w_x), borrow(w_h), borrow(bias), borrow(gates)[tile if keep else 0],
            borrow(states), borrow(final), borrow(x_now), borrow(state), tile * rows,
        )  # fmt: skip


@_inner
def _load_before(cell, before, states, initial, gates, first_row, n_rows, step):
    """The state that the step started from; the LSTM's c stands in the last panels of the gates."""
    n_panels = before.shape[0] // initial.shape[1]
    if step == 0:
        _gather_state(before, initial, first_row, n_rows)
        return
    gather(before[:n_panels], states, first_row, n_rows, step - 1)
    if cell == LSTM:
        copy(before[n_panels:].reshape(-1), gates[step - 1, gates.shape[1] - n_panels :].reshape(-1))


@_inner
def _add_weight_gradients(grads, before, x_slots, ones, grad_w_x, grad_w_h, grad_bias):
    """grads : (slots, products, rows, lanes). before : (slots, panels, rows, lanes). x_slots : (slots, rows, channels)."""
    by_panel = panels_first(grads)
    n_products, lanes = grads.shape[1], grads.shape[3]
    product(grad_w_x, grad_w_x, features_first(x_slots), by_panel[: grad_w_x.shape[0]])
    of_hidden = by_panel[n_products - grad_w_h.shape[0] :]
    for first in range(0, grad_w_h.shape[0], 2 * VECTORS):  # few enough vectors to stay in the cache for all panels
        some, end = of_hidden[first : first + 2 * VECTORS], first + 2 * VECTORS
        for p in range(grad_w_h.shape[1] // lanes):
            part = grad_w_h[first:end, p * lanes : (p + 1) * lanes]
            product(part, part, features_first(before[:, p]), some)
    product(grad_bias, grad_bias, features_first(ones), by_panel)


@_inlined
def _backward_tile(
    cell, x, initial, states, gates, grad_states, grad_final, back_x, back_h, grad_x, grad_initial,
    grad_w_x, grad_w_h, grad_bias, grads, before, x_slots, ones, carry, incoming, outgoing, first_row, slot,
):  # fmt: skip
    """Run one tile; slot is the first free one of the arrays of slots, and so is what is returned."""
    rows, n_panels, last = carry.shape[1], back_h.shape[0], gates.shape[0] - 1
    n_rows = min(rows, x.shape[0] - first_row)
    hidden_carry, flat_carry, flat_incoming = carry[:n_panels], carry.reshape(-1), incoming.reshape(-1)
    n_slots = grads.shape[0]
    flat_gates, flat_grads = gates.reshape(gates.shape[0], -1), grads.reshape(n_slots, -1)
    flat_before = before.reshape(n_slots, -1)
    set_zero(flat_carry)  # stays 0 in the rows that the last tile does not fill
    set_zero(flat_incoming)
    _gather_state(carry, grad_final, first_row, n_rows)
    for step in range(x.shape[1] - 1, -1, -1):
        now, at = grads[slot], min(step, last)
        if grad_states.size:
            gather(incoming, grad_states, first_row, n_rows, step)
            add(flat_carry, flat_incoming)
        _load_before(cell, before[slot], states, initial, gates, first_row, n_rows, step)
        _load_channels(x_slots[slot], x, first_row, n_rows, step)
        if cell == RNN_TANH or cell == RNN_RELU:
            gather(gates[at], states, first_row, n_rows, step)
        step_backward(cell, flat_gates[at], flat_before[slot], flat_carry, flat_grads[slot])
        into_hidden = now[now.shape[0] - back_h.shape[1] :]
        product(hidden_carry, hidden_carry, rows_first(into_hidden), back_h)
        if grad_x.size:
            set_zero(outgoing.reshape(-1))
            product(outgoing, outgoing, rows_first(now[: back_x.shape[1]]), back_x)
            scatter(grad_x, first_row, n_rows, step, outgoing)
        slot += 1
        if slot == n_slots:
            _add_weight_gradients(grads, before, x_slots, ones, grad_w_x, grad_w_h, grad_bias)
            slot = 0
    _scatter_state(grad_initial, first_row, n_rows, carry)
    return slot


@_kernel
def backward(
    cell, x, initial, states, keep, gates, grad_states, grad_final, back_x, back_h,
    grad_x, grad_initial, grad_w_x, grad_w_h, grad_bias, tiles_per_group, first_group, end_group,
):  # fmt: skip
    """Run tiles backward through time, the groups from first_group to before end_group.

    Beside forward's arrays: back_x : (channel panels, gate panels, lanes, lanes) and back_h : (hidden panels, gate panels,
    lanes, lanes), the transposed weights; grad_states is empty where no state but the final one is used.
    Filled are grad_x, unless it is empty, grad_initial, and per group
    grad_w_x : (groups, vectors, channels up to a whole block, lanes), grad_w_h : (groups, vectors, padded hidden, lanes),
    grad_bias : (groups, products, 1, lanes): a group's sum does not depend on who computes it, so neither does the total.
    If not keep, gates is (1, 1, ...) and room for a step's gates: a plain cell's are its states.
    """
    rows, lanes = gates.shape[3:]
    n_tiles = (x.shape[0] + rows - 1) // rows
    n_slots = min(SLOTS, SLOT_ROWS // rows)
    grads = np.zeros((n_slots, grad_bias.shape[1], rows, lanes), x.dtype)
    before = np.zeros((n_slots, initial.shape[1] * back_h.shape[0], rows, lanes), x.dtype)
    x_slots = np.zeros((n_slots, rows, grad_w_x.shape[2]), x.dtype)
    ones = np.ones((n_slots, rows, 1), x.dtype)
    carry = np.empty((initial.shape[1] * back_h.shape[0], rows, lanes), x.dtype)
    incoming = np.empty((back_h.shape[0], rows, lanes), x.dtype)
    outgoing = np.empty((back_x.shape[0], rows, lanes), x.dtype)
    for group in range(first_group, end_group):
        to_w_x, to_w_h, to_bias = borrow(grad_w_x)[group], borrow(grad_w_h)[group], borrow(grad_bias)[group]
        set_zero(to_w_x.reshape(-1))
        set_zero(to_w_h.reshape(-1))
        set_zero(to_bias.reshape(-1))
        slot = 0
        for tile in range(group * tiles_per_group, min((group + 1) * tiles_per_group, n_tiles)):
            slot = _backward_tile(
                cell, borrow(x), borrow(initial), borrow(states), borrow(gates)[tile if keep else 0], borrow(grad_states),
                borrow(grad_final), borrow(back_x), borrow(back_h), borrow(grad_x), borrow(grad_initial),
                to_w_x, to_w_h, to_bias, borrow(grads), borrow(before), borrow(x_slots), borrow(ones), borrow(carry),
                borrow(incoming), borrow(outgoing), tile * rows, slot,
            )  # fmt: skip
        _add_weight_gradients(grads[:slot], before[:slot], x_slots[:slot], ones[:slot], to_w_x, to_w_h, to_bias)
