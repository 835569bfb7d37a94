"""The callbacks of a training: the user's, skorch's and our own."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from skorch import NeuralNet
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EarlyStopping,
    EpochScoring,
    LRScheduler,
    PassthroughScoring,
    PrintLog,
)

from sklearn_rnn._course import Course
from sklearn_rnn._settings import SCHEDULES, TrainingSettings


class StopTraining(KeyboardInterrupt):
    """The end of training that a callback decides on; skorch ends it by KeyboardInterrupt alone."""


def is_planned(error: KeyboardInterrupt) -> bool:
    """Whether a callback ended training, as skorch's EarlyStopping does by the exception of Ctrl-C."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return isinstance(error, StopTraining) or isinstance(frame.f_locals.get("self"), EarlyStopping)


class RecordLearningRate(Callback):
    """The learning rate at the end of each epoch, in the history."""

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        net.history.record("learning_rate", net.optimizer_.param_groups[0]["lr"])


class Observer(Protocol):
    """Who is told of each epoch."""

    def begin_epoch(self) -> None:
        """An epoch begins."""

    def end_epoch(self, net: Any) -> bool:
        """Whether training is to end."""


class Tell(Callback):
    """Tells the course of training and its observers of each epoch, after all else; any of them can end it."""

    def __init__(self, course: Course, observers: Sequence[Observer]) -> None:
        self.course, self.observers = course, observers

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        self.course.begin(net)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        for observer in self.observers:
            observer.begin_epoch()

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        if any([self.course.end_epoch(net), *[observer.end_epoch(net) for observer in self.observers]]):
            raise StopTraining

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        self.course.end(net)
        self.observers = ()  # they know the training data, which the net outlives


def check_callbacks(callbacks: Iterable[Any], schedule: str) -> None:
    """TypeError for what skorch takes for no callback, or what could not do its work here.

    skorch takes a callback, its class, or either with a name before it. ValueError for a second schedule.
    """
    for callback in callbacks:
        is_named = isinstance(callback, tuple) and len(callback) == 2 and isinstance(callback[0], str)
        bare = callback[1] if is_named else callback
        kind = bare if isinstance(bare, type) else type(bare)
        if not issubclass(kind, Callback):
            raise TypeError(f"callbacks has {callback!r}, which is no skorch callback. Drop it.")
        if issubclass(kind, (EpochScoring, BatchScoring, PassthroughScoring)):
            raise TypeError(
                f"callbacks has {kind.__name__}, but the nets are trained on standardised targets, by which no metric "
                "can score. Drop it: the losses are in history_, and scikit-learn's ScoringMonitor (from its version "
                "1.9 on), set by set_callbacks, scores each epoch."
            )
        if issubclass(kind, LRScheduler) and schedule in SCHEDULES:
            raise ValueError(
                f"callbacks has {kind.__name__}, which sets the learning rate, but so does schedule={schedule!r} after "
                "each update. Drop it, or set schedule='constant'."
            )


def check_monitored(callbacks: Iterable[tuple[str, Callback]], has_valid: bool) -> None:
    """ValueError for callbacks that watch the validation loss where there is none."""
    for _, callback in callbacks:
        monitored = getattr(callback, "monitor", None)
        if not has_valid and isinstance(monitored, str) and monitored.startswith("valid_"):
            raise ValueError(
                f"callbacks has {type(callback).__name__}, which watches {monitored!r}, but nothing is held out. Set "
                "early_stopping=True or pass X_val and y_val; or let it watch 'train_loss'."
            )


def make_callbacks(settings: TrainingSettings, has_valid: bool) -> list[Any]:
    callbacks: list[Any] = [RecordLearningRate(), *settings.callbacks]
    if settings.schedule == "plateau":
        callbacks.append(
            LRScheduler(
                torch.optim.lr_scheduler.ReduceLROnPlateau,
                monitor="valid_loss" if has_valid else "train_loss",
                factor=0.5,
                patience=max(settings.n_iter_no_change // 2, 1),
                event_name=None,
            )
        )
    if settings.verbose > 1:
        callbacks.append(PrintLog())
    return callbacks
