"""Losses, element by element, in the net's standardised units."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]

REGRESSION_LOSSES: dict[str, Loss] = {
    "squared_error": lambda raw, target: (raw - target).square(),
    "absolute_error": lambda raw, target: (raw - target).abs(),
    "huber": lambda raw, target: nn.functional.huber_loss(raw, target, reduction="none"),
    # raw is the logarithm of the rate, target is counted in units of its mean.
    "poisson": lambda raw, target: raw.exp() - target * raw,
}


class Criterion(nn.Module):
    """A loss that keeps the shape of its targets, so that weights and masks apply to each.

    Parameters
    ----------
    kind : str
        A name in REGRESSION_LOSSES, or "quantile", "cross_entropy", "binary_cross_entropy".
    quantiles : sequence of float
        For "quantile".
    label_smoothing : float
        For the two cross entropies.
    """

    def __init__(self, kind: str, *, quantiles: tuple[float, ...] = (), label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.config = {"kind": kind, "quantiles": quantiles, "label_smoothing": label_smoothing}
        self.kind = kind
        self.label_smoothing = label_smoothing
        self.register_buffer("quantiles", torch.tensor(quantiles), persistent=False)

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        """Loss of each target: raw (..., n_targets or n_classes or n_targets, n_quantiles) to (..., n_targets)."""
        if self.kind in REGRESSION_LOSSES:
            return REGRESSION_LOSSES[self.kind](raw, target)
        if self.kind == "quantile":
            return self._pinball(raw, target)
        if self.kind == "binary_cross_entropy":
            smoothed = target * (1 - self.label_smoothing) + self.label_smoothing / 2
            return nn.functional.binary_cross_entropy_with_logits(raw, smoothed, reduction="none")
        return self._cross_entropy(raw, target)

    def _pinball(self, raw: Tensor, target: Tensor) -> Tensor:
        """Koenker and Bassett 1978, mean over the quantiles."""
        error = target[..., None] - raw
        return torch.maximum(self.quantiles * error, (self.quantiles - 1) * error).mean(-1)

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        n_classes = logits.shape[-1]
        losses = nn.functional.cross_entropy(
            logits.reshape(-1, n_classes),
            target.reshape(-1).long(),
            reduction="none",
            label_smoothing=self.label_smoothing,
        )
        return losses.view(target.shape)
