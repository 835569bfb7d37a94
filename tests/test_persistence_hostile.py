"""Files that were cut short, altered, or made by an enemy: what is said of them, and that nothing of them runs."""

import importlib
import io
import json
import os
import sys
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import skops.io
from scipy import stats
from sklearn.model_selection import RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_rnn import RNNRegressor, SlidingWindow, load, save
from sklearn_rnn.persistence import HEADER, OWN_TYPES, SKLEARN_TYPES, _digest, _metrics, _splitters, _with_header

X = np.sin(np.arange(120.0)).reshape(20, 6)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model.skops"


@pytest.fixture
def proof(tmp_path):
    """A file that is there once foreign code has run."""
    return tmp_path / "proof"


def fitted():
    return RNNRegressor(hidden_size=4, max_epochs=1, random_state=0, n_threads=1, device="cpu").fit(X, X[:, 0])


def members_of(file):
    with ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(file, members):
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def forge(file, edit):
    """Edit the schema of a file and give it the digest of its new content, as an enemy can."""
    members = members_of(file)
    del members[HEADER]
    schema = edit(json.loads(members["schema.json"]))
    members["schema.json"] = json.dumps(schema).encode()
    write_members(file, members)
    file.write_bytes(_with_header(file.read_bytes()))


# Damage ---------------------------------------------------------------------------------------------------------------


def test_a_file_cut_short_anywhere_is_told_from_a_whole_one(file):
    save(fitted(), file)
    data = file.read_bytes()
    for length in np.linspace(0, len(data) - 1, 25).astype(int):
        file.write_bytes(data[:length])
        with pytest.raises(ValueError, match="was cut short or altered"):
            load(file)


def test_a_changed_byte_is_found_or_changes_nothing(file):
    model = fitted()
    save(model, file)
    data = file.read_bytes()
    n_found = 0
    for position in np.random.default_rng(0).choice(len(data), 150, replace=False):
        file.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            np.testing.assert_array_equal(load(file).predict(X), model.predict(X))  # a date of the archive, say
        except ValueError as error:
            assert "altered" in str(error) or "sklearn_rnn.save" in str(error)  # noqa: PT017 most, not all, are refused
            n_found += 1
    assert n_found > 100


def test_edited_content_is_found(file):
    save(fitted(), file)
    members = members_of(file)
    assert b"0.005" in members["schema.json"]
    members["schema.json"] = members["schema.json"].replace(b"0.005", b"0.006")
    write_members(file, members)
    with pytest.raises(ValueError, match="was altered: its content is not what sklearn_rnn.save wrote"):
        load(file)


def test_other_files_are_named_as_such(file):
    skops.io.dump(fitted(), file)
    with pytest.raises(ValueError, match="was not written by sklearn_rnn.save"):
        load(file)
    file.write_text("no archive", encoding="utf-8")
    with pytest.raises(ValueError, match="is no whole file of sklearn_rnn.save"):
        load(file)
    for header in ("[]", "no json", '{"format": "new"}'):
        write_members(file, {HEADER: header})
        with pytest.raises(ValueError, match="cut short or altered"):
            load(file)


def test_a_file_of_a_newer_release_says_so(file):
    save(fitted(), file)
    members = members_of(file)
    header = json.loads(members[HEADER])
    members[HEADER] = json.dumps({**header, "format": 2, "sklearn_rnn": "7.1.0"})
    write_members(file, members)
    with pytest.raises(ValueError, match=r"newer sklearn_rnn 7\.1\.0, in format 2.* reads formats up to 1. Install"):
        load(file)


def test_a_newer_release_of_the_same_format_is_read(file):
    model = fitted()
    save(model, file)
    members = members_of(file)
    members[HEADER] = json.dumps({**json.loads(members[HEADER]), "sklearn_rnn": "0.9.0"})
    write_members(file, members)
    np.testing.assert_array_equal(load(file).predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda schema: {**schema, "protocol": 99}, "protocol 99.*written by sklearn_rnn"),
        (lambda schema: {**schema, "protocol": "2"}, "cannot be read"),
        (lambda schema: {**schema, "__loader__": "NewNode"}, "cannot be read"),
        (lambda schema: {**schema, "content": {}}, "cannot be read"),
        (lambda schema: [], "cannot be read"),
        (lambda schema: {**schema, "__class__": "Absent"}, r"names sklearn_rnn\.regressor\.Absent"),
        (lambda schema: {**schema["content"], "protocol": 2}, "holds a dict, but must hold an estimator"),
    ],
)
def test_content_that_makes_no_sense_is_one_clear_error(file, edit, message):
    save(RNNRegressor(), file)
    forge(file, edit)
    with pytest.raises(ValueError, match=message):
        load(file)


# Intent ---------------------------------------------------------------------------------------------------------------


def node(value):
    """A value in the schema of skops."""
    archive = io.BytesIO(skops.io.dumps(value))
    schema = json.loads(ZipFile(archive).read("schema.json"))
    return without_ids({name: schema[name] for name in schema if name not in ("protocol", "_skops_version")})


def without_ids(tree):
    if isinstance(tree, dict):
        return {name: without_ids(item) for name, item in tree.items() if name != "__id__"}
    return [without_ids(item) for item in tree] if isinstance(tree, list) else tree


def call(module, name, *arguments):
    """A node that calls a function when it is built."""
    return {
        "__module__": module,
        "__class__": name,
        "__loader__": "ConstructorFromReduceNode",
        "content": node(arguments),
    }


def with_attribute(schema, attribute):
    """The schema of an estimator with another value of `verbose`."""
    schema["content"]["content"]["verbose"] = attribute
    return schema


@pytest.mark.parametrize("module", ["os", os.name])
def test_a_file_that_calls_the_system_is_refused_by_name_and_nothing_runs(file, proof, module):
    save(RNNRegressor(), file)
    attack = call(module, "system", f"echo run > '{proof}'")
    forge(file, lambda schema: with_attribute(schema, attack))
    with pytest.raises(ValueError, match=rf"names {module}\.system: not among .* Nothing of it was built"):
        load(file)
    assert not proof.exists()
    skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    assert proof.exists()  # so the attack was a real one


@pytest.mark.parametrize("name", ["eval", "exec"])
def test_code_as_the_type_of_a_key_is_refused_by_name_and_nothing_runs(file, proof, name):
    save(RNNRegressor(), file)
    attack = node({f"open({str(proof)!r}, 'w').close()": 1})
    attack["key_types"]["content"] = [{"__module__": "builtins", "__class__": name, "__loader__": "TypeNode"}]
    forge(file, lambda schema: with_attribute(schema, attack))
    with pytest.raises(ValueError, match=rf"names builtins\.{name}: not among"):
        load(file)
    assert not proof.exists()
    skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    assert proof.exists()


def test_code_in_the_state_of_a_distribution_is_refused_by_name_and_nothing_runs(file, proof):
    """scipy runs the text that a distribution keeps as the template of its argument parser."""
    frozen = stats.uniform()
    frozen.dist._parse_arg_template = f"open({str(proof)!r}, 'w').close()\n" + frozen.dist._parse_arg_template
    search = RandomizedSearchCV(RNNRegressor(), {"learning_rate": frozen})
    data = skops.io.dumps(search)
    file.write_bytes(_with_header(data))
    with pytest.raises(ValueError, match=r"names scipy\.stats\._continuous_distns\.uniform_gen, scipy"):
        load(file)
    assert not proof.exists()
    skops.io.loads(data, trusted=skops.io.get_untrusted_types(data=data))
    assert proof.exists()
    proof.unlink()
    save(search, file)  # by its name, and so without that text
    assert load(file).param_distributions["learning_rate"].dist.name == "uniform"
    assert not proof.exists()


def test_a_pipeline_with_a_foreign_function_is_refused_by_name(file):
    file.write_bytes(_with_header(skops.io.dumps(make_pipeline(FunctionTransformer(os.system), fitted()))))
    with pytest.raises(ValueError, match=rf"names {os.name}\.system: not among"):
        load(file)


def test_a_foreign_module_is_not_even_imported(file, tmp_path, monkeypatch):
    (tmp_path / "foreign_module.py").write_text("class Thing: pass\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    save(RNNRegressor(), file)
    attack = {"__module__": "foreign_module", "__class__": "Thing", "__loader__": "ObjectNode", "content": None}
    forge(file, lambda schema: with_attribute(schema, attack))
    with pytest.raises(ValueError, match=r"names foreign_module\.Thing"):
        load(file)
    assert "foreign_module" not in sys.modules
    skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    assert "foreign_module" in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "sklearn_rnn._training.SequenceNet",
        "sklearn_rnn._plain_values._build_distribution",
        "sklearn_rnn.importlib.import_module",
        "sklearn.datasets._base.load_files",
        "sklearn.metrics._scorer.get_scorer",
        "sklearn.externals._packaging.version.parse",
        "sklearn.tree._tree.Tree",
        "numpy.load",
        "pandas.read_pickle",
        "joblib.load",
        "pickle.loads",
        "torch.load",
        "functools.partial",
        "operator.attrgetter",
    ],
)
@pytest.mark.parametrize("loader", ["ConstructorFromReduceNode", "ObjectNode", "FunctionNode", "TypeNode"])
def test_a_name_is_not_trusted_for_its_package(file, name, loader):
    save(RNNRegressor(), file)
    module, _, kind = name.rpartition(".")
    attack = {"__module__": module, "__class__": kind, "__loader__": loader, "content": node(("a",))}
    forge(file, lambda schema: with_attribute(schema, attack))
    with pytest.raises(ValueError, match=rf"names {name.replace('.', '[.]')}: not among"):
        load(file)


@pytest.mark.parametrize(
    "text",
    [
        '{"distribution": ["rv_continuous", [], {"dict": [[], []]}]}',
        '{"distribution": ["gaussian_kde", [], {"dict": [[], []]}]}',
        '{"distribution": ["__builtins__", [], {"dict": [[], []]}]}',
        '{"eval": ["1"]}',
        '{"part": [3]}',
        '{"date": ["tomorrow"]}',
        "{}",
        "no json",
    ],
)
def test_the_text_of_plain_values_builds_nothing_but_values(file, text):
    save(RNNRegressor(), file)
    attack = call("sklearn_rnn._plain_values", "Plain", text)
    forge(file, lambda schema: with_attribute(schema, attack))
    with pytest.raises(ValueError, match="does not fit together.*It was written by"):
        load(file)


def test_what_is_allowed_may_be_called_with_anything_and_runs_nothing(file):
    """A metric or an estimator in the place of a function is a name that may stand in a file, and a useless one."""
    save(SlidingWindow(), file)
    for module, name in [("sklearn.metrics._regression", "r2_score"), ("sklearn_rnn.windows", "SlidingWindow")]:
        forge(file, lambda schema, at=(module, name): {**call(*at, "a", "b"), "protocol": 2})
        with pytest.raises(ValueError, match="does not fit together"):
            load(file)


def test_every_name_of_this_package_that_files_hold_is_still_there():
    for name in OWN_TYPES:
        module, _, kind = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), kind), type)


def test_the_names_of_scikit_learn_are_few_and_its_own():
    functions, splitters = _metrics(), _splitters()
    assert {"sklearn.metrics._regression.r2_score", "sklearn.metrics._regression.mean_pinball_loss"} <= functions
    assert {"sklearn.model_selection._split.KFold", "sklearn.model_selection._split.TimeSeriesSplit"} <= splitters
    assert all(name.startswith("sklearn.metrics.") and name.islower() for name in functions)
    assert all(name.startswith("sklearn.model_selection._split.") for name in splitters)
    assert {name for name in SKLEARN_TYPES if not name.startswith("sklearn.")} == {"builtins.object"}


def test_the_digest_tells_names_from_contents():
    assert _digest({"a": b"bc"}) != _digest({"ab": b"c"})
    assert _digest({"a": b"", "b": b""}) == _digest({"b": b"", "a": b""})
