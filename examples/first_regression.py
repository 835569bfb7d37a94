"""
Sequences of unequal length in, one number each out
===================================================

The smallest use of RNNRegressor. Each sample is a recording of a damped oscillation, between 40 and 80 noisy values
long. The net learns to read off how fast the oscillation dies away. A list of arrays is all it needs: no padding, no
scaling, no tensors.
"""

import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import train_test_split

from sklearn_rnn import RNNRegressor

random = np.random.default_rng(0)


def recording(half_life):
    time = np.arange(random.integers(40, 81))
    wave = np.sin(2 * np.pi * (time / random.uniform(8, 16) + random.uniform()))
    return wave * 0.5 ** (time / half_life) + random.normal(scale=0.05, size=len(time))


half_lives = random.uniform(5, 30, size=1_500)
recordings = [recording(half_life) for half_life in half_lives]
X_train, X_test, y_train, y_test = train_test_split(recordings, half_lives, test_size=0.2, random_state=0)

model = RNNRegressor(hidden_size=32, max_epochs=20, random_state=0).fit(X_train, y_train)
mean = DummyRegressor().fit(np.zeros((len(y_train), 1)), y_train)

print(f"{len(X_train)} recordings of {min(map(len, X_train))} to {max(map(len, X_train))} values to learn from")
print(f"mean absolute error of the half-life, in steps: {mean_absolute_error(y_test, model.predict(X_test)):.2f}")
print(f"always guessing the mean:                       {mean_absolute_error(y_test, mean.predict(y_test)):.2f}")
print(f"R2 on {len(X_test)} new recordings: {model.score(X_test, y_test):.3f}")
print("\nThe last epochs of training (squared errors of standardised half-lives):")
print(model.history_[["epoch", "train_loss", "valid_loss"]].tail(3).to_string(index=False, float_format="%.4f"))
