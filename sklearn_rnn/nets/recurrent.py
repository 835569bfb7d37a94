"""Stacks of recurrent layers that read sequences of unequal length exactly, in one or both directions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sklearn_rnn.nets import fused as fused_cells
from sklearn_rnn.nets.pooling import last_step

# What a layer remembers, (1, batch, hidden_size): one tensor, or for an LSTM hidden and cell state.
State = Tensor | tuple[Tensor, Tensor]

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentLayers(nn.Module):
    """Recurrent layers whose states at a sequence's own steps do not depend on the padding behind them.

    The backward direction reads each sequence from its own last step: steps are reversed by length before the cell and
    its states are reversed back after it, so that nothing needs packing. Weights are drawn in float32.

    Parameters
    ----------
    input_size, hidden_size, n_layers : int
    cell : {"rnn", "lstm", "gru"}
    bidirectional : bool
    dropout : float
        Applied between layers.
    nonlinearity : {"tanh", "relu"}
        Of the plain "rnn" cell.
    fused : bool
        Whether cells compiled by numba may take the place of torch's on a CPU.
    precision : {"full", "bf16"}
        "bf16" runs torch's cells under its autocast to bfloat16, where the device has it, on CUDA in float16; states
        come back in float32.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        n_layers: int = 1,
        *,
        cell: str = "gru",
        bidirectional: bool = False,
        dropout: float = 0.0,
        nonlinearity: str = "tanh",
        fused: bool = True,
        precision: str = "full",
    ) -> None:
        super().__init__()
        self.fused, self.precision, self.hidden_size = fused and precision == "full", precision, hidden_size
        self.output_size = hidden_size * (2 if bidirectional else 1)
        sizes = [input_size] + [self.output_size] * (n_layers - 1)
        options = {"nonlinearity": nonlinearity} if cell == "rnn" else {}

        def make_layers() -> nn.ModuleList:
            cells = (CELLS[cell](size, hidden_size, batch_first=True, dtype=torch.float32, **options) for size in sizes)
            return nn.ModuleList(cells)

        self.forward_layers = make_layers()
        self.backward_layers = make_layers() if bidirectional else None
        self.dropout = nn.Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.RNNBase):
                initialise_cell(layer)

    def forward(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        """States of the last layer, (batch, steps, output_size); `lengths` None means that all steps are valid."""
        return self._read(inputs, lengths)[0]

    def ends(self, inputs: Tensor) -> Tensor:
        """What the last layer remembers, (batch, output_size), of sequences that fill all steps.

        It is the state after the newest step, and that of the backward direction after the oldest.
        """
        return self._read(inputs, None)[1]

    def _read(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """States of the last layer, and those after the last step, padding included."""
        states = ends = inputs
        for i, layer in enumerate(self.forward_layers):
            if i > 0:
                states = self.dropout(states)
            outputs, end = self._run(layer, states)  # (batch, steps, hidden_size)
            ends = _hidden(end)
            if self.backward_layers is not None:
                backward, end = self._run(self.backward_layers[i], reverse_steps(states, lengths))
                outputs = torch.cat([outputs, reverse_steps(backward, lengths)], dim=2)
                ends = torch.cat([ends, _hidden(end)], dim=1)
            states = outputs
        return states, ends

    def runs_compiled(self, device: str) -> bool:
        """Whether cells compiled by numba take the place of torch's on a device such as "cpu" or "cuda:0"."""
        layer = self.forward_layers[0]
        assert isinstance(layer, nn.RNNBase)
        return self.fused and fused_cells.are_quicker(layer, torch.device(device).type)

    def runs_in_half(self, device: str) -> bool:
        """Whether cells compute in float16: torch's autocast runs cuDNN's so, whatever type it is asked for."""
        return self.precision == "bf16" and device.startswith("cuda")

    def _run(self, layer: nn.Module, inputs: Tensor, initial: State | None = None) -> tuple[Tensor, State]:
        """States after every step, and the last one as the cell holds it."""
        assert isinstance(layer, nn.RNNBase)
        if not self.fused or not fused_cells.is_usable(layer, inputs):
            return self._run_torch_cell(layer, inputs, initial)
        if isinstance(initial, tuple):
            initial = torch.cat(initial)  # (2, batch, hidden_size)
        states, end = fused_cells.recurrent_states(layer, inputs, None if initial is None else initial.transpose(0, 1))
        end = end.transpose(0, 1)  # (1 or 2, batch, hidden_size)
        return states, (end[:1], end[1:]) if len(end) == 2 else end

    def _run_torch_cell(self, layer: nn.RNNBase, *arguments: Any) -> tuple[Any, State]:
        """What torch's own cell gives for a tensor or a PackedSequence, in the precision asked for."""
        device = arguments[0].data.device
        if self.precision == "full" or not has_bf16(device):
            return layer(*arguments)
        with torch.autocast(device.type, torch.bfloat16):
            outputs, state = layer(*arguments)
        return outputs.float(), (state[0].float(), state[1].float()) if isinstance(state, tuple) else state.float()

    def last_states(self, inputs: Tensor, lengths: Tensor | None) -> list[State]:
        """Each forward layer's state after each sequence's own last step, as its cell holds it."""
        states, last = inputs, []
        for i, layer in enumerate(self.forward_layers):
            if i > 0:
                states = self.dropout(states)
            if isinstance(layer, nn.LSTM) and lengths is not None:
                packed = pack_padded_sequence(states, lengths.cpu(), batch_first=True, enforce_sorted=False)
                outputs, state = self._run_torch_cell(layer, packed)  # a cell that holds more than it puts out
                states = pad_packed_sequence(outputs, batch_first=True)[0]
            else:
                states, state = self._run(layer, states)
                state = state if lengths is None else last_step(states, lengths)[None]
            last.append(state)
        return last

    def advance(self, queries: Tensor, states: list[State]) -> Tensor:
        """One step of the forward layers for each query, all from the same states and none after another.

        Parameters
        ----------
        queries : Tensor of shape (batch, n_queries, input_size)
        states : list of State
            What :meth:`last_states` gave.

        Returns
        -------
        Tensor of shape (batch, n_queries, hidden_size)
        """
        batch, n_queries, _ = queries.shape
        steps = queries.flatten(0, 1)[:, None]  # (batch * n_queries, 1, input_size)
        for i, (layer, state) in enumerate(zip(self.forward_layers, states, strict=True)):
            if i > 0:
                steps = self.dropout(steps)
            steps, _ = self._run(layer, steps, _repeated(state, n_queries))
        return steps.view(batch, n_queries, -1)


def has_bf16(device: torch.device) -> bool:
    """Whether torch's cells run there under autocast to bfloat16, and not by emulation on a GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and cpu_has_bf16()


@functools.cache
def cpu_has_bf16() -> bool:
    """torch does not say so in public: its LSTM is tried, which fails without AVX512."""
    layer = nn.LSTM(1, 1, device="meta").to_empty(device="cpu")  # nothing is drawn
    try:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            layer(torch.zeros(1, 1, 1))
    except RuntimeError:
        return False
    return True


def _hidden(state: State) -> Tensor:
    """What a cell puts out of what it holds, (batch, hidden_size)."""
    return state[0][0] if isinstance(state, tuple) else state[0]


def _repeated(state: State, n_repeats: int) -> State:
    if isinstance(state, tuple):
        return state[0].repeat_interleave(n_repeats, dim=1), state[1].repeat_interleave(n_repeats, dim=1)
    return state.repeat_interleave(n_repeats, dim=1)


def reverse_steps(states: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sequence's valid steps in reverse order, its padding left in place."""
    if lengths is None:
        return states.flip(1)
    step = torch.arange(states.shape[1], device=states.device)
    source = lengths[:, None] - 1 - step  # (batch, steps)
    source = torch.where(source >= 0, source, step)
    return states.gather(1, source[:, :, None].expand(-1, -1, states.shape[2]))


@torch.no_grad()
def initialise_cell(cell: nn.RNNBase) -> None:
    """Orthogonal recurrent weights, Xavier input weights, gate by gate; an LSTM's forget gate starts open.

    Sources: Saxe et al. 2014 (orthogonal), Glorot and Bengio 2010 (Xavier), Jozefowicz et al. 2015 (forget bias).
    """
    weights = dict(cell.named_parameters())
    size = cell.hidden_size
    gates = zip(weights["weight_ih_l0"].split(size), weights["weight_hh_l0"].split(size), strict=True)
    for gate_input, gate_recurrent in gates:
        nn.init.xavier_uniform_(gate_input)
        nn.init.orthogonal_(gate_recurrent)
    nn.init.zeros_(weights["bias_ih_l0"])
    nn.init.zeros_(weights["bias_hh_l0"])
    if isinstance(cell, nn.LSTM):
        weights["bias_ih_l0"][size : 2 * size] = 1.0
