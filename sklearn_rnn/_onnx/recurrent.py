"""Recurrent layers as ONNX: its own operators, or their equations where runtimes lack these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from sklearn_rnn._onnx.graph import GraphBuilder
from sklearn_rnn._onnx.parts import as_array, count, repeat
from sklearn_rnn.nets.recurrent import RecurrentLayers

# ONNX's order of torch's gates: r, z, n are its z, r, h; i, f, g, o are its i, o, f, c.
GATES: dict[str, tuple[int, ...]] = {"RNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 3, 1, 2)}


def run_layers(
    op: GraphBuilder, recurrent: RecurrentLayers, inputs: str, lengths: str
) -> tuple[str, list[Sequence[str]]]:
    """States of the last layer (steps, directions, batch, hidden_size), and the last states of each layer.

    Last states are those after each sequence's own last step in the direction of reading, (directions, batch,
    hidden_size), of an LSTM hidden and cell state.
    """
    values, states = op.Transpose(inputs, perm=[1, 0, 2]), ""  # (steps, batch, size)
    last: list[Sequence[str]] = []
    for i, forward in enumerate(recurrent.forward_layers):
        if i > 0:
            values = op.Reshape(op.Transpose(states, perm=[0, 2, 1, 3]), [0, 0, -1])
        directions = [forward] if recurrent.backward_layers is None else [forward, recurrent.backward_layers[i]]
        states, *final = run_cell(op, directions, values, lengths)
        last.append(final)
    return states, last


def advance(op: GraphBuilder, recurrent: RecurrentLayers, queries: str, last: list[Sequence[str]], n: int) -> str:
    """One step from the last states for each query: (batch * n, hidden_size) from (batch * n, size)."""
    values = op.Unsqueeze(queries, [0])
    for layer, states in zip(recurrent.forward_layers, last, strict=True):
        initial = [repeat(op, state, n, axis=1) for state in states]
        values = run_cell(op, [layer], values, "", initial)[1]  # (1, batch * n, hidden_size)
    return op.Squeeze(values, [0])


def run_cell(op: GraphBuilder, layers: list[Any], values: str, lengths: str, initial: Sequence[str] = ()) -> list[str]:
    """One layer in one or two directions, by the operator or, as runtimes lack it for float64, by its equations.

    Parameters
    ----------
    layers : list of torch.nn.RNNBase
        The forward direction, then the backward one if there is one.
    values : name of (steps, batch, size)
    lengths : name of (batch,), or "" where every sequence fills all steps
    initial : names of (directions, batch, hidden_size), for an LSTM hidden and cell state; zeros if empty

    Returns
    -------
    list of names
        States (steps, directions, batch, hidden_size), then last states (directions, batch, hidden_size).
    """
    run = run_operator if op.dtype == np.float32 else run_equations
    return run(op, layers, values, lengths, initial)


def run_operator(op: GraphBuilder, layers: list[Any], values: str, lengths: str, initial: Sequence[str]) -> list[str]:
    operator = type(layers[0]).__name__
    attributes: dict[str, Any] = {"direction": "bidirectional" if len(layers) == 2 else "forward"}
    if operator == "GRU":
        attributes["linear_before_reset"] = 1  # as torch and cuDNN have it
    if operator == "RNN":
        attributes["activations"] = [layers[0].nonlinearity.capitalize()] * len(layers)

    def stacked(*names: str) -> NDArray:
        """Weights by direction, the gates in ONNX's order."""
        parts = [np.concatenate([_in_order(getattr(x, name), GATES[operator]) for name in names]) for x in layers]
        return np.stack(parts)

    return getattr(op, operator)(
        values,
        stacked("weight_ih_l0"),
        stacked("weight_hh_l0"),
        stacked("bias_ih_l0", "bias_hh_l0"),
        op.cast(lengths, np.int32) if lengths else "",
        *initial,
        n_outputs=3 if operator == "LSTM" else 2,
        hidden_size=layers[0].hidden_size,
        **attributes,
    )


def run_equations(op: GraphBuilder, layers: list[Any], values: str, lengths: str, initial: Sequence[str]) -> list[str]:
    """What :func:`run_operator` gives, step by step: past its own end a sequence keeps its state."""
    n_states = 2 if isinstance(layers[0], nn.LSTM) else 1
    if not initial:
        shape = op.Concat(op.Shape(values, start=1, end=2), [layers[0].hidden_size], axis=0)
        initial = [op.ConstantOfShape(op.Concat([len(layers)], shape, axis=0), value=op.number(0)[None])] * n_states
    by_direction = []
    for i, layer in enumerate(layers):
        read = op.ReverseSequence(values, lengths, time_axis=0, batch_axis=1) if i == 1 else values
        first = [op.Gather(state, i, axis=0) for state in initial]
        *last, states = run_direction(op, layer, read, lengths, first)
        states = op.ReverseSequence(states, lengths, time_axis=0, batch_axis=1) if i == 1 else states
        by_direction.append([op.Unsqueeze(states, [1]), *(op.Unsqueeze(state, [0]) for state in last)])
    axes = [1] + [0] * n_states
    return [op.Concat(*parts, axis=axis) for parts, axis in zip(zip(*by_direction, strict=True), axes, strict=True)]


def run_direction(op: GraphBuilder, layer: Any, values: str, lengths: str, first: Sequence[str]) -> list[str]:
    """Last states (batch, hidden_size) and the hidden states of all steps (steps, batch, hidden_size)."""
    gates = op.Add(op.MatMul(values, as_array(layer.weight_ih_l0).T), as_array(layer.bias_ih_l0))
    inputs = [gates]
    if lengths:
        step = op.Unsqueeze(count(op, op.Shape(values, start=0, end=1)), [1, 2])
        inputs.append(op.Less(step, op.Unsqueeze(lengths, [0, 2])))  # (steps, batch, 1)

    def step_of_cell(body: GraphBuilder, states: list[str], read: list[str]) -> list[str]:
        new = cell_equations(body, layer, read[0], states)
        if not lengths:
            return new
        return [body.Where(read[1], after, before) for after, before in zip(new, states, strict=True)]

    return op.scan(step_of_cell, first, inputs)


def cell_equations(op: GraphBuilder, layer: Any, gates: str, states: list[str]) -> list[str]:
    """The new states of a torch cell; `gates` are the input's part, (batch, n_gates * hidden_size)."""
    hidden = states[0]
    recurrent = op.Add(op.MatMul(hidden, as_array(layer.weight_hh_l0).T), as_array(layer.bias_hh_l0))
    if isinstance(layer, nn.RNN):
        total = op.Add(gates, recurrent)
        return [op.Relu(total) if layer.nonlinearity == "relu" else op.Tanh(total)]
    size = layer.hidden_size
    if isinstance(layer, nn.LSTM):
        i, f, g, o = op.Split(op.Add(gates, recurrent), [size] * 4, n_outputs=4, axis=1)
        cell = op.Add(op.Mul(op.Sigmoid(f), states[1]), op.Mul(op.Sigmoid(i), op.Tanh(g)))
        return [op.Mul(op.Sigmoid(o), op.Tanh(cell)), cell]
    reset_in, update_in, new_in = op.Split(gates, [size] * 3, n_outputs=3, axis=1)
    reset_by, update_by, new_by = op.Split(recurrent, [size] * 3, n_outputs=3, axis=1)
    reset, update = op.Sigmoid(op.Add(reset_in, reset_by)), op.Sigmoid(op.Add(update_in, update_by))
    new = op.Tanh(op.Add(new_in, op.Mul(reset, new_by)))
    return [op.Add(new, op.Mul(update, op.Sub(hidden, new)))]


def _in_order(weight: Tensor, order: tuple[int, ...]) -> NDArray:
    return np.concatenate([np.split(as_array(weight), len(order))[gate] for gate in order])
