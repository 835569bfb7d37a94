"""What the benchmarks share: interleaved timing, the machine's line, the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable

import sklearn
import skorch
import torch


def machine_line() -> str:
    return (
        f"{os.cpu_count()} cores, {torch.get_num_threads()} torch threads, python {platform.python_version()}, "
        f"torch {torch.__version__}, scikit-learn {sklearn.__version__}, skorch {skorch.__version__}"
    )


def interleaved_seconds(tasks: dict[str, Callable[[], object]], n_repeats: int) -> dict[str, list[float]]:
    """Seconds of each task, run in turn after one warm-up each, so that a change of the machine's speed hits all."""
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(n_repeats):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def median_ratio(seconds: list[float], reference: list[float]) -> float:
    """Median of the ratios pair by pair."""
    return statistics.median(a / b for a, b in zip(seconds, reference, strict=True))


def benchmark_arguments(description: str | None, **defaults: int | list[int]) -> argparse.Namespace:
    """Options that every benchmark takes, and integers or lists of them of its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", metavar="FILE", help="write the rows there as JSON, too")
    for name, value in defaults.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=int, default=value, nargs="+" if isinstance(value, list) else None
        )
    return parser.parse_args()


def print_table(rows: list[dict], json_path: str | None = None) -> None:
    print(machine_line())
    widths = {name: max(len(name), *(len(_cell(row[name])) for row in rows)) for name in rows[0]}
    print("  ".join(name.rjust(width) for name, width in widths.items()))
    for row in rows:
        print("  ".join(_cell(row[name]).rjust(width) for name, width in widths.items()))
    if json_path:
        with open(json_path, "w") as file:
            json.dump({"machine": machine_line(), "rows": rows}, file, indent=1)


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
