"""Files from which a training goes on: written whole or not at all, and read without running code from them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_rnn._batches import SequenceDataset
from sklearn_rnn._distributed import gathered, rank
from sklearn_rnn._files import write_by_way_of

HEADER = b"sklearn_rnn checkpoint 2\n"
_DIGEST_SIZE = 32


def check_path(path: str | os.PathLike) -> Path:
    """The file, behind any link; ValueError where none can be written."""
    path = Path(path)
    if "\0" in str(path) or not path.parent.is_dir() or (path.exists() and not path.is_file()):
        raise ValueError(
            f"checkpoint is {str(path)!r}, but must be the path of a file in a folder that is there. Make the folder "
            "first, or choose another path."
        )
    return path.resolve() if path.is_symlink() else path


def seed_to_go_on(path: Path, drawn: int) -> int:
    """The seed of the fit that wrote the checkpoint, where there is one, else the one drawn."""
    content = read_checkpoint(path)
    return drawn if content is None else content["seed"]


class Checkpoint:
    """The file of one fit; of processes that train together the first one reads and writes it.

    Parameters
    ----------
    path : Path
    every : int
        Epochs from one writing to the next.
    seed : int
        That of the fit.
    parameters, data : iterable of tensors, datasets and plain values
        What the fit starts from: a file that began with anything else is refused.

    Attributes
    ----------
    content : dict or None
        What the file held at the beginning.
    """

    def __init__(self, path: Path, every: int, *, seed: int, parameters: Iterable[Any], data: Iterable[Any]) -> None:
        self.path, self.every = path, every
        fingerprints = {"data": _fingerprint(gathered(_fingerprint(data))), "parameters": _fingerprint(parameters)}
        self.about: dict[str, Any] = {"seed": seed, "fingerprints": fingerprints}
        self.content = gathered(None if rank() else read_checkpoint(path))[0]
        if self.content is not None:
            self._check_same_fit(self.content)
        self._mark = _mark_of(path)

    def write(self, state: dict[str, Any]) -> None:
        """ValueError where another fit has written to the file since."""
        if rank():
            return
        try:
            if _mark_of(self.path) in (self._mark, None):
                write_checkpoint(self.path, {**self.about, **state})
                self._mark = _mark_of(self.path)
                return
        except FileNotFoundError:  # another has put the part in its place
            if not self.path.parent.is_dir():
                raise ValueError(
                    f"checkpoint {str(self.path)!r} cannot be written: its folder is gone. Make it, and fit again."
                ) from None
        raise ValueError(
            f"checkpoint {str(self.path)!r} is written by another fit at the same time. Give each fit a path of its "
            "own; in a search, whose fits have one path, set checkpoint=None."
        )

    def remove(self) -> None:
        """What this fit has written."""
        if rank() == 0 and _mark_of(self.path) in (self._mark, None):
            for leftover in (self.path, _part_of(self.path)):
                leftover.unlink(missing_ok=True)

    def _check_same_fit(self, content: dict[str, Any]) -> None:
        for what, fingerprint in self.about["fingerprints"].items():
            if content["fingerprints"][what] != fingerprint:
                raise ValueError(
                    f"checkpoint {str(self.path)!r} was written by a fit with other {what}. To go on, pass the same X, "
                    "y, weights and parameters, random_state among them. To train from the beginning, delete the file "
                    "or choose another path; in a search set checkpoint=None."
                )


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Put the content in place of what was there, in one step: at every moment there is an old or a new file."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    data = buffer.getvalue()
    write_by_way_of(_part_of(path), path, HEADER + _digest(data) + data)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """What was written, None where there is no file; ValueError for any other file."""
    try:
        file = path.read_bytes()
    except FileNotFoundError:
        return None
    header, digest, data = file[: len(HEADER)], file[len(HEADER) :][:_DIGEST_SIZE], file[len(HEADER) + _DIGEST_SIZE :]
    if header != HEADER or digest != _digest(data):
        raise ValueError(
            f"checkpoint {str(path)!r} is damaged, or no checkpoint of this version. Delete it to train from the "
            "beginning, or choose another path."
        )
    try:
        content: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"checkpoint {str(path)!r} holds more than numbers ({type(error).__name__}), which is not read. Delete it."
        ) from None
    return content


def _mark_of(path: Path) -> tuple[int, int, int] | None:
    """What tells one writing of a file from another, None where there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _part_of(path: Path) -> Path:
    """Where the next file is written until it is whole."""
    return path.with_name(path.name + ".part")


# Bytes ----------------------------------------------------------------------------------------------------------------


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_SIZE).digest()


def _fingerprint(things: Any) -> str:
    digest = hashlib.blake2b(digest_size=16)
    _absorb(digest, things)
    return digest.hexdigest()


def _absorb(digest: Any, thing: Any) -> None:
    if isinstance(thing, np.ndarray):
        thing = torch.tensor(np.ascontiguousarray(thing))  # the repr leaves out the middle
    if isinstance(thing, Tensor):
        digest.update(f"{thing.dtype}{tuple(thing.shape)}".encode())
        digest.update(thing.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    elif isinstance(thing, SequenceDataset):
        public = {name: value for name, value in vars(thing).items() if name != "device" and name[0] != "_"}
        _absorb(digest, public)
    elif isinstance(thing, dict):
        for key, value in thing.items():
            digest.update(repr(key).encode())
            _absorb(digest, value)
    elif isinstance(thing, (list, tuple)):
        digest.update(f"{len(thing)}[".encode())
        for item in thing:
            _absorb(digest, item)
    else:
        digest.update(repr(thing).encode())
