"""HistoryDisplay: how the loss fell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from sklearn_rnn._pipelines import final_estimator
from sklearn_rnn.nets import RecurrentNet
from sklearn_rnn.plots._axes import check_columns, one_axes, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

# What training minimises, by the name that the net has for it.
LOSSES = {"quantile": "pinball loss", "binary_cross_entropy": "cross entropy", "huber": "Huber loss"}
# Losses whose targets a RecurrentNet standardises, so that 1 is about the loss of predicting the mean.
STANDARDISED = {"squared_error", "absolute_error", "huber", "quantile"}


class HistoryDisplay:
    """Loss by epoch, and the epoch whose weights the model has.

    Make it with :meth:`from_estimator` or :meth:`from_history`. All parameters are stored as attributes.

    Parameters
    ----------
    history : DataFrame
        One row an epoch: `epoch`, `train_loss` and, where there was validation data, `valid_loss`.
    best_epoch : int, default=None
        The epoch to mark on the validation loss.
    loss : str, default="loss"
        What to call the y-axis.
    name : str, default=None
        Stands before the labels, to tell several models apart.

    Attributes
    ----------
    line_ : matplotlib Line2D
        The loss of training.
    valid_line_, best_ : matplotlib Line2D or None
        The validation loss and the mark on it, None without validation data.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import HistoryDisplay, RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(200, 10))
    >>> model = RNNRegressor(hidden_size=8, max_epochs=5, early_stopping=True, random_state=0).fit(X, X[:, -1])
    >>> display = HistoryDisplay.from_estimator(model)
    >>> display.ax_.get_xlabel(), display.ax_.get_ylabel()
    ('epoch', 'squared error of the standardised target')
    """

    line_: Line2D
    valid_line_: Line2D | None
    best_: Line2D | None
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self, *, history: pd.DataFrame, best_epoch: int | None = None, loss: str = "loss", name: str | None = None
    ) -> None:
        self.history = history
        self.best_epoch = best_epoch
        self.loss = loss
        self.name = name

    def plot(self, ax: Axes | None = None) -> HistoryDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw, over what is there; None makes a new figure.

        Returns
        -------
        HistoryDisplay
        """
        epochs, name = self.history["epoch"], "" if self.name is None else f"{self.name}: "
        if self.best_epoch is not None and self.best_epoch not in set(epochs):
            raise ValueError(
                f"best_epoch is {self.best_epoch!r}, but the history has the epochs {epochs.min()} to {epochs.max()}. "
                "Name one of them, or none."
            )
        ax = one_axes(self, ax)
        marker = "o" if len(self.history) == 1 else ""
        (self.line_,) = ax.plot(epochs, self.history["train_loss"], marker=marker, label=f"{name}training")
        self.valid_line_ = self.best_ = None
        if "valid_loss" in self.history:
            losses = self.history["valid_loss"]
            (line,) = ax.plot(epochs, losses, marker=marker, label=f"{name}validation")
            self.valid_line_ = line
            if self.best_epoch is not None:
                best, label = losses[epochs == self.best_epoch], f"{name}best epoch ({self.best_epoch})"
                (self.best_,) = ax.plot([self.best_epoch], best, "o", color=line.get_color(), markersize=8, label=label)
        whole_numbers(ax)
        ax.set(xlabel="epoch", ylabel=self.loss)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(cls, estimator: Any, *, name: str | None = None, ax: Axes | None = None) -> HistoryDisplay:
        """Draw the training of a fitted model.

        Parameters
        ----------
        estimator : RNNRegressor, RNNClassifier or RNNForecaster
            Fitted; or a fitted Pipeline that ends in one, or a fitted search over either, whose best one counts.
        name : str, default=None
            Stands before the labels, to tell several models apart.
        ax : matplotlib Axes, default=None
            Where to draw, over what is there; None makes a new figure.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        NotFittedError
            If the model is not fitted.
        TypeError
            If it is no model of this package.
        """
        model = final_estimator(estimator)
        if not hasattr(model, "history_"):
            raise TypeError(
                f"estimator is a {type(model).__name__}, but HistoryDisplay draws the training of RNNRegressor, "
                "RNNClassifier and RNNForecaster. Pass one of them, or a Pipeline or search that ends in one."
            )
        kind = model.net_.criterion_.kind
        loss = LOSSES.get(kind, kind.replace("_", " "))
        is_standardised = kind in STANDARDISED and isinstance(model.net_.module_, RecurrentNet)
        loss += " of the standardised target" if is_standardised else ""
        return cls(history=model.history_, best_epoch=model.best_epoch_, loss=loss, name=name).plot(ax)

    @classmethod
    def from_history(
        cls,
        history: pd.DataFrame,
        *,
        best_epoch: int | None = None,
        loss: str = "loss",
        name: str | None = None,
        ax: Axes | None = None,
    ) -> HistoryDisplay:
        """Draw a table of losses.

        Parameters
        ----------
        history : DataFrame
            One row an epoch: `epoch`, `train_loss` and, where there is one, `valid_loss`; such as `history_`.
        best_epoch : int, default=None
            The epoch to mark on the validation loss.
        loss : str, default="loss"
            What to call the y-axis.
        name : str, default=None
            Stands before the labels, to tell several models apart.
        ax : matplotlib Axes, default=None
            Where to draw, over what is there; None makes a new figure.

        Returns
        -------
        HistoryDisplay

        Raises
        ------
        TypeError
            If the history is no table, or ax are no axes.
        ValueError
            If a column is absent, or the history has no such epoch as the best one.
        """
        check_columns(history, ["epoch", "train_loss"], "history", "a table such as history_ of a fitted model")
        return cls(history=history, best_epoch=best_epoch, loss=loss, name=name).plot(ax)
