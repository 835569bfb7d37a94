"""The values that an anchored net starts from: the newest of a channel that is not missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_rnn._targets import with_values
from sklearn_rnn.sequences import Sequences


def where_anchored(targets: Sequences, sequences: Sequences, channel: int) -> Sequences:
    """The targets of each step, NaN where a channel has no value yet."""
    anchors = _values_by_step(sequences, channel)
    if not np.isnan(anchors).any():
        return targets
    own = targets.with_own_rows()
    return with_values(own, np.where(np.isnan(anchors)[:, None], np.nan, own.values))


def less_anchor(targets: Sequences, sequences: Sequences, channel: int) -> Sequences:
    """The targets of each step less the channel's newest value there, NaN before the first; a row for each step."""
    own = targets.with_own_rows()
    return with_values(own, own.values - _values_by_step(sequences, channel)[:, None])


def last_values(sequences: Sequences, channel: int) -> NDArray[np.float64]:
    """The newest value of a channel in each sequence that is not missing, NaN where all are."""
    return _newest_values(sequences, channel, sequences.ends - 1, sequences.starts)


def _values_by_step(sequences: Sequences, channel: int) -> NDArray[np.float64]:
    """The same at each step of all sequences, one after the other."""
    return _newest_values(sequences, channel, sequences.rows_by_step(), np.repeat(sequences.starts, sequences.lengths))


def _newest_values(sequences: Sequences, channel: int, rows: NDArray, starts: NDArray) -> NDArray[np.float64]:
    """The newest value at each of `rows` that is not missing and no older than `starts` says, NaN without any."""
    column = sequences.values[:, channel]
    observed = np.maximum.accumulate(np.where(np.isnan(column), -1, np.arange(len(column))))[rows]
    return np.where(observed >= starts, column[observed].astype(np.float64), np.nan)
