"""The network behind RNNForecaster: segments in, one recurrent state, all segments of the horizon out at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sklearn_rnn.nets.inputs import InputEncoder, chosen_channels, fold_segments
from sklearn_rnn.nets.network import last_observed, spread_quantiles
from sklearn_rnn.nets.pooling import last_step, newest_steps, valid_steps
from sklearn_rnn.nets.products import steady_linear
from sklearn_rnn.nets.recurrent import RecurrentLayers

NORMALIZATIONS = ("scaled", "last", "standard")
SMALLEST_DEVIATION = 1e-6  # of a window, in parts of its last value: one that varies by less counts as constant
FARTHEST = 20.0  # from a window's level, in its unit or in what its values usually are from it
SMALLEST_DISTANCE = 1e-6  # of a quantile from the median, in the window's unit
SPAN_EXPONENT = 2 / 3  # chosen on validation rows, see docs/figures/forecasts.rst
MOST_CHANGES = 256  # of past covariates that a linear forecast reads
MOST_APART = 128  # weights that a linear forecast of one step gives to covariates, for each target its own


class LinearForecast(NamedTuple):
    """Weights of a linear forecast of windows, in the form of `direct`, and of the net's features of covariates."""

    windows: Tensor
    known: Tensor  # (horizon, n_apart, n_features), see :meth:`ForecastNet.known_features`
    past: Tensor  # (horizon, n_apart, n_features), see :meth:`ForecastNet.past_changes`, or none at all


class ForecastNet(nn.Module):
    """Normalise each window, fold it into segments, recur, decode every future segment in parallel.

    The design is SegRNN's (Lin et al. 2023) with covariates: each segment of the window is mapped to the cell's size
    and read by the cell; from its last state, one further step for each segment of the horizon gives that segment.
    The input of that step is a sum of learned vectors of the segment's position and of the target, and of maps of the
    known covariates of the segment and of the static columns. No forecast is fed back. A linear map from the normalised
    targets of the window straight to the horizon is added; it begins at zero, and long horizons gain most by it. After
    training another linear forecast may be blended in, see :meth:`blend`, and `factors` may be set: the distances of
    quantiles from the median, counted in :func:`quantile_spans`, which count where the net is not training.

    Forecasts are counted from each window's own level, in its own unit, see :meth:`units`; :meth:`unscale` gives both
    back. So a series that is much smaller than the others of a panel is read, learned and forecast as they are.

    Columns of the input are in the order targets, past covariates, known covariates, static columns.

    Parameters
    ----------
    n_targets, horizon : int
    n_past, n_known, n_static : int
        Columns besides the targets.
    mean, scale : sequence of float of length n_targets + n_past + n_known + n_static
        Of the training rows.
    relative_scale, smallest_scale, zero_scale : sequence of float of length n_targets, default=None
        For series of unlike size: what the deviation of one usually is in parts of its values, the smallest deviation
        of any, and how large what follows a window of zeros is. None takes all for as large as `scale`.
    missing : sequence of int
        Columns with missing values in training.
    categories : mapping of int to sequence of float, default=None
        The codes of categorical columns, see :class:`~sklearn_rnn.nets.inputs.InputEncoder`.
    n_steps : int
        Steps of the longest window, from which the linear map leads.
    reads_changes : bool
        Whether the forecast that was blended in reads changes of past covariates, see :meth:`blend`.
    cell, hidden_size, n_layers, dropout, fused, precision
        See :class:`~sklearn_rnn.nets.recurrent.RecurrentLayers`.
    normalize : {"scaled", "last", "standard"} or None
        What is taken from each target's window and given back to its forecast: its last value and deviation, its last
        value, or its mean and deviation.
    segment_size : int
        Steps folded into one input of the cell, and decoded from one state.
    shared : bool
        Whether each target is a series of its own, read with the same weights, or all are read together.
    n_quantiles : int
        0, or the number of quantiles of each forecast, which never cross.
    median : int
        The position of the point forecast among the quantiles.
    dtype : torch.dtype, default=torch.float32
        Of all numbers. Weights are drawn in float32 first.
    """

    output_mean: Tensor
    output_scale: Tensor
    relative_scale: Tensor
    smallest_scale: Tensor
    zero_scale: Tensor
    share: Tensor
    known_weight: Tensor
    past_weight: Tensor
    factors: Tensor

    def __init__(
        self,
        n_targets: int,
        horizon: int,
        n_steps: int,
        *,
        mean: Sequence[float],
        scale: Sequence[float],
        relative_scale: Sequence[float] | None = None,
        smallest_scale: Sequence[float] | None = None,
        zero_scale: Sequence[float] | None = None,
        n_past: int = 0,
        n_known: int = 0,
        n_static: int = 0,
        missing: Sequence[int] = (),
        categories: Mapping[int, Sequence[float]] | None = None,
        reads_changes: bool = False,
        cell: str = "gru",
        hidden_size: int = 128,
        n_layers: int = 1,
        dropout: float = 0.0,
        fused: bool = True,
        precision: str = "full",
        normalize: str | None = "last",
        segment_size: int = 1,
        shared: bool = True,
        n_quantiles: int = 0,
        median: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        config = {name: value for name, value in locals().items() if name not in ("self", "__class__", "dtype")}
        super().__init__()
        self.config: dict[str, Any] = config
        self.n_targets, self.horizon, self.n_steps = n_targets, horizon, n_steps
        self.n_quantiles, self.median = n_quantiles, median
        self.normalize, self.segment_size = normalize, segment_size
        self.n_series = n_targets if shared else 1  # read apart
        self.n_together = 1 if shared else n_targets
        self.covariates = slice(n_targets, n_targets + n_past + n_known)
        self.known = slice(n_targets + n_past, self.covariates.stop)
        self.static = slice(self.covariates.stop, self.covariates.stop + n_static)
        self.mark_missing = any(column < n_targets for column in missing)
        self.may_lack_targets = self.mark_missing  # in training
        self.is_of_one_size = smallest_scale is None
        smallest = scale[:n_targets] if smallest_scale is None else smallest_scale
        self.register_buffer("output_mean", torch.tensor(mean[:n_targets], dtype=dtype))
        self.register_buffer("output_scale", torch.tensor(scale[:n_targets], dtype=dtype))
        self.register_buffer("relative_scale", torch.tensor(relative_scale or [0.0] * n_targets, dtype=dtype))
        self.register_buffer("smallest_scale", torch.tensor(smallest, dtype=dtype))
        self.register_buffer("zero_scale", torch.tensor(zero_scale or scale[:n_targets], dtype=dtype))

        def make_encoder(first: int, last: int) -> InputEncoder:
            return InputEncoder(
                mean[first:last],
                scale[first:last],
                missing=[column - first for column in missing if first <= column < last],
                categories={c - first: codes for c, codes in (categories or {}).items() if first <= c < last},
                dtype=dtype,
            )

        self.covariate_encoder = make_encoder(self.covariates.start, self.covariates.stop)
        self.known_encoder = make_encoder(self.known.start, self.known.stop)
        self.static_encoder = make_encoder(self.static.start, self.static.stop)
        self.past_columns = [n_targets + past for past in self.covariate_encoder.numeric if past < n_past]
        n_numbers = len(self.past_columns)  # rows and numbers of :meth:`past_changes`
        self.changes = min(segment_size, max(MOST_CHANGES // n_numbers, 1)) if n_numbers else 0, n_numbers
        decoded = min(segment_size, horizon)
        self.decoded_size, self.n_decoded = decoded, -(-horizon // decoded)
        target_size = segment_size * self.n_together * (1 + self.mark_missing)
        self.read_targets = nn.Linear(target_size, hidden_size, dtype=torch.float32)
        self.read_covariates = _map(segment_size * self.covariate_encoder.output_size, hidden_size)
        self.recurrent = RecurrentLayers(
            hidden_size, hidden_size, n_layers, cell=cell, dropout=dropout, fused=fused, precision=precision
        )
        self.position = nn.Parameter(0.1 * torch.randn(self.n_decoded, hidden_size, dtype=torch.float32))
        self.channel = nn.Parameter(0.1 * torch.randn(self.n_series, hidden_size, dtype=torch.float32))
        self.query_known = _map(decoded * self.known_encoder.output_size, hidden_size)
        self.query_static = _map(self.static_encoder.output_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        head_size = decoded * self.n_together * max(n_quantiles, 1)
        self.head = nn.Linear(hidden_size, head_size, dtype=torch.float32)
        self.direct = nn.Linear(n_steps * self.n_together, horizon * self.n_together, bias=False, dtype=torch.float32)
        nn.init.zeros_(self.direct.weight)
        self.register_buffer("share", torch.ones(horizon, dtype=dtype))
        n_features = 1 + 2 * self.known_encoder.output_size if n_known else 0
        n_changes = math.prod(self.changes)
        self.n_apart = n_targets if n_targets * (n_features + n_changes) <= MOST_APART else 1
        self.register_buffer("known_weight", torch.zeros(horizon, self.n_apart, n_features, dtype=dtype))
        n_read = n_changes if reads_changes else 0
        self.register_buffer("past_weight", torch.zeros(horizon, self.n_apart, n_read, dtype=dtype))
        self.register_buffer("factors", torch.full((horizon, n_targets, n_quantiles), torch.nan, dtype=dtype))
        self.to(dtype)

    @property
    def past_scale(self) -> Tensor:
        """Of the numeric past covariates."""
        return self.covariate_encoder.scale[: len(self.past_columns)]

    @property
    def width(self) -> int:
        """Numbers held for each step of a window."""
        return self.n_series * (self.n_together + self.recurrent.output_size) + self.covariate_encoder.output_size

    def forward(self, values: Tensor, lengths: Tensor | None, known: Tensor) -> Tensor:
        """Forecasts in the units of the windows.

        Parameters
        ----------
        values : Tensor of shape (batch, steps, n_columns)
            Windows that begin at step 0, oldest row first.
        lengths : Tensor of int64 of shape (batch,) or None
            None where every window fills all steps.
        known : Tensor of shape (batch, horizon, n_known)
            Known covariates of the rows after each window.

        Returns
        -------
        Tensor of shape (batch, horizon * n_targets), with quantiles at the end if any
        """
        normalised = self._normalise(values, lengths)
        states = self._read(normalised, values, lengths)
        encoded = self.known_encoder(known)  # (batch, horizon, features)
        queries = self._queries(values, encoded)  # (batch * n_series, n_decoded, hidden_size)
        states_ahead = self.dropout(self.recurrent.advance(queries, states))
        decoded = steady_linear(states_ahead, self.head.weight, self.head.bias)
        raw = self._arrange(decoded)  # (batch, horizon, n_targets[, n_quantiles])
        if self.n_quantiles:
            raw = spread_quantiles(raw)
        linear = LinearForecast(self.direct.weight, self.known_weight, self.past_weight)
        straight = self._linear(linear, normalised, values, lengths, encoded)  # (batch, horizon, n_targets)
        straight = self._others_share(raw) + straight
        forecasts = raw + (straight[..., None] if self.n_quantiles else straight)
        if self.n_quantiles and not self.training:
            forecasts = self._calibrated(forecasts, _deviation_of_newer_half(normalised, lengths))
        return forecasts.flatten(1, 2)

    def point_forecast(self, values: Tensor, lengths: Tensor | None, known: Tensor) -> Tensor:
        """Forecasts, or their medians, in the units of the windows, (batch, horizon * n_targets)."""
        return self.point(self(values, lengths, known))

    def point(self, forecasts: Any) -> Any:
        """The forecasts, a Tensor or an array, or their medians where they are quantiles: those are the last axis."""
        return forecasts[..., self.median] if self.n_quantiles else forecasts

    def linear_forecast(self, weights: LinearForecast, values: Tensor, lengths: Tensor | None, known: Tensor) -> Tensor:
        """What linear maps forecast alone, (batch, horizon * n_targets)."""
        normalised, encoded = self._normalise(values, lengths), self.known_encoder(known)
        return self._linear(weights, normalised, values, lengths, encoded).flatten(1, 2)

    def normalised_pairs(self, values: Tensor, lengths: Tensor | None, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Each target's window in its own unit and what follows it: (batch * n_targets, n_steps) and (..., horizon).

        A window that is shorter than `n_steps` has zeros in front, and the value before stands for a missing one. What
        follows is as :meth:`usual_targets` says.
        """
        following = self.usual_targets(values, lengths, targets).unflatten(1, (self.horizon, self.n_targets))
        windows = self._newest(self._normalise(values, lengths), lengths).transpose(1, 2)  # (batch, n_targets, n_steps)
        return windows.flatten(0, 1), following.transpose(1, 2).flatten(0, 1)

    def known_features(self, values: Tensor, lengths: Tensor | None, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """What a linear forecast reads besides the targets.

        Parameters
        ----------
        values, lengths
            The windows.
        encoded : Tensor of shape (batch, horizon, n_encoded)
            The known covariates of the rows after each window, as :attr:`known_encoder` gives them.

        Returns
        -------
        of_window : Tensor of shape (batch, 1 + n_encoded)
            One, and the known covariates of the last row. Of no size without known covariates, as the other.
        of_steps : Tensor of shape (batch, horizon, n_encoded)
        """
        if not self.known_weight.shape[2]:
            return encoded.new_empty(len(encoded), 0), encoded
        last = self.known_encoder(last_step(values[:, :, self.known], lengths)[:, None])[:, 0]
        return torch.cat([torch.ones_like(last[:, :1]), last], dim=1), encoded

    def past_changes(self, values: Tensor, lengths: Tensor | None) -> Tensor:
        """Changes of the numeric past covariates from row to row, in their units, (batch, n_rows * n_numbers).

        They are those of the newest segment, of fewer rows where these make more than :data:`MOST_CHANGES` numbers.
        Changes from and to a missing value, and ahead of a window, are zero. Levels would lead a linear forecast astray
        where they drift.
        """
        n_rows, n_numbers = self.changes
        if not n_numbers:
            return values.new_empty(len(values), 0)
        past = chosen_channels(values, self.past_columns)
        changes = (past.diff(dim=1, prepend=past[:, :1]) / self.past_scale).nan_to_num(0.0)
        return newest_steps(changes, lengths, n_rows).clamp(-FARTHEST, FARTHEST).flatten(1)

    def usual_targets(self, values: Tensor, lengths: Tensor | None, targets: Tensor) -> Tensor:
        """Targets (batch, horizon * n_targets), NaN out of reach and where the window holds a value out of reach.

        They would decide a squared error alone.
        """
        distances = self._distances(values, lengths)
        reach = self._reach(distances, lengths, learning=True)
        following = targets.unflatten(1, (self.horizon, self.n_targets))
        far = _present(distances, lengths) & (distances.abs() > reach)
        unusual = (following.abs() > reach) | far.any(dim=1, keepdim=True)
        return following.masked_fill(unusual, torch.nan).flatten(1)

    def direct_weight(self, each: Tensor) -> Tensor:
        """Weights in the form of `direct`: every target's own window times `each`, (horizon, newest steps)."""
        padded = nn.functional.pad(each * self.n_steps**0.5, (self.n_steps - each.shape[1], 0)).flatten()
        padded = padded.view(-1, self.n_steps)  # kron refuses the strides of a window of one step
        return torch.kron(padded, torch.eye(self.n_together, dtype=each.dtype))

    def blend(self, weights: LinearForecast, share: Tensor) -> None:
        """Leave a share (horizon,) to the forecast so far, and give the rest to :meth:`linear_forecast`'s.

        The distances of quantiles from the point forecast stay.
        """
        share = share.to(self.share)
        self.share *= share
        rows = share.repeat_interleave(self.n_together)[:, None]
        self.direct.weight.data = self.direct.weight.data.lerp(weights.windows.to(self.direct.weight), 1 - rows)
        of_net = share[:, None, None]
        self.known_weight.lerp_(weights.known.to(self.known_weight), 1 - of_net)
        self.past_weight *= of_net
        if weights.past.shape[2]:
            ours = (1 - of_net) * weights.past.to(self.share)
            self.past_weight = self.past_weight + ours if self.past_weight.shape[2] else ours
            self.config = {**self.config, "reads_changes": True}

    def recent_deviation(self, values: Tensor, lengths: Tensor | None) -> Tensor:
        """The standard deviation of each target in the newer half of its window, (batch, 1, n_targets), in its unit."""
        return _deviation_of_newer_half(self._normalise(values, lengths), lengths)

    def _calibrated(self, forecasts: Tensor, deviation: Tensor) -> Tensor:
        """Quantiles (batch, horizon, n_targets, n_quantiles) at the distances from the median that `factors` give."""
        median = forecasts[..., self.median, None]
        moved = median + self.factors * quantile_spans(forecasts, self.median, deviation)
        return torch.where(self.factors.isnan(), forecasts, moved).sort(dim=-1).values

    def _others_share(self, raw: Tensor) -> Tensor:
        """What is taken from the decoded point forecasts for another forecast, (batch, horizon, n_targets)."""
        return self.point(raw) * (self.share - 1)[:, None]

    def unscale(self, raw: Tensor, level: Tensor, unit: Tensor) -> Tensor:
        """Forecasts in the units of the targets, (batch, horizon, n_targets[, n_quantiles]), float64 if it can be.

        Parameters
        ----------
        raw : Tensor of shape (batch, horizon * n_targets[, n_quantiles])
            What the net gave for the windows.
        level, unit : Tensor of shape (batch, 1, n_targets)
            Those of the windows.
        """
        dtype = torch.float32 if raw.device.type == "mps" else torch.float64
        if self.n_quantiles:
            level, unit = level[..., None], unit[..., None]
        return raw.unflatten(1, (self.horizon, self.n_targets)).to(dtype) * unit.to(dtype) + level.to(dtype)

    def units(self, values: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """What each target is counted from and in, as `normalize` says, (batch, 1, n_targets) both.

        Steps that are missing do not count; with no other the level is NaN. A constant window tells no deviation, nor
        does a single step: there the unit is what series of that level usually have.
        """
        targets = values[:, :, : self.n_targets]
        mean, scale = (buffer.expand_as(targets[:, :1]) for buffer in (self.output_mean, self.output_scale))
        if self.normalize is None:
            return mean, scale
        present = _present(targets, lengths)
        last = _last_value(targets, present)
        if self.normalize == "last":
            return last, scale
        # Moments of the distances from the last value: those of the values would lose a small series' digits.
        distance, deviation = _mean_and_deviation((targets - last) / scale, present)
        constant = deviation <= SMALLEST_DEVIATION * (last / scale).abs()
        unit = torch.where(constant, self._usual_unit(last), deviation * scale)
        return last if self.normalize == "scaled" else last + distance * scale, unit

    def _usual_unit(self, level: Tensor) -> Tensor:
        """The deviation of a series by its level alone, (batch, 1, n_targets); of 0 what came after it tells."""
        relative = (level.abs() * self.relative_scale).clamp(self.smallest_scale, self.output_scale)
        return torch.where(level == 0, self.zero_scale, relative)

    def _normalise(self, values: Tensor, lengths: Tensor | None) -> Tensor:
        """The distances of targets from the level of their windows, (batch, steps, n_targets), none out of reach."""
        distances = self._distances(values, lengths)
        reach = self._reach(distances, lengths, learning=self.training)
        return distances.clamp(-reach, reach)

    def _distances(self, values: Tensor, lengths: Tensor | None) -> Tensor:
        """The targets of windows less their level over their unit, (batch, steps, n_targets)."""
        level, unit = self.units(values, lengths)
        return (values[:, :, : self.n_targets] - level) / unit

    def _reach(self, distances: Tensor, lengths: Tensor | None, *, learning: bool) -> Tensor:
        """How far from its level the values of a window count, (batch, 1, n_targets).

        It grows with what they usually are, so that a series that is larger than those of training keeps its shape,
        but hardly with an outlier, which a mean of fourth roots does not see. A net of one size learns from its own.
        """
        if learning and self.is_of_one_size:
            return distances.new_full((1, 1, self.n_targets), FARTHEST)
        present = _present(distances, lengths)
        roots = torch.where(present, distances.abs().sqrt().sqrt(), 0.0).sum(dim=1, keepdim=True)
        usual = (roots / present.sum(dim=1, keepdim=True).clamp(min=1)).square().square()
        return FARTHEST * usual.clamp(min=1.0)

    def _read(self, targets: Tensor, values: Tensor, lengths: Tensor | None) -> list:
        """The cell's state after each window: normalised targets (batch, steps, n_targets) and covariates in."""
        inputs = [torch.nan_to_num(targets, nan=0.0)]
        if self.mark_missing:
            inputs.append(targets.isnan().to(targets.dtype))
        features = torch.cat([self._apart(part) for part in inputs], dim=2)
        segments, segment_lengths = fold_segments(features, self._for_each_series(lengths), self.segment_size)
        mapped = self.read_targets(segments)  # (batch * n_series, n_segments, hidden_size)
        if self.read_covariates is not None:
            covariates = self.covariate_encoder(values[:, :, self.covariates])
            folded, _ = fold_segments(covariates, lengths, self.segment_size)
            mapped = mapped + self.read_covariates(folded).repeat_interleave(self.n_series, dim=0)
        return self.recurrent.last_states(mapped.relu(), segment_lengths)

    def _linear(
        self, weights: LinearForecast, normalised: Tensor, values: Tensor, lengths: Tensor | None, encoded: Tensor
    ) -> Tensor:
        """What linear maps say of normalised targets and of covariates, (batch, horizon, n_targets)."""
        straight = self._straight(weights.windows, normalised, lengths)
        if weights.past.shape[2]:
            by_past = steady_linear(self.past_changes(values, lengths), weights.past.flatten(0, 1))
            straight = straight + by_past.unflatten(1, (self.horizon, self.n_apart))
        if not weights.known.shape[2]:
            return straight
        of_window, of_steps = self.known_features(values, lengths, encoded)
        features = torch.cat([of_window[:, None].expand(-1, self.horizon, -1), of_steps], dim=2)
        return straight + (features[:, :, None] * weights.known).sum(dim=3)

    def _straight(self, weight: Tensor, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """What a linear map says of the normalised targets of a window, (batch, horizon, n_targets).

        Adam moves each weight by about the learning rate, so the sum over a long window would swing: it is scaled down.
        """
        windows = self._apart(self._newest(targets, lengths)).flatten(1)
        steps = steady_linear(windows, weight) * self.n_steps**-0.5
        return steps.reshape(-1, self.n_series, self.horizon, self.n_together).transpose(1, 2).flatten(2, 3)

    def _newest(self, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """The newest `n_steps` normalised targets, (batch, n_steps, n_targets), for missing ones those before them."""
        if self.may_lack_targets or not self.training:  # a net that learns from whole windows is spared the search
            each = targets.transpose(1, 2).flatten(0, 1)  # (batch * n_targets, steps)
            filled = last_observed(each, targets.new_zeros(()))
            targets = filled.unflatten(0, (-1, self.n_targets)).transpose(1, 2)
        return newest_steps(targets, lengths, self.n_steps)

    def _apart(self, targets: Tensor) -> Tensor:
        """Series that are read apart stand in the batch: (batch * n_series, steps, n_together)."""
        return targets.unflatten(2, (self.n_series, self.n_together)).transpose(1, 2).flatten(0, 1)

    def _for_each_series(self, lengths: Tensor | None) -> Tensor | None:
        return None if lengths is None else lengths.repeat_interleave(self.n_series)

    def _queries(self, values: Tensor, encoded: Tensor) -> Tensor:
        """The inputs of the decoding steps, (batch * n_series, n_decoded, hidden_size)."""
        query = self.channel[:, None] + self.position  # (n_series, n_decoded, hidden_size)
        query = query.expand(len(values), -1, -1, -1)
        if self.query_known is not None:
            padded = nn.functional.pad(encoded, (0, 0, 0, self.n_decoded * self.decoded_size - self.horizon))
            segments = padded.reshape(len(values), self.n_decoded, -1)
            query = query + self.query_known(segments)[:, None]
        if self.query_static is not None:
            first = self.static_encoder(values[:, :1, self.static])  # (batch, 1, features): the same in every row
            query = query + self.query_static(first)[:, :, None]
        return query.flatten(0, 1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Read weights of a net of old, too, which knew no `zero_scale` and no covariates in its linear forecast."""
        state_dict.setdefault(prefix + "known_weight", torch.zeros_like(self.known_weight, device="cpu"))
        state_dict.setdefault(prefix + "past_weight", torch.zeros_like(self.past_weight, device="cpu"))
        state_dict.setdefault(prefix + "zero_scale", state_dict[prefix + "output_scale"])
        super()._load_from_state_dict(state_dict, prefix, *others)

    def _arrange(self, decoded: Tensor) -> Tensor:
        """Decoded segments (batch * n_series, n_decoded, ...) as (batch, horizon, n_targets[, n_quantiles])."""
        quantiles = max(self.n_quantiles, 1)
        shape = (-1, self.n_series, self.n_decoded * self.decoded_size, self.n_together, quantiles)
        steps = decoded.reshape(shape).transpose(1, 2)[:, : self.horizon]  # (batch, horizon, n_series, n_together, ...)
        raw = steps.flatten(2, 3)
        return raw if self.n_quantiles else raw[..., 0]


def quantile_spans(forecasts: Tensor, median: int, deviation: Tensor) -> Tensor:
    """What residuals of each quantile are counted in.

    It is a power of the product of two answers to how far they may go. One is the distance that the net put between the
    quantile and the median, which knows the hour and the covariates; the other is the deviation of the window's newer
    half, which follows a series that becomes calmer or wilder than in training.

    Parameters
    ----------
    forecasts : Tensor of shape (batch, horizon, n_targets, n_quantiles)
    median : int
        Its position among the quantiles.
    deviation : Tensor of shape (batch, 1, n_targets)
        Of the newer halves, in the windows' units, as the forecasts are.

    Returns
    -------
    Tensor of the shape of `forecasts`
        Never 0.
    """
    distance = (forecasts - forecasts[..., median, None]).abs().clamp(min=SMALLEST_DISTANCE)
    return (distance * deviation[..., None]) ** SPAN_EXPONENT


def _present(targets: Tensor, lengths: Tensor | None) -> Tensor:
    """Where a window has a value, (batch, steps, n_targets)."""
    return valid_steps(targets, lengths)[:, :, None] & ~targets.isnan()


def _mean_and_deviation(targets: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    """Of the values of each target that are present, (batch, 1, n_targets)."""
    count = present.sum(dim=1, keepdim=True).clamp(min=1)
    mean = torch.where(present, targets, 0.0).sum(dim=1, keepdim=True) / count
    variance = torch.where(present, targets - mean, 0.0).square().sum(dim=1, keepdim=True) / count
    return mean, variance.sqrt()


def _deviation_of_newer_half(targets: Tensor, lengths: Tensor | None) -> Tensor:
    """Of normalised windows, (batch, 1, n_targets); 1 where it is constant or a single step, which tells nothing."""
    step = torch.arange(targets.shape[1], device=targets.device)
    newer = step >= targets.shape[1] // 2 if lengths is None else step >= lengths[:, None] // 2
    deviation = _mean_and_deviation(targets, _present(targets, lengths) & newer[..., None])[1]
    return torch.where(deviation < SMALLEST_DEVIATION, 1.0, deviation)


def _last_value(targets: Tensor, present: Tensor) -> Tensor:
    """The last value of each target that is present, (batch, 1, n_targets), NaN where none is."""
    step = torch.arange(1, targets.shape[1] + 1, device=targets.device)[:, None]
    last = (present * step).amax(dim=1, keepdim=True) - 1  # -1 where all are missing, the first step among them
    return targets.gather(1, last.clamp(min=0))


def _map(n_inputs: int, n_outputs: int) -> nn.Linear | None:
    """A linear map, or None where there is nothing to map."""
    return nn.Linear(n_inputs, n_outputs, bias=False, dtype=torch.float32) if n_inputs else None
