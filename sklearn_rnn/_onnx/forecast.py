"""The network behind RNNForecaster as ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_rnn._onnx.graph import GraphBuilder
from sklearn_rnn._onnx.inputs import encode, fold_segments, newest_steps
from sklearn_rnn._onnx.network import last_observed, spread_quantiles
from sklearn_rnn._onnx.parts import (
    as_array,
    count,
    last_step,
    linear,
    nan_to_zero,
    repeat,
    slice_axis,
    valid_steps,
    within,
)
from sklearn_rnn._onnx.recurrent import advance, run_layers
from sklearn_rnn.nets import ForecastNet
from sklearn_rnn.nets.forecast import FARTHEST, SMALLEST_DEVIATION, SMALLEST_DISTANCE, SPAN_EXPONENT


def forecast_net(op: GraphBuilder, net: ForecastNet, values: str, lengths: str, known: str) -> str:
    """Forecasts (batch, horizon, n_targets[, n_quantiles]) in the units of the targets, float64."""
    targets = slice_axis(op, values, 2, 0, net.n_targets)
    present = present_values(op, targets, lengths)
    level, unit = units(op, net, targets, present)
    normalised = within_reach(op, op.Div(op.Sub(targets, level), unit), present)
    last = read_window(op, net, normalised, values, lengths)
    encoded = known if net.query_known is None else encode(op, net.known_encoder, known)  # (batch, horizon, features)
    queries = op.Reshape(make_queries(op, net, values, encoded), [-1, net.recurrent.output_size])
    decoded = linear(op, net.head, advance(op, net.recurrent, queries, last, net.n_decoded))
    shape = [-1, net.n_series, net.n_decoded * net.decoded_size, net.n_together, max(net.n_quantiles, 1)]
    steps = op.Transpose(op.Reshape(decoded, shape), perm=[0, 2, 1, 3, 4])
    steps = slice_axis(op, steps, 1, 0, net.horizon)  # (batch, horizon, n_series, n_together, quantiles)
    quantiles = [net.n_quantiles] if net.n_quantiles else []
    raw = op.Reshape(steps, [-1, net.horizon, net.n_targets, *quantiles])
    point = raw
    if net.n_quantiles:
        raw, level, unit = spread_quantiles(op, raw), op.Unsqueeze(level, [3]), op.Unsqueeze(unit, [3])
        point = op.Gather(raw, net.median, axis=3)
    straight = op.Mul(point, as_array(net.share - 1)[:, None])
    straight = op.Add(straight, go_straight(op, net, normalised, lengths))
    if net.known_weight.shape[2]:
        straight = op.Add(straight, by_known(op, net, values, lengths, encoded))
    if net.past_weight.shape[2]:
        straight = op.Add(straight, by_past(op, net, values, lengths))
    forecasts = op.Add(raw, op.Unsqueeze(straight, [3]) if net.n_quantiles else straight)
    if not net.factors.isnan().all():
        forecasts = calibrated(op, net, forecasts, recent_deviation(op, normalised, present, lengths))
    level, unit, forecasts = (op.cast(numbers, np.float64) for numbers in (level, unit, forecasts))
    return op.Add(op.Mul(forecasts, unit), level)


def within_reach(op: GraphBuilder, distances: str, present: str) -> str:
    """Distances (batch, steps, n_targets) from the level of their window, none out of the window's reach."""
    roots = op.Where(present, op.Sqrt(op.Sqrt(op.Abs(distances))), op.number(0))
    n_present = op.Max(op.ReduceSum(op.cast(present, op.dtype), [1], keepdims=1), op.number(1))
    usual = op.Pow(op.Div(op.ReduceSum(roots, [1], keepdims=1), n_present), op.number(4))
    reach = op.Mul(op.number(FARTHEST), op.Max(usual, op.number(1)))
    near = op.Max(op.Min(distances, reach), op.Neg(reach))
    return op.Where(op.IsNaN(distances), distances, near)  # runtimes differ about NaN


def units(op: GraphBuilder, net: ForecastNet, targets: str, present: str) -> tuple[str, str]:
    """What each target is counted from and in, (batch, 1, n_targets) both."""
    shape = op.Concat(op.Shape(targets, start=0, end=1), [1, net.n_targets], axis=0)
    mean, scale = (op.Expand(as_array(buffer), shape) for buffer in (net.output_mean, net.output_scale))
    if net.normalize is None:
        return mean, scale
    last = last_value(op, targets, present)
    if net.normalize == "last":
        return last, scale
    distance, deviation = mean_and_deviation(op, op.Div(op.Sub(targets, last), scale), present)
    smallest = op.Mul(op.number(SMALLEST_DEVIATION), op.Abs(op.Div(last, scale)))
    unit = op.Where(op.LessOrEqual(deviation, smallest), usual_unit(op, net, last), op.Mul(deviation, scale))
    return last if net.normalize == "scaled" else op.Add(last, op.Mul(distance, scale)), unit


def usual_unit(op: GraphBuilder, net: ForecastNet, level: str) -> str:
    """The deviation of a series by its level alone, (batch, 1, n_targets)."""
    smallest, scale = as_array(net.smallest_scale), as_array(net.output_scale)
    relative = op.Min(op.Max(op.Mul(op.Abs(level), as_array(net.relative_scale)), smallest), scale)
    return op.Where(op.Equal(level, op.number(0)), as_array(net.zero_scale), relative)


def present_values(op: GraphBuilder, targets: str, lengths: str) -> str:
    """Where a window has a value, (batch, steps, n_targets)."""
    valid = op.Unsqueeze(valid_steps(op, targets, lengths), [2])
    return op.And(valid, op.Not(op.IsNaN(targets)))


def mean_and_deviation(op: GraphBuilder, targets: str, present: str) -> tuple[str, str]:
    """Of the values of each target that are present, (batch, 1, n_targets)."""
    n_present = op.Max(op.ReduceSum(op.cast(present, op.dtype), [1], keepdims=1), op.number(1))
    mean = op.Div(op.ReduceSum(op.Where(present, targets, op.number(0)), [1], keepdims=1), n_present)
    distance = op.Where(present, op.Sub(targets, mean), op.number(0))
    variance = op.Div(op.ReduceSum(op.Mul(distance, distance), [1], keepdims=1), n_present)
    return mean, op.Sqrt(variance)


def recent_deviation(op: GraphBuilder, normalised: str, present: str, lengths: str) -> str:
    """The deviation of each normalised target in the newer half of its window, (batch, 1, n_targets)."""
    step = op.Unsqueeze(count(op, op.Shape(normalised, start=1, end=2)), [0, 2])
    newer = op.GreaterOrEqual(step, op.Unsqueeze(op.Div(lengths, 2), [1, 2]))
    deviation = mean_and_deviation(op, normalised, op.And(present, newer))[1]
    return op.Where(op.Less(deviation, op.number(SMALLEST_DEVIATION)), op.number(1), deviation)


def last_value(op: GraphBuilder, targets: str, present: str) -> str:
    """The last value of each target that is present, (batch, 1, n_targets), NaN where none is."""
    step = op.Unsqueeze(count(op, op.Shape(targets, start=1, end=2)), [0, 2])
    last = op.ReduceMax(op.Where(present, step, -1), [1], keepdims=1)  # -1 where all are missing
    return op.GatherElements(targets, op.Max(last, 0), axis=1)


def calibrated(op: GraphBuilder, net: ForecastNet, forecasts: str, deviation: str) -> str:
    """Quantiles at the distances from the median that the net's factors give."""
    factors = as_array(net.factors)
    median = op.Gather(forecasts, [net.median], axis=-1)
    distance = op.Max(op.Abs(op.Sub(forecasts, median)), op.number(SMALLEST_DISTANCE))
    span = op.Pow(op.Mul(distance, op.Unsqueeze(deviation, [3])), op.number(SPAN_EXPONENT))
    moved = op.Add(median, op.Mul(np.nan_to_num(factors), span))
    chosen = op.Where(np.isnan(factors), forecasts, moved)
    return op.TopK(chosen, [net.n_quantiles], n_outputs=2, axis=-1, largest=0)[0]


def read_window(op: GraphBuilder, net: ForecastNet, targets: str, values: str, lengths: str) -> list[Sequence[str]]:
    """The cell's states after each window, its series standing in the batch."""
    inputs = [nan_to_zero(op, targets)]
    if net.mark_missing:
        inputs.append(op.cast(op.IsNaN(targets), op.dtype))
    features = [put_apart(op, net, part) for part in inputs]
    repeated = repeat(op, lengths, net.n_series, axis=0)
    segments, segment_lengths = fold_segments(op, op.Concat(*features, axis=2), repeated, net.segment_size)
    mapped = linear(op, net.read_targets, segments)  # (batch * n_series, n_segments, hidden_size)
    if net.read_covariates is not None:
        covariates = slice_axis(op, values, 2, net.covariates.start, net.covariates.stop)
        covariates, _ = fold_segments(op, encode(op, net.covariate_encoder, covariates), lengths, net.segment_size)
        read = linear(op, net.read_covariates, covariates)
        mapped = op.Add(mapped, repeat(op, read, net.n_series, axis=0))
    return run_layers(op, net.recurrent, op.Relu(mapped), segment_lengths)[1]


def go_straight(op: GraphBuilder, net: ForecastNet, targets: str, lengths: str) -> str:
    """What the linear map says of the normalised targets of a window, (batch, horizon, n_targets)."""
    n_steps = op.Shape(targets, start=1, end=2)
    each = op.Reshape(op.Transpose(targets, perm=[0, 2, 1]), op.Concat([-1], n_steps, axis=0))
    filled = op.Reshape(last_observed(op, each, 0.0), op.Concat([-1, net.n_targets], n_steps, axis=0))
    series = put_apart(op, net, op.Transpose(filled, perm=[0, 2, 1]))
    repeated = repeat(op, lengths, net.n_series, axis=0)
    newest = newest_steps(op, series, repeated, net.n_steps)
    scaled = op.Mul(linear(op, net.direct, newest), op.number(net.n_steps**-0.5))
    steps = op.Reshape(scaled, [-1, net.n_series, net.horizon, net.n_together])
    return op.Reshape(op.Transpose(steps, perm=[0, 2, 1, 3]), [0, net.horizon, net.n_targets])


def by_known(op: GraphBuilder, net: ForecastNet, values: str, lengths: str, encoded: str) -> str:
    """What the linear map says of the known covariates, (batch, horizon, n_apart)."""
    last = op.Unsqueeze(last_step(op, values, lengths), [1])
    last = encode(op, net.known_encoder, slice_axis(op, last, 2, net.known.start, net.known.stop))  # (batch, 1, ...)
    weight, n_encoded = as_array(net.known_weight), net.known_encoder.output_size
    last, encoded = op.Unsqueeze(last, [2]), op.Unsqueeze(encoded, [2])
    of_last = op.Mul(last, weight[:, :, 1 : 1 + n_encoded])  # (batch, horizon, n_apart, n_encoded)
    of_steps = op.Mul(encoded, weight[:, :, 1 + n_encoded :])
    return op.Add(op.ReduceSum(op.Add(of_last, of_steps), [3], keepdims=0), weight[:, :, 0])


def by_past(op: GraphBuilder, net: ForecastNet, values: str, lengths: str) -> str:
    """What the linear map says of the changes of past covariates, (batch, horizon, n_apart)."""
    past = op.Gather(values, net.past_columns, axis=2)
    change = op.Sub(slice_axis(op, past, 1, 1, None), slice_axis(op, past, 1, 0, -1))
    change = nan_to_zero(op, op.Div(op.Pad(change, [0, 1, 0, 0, 0, 0]), as_array(net.past_scale)))
    newest = newest_steps(op, within(op, change, FARTHEST), lengths, net.changes[0])
    by_past = op.MatMul(newest, as_array(net.past_weight.flatten(0, 1)).T)
    return op.Reshape(by_past, [-1, net.horizon, net.n_apart])


def put_apart(op: GraphBuilder, net: ForecastNet, targets: str) -> str:
    """Series that are read apart stand in the batch: (batch * n_series, steps, n_together)."""
    series = op.Transpose(op.Reshape(targets, [0, 0, net.n_series, net.n_together]), perm=[0, 2, 1, 3])
    return op.Reshape(series, op.Concat([-1], op.Shape(targets, start=1, end=2), [net.n_together], axis=0))


def make_queries(op: GraphBuilder, net: ForecastNet, values: str, encoded: str) -> str:
    """The inputs of the decoding steps, (batch, n_series, n_decoded, hidden_size)."""
    learned = as_array(net.channel)[:, None] + as_array(net.position)  # (n_series, n_decoded, hidden_size)
    query = op.Expand(learned, op.Concat(op.Shape(values, start=0, end=1), [1, 1, 1], axis=0))
    if net.query_known is not None:
        n_behind = net.n_decoded * net.decoded_size - net.horizon
        padded = op.Pad(encoded, [0, 0, 0, 0, n_behind, 0])
        segments = op.Reshape(padded, [0, net.n_decoded, net.decoded_size * net.known_encoder.output_size])
        query = op.Add(query, op.Unsqueeze(linear(op, net.query_known, segments), [1]))
    if net.query_static is not None:
        first = slice_axis(op, slice_axis(op, values, 1, 0, 1), 2, net.static.start, net.static.stop)
        static = linear(op, net.query_static, encode(op, net.static_encoder, first))  # (batch, 1, hidden_size)
        query = op.Add(query, op.Unsqueeze(static, [1]))
    return query
