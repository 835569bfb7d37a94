"""From the states of all steps to one vector a sequence, padding left out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sklearn_rnn.nets.products import steady_linear

POOLINGS = ("last", "mean", "max", "attention", "concat")
CONCATENATED = ("last", "mean", "max")  # by "concat"; the last state leads


class Pooling(nn.Module):
    """Reduce states (batch, steps, size) to (batch, output_size) over the valid steps.

    Parameters
    ----------
    kind : {"last", "mean", "max", "attention", "concat"}
        "last" takes the state after the newest step, and for the backward half of a bidirectional net the state after
        the oldest one. "attention" is a weighted mean with learned weights that start equal. "concat" puts the first
        three beside each other (Howard and Ruder 2018).
    size : int
        Number of features of a state.
    n_forward : int
        How many of them belong to the forward direction.
    """

    def __init__(self, kind: str, size: int, n_forward: int) -> None:
        super().__init__()
        self.kind = kind
        self.n_forward = n_forward
        self.output_size = size * (len(CONCATENATED) if kind == "concat" else 1)
        if kind == "attention":
            self.score = nn.Linear(size, 1, dtype=torch.float32)
            nn.init.zeros_(self.score.weight)
            nn.init.zeros_(self.score.bias)

    def forward(self, states: Tensor, lengths: Tensor | None) -> Tensor:
        if self.kind == "last":
            return self._ends(states, lengths)
        valid = valid_steps(states, lengths)[:, :, None]  # (batch, steps, 1)
        if self.kind == "concat":
            others = [self._over_steps(kind, states, valid) for kind in CONCATENATED[1:]]
            return torch.cat([self._ends(states, lengths), *others], dim=1)
        return self._over_steps(self.kind, states, valid)

    def _ends(self, states: Tensor, lengths: Tensor | None) -> Tensor:
        newest = last_step(states, lengths)
        if self.n_forward == states.shape[2]:
            return newest
        return torch.cat([newest[:, : self.n_forward], states[:, 0, self.n_forward :]], dim=1)

    def _over_steps(self, kind: str, states: Tensor, valid: Tensor) -> Tensor:
        if kind == "max":
            return states.masked_fill(~valid, -torch.inf).amax(dim=1)
        if kind == "mean":
            return (states * valid).sum(dim=1) / valid.sum(dim=1)
        scores = steady_linear(states, self.score.weight, self.score.bias)
        weights = scores.masked_fill(~valid, -torch.inf).softmax(dim=1)  # (batch, steps, 1)
        return (states * weights).sum(dim=1)


def last_step(states: Tensor, lengths: Tensor | None) -> Tensor:
    """The entry of each sequence's own last step, (batch, size)."""
    if lengths is None:
        return states[:, -1]
    return states[torch.arange(len(states), device=states.device), lengths - 1]


def newest_steps(states: Tensor, lengths: Tensor | None, n_steps: int) -> Tensor:
    """Each sequence's own last `n_steps`, (batch, n_steps, size); ahead of a shorter one stand zeros."""
    longest = states.shape[1]
    if lengths is None and n_steps <= longest:
        return states[:, -n_steps:]
    ends = torch.full((len(states),), longest, device=states.device) if lengths is None else lengths
    step = ends[:, None] + torch.arange(-n_steps, 0, device=states.device)
    newest = states.gather(1, step.clamp(min=0)[:, :, None].expand(-1, -1, states.shape[2]))
    return newest.masked_fill(step[:, :, None] < 0, 0.0)


def valid_steps(states: Tensor, lengths: Tensor | None) -> Tensor:
    """True where a step belongs to the sequence, (batch, steps)."""
    if lengths is None:
        return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
    return torch.arange(states.shape[1], device=states.device) < lengths[:, None]
