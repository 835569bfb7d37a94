"""The inputs of the cell as ONNX."""

from __future__ import annotations

import numpy as np

from sklearn_rnn._onnx.graph import GraphBuilder
from sklearn_rnn._onnx.parts import as_array, count, last_step, nan_to_zero
from sklearn_rnn.nets.inputs import CategoryEmbedding, InputEncoder


def encode(op: GraphBuilder, encoder: InputEncoder, values: str) -> str:
    """(batch, steps, n_channels) to (batch, steps, output_size)."""
    parts = []
    if encoder.numeric:
        numeric = op.Gather(values, encoder.numeric, axis=2) if encoder.categorical else values
        parts.append(nan_to_zero(op, op.Div(op.Sub(numeric, as_array(encoder.mean)), as_array(encoder.scale))))
    if encoder.missing:
        parts.append(op.cast(op.IsNaN(op.Gather(values, encoder.missing, axis=2)), op.dtype))
    for channel, embedding in zip(encoder.categorical, encoder.embeddings, strict=True):
        assert isinstance(embedding, CategoryEmbedding)
        parts.append(embed(op, embedding, op.Gather(values, channel, axis=2)))
    return parts[0] if len(parts) == 1 else op.Concat(*parts, axis=2)


def embed(op: GraphBuilder, embedding: CategoryEmbedding, values: str) -> str:
    """(batch, steps) codes to (batch, steps, output_size)."""
    codes = as_array(embedding.codes)
    position = op.LabelEncoder(
        values,
        domain="ai.onnx.ml",
        keys_tensor=codes,
        values_tensor=np.arange(1, len(codes) + 1),
        default_tensor=np.array([0]),
    )
    vectors = as_array(embedding.vectors.weight).copy()
    vectors[1:][np.isnan(codes)] = 0  # LabelEncoder finds NaN among its keys
    return op.Gather(vectors, position, axis=0)


def fold_segments(op: GraphBuilder, inputs: str, lengths: str, segment_size: int) -> tuple[str, str]:
    """Segments (batch, n_segments, segment_size * size) and lengths in segments."""
    segment_lengths = op.Div(op.Add(lengths, segment_size - 1), segment_size)
    shift = op.Sub(op.Mul(segment_lengths, segment_size), lengths)  # (batch,)
    n_steps = op.Shape(inputs, start=1, end=2)
    n_padded = op.Mul(op.Div(op.Add(n_steps, segment_size - 1), segment_size), segment_size)
    step = op.Sub(count(op, n_padded), op.Unsqueeze(shift, [1]))  # (batch, n_segments * segment_size)
    inside = op.And(op.GreaterOrEqual(step, 0), op.Less(step, op.Unsqueeze(lengths, [1])))
    source = op.Where(inside, step, 0)
    folded = op.GatherND(inputs, op.Unsqueeze(source, [2]), batch_dims=1)
    folded = op.Where(op.Unsqueeze(inside, [2]), folded, op.number(0))
    size = op.Mul(op.Shape(inputs, start=2, end=3), segment_size)
    return op.Reshape(folded, op.Concat([0, -1], size, axis=0)), segment_lengths


def newest_steps(op: GraphBuilder, inputs: str, lengths: str, n_steps: int) -> str:
    """Each sequence's own last steps side by side, (batch, n_steps * size); ahead of a shorter one stand zeros."""
    windows, n_windows = fold_segments(op, inputs, lengths, n_steps)
    return last_step(op, windows, n_windows)
