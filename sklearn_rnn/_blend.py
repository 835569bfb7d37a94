"""A ridge regression beside a regressor's net, and how much of each the samples that were left out ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_rnn._batches import PREDICTION_BATCH, Batches, SequenceDataset, evenly_spread
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

    def batches(self) -> Iterator[tuple[Tensor, tuple[Any, ...], tuple[Tensor, Tensor | None]]]:
        """Outputs, inputs, targets and weights."""
        n_seen = 0
        for inputs, wanted in Batches(self.data, PREDICTION_BATCH):
            yield self.outputs[n_seen : n_seen + len(wanted[0])], inputs, wanted
            n_seen += len(wanted[0])


@torch.no_grad()
def held_out_samples(net: RecurrentNet, data: SequenceDataset) -> LeftOut:
    """At most `LARGEST` of them, with the outputs of the net."""
    data = data.take(torch.from_numpy(evenly_spread(len(data), LARGEST)))
    none = torch.empty(0, net.n_outputs, device=data.device)  # of one process there may be no samples
    return LeftOut(data, torch.cat([none, *(net(*inputs) for inputs, _ in Batches(data, PREDICTION_BATCH))]))


def n_steps_to_read(net: RecurrentNet, longest: int) -> int:
    """How many of the newest steps the regression reads; 0 where one has too many numbers, or none."""
    return min(longest, LARGEST_INPUT // net.encoder.n_numbers) if net.encoder.n_numbers else 0


@torch.no_grad()
def blend(
    net: RecurrentNet,
    criterion: Criterion,
    train: SequenceDataset,
    left_out: Sequence[LeftOut],
    *,
    n_steps: int,
    of_train: bool,
) -> NDArray[np.float64]:
    """Give each output of the net the share in its mixture with a ridge regression that fits what was left out best.

    The regression reads the newest `n_steps` of each sequence. It has few weights, which do not overfit where the net
    does, and finds at once what is linear. Penalty and share are those of the smallest loss over the parts left out
    (Breiman 1996, Stacked regressions); in each, the regression is one without it.

    Parameters
    ----------
    of_train : bool
        Whether the parts left out are parts of `train`, each with a net that was trained on the others.

    Returns
    -------
    ndarray of shape (n_outputs,)
        The shares.
    """
    whole = products(net, train.take(torch.from_numpy(evenly_spread(len(train), LARGEST))), n_steps)
    parts = [products(net, part.data, n_steps) for part in left_out]
    fits = [solve(whole - part if of_train else whole, net.n_outputs) for part in parts]
    errors = sum(squared_error(part, fit) for part, fit in zip(parts, fits, strict=True))
    best = torch.as_tensor(errors).argmin(dim=0)  # (n_outputs,)
    without = [with_penalty(fit, best) for fit in fits]
    share = best_share(net, criterion, left_out, without, n_steps)
    if (share < 1).any():
        bias, weight = with_penalty(solve(whole, net.n_outputs), best).split([1, len(whole) - 1 - net.n_outputs])
        net.blend(weight.T, bias[0], share)
    return share.numpy()


def products(net: RecurrentNet, data: SequenceDataset, n_steps: int) -> Tensor:
    """Sums over the samples of products of 1, what the regression reads, and the targets less the anchor."""
    size = 1 + n_steps * net.encoder.n_numbers + net.n_outputs
    total = torch.zeros(size, size, dtype=torch.float64)
    for inputs, (targets, weights) in Batches(data, PREDICTION_BATCH):
        rows = net.linear_inputs(*inputs, n_steps=n_steps)
        wanted = targets if net.anchor is None else targets - net.anchor_offset(*inputs)
        rows = torch.cat([torch.ones_like(rows[:, :1]), rows, wanted], dim=1).cpu().double()
        total += rows.T @ (rows if weights is None else weights.cpu()[:, None] * rows)
    return torch.as_tensor(summed(total))


@torch_threads(1)  # the threads of a decomposition would change bits
def solve(total: Tensor, n_outputs: int) -> Tensor:
    """Ridge regressions by products: biases and weights for each of PENALTIES, (n_penalties, 1 + n_inputs, n_outputs).

    The bias is not penalised.
    """
    total = total / total[0, 0]
    mean = total[0, 1:]
    covariance = total[1:, 1:] - mean[:, None] * mean
    of_inputs, with_targets = covariance[:-n_outputs, :-n_outputs], covariance[:-n_outputs, -n_outputs:]
    variances, directions = torch.linalg.eigh(of_inputs)
    penalties = PENALTIES * variances.mean().clamp(min=1e-12)
    shrunk = (directions.T @ with_targets) / (variances.clamp(min=0) + penalties[:, None])[:, :, None]
    weights = directions @ shrunk  # (n_penalties, n_inputs, n_outputs)
    bias = mean[-n_outputs:] - mean[:-n_outputs] @ weights
    return torch.cat([bias[:, None], weights], dim=1)


def squared_error(total: Tensor, weights: Tensor) -> Tensor:
    """Summed over the samples that the products are of, (n_penalties, n_outputs)."""
    n_penalties, n_inputs, n_outputs = weights.shape
    minus_target = -torch.eye(n_outputs, dtype=weights.dtype).expand(n_penalties, -1, -1)
    residual = torch.cat([weights, minus_target], dim=1)
    return ((total @ residual) * residual).sum(dim=1)


def with_penalty(weights: Tensor, best: Tensor) -> Tensor:
    """Of each output those with its best penalty, (1 + n_inputs, n_outputs)."""
    return weights[best, :, torch.arange(len(best))].T


def best_share(
    net: RecurrentNet, criterion: Criterion, left_out: Sequence[LeftOut], weights: Sequence[Tensor], n_steps: int
) -> Tensor:
    """The net's share for each output, in twentieths, in the mixture that has the smallest loss."""
    losses = torch.zeros(len(SHARES), net.n_outputs, dtype=torch.float64)
    for part, of_part in zip(left_out, weights, strict=True):
        bias, slopes = of_part.to(part.outputs).split([1, len(of_part) - 1])
        shares = SHARES.to(part.outputs)[:, None, None]
        for of_net, inputs, (targets, sample_weights) in part.batches():
            linear = net.linear_inputs(*inputs, n_steps=n_steps) @ slopes + bias
            if net.anchor is not None:
                linear = linear + net.anchor_offset(*inputs)
            mixtures = linear + shares * (of_net - linear)  # (n_shares, batch, n_outputs)
            each = criterion(mixtures, targets.expand_as(mixtures))
            losses += (each if sample_weights is None else each * sample_weights[:, None]).sum(dim=1).cpu()
    return SHARES[torch.as_tensor(summed(losses)).argmin(dim=0)]
