"""A ridge regression beside the forecaster's net, and how much of each the held-out rows ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_rnn._batches import PREDICTION_BATCH, Batches
from sklearn_rnn._device import torch_threads
from sklearn_rnn._forecast_data import ForecastDataset, evenly_spread
from sklearn_rnn.nets import ForecastNet

PENALTIES = (1e-5, 1e-4, 0.001, 0.01, 0.1, 1.0)  # in units of the mean square of a window's normalised values
USUAL_PENALTY = 0.1  # where nothing is held out to choose by
RECENT_SEGMENTS = 4
CLEARLY_BETTER = 0.95  # the error, as a part of the sparse regression's, at which one on all steps is preferred
FAR_FROM_MEDIAN = 0.1  # of the share of values below a forecast from a half
LONGEST = 1_024  # steps of a window that the regression reads
LARGEST = 50_000  # series that it is fitted to, windows times targets


@dataclass
class Moments:
    """Means of products of normalised windows and of what follows them.

    Parameters
    ----------
    windows : Tensor of shape (n_steps, n_steps)
    following : Tensor of shape (n_steps, horizon)
        Over the targets that are there.
    squares : Tensor of shape (horizon,)
        Of what follows alone.
    """

    windows: Tensor
    following: Tensor
    squares: Tensor

    def error(self, weights: Tensor) -> float:
        """The squared error of weights (n_steps, horizon), summed over the horizon."""
        of_weights = (self.windows @ weights - 2 * self.following) * weights
        return float(self.squares.sum() + of_weights.sum())


@torch.no_grad()
def blend(net: ForecastNet, train: ForecastDataset, held_out: ForecastDataset | None) -> None:
    """Give the net, segment by segment of the horizon, the share of its forecast that fits the held-out rows best.

    The rest is the forecast of a ridge regression on the target's own window: few weights, which do not overfit where
    the horizon is long, or the rows are few, and the net does. Each step of the horizon has its own regression, see
    :func:`ridge_weights`. The shares are those of least squares between 0 and 1 (Breiman 1996, Stacked regressions), or
    halves where no rows are held out: equal shares are hard to beat by any that few rows tell (Timmermann 2006).

    With quantiles they are those of the least absolute error, for a regression forecasts a mean, from which the median
    of skewed targets is far; without rows held out the net is left alone where that is so.
    """
    if held_out is None:
        each = _solve(_moments(net, train), USUAL_PENALTY, net.segment_size)
    else:
        each = ridge_weights(_moments(net, train), _moments(net, held_out), net.segment_size)
    ridge = net.direct_weight(each.T).to(net.output_scale)
    if held_out is not None:
        best_share = share_of_median if net.n_quantiles else share_of_net
        net.blend(ridge, best_share(net, ridge, held_out))
    elif not net.n_quantiles or abs(share_below(net, ridge, train) - 0.5) <= FAR_FROM_MEDIAN:
        net.blend(ridge, torch.full((net.horizon,), 0.5))


def _moments(net: ForecastNet, data: ForecastDataset) -> Moments:
    n_steps = min(net.n_steps, LONGEST)
    windows = torch.zeros(n_steps, n_steps, dtype=torch.float64)
    following = torch.zeros(n_steps, net.horizon, dtype=torch.float64)
    squares, counts = torch.zeros(2, net.horizon, dtype=torch.float64)
    n_series = 0  # with anything to follow
    chosen = torch.from_numpy(evenly_spread(len(data), max(LARGEST // net.n_targets, 1)))
    for (values, lengths, _), (targets, _) in Batches(data.take(chosen), PREDICTION_BATCH):
        inputs, outputs = net.normalised_pairs(values, lengths, targets)
        known = ~outputs.isnan().all(dim=1)
        inputs, outputs = inputs[known, -n_steps:], outputs[known]
        present, outputs = ~outputs.isnan(), outputs.nan_to_num(nan=0.0)
        n_series += len(inputs)
        windows += (inputs.T @ inputs).cpu()
        following += (inputs.T @ outputs).cpu()
        squares += outputs.double().square().sum(dim=0).cpu()
        counts += present.sum(dim=0).cpu()
    counts = counts.clamp(min=1)
    return Moments(windows / max(n_series, 1), following / counts, squares / counts)


@torch_threads(1)  # the threads of a decomposition would change bits
def ridge_weights(train: Moments, held_out: Moments, segment_size: int) -> Tensor:
    """Weights (n_steps, horizon) of the regression, and with the penalty, that the held-out windows ask for.

    A sparse one reads the last segments of the window, the values at the step's own place in each earlier segment (Lin
    et al. 2024, SparseTSF), and the window's mean. One on all steps is taken only where it is clearly better: it has so
    many weights that it loses most when the series changes.
    """
    sparse, whole = (
        min((_solve(train, penalty, segment_size, whole=whole) for penalty in PENALTIES), key=held_out.error)
        for whole in (False, True)
    )
    return whole if held_out.error(whole) < CLEARLY_BETTER * held_out.error(sparse) else sparse


def _solve(moments: Moments, penalty: float, segment_size: int, *, whole: bool = False) -> Tensor:
    """Weights (n_steps, horizon) of the ridge regressions, the window's mean given back to its steps."""
    n_steps, horizon = moments.following.shape
    mean = torch.full((n_steps, 1), 1 / n_steps, dtype=torch.float64)
    with_mean = torch.cat([torch.eye(n_steps, dtype=torch.float64), mean], dim=1)
    windows, following = with_mean.T @ moments.windows @ with_mean, with_mean.T @ moments.following
    penalty *= max(windows.diagonal().mean().item(), 1e-6)
    before_end = n_steps - torch.arange(n_steps)  # 1 for the newest
    recent = before_end <= (n_steps if whole else RECENT_SEGMENTS * segment_size)
    weights = torch.zeros(n_steps + 1, horizon, dtype=torch.float64)
    for place in range(min(segment_size, horizon)):
        read = recent | ((before_end + place) % segment_size == 0)
        used = torch.cat([read.nonzero()[:, 0], torch.tensor([n_steps])])
        matrix = windows[used][:, used] + penalty * torch.eye(len(used), dtype=torch.float64)
        weights[used, place::segment_size] = torch.linalg.solve(matrix, following[used, place::segment_size])
    return with_mean @ weights


def share_of_net(net: ForecastNet, ridge: Tensor, held_out: ForecastDataset) -> Tensor:
    """The net's share (horizon,) in the mixture of both forecasts that has the smallest squared error."""
    sums = torch.zeros(2, net.n_decoded * net.decoded_size, dtype=torch.float64)
    for towards_net, wanted in _directions(net, ridge, held_out):
        products = towards_net * torch.stack([wanted, towards_net]).masked_fill(wanted.isnan(), 0.0)
        sums[:, : net.horizon] += products.unflatten(2, (net.horizon, net.n_targets)).sum(dim=(1, 3)).cpu()
    product, square = sums.unflatten(1, (net.n_decoded, net.decoded_size)).sum(dim=2)
    share = (product / square).nan_to_num(nan=1.0).clamp(0, 1)
    return share.repeat_interleave(net.decoded_size)[: net.horizon]


def share_of_median(net: ForecastNet, ridge: Tensor, held_out: ForecastDataset) -> Tensor:
    """The net's share (horizon,), in twentieths, in the mixture that has the smallest absolute error."""
    shares = torch.linspace(0, 1, 21, dtype=ridge.dtype, device=ridge.device)
    errors = torch.zeros(len(shares), net.n_decoded * net.decoded_size, dtype=torch.float64)
    for towards_net, wanted in _directions(net, ridge, held_out):
        for i, share in enumerate(shares):
            error = (wanted - share * towards_net).abs().nan_to_num(nan=0.0)
            errors[i, : net.horizon] += error.unflatten(1, (net.horizon, net.n_targets)).sum(dim=(0, 2)).cpu()
    of_segments = errors.unflatten(1, (net.n_decoded, net.decoded_size)).sum(dim=2)
    best = shares.cpu()[of_segments.flip(0).argmin(dim=0).neg() - 1]  # the largest of equals
    return best.repeat_interleave(net.decoded_size)[: net.horizon]


def share_below(net: ForecastNet, ridge: Tensor, data: ForecastDataset) -> float:
    """Which share of the values to come lies below the ridge regression's forecast."""
    n_below = n_known = 0
    for inputs, (targets, _) in Batches(data, PREDICTION_BATCH):
        wanted = _from_linear(net, ridge, inputs, targets)[1]
        n_below += int((wanted < 0).sum())
        n_known += int((~wanted.isnan()).sum())
    return n_below / n_known if n_known else 0.5


def _directions(net: ForecastNet, ridge: Tensor, data: ForecastDataset) -> Iterator[tuple[Tensor, Tensor]]:
    """From the ridge regression's forecasts to those of the net and to what came, (batch, horizon * n_targets)."""
    for inputs, (targets, _) in Batches(data, PREDICTION_BATCH):
        linear, wanted = _from_linear(net, ridge, inputs, targets)
        yield net.point_forecast(*inputs) - linear, wanted


def _from_linear(net: ForecastNet, ridge: Tensor, inputs: tuple, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The ridge regression's forecasts, and the way from them to what came, (batch, horizon * n_targets)."""
    linear = net.linear_forecast(ridge, *inputs[:2])
    return linear, net.usual_targets(inputs[0], inputs[1], targets) - linear
