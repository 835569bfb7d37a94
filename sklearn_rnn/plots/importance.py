"""ImportanceDisplay: what a model looks at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from sklearn_rnn.inspection import WAYS, channel_importance
from sklearn_rnn.plots._axes import check_can_draw, ink, one_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.image import AxesImage

NEEDED = ("importances", "importances_mean", "importances_std", "channels", "lags", "by")
# How many characters fit beside each other below bars, and below a heat map, which has names and a scale beside it.
BELOW_BARS, BELOW_IMAGE = 70, 45


class ImportanceDisplay:
    """Importance of channels as bars, of lags as bars from the newest to the oldest, or of both as a heat map.

    Make it with :meth:`from_estimator` or :meth:`from_importances`. All parameters are stored as attributes.

    Parameters
    ----------
    importances : Bunch
        What :func:`~sklearn_rnn.channel_importance` gave.

    Attributes
    ----------
    bars_ : matplotlib BarContainer or None
        One bar a channel or block of lags, with the standard deviation over the repeats. None for a heat map.
    image_ : matplotlib AxesImage or None
    colorbar_ : matplotlib Colorbar or None
        The heat map, (n_channels, n_blocks), and its scale. None for bars.
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_rnn import ImportanceDisplay, RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(200, 6, 2))
    >>> y = X[:, -1, 1]
    >>> model = RNNRegressor(hidden_size=8, max_epochs=10, random_state=0).fit(X, y)
    >>> display = ImportanceDisplay.from_estimator(model, X, y, random_state=0)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['channel 0', 'channel 1']
    """

    bars_: BarContainer | None
    image_: AxesImage | None
    colorbar_: Colorbar | None
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(self, *, importances: Bunch) -> None:
        self.importances = importances

    def plot(self, ax: Axes | None = None) -> ImportanceDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ImportanceDisplay
        """
        n_lines = 0 if self.importances.by == "lag" else len(self.importances.channels)
        ax = one_axes(self, ax, least_height=1 + 0.22 * n_lines)
        self.bars_ = self.image_ = self.colorbar_ = None
        {"channel": self._draw_channels, "lag": self._draw_lags, "both": self._draw_both}[self.importances.by](ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_channels(self, ax: Axes) -> None:
        """The most important channel at the top."""
        order = np.argsort(self.importances.importances_mean, kind="stable")
        names = [self.importances.channels[i] for i in order]
        mean, spread = self.importances.importances_mean[order], self.importances.importances_std[order]
        self.bars_ = ax.barh(np.arange(len(names)), mean, xerr=spread, **_error_bars(ax))
        ax.set_yticks(np.arange(len(names)), names)
        ax.axvline(0, color=ink(ax), linewidth=0.8)
        ax.set(xlabel="decrease of the score", ylabel="channel")

    def _draw_lags(self, ax: Axes) -> None:
        first, last = self.importances.lags.T
        mean, spread = self.importances.importances_mean, self.importances.importances_std
        width = 0.9 * (last - first + 1)
        self.bars_ = ax.bar((first + last) / 2, mean, width, yerr=spread, **_error_bars(ax))
        _label_lags(ax, self.importances.lags, (first + last) / 2, BELOW_BARS)
        ax.axhline(0, color=ink(ax), linewidth=0.8)
        ax.set(xlabel="lag (steps before the last)", ylabel="decrease of the score")

    def _draw_both(self, ax: Axes) -> None:
        names, lags = self.importances.channels, self.importances.lags
        self.image_ = ax.imshow(self.importances.importances_mean, aspect="auto", interpolation="nearest")
        ax.set_yticks(np.arange(len(names)), names)
        _label_lags(ax, lags, np.arange(len(lags)), BELOW_IMAGE)
        ax.set(xlabel="lag (steps before the last)", ylabel="channel")
        self.colorbar_ = ax.figure.colorbar(self.image_, ax=ax, label="decrease of the score")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        by: str = "channel",
        scoring: Any = None,
        n_repeats: int = 5,
        block_size: int | str = "auto",
        sample_weight: ArrayLike | None = None,
        max_samples: int | float | str = "auto",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        ax: Axes | None = None,
    ) -> ImportanceDisplay:
        """Compute importances and draw them.

        Parameters
        ----------
        estimator, X, y, by, scoring, n_repeats, block_size, sample_weight, max_samples, n_jobs, random_state
            As in :func:`~sklearn_rnn.channel_importance`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ImportanceDisplay

        Raises
        ------
        TypeError
            If ax are no axes; nothing is computed then.
        """
        check_can_draw(cls.__name__, ax)
        importances = channel_importance(
            estimator,
            X,
            y,
            by=by,
            scoring=scoring,
            n_repeats=n_repeats,
            block_size=block_size,
            sample_weight=sample_weight,
            max_samples=max_samples,
            n_jobs=n_jobs,
            random_state=random_state,
        )
        return cls(importances=importances).plot(ax)

    @classmethod
    def from_importances(cls, importances: Bunch, *, ax: Axes | None = None) -> ImportanceDisplay:
        """Draw importances that are there.

        Parameters
        ----------
        importances : Bunch
            What :func:`~sklearn_rnn.channel_importance` gave.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ImportanceDisplay

        Raises
        ------
        ValueError
            If something is absent, as it is in the Bunch of scikit-learn's function, or `by` is unknown.
        TypeError
            If importances are no mapping.
        """
        if not isinstance(importances, Mapping):
            raise TypeError(f"importances is {importances!r:.100}, but must be what channel_importance gave.")
        absent = [name for name in NEEDED if name not in importances]
        if absent:
            raise ValueError(
                f"importances has no {', '.join(map(repr, absent))}. Pass what sklearn_rnn.channel_importance gave."
            )
        if importances["by"] not in WAYS:
            raise ValueError(f"importances has by={importances['by']!r}, but it must be one of {', '.join(WAYS)}.")
        return cls(importances=Bunch(**importances)).plot(ax)


def _error_bars(ax: Axes) -> dict[str, Any]:
    return {"ecolor": ink(ax), "capsize": 3, "error_kw": {"elinewidth": 1}}


def _label_lags(ax: Axes, lags: Any, places: Any, n_characters: int) -> None:
    """A label a block, thinned out where they would touch."""
    labels = [str(first) if first == last else f"{first}\N{EN DASH}{last}" for first, last in lags]
    every = -(-len(labels) * (max(map(len, labels)) + 2) // n_characters)
    ax.set_xticks(places[::every], labels[::every])
