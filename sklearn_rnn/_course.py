"""The course of a training: its best epoch, when it stops, how it goes on after an interrupt or in another process."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from torch import Tensor

from sklearn_rnn._checkpoints import Checkpoint
from sklearn_rnn._distributed import gathered, rank
from sklearn_rnn._errors import warn
from sklearn_rnn._randomness import is_random, random_states, set_random_states

LEARNED = 0.01  # of the training loss: where it falls by less, nothing is learned


class Course:
    """What is told of each epoch, and keeps the weights of the best one in memory.

    `net` is always the skorch net that is trained.

    Parameters
    ----------
    patience : int or None
        Epochs without improvement of the validation loss after which training stops. None never stops it, and the
        newest epoch counts as the best: what training falls back on when the next one is interrupted.
    n_warm_up : int
        First epochs, in which the learning rate has yet to rise. Those of them that leave the training loss as high as
        it was at the last improvement do not count: the net may have yet to begin to learn.
    tol : float
        How much the loss must fall to count as an improvement.
    checkpoint : Checkpoint or None
    """

    def __init__(self, patience: int | None, n_warm_up: int, tol: float, checkpoint: Checkpoint | None) -> None:
        self.patience, self.n_warm_up, self.tol, self.checkpoint = patience, n_warm_up, tol, checkpoint
        self.best_loss, self.last_improvement, self.n_stale = math.inf, math.inf, 0
        self.train_loss = math.inf  # at the last improvement
        self.n_seen = 0  # epochs that are judged
        self.best: tuple[int, dict[str, Tensor]] = (0, {})  # epoch and weights, replaced in one step
        self._spare: dict[str, Tensor] = {}

    @property
    def best_epoch(self) -> int:
        """Counted from 1, 0 before the end of the first."""
        return self.best[0]

    def epochs_left(self, n_epochs: int) -> int:
        """How many epochs the checkpoint leaves to do."""
        content = None if self.checkpoint is None else self.checkpoint.content
        if content is None:
            return n_epochs
        return 0 if self._is_stale(content["n_stale"]) else n_epochs - len(content["history"])

    def begin(self, net: Any) -> None:
        if self.checkpoint is not None and self.checkpoint.content is not None:
            self._restore(net, self.checkpoint.content)
            self.checkpoint.content = None

    def end_epoch(self, net: Any) -> bool:
        """Whether training is to stop."""
        self._see(net)
        if self.checkpoint is not None and len(net.history) % self.checkpoint.every == 0:
            self.checkpoint.write(self._state(net))
        return self._is_stale(self.n_stale)

    def end(self, net: Any) -> None:
        """Bring the best epoch's weights back."""
        if not net.interrupted and len(_whole_epochs(net)) > self.n_seen:  # a callback of the user's ended it
            self._see(net)
        if self.best_epoch:
            net.module_.load_state_dict(self.best[1])
        self.best, self._spare = (self.best_epoch, {}), {}

    def finish(self, net: Any) -> None:
        """Remove the checkpoint; of an interrupted training keep it and the whole epochs, and warn.

        Raises
        ------
        KeyboardInterrupt
            If there was no whole epoch.
        """
        if not net.interrupted:
            if self.checkpoint is not None:
                self.checkpoint.remove()
            return
        net.history[:] = _whole_epochs(net)[: max(self.n_seen, self.best_epoch)]  # not one that was being judged
        if not self.best_epoch:
            raise KeyboardInterrupt
        how = "fit with warm_start=True goes on."
        if self.checkpoint is not None:
            how = "the same call goes on, or with warm_start=True one from these weights, when the file is deleted."
        warn(
            f"Training was interrupted after epoch {len(net.history)}. The model has the weights of epoch "
            f"{self.best_epoch}, the best so far; {how}",
        )

    def _see(self, net: Any) -> None:
        if self.patience is None:
            self._keep(net)
        else:
            self._judge(net, net.history[-1, "valid_loss"])
        self.n_seen = len(net.history)

    def _is_stale(self, n_stale: int) -> bool:
        return self.patience is not None and n_stale >= self.patience

    def _judge(self, net: Any, loss: float) -> None:
        if loss < self.best_loss:
            self.best_loss = loss
            self._keep(net)
        if loss < self.last_improvement - self.tol:
            self.last_improvement, self.n_stale = loss, 0
            self.train_loss = net.history[-1, "train_loss"]
        elif len(net.history) > self.n_warm_up or self._has_learned(net.history[-1, "train_loss"]):
            self.n_stale += 1

    def _has_learned(self, train_loss: float) -> bool:
        return self.train_loss - train_loss > LEARNED * abs(self.train_loss)

    def _keep(self, net: Any) -> None:
        weights = net.module_.state_dict()
        if not self._spare:
            self._spare = {name: tensor.clone() for name, tensor in weights.items()}
        for name, tensor in weights.items():
            self._spare[name].copy_(tensor)
        before, self.best = self.best[1], (len(net.history), self._spare)
        self._spare = before

    # Checkpoints ------------------------------------------------------------------------------------------------------

    def _state(self, net: Any) -> dict[str, Any]:
        """All that the rest of training depends on, as tensors and plain values."""
        return {
            "module": net.module_.state_dict(),
            "averaged": None if net.averaged_ is None else net.averaged_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "schedulers": [scheduler.state_dict() for scheduler in _schedulers(net)],
            "shuffle": gathered(net.generator.get_state()),
            "random": gathered(random_states(net.device) if is_random(net.module_) else []),
            "history": [_plain(row) for row in net.history.to_list()],
            "losses": [self.best_loss, self.last_improvement, self.train_loss],
            "n_stale": self.n_stale,
            "best": list(self.best),
        }

    def _restore(self, net: Any, state: dict[str, Any]) -> None:
        net.module_.load_state_dict(state["module"])
        if net.averaged_ is not None:
            net.averaged_.load_state_dict(state["averaged"])
        net.optimizer_.load_state_dict(state["optimizer"])
        for scheduler, its_state in zip(_schedulers(net), state["schedulers"], strict=True):
            scheduler.load_state_dict(its_state)
        net.generator.set_state(state["shuffle"][rank()])
        set_random_states(state["random"][rank()], net.device)
        net.history[:] = state["history"]
        self.n_seen = len(net.history)
        self.best_loss, self.last_improvement, self.train_loss = state["losses"]
        self.n_stale = state["n_stale"]
        self.best = (state["best"][0], {name: tensor.to(net.device) for name, tensor in state["best"][1].items()})


def _whole_epochs(net: Any) -> list[dict[str, Any]]:
    return [row for row in net.history.to_list() if "learning_rate" in row]


def _schedulers(net: Any) -> list[Any]:
    own = [] if net.schedule_ is None else [net.schedule_]
    return own + [callback.lr_scheduler_ for _, callback in net.callbacks_ if hasattr(callback, "lr_scheduler_")]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """An epoch of the history without its batches, which are of no use to later epochs."""
    numbers = {name: value for name, value in row.items() if isinstance(value, Real)}
    return {name: value if isinstance(value, int) else float(value) for name, value in numbers.items()}
