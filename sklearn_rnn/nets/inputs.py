"""From the channels as the user gave them to the cell's inputs: units, missing values, categories, segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class InputEncoder(nn.Module):
    """Standardise numeric channels, mark missing values, embed categorical channels.

    Parameters
    ----------
    mean, scale : sequence of float of length n_channels
        Of the training rows. Entries of categorical channels are not used.
    missing : sequence of int
        Numeric channels that had missing values in training: each gets a further channel that is 1 where it was
        missing. A missing value itself becomes 0, the mean.
    categories : mapping of int to sequence of float
        The sorted codes seen in training, by categorical channel. Other codes go to a reserved row of zeros.
    embedding_size : int or "auto"
        Size of the vectors of each categorical channel.
    noise : float
        Standard deviation of what is added to each standardised number in training (Bishop 1995).
    dtype : torch.dtype, default=torch.float32
        Of means, scales and codes.

    Attributes
    ----------
    n_numbers, output_size : int
        Features of an encoded step, without and with the vectors of its categories.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        mean: Sequence[float],
        scale: Sequence[float],
        *,
        missing: Sequence[int] = (),
        categories: Mapping[int, Sequence[float]] | None = None,
        embedding_size: int | str = "auto",
        noise: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.noise = noise
        categories = categories or {}
        self.categorical = sorted(categories)
        self.numeric = [i for i in range(len(mean)) if i not in categories]
        self.missing = list(missing)
        self.register_buffer("mean", torch.tensor([mean[i] for i in self.numeric], dtype=dtype))
        self.register_buffer("scale", torch.tensor([scale[i] for i in self.numeric], dtype=dtype))
        embeddings = [CategoryEmbedding(categories[i], embedding_size, dtype) for i in self.categorical]
        self.embeddings = nn.ModuleList(embeddings)
        sizes = [embedding.output_size for embedding in embeddings]
        self.n_numbers = len(self.numeric) + len(self.missing)
        self.output_size = self.n_numbers + sum(sizes)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, steps, n_channels) to (batch, steps, output_size)."""
        numbers = self.numbers(values)
        if self.training and self.noise:
            numbers[:, :, : len(self.numeric)] += self.noise * torch.randn_like(numbers[:, :, : len(self.numeric)])
        if not self.categorical:
            return numbers
        vectors = [embedding(values[:, :, i]) for i, embedding in zip(self.categorical, self.embeddings, strict=True)]
        return torch.cat([numbers, *vectors], dim=2)

    def numbers(self, values: Tensor) -> Tensor:
        """The standardised numeric channels, and which of their values are missing, (batch, steps, n_numbers)."""
        numeric = chosen_channels(values, self.numeric) if self.categorical else values
        standardised = torch.nan_to_num((numeric - self.mean) / self.scale, nan=0.0)
        if not self.missing:
            return standardised
        return torch.cat([standardised, chosen_channels(values, self.missing).isnan().to(values.dtype)], dim=2)


def chosen_channels(values: Tensor, channels: Sequence[int]) -> Tensor:
    """Some channels, (batch, steps, n_chosen), in sorted order.

    A list as an index would be copied to a GPU, which everything before it would have to wait for.
    """
    begins = [i for i, channel in enumerate(channels) if i == 0 or channel != channels[i - 1] + 1]
    runs = [channels[begin:end] for begin, end in pairwise([*begins, len(channels)])]
    return torch.cat([values[:, :, :0], *(values[:, :, run[0] : run[-1] + 1] for run in runs)], dim=2)


class CategoryEmbedding(nn.Module):
    """A learned vector for each code seen in training, zeros for any other."""

    codes: Tensor

    def __init__(self, codes: Sequence[float], embedding_size: int | str, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        codes = list(codes) or [torch.nan]  # a channel that was empty in training: every code is another
        self.output_size = automatic_embedding_size(len(codes)) if embedding_size == "auto" else int(embedding_size)
        self.register_buffer("codes", torch.tensor(codes, dtype=dtype))
        # Small beside what training adds, so that rare codes say little instead of something random.
        vectors = 0.1 * torch.randn(len(codes) + 1, self.output_size, dtype=torch.float32)
        vectors[0] = 0.0
        self.vectors = nn.Embedding.from_pretrained(vectors, freeze=False, padding_idx=0)

    def forward(self, values: Tensor) -> Tensor:
        """(batch, steps) codes to (batch, steps, output_size)."""
        position = torch.searchsorted(self.codes, values.contiguous()).clamp(max=len(self.codes) - 1)
        known = self.codes[position] == values
        return self.vectors(torch.where(known, position + 1, 0))


def automatic_embedding_size(n_categories: int) -> int:
    """1.6 * n ** 0.56, at most 64: fastai's rule for tabular categories, capped."""
    return min(64, round(1.6 * n_categories**0.56))


def fold_segments(inputs: Tensor, lengths: Tensor | None, segment_size: int) -> tuple[Tensor, Tensor | None]:
    """Fold `segment_size` steps into one, aligned to each sequence's end; zeros fill the head of its first segment.

    Returns
    -------
    segments : Tensor of shape (batch, ceil(steps / segment_size), segment_size * size)
    lengths : Tensor of shape (batch,) or None
        In segments.
    """
    batch, n_steps, size = inputs.shape
    n_segments = -(-n_steps // segment_size)
    head = n_segments * segment_size - n_steps
    if lengths is None:
        padded = nn.functional.pad(inputs, (0, 0, head, 0))
        return padded.reshape(batch, n_segments, segment_size * size), None
    segment_lengths = (lengths + segment_size - 1) // segment_size
    shift = segment_lengths * segment_size - lengths  # (batch,): zeros in front of each sequence
    step = torch.arange(n_segments * segment_size, device=inputs.device) - shift[:, None]
    inside = (step >= 0) & (step < lengths[:, None])
    source = step.clamp(0, n_steps - 1)[:, :, None].expand(-1, -1, size)
    folded = inputs.gather(1, source) * inside[:, :, None]
    return folded.reshape(batch, n_segments, segment_size * size), segment_lengths
