"""A ridge regression beside the forecaster's net, and how much of each the windows that were left out ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_rnn._batches import batches_of_bounded_size
from sklearn_rnn._blend import SHARES
from sklearn_rnn._device import torch_threads
from sklearn_rnn._forecast_data import ForecastDataset
from sklearn_rnn.nets import ForecastNet
from sklearn_rnn.nets.forecast import LinearForecast

# In units of the mean square of a window's normalised values; of equals the largest is chosen.
PENALTIES = (0.3, 0.1, 0.03, 0.01, 0.001, 1e-4, 1e-5)
RISE = 0.1  # of the error, behind which no smaller penalty is looked for
PAST_PENALTIES = (100.0, 10.0, 1.0, 0.1, 0.01)  # of changes of past covariates, in units of the one chosen
LEAST_GAIN = 0.5  # in the error on what was left out, over the root of how much that is, for which they are read
N_PARTS = 3  # of a cross-validation
FEWEST_TO_TRY = 300  # windows: the shares that parts of fewer tell are worse than the usual one, as a rule
USUAL_SHARE = 1 / 3  # of the net, where nothing is left out to choose by
AGE_EXPONENT = 1.5
SAME_PLACE = 0.1  # part of the penalty of the steps at the place that is forecast
FAR_FROM_MEDIAN = 0.1  # of the share of values below a forecast from a half
FAR_BETTER = 0.1  # the net's squared error on training rows, as a part of the regression's, at which parts are tried
LONGEST = 1_024  # steps of a window that the regression reads
LARGEST = 50_000  # series that it is fitted to, windows times targets


class Penalty(NamedTuple):
    """Of the regressions' weights."""

    own: float
    past: float = math.inf  # of past covariates, as a multiple of it

    @property
    def reads_past(self) -> bool:
        return math.isfinite(self.past)


class Weights(NamedTuple):
    """Of the regressions for each step of the horizon."""

    inputs: Tensor  # (n_inputs, horizon), of fewer inputs where no past covariates are read
    known: Tensor  # (horizon, n_known)


@dataclass
class Moments:
    """Means of products of what the regressions read and of what follows.

    Parameters
    ----------
    windows : Tensor of shape (n_inputs, n_inputs)
        Of normalised windows, behind them what :meth:`ForecastNet.known_features` says of each window, and behind that
        :meth:`ForecastNet.past_changes`, both for the regressions of each target, see :func:`_for_targets`.
    following : Tensor of shape (n_inputs, horizon)
        Over the targets that are there.
    squares : Tensor of shape (horizon,)
        Of what follows alone.
    known : Tensor of shape (horizon, n_known, n_known)
        Of what is known of each step of the horizon.
    crossed : Tensor of shape (horizon, n_inputs, n_known)
    known_following : Tensor of shape (horizon, n_known)
    n_steps : int
        Of a window.
    changes : tuple of two int
        From how many rows the changes of past covariates are, and how many from each.
    n_series : int
        Windows, each target's counted for itself.
    """

    windows: Tensor
    following: Tensor
    squares: Tensor
    known: Tensor
    crossed: Tensor
    known_following: Tensor
    n_steps: int
    changes: tuple[int, int]
    n_series: int

    @property
    def n_past(self) -> int:
        """How many inputs are changes of past covariates."""
        return math.prod(self.changes)

    def without_past(self) -> Moments:
        n = len(self.windows) - self.n_past
        return replace(
            self,
            windows=self.windows[:n, :n],
            following=self.following[:n],
            crossed=self.crossed[:, :n],
            changes=(0, 0),
        )

    def error(self, weights: Weights) -> float:
        """The squared error, summed over the horizon."""
        inputs, known = weights
        read = self if len(inputs) == len(self.windows) else self.without_past()
        of_inputs = (read.windows @ inputs - 2 * read.following) * inputs
        by_known = (self.known @ known[:, :, None])[:, :, 0] - 2 * self.known_following
        crossed = (read.crossed * inputs.T[:, :, None]).sum(dim=1)
        return float(self.squares.sum() + of_inputs.sum() + ((by_known + 2 * crossed) * known).sum())


class Trial(NamedTuple):
    """A net, the windows that it learned from, and some that it did not."""

    net: ForecastNet
    learned: ForecastDataset
    left_out: ForecastDataset


class Rivals(NamedTuple):
    """A net and a ridge regression, and windows to compare them by: such that neither learned from, if there are."""

    net: ForecastNet
    ridge: LinearForecast
    data: ForecastDataset


def folds(data: ForecastDataset, apart: int = 1) -> list[tuple[ForecastDataset, ForecastDataset]]:
    """The windows in three parts by time, each behind the others that are so many rows and more from it.

    All series of a panel are cut at the same times, for what moves them together would be known from the others; but by
    rows where one of the parts takes up all times.
    """

    def cut(ends: NDArray, later: NDArray) -> list[tuple[NDArray, NDArray]]:
        parts = np.array_split(ends.argsort(kind="stable"), min(N_PARTS, len(data)))
        return [(np.flatnonzero((later <= ends[part].min()) | (ends >= later[part].max())), part) for part in parts]

    pairs = cut(data.ends_in_time(), data.ends_in_time(apart))
    if not all(len(other) for other, _ in pairs):
        rows = data.ends.numpy()
        pairs = cut(rows, rows + apart)
    return [(data.take(torch.from_numpy(other)), data.take(torch.from_numpy(part))) for other, part in pairs]


def is_worth_trials(data: ForecastDataset, fewest: int = FEWEST_TO_TRY) -> bool:
    """Whether parts of the windows tell the net's share, and there is enough to learn from beside each of them."""
    n_times = len(np.unique(data.ends_in_time()))
    return len(data) >= fewest and n_times >= 2 * N_PARTS * data.horizon


@torch.no_grad()
def blend(
    net: ForecastNet,
    data: ForecastDataset,
    trials: Sequence[Trial],
    *,
    try_parts: Callable[[], Sequence[Trial]] | None = None,
) -> None:
    """Give the net, segment by segment of the horizon, the share of its forecast that fits what was left out best.

    The rest is the forecast of a ridge regression on the target's own window, on what is known in advance, now and
    then, and on the newest changes of past covariates where these lead the target, see :func:`best_penalty`: few
    weights, which do not overfit where the horizon is long, or the rows are few, and the net does. Each step of the
    horizon has its own regression, see :func:`solve`. The shares are those of least squares between 0 and 1 (Breiman
    1996, Stacked regressions). Without trials the net has a third, for fixed shares are hard to beat by any that few
    rows tell (Timmermann 2006), and less only where the rows that it learned from, which flatter it, ask for less.

    With quantiles they are those of the least absolute error, for a regression forecasts a mean, from which the median
    of skewed targets is far. Without trials the net is left alone where that is so.

    Parameters
    ----------
    data : ForecastDataset
        What the net learned from.
    trials : sequence of Trial
        That of the net itself, with windows held out, or those of nets that learned from :func:`folds` of `data`.
    try_parts : callable, default=None
        Trains such nets. It is called where there are no trials and the net seems to know all, see :func:`knows_more`.
    """
    whole = _moments(net, data)
    ridge, rivals = _rivals(net, data, whole, trials)
    if not trials and try_parts is not None and is_worth_trials(data, fewest=0) and knows_more(net, ridge, data):
        with torch.enable_grad():
            trials = try_parts()
        if trials:
            ridge, rivals = _rivals(net, data, whole, trials)
    if not trials and not is_near_median(net, ridge, data):
        return
    share = share_of_median(rivals) if net.n_quantiles else share_of_net(rivals)
    net.blend(ridge, share.clamp(max=1.0 if trials else USUAL_SHARE))


def _rivals(
    net: ForecastNet, data: ForecastDataset, whole: Moments, trials: Sequence[Trial]
) -> tuple[LinearForecast, list[Rivals]]:
    """The regression for the net, and what tells the net's share: its own rows of training where nothing is left out.

    `whole` are the moments of `data`.
    """
    pairs = [(trial.learned, trial.left_out) for trial in trials] or folds(data)
    moments = [
        (whole if learned is data else _moments(net, learned), _moments(net, left_out)) for learned, left_out in pairs
    ]
    penalty = best_penalty(moments, net.segment_size)
    ridge = ridge_forecast(net, whole, penalty)
    if not trials:
        return ridge, [Rivals(net, ridge, data)]
    return ridge, [
        Rivals(trial.net, ridge if learned is whole else ridge_forecast(net, learned, penalty), trial.left_out)
        for trial, (learned, _) in zip(trials, moments, strict=True)
    ]


def ridge_forecast(net: ForecastNet, moments: Moments, penalty: Penalty) -> LinearForecast:
    return as_forecast(net, solve(moments, penalty, net.segment_size), moments.n_steps)


def as_forecast(net: ForecastNet, weights: Weights, n_steps: int) -> LinearForecast:
    """The regressions, which read so many steps of a window, in the net's own form."""
    of_window, others = weights.inputs.T.tensor_split([n_steps], dim=1)
    last, past = others.tensor_split([net.n_apart * (net.known_weight.shape[2] - net.known_encoder.output_size)], dim=1)
    known, past = (
        each.unflatten(1, (-1, net.n_apart)).transpose(1, 2) for each in (torch.cat([last, weights.known], dim=1), past)
    )
    return LinearForecast(*(each.to(net.output_scale) for each in (net.direct_weight(of_window), known, past)))


def _for_targets(net: ForecastNet, features: Tensor) -> Tensor:
    """Features (batch, ..., n_features) for each target, (batch * n_targets, ..., n_features * n_apart).

    Where targets have weights of their own, each feature is there once for each of them, 0 but for one.
    """
    own = torch.eye(net.n_targets, dtype=features.dtype, device=features.device)
    own = own if net.n_apart > 1 else own.sum(dim=1, keepdim=True)
    return torch.einsum("b...f,ta->bt...fa", features, own).flatten(-2).flatten(0, 1)


def _moments(net: ForecastNet, data: ForecastDataset) -> Moments:
    n_steps, n_known = min(net.n_steps, LONGEST), net.n_apart * net.known_encoder.output_size
    n_rows, n_numbers = net.changes
    n_inputs = n_steps + net.n_apart * (net.known_weight.shape[2] + n_rows * n_numbers) - n_known

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64)

    windows, following = zeros(n_inputs, n_inputs), zeros(n_inputs, net.horizon)
    of_known, known_following = zeros(net.horizon, n_known, n_known), zeros(net.horizon, n_known)
    crossed = zeros(net.horizon, n_inputs, n_known)
    squares, counts = zeros(2, net.horizon)
    n_series = 0  # with anything to follow
    chosen = data.thinned(max(LARGEST // net.n_targets, 1))
    for (values, lengths, known), (targets, _) in batches_of_bounded_size(chosen, net.width):
        of_target, outputs = net.normalised_pairs(values, lengths, targets)
        of_window, steps = net.known_features(values, lengths, net.known_encoder(known))
        some = ~outputs.isnan().all(dim=1)
        of_covariates = [_for_targets(net, part) for part in (of_window, net.past_changes(values, lengths))]
        inputs = torch.cat([of_target[:, -n_steps:], *of_covariates], dim=1)[some]
        outputs, steps = outputs[some], _for_targets(net, steps)[some]
        present, outputs = ~outputs.isnan(), outputs.nan_to_num(nan=0.0)
        n_series += len(inputs)
        exact = inputs.cpu().double()  # rounding would outweigh small penalties of columns that are alike
        windows += exact.T @ exact
        following += (inputs.T @ outputs).cpu()
        squares += outputs.double().square().sum(dim=0).cpu()
        counts += present.sum(dim=0).cpu()
        of_known += torch.einsum("nhk,nhl->hkl", steps, steps).cpu()
        crossed += torch.einsum("ni,nhk->hik", inputs, steps).cpu()
        known_following += torch.einsum("nhk,nh->hk", steps, outputs).cpu()
    counts, n_series = counts.clamp(min=1), max(n_series, 1)
    return Moments(
        windows / n_series,
        following / counts,
        squares / counts,
        known=of_known / n_series,
        crossed=crossed / n_series,
        known_following=known_following / counts[:, None],
        n_steps=n_steps,
        changes=(n_rows, n_numbers * net.n_apart),
        n_series=n_series,
    )


def best_penalty(pairs: Sequence[tuple[Moments, Moments]], segment_size: int) -> Penalty:
    """That with which regressions on the first of each pair err least on the second, the largest of equals.

    Beyond one that is much worse none is looked at: a series that grows is fitted with hardly any penalty by chance,
    and such a regression runs away. Past covariates are read where the error is smaller with them, and by so much as is
    no chance: most do not lead the target.
    """

    def errors(penalties: list[Penalty]) -> list[float]:
        return [
            sum(left_out.error(solve(learned, each, segment_size)) for learned, left_out in pairs) for each in penalties
        ]

    penalties = [Penalty(own) for own in PENALTIES]
    of_own = errors(penalties)
    best = _least_before_a_rise(of_own)
    without = penalties[best]
    if not pairs[0][0].n_past:
        return without
    penalties = [Penalty(without.own, past) for past in PAST_PENALTIES]
    of_past = errors(penalties)
    least_gain = LEAST_GAIN / math.sqrt(sum(left_out.n_series for _, left_out in pairs))
    gain = of_own[best] - min(of_past)
    is_chance = gain <= least_gain * abs(of_own[best])  # negative at times with missing targets
    return without if is_chance else penalties[of_past.index(min(of_past))]


def _least_before_a_rise(errors: Sequence[float]) -> int:
    """The position of the least error of those before one that is much larger than the least so far."""
    best = 0
    for i, error in enumerate(errors):
        if error < errors[best]:
            best = i
        elif error > errors[best] + RISE * abs(errors[best]):
            break
    return best


@torch_threads(1)  # the threads of a decomposition would change bits
def solve(moments: Moments, penalty: Penalty, segment_size: int) -> Weights:
    """Weights of the ridge regressions, the window's mean given back to its steps.

    The older a step, the more its weight is penalised, and the less where it has the place in its segment that the
    forecast step has: as in the prior of Litterman (1986). What is known of each step alone is eliminated last.
    """
    if not penalty.reads_past:
        moments = moments.without_past()
    n_inputs, horizon = moments.following.shape
    n_steps, n_known = moments.n_steps, moments.known.shape[2]

    def with_mean(products: Tensor) -> Tensor:  # (..., n_inputs, n) with that of the window below
        return torch.cat([products, products[..., :n_steps, :].mean(dim=-2, keepdim=True)], dim=-2)

    windows = with_mean(with_mean(moments.windows).T)
    following, crossed = with_mean(moments.following), with_mean(moments.crossed)
    is_past = torch.zeros(n_inputs + 1, dtype=torch.bool)
    is_past[n_inputs - moments.n_past : n_inputs] = True
    own = penalty.own * max(windows.diagonal()[~is_past].mean().item(), 1e-6)
    before_end = torch.arange(n_steps, 0, -1, dtype=torch.float64)  # 1 for the newest
    n_rows, n_numbers = moments.changes
    rows_before_end = torch.arange(n_rows, 0, -1, dtype=torch.float64).repeat_interleave(n_numbers)
    penalties = torch.full((n_inputs + 1,), own, dtype=torch.float64)
    penalties[:n_steps] *= (0.5 + before_end / segment_size) ** AGE_EXPONENT
    penalties[is_past] *= penalty.past * (0.5 + rows_before_end / segment_size)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(windows + penalties.diag()))
    sides = torch.cat([following.T[:, :, None], crossed], dim=2)  # (horizon, n_inputs + 1, 1 + n_known)
    everywhere = torch.einsum("ij,hjk->hik", inverse, sides)  # as if all places were penalised alike
    inputs = torch.zeros(n_inputs + 1, horizon, dtype=torch.float64)
    known = torch.zeros(horizon, n_known, dtype=torch.float64)
    for place in range(min(segment_size, horizon)):
        steps = slice(place, None, segment_size)
        of_steps = crossed[steps]  # (n_steps at the place, n_inputs + 1, n_known)
        there = ((before_end + place) % segment_size == 0).nonzero()[:, 0]  # where less is penalised (Woodbury 1950)
        less = (1 / ((1 - SAME_PLACE) * penalties[there])).diag() - inverse[there][:, there]
        solved = everywhere[steps] + inverse[:, there] @ torch.linalg.solve(less, everywhere[steps, there])
        alone, by_known = solved[:, :, 0], solved[:, :, 1:]
        left = moments.known[steps] + own * torch.eye(n_known, dtype=torch.float64) - of_steps.mT @ by_known
        right = moments.known_following[steps] - (of_steps * alone[:, :, None]).sum(dim=1)
        known[steps] = torch.linalg.solve(left, right)
        inputs[:, steps] = (alone - (by_known @ known[steps][:, :, None])[:, :, 0]).T
    inputs[:n_steps] += inputs[-1] / n_steps
    return Weights(inputs[:-1], known)


def share_of_net(rivals: Sequence[Rivals]) -> Tensor:
    """The net's share (horizon,) in the mixture of both forecasts that has the smallest squared error."""
    net = rivals[0].net
    sums = torch.zeros(2, net.n_decoded * net.decoded_size, dtype=torch.float64)
    for towards_net, wanted in _directions(rivals):
        products = towards_net * torch.stack([wanted, towards_net]).masked_fill(wanted.isnan(), 0.0)
        sums[:, : net.horizon] += products.unflatten(2, (net.horizon, net.n_targets)).sum(dim=(1, 3)).cpu()
    product, square = sums.unflatten(1, (net.n_decoded, net.decoded_size)).sum(dim=2)
    share = (product / square).nan_to_num(nan=1.0).clamp(0, 1)
    return share.repeat_interleave(net.decoded_size)[: net.horizon]


def share_of_median(rivals: Sequence[Rivals]) -> Tensor:
    """The net's share (horizon,), in twentieths, in the mixture that has the smallest absolute error."""
    net, shares = rivals[0].net, SHARES.to(rivals[0].ridge.windows)
    errors = torch.zeros(len(shares), net.n_decoded * net.decoded_size, dtype=torch.float64)
    for towards_net, wanted in _directions(rivals):
        for i, share in enumerate(shares):
            error = (wanted - share * towards_net).abs().nan_to_num(nan=0.0)
            errors[i, : net.horizon] += error.unflatten(1, (net.horizon, net.n_targets)).sum(dim=(0, 2)).cpu()
    of_segments = errors.unflatten(1, (net.n_decoded, net.decoded_size)).sum(dim=2)
    best = shares.cpu()[of_segments.argmin(dim=0)]
    return best.repeat_interleave(net.decoded_size)[: net.horizon]


def knows_more(net: ForecastNet, ridge: LinearForecast, train: ForecastDataset) -> bool:
    """Whether it is so much better on the rows of training that it knows what no regression can, or these by heart."""
    errors = torch.zeros(2, dtype=torch.float64)  # of the net and of the regression
    for towards_net, wanted in _directions([Rivals(net, ridge, train)]):
        errors += torch.stack([(wanted - towards_net).square().nansum(), wanted.square().nansum()]).cpu()
    return bool(errors[0] < FAR_BETTER * errors[1])


def is_near_median(net: ForecastNet, ridge: LinearForecast, train: ForecastDataset) -> bool:
    """Whether the regression may have most of the forecast where a median is asked for, by the rows of training."""
    return not net.n_quantiles or abs(share_below(net, ridge, train) - 0.5) <= FAR_FROM_MEDIAN


def share_below(net: ForecastNet, ridge: LinearForecast, data: ForecastDataset) -> float:
    """Which share of the values to come lies below the ridge regression's forecast."""
    n_below = n_known = 0
    for inputs, (targets, _) in batches_of_bounded_size(data, net.width):
        wanted = _from_linear(net, ridge, inputs, targets)[1]
        n_below += int((wanted < 0).sum())
        n_known += int((~wanted.isnan()).sum())
    return n_below / n_known if n_known else 0.5


def _directions(rivals: Sequence[Rivals]) -> Iterator[tuple[Tensor, Tensor]]:
    """From the ridge regressions' forecasts to those of the nets and to what came, (batch, horizon * n_targets)."""
    for net, ridge, data in rivals:
        for inputs, (targets, _) in batches_of_bounded_size(data, net.width):
            linear, wanted = _from_linear(net, ridge, inputs, targets)
            yield net.point_forecast(*inputs) - linear, wanted


def _from_linear(net: ForecastNet, ridge: LinearForecast, inputs: tuple, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The ridge regression's forecasts, and the way from them to what came, (batch, horizon * n_targets)."""
    linear = net.linear_forecast(ridge, *inputs)
    return linear, net.usual_targets(inputs[0], inputs[1], targets) - linear
