"""What every estimator around a trained net shares: training settings, the record of training, pickling."""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags, check_random_state

from sklearn_rnn._callbacks import CallbackSupportMixin
from sklearn_rnn._checkpoints import check_path, seed_to_go_on
from sklearn_rnn._device import resolve_device
from sklearn_rnn._distributed import gathered, n_processes, rank, summed
from sklearn_rnn._optimizers import optimizer_class
from sklearn_rnn._parameters import check_net_and_training
from sklearn_rnn._settings import TrainingSettings
from sklearn_rnn._training import SequenceNet, freeze_net, restore_module, restore_net
from sklearn_rnn._validation import check_parameters

_RESTORING = threading.RLock()

EARLY_STOPPING_SAMPLES, EPOCHS_FOR_FEW_SAMPLES = 1_000, 30
UPDATES = 2_000


class NetEstimator(CallbackSupportMixin, BaseEstimator):
    """An estimator with a net, whose parameters of training and machine have the shared names."""

    _history: dict[str, list]
    _made_by: dict[str, Any]
    best_epoch_: int
    n_iter_: int
    device_: str
    _updates = UPDATES
    _epochs = (10, 200)
    # The parameters that the net and its loss are made by, which training that goes on cannot change.
    _of_the_net: tuple[str, ...] = ("cell", "hidden_size", "n_layers")

    def _validate_params(self) -> None:
        check_parameters(self)
        check_net_and_training(self)

    def _learn_features(self, n_features: int, names: Sequence[str] | None) -> None:
        self.n_features_in_ = n_features
        self.__dict__.pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = np.asarray(names, dtype=object)

    def _settings(
        self, n_samples: int, stop_early: bool, device: str, one_pass: bool, *, is_watched: bool
    ) -> TrainingSettings:
        """`is_watched` says whether samples that are not learned from tell which epoch is the best."""
        n_samples = summed(n_samples)
        batch_size = (
            automatic_batch_size(n_samples) if self.batch_size == "auto" else int(min(self.batch_size, n_samples))
        )
        n_updates = -(-n_samples // batch_size)
        fewest, most = self._epochs
        if n_samples < EARLY_STOPPING_SAMPLES and not is_watched and self._learns_few_by_heart():
            most = EPOCHS_FOR_FEW_SAMPLES
        enough = int(np.clip(-(-self._updates // n_updates), fewest, most))
        max_epochs = 1 if one_pass else enough if self.max_epochs == "auto" else int(self.max_epochs)
        return TrainingSettings(
            optimizer=self.optimizer,
            learning_rate=float(self.learning_rate),
            schedule="constant" if one_pass else self.schedule,
            weight_decay=float(self.weight_decay),
            gradient_clip=None if self.gradient_clip is None else float(self.gradient_clip),
            batch_size=-(-batch_size // n_processes()),
            max_epochs=max_epochs,
            n_epochs=max_epochs,
            stop_early=stop_early,
            n_iter_no_change=self.n_iter_no_change,
            tol=self.tol,
            average=bool(self.average),
            callbacks=self.callbacks or (),
            device=device,
            verbose=0 if rank() else int(self.verbose),
            checkpoint=None if one_pass or self.checkpoint is None else check_path(self.checkpoint),
            checkpoint_every=int(self.checkpoint_every),
        )

    def _learns_few_by_heart(self) -> bool:
        """Whether few samples that nothing is held out from must have few epochs."""
        return False

    def _draw_seed(self, one_pass: bool = False) -> int:
        """What decides all that is random in a fit; without an int as random_state a checkpoint knows it."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        if self.checkpoint is None or one_pass or isinstance(self.random_state, Integral):
            return gathered(seed)[0]
        return gathered(seed_to_go_on(check_path(self.checkpoint), seed))[0]

    def _ways_to_compute(self) -> dict[str, Any]:
        """The arguments of a net that its weights do not depend on, which can change while training goes on."""
        return {"dropout": float(self.dropout), "fused": bool(self.fused), "precision": str(self.precision)}

    def _check_goes_on(self) -> None:
        """ValueError if a parameter is not what it was when the net was made that training is to go on with."""
        for name, before in self._made_by.items():
            now = getattr(self, name)
            if not _are_equal(now, before):
                raise ValueError(
                    f"Training goes on with the net of the last fit, but {name} is {now!r} and was {before!r} there. "
                    "Set it back; or let fit begin anew, with warm_start=False."
                )

    def _continued(self) -> tuple[Any, Any, dict | None]:
        """Copies of module, criterion and optimizer state of the last fit, which a refused fit leaves as they were.

        An optimizer that has become another one begins without a state.
        """
        old, dtype = self.net_, getattr(torch, self.dtype)
        frozen = freeze_net(old)
        frozen["module"] = {**frozen["module"], **self._ways_to_compute()}
        goes_on = isinstance(old.optimizer_, optimizer_class(self.optimizer))
        state = copy.deepcopy(old.optimizer_.state_dict()["state"]) if goes_on else None
        return restore_module(frozen).to(dtype), copy.deepcopy(old.criterion_).to(dtype), state

    @property
    def _net_dtype(self) -> str:
        """What the net computes in, whatever `dtype` says since."""
        return str(self.net_.module_.head.weight.dtype).removeprefix("torch.")

    def _store_training(self, net: SequenceNet, best_epoch: int, device: str, resume: bool) -> None:
        for name, value in self._record_of_training(net, best_epoch, device, resume).items():
            setattr(self, name, value)
        self._net = net
        self.__dict__.pop("_frozen_net", None)  # of the last fit, unpickled

    def _fitted_so_far(self, net: SequenceNet, device: str, resume: bool) -> dict[str, Any]:
        """What makes a copy of the estimator fitted, as if training had ended with the epoch that the net has."""
        record = self._record_of_training(net, len(net.history), device, resume)
        return {**record, "_frozen_net": freeze_net(net)}

    def _record_of_training(self, net: SequenceNet, best_epoch: int, device: str, resume: bool) -> dict[str, Any]:
        before = self.history_ if resume else pd.DataFrame()
        kept_for_callbacks = ["batches", "train_loss_best", "valid_loss_best"]
        history = pd.DataFrame(net.history.to_list()).drop(columns=kept_for_callbacks, errors="ignore")
        history = history.rename(columns={"dur": "seconds"})
        history["epoch"] += len(before)
        history = pd.concat([before, history], ignore_index=True) if resume else history
        return {
            "_history": {str(name): column.tolist() for name, column in history.items()},
            "best_epoch_": len(before) + best_epoch,
            "n_iter_": len(history),
            "device_": device,
            "_made_by": {name: _plain(getattr(self, name)) for name in self._of_the_net},
        }

    @property
    def history_(self) -> pd.DataFrame:
        """One row an epoch, kept as plain lists so that no pickle depends on the insides of pandas."""
        if "_history" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} has no history_ before fit.")
        return pd.DataFrame(self._history)

    @property
    def net_(self) -> SequenceNet:
        """The trained skorch net, made anew on first use after unpickling."""
        with _RESTORING:  # several threads may be the first
            if "_net" not in vars(self):
                self._restore_net()
            return self._net

    def _restore_net(self) -> None:
        if "_frozen_net" not in vars(self):
            raise AttributeError(f"This {type(self).__name__} has no net_ before fit.")
        try:
            device = resolve_device(self.device_)
        except ValueError:  # fitted on a device that this machine lacks
            device = resolve_device("auto")
        self._net = restore_net(self._frozen_net, device)
        self.device_ = device
        del self._frozen_net

    def __sklearn_is_fitted__(self) -> bool:
        return "_net" in vars(self) or "_frozen_net" in vars(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.non_deterministic = self.random_state is None
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """Parameters, arrays and plain values: no torch object, no device, no optimizer.

        Callbacks are as they were before training, which leaves its objects in them.
        """
        state = dict(super().__getstate__())
        state["callbacks"] = clone(state["callbacks"], safe=False)
        net = state.pop("_net", None)
        if net is not None:
            state["_frozen_net"] = freeze_net(net)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for name, parameter in inspect.signature(type(self)).parameters.items():
            self.__dict__.setdefault(name, parameter.default)  # of a version that did not have it


def _plain(parameter: Any) -> Any:
    """A copy, of lists instead of arrays, which any file can hold."""
    return parameter.tolist() if hasattr(parameter, "tolist") else copy.deepcopy(parameter)


def _are_equal(a: Any, b: Any) -> bool:
    """Of parameters, which may be arrays, and lists where they were arrays."""
    a, b = np.asarray(a, dtype=object), np.asarray(b, dtype=object)
    return a.shape == b.shape and bool((a == b).all())


def automatic_batch_size(n_samples: int) -> int:
    """A sixteenth of the samples as a power of two, from 16 to 128, and no more than there are."""
    return min(n_samples, 2 ** int(np.clip(np.floor(np.log2(max(n_samples, 16) / 16)), 4, 7)))
