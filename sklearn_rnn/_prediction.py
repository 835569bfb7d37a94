"""Outputs of a trained net in the units of y, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sklearn_rnn._batches import SequenceDataset, prediction_batches
from sklearn_rnn.nets import ForecastNet, RecurrentNet
from sklearn_rnn.nets.pooling import valid_steps
from sklearn_rnn.sequences import Sequences


@torch.inference_mode()
def predict_net(module: RecurrentNet, sequences: Sequences, device: str) -> NDArray[np.float64] | Sequences:
    """Outputs in the units of y: (n_samples, n_outputs[, n_quantiles]), or Sequences of them for a net per step."""
    dataset = SequenceDataset(sequences.cropped(), device=device)
    if not module.per_step:
        return _predict_samples(lambda *inputs: module.unscale(module(*inputs)), dataset, module.width)
    outputs, samples = [], []
    for rows, (values, lengths) in prediction_batches(dataset, module.width):
        raw = module.unscale(module(values, lengths))[: len(rows)]
        outputs.append(raw[valid_steps(values, lengths)[: len(rows)]].cpu().numpy())  # (steps of the batch, n_outputs)
        samples.append(rows)
    order = np.concatenate(samples)
    ends = np.empty_like(order)
    ends[order] = np.cumsum(sequences.lengths[order])
    return Sequences(np.concatenate(outputs), ends - sequences.lengths, sequences.lengths, align=sequences.align)


@torch.inference_mode()
def predict_forecasts(module: ForecastNet, dataset: SequenceDataset) -> NDArray[np.float64]:
    """Forecasts in the units of the targets, (n_samples, horizon, n_targets[, n_quantiles])."""

    def forecasts(values: Tensor, lengths: Tensor | None, known: Tensor) -> Tensor:
        return module.unscale(module(values, lengths, known), *module.units(values, lengths))

    return _predict_samples(forecasts, dataset, module.width)


def _predict_samples(outputs_of: Callable[..., Tensor], dataset: SequenceDataset, width: int) -> NDArray[np.float64]:
    """Outputs in the units of y, (n_samples, ...), each batch written to its place."""
    predicted = np.empty(0)
    for rows, inputs in prediction_batches(dataset, width):
        outputs = outputs_of(*inputs)[: len(rows)].cpu().numpy()
        if not predicted.size:
            predicted = np.empty((len(dataset), *outputs.shape[1:]), outputs.dtype)
        predicted[rows] = outputs
    return predicted
