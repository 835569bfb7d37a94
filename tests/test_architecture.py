"""Imports point down, and each large library comes in by one door."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sklearn_rnn

PACKAGE = Path(sklearn_rnn.__file__).parent

FLOORS = {
    "__init__": 5,
    "persistence": 4,
    "export": 4,
    "plots": 4,
    "inspection": 4,
    "search": 4,
    "regressor": 3,
    "classifier": 3,
    "forecaster": 3,
    "_estimator": 2,
    "_sequence_reader": 2,
    "_net_estimator": 2,
    "_forecast_base": 2,
    "_forecast_history": 2,
    "_forecast_origins": 2,
    "_parameters": 2,
    "_onnx": 1,
    "_training": 1,
    "_settings": 1,
    "_optimizers": 1,
    "_gradients": 1,
    "_halving": 1,
    "_prediction": 1,
    "_progress": 1,
    "_course": 1,
    "_checkpoints": 1,
    "_averaging": 1,
    "_batches": 1,
    "_skorch_callbacks": 1,
    "_losses": 1,
    "_targets": 1,
    "_anchors": 1,
    "_forecast_data": 1,
    "_forecast_tables": 1,
    "_blend": 1,
    "_forecast_blend": 1,
    "_conformal": 1,
    "_panel": 1,
    "_validation": 1,
    "windows": 1,
    "text": 1,
    "splits": 1,
    "sequences": 0,
    "nets": 0,
    "_device": 0,
    "_randomness": 0,
    "_statistics": 0,
    "_times": 0,
    "_schedule": 0,
    "_frequency": 0,
    "_distributed": 0,
    "_rows": 0,
    "_plain_values": 0,
    "_files": 0,
    "_pipelines": 0,
    "_callbacks": 0,
    "_errors": 0,
}
# The only modules that may import a library, and the only libraries that a module may import.
DOORS = {
    "skorch": {"_training", "_skorch_callbacks"},
    "tqdm": {"_progress"},
    "matplotlib": {"plots"},
    "skops": {"persistence"},
    "onnx": {"_onnx"},
}
DIETS = {"nets": {"torch", "numpy", "numba", "llvmlite"}, "sequences": {"numpy"}}


def imported_names(source, package="sklearn_rnn"):
    """Every module that is imported anywhere in the source, functions included, as a full dotted name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            start = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" if module == "sklearn_rnn" else module for alias in node.names)


def own_modules(names):
    """The parts of this package among the names: `sklearn_rnn.nets.pooling` is of the part `nets`."""
    return {name.split(".")[1] for name in names if name.startswith("sklearn_rnn.")}


def libraries(names):
    roots = {name.split(".")[0] for name in names}
    return roots - set(sys.stdlib_module_names) - {"sklearn_rnn"}


def part_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of_parts():
    """The names that each part of the package imports, over all its files."""
    imports = {}
    for path in PACKAGE.rglob("*.py"):
        package = ".".join(["sklearn_rnn", *path.relative_to(PACKAGE).parts[:-1]])
        imports.setdefault(part_of(path), set()).update(imported_names(path.read_text(encoding="utf-8"), package))
    return imports


def upward_imports(imports):
    return [
        f"{part} (floor {FLOORS[part]}) imports {other} (floor {FLOORS[other]})"
        for part, names in imports.items()
        for other in own_modules(names) - {part}
        if FLOORS[other] > FLOORS[part]
    ]


def wrong_doors(imports):
    return [
        f"{part} imports {library}"
        for part, names in imports.items()
        for library in libraries(names)
        if part not in DOORS.get(library, {part}) or library not in DIETS.get(part, {library})
    ]


def a_cycle(imports):
    """Parts that import each other in a circle, or None: take away what imports nothing left until nothing changes."""
    left = {part: own_modules(names) - {part} for part, names in imports.items()}
    while True:
        done = {part for part, others in left.items() if not others & left.keys()}
        if not done:
            return sorted(left) or None
        left = {part: others for part, others in left.items() if part not in done}


def test_every_part_of_the_package_has_a_floor():
    assert set(imports_of_parts()) <= set(FLOORS)


def test_imports_point_down():
    assert upward_imports(imports_of_parts()) == []


def test_no_parts_import_each_other_in_a_circle():
    assert a_cycle(imports_of_parts()) is None


def test_each_library_comes_in_by_its_door():
    assert wrong_doors(imports_of_parts()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import sklearn_rnn.regressor",
        "from sklearn_rnn.regressor import RNNRegressor",
        "from sklearn_rnn import regressor",
        "from . import regressor",
        "from .regressor import RNNRegressor",
        "def later():\n    from sklearn_rnn.regressor import RNNRegressor",
    ],
)
def test_an_upward_import_would_be_found_however_it_is_written(source):
    assert upward_imports({"windows": set(imported_names(source))}) == ["windows (floor 1) imports regressor (floor 3)"]


def test_a_library_at_the_wrong_door_would_be_found():
    imports = {"windows": {"skorch.helper"}, "nets": {"torch.nn", "math", "pandas"}, "_training": {"skorch"}}
    assert wrong_doors(imports) == ["windows imports skorch", "nets imports pandas"]


def test_a_circle_would_be_found():
    imports = {"windows": {"sklearn_rnn.splits"}, "splits": {"sklearn_rnn.windows"}, "sequences": {"numpy"}}
    assert a_cycle(imports) == ["splits", "windows"]


def test_the_guide_for_contributors_has_every_module_on_its_floor():
    guide = Path(__file__).parents[1] / "CONTRIBUTING.md"
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", guide.read_text(encoding="utf-8"), flags=re.M)
    told = {
        name.rstrip("/").removesuffix(".py"): int(floor)
        for floor, names in rows
        for name in names.strip(" `").split("` `")
    }
    assert told == {name: floor for name, floor in FLOORS.items() if floor < 5}


def test_the_package_is_imported_without_torch_until_a_net_is_needed():
    code = "import sys; from sklearn_rnn import SlidingWindow; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_fit_does_without_the_import_of_torchs_compiler():
    code = """
import sys
import numpy as np, torch
from sklearn_rnn import RNNRegressor
from sklearn_rnn._optimizers import OPTIMIZERS
X = np.random.default_rng(0).normal(size=(20, 5, 1)).astype("float32")
for optimizer in [*OPTIMIZERS, torch.optim.Adam]:
    RNNRegressor(hidden_size=4, max_epochs=1, optimizer=optimizer).fit(X, X[:, 0, 0]).predict(X)
    assert "torch._dynamo" not in sys.modules, optimizer
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there_and_documented():
    for name in sklearn_rnn.__all__:
        assert getattr(sklearn_rnn, name).__doc__
    assert set(sklearn_rnn.__all__) <= set(dir(sklearn_rnn))
    with pytest.raises(AttributeError, match="no attribute 'Regressor'"):
        _ = sklearn_rnn.Regressor
