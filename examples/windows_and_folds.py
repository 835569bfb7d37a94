"""
Windows and folds, drawn
========================

What a model may see, and what it may not. The first picture shows which rows SlidingWindow gives to each row, the
second which rows WindowSplit trains and tests on. Each line is one window or one fold, time goes to the right.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_rnn import SlidingWindow, WindowSplit

BLUE, ORANGE, GREY = "#1769aa", "#d9540b", "#c9ced4"

# %%
# Each row becomes the sequence of the rows up to it. There are as many windows as rows, so `y` needs no cutting. The
# first windows are shorter, and none crosses the gap between the 7th and the 10th hour.
hours = pd.DatetimeIndex(["2026-01-01"] * 14) + pd.to_timedelta([*range(8), *range(10, 16)], unit="h")
table = pd.DataFrame({"row": np.arange(14.0)}, index=hours)
windows = SlidingWindow(n_steps=4).fit_transform(table)

figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for i, window in enumerate(windows):
    seen = table.index[window[:, 0].astype(int)].hour
    ax.scatter(seen, np.full(len(seen), i), marker="s", s=90, color=BLUE)
    ax.scatter(seen[-1:], [i], marker="s", s=90, color=ORANGE)
ax.scatter([], [], marker="s", color=BLUE, label="seen")
ax.scatter([], [], marker="s", color=ORANGE, label="seen, the row itself")
ax.set(xlabel="hour", ylabel="window of row", title="SlidingWindow(n_steps=4)", xticks=range(16), yticks=range(14))
ax.invert_yaxis()
ax.legend(loc="upper right")
plt.show()

# %%
# The target of a row lies `horizon` rows ahead. Rows just before a test block would teach the model what is in it, so
# they are left out of training.


def draw_folds(ax, title, **parameters):
    splitter = WindowSplit(3, test_size=5, **parameters)
    for fold, (train, test) in enumerate(splitter.split(np.zeros((24, 1)))):
        left_out = np.setdiff1d(np.arange(test[0]), train)
        for rows, color in [(train, BLUE), (left_out, GREY), (test, ORANGE)]:
            ax.scatter(rows, np.full(len(rows), fold), marker="s", s=55, color=color)
    ax.set(yticks=range(3), ylabel="fold", title=title)
    ax.margins(y=0.3)
    ax.invert_yaxis()


figure, axes = plt.subplots(3, figsize=(7, 5.2), sharex=True, layout="constrained")
draw_folds(axes[0], "the next row: horizon=1", horizon=1)
draw_folds(axes[1], "three rows ahead: horizon=3", horizon=3)
draw_folds(axes[2], 'windows apart, too: horizon=3, n_steps=4, purge="windows"', horizon=3, n_steps=4, purge="windows")
for color, label in [(BLUE, "train"), (GREY, "left out"), (ORANGE, "test")]:
    axes[0].scatter([], [], marker="s", color=color, label=label)
axes[2].set_xlabel("row")
figure.legend(loc="outside lower center", ncols=3)
plt.show()

# %%
# The windows of the first test rows reach back into the rows before them. That is no leak: in use, the past is known.
# SlidingWindow therefore remembers the last rows of training (`context`).
model = SlidingWindow(n_steps=4).fit(table[:6])
print("lengths of the windows of the two hours after training:", model.transform(table[6:8]).lengths)
print("without context:", SlidingWindow(n_steps=4, context="never").fit(table[:6]).transform(table[6:8]).lengths)
