"""A ridge regression beside a regressor's net, and how much of each the samples that were left out ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklearn_rnn._batches import SequenceDataset, batches_of_bounded_size
from sklearn_rnn._device import torch_threads
from sklearn_rnn._distributed import summed
from sklearn_rnn._losses import Criterion
from sklearn_rnn.nets import RecurrentNet

PENALTIES = torch.logspace(1, -10, 23, dtype=torch.float64)  # in units of the inputs' mean variance
SHARES = torch.linspace(1, 0, 21, dtype=torch.float64)  # of the net; of equals the first is chosen
LARGEST_INPUT = 512  # numbers of a sequence that the regression reads
LARGEST = 50_000  # samples that it is fitted to


class LeftOut(NamedTuple):
    """Samples that a net did not learn from, and its raw outputs for them, (n_samples, n_outputs)."""

    data: SequenceDataset
    outputs: Tensor

    def batches(self, width: int) -> Iterator[tuple[Tensor, tuple[Any, ...], tuple[Tensor, Tensor | None]]]:
        """Outputs, inputs, targets and weights, `width` numbers for each step of an input."""
        n_seen = 0
        for inputs, wanted in batches_of_bounded_size(self.data, width):
            yield self.outputs[n_seen : n_seen + len(wanted[0])], inputs, wanted
            n_seen += len(wanted[0])


@torch.no_grad()
def held_out_samples(net: RecurrentNet, data: SequenceDataset) -> LeftOut:
    """At most `LARGEST` of them, with the outputs of the net."""
    data = data.thinned(LARGEST)
    # Of one process there may be no samples.
    none = torch.empty(0, net.n_outputs, dtype=data.values.dtype, device=data.device)
    batches = batches_of_bounded_size(data, net.width)
    return LeftOut(data, torch.cat([none, *(net(*inputs) for inputs, _ in batches)]))


def n_steps_to_read(net: RecurrentNet, longest: int) -> int:
    """How many of the newest steps the regression reads; 0 where one has too many numbers, or none."""
    return min(longest, LARGEST_INPUT // net.encoder.n_numbers) if net.encoder.n_numbers else 0


@dataclass
class Products:
    """Sums over samples of products of what the regression reads, 1 at its head, and of targets less the anchor.

    Parameters
    ----------
    inputs : Tensor of shape (1 + n_inputs, 1 + n_inputs)
    crossed : Tensor of shape (1 + n_inputs, n_outputs)
    squares : Tensor of shape (n_outputs,)
        Of the targets.
    """

    inputs: Tensor
    crossed: Tensor
    squares: Tensor

    @staticmethod
    def sum(parts: Sequence[Products]) -> Products:
        return Products(*(sum(getattr(part, field.name) for part in parts) for field in fields(Products)))

    @property
    def has_samples(self) -> bool:
        """Not where float32 has rounded all weights to nothing."""
        return bool(self.inputs[0, 0] > 0)

    def error(self, weights: Tensor) -> Tensor:
        """The squared error of each output, (n_outputs,), with weights (1 + n_inputs, n_outputs)."""
        return self.squares + ((self.inputs @ weights - 2 * self.crossed) * weights).sum(dim=0)


class Ridge:
    """Ridge regressions with any penalty, by one decomposition. Their bias is not penalised."""

    @torch_threads(1)  # the threads of a decomposition would change bits
    def __init__(self, products: Products) -> None:
        n_samples = products.inputs[0, 0]
        self.mean, self.target = products.inputs[0, 1:] / n_samples, products.crossed[0] / n_samples
        covariance = products.inputs[1:, 1:] / n_samples - self.mean[:, None] * self.mean
        self.variances, self.directions = torch.linalg.eigh(covariance)
        with_targets = products.crossed[1:] / n_samples - self.mean[:, None] * self.target
        self.along = self.directions.T @ with_targets  # (n_inputs, n_outputs)

    def weights(self, penalty: Tensor) -> Tensor:
        """Biases and weights, (1 + n_inputs, n_outputs), with one penalty or one for each output."""
        penalty = penalty * self.variances.mean().clamp(min=1e-12)
        weights = self.directions @ (self.along / (self.variances.clamp(min=0)[:, None] + penalty))
        bias = self.target - self.mean @ weights
        return torch.cat([bias[None], weights])


@torch.no_grad()
def blend(
    net: RecurrentNet,
    criterion: Criterion,
    train: SequenceDataset,
    left_out: Sequence[LeftOut],
    *,
    longest: int,
    of_train: bool,
) -> None:
    """Give each output of the net the share in its mixture with a ridge regression that fits what was left out best.

    The regression reads the newest steps of each sequence, see :func:`n_steps_to_read`. It has few weights, which do
    not overfit where the net does, and finds at once what is linear. Penalty and share are those of the smallest loss
    over the parts left out (Breiman 1996, Stacked regressions); in each, the regression is one without it.

    Parameters
    ----------
    longest : int
        Steps of the longest sequence.
    of_train : bool
        Whether the parts left out make up `train`, each with a net that was trained on the others.
    """
    n_steps = n_steps_to_read(net, longest)
    if not (left_out and n_steps):
        return
    parts = [products_of(net, part.data, n_steps) for part in left_out]
    if of_train:
        whole, others = Products.sum(parts), [Products.sum(parts[:i] + parts[i + 1 :]) for i in range(len(parts))]
    else:
        whole = products_of(net, train.thinned(LARGEST), n_steps)
        others = [whole]
    if not all(products.has_samples for products in others):
        return
    without = [Ridge(products) for products in others]
    penalty = best_penalty(without, parts)
    share = best_share(net, criterion, left_out, [ridge.weights(penalty) for ridge in without], n_steps)
    if (share < 1).any():
        weights = Ridge(whole).weights(penalty)
        net.blend(weights[1:].T, weights[0], share)


def products_of(net: RecurrentNet, data: SequenceDataset, n_steps: int) -> Products:
    n_inputs = 1 + n_steps * net.encoder.n_numbers
    total = torch.zeros(n_inputs, n_inputs + net.n_outputs, dtype=torch.float64)
    squares = torch.zeros(net.n_outputs, dtype=torch.float64)
    for inputs, (targets, weights) in batches_of_bounded_size(data, net.width):
        rows = net.linear_inputs(net.encoder.numbers(inputs[0]), inputs[1], n_steps=n_steps)
        wanted = targets if net.anchor is None else targets - net.anchor_offset(*inputs)
        rows = torch.cat([torch.ones_like(rows[:, :1]), rows, wanted], dim=1).cpu().double()
        weighted = rows if weights is None else weights.cpu()[:, None] * rows
        total += rows[:, :n_inputs].T @ weighted
        squares += (rows * weighted)[:, n_inputs:].sum(dim=0)
    inputs, crossed = summed(total).split([n_inputs, net.n_outputs], dim=1)
    return Products(inputs, crossed, summed(squares))


def best_penalty(without: Sequence[Ridge], parts: Sequence[Products]) -> Tensor:
    """That of the smallest squared error of each output over the parts, (n_outputs,)."""
    pairs = list(zip(without, parts, strict=True))
    errors = [torch.stack([part.error(ridge.weights(penalty)) for ridge, part in pairs]) for penalty in PENALTIES]
    return PENALTIES[torch.stack(errors).sum(dim=1).argmin(dim=0)]


def best_share(
    net: RecurrentNet, criterion: Criterion, left_out: Sequence[LeftOut], weights: Sequence[Tensor], n_steps: int
) -> Tensor:
    """The net's share for each output, in twentieths, in the mixture that has the smallest loss."""
    losses = torch.zeros(len(SHARES), net.n_outputs, dtype=torch.float64)
    for part, of_part in zip(left_out, weights, strict=True):
        bias, slopes = of_part.to(part.outputs).split([1, len(of_part) - 1])
        shares = SHARES.to(part.outputs)[:, None, None]
        for of_net, inputs, (targets, sample_weights) in part.batches(net.width):
            linear = net.linear_inputs(net.encoder.numbers(inputs[0]), inputs[1], n_steps=n_steps) @ slopes + bias
            if net.anchor is not None:
                linear = linear + net.anchor_offset(*inputs)
            mixtures = linear + shares * (of_net - linear)  # (n_shares, batch, n_outputs)
            each = criterion(mixtures, targets.expand_as(mixtures))
            losses += (each if sample_weights is None else each * sample_weights[:, None]).sum(dim=1).cpu()
    return SHARES[summed(losses).argmin(dim=0)]
