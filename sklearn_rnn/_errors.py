"""What holds when something fails: the argument is named, and the estimator is as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


@contextmanager
def reading(name: str, advice: str = "") -> Iterator[None]:
    """Let whatever fails while an argument is read, in any library, become a ValueError or TypeError that names it.

    A message that has the name stays, and so do errors of files. Numbers too large for their type become infinite in
    silence, since infinity is refused by name.

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
    except OSError:
        raise
    except Exception as error:
        if isinstance(error, (TypeError, ValueError)) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", str(error)):
            raise
        kind = ValueError if isinstance(error, ValueError) else TypeError
        reason = str(error).rstrip(" .\n") or type(error).__name__
        raise kind(f"{name} cannot be used: {reason}. {advice}".rstrip()) from None


@contextmanager
def unchanged_on_error(estimator: Any) -> Iterator[None]:
    """A failing fit leaves the estimator, and an earlier fit, as they were."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
