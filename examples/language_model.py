"""
A character language model
==========================

It learns to say which letter comes next, then writes by itself::

    python examples/language_model.py [book.txt] [--length 300] [--temperature 0.7]

Any text file will do, such as a book of https://www.gutenberg.org. Without one, the texts that describe scikit-learn's
own data sets are read. Every step has a target here, the next character: that is `per_step=True`.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn import datasets

from sklearn_rnn import RNNClassifier, Sequences

N_STEPS = 64


def installed_text() -> str:
    loaders = (datasets.load_iris, datasets.load_wine, datasets.load_breast_cancer, datasets.load_diabetes)
    return "\n".join(load().DESCR for load in loaders)


def write(model: RNNClassifier, code_of: dict[str, int], start: str, length: int, temperature: float) -> str:
    """Draw one character after the other; a low temperature keeps to what is probable."""
    rng = np.random.default_rng(0)
    characters = {code: character for character, code in code_of.items()}
    text = start
    for _ in range(length):
        codes = np.array([[code_of[character]] for character in text[-N_STEPS:]], dtype=np.float32)
        logits = np.log(model.predict_proba([codes])[0][-1] + 1e-12) / temperature
        probabilities = np.exp(logits - logits.max())
        text += characters[model.classes_[rng.choice(len(logits), p=probabilities / probabilities.sum())]]
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="a text to learn from")
    parser.add_argument("--length", type=int, default=200, help="characters to write")
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--epochs", type=int, default=25)
    arguments = parser.parse_args()
    text = Path(arguments.file).read_text() if arguments.file else installed_text()
    n_train = int(0.85 * len(text))  # the rest is held out: any text can be learned by heart
    code_of = {character: code for code, character in enumerate(sorted(set(text[:n_train] + " ")))}
    codes = np.array([code_of.get(character, code_of[" "]) for character in text], dtype=np.float32)

    starts = np.arange(0, len(codes) - N_STEPS - 1, N_STEPS // 2)
    lengths = np.full(len(starts), N_STEPS)
    X = Sequences(codes, starts, lengths, categorical=[0])
    y = Sequences(codes, starts + 1, lengths)  # the same rows, one step later: nothing is copied
    past, coming = starts + N_STEPS < n_train, starts >= n_train
    model = RNNClassifier(
        hidden_size=96, per_step=True, max_epochs=arguments.epochs, dropout=0.3, batch_size=32, random_state=0
    )
    model.fit(X[past], y[past], X_val=X[coming], y_val=y[coming])

    epochs = model.history_.set_index("epoch")
    frequencies = np.bincount(codes[:n_train].astype(int)) / n_train
    by_frequency = -np.log2(np.maximum(frequencies, 1 / n_train))[codes[n_train:].astype(int)].mean()
    bits = epochs.loc[model.best_epoch_, "valid_loss"] / np.log(2)
    print(f"{len(text)} characters, {len(code_of)} different ones")
    print(f"bits a character of the last part: {by_frequency:.2f} by frequency alone, {bits:.2f} after training")
    print(write(model, code_of, text[:20], arguments.length, arguments.temperature))


if __name__ == "__main__":
    main()
