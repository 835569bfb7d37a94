"""What stands behind RNNForecaster: parameters, sizes, training, forecasts of windows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sklearn_rnn._callbacks import FitTask
from sklearn_rnn._conformal import calibrate, recency
from sklearn_rnn._device import computing, device_for_fit, torch_threads, usual_modes
from sklearn_rnn._distributed import n_processes
from sklearn_rnn._errors import warn
from sklearn_rnn._forecast_blend import Trial, blend, folds, is_worth_trials
from sklearn_rnn._forecast_data import (
    ForecastDataset,
    naive_forecast,
    scale_after_zeros,
    thinned,
    values_after,
    windows_before,
    with_a_target,
)
from sklearn_rnn._forecast_history import HistoryForecaster
from sklearn_rnn._forecast_tables import all_quantiles, check_column_names
from sklearn_rnn._frequency import find_frequency
from sklearn_rnn._losses import Criterion
from sklearn_rnn._net_estimator import EARLY_STOPPING_SAMPLES
from sklearn_rnn._panel import (
    CALENDAR,
    bounds_of_runs,
    check_same_roles,
    check_spacing,
    completed,
    cut_at_one_time,
    sort_rows,
    warn_of_other_moments,
    warn_of_rows_alone,
    with_static_values,
)
from sklearn_rnn._prediction import predict_forecasts
from sklearn_rnn._randomness import is_random, seeded
from sklearn_rnn._rows import AGAINST_ROUNDING, Rows, as_names, warn_of_rounding
from sklearn_rnn._settings import TrainingSettings
from sklearn_rnn._statistics import (
    channel_statistics,
    check_units,
    deviations_of_groups,
    not_above_stretches,
    scales_of_groups,
)
from sklearn_rnn._times import check_same_kind
from sklearn_rnn._training import fit_net
from sklearn_rnn._validation import MEDIAN, read_quantiles
from sklearn_rnn.nets import ForecastNet
from sklearn_rnn.sequences import Sequences

SEGMENTS = 14  # of a window
FEWEST_STEPS = 4  # of a segment whose size no season tells
LARGEST_VALIDATION = 8_192  # windows
LEAST_AFTER_ZEROS = 1e-3  # of the smallest series' deviation: what follows a window of zeros counts in no less


class BaseForecaster(HistoryForecaster):
    """The mechanics of :class:`~sklearn_rnn.RNNForecaster`, whose parameters it reads."""

    _shortest_window: int
    _scales_of_fit: list[tuple]
    _deviations_of_fit: list[tuple]
    _of_the_net = (*HistoryForecaster._of_the_net, "n_steps", "normalize", "segment_size", "shared", "loss")
    _updates = 640
    _epochs = (4, 100)

    # Parameters -------------------------------------------------------------------------------------------------------

    def _validate_params(self) -> None:
        super()._validate_params()
        unknown = [name for name in as_names(self.calendar) if not (isinstance(name, str) and name in CALENDAR)]
        if unknown:
            raise ValueError(f"calendar has {unknown[0]!r}, but can have {', '.join(CALENDAR)}.")
        levels = [] if self.quantiles is None else read_quantiles(self.quantiles)
        if len(set(levels)) < len(levels):
            raise ValueError(f"quantiles is {self.quantiles!r}, but each may occur once.")
        if self.conformal and self.quantiles is None:
            raise ValueError("conformal=True calibrates quantiles, but quantiles is None. Set it, say to (0.1, 0.9).")

    def _check_is_as_fitted(self) -> None:
        """NotFittedError before `fit`; ValueError if the form of forecasts was changed by set_params since."""
        check_is_fitted(self)
        net = self.net_
        fitted = {"horizon": net.module_.horizon, "quantiles": list(net.criterion_.config["quantiles"])}
        now = {"horizon": self.horizon, "quantiles": all_quantiles(self.quantiles)}
        for name, value in fitted.items():
            if now[name] != value:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}, but the model was fitted with {value or None}"
                    f"{' (the median included)' if name == 'quantiles' and value else ''}. Set it back, or fit again, "
                    "with warm_start=False."
                )

    def _learns_few_by_heart(self) -> bool:
        return True

    # Training ---------------------------------------------------------------------------------------------------------

    def _device_of_one_process(self) -> str:
        """The device to train on; ValueError if there is none such, or several processes are to train together."""
        if n_processes() > 1:
            raise ValueError(
                f"{type(self).__name__} is trained by one process, but torch.distributed has begun a group of "
                f"{n_processes()}. Fit it without the group, or take RNNRegressor, which can be trained by several."
            )
        return device_for_fit(self.device, self.precision)

    def _start_fit(self, frame: pd.DataFrame, resume: bool) -> Rows:
        """Learn columns, frequency, sizes and normalization from the table; its sorted rows."""
        if resume:
            self._check_is_as_fitted()
            self._check_goes_on()
            check_same_roles(self._find_roles(frame), self._roles)
        else:
            self._roles = self._find_roles(frame)
            check_column_names(self._roles, self.quantiles)
        given, times = self._read(frame, self.dtype, self._frequency.zone if resume else None)
        rows = sort_rows(given, None if times is None else times.kind)
        rows = with_static_values(rows, self._roles)
        self._check_length(rows)
        others = {self._roles.time, *self._roles.group, *self._roles.categories}
        numeric = [position for position, name in enumerate(frame.columns) if name not in others]
        warn_of_rounding(frame, numeric, self.dtype, AGAINST_ROUNDING, series=given)
        if resume:
            check_same_kind(times, self._frequency.kind, "the data")
            check_spacing(rows, self._frequency)
            return completed(rows, self._roles, self._frequency)
        self._frequency = find_frequency(times, rows)
        warn_of_other_moments(rows, self._frequency)
        warn_of_rows_alone(rows, self._frequency)
        rows = completed(rows, self._roles, self._frequency)
        self.season_ = self._frequency.season
        self.segment_size_, self.n_steps_ = self._sizes(rows)
        self.normalize_ = None if self.normalize is None else str(self.normalize)
        if self.normalize == "auto":
            self.normalize_ = "scaled" if len(rows.labels) > 1 else "last"
        return rows

    def _sizes(self, rows: Rows) -> tuple[int, int]:
        """How many rows a segment and a window have: of a window 14 segments, where there is room."""
        longest = int(rows.sizes().max()) - self.horizon
        room = self._room(longest, len(rows.values))
        segment = self._frequency.segment_size
        if self.segment_size != "auto":
            segment = int(self.segment_size)
        elif self.season_ == 1:
            segment = min(segment, max(room, FEWEST_STEPS))
        segment = min(segment, longest)
        if self.n_steps != "auto":
            return segment, min(int(self.n_steps), 2**31)
        return segment, max(min(room // segment, SEGMENTS), 1) * segment

    def _room(self, longest: int, n_rows: int) -> int:
        """How many rows a window may have: a third of the longest series.

        Months are long, and series change: of these a sixth, but two years where two thirds hold them. Of years, which
        are few and repeat nothing, a tenth of all rows, if that is less.
        """
        if self._frequency.is_monthly:
            return max(longest // 6, min(2 * self.season_, 2 * longest // 3))
        return min(longest // 3, n_rows // 10) if self._frequency.is_yearly else longest // 3

    def _season_changes(self, rows: Rows, first_rows: NDArray, last_rows: NDArray) -> NDArray[np.float64]:
        """Mean absolute change over a season up to each group's last row, (n_groups, n_targets), NaN if unknown."""
        means = np.full((len(rows.labels), self._roles.n_targets), np.nan)
        starts, ends = rows.bounds()
        for code, start in enumerate(starts):  # one after the other, so that no table is copied whole
            end = min(ends[code], last_rows[code] + 1)
            same_run = np.searchsorted(first_rows, np.arange(start, end), side="right")
            same_run = same_run[self.season_ :] == same_run[: -self.season_]
            values = rows.values[start:end, : means.shape[1]]
            changes = np.abs(values[self.season_ :] - values[: -self.season_], dtype=np.float64)[same_run]
            present = ~np.isnan(changes)
            means[code] = np.where(present, changes, 0.0).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        return np.where(means > 0, means, np.nan)

    def _check_length(self, rows: Rows) -> None:
        longest, needed = int(rows.sizes().max()), self.horizon + 1
        if longest < needed:
            what = "The data have" if len(rows.labels) == 1 else "The longest group has"
            raise ValueError(
                f"{what} {longest} rows, but a horizon of {self.horizon} needs at least {needed}: one to forecast from "
                f"and {self.horizon} to compare with. Pass more rows, or lower horizon."
            )

    @usual_modes()
    def _train(self, rows: Rows, resume: bool, device: str, task: FitTask) -> None:
        seed = self._draw_seed()
        runs = bounds_of_runs(rows, self._frequency)
        _warn_of_short_runs(runs, rows, self.n_steps_ + self.horizon)
        starts, ends = rows.bounds()
        changes = self._season_changes(rows, runs[0], ends - 1)
        self._scales_of_fit = _replaced(self._scales_of_fit if resume else [], rows.labels, changes)
        cuts = self._cuts(rows)
        train, valid, stop_early = self._split(rows, runs, cuts)
        shortest = int(train.lengths.min())
        self._shortest_window = min(self._shortest_window, shortest) if resume else shortest
        stops = ends if valid is None else cuts  # of each group's rows to train on
        within = deviations_of_groups(rows.values[:, : self._roles.n_targets], starts, stops)
        self._deviations_of_fit = _replaced(self._deviations_of_fit if resume else [], rows.labels, within[0])
        with ExitStack() as randomness:
            randomness.enter_context(seeded(seed, device))
            module, criterion, state = self._start(rows, runs, stops, within, train, resume)
            data = self._dataset(module, train, device, times=rows.clock())
            held_out = None if valid is None else self._dataset(module, valid, device, beside=data)
            n_samples = data.samples_an_epoch
            settings = self._settings(n_samples, stop_early, device, one_pass=False, is_watched=stop_early)
            if not is_random(module):
                randomness.close()  # so that fits in other threads need not wait
            task.begin(settings.n_epochs, partial(self._fitted_so_far, device=device, resume=resume))
            with computing(self.n_threads, module.recurrent, device):
                try_parts = None
                if self.blend and not (stop_early or resume):
                    try_parts = partial(_trials, copy.deepcopy(module), criterion, data, settings, seed)
                trials = try_parts() if try_parts and self._must_try(data) else []
                net, best = fit_net(
                    module, criterion, data, held_out, settings=settings, seed=seed, optimizer_state=state,
                    observers=[task],
                )  # fmt: skip
                if stop_early and held_out is not None:
                    trials = [Trial(module, data, held_out)]
                if self.blend and (trials or not resume):  # training went on with the mixture
                    later = None if try_parts is None or net.interrupted else partial(_finished, try_parts)
                    blend(module, data, trials, try_parts=later)
                if self.conformal and held_out is not None:
                    weights = recency(_rows_behind(rows, held_out))
                    calibrate(module, held_out, all_quantiles(self.quantiles), weights)
        self._store_training(net, best, device, resume)
        self._judge(rows, runs[0], valid)

    def _must_try(self, data: ForecastDataset) -> bool:
        """Whether parts of the windows tell the net's share: covariates may tell it what they tell no regression."""
        return bool(self._roles.known) and is_worth_trials(data) and len(data) < EARLY_STOPPING_SAMPLES

    def _cuts(self, rows: Rows) -> NDArray[np.int64]:
        """The first held-out row of each group, its end where it is too short to hold any out.

        Series with dates are cut at one time, for what moves them together would be known from the others; numbers may
        be ages, which tell nothing of that. Rows behind the last target do not count: they tell nothing.
        """
        starts, ends = rows.bounds()
        stops = ends
        unknown = np.all(np.isnan(rows.values[:, : self._roles.n_targets]), axis=1)
        if unknown[ends - 1].any():
            last = np.maximum.reduceat(np.where(unknown, -1, np.arange(len(unknown))), starts)
            stops = np.maximum(last + 1, starts)
        n_held_out = np.maximum(np.rint(self.validation_fraction * (stops - starts)).astype(np.int64), self.horizon)
        cuts = stops - n_held_out
        if len(rows.labels) > 1 and self._frequency.has_dates:
            cuts = cut_at_one_time(rows, stops, cuts, self.validation_fraction, self.horizon)
        return np.where((cuts - starts > self.horizon) & (cuts < stops), cuts, ends)

    def _windows_of(self, rows: Rows, runs: tuple, stop: NDArray | None, first_target: Any) -> Sequences:
        """Windows whose next `horizon` rows lie in the same run, from `first_target` on and before `stop`."""
        starts, stops = runs
        if stop is not None:
            stops = np.minimum(stops, stop)
        possible = stops - starts - self.horizon
        # Short series give shorter windows, long ones none but full windows.
        shortest = np.minimum(self.n_steps_, np.maximum(np.minimum(self.segment_size_, possible), possible // 2))
        first = np.maximum(starts + np.maximum(shortest, 1) - 1, np.asarray(first_target) - 1)
        windows = windows_before(rows.values, starts, first, stops - self.horizon - 1, self.n_steps_)
        return with_a_target(windows, self.horizon, self._roles.n_targets, inside=self.normalize_ is not None)

    def _check_windows(self, rows: Rows, windows: Sequences) -> None:
        if len(windows) == 0:
            if np.isnan(rows.values[:, : self._roles.n_targets]).all():
                raise ValueError("The target has no value in any row. Pass rows that have one.")
            raise ValueError(
                f"There is no window to train on: between gaps there are never {self.horizon + 1} rows, of which the "
                "later ones have a target. Fill gaps by rows of NaN, for example with df.asfreq, or lower horizon."
            )

    def _split(self, rows: Rows, runs: tuple, cuts: NDArray) -> tuple[Sequences, Sequences | None, bool]:
        """Windows to train on, held-out ones if there are, and whether training stops early by them.

        They are in the order of their groups' labels, so that what is learned does not depend on the table's.
        """
        ranks = rows.ranks()

        def windows_of(stop: NDArray | None, first_target: Any) -> Sequences:
            windows = self._windows_of(rows, runs, stop, first_target)
            return windows[ranks[rows.groups[windows.starts]].argsort(kind="stable")]

        windows = windows_of(None, 0)
        self._check_windows(rows, windows)
        self.n_skipped_groups_ = len(rows.labels) - len(np.unique(rows.groups[windows.starts]))
        automatic = self.early_stopping == "auto"
        stop_early = len(windows) >= EARLY_STOPPING_SAMPLES if automatic else bool(self.early_stopping)
        if not stop_early and not self.conformal:
            return windows, None, False
        cut = cuts[rows.groups[runs[0]]]  # (n_runs,)
        train, valid = windows_of(cut, 0), windows_of(None, cut)
        if len(train) and len(valid):
            return train, thinned(valid, LARGEST_VALIDATION), stop_early
        if automatic and not self.conformal:
            return windows, None, False
        name = "conformal=True" if automatic or not stop_early else "early_stopping=True"
        if (cuts == rows.bounds()[1]).all():
            raise ValueError(
                f"{name} holds out rows, a share of {self.validation_fraction:g} and at least the horizon, "
                f"but that leaves no group more than {self.horizon} rows to train on. Pass more rows, lower "
                "validation_fraction, or set it to False."
            )
        raise ValueError(
            f"{name} holds out the last rows (a share of {self.validation_fraction:g}), but no window of "
            f"{'these' if len(train) else 'the others'} is followed by a target. Drop the rows whose targets are "
            "missing at the end, change validation_fraction, or set it to False."
        )

    @torch_threads(1)  # the threads of a decomposition would change bits, and hang in a process that is forked later
    def _start(
        self,
        rows: Rows,
        runs: tuple,
        group_stops: NDArray,
        within: tuple[NDArray, NDArray],
        train: Sequences,
        resume: bool,
    ) -> tuple[ForecastNet, Criterion, dict | None]:
        """The module and criterion that training begins with: new ones, or copies of those of the last fit.

        Each group is trained on its rows before `group_stops`; `within` says how much it varies there, as
        :func:`~sklearn_rnn._statistics.deviations_of_groups` does.
        """
        if resume:
            module, criterion, state = self._continued()
            module.factors.fill_(torch.nan)
            module.may_lack_targets |= bool(np.isnan(rows.values[:, : self._roles.n_targets]).any())
            return module, criterion, state
        starts, stops = runs
        stops = np.maximum(np.minimum(stops, group_stops[rows.groups[starts]]), starts)
        kept = stops > starts
        training_rows = Sequences(rows.values, starts[kept], (stops - starts)[kept])
        roles, dtype, levels = self._roles, getattr(torch, self.dtype), all_quantiles(self.quantiles)
        module = ForecastNet(
            roles.n_targets,
            int(self.horizon),
            min(self.n_steps_, int(training_rows.lengths.max())),
            n_past=len(roles.past),
            n_known=roles.n_known,
            n_static=len(roles.static),
            **self._columns_of_fit(training_rows, train, within, is_panel=len(rows.labels) > 1),
            cell=str(self.cell),
            hidden_size=int(self.hidden_size),
            n_layers=int(self.n_layers),
            **self._ways_to_compute(),
            normalize=self.normalize_,
            segment_size=self.segment_size_,
            shared=bool(self.shared),
            n_quantiles=len(levels),
            median=levels.index(MEDIAN) if levels else 0,
            dtype=dtype,
        )
        kind = self.loss if self.quantiles is None else "quantile"
        criterion = Criterion(kind, quantiles=tuple(levels), skip_missing=True)
        return module, criterion.to(dtype), None

    def _columns_of_fit(
        self, training_rows: Sequences, train: Sequences, within: tuple[NDArray, NDArray], *, is_panel: bool
    ) -> dict[str, Any]:
        """Units and categories of the columns, and which of them have missing values, as the net takes them."""
        roles = self._roles
        targets = slice(0, roles.n_targets)
        mean, scale, missing = channel_statistics(training_rows, n_targets=roles.n_targets)
        sizes: dict[str, Any] = {}  # of series of unlike size
        if self.normalize_ is not None and is_panel:
            scale[targets], relative, smallest = scales_of_groups(*within, scale[targets])
            after_zeros = scale_after_zeros(train, self.horizon, roles.n_targets)
            after_zeros = np.fmin(np.maximum(after_zeros, LEAST_AFTER_ZEROS * smallest), scale[targets])
            sizes = {
                "relative_scale": relative.tolist(),
                "smallest_scale": smallest.tolist(),
                "zero_scale": after_zeros.tolist(),
            }
        elif self.normalize_ == "last":
            scale[targets] = not_above_stretches(scale[targets], training_rows, self.n_steps_ + self.horizon)
        check_units(mean, scale, "X")
        categories = {roles.position(name): list(map(float, range(len(c)))) for name, c in roles.categories.items()}
        return {
            "mean": mean.tolist(),
            "scale": scale.tolist(),
            **sizes,
            "missing": [int(i) for i in np.flatnonzero(missing) if i not in categories],
            "categories": categories,
        }

    def _dataset(self, module: ForecastNet, windows: Sequences, device: str, **options: Any) -> ForecastDataset:
        return ForecastDataset(
            windows,
            self.horizon,
            self._roles.n_targets,
            self._roles.known_columns,
            module.units,
            device=device,
            **options,
        )

    def _judge(self, rows: Rows, first_rows: NDArray, valid: Sequences | None) -> None:
        """How the model does on the held-out rows beside naive forecasts."""
        self.skill_ = None
        if valid is None:
            return
        actual = self._actual(valid)
        errors = {"model": self._point_forecast(valid) - actual}
        for name, season in (("persistence", 1), ("seasonal_naive", self.season_)):
            errors[name] = self._naive(valid, first_rows, season) - actual
        self.skill_ = _skill(errors, self._units(rows, valid))
        if self.verbose and self.skill_ is not None:
            print(describe_skill(self.skill_))

    def _units(self, rows: Rows, windows: Sequences) -> NDArray[np.float64]:
        """The standard deviation of each window's group in the rows of training, (n_windows, 1, n_targets).

        Of groups that were constant there, or that fit has not seen, the net's usual one.
        """
        fitted = dict(self._deviations_of_fit)
        usual = self.net_.module_.output_scale.cpu().double().numpy()
        units = np.array([fitted.get(label, usual) for label in rows.labels])[rows.groups[windows.starts]]
        return np.where(np.isnan(units), usual, units)[:, None]

    # Forecasts --------------------------------------------------------------------------------------------------------

    @property
    def net_share_(self) -> NDArray[np.float64]:
        return self.net_.module_.share.cpu().double().numpy()

    def _forecast(self, windows: Sequences) -> NDArray[np.float64]:
        """Forecasts of windows that are followed by the rows of the horizon: (n, horizon, n_targets[, n_quantiles])."""
        module = self.net_.module_
        with computing(self.n_threads, module.recurrent, self.device_):
            return predict_forecasts(module, self._dataset(module, windows, self.device_))

    def _point_forecast(self, windows: Sequences) -> NDArray[np.float64]:
        """The same without quantiles, (n, horizon, n_targets)."""
        return self.net_.module_.point(self._forecast(windows))

    def _actual(self, windows: Sequences) -> NDArray[np.float64]:
        return values_after(windows, self.horizon, self._roles.n_targets)

    def _naive(self, windows: Sequences, first_rows: NDArray, season: int) -> NDArray[np.float64]:
        return naive_forecast(windows, first_rows, self.horizon, self._roles.n_targets, season)


def _trials(
    module: ForecastNet, criterion: Criterion, data: ForecastDataset, settings: TrainingSettings, seed: int
) -> list[Trial]:
    """Nets that learned from parts of the windows, for half of the epochs, after which the shares are much the same."""
    n_epochs = -(-settings.max_epochs // 2)
    settings = replace(settings.of_trial(), max_epochs=n_epochs, n_epochs=n_epochs)
    trials = [Trial(copy.deepcopy(module), *parts) for parts in folds(data, apart=data.horizon)]
    for i, (net, learned, _) in enumerate(trials, 1):
        fit_net(net, criterion, learned, None, settings=settings, seed=seed, trial=(i, len(trials)))
    return trials


def _finished(try_parts: Callable[[], list[Trial]]) -> list[Trial]:
    """The trials of a net that has been trained; an interrupt of theirs is no reason to lose it."""
    try:
        return try_parts()
    except KeyboardInterrupt:
        warn("Interrupted in the trials after training, which tell the net's share in the forecast: it has a third.")
        return []


def _replaced(known: list[tuple], labels: list, values: NDArray) -> list[tuple]:
    """What is known of each group, in pairs with its label, with those values in the place of older ones."""
    return list({**dict(known), **dict(zip(labels, values.tolist(), strict=True))}.items())


def _rows_behind(rows: Rows, windows: ForecastDataset) -> NDArray[np.int64]:
    """How many rows of its group come after each window."""
    return rows.bounds()[1][rows.groups[windows.starts.numpy()]] - windows.ends.numpy()


def _warn_of_short_runs(runs: tuple, rows: Rows, n_rows: int) -> None:
    """Tell of gaps that cut most of the whole windows, of `n_rows` with their horizon, that there would be without."""
    lengths, sizes = runs[1] - runs[0], rows.sizes()
    n_windows, n_without_gaps = (int(np.maximum(parts - n_rows + 1, 0).sum()) for parts in (lengths, sizes))
    if 2 * n_windows < n_without_gaps:
        warn(
            f"Gaps in time cut the rows into {len(lengths)} stretches of {int(np.median(lengths))} rows (median), and "
            "windows end there: most are short. Fill gaps by rows of NaN, for example with df.asfreq; or, if what "
            "follows a gap goes on from what was before it, number the rows and name that column with time=. Opening "
            "hours need neither, if they are the same for three weeks or more.",
        )


def _skill(errors: dict[str, NDArray], units: NDArray) -> dict[str, float] | None:
    """Mean absolute errors in `units` where all are known, None if nowhere."""
    there = ~np.isnan(sum(errors.values()))
    if not there.any():
        return None
    skill = {name: float((np.abs(error) / units)[there].mean()) for name, error in errors.items()}
    best = min(skill["persistence"], skill["seasonal_naive"])
    return {**skill, "skill": 1 - skill["model"] / best if best > 0 else 0.0}


def describe_skill(skill: dict[str, float]) -> str:
    """One line for the user."""
    verdict = f"{skill['skill']:.0%} better than the best of them" if skill["skill"] > 0 else "no skill"
    return (
        f"Validation MAE in standard deviations: model {skill['model']:.4g}, persistence {skill['persistence']:.4g}, "
        f"seasonal naive {skill['seasonal_naive']:.4g}: {verdict}."
    )
