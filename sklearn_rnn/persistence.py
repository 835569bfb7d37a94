"""Models in files that hold no code: `save` and `load`, through skops."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import os
from types import ModuleType
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import sklearn
from sklearn import metrics, model_selection
from sklearn.base import BaseEstimator

import sklearn_rnn
from sklearn_rnn._files import as_path, check_target, write_whole
from sklearn_rnn._plain_values import Packer

# Raised by a release that writes what earlier ones cannot read.
FORMAT = 1
HEADER = "sklearn_rnn.json"

# These names stand in files, so a class that moves to another module has to be found under its old name too.
OWN_TYPES = {
    "sklearn_rnn._frequency.Frequency",
    "sklearn_rnn._panel.Roles",
    "sklearn_rnn._plain_values.Plain",
    "sklearn_rnn.classifier.RNNClassifier",
    "sklearn_rnn.forecaster.RNNForecaster",
    "sklearn_rnn.regressor.RNNRegressor",
    "sklearn_rnn.sequences.Sequences",
    "sklearn_rnn.splits.WindowSplit",
    "sklearn_rnn.text.SequenceVectorizer",
    "sklearn_rnn.windows.SlidingWindow",
}
# Values, not code, that scikit-learn's estimators and searches hold, beyond the estimators, which skops trusts itself.
SKLEARN_TYPES = {
    "builtins.object",  # as in make_column_selector(dtype_include=object)
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._MultimetricScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._split._CVIterableWrapper",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
}


def save(model: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Write an estimator, a Pipeline or a search to a file that holds no code, and that :func:`load` reads.

    Fitted or not, the model comes back as it is: parameters, weights, history, remembered rows. Weights are arrays in
    the file, so it is about as large as they are. An earlier file stays as it was until the new one is complete.

    Parameters
    ----------
    model : estimator
        Of this package and scikit-learn alone, with all that it holds, but for what holds scikit-learn's compiled
        objects: trees and what boosts or averages them, neighbours found by a KDTree, Gaussian processes, losses of
        generalized linear models. Functions may be numpy's ufuncs and scikit-learn's metrics.
    path : str or path-like
        The file; ".skops" is a usual ending.

    Raises
    ------
    TypeError
        If `model` is no estimator or `path` no path.
    ValueError
        If the model holds something that a safe file cannot, such as a lambda or a callback. The file is not touched.
    OSError
        If the file cannot be written, for example because its folder does not exist.
    ImportError
        If skops is not installed.

    See Also
    --------
    load : Reads the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sklearn_rnn import RNNRegressor, load, save
    >>> X = np.random.default_rng(0).normal(size=(100, 6))
    >>> model = RNNRegressor(hidden_size=4, max_epochs=2, random_state=0).fit(X, X[:, -1])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, Path(folder) / "model.skops")
    ...     again = load(Path(folder) / "model.skops")
    >>> bool((again.predict(X) == model.predict(X)).all())
    True
    """
    skops = _skops()
    target = check_target(path, "model.skops")
    if not isinstance(model, BaseEstimator):
        raise TypeError(f"model is {model!r}, but must be an estimator, a Pipeline or a search.")
    packer = Packer()
    content = packer.pack(model, "model")
    refused = set(packer.unfit)
    try:
        data = skops.dumps(content, compression=ZIP_DEFLATED)
        refused |= set(skops.get_untrusted_types(data=data)) - _harmless_names()
    except Exception as error:
        if not refused:  # else it is a consequence of what was left out
            raise ValueError(f"The model cannot be saved: {error}") from error
    if refused:
        what = ", ".join(sorted(f"{packer.places.get(name, 'model')} ({name})" for name in refused))
        raise ValueError(
            f"A safe file cannot hold {what}. It holds plain values and the types of sklearn_rnn and scikit-learn, but "
            "for its compiled ones, such as trees. Set what is named to one of these: callbacks to None, an optimizer "
            "to its name, a function to one of numpy's; set_params keeps the fit, and set_callbacks() drops "
            "scikit-learn's callbacks. Or use joblib, whose files may hold anything, and so run any code when they are "
            "loaded."
        )
    write_whole(target, _with_header(data))


def load(path: str | os.PathLike[str]) -> Any:
    """Read the model that :func:`save` wrote.

    Before anything of it is built, the file is checked: it must be whole, and name no types or functions but those of
    this package, estimators and splitters of scikit-learn, its metrics and numpy's ufuncs. So a file from elsewhere
    can be opened, though what its model predicts is another matter.

    Parameters
    ----------
    path : str or path-like
        The file. It may be of any earlier release.

    Returns
    -------
    estimator
        It predicts the same bits, and can be fitted on, cloned and saved again.

    Raises
    ------
    TypeError
        If `path` is no path.
    ValueError
        If the file was cut short, altered, written by a newer release or not by :func:`save`, or if it names
        something else, which the message tells.
    OSError
        If the file cannot be read.
    ImportError
        If skops is not installed.

    See Also
    --------
    save : Writes the file.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn_rnn import SlidingWindow, load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(SlidingWindow(n_steps=12), f"{folder}/window.skops")
    ...     load(f"{folder}/window.skops")
    SlidingWindow(n_steps=12)
    """
    skops = _skops()
    data = as_path(path).read_bytes()
    versions = _versions(_checked_header(data, path))
    try:
        named = set(skops.get_untrusted_types(data=data))
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {error}. {versions}") from error
    refused = named - _harmless_names()
    if refused:
        raise ValueError(
            f"{path} names {', '.join(sorted(refused))}: not among the types and functions that a safe file may hold. "
            f"Nothing of it was built. {versions}"
        )
    try:
        model = skops.loads(data, trusted=sorted(named))
    except Exception as error:
        raise ValueError(f"The content of {path} does not fit together: {error}. {versions}") from error
    if not isinstance(model, BaseEstimator):
        raise ValueError(f"{path} holds a {type(model).__name__}, but must hold an estimator. {versions}")
    return model


def _skops() -> ModuleType:
    try:
        import skops.io
    except ImportError:
        raise ImportError("save and load need skops. Install it with pip install skops.") from None
    return skops.io


# What a file may name -------------------------------------------------------------------------------------------------


def _harmless_names() -> set[str]:
    """What a file may name beyond what skops itself trusts: scikit-learn's estimators, numpy's types and ufuncs."""
    return OWN_TYPES | SKLEARN_TYPES | _metrics() | _splitters()


def _metrics() -> set[str]:
    """scikit-learn's functions that compare targets with predictions."""
    functions = [getattr(metrics, name) for name in metrics.__all__]
    return {
        f"{function.__module__}.{function.__name__}"
        for function in functions
        if inspect.isfunction(function) and next(iter(inspect.signature(function).parameters), None) == "y_true"
    }


def _splitters() -> set[str]:
    kinds = [kind for kind in vars(model_selection).values() if hasattr(kind, "get_n_splits")]
    return {f"{kind.__module__}.{kind.__name__}" for kind in kinds}


# The file -------------------------------------------------------------------------------------------------------------


def _with_header(data: bytes) -> bytes:
    """The file of skops with a member that tells versions and a digest of the others."""
    buffer = io.BytesIO(data)
    with ZipFile(buffer, "a", compression=ZIP_DEFLATED) as archive:
        header = {
            "format": FORMAT,
            "sklearn_rnn": sklearn_rnn.__version__,
            "scikit-learn": sklearn.__version__,
            "numpy": np.__version__,
            "sha256": _digest({name: archive.read(name) for name in archive.namelist()}),
        }
        archive.writestr(HEADER, json.dumps(header))
    return buffer.getvalue()


def _checked_header(data: bytes, path: Any) -> dict[str, Any]:
    """The header; ValueError if the file is damaged, foreign or too new."""
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        header = json.loads(members.pop(HEADER, b"{}"))
        number, version = int(header.get("format", 0)), header.get("sklearn_rnn")
    except Exception as error:  # zipfile has many
        raise ValueError(
            f"{path} is no whole file of sklearn_rnn.save: it was cut short or altered ({error}). Copy it anew."
        ) from error
    if version is None:
        raise ValueError(f"{path} was not written by sklearn_rnn.save. Open it with what wrote it.")
    if number > FORMAT:
        raise ValueError(
            f"{path} was written by the newer sklearn_rnn {version}, in format {number}, but sklearn_rnn "
            f"{sklearn_rnn.__version__} reads formats up to {FORMAT}. Install the newer release."
        )
    if header.get("sha256") != _digest(members):
        raise ValueError(f"{path} was altered: its content is not what sklearn_rnn.save wrote. Copy it anew.")
    return header


def _versions(header: dict[str, Any]) -> str:
    return (
        f"It was written by sklearn_rnn {header['sklearn_rnn']} with scikit-learn {header.get('scikit-learn')}; these "
        f"are sklearn_rnn {sklearn_rnn.__version__} and scikit-learn {sklearn.__version__}."
    )


def _digest(members: dict[str, bytes]) -> str:
    """Of names and contents, to find accidents. Against intent it is no help, and the check of names is."""
    digest = hashlib.sha256()
    for name, content in sorted(members.items()):
        digest.update(f"{name} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()
