"""The network behind RNNRegressor and RNNClassifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_rnn.nets.inputs import InputEncoder, fold_segments
from sklearn_rnn.nets.pooling import Pooling, last_step, newest_steps
from sklearn_rnn.nets.products import steady_linear
from sklearn_rnn.nets.recurrent import RecurrentLayers

FARTHEST = 10.0  # deviations from the mean that a linear regression sees


class RecurrentNet(nn.Module):
    """Standardise, embed, fold segments, recur, pool, map to outputs.

    The net holds its own units: means and scales of inputs and outputs are buffers. `forward` gives raw outputs in
    standardised units, :meth:`unscale` turns them into the units of y. After training a linear regression may be
    blended in, see :meth:`blend`. The keyword arguments that made the net stand in `config`, plain values from which an
    equal net can be built.

    Parameters
    ----------
    n_channels, n_outputs : int
    cell, hidden_size, n_layers, bidirectional, dropout, nonlinearity, fused, precision
        See :class:`~sklearn_rnn.nets.recurrent.RecurrentLayers`.
    pooling : {"last", "mean", "max", "attention", "concat"}
    segment_size : int
        Steps folded into one input of the cell.
    per_step : bool
        One output a step instead of one a sequence.
    n_quantiles : int
        0, or the number of quantiles of each output: the lowest is an output of its own, each next one adds a positive
        increment, so that they never cross.
    log_link : bool
        Raw outputs are logarithms, as for a rate.
    anchor : int or None
        A channel whose last value is added to the outputs, its mean where it has none.
    input_mean, input_scale : sequence of float of length n_channels, default=None
        None does not standardise.
    output_mean, output_scale : sequence of float of length n_outputs, default=None
        None does not standardise.
    input_noise : float
        Standard deviation of the noise that standardised inputs get in training.
    missing, categories, embedding_size
        See :class:`~sklearn_rnn.nets.inputs.InputEncoder`.
    linear_steps : int
        Of how many of the newest steps a linear regression adds to the outputs.
    share : sequence of float of length n_outputs, default=None
        What it left to the cell, see :meth:`blend`; None is all. The weights have it already: it is but kept.
    dtype : torch.dtype, default=torch.float32
        Of all numbers. Weights are drawn in float32 first.
    """

    output_mean: Tensor
    output_rest: Tensor
    output_scale: Tensor
    linear_weight: Tensor
    linear_bias: Tensor

    def __init__(
        self,
        n_channels: int,
        n_outputs: int,
        *,
        cell: str = "gru",
        hidden_size: int = 64,
        n_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        nonlinearity: str = "tanh",
        fused: bool = True,
        precision: str = "full",
        pooling: str = "last",
        segment_size: int = 1,
        per_step: bool = False,
        n_quantiles: int = 0,
        log_link: bool = False,
        anchor: int | None = None,
        input_mean: Sequence[float] | None = None,
        input_scale: Sequence[float] | None = None,
        input_noise: float = 0.0,
        output_mean: Sequence[float] | None = None,
        output_scale: Sequence[float] | None = None,
        missing: Sequence[int] = (),
        categories: Mapping[int, Sequence[float]] | None = None,
        embedding_size: int | str = "auto",
        linear_steps: int = 0,
        share: Sequence[float] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        config = {name: value for name, value in locals().items() if name not in ("self", "__class__", "dtype")}
        super().__init__()
        self.config: dict[str, Any] = config
        self.n_outputs, self.n_quantiles = n_outputs, n_quantiles
        self.segment_size, self.per_step, self.anchor = segment_size, per_step, anchor
        self.log_link = log_link
        self.encoder = InputEncoder(
            input_mean or [0.0] * n_channels,
            input_scale or [1.0] * n_channels,
            missing=missing,
            categories=categories,
            embedding_size=embedding_size,
            noise=input_noise,
            dtype=dtype,
        )
        self.recurrent = RecurrentLayers(
            self.encoder.output_size * segment_size,
            hidden_size,
            n_layers,
            cell=cell,
            bidirectional=bidirectional,
            dropout=dropout,
            nonlinearity=nonlinearity,
            fused=fused,
            precision=precision,
        )
        self.pool = Pooling("last" if per_step else pooling, self.recurrent.output_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(self.pool.output_size, n_outputs * max(n_quantiles, 1), dtype=torch.float32)
        for name in ("output_mean", "output_rest", "output_scale"):
            self.register_buffer(name, torch.empty(n_outputs, dtype=dtype))
        self.linear_steps = linear_steps
        if linear_steps:
            weight = torch.empty(n_outputs, linear_steps * self.encoder.n_numbers, dtype=dtype)
            self._hold(weight, torch.empty(n_outputs, dtype=dtype))
        self.to(dtype)
        self.set_output_units(output_mean or [0.0] * n_outputs, output_scale or [1.0] * n_outputs)

    def forward(self, values: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Raw outputs of sequences that begin at step 0 and are padded behind their last step.

        Parameters
        ----------
        values : Tensor of shape (batch, steps, n_channels)
        lengths : Tensor of int64 of shape (batch,), default=None
            None where every sequence fills all steps.

        Returns
        -------
        Tensor of shape (batch, n_outputs), with steps behind the batch if `per_step`, with quantiles at the end if any
        """
        encoded = self.encoder(values)
        inputs, input_lengths = encoded, lengths
        if self.segment_size > 1:
            inputs, input_lengths = fold_segments(encoded, lengths, self.segment_size)
        if self.per_step:
            states = self.recurrent(inputs, input_lengths)  # (batch, steps, output_size)
        elif self.pool.kind == "last" and input_lengths is None:
            states = self.recurrent.ends(inputs)  # (batch, output_size), without gradients of all steps in backward
        else:
            states = self.pool(self.recurrent(inputs, input_lengths), input_lengths)
        raw = steady_linear(self.dropout(states), self.head.weight, self.head.bias)
        if self.linear_steps:
            newest = self.linear_inputs(encoded, lengths, n_steps=self.linear_steps)
            raw = raw + steady_linear(newest, self.linear_weight, self.linear_bias)
        if self.n_quantiles:
            raw = spread_quantiles(raw.unflatten(-1, (self.n_outputs, self.n_quantiles)))
        if self.anchor is not None:
            offset = self.anchor_offset(values, lengths)
            raw = raw + (offset[..., None] if self.n_quantiles else offset)
        return raw

    @property
    def width(self) -> int:
        """Numbers that it holds for each step of a sequence."""
        return self.encoder.output_size + self.recurrent.output_size

    def linear_inputs(self, encoded: Tensor, lengths: Tensor | None, *, n_steps: int) -> Tensor:
        """What a linear regression reads: the numbers of the newest steps, (batch, n_steps * n_numbers).

        Ahead of a shorter sequence stand zeros, the means. Outliers count as :data:`FARTHEST` deviations, for they
        would be most of a sum.

        Parameters
        ----------
        encoded : Tensor of shape (batch, steps, n_numbers or more)
            What the encoder gives.
        """
        numbers = encoded[:, :, : self.encoder.n_numbers]
        newest = newest_steps(numbers, lengths, n_steps)
        return newest.clamp(-FARTHEST, FARTHEST).flatten(1)

    def blend(self, weight: Tensor, bias: Tensor, share: Tensor) -> None:
        """Leave a share (n_outputs,) to the outputs so far, and give the rest to a linear regression's.

        Parameters
        ----------
        weight : Tensor of shape (n_outputs, n_steps * n_numbers)
            For what :meth:`linear_inputs` gives.
        bias : Tensor of shape (n_outputs,)
        share : Tensor of shape (n_outputs,)
        """
        self.linear_steps = weight.shape[1] // self.encoder.n_numbers
        self.config = {**self.config, "linear_steps": self.linear_steps, "share": share.tolist()}
        kept = share.to(self.head.weight)
        self.head.weight.data *= kept[:, None]
        self.head.bias.data *= kept
        self._hold(((1 - share[:, None]) * weight).to(self.head.weight), ((1 - share) * bias).to(self.head.weight))

    def _hold(self, weight: Tensor, bias: Tensor) -> None:
        """The linear regression's, which training leaves as they are."""
        self.register_buffer("linear_weight", weight.contiguous())  # as a file gives it back, for the same bits
        self.register_buffer("linear_bias", bias)

    def set_output_units(self, mean: Sequence[float], scale: Sequence[float]) -> None:
        """Change what outputs are counted from and in.

        The mean is kept in two numbers of the net's type, the second of which is what the first loses by rounding: a
        target may vary by little around a large mean.
        """
        exact, units = torch.tensor([mean, scale], dtype=torch.float64, device="cpu")
        nearest = exact.to(self.output_mean.dtype)
        self.output_mean.copy_(nearest)
        self.output_rest.copy_(exact - nearest)
        self.output_scale.copy_(units)

    def output_units(self) -> tuple[Tensor, Tensor]:
        """Mean and scale of the outputs, (n_outputs,) both, in float64 on the CPU."""
        mean, rest, scale = (units.cpu().double() for units in (self.output_mean, self.output_rest, self.output_scale))
        return mean + rest, scale

    def unscale(self, raw: Tensor) -> Tensor:
        """Raw outputs in the units of y, as float64 where the device has it."""
        dtype = torch.float32 if raw.device.type == "mps" else torch.float64
        mean, scale = self.output_mean.to(dtype) + self.output_rest.to(dtype), self.output_scale.to(dtype)
        if self.n_quantiles:
            mean, scale = mean[:, None], scale[:, None]
        raw = raw.to(dtype)
        return (raw.exp() if self.log_link else raw) * scale + mean

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Read weights of a net that kept a rounded mean, too."""
        mean = state_dict.get(prefix + "output_mean")
        if mean is not None:
            state_dict.setdefault(prefix + "output_rest", torch.zeros_like(mean))
        super()._load_from_state_dict(state_dict, prefix, *others)

    @property
    def before_anchor(self) -> Tensor:
        """What stands for the anchor ahead of its first value: the mean of the channel."""
        assert self.anchor is not None
        return self.encoder.mean[self.encoder.numeric.index(self.anchor)]

    def anchor_offset(self, values: Tensor, lengths: Tensor | None) -> Tensor:
        """What the anchor adds to the outputs, (batch, [steps,] n_outputs)."""
        channel = last_observed(values[:, :, self.anchor], self.before_anchor)  # (batch, steps)
        if not self.per_step:
            channel = last_step(channel, lengths)  # (batch,)
        return channel[..., None] / self.output_scale


def last_observed(channel: Tensor, before: Tensor) -> Tensor:
    """At each step the newest value so far that is not missing, `before` ahead of the first one, (batch, steps)."""
    step = torch.arange(channel.shape[1], device=channel.device)
    observed = torch.where(channel.isnan(), 0, step).cummax(dim=1).values
    newest = channel.gather(1, observed)
    return torch.where(newest.isnan(), before, newest)


def spread_quantiles(raw: Tensor) -> Tensor:
    """Quantiles that never cross: the first as it is, each next one larger by a softplus."""
    increments = nn.functional.softplus(raw[..., 1:])
    return torch.cat([raw[..., :1], raw[..., :1] + increments.cumsum(-1)], dim=-1)
