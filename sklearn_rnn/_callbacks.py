"""scikit-learn's callbacks, which it has from 1.9 on: a fit is a task, and each of its epochs is a task in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]  # stands in for the import
        """Nothing to support."""


class FitTask:
    """Tells the callbacks of an estimator of its fit; does nothing where scikit-learn has none.

    Make it first in `fit`, which scikit-learn's `_fit_context` must decorate: that tears callbacks down in any case.

    Parameters
    ----------
    estimator : estimator with CallbackSupportMixin
    **data
        X, y and a dict of metadata, as `fit` was given them.
    """

    def __init__(self, estimator: Any, **data: Any) -> None:
        self.estimator, self.data = estimator, data
        init = getattr(estimator, "_init_callback_context", None)
        self.context = None if init is None else init(max_subtasks=None)
        self.epoch: Any = None  # that has begun
        self.n_epochs = 0
        self.fitted_attributes: Callable[[Any], dict] | None = None

    def begin(self, n_epochs: int = 0, fitted_attributes: Callable[[Any], dict] | None = None) -> None:
        """The work begins.

        Parameters
        ----------
        n_epochs : int, default=0
            The most epochs there will be.
        fitted_attributes : callable, default=None
            From the net, the attributes that the estimator would have if training had stopped now.
        """
        self.fitted_attributes = fitted_attributes
        if self.context is not None:
            self.context.max_subtasks = n_epochs
            self.context.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def begin_epoch(self) -> None:
        """An epoch begins, or the one that had begun does anew."""
        if self.context is None or self.epoch is not None:
            return
        self.n_epochs += 1
        self.context.max_subtasks = max(self.context.max_subtasks, self.n_epochs)  # more where training begins anew
        self.epoch = self.context.subcontext(task_name="epoch")
        self.epoch.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end_epoch(self, net: Any) -> bool:
        """Whether a callback wants training to stop."""
        if self.context is None:
            return False
        attributes = None if self.fitted_attributes is None else partial(self.fitted_attributes, net)
        epoch, self.epoch = self.epoch, None
        return epoch.call_on_fit_task_end(estimator=self.estimator, **self.data, reconstruction_attributes=attributes)

    def end(self) -> None:
        """The estimator is fitted."""
        if self.context is not None:
            self.context.call_on_fit_task_end(estimator=self.estimator, **self.data, reconstruction_attributes={})
