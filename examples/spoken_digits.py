"""
Spoken digits
=============

Recordings of unequal length, read frame by frame::

    python examples/spoken_digits.py recordings/

The folder holds wav files named {digit}_{speaker}_{index}.wav, as the Free Spoken Digit Dataset has them:
https://github.com/Jakobovski/free-spoken-digit-dataset. Without a folder, ten "digits" of two tones each are made up.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import stft

from sklearn_rnn import RNNClassifier


def frames(sound: np.ndarray, rate: int) -> np.ndarray:
    """Logarithmic spectrum of frames of 32 ms, (n_frames, 40): neighbouring frequencies joined."""
    window = int(0.032 * rate)
    _, _, spectrum = stft(np.pad(sound, (0, max(0, window - len(sound)))), rate, nperseg=window)
    power = np.abs(spectrum.T[:, 1:]) ** 2  # (n_frames, n_frequencies)
    bands = [band.sum(axis=1) for band in np.array_split(power, 40, axis=1)]
    return np.log(np.stack(bands, axis=1) + 1e-8).astype(np.float32)


def recordings(folder: Path) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Frames, digits, and whether the index is below 5, the data set's test."""
    X, y, is_test = [], [], []
    for path in sorted(folder.glob("*.wav")):
        digit, _, index = path.stem.split("_")
        rate, sound = wavfile.read(path)
        X.append(frames(sound / 2.0**15, rate))
        y.append(int(digit))
        is_test.append(int(index) < 5)
    return X, np.array(y), np.array(is_test)


def made_up_recordings(n_recordings: int = 400) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Ten digits as two tones one after the other, of random length, in noise."""
    rng = np.random.default_rng(0)
    tones, rate = [(a, b) for a in range(5) for b in range(5) if a != b][:10], 8000
    X, y = [], rng.integers(10, size=n_recordings)
    for digit in y:
        parts = [
            np.sin(2 * np.pi * (300 + 250 * tone) * np.arange(rng.integers(600, 2500)) / rate) for tone in tones[digit]
        ]
        sound = np.concatenate(parts)
        X.append(frames(0.1 * sound + 0.1 * rng.normal(size=len(sound)), rate))
    return X, y, np.arange(n_recordings) % 5 == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder of wav files")
    folder = parser.parse_args().folder
    if folder and not any(folder.glob("*.wav")):
        parser.error(f"{folder} holds no wav files")
    X, y, is_test = recordings(folder) if folder else made_up_recordings()
    train, test = ([X[i] for i in np.flatnonzero(mask)] for mask in (~is_test, is_test))
    print(f"{len(X)} recordings of {min(map(len, X))} to {max(map(len, X))} frames")
    model = RNNClassifier(bidirectional=True, pooling="mean", random_state=0).fit(train, y[~is_test])
    chance = np.bincount(y[is_test]).max() / len(test)
    print(f"accuracy on {len(test)} recordings: {model.score(test, y[is_test]):.3f}, {chance:.3f} by chance")


if __name__ == "__main__":
    main()
