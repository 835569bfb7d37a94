"""Split-conformal shifts of quantile forecasts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def conformal_shifts(actual: NDArray, forecasts: NDArray, quantiles: Sequence[float]) -> NDArray[np.float64]:
    """What to add to each quantile so that it covers its share of held-out rows, step by step.

    One-sided conformalised quantile regression (Romano et al. 2019): of the n residuals of a step, the
    ceil((n + 1) * coverage)-th smallest. The median stays as it is.

    Parameters
    ----------
    actual : ndarray of shape (n_samples, horizon, n_targets)
        NaN is missing.
    forecasts : ndarray of shape (n_samples, horizon, n_targets, n_quantiles)
    quantiles : sequence of float of length n_quantiles

    Returns
    -------
    ndarray of shape (horizon, n_targets, n_quantiles)
    """
    residuals = np.sort(actual[..., None] - forecasts, axis=0)  # NaN last
    counts = (~np.isnan(actual)).sum(axis=0)[..., None]  # (horizon, n_targets, 1)
    levels = np.asarray(quantiles)
    above = np.ceil((counts + 1) * levels) - 1  # at least this share is not larger
    below = counts - np.ceil((counts + 1) * (1 - levels))  # the same from the other side
    rank = np.where(levels > 0.5, above, below)
    rank = np.clip(rank, 0, np.maximum(counts - 1, 0)).astype(np.int64)
    shifts = np.take_along_axis(residuals, rank[None], axis=0)[0]
    return np.where((levels == 0.5) | (counts == 0), 0.0, shifts)


def with_shifts(forecasts: NDArray, shifts: NDArray | None, quantiles: Sequence[float]) -> NDArray:
    """Shifted quantiles in their order; what a shift moves across the median comes back to it."""
    if shifts is None:
        return forecasts
    shifted = forecasts + shifts
    levels = np.asarray(quantiles)
    median = shifted[..., levels == 0.5]
    shifted = np.where(levels < 0.5, np.minimum(shifted, median), np.maximum(shifted, median))
    return np.sort(shifted, axis=-1)
