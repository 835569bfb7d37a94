"""How training goes, for the user who waits: a bar in a terminal or notebook, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

BETWEEN_LINES = 30  # seconds
BAR = "{desc}epoch {n_fmt}/{total_fmt} |{bar}| {elapsed}<{remaining}{postfix}"


class Progress:
    """The losses of the last and of the best epoch, of a checkpoint, too; how they are shown is up to the subclass.

    `name` says which of several trainings it is.
    """

    def __init__(self, n_epochs: int, name: str) -> None:
        self.n_epochs, self.n_done = n_epochs, 0
        self.name = f"{name}: " if name else ""
        self.n_before = 0  # epochs of a checkpoint
        self.losses = ""

    def begin_epoch(self) -> None:
        """Nothing is known yet."""

    def end_epoch(self, net: Any) -> bool:
        """Take note of an epoch's losses; training goes on."""
        if not self.n_done:
            self.n_before = len(net.history) - 1
        self.n_done = len(net.history)
        valid = [(row["valid_loss"], epoch) for epoch, row in enumerate(net.history, 1) if "valid_loss" in row]
        self.losses = describe_losses(net.history[-1], min(valid, default=None))
        self.show()
        return False

    def show(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class Bar(Progress):
    """A bar that moves in its place: of tqdm, so that in a notebook it is a widget."""

    def __init__(self, n_epochs: int, name: str, tqdm: type) -> None:
        super().__init__(n_epochs, name)
        self.bar = tqdm(total=n_epochs, desc=self.name, file=sys.stdout, bar_format=BAR, dynamic_ncols=True)

    def show(self) -> None:
        self.bar.set_postfix_str(self.losses, refresh=False)
        self.bar.update(self.n_done - self.bar.n)

    def close(self) -> None:
        self.bar.total = self.n_done  # training that stopped early is done, too
        self.bar.refresh()
        self.bar.close()


class Lines(Progress):
    """Whole lines, at most one every half minute, and one at the end."""

    def __init__(self, n_epochs: int, name: str) -> None:
        super().__init__(n_epochs, name)
        self.began = self.printed = time.monotonic()

    def show(self) -> None:
        now = time.monotonic()
        if now - self.printed >= BETWEEN_LINES and self.n_done < self.n_epochs:
            self.printed = now
            left = (now - self.began) / (self.n_done - self.n_before) * (self.n_epochs - self.n_done)
            where = f"{self.name}epoch {self.n_done} of {self.n_epochs}"
            print(f"{where}: {self.losses}; at most {left:.0f} s left", flush=True)

    def close(self) -> None:
        if self.n_done:
            seconds = time.monotonic() - self.began
            n_epochs = self.n_done - self.n_before
            print(f"{self.name}{n_epochs} epochs in {seconds:.0f} s: {self.losses}", flush=True)


def show_progress(n_epochs: int, name: str = "") -> Progress:
    """A bar where one can be drawn in its place, lines elsewhere."""
    from tqdm.auto import tqdm  # warns in a notebook without widgets, which only matters where a bar is wanted

    is_widget = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)
    return Bar(n_epochs, name, tqdm) if is_widget or sys.stdout.isatty() else Lines(n_epochs, name)


def describe_losses(record: Mapping[str, Any], best: tuple[float, int] | None) -> str:
    """The losses of an epoch, and the best validation loss so far with its epoch."""
    losses = f"loss {record['train_loss']:#.4g}"
    if best is None:
        return losses
    return f"{losses}, valid {record['valid_loss']:#.4g}, best {best[0]:#.4g} (epoch {best[1]})"
