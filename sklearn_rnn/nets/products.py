"""Products of rows with few outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LINE = 16  # numbers


def steady_linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """torch's `linear`, by which in prediction each row is rounded as it is in any other batch.

    Few outputs are summed up where a row stands, in another order where it begins at another place of a cache line. So
    rows are filled up with zeros to whole lines.
    """
    if torch.is_grad_enabled():
        return nn.functional.linear(inputs, weight, bias)
    n_more = -inputs.shape[-1] % LINE
    if n_more:
        inputs, weight = (nn.functional.pad(each, (0, n_more)) for each in (inputs, weight))
    return nn.functional.linear(inputs.contiguous(), weight.contiguous(), bias)
