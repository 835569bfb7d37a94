"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Any


def as_path(path: Any) -> Path:
    """The path; TypeError if it is none."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path is of type {type(path).__name__}, but must be a str or a path.")
    return Path(path)


def check_target(path: Any, example: str) -> Path:
    """The file to write, behind any link; a TypeError or OSError before any work says why it cannot be one."""
    target = as_path(path).resolve()
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}, but there is no folder {str(target.parent)!r}. Make it first.")
    if target.is_dir():
        raise IsADirectoryError(f"path is {str(path)!r}, which is a folder. Add a name such as {example}.")
    if target.exists() and not target.is_file():  # os.replace would put a file in its place
        raise OSError(f"path is {str(path)!r}, which is a device or a pipe. Choose the path of a file.")
    return target


def write_whole(target: Path, data: bytes) -> None:
    """Write beside the target and put in its place, so that a crash leaves the old file whole."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_by_way_of(temporary, target, data)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_by_way_of(temporary: Path, target: Path, data: bytes) -> None:
    """Write to the one file, with the mode of the other, and put it in that one's place."""
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if target.exists():
        shutil.copymode(target, temporary)
    os.replace(temporary, target)
