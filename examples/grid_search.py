"""
Choosing window length and cell by cross-validation
===================================================

As with any scikit-learn estimator. The series are the yearly sunspot numbers since 1700; each row's target is the
number of the next year. The window is a step of the Pipeline, so its length can be searched together with the
parameters of the net. WindowSplit keeps time in order: each fold trains on the past and drops the rows whose targets
lie in the test years.
"""

import pandas as pd
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from statsmodels.datasets import sunspots

from sklearn_rnn import RNNRegressor, SlidingWindow, WindowSplit

X = sunspots.load_pandas().data.astype({"YEAR": int}).set_index("YEAR")
y = X["SUNACTIVITY"].shift(-1)[:-1]  # the last year has no next one yet

model = make_pipeline(
    SlidingWindow(),
    RNNRegressor(hidden_size=16, learning_rate=0.02, batch_size=32, max_epochs=20, random_state=0),
)
search = GridSearchCV(
    model,
    {"slidingwindow__n_steps": [6, 12, 24], "rnnregressor__cell": ["rnn", "lstm", "gru"]},
    cv=WindowSplit(3, horizon=1, test_size=44),  # three test blocks of four cycles each
    scoring="neg_mean_absolute_error",
    n_jobs=2,  # two processes; -1 takes all cores
)
search.fit(X[:-1], y)

results = pd.DataFrame(search.cv_results_)
table = -results.pivot(
    index="param_slidingwindow__n_steps", columns="param_rnnregressor__cell", values="mean_test_score"
)
table.index.name, table.columns.name = "n_steps", None
print("Mean absolute error of next year's sunspot number, mean of 3 folds")
print(table.to_string(float_format="%.1f"))
persistence = (X["SUNACTIVITY"][:-1] - y)[-3 * 44 :].abs().mean()
print(f"this year's number as the forecast: {persistence:.1f}")
print(f"\nBest: {search.best_params_}")
print(f"Forecast for {X.index[-1] + 1}: {search.predict(X)[-1]:.1f}")
