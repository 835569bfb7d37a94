"""The network behind RNNRegressor and RNNClassifier as ONNX."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._onnx.graph import GraphBuilder
from sklearn_rnn._onnx.inputs import encode, fold_segments, newest_steps
from sklearn_rnn._onnx.parts import as_array, last_step, linear, slice_axis, valid_steps, within
from sklearn_rnn._onnx.recurrent import run_layers
from sklearn_rnn.nets import RecurrentNet
from sklearn_rnn.nets.network import FARTHEST
from sklearn_rnn.nets.pooling import CONCATENATED, Pooling


def recurrent_net(op: GraphBuilder, net: RecurrentNet, values: str, lengths: str) -> str:
    """Outputs in the units of y, float64, as RecurrentNet's `forward` and `unscale` give them."""
    encoded = encode(op, net.encoder, values)
    inputs, input_lengths = encoded, lengths
    if net.segment_size > 1:
        inputs, input_lengths = fold_segments(op, encoded, lengths, net.segment_size)
    states, last = run_layers(op, net.recurrent, inputs, input_lengths)  # (steps, directions, batch, hidden_size)
    features = by_step(op, states) if net.per_step else pool(op, net.pool, states, last[-1][0], input_lengths)
    raw = linear(op, net.head, features)
    if net.linear_steps:
        raw = op.Add(raw, go_straight(op, net, encoded, lengths))
    if net.n_quantiles:
        raw = spread_quantiles(op, op.Reshape(raw, [-1, net.n_outputs, net.n_quantiles]))
    if net.anchor is not None:
        raw = add_anchor(op, net, raw, values, lengths)
    raw = op.cast(raw, np.float64)
    return unscale(op, net, op.Exp(raw) if net.log_link else raw)


def go_straight(op: GraphBuilder, net: RecurrentNet, encoded: str, lengths: str) -> str:
    """What the linear regression says of the newest steps, (batch, n_outputs)."""
    numbers = slice_axis(op, encoded, 2, 0, net.encoder.n_numbers)
    newest = newest_steps(op, within(op, numbers, FARTHEST), lengths, net.linear_steps)
    return op.Add(op.MatMul(newest, as_array(net.linear_weight).T), as_array(net.linear_bias))


def unscale(op: GraphBuilder, net: RecurrentNet, raw: str) -> str:
    """Standardised outputs (..., n_outputs[, n_quantiles]) in the units of the targets."""
    mean, scale = map(as_array, net.output_units())
    if net.n_quantiles:
        mean, scale = mean[:, None], scale[:, None]
    return op.Add(op.Mul(raw, scale), mean)


def add_anchor(op: GraphBuilder, net: RecurrentNet, raw: str, values: str, lengths: str) -> str:
    channel = last_observed(op, op.Gather(values, net.anchor, axis=2), float(net.before_anchor))  # (batch, steps)
    if not net.per_step:
        channel = last_step(op, channel, lengths)  # (batch,)
    offset = op.Div(op.Unsqueeze(channel, [-1]), as_array(net.output_scale))  # (batch, [steps,] n_outputs)
    return op.Add(raw, op.Unsqueeze(offset, [-1]) if net.n_quantiles else offset)


def last_observed(op: GraphBuilder, channel: str, before: float) -> str:
    """Each observed value is put at its number among them, from 1, and read from there; at 0 stands `before`."""
    missing = op.IsNaN(channel)
    number = op.CumSum(op.cast(op.Not(missing), np.int64), 1)  # (batch, steps)
    shape = op.Add(op.Shape(channel), [0, 1])
    table = op.ConstantOfShape(shape, value=op.number(before)[None])  # (batch, steps + 1)
    place = op.Where(missing, 0, number)
    table = op.ScatterElements(table, place, op.Where(missing, op.number(before), channel), axis=1)
    return op.GatherElements(table, number, axis=1)


def spread_quantiles(op: GraphBuilder, raw: str) -> str:
    lowest, others = slice_axis(op, raw, -1, 0, 1), slice_axis(op, raw, -1, 1, None)
    # Softplus in parts, which runtimes have for float64, too.
    softplus = op.Add(op.Relu(others), op.Log(op.Add(op.number(1), op.Exp(op.Neg(op.Abs(others))))))
    return op.Concat(lowest, op.Add(lowest, op.CumSum(softplus, -1)), axis=-1)


def by_step(op: GraphBuilder, states: str) -> str:
    """(steps, directions, batch, hidden_size) to (batch, steps, output_size)."""
    return op.Reshape(op.Transpose(states, perm=[2, 0, 1, 3]), [0, 0, -1])


def pool(op: GraphBuilder, pooling: Pooling, states: str, last: str, lengths: str) -> str:
    """States of all steps and those of the last one, (directions, batch, hidden_size), to (batch, output_size)."""
    kinds = CONCATENATED if pooling.kind == "concat" else (pooling.kind,)
    pooled = []
    if "last" in kinds:  # the first
        pooled.append(op.Reshape(op.Transpose(last, perm=[1, 0, 2]), [0, -1]))
    if pooling.kind != "last":
        steps = by_step(op, states)
        valid = op.Unsqueeze(valid_steps(op, steps, lengths), [2])
        pooled += [over_steps(op, pooling, kind, steps, valid, lengths) for kind in kinds if kind != "last"]
    return pooled[0] if len(pooled) == 1 else op.Concat(*pooled, axis=1)


def over_steps(op: GraphBuilder, pooling: Pooling, kind: str, states: str, valid: str, lengths: str) -> str:
    """(batch, steps, size) to (batch, size)."""
    if kind == "max":
        return op.ReduceMax(op.Where(valid, states, op.number(-np.inf)), [1], keepdims=0)
    states = op.Where(valid, states, op.number(0))
    if kind == "mean":
        total = op.ReduceSum(states, [1], keepdims=0)
        return op.Div(total, op.Unsqueeze(op.cast(lengths, op.dtype), [1]))
    scores = op.Where(valid, linear(op, pooling.score, states), op.number(-np.inf))
    return op.ReduceSum(op.Mul(states, op.Softmax(scores, axis=1)), [1], keepdims=0)
