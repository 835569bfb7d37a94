"""What holds when something fails: the argument is named, the estimator is as it was; warnings point at the caller."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# Packages between the user's line and the cause of a warning.
_INNER = ("sklearn_rnn", "sklearn", "joblib", "contextlib")


def warn(message: str) -> None:
    """A UserWarning that points at the line of the user's that led here, through a Pipeline or a search, too."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


@contextmanager
def reading(name: str, advice: str = "") -> Iterator[None]:
    """Let whatever fails while an argument is read, in any library, become a ValueError or TypeError that names it.

    A message that has the name stays, and so do errors of files and of memory. Numbers too large for their type become
    infinite in silence, since infinity is refused by name.

    Parameters
    ----------
    name : str
        The argument as the user knows it.
    advice : str, default=""
        What to do, as a sentence.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, (TypeError, ValueError)) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error)):
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        reason = str(error).rstrip(" .\n") or type(error).__name__
        raise kind(f"{name} cannot be used: {reason}. {advice}".rstrip()) from None


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """A method that fails leaves the estimator, and an earlier fit, as they were."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
