"""
Which motion?
=============

Frames of six sensor channels, classified by short segments::

    python examples/motion.py BasicMotions_TRAIN.ts BasicMotions_TEST.ts

Files in the format of the UCR/UEA archive, https://www.timeseriesclassification.com. Without files, four kinds of
motion are made up. `segment_size=5` lets the cell read five frames at a time, which is faster and often better.
"""

import argparse
from pathlib import Path

import numpy as np

from sklearn_rnn import RNNClassifier


def read_ts(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    """Cases as arrays (n_frames, n_channels), and their labels."""
    cases = [line.split(":") for line in path.read_text().splitlines() if line and line[0] not in "#@"]
    X = [np.array([channel.split(",") for channel in channels], dtype=np.float32).T for *channels, _ in cases]
    return X, np.array([label for *_, label in cases])


def made_up_motions(n_cases: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Standing, walking, running, turning: rhythms of the channels that begin at any moment."""
    rng = np.random.default_rng(seed)
    kinds = {"standing": (0, 0), "walking": (1, 0.2), "running": (3, 0.45), "turning": (1, 0.05)}
    X, y = [], rng.choice(list(kinds), n_cases)
    for kind in y:
        strength, frequency = kinds[kind]
        time = np.arange(100)[:, None] + rng.uniform(0, 100)
        X.append(strength * np.sin(frequency * time + np.arange(6)) + rng.normal(size=(100, 6)))
    return X, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a training and a test file")
    files = parser.parse_args().files
    if files and len(files) != 2:
        parser.error("give two files, training and test, or none")
    train, test = map(read_ts, files) if files else (made_up_motions(40, 0), made_up_motions(100, 1))
    model = RNNClassifier(segment_size=5, pooling="max", random_state=0).fit(*train)
    print(f"{len(train[0])} motions to learn from, {len(test[0])} to test on")
    commonest = np.unique(test[1], return_counts=True)[1].max() / len(test[1])
    print(f"accuracy: {model.score(*test):.3f}, {commonest:.3f} by naming the commonest alone")


if __name__ == "__main__":
    main()
