"""Training of a net on sequences, by skorch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, nullcontext
from statistics import median_low
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import EpochTimer
from skorch.helper import predefined_split
from torch import Tensor, nn

from sklearn_rnn._averaging import AveragedWeights
from sklearn_rnn._batches import Batches, SequenceDataset
from sklearn_rnn._checkpoints import Checkpoint
from sklearn_rnn._course import Course
from sklearn_rnn._device import usual_modes
from sklearn_rnn._distributed import check_alike, gathered, n_processes, rank, summed
from sklearn_rnn._gradients import average_gradient, clip_gradient, scaled_backward
from sklearn_rnn._halving import halving_batches
from sklearn_rnn._losses import Criterion
from sklearn_rnn._optimizers import optimizer_and_options
from sklearn_rnn._progress import show_progress
from sklearn_rnn._settings import SCHEDULES, Schedule, TrainingSettings
from sklearn_rnn._skorch_callbacks import Observer, Tell, check_monitored, is_planned, make_callbacks
from sklearn_rnn.nets import ForecastNet, RecurrentNet
from sklearn_rnn.nets.pooling import valid_steps

NETS: dict[str, type[RecurrentNet] | type[ForecastNet]] = {net.__name__: net for net in (RecurrentNet, ForecastNet)}
DIVERGED = "Lower learning_rate, set or lower gradient_clip, or look for extreme values in X and y."
BATCH_EVENTS = {"on_batch_begin", "on_grad_computed", "on_batch_end"}


class SequenceNet(NeuralNet):
    """skorch's training loop over batches that are gathered by index.

    Parameters
    ----------
    gradient_clip : float or None
        The largest norm of the gradient of all weights together.
    schedule : str
        A name in SCHEDULES; for any other the learning rate is a callback's matter.
    average : bool
        Whether the weights are averaged over the updates.
    generator : torch.Generator
        Shuffles the training samples.
    tell_batches : bool
        Whether callbacks are told of each batch, and the history keeps its loss: the user's may want it.
    samples_an_epoch : int or None
        How many of the samples an epoch of training draws; None takes all.
    """

    def __init__(
        self,
        *args: Any,
        gradient_clip: float | None = None,
        schedule: str = "constant",
        average: bool = False,
        generator: torch.Generator | None = None,
        tell_batches: bool = False,
        samples_an_epoch: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.gradient_clip, self.schedule, self.average = gradient_clip, schedule, average
        self.generator, self.tell_batches = generator, tell_batches
        self.samples_an_epoch = samples_an_epoch
        self.interrupted = False

    @property
    def _default_callbacks(self) -> list:
        return [("epoch_timer", EpochTimer())]

    def notify(self, method_name: str, **kwargs: Any) -> None:
        if self.tell_batches or method_name not in BATCH_EVENTS:
            super().notify(method_name, **kwargs)

    def get_iterator(self, dataset: SequenceDataset, training: bool = False) -> Batches:
        if not training:
            return Batches(dataset, 2 * self.batch_size)
        return Batches(dataset, self.batch_size, self.generator, self.samples_an_epoch)

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.averaged_ = AveragedWeights(self.module_) if self.average else None
        self.schedule_ = None
        if self.schedule in SCHEDULES:
            n_updates = self.max_epochs * len(self.get_iterator(X, training=True))
            self.schedule_ = Schedule(self.optimizer_, SCHEDULES[self.schedule], n_updates)

    def fit_loop(self, *args: Any, **kwargs: Any) -> NeuralNet:
        """Remember whether it was the user who ended training: skorch goes on as if a callback had."""
        try:
            return super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt as error:
            self.interrupted = not is_planned(error)
            raise

    def run_single_epoch(
        self, iterator: Batches | None, training: bool, prefix: str, step_fn: Callable, **fit_params: Any
    ) -> None:
        """One pass; the loss is added up on the device, in place, and read once, at the end."""
        if iterator is None:
            return
        self._set_training(training)
        with self.averaged_.training() if training and self.averaged_ is not None else nullcontext():
            mean_loss = self._mean_loss(iterator, training, prefix, step_fn, **fit_params)
        if not math.isfinite(mean_loss):
            raise ValueError(
                f"The {'training' if training else 'validation'} loss became {mean_loss} in epoch {len(self.history)}. "
                + DIVERGED
            )
        before = [epoch[f"{prefix}_loss"] for epoch in self.history[:-1]]
        self.history.record(f"{prefix}_loss", mean_loss)
        self.history.record(f"{prefix}_loss_best", mean_loss < min(before, default=math.inf))  # callbacks look for it

    def _mean_loss(self, iterator: Batches, training: bool, prefix: str, step_fn: Callable, **fit_params: Any) -> float:
        total = torch.zeros((), device=self.device, dtype=torch.float32 if self.device == "mps" else torch.float64)
        n_samples = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            batch_size = len(batch[0][0])
            loss = step["loss"].detach()
            total.add_(loss, alpha=batch_size)
            n_samples += batch_size
            if self.tell_batches:
                self.history.record_batch(f"{prefix}_loss", float(loss))
                self.history.record_batch(f"{prefix}_batch_size", batch_size)
            self.notify("on_batch_end", batch=batch, training=training, **step)
        return summed(float(total)) / summed(n_samples)

    def train_step(self, batch: tuple, **fit_params: Any) -> dict:
        step = super().train_step(batch, **fit_params)
        if self.schedule_ is not None:
            self.schedule_.step()
        if self.averaged_ is not None:
            self.averaged_.update()
        return step

    def _zero_grad_optimizer(self, set_to_none: bool | None = None) -> None:
        for weight in self.optimizer_.param_groups[0]["params"]:
            weight.grad = None

    def _step_optimizer(self, step_fn: Callable[[], Tensor]) -> None:
        """Without torch's hooks, which only callbacks may have set and which cost more than the step of a small net."""
        step = type(self.optimizer_).step
        if self.tell_batches:
            self.optimizer_.step(step_fn)
        else:
            getattr(step, "__wrapped__", step)(self.optimizer_, step_fn)

    def train_step_single(self, batch: tuple, **fit_params: Any) -> dict:
        inputs, targets = batch
        outputs = self.infer(inputs)
        loss = self.get_loss(outputs, targets, X=inputs, training=True)
        weights = self.optimizer_.param_groups[0]["params"]
        if self.module_.recurrent.runs_in_half(self.device):
            scaled_backward(loss, outputs.numel(), weights)
        else:
            loss.backward()
        if n_processes() > 1:
            average_gradient(weights)  # before it is clipped, so that all clip the same one
        if self.gradient_clip is not None:
            clip_gradient(weights, self.gradient_clip)
        return {"loss": loss, "y_pred": outputs}

    def infer(self, x: tuple, **fit_params: Any) -> Tensor:
        return self.module_(*x)

    def get_loss(self, y_pred: Tensor, y_true: tuple, X: tuple, training: bool = False) -> Tensor:
        """Weighted mean over the batch: over the valid steps of targets by step, over the targets that are there."""
        (targets, weights), (values, lengths, *_) = y_true, X
        losses = self.criterion_(y_pred, targets)  # (batch, [steps,] n_targets)
        if weights is not None:
            losses = losses * weights.view(-1, *[1] * (losses.ndim - 1))
        if losses.ndim == 3 and lengths is not None:
            valid = valid_steps(values, lengths)[:, :, None].expand_as(losses)
            return losses.masked_fill(~valid, torch.nan).nanmean()
        return losses.nanmean() if self.criterion_.skip_missing else losses.mean()


@halving_batches
def fit_net(
    module: RecurrentNet | ForecastNet,
    criterion: Criterion,
    train: SequenceDataset,
    valid: SequenceDataset | None,
    *,
    settings: TrainingSettings,
    seed: int,
    optimizer_state: dict | None = None,
    observers: Sequence[Observer] = (),
    trial: tuple[int, int] | None = None,
) -> tuple[SequenceNet, int]:
    """Train the module in place, and show how it goes.

    An interrupt ends training with the best epoch so far; that of a trial, of which nothing is kept, it leaves. `trial`
    is the number of one, from 1, and how many there are.

    Returns
    -------
    net : SequenceNet
    best_epoch : int
        The epoch whose weights the module has, counted from 1.

    Raises
    ------
    MemoryError
        If half batches are too large as well, or none are tried: a checkpoint or other processes count on whole ones.
    """
    optimizer_state = _start_alike(module, criterion, valid is not None, settings, optimizer_state)
    checkpoint = None
    if settings.checkpoint is not None:
        start = [module.config, module.state_dict(), criterion.config, settings.decisive(), seed, optimizer_state]
        checkpoint = Checkpoint(
            settings.checkpoint, settings.checkpoint_every, seed=seed, parameters=start, data=[train, valid]
        )
    patience = settings.n_iter_no_change if settings.stop_early else None
    course = Course(patience, settings.n_warm_up, settings.tol, checkpoint)
    with ExitStack() as stack:
        if settings.verbose == 1:
            name = "" if trial is None else "trial {} of {}".format(*trial)
            observers = [*observers, stack.enter_context(closing(show_progress(settings.n_epochs, name)))]
        callbacks = [*make_callbacks(settings, has_valid=valid is not None), Tell(course, observers)]
        net = _make_net(module, criterion, train, valid, callbacks, settings, seed)
        check_monitored(net.callbacks_, valid is not None)
        if optimizer_state is not None:  # its moments, not its learning rate
            net.optimizer_.load_state_dict({**net.optimizer_.state_dict(), "state": optimizer_state})
        net.partial_fit(train, epochs=course.epochs_left(settings.n_epochs))
        net.train_split = None  # which would keep the rows as long as the model is there
    if not all(bool(weights.isfinite().all()) for weights in module.parameters()):
        raise ValueError(f"Weights became infinite in epoch {len(net.history)}, the last. {DIVERGED}")
    if trial and net.interrupted:
        raise KeyboardInterrupt
    course.finish(net)
    module.eval()
    return net, course.best_epoch


def cross_validated_epochs(
    module: RecurrentNet,
    criterion: Criterion,
    data: SequenceDataset,
    parts: Sequence[Tensor],
    *,
    settings: TrainingSettings,
    seed: int,
) -> tuple[int, list[Tensor]]:
    """After how many epochs of the schedule to end: the median of those best for each part, the others trained on.

    All of them, if that is more than half: from then on losses fall with the learning rate.

    Returns
    -------
    n_epochs : int
    outputs : list of Tensor of shape (n_samples_of_part, ...)
        Raw, of each part after as many epochs on the others; of a net per step none, which nothing is blended with.
    """
    settings = settings.of_trial()
    keeps_outputs = not module.per_step
    best, outputs = [], []
    for i, part in enumerate(parts):
        others = torch.cat([*parts[:i], *parts[i + 1 :]])
        trial = copy.deepcopy(module)
        seen: list[Tensor] = []  # what it gives for the part, batch after batch
        if keeps_outputs:
            trial.register_forward_hook(lambda net, _, raw, seen=seen: None if net.training else seen.append(raw))
        taken = data.take(others), data.take(part)
        net, _ = fit_net(trial, criterion, *taken, settings=settings, seed=seed, trial=(i + 1, len(parts)))
        if keeps_outputs:
            n_done = len(net.history)
            outputs.append(torch.cat(seen)[-n_done * len(part) :].unflatten(0, (n_done, len(part))))
        losses = net.history[:, "valid_loss"]
        best.append(1 + losses.index(min(losses)))
    n_epochs = median_low(best)
    n_epochs = settings.max_epochs if 2 * n_epochs > settings.max_epochs else n_epochs
    return n_epochs, [of_part[n_epochs - 1] for of_part in outputs]


def _start_alike(
    module: nn.Module, criterion: Criterion, has_valid: bool, settings: TrainingSettings, optimizer_state: dict | None
) -> dict | None:
    """Give the module the first process's weights; the state of that one's optimizer."""
    if n_processes() == 1:
        return optimizer_state
    check_alike(parameters=(settings.decisive(), has_valid), inputs_or_outputs=module.config, loss=criterion.config)
    weights, optimizer_state = gathered((module.state_dict(), optimizer_state))[0]
    module.load_state_dict(weights)
    return optimizer_state


def _make_net(
    module: RecurrentNet | ForecastNet,
    criterion: Criterion,
    train: SequenceDataset,
    valid: SequenceDataset | None,
    callbacks: list[Any],
    settings: TrainingSettings,
    seed: int,
) -> SequenceNet:
    optimizer, options = optimizer_and_options(settings.optimizer, settings.device)
    net = SequenceNet(
        module,
        criterion,
        optimizer=optimizer,
        optimizer__weight_decay=settings.weight_decay,
        lr=settings.learning_rate,
        batch_size=settings.batch_size,
        max_epochs=settings.max_epochs,
        train_split=None if valid is None else predefined_split(valid),
        callbacks=callbacks,
        device=settings.device,
        verbose=settings.verbose > 1,
        gradient_clip=settings.gradient_clip,
        schedule=settings.schedule,
        average=settings.average,
        generator=torch.Generator().manual_seed(seed + rank()),
        tell_batches=bool(settings.callbacks),
        samples_an_epoch=min(gathered(train.samples_an_epoch)),  # all make as many updates
        **{f"optimizer__{name}": value for name, value in options.items()},
    )
    return net.initialize()


def freeze_net(net: SequenceNet) -> dict[str, Any]:
    """A trained net as plain values and numpy arrays, free of torch, device and optimizer."""
    weights = {name: tensor.cpu().numpy().copy() for name, tensor in net.module_.state_dict().items()}
    kind = type(net.module_).__name__
    return {"kind": kind, "module": net.module_.config, "criterion": net.criterion_.config, "weights": weights}


def restore_module(frozen: dict[str, Any]) -> RecurrentNet | ForecastNet:
    """The module behind :func:`freeze_net`, on the CPU."""
    with torch.device("meta"):  # nothing is drawn: other threads may be drawing from torch's generator
        module = NETS[frozen["kind"]](**frozen["module"])
    module.to(getattr(torch, str(frozen["weights"]["head.weight"].dtype))).to_empty(device="cpu")
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in frozen["weights"].items()})
    return module


@usual_modes()
def restore_net(frozen: dict[str, Any], device: str) -> SequenceNet:
    """The net behind :func:`freeze_net`, ready to predict or to be trained on."""
    module = restore_module(frozen)
    net = SequenceNet(
        module,
        Criterion(**frozen["criterion"]).to(module.head.weight.dtype),
        device=device,
    )
    net.initialize()
    net.module_.eval()
    return net
