"""Recurrent layers for training on a CPU: torch's GRU, LSTM and RNN with hand-written, compiled steps.

torch.nn runs a step as several small operations and their graph; here a whole pass through time, forward or backward,
is one call into machine code (see _kernels.py), so short vectors and many steps no longer drown in overhead. Weights,
gate order and results are those of torch.nn with ``batch_first=True``.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LARGEST_HIDDEN_SIZE = 256  # beyond it the matrix products of torch's own modules win
_TILES = 4  # that a batch has at least, if it has so many register blocks
_GROUP_ROWS = 8  # at least
MAX_GROUPS = 16  # of tiles, whose weight gradients are summed apart: as many threads have work in backward


class _Cell(NamedTuple):
    """How torch's stacked weights become the kernel's gates; gates that x and h share stand in the middle."""

    code: str
    x_order: tuple[int, ...]  # torch's gates in the order in which x adds to them, from the first product on
    h_order: tuple[int, ...]  # and in which h does, up to the last product
    n_products: int
    n_gates: int  # products and the LSTM's c
    n_states: int
    keep: bool  # the gates for backward; a plain cell's are its states


CELLS = {
    "tanh": _Cell("RNN_TANH", (0,), (0,), 1, 1, 1, False),
    "relu": _Cell("RNN_RELU", (0,), (0,), 1, 1, 1, False),
    "lstm": _Cell("LSTM", (0, 1, 2, 3), (0, 1, 2, 3), 4, 5, 2, True),
    "gru": _Cell("GRU", (2, 0, 1), (0, 1, 2), 4, 4, 1, True),
}


def are_quicker(layer: nn.RNNBase, device_type: str) -> bool:
    """Whether these cells can take the place of torch's layer on this kind of device, and are quicker."""
    return _numba_is_installed() and device_type == "cpu" and layer.hidden_size <= LARGEST_HIDDEN_SIZE


def is_usable(layer: nn.RNNBase, x: Tensor) -> bool:
    """Whether these cells can run this layer on this input."""
    return (
        are_quicker(layer, x.device.type)
        and x.dtype in (torch.float32, torch.float64)
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
    )


def recurrent_states(layer: nn.RNNBase, x: Tensor, initial: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """States after every step of a one-layer, one-way torch module, as the module computes them, and the final one.

    Parameters
    ----------
    layer : torch.nn.GRU, LSTM or RNN with batch_first=True
    x : Tensor of shape (batch, n_steps, n_channels), float32 or float64
    initial : Tensor of shape (batch, 1 or 2, hidden_size), an LSTM's hidden and cell state, default=None
        Where the first step starts from, zeros if None.

    Returns
    -------
    states : Tensor of shape (batch, n_steps, hidden_size)
    final : Tensor of the shape of `initial`
        After the last step; where it alone is used, backward reads no gradients of other states.

    Both are differentiable once with respect to x, the start and the weights. A sample's states do not depend on the
    other samples of the batch nor on threads, to the last bit.
    """
    cell = _cell_of(layer)
    if initial is None:
        initial = x.new_zeros(len(x), CELLS[cell].n_states, layer.hidden_size)
    return _run(cell, x, initial, layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0)


def _cell_of(layer: nn.RNNBase) -> str:
    return layer.nonlinearity if isinstance(layer, nn.RNN) else type(layer).__name__.lower()


@lru_cache(maxsize=1)
def _numba_is_installed() -> bool:
    return importlib.util.find_spec("numba") is not None


def _run(cell: str, *tensors: Any) -> tuple[Tensor, Tensor]:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        both: tuple[Tensor, Tensor] = _Recurrence.apply(cell, *tensors)
        return both
    return _forward(cell, *tensors, keep=False)[:2]


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cell: str, x: Tensor, initial: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        states, final, gates = _forward(cell, x, initial, *weights, keep=True)
        ctx.cell = cell
        ctx.save_for_backward(x, initial, *weights[:2], states, gates)
        ctx.set_materialize_grads(False)
        return states, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_states: Tensor | None, grad_final: Tensor | None) -> tuple[Tensor | None, ...]:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        return None, *_backward(ctx.cell, saved, grad_states, grad_final, with_x=ctx.needs_input_grad[1])


# --- calls of the kernels ---------------------------------------------------------------------------------------------


def _forward(
    cell: str, x: Tensor, initial: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor, *, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """States (batch, n_steps, hidden_size), the final one and, if keep, gates (tiles, n_steps, panels, rows, lanes)."""
    kernels, layout = _kernels(), _layout(cell, x, w_hh)
    (batch, n_steps, _), hidden_size = x.shape, w_hh.shape[1]
    rows = _tile_rows(batch)
    n_tiles = _parts(batch, rows)
    n_threads = _worthwhile_threads(x, w_ih, w_hh, n_tiles)
    keep = keep and layout.keep

    x_, initial_ = _array(x), _array(initial)
    w_x, w_h = _take(w_ih, layout.w_x), _take(w_hh, layout.w_h)
    bias = _take(b_ih, layout.b_x) + _take(b_hh, layout.b_h)  # (panels, 1, lanes)
    bias = bias.repeat(rows, axis=1)
    room = (n_tiles, n_steps) if keep else (n_threads, 1)
    gates = np.empty((*room, layout.n_gates, rows, layout.lanes), x_.dtype)
    states, final = np.empty((batch, n_steps, hidden_size), x_.dtype), np.empty_like(initial_)

    def run(thread: int, first: int, end: int) -> None:
        mine = gates if keep else gates[thread : thread + 1]
        kernels.forward(layout.code, x_, initial_, w_x, w_h, bias, keep, mine, states, final, first, end)

    _split(run, n_tiles, n_threads)
    return torch.from_numpy(states), torch.from_numpy(final), torch.from_numpy(gates)


def _backward(
    cell: str, saved: tuple[Tensor, ...], grad_states: Tensor | None, grad_final: Tensor | None, *, with_x: bool
) -> tuple[Tensor | None, ...]:
    """Gradients with respect to x (None unless with_x), initial, w_ih, w_hh, b_ih and b_hh."""
    x, initial, w_ih, w_hh, states, gates = saved
    kernels, layout = _kernels(), _layout(cell, x, w_hh)
    rows = gates.shape[3]
    n_tiles = _parts(len(x), rows)
    tiles_per_group = max(_parts(_GROUP_ROWS, rows), _parts(n_tiles, MAX_GROUPS))
    n_groups = _parts(n_tiles, tiles_per_group)
    read = [_array(t) for t in (x, initial, states)]
    gates_ = _array(gates)
    grad_states_ = _array(x.new_empty(0, 0, 0) if grad_states is None else grad_states)
    grad_final_ = _array(torch.zeros_like(initial) if grad_final is None else grad_final)
    weights = _take(w_ih, layout.back_x), _take(w_hh, layout.back_h)
    dtype = read[0].dtype
    grad_x = np.empty(x.shape if with_x else (0, 0, 0), dtype)
    grad_initial = np.empty(initial.shape, dtype)
    by_group = [np.empty((n_groups, *shape), dtype) for shape in layout.grad_shapes]

    def run(thread: int, first: int, end: int) -> None:
        mine = gates_ if layout.keep else np.zeros_like(gates_[:1])
        kernels.backward(
            layout.code, *read, layout.keep, mine, grad_states_, grad_final_, *weights, grad_x, grad_initial, *by_group,
            tiles_per_group, first, end,
        )  # fmt: skip

    _split(run, n_groups, _worthwhile_threads(x, w_ih, w_hh, n_groups))
    grad_w_x, grad_w_h, grad_bias = (groups.sum(0) for groups in by_group)
    return (
        torch.from_numpy(grad_x) if with_x else None,
        torch.from_numpy(grad_initial),
        torch.from_numpy(_chosen(grad_w_x, layout.from_w_x)),
        torch.from_numpy(_chosen(grad_w_h, layout.from_w_h)),
        torch.from_numpy(_chosen(grad_bias, layout.from_b_x)),
        torch.from_numpy(_chosen(grad_bias, layout.from_b_h)),
    )


def _kernels() -> ModuleType:
    """The compiled part; importing it imports numba, which takes half a second and which no other path needs."""
    return importlib.import_module("sklearn_rnn.nets._kernels")


def _tile_rows(batch: int) -> int:
    """Rows of a tile: one for a single sample, else whole register blocks, so few that several threads get tiles."""
    kernels = _kernels()
    if batch == 1:
        return 1
    fitting = batch // _TILES // kernels.ROWS * kernels.ROWS
    return max(kernels.ROWS, min(fitting, kernels.LARGEST_TILE))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _parts(whole: int, part: int) -> int:
    return -(-whole // part)


# --- threads ----------------------------------------------------------------------------------------------------------

_PRODUCTS_A_THREAD = 2**21  # about a tenth of a millisecond
_pool: ThreadPoolExecutor | None = None
_chosen_threads: ContextVar[int | None] = ContextVar("n_threads", default=None)


@contextmanager
def cell_threads(n_threads: int) -> Iterator[None]:
    """Run the cells of this Python thread with `n_threads` threads. They wait asleep, unlike torch's, which spin."""
    token = _chosen_threads.set(n_threads)
    try:
        yield
    finally:
        _chosen_threads.reset(token)


def _worthwhile_threads(x: Tensor, w_ih: Tensor, w_hh: Tensor, n_parts: int) -> int:
    """As many as allowed, but none that would be awake for less time than it takes to wake it."""
    n_products = x.shape[0] * x.shape[1] * (w_ih.numel() + w_hh.numel())
    return max(1, min(n_threads_here(), n_parts, n_products // _PRODUCTS_A_THREAD))


def n_threads_here() -> int:
    """Threads that the cells use: those of :func:`cell_threads`, torch's outside it."""
    return _chosen_threads.get() or torch.get_num_threads()


def _split(run: Callable[[int, int, int], None], n_items: int, n_threads: int) -> None:
    """Call run(thread, first, end) for consecutive parts of the items at a time; the kernels release the GIL.

    Python's threads rather than numba's: its default layer ends the process when two threads call it at once.
    """
    bounds = [n_items * i // n_threads for i in range(n_threads + 1)]
    others = [_threads().submit(run, i, bounds[i], bounds[i + 1]) for i in range(1, n_threads)]
    run(0, 0, bounds[1])
    for other in others:
        other.result()


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="recurrence")
    return _pool


def _forget_threads() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)  # a child has the pool, but none of its threads


# --- where the kernels want torch's weights ---------------------------------------------------------------------------


class _Layout(NamedTuple):
    """Index arrays between torch's flat weights (counted from 1; 0 is padding) and the kernels' panels."""

    code: int
    lanes: int
    n_gates: int  # panels of a step
    keep: bool
    w_x: np.ndarray
    w_h: np.ndarray
    b_x: np.ndarray
    b_h: np.ndarray
    back_x: np.ndarray
    back_h: np.ndarray
    grad_shapes: tuple[tuple[int, ...], ...]  # of w_x, w_h and the bias, as the kernels sum them
    from_w_x: np.ndarray  # the position in those sums of each of torch's weights
    from_w_h: np.ndarray
    from_b_x: np.ndarray
    from_b_h: np.ndarray


def _layout(cell: str, x: Tensor, w_hh: Tensor) -> _Layout:
    return _layout_of(cell, x.shape[2], w_hh.shape[1], x.element_size())


@lru_cache(maxsize=32)
def _layout_of(cell: str, n_channels: int, hidden_size: int, itemsize: int) -> _Layout:
    kernels, spec = _kernels(), CELLS[cell]
    lanes = kernels.n_lanes(itemsize)
    padded = _parts(hidden_size, lanes) * lanes
    channels = _parts(n_channels, lanes) * lanes
    block = 1 if n_channels == 1 else _parts(n_channels, kernels.ROWS) * kernels.ROWS
    w_x = partial(_gate_index, spec.x_order, hidden_size, n_channels, padded)  # of the padded number of columns
    w_h = _gate_index(spec.h_order, hidden_size, hidden_size, padded, padded)  # (gates * padded, padded)
    n_gates, n_bias = len(w_h), spec.n_products * padded
    b_x = np.pad(_gate_index(spec.x_order, hidden_size, 1, padded, 1).ravel(), (0, n_bias - n_gates))
    b_h = np.pad(_gate_index(spec.h_order, hidden_size, 1, padded, 1).ravel(), (n_bias - n_gates, 0))
    summed_x, panels_h = _panels(w_x(block).T, block, lanes), _panels(w_h.T, lanes, lanes)
    return _Layout(
        code=getattr(kernels, spec.code),
        lanes=lanes,
        n_gates=spec.n_gates * padded // lanes,
        keep=spec.keep,
        w_x=_panels(w_x(n_channels).T, n_channels, lanes),
        w_h=panels_h,
        b_x=b_x.reshape(-1, 1, lanes),
        b_h=b_h.reshape(-1, 1, lanes),
        back_x=_panels(w_x(channels), lanes, lanes),
        back_h=_panels(w_h, lanes, lanes),
        grad_shapes=((n_gates // lanes, block, lanes), (n_gates // lanes, padded, lanes), (n_bias // lanes, 1, lanes)),
        from_w_x=_positions(summed_x).reshape(-1, n_channels),
        from_w_h=_positions(panels_h).reshape(-1, hidden_size),
        from_b_x=_positions(b_x),
        from_b_h=_positions(b_h),
    )


def _gate_index(order: tuple[int, ...], hidden_size: int, n_columns: int, padded: int, columns: int) -> np.ndarray:
    """Numbers from 1 of a weight (gates * hidden_size, n_columns), reordered and padded: (gates * padded, columns)."""
    numbers = np.arange(1, len(order) * hidden_size * n_columns + 1).reshape(len(order), hidden_size, n_columns)
    widths = ((0, 0), (0, padded - hidden_size), (0, columns - n_columns))
    return np.pad(numbers[list(order)], widths).reshape(-1, columns)


def _panels(matrix: np.ndarray, inner: int, lanes: int) -> np.ndarray:
    """Cut (n_in, n_out) for the right side of a product: (n_out / lanes, n_in / inner, inner, lanes)."""
    n_in, n_out = matrix.shape
    return np.ascontiguousarray(matrix.reshape(n_in // inner, inner, n_out // lanes, lanes).transpose(2, 0, 1, 3))


def _positions(index: np.ndarray) -> np.ndarray:
    """The place of 1, 2, 3... in an index array."""
    flat = index.ravel()
    return np.argsort(flat, kind="stable")[np.count_nonzero(flat == 0) :]


def _take(weight: Tensor, index: np.ndarray) -> np.ndarray:
    numbers = _array(weight)
    return _chosen(np.concatenate([np.zeros(1, numbers.dtype), numbers.ravel()]), index)


def _chosen(numbers: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Those at the positions, none of which is out of bounds: "clip" spares numpy a second look at them."""
    return numbers.take(index, mode="clip")
