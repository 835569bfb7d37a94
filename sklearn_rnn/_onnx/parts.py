"""Small parts of graphs that ONNX has no single operator for, and torch's weights as arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_rnn._onnx.graph import GraphBuilder


def as_array(tensor: Tensor) -> NDArray:
    return tensor.detach().cpu().numpy()


def linear(op: GraphBuilder, layer: nn.Linear, values: str) -> str:
    product = op.MatMul(values, as_array(layer.weight).T)
    return product if layer.bias is None else op.Add(product, as_array(layer.bias))


def valid_steps(op: GraphBuilder, values: str, lengths: str) -> str:
    """True where a step of (batch, steps, ...) belongs to the sequence, (batch, steps)."""
    return op.Less(count(op, op.Shape(values, start=1, end=2)), op.Unsqueeze(lengths, [1]))


def nan_to_zero(op: GraphBuilder, values: str) -> str:
    return op.Where(op.IsNaN(values), op.number(0), values)


def within(op: GraphBuilder, values: str, farthest: float) -> str:
    """Values of no larger size than that."""
    return op.Min(op.Max(values, op.number(-farthest)), op.number(farthest))


def count(op: GraphBuilder, n: str) -> str:
    """0, 1, 2... to n - 1, n being of shape (1,)."""
    return op.Range(0, op.Squeeze(n, [0]), 1)


def last_step(op: GraphBuilder, values: str, lengths: str) -> str:
    """The last step of each sequence of (batch, steps, ...), (batch, ...)."""
    return op.GatherND(values, op.Unsqueeze(op.Sub(lengths, 1), [1]), batch_dims=1)


def repeat(op: GraphBuilder, values: str, n: int, axis: int) -> str:
    """Each entry along an axis n times in succession."""
    if n == 1:
        return values
    n_entries = op.Mul(op.Shape(values, start=axis, end=axis + 1), n)
    return op.Gather(values, op.Div(count(op, n_entries), n), axis=axis)


def slice_axis(op: GraphBuilder, values: str, axis: int, start: int, stop: int | None) -> str:
    end = np.iinfo(np.int64).max if stop is None else stop
    return op.Slice(values, [start], [end], [axis])
