"""
Images read as sequences
========================

scikit-learn's digits, one row of 8 pixels after the other. A 2-D X needs one word more: `n_channels=8` says that 8
numbers make one step, so that 64 pixels become 8 steps of 8 channels. Logistic regression, which sees all pixels at
once, is a strong rival on this small set; what counts is the mean over repeated splits, for single splits differ by
about as much as the models do.
"""

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_rnn import RNNClassifier

X, y = load_digits(return_X_y=True)
folds = StratifiedKFold(3, shuffle=True, random_state=0)
net = {"n_channels": 8, "hidden_size": 32, "max_epochs": 20, "learning_rate": 0.01, "random_state": 0}
models = {
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)),
    "GRU, top to bottom": RNNClassifier(**net),
    "GRU, both ways": RNNClassifier(bidirectional=True, **net),
}

print(f"{len(X)} images of {X.shape[1]} pixels, accuracy in {folds.n_splits} folds")
for name, model in models.items():
    scores = cross_val_score(model, X, y, cv=folds)
    print(f"{name:20} {scores.mean():.3f}   ({', '.join(f'{score:.3f}' for score in scores)})")
