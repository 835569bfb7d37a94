"""Real data sets for the benchmarks, read from ../shared/data; a task without its data is left out with that reason."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import ShortTimeFFT

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def read_ts(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """A file of the UCR/UEA archive: cases as arrays (n_steps_i, n_channels), and their labels."""
    X, y = [], []
    for line in path.read_text().splitlines():
        if line and line[0] not in "#@":
            *channels, label = line.split(":")
            X.append(np.array([[float(value) for value in channel.split(",")] for channel in channels]).T)
            y.append(label)
    return X, np.array(y)


def archive_task(name: str) -> tuple:
    folder = DATA / "ucr_uea" / name
    return *read_ts(folder / f"{name}_TRAIN.ts"), *read_ts(folder / f"{name}_TEST.ts")


def spoken_digits() -> tuple:
    """Recordings as log-mel frames of 16 ms; recordings 0 to 4 of each speaker and digit are the test."""
    X, y, is_test = [], [], []
    with tarfile.open(DATA / "fsdd" / "recordings.tar.gz") as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if member.name.endswith(".wav"):
                digit, _, index = Path(member.name).stem.split("_")
                rate, sound = wavfile.read(io.BytesIO(archive.extractfile(member).read()))
                X.append(log_mel(sound.astype(float) / 2**15, rate))
                y.append(int(digit))
                is_test.append(int(index) < 5)
    y, is_test = np.array(y), np.array(is_test)
    train, test = ([X[i] for i in np.flatnonzero(mask)] for mask in (~is_test, is_test))
    return train, y[~is_test], test, y[is_test]


def log_mel(sound: np.ndarray, rate: int, n_bands: int = 40, window: int = 256, hop: int = 128) -> np.ndarray:
    """Logarithmic energy in mel bands, (n_frames, n_bands)."""
    sound = np.pad(sound, (0, max(0, window - len(sound))))
    transform = ShortTimeFFT(np.hanning(window), hop, fs=rate)
    power = transform.spectrogram(sound, p0=0, p1=max(1, (len(sound) - window) // hop + 1)).T
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 1400), n_bands + 2) / 2595) - 1)
    f, (low, centre, high) = transform.f[:, None], (edges[:-2], edges[1:-1], edges[2:])
    bands = np.clip(np.minimum((f - low) / (centre - low), (high - f) / (high - centre)), 0, None)
    return np.log(power @ bands + 1e-6).astype(np.float32)


def film_reviews() -> tuple:
    """Sentences and whether they are positive; the last tenth of a shuffle with seed 0 is the test."""
    texts: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(("neg", "pos")):
        lines = (DATA / "text" / f"rt-polarity.{name}").read_bytes().decode("latin-1").splitlines()
        texts += lines
        labels += [label] * len(lines)
    order = np.random.default_rng(0).permutation(len(texts))
    train, test = np.split(order, [len(order) * 9 // 10])
    y = np.array(labels)
    return [texts[i] for i in train], y[train], [texts[i] for i in test], y[test]


def adding_problem(n_samples: int, n_steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers in (0, 1) and a mark at two of them, one in each half; the target is the sum of the marked ones.

    Source: Hochreiter and Schmidhuber 1997.
    """
    rng = np.random.default_rng(seed)
    X = np.zeros((n_samples, n_steps, 2), dtype=np.float32)
    X[:, :, 0] = rng.random((n_samples, n_steps))
    rows = np.arange(n_samples)
    first, second = rng.integers(n_steps // 2, size=n_samples), rng.integers(n_steps // 2, n_steps, size=n_samples)
    X[rows, first, 1] = X[rows, second, 1] = 1
    return X, (X[:, :, 0] * X[:, :, 1]).sum(1)
