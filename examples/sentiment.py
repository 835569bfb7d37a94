"""
Sentiment of sentences
======================

Texts in, labels out, one Pipeline::

    python examples/sentiment.py positive.txt negative.txt

Each file holds one text a line. The film review sentences of Pang and Lee (2005), "rt-polarity", are such a pair:
https://www.cs.cornell.edu/people/pabo/movie-review-data/. Without files a few hundred sentences are made up.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_rnn import RNNClassifier, SequenceVectorizer


def made_up_sentences(n_sentences: int = 600) -> tuple[list[str], list[int]]:
    """Praise or blame that "not" turns round, so that the order of words matters."""
    rng = np.random.default_rng(0)
    subjects, praise = ["the plot", "this film", "the acting", "her voice"], ["good", "moving", "clever"]
    blame, fillers = ["dull", "weak", "silly"], ["really", "to my mind", "in the end", "as ever"]
    texts, labels = [], []
    for _ in range(n_sentences):
        is_praise, is_negated = rng.integers(2, size=2)
        verb = "is not" if is_negated else "is"
        other = "but not long" if not is_negated and rng.random() < 0.5 else "and long"
        words = [rng.choice(fillers), rng.choice(subjects), verb, rng.choice(praise if is_praise else blame), other]
        texts.append(" ".join(words))
        labels.append(int(is_praise != is_negated))
    return texts, labels


def read_lines(path: str) -> list[str]:
    return Path(path).read_bytes().decode("utf-8", errors="replace").splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="a file of positive and a file of negative texts")
    files = parser.parse_args().files
    if files and len(files) != 2:
        parser.error("give two files, positive and negative texts, or none")
    if files:
        positive, negative = map(read_lines, files)
        texts, labels = positive + negative, [1] * len(positive) + [0] * len(negative)
    else:
        texts, labels = made_up_sentences()
    X_train, X_test, y_train, y_test = train_test_split(texts, labels, test_size=0.1, stratify=labels, random_state=0)
    models = {
        "bag of words, logistic regression": make_pipeline(TfidfVectorizer(), LogisticRegression(C=10)),
        "GRU": make_pipeline(SequenceVectorizer(min_df=2), RNNClassifier(pooling="max", dropout=0.5, random_state=0)),
    }
    print(f"{len(X_train)} texts to learn from, {len(X_test)} to test on")
    for name, model in models.items():
        print(f"{name:35s} accuracy {model.fit(X_train, y_train).score(X_test, y_test):.3f}")
    for text in X_test[:3]:
        print(f"{models['GRU'].predict_proba([text])[0, 1]:.2f} positive: {text}")


if __name__ == "__main__":
    main()
