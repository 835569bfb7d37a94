"""Quantiles of forecasts moved so that they cover their share of held-out rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sklearn_rnn._batches import batches_of_bounded_size
from sklearn_rnn._forecast_data import ForecastDataset
from sklearn_rnn._validation import MEDIAN
from sklearn_rnn.nets import ForecastNet
from sklearn_rnn.nets.forecast import quantile_spans


@torch.no_grad()
def calibrate(net: ForecastNet, held_out: ForecastDataset, levels: Sequence[float], weights: NDArray) -> None:
    """Set each quantile's distance from the median by the held-out rows, step by step.

    Parameters
    ----------
    net : ForecastNet
        One that is not calibrated.
    held_out : ForecastDataset
    levels : sequence of float of length n_quantiles
        Of the quantiles, sorted.
    weights : ndarray of shape (n_windows,)
        How much each window counts, at most 1.
    """
    ratios = []  # the distance of what came from the median, in spans
    for inputs, (targets, _) in batches_of_bounded_size(held_out, net.width):
        forecasts = net(*inputs).unflatten(1, (net.horizon, net.n_targets))
        spans = quantile_spans(forecasts, net.median, net.recent_deviation(*inputs[:2]))
        distances = targets.unflatten(1, (net.horizon, net.n_targets)) - net.point(forecasts)
        ratios.append((distances[..., None] / spans).cpu())
    factors = conformal_factors(torch.cat(ratios).numpy(), levels, weights)
    net.factors.copy_(torch.from_numpy(factors))


def conformal_factors(ratios: NDArray, levels: Sequence[float], weights: NDArray) -> NDArray[np.float64]:
    """The one-sided split-conformal quantiles of weighted residuals.

    Of residuals in units of what they are expected to be (Lei et al. 2018, Distribution-free predictive inference for
    regression), the smallest that a share of at least `level` does not exceed, the coming residual counted as one more,
    of weight 1 (Barber et al. 2023, Conformal prediction beyond exchangeability). A step with too few residuals for its
    level takes those of all steps together.

    Parameters
    ----------
    ratios : ndarray of shape (n_windows, horizon, n_targets, n_quantiles)
        NaN is missing.
    levels : sequence of float of length n_quantiles
    weights : ndarray of shape (n_windows,)

    Returns
    -------
    ndarray of shape (horizon, n_targets, n_quantiles)
        Negative below the median and positive above it, NaN at the median and where nothing is known.
    """
    n_windows, horizon, n_targets = ratios.shape[:3]
    factors = np.full(ratios.shape[1:], np.nan)
    for number, level in enumerate(levels):
        if level == MEDIAN:
            continue
        sign, share = (1, level) if level > MEDIAN else (-1, 1 - level)
        residuals = sign * ratios[..., number]
        quantile, is_told = _weighted_quantile(residuals, share, weights)
        if not is_told.all():
            together = residuals.reshape(n_windows * horizon, 1, n_targets)
            of_all, _ = _weighted_quantile(together, share, np.repeat(weights, horizon))
            quantile = np.where(is_told | np.isnan(quantile), quantile, of_all)
        factors[..., number] = sign * np.maximum(quantile, 0.0)
    return factors


def _weighted_quantile(residuals: NDArray, share: float, weights: NDArray) -> tuple[NDArray, NDArray]:
    """The quantile along the first axis, one more residual being above all, and whether there are enough to tell it."""
    order = residuals.argsort(axis=0)  # NaN last
    residuals = np.take_along_axis(residuals, order, axis=0)
    covered = np.where(np.isnan(residuals), 0.0, weights[order]).cumsum(axis=0)
    needed = share * (covered[-1] + 1) - 1e-9
    rank = np.minimum((covered < needed).sum(axis=0), np.maximum((~np.isnan(residuals)).sum(axis=0) - 1, 0))
    return np.take_along_axis(residuals, rank[None], axis=0)[0], covered[-1] >= needed


def recency(ages: NDArray) -> NDArray[np.float64]:
    """Weights of windows by the rows that came after them, from 1 for the newest down to 1 / e**2 for the oldest."""
    return np.exp(-2 * ages / max(ages.max(initial=0), 1))
