"""Losses, element by element, in the net's standardised units."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]

REGRESSION_LOSSES: dict[str, Loss] = {
    "squared_error": lambda raw, target: nn.functional.mse_loss(raw, target, reduction="none"),
    "absolute_error": lambda raw, target: (raw - target).abs(),
    "huber": lambda raw, target: nn.functional.huber_loss(raw, target, reduction="none"),
    # raw is the logarithm of the rate, target is counted in units of its mean.
    "poisson": lambda raw, target: raw.exp() - target * raw,
}


class Criterion(nn.Module):
    """A loss that keeps the shape of its targets, so that weights and masks apply to each.

    Its constants are float64 until `to` gives them the type of the net.

    Parameters
    ----------
    kind : str
        A name in REGRESSION_LOSSES, or "quantile", "cross_entropy", "binary_cross_entropy".
    quantiles : sequence of float
        For "quantile".
    label_smoothing : float
        For the two cross entropies: the share of each target that is replaced by `prior` (Szegedy et al. 2016).
    prior : sequence of float
        How often each class or label is, where targets are smoothed.
    class_weights : sequence of float or None
        A factor for the loss of each class, for "cross_entropy".
    skip_missing : bool
        Whether targets may be NaN: their losses are NaN, and no gradient comes from them.
    """

    quantiles: Tensor
    prior: Tensor
    class_weights: Tensor | None

    def __init__(
        self,
        kind: str,
        *,
        quantiles: Sequence[float] = (),
        label_smoothing: float = 0.0,
        prior: Sequence[float] = (),
        class_weights: Sequence[float] | None = None,
        skip_missing: bool = False,
    ) -> None:
        super().__init__()
        self.config = {
            "kind": kind,
            "quantiles": quantiles,
            "label_smoothing": label_smoothing,
            "prior": prior,
            "class_weights": class_weights,
            "skip_missing": skip_missing,
        }
        self.kind = kind
        self.label_smoothing = label_smoothing
        self.skip_missing = skip_missing
        self.register_buffer("quantiles", torch.tensor(quantiles, dtype=torch.float64))
        self.register_buffer("prior", torch.tensor(prior, dtype=torch.float64))
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float64)
        self.register_buffer("class_weights", weights)

    def forward(self, raw: Tensor, target: Tensor) -> Tensor:
        """Loss of each target: raw (..., n_targets or n_classes or n_targets, n_quantiles) to (..., n_targets)."""
        if not self.skip_missing:
            return self._losses(raw, target)
        missing = target.isnan()
        return self._losses(raw, target.masked_fill(missing, 0.0)).masked_fill(missing, torch.nan)

    def _losses(self, raw: Tensor, target: Tensor) -> Tensor:
        if self.kind in REGRESSION_LOSSES:
            return REGRESSION_LOSSES[self.kind](raw, target)
        if self.kind == "quantile":
            return self._pinball(raw, target)
        if self.kind == "binary_cross_entropy":
            if self.label_smoothing:
                target = torch.lerp(target, self.prior.expand_as(target), self.label_smoothing)
            return nn.functional.binary_cross_entropy_with_logits(raw, target, reduction="none")
        return self._cross_entropy(raw, target)

    def _pinball(self, raw: Tensor, target: Tensor) -> Tensor:
        """Koenker and Bassett 1978, mean over the quantiles."""
        error = target[..., None] - raw
        return torch.maximum(self.quantiles * error, (self.quantiles - 1) * error).mean(-1)

    def _cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        codes, logits = target.reshape(-1).long(), logits.reshape(-1, logits.shape[-1])
        losses = nn.functional.cross_entropy(logits, codes, reduction="none")
        if self.label_smoothing:
            of_prior = -(logits.log_softmax(-1) @ self.prior)
            losses = torch.lerp(losses, of_prior, self.label_smoothing)
        if self.class_weights is not None:
            losses = losses * self.class_weights[codes]
        return losses.view(target.shape)
