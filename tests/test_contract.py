"""scikit-learn's own contract."""

import os
import subprocess
import sys

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_rnn import RNNClassifier, RNNRegressor

SMALL = {"hidden_size": 8, "max_epochs": 25, "learning_rate": 0.03, "random_state": 0, "n_threads": 1}
EXACT = {
    **SMALL,
    "max_epochs": 100,
    "learning_rate": 0.05,
    "dtype": "float64",
    "batch_size": 10_000,
    "early_stopping": False,
}

EXACT_CLASSIFIER = {**EXACT, "input_noise": 0.0}  # noise is drawn for each sample that is there

WEIGHTS_ARE_NOT_REPETITION = {
    "check_sample_weight_equivalence_on_dense_data": "repeated samples fall into other mini-batches than weighted ones"
}


def expected_failures(estimator):
    return WEIGHTS_ARE_NOT_REPETITION if estimator.dtype == "float32" else {}


@parametrize_with_checks(
    [RNNRegressor(**SMALL), RNNClassifier(**SMALL), RNNRegressor(**EXACT), RNNClassifier(**EXACT_CLASSIFIER)],
    expected_failed_checks=expected_failures,
)
def test_estimators_keep_the_contract(estimator, check):
    check(estimator)


def test_estimators_keep_the_contract_with_array_api_dispatch():
    """scipy reads the switch at import, so the checks run in a process of their own."""
    script = (
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "from sklearn_rnn import RNNClassifier, RNNRegressor\n"
        f"for estimator in (RNNRegressor(**{EXACT}), RNNClassifier(**{EXACT_CLASSIFIER})):\n"
        "    check_estimator(estimator)\n"
        "import numpy as np, sklearn, torch\n"
        "X = np.random.default_rng(0).normal(size=(40, 5, 2))\n"
        f"for model, y in ((RNNRegressor(**{SMALL}), X[:, 0, 0]), (RNNClassifier(**{SMALL}), X[:, 0, 0] > 0)):\n"
        "    expected = model.fit(X, y, sample_weight=np.abs(X[:, 0, 1])).predict(X)\n"
        "    with sklearn.config_context(array_api_dispatch=True):\n"
        "        given, labels, weights = map(torch.tensor, (X, y, np.abs(X[:, 0, 1])))\n"
        "        assert (model.fit(given, labels, sample_weight=weights).predict(given) == expected).all()\n"
        "        assert model.score(given, labels) == model.score(X, y)\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
