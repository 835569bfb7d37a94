"""What happens to the gradients between the backward pass and the update."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_rnn._distributed import n_processes


def scaled_backward(loss: Tensor, n_losses: int, weights: Sequence[Tensor]) -> None:
    """The backward pass of a mean of so many losses, where parts of it are in float16.

    Those would lose gradients below 6e-8, so they pass as about those of the sum. A power of 2 rounds nothing.
    """
    scale = 2.0 ** round(math.log2(n_losses))
    (loss * scale).backward()
    torch._foreach_div_([weight.grad for weight in weights if weight.grad is not None], scale)


def average_gradient(weights: Sequence[Tensor]) -> None:
    """The mean over the processes that train together, in one message."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    mean = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(mean)
    mean /= n_processes()
    for gradient, part in zip(gradients, mean.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def clip_gradient(weights: Sequence[Tensor], largest_norm: float) -> None:
    """torch.nn.utils.clip_grad_norm_ for the few small tensors of a net, in a third of its time."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm = torch.linalg.vector_norm(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    torch._foreach_div_(gradients, ((norm + 1e-6) / largest_norm).clamp(min=1.0))
