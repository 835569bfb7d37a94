"""Hostile input for test_hostile.py: what users hand over by mistake or from a messy table, and what nobody should."""

import copy
import datetime
import decimal
import fractions
import warnings

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from hypothesis import strategies as st

from sklearn_rnn import Sequences

N = 12  # samples of good data
STEPS = 6

# Things ---------------------------------------------------------------------------------------------------------------

# Made anew each time, as a generator is used up.
NO_DATA = [
    lambda: None,
    lambda: 0,
    lambda: 3.5,
    lambda: True,
    lambda: 1j,
    lambda: "text",
    lambda: b"bytes",
    lambda: object(),
    lambda: object,
    lambda: len,
    lambda: [],
    lambda: [[]],
    lambda: [[], []],
    lambda: [[[]]],
    lambda: (),
    lambda: {},
    lambda: {"a": [1.0, 2.0]},
    lambda: {1.0, 2.0},
    lambda: iter([[1.0], [2.0]]),
    lambda: (row for row in [[1.0], [2.0]]),
    lambda: map(float, "12"),
    lambda: range(N),
    lambda: slice(3),
    lambda: ...,
    lambda: np.nan,
    lambda: pd.NA,
    lambda: pd.NaT,
    lambda: np.array(5.0),
    lambda: np.array(None),
    lambda: np.array("text"),
    lambda: np.empty(0),
    lambda: np.empty((0, 3)),
    lambda: np.empty((3, 0)),
    lambda: np.empty((N, 0)),
    lambda: np.ones((2, 2, 2, 2)),
    lambda: np.ones(N, dtype=[("a", float), ("b", int)]),
    lambda: np.ones((N, STEPS), dtype=[("a", float)]),
    lambda: pd.DataFrame(),
    lambda: pd.DataFrame(index=range(N)),
    lambda: pd.DataFrame(columns=["a", "b"]),
    lambda: pd.Series(dtype=float),
    lambda: pd.Series(range(N)),
    lambda: pd.Index(range(N)),
    lambda: pd.date_range("2024", periods=N),
    lambda: datetime.datetime(2024, 1, 1),
    lambda: np.datetime64("2024"),
    lambda: decimal.Decimal("1.5"),
    lambda: torch.ones(N, STEPS),
    lambda: torch.ones(N, STEPS, requires_grad=True),
    lambda: memoryview(bytes(N)),
    lambda: bytearray(b"1234"),
]

CELLS = [
    None,
    "a",
    "",
    "3.5",
    b"1",
    10**400,
    -(10**25),
    2**63,
    1j,
    True,
    np.nan,
    pd.NA,
    pd.NaT,
    np.inf,
    [1.0, 2.0],
    (),
    {},
    np.ones(2),
    object(),
    decimal.Decimal("0.1"),
    fractions.Fraction(1, 3),
    pd.Timestamp("2024-01-01"),
    pd.Timestamp("2024-01-01", tz="Europe/Berlin"),
    datetime.date(2024, 1, 1),
    pd.Timedelta("1h"),
    pd.Interval(0, 1),
    len,
]

VALUES = [
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    3,
    10**9,
    10**30,
    -(10**30),
    0.0,
    -0.0,
    0.5,
    1.0,
    1.5,
    -0.5,
    1e-300,
    1e30,
    np.nan,
    np.inf,
    -np.inf,
    1j,
    "",
    "auto",
    "gru",
    "GRU",
    "last",
    "1",
    "a",
    "1h",
    b"auto",
    [],
    [1],
    [0, 1],
    ["a"],
    ["a", "a"],
    [None],
    [np.nan],
    [[0.5]],
    (0.1, 0.5, 0.9),
    (0.9, 0.1),
    {},
    {0: 1.0},
    {"a": 2},
    {0: np.nan, 1: -1.0},
    {0: "heavy", 1: None},
    set(),
    object(),
    object,
    int,
    len,
    str.split,
    str.upper,
    np.int64(2),
    np.int32(0),
    np.float32(0.5),
    np.float64("nan"),
    np.bool_(True),
    np.str_("rnn"),
    np.array(2),
    np.array([0.5]),
    np.array([True, False]),
    np.ones((2, 2)),
    pd.NA,
    pd.NaT,
    pd.Timedelta("1h"),
    pd.Timedelta(-1, "h"),
    np.timedelta64("NaT"),
    np.timedelta64(2, "D"),
    datetime.timedelta(days=10**8),
    pd.offsets.MonthEnd(),
    pd.offsets.Hour(2),
    decimal.Decimal(2),
    fractions.Fraction(1, 2),
    pd.Series([0.5]),
    torch.optim.SGD,
    torch.optim.Optimizer,
    torch.optim.LBFGS,
    torch.optim.SparseAdam,
    torch.device("cpu"),
    "cuda:99",
    "meta",
    np.random.default_rng(0),
]

# Arrays ---------------------------------------------------------------------------------------------------------------

SCALES = [1.0, 1.0, 1.0, 1e-30, 1e-300, 1e30, 1e300, 0.0]
DTYPES = [
    *("float64", "float64", "float64", "float32", "float16", "int64", "uint8", "uint64", "bool", "object", "object"),
    *("complex128", "str", "S8", "M8[ns]", "m8[s]", ">f8", ">i4", "longdouble"),
]


def _spoil(draw, array):
    """Put something into some cells of an array of floats or objects."""
    defect = draw(st.sampled_from(["none", "none", "cell", "nan", "inf", "zero", "column", "head", "all", "sample"]))
    flat = array.reshape(-1)
    if not flat.size or defect == "none":
        return array
    if defect == "cell":
        return _with_cell(draw, array)
    position = draw(st.integers(0, flat.size - 1))
    values = {"nan": np.nan, "inf": draw(st.sampled_from([np.inf, -np.inf])), "zero": -0.0}
    if defect in values:
        flat[position] = values[defect]
    elif defect == "column":
        array[..., -1] = np.nan
    elif defect == "head":
        array.reshape(len(array), -1)[: len(array) // 2 + 1, :2] = np.nan
    elif defect == "sample":
        array[0] = np.nan
    else:
        array[...] = np.nan
    return array


def _with_cell(draw, array):
    spoiled = array.astype(object)
    flat = spoiled.reshape(-1)
    cell = draw(st.sampled_from(CELLS))
    position = draw(st.integers(0, flat.size - 1))
    flat[position : position + 1] = np.fromiter([cell], dtype=object, count=1)
    return flat.reshape(array.shape)


def _cast(array, dtype):
    with np.errstate(all="ignore"):
        try:
            return array.astype(dtype)
        except (TypeError, ValueError, OverflowError):
            return array


@st.composite
def arrays(draw, shape):
    """An array of the shape, of any type, with defects."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    scale = draw(st.sampled_from(SCALES))
    array = _spoil(draw, rng.normal(size=shape) * scale + (draw(st.sampled_from([0.0, 1.0, 1e6])) if scale else 1.0))
    dtype = draw(st.sampled_from(DTYPES))
    with np.errstate(all="ignore"):
        if np.dtype(dtype).kind in "iuMm" and array.dtype.kind == "f":
            array = np.nan_to_num(array * 3, nan=0, posinf=0, neginf=0).clip(-100, 100)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _cast(array, dtype)


def _masked(array):
    mask = np.zeros(array.shape, dtype=bool)
    mask[0] = True
    return np.ma.masked_array(array, mask)


def _readonly(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def _object_rows(array):
    rows = np.empty(len(array), dtype=object)
    for i, row in enumerate(array):
        rows[i] = row
    return rows


def _matrix(array):
    return np.asmatrix(array) if array.ndim == 2 else array


def _sparse(kind):
    def make(array):
        return kind(array) if array.ndim == 2 and array.dtype.kind in "fiub" and array.dtype.itemsize <= 8 else array

    return make


def _tensor(array):
    try:
        return torch.from_numpy(array)
    except (TypeError, ValueError):
        return array


CONTAINERS = [
    *(lambda a: a, lambda a: a, lambda a: a),
    lambda a: a.tolist(),
    lambda a: tuple(map(tuple, a.tolist())) if a.ndim == 2 else a.tolist(),
    list,
    tuple,
    lambda a: pd.DataFrame(a) if a.ndim == 2 else a,
    lambda a: pd.DataFrame(a) if a.ndim == 2 else pd.Series(a) if a.ndim == 1 else a,
    lambda a: pd.DataFrame(a, columns=[f"c{j}" for j in range(a.shape[1])]) if a.ndim == 2 else a,
    lambda a: [pd.DataFrame(rows) for rows in a] if a.ndim == 3 else a,
    lambda a: [pd.Series(rows) for rows in a] if a.ndim == 2 else a,
    _masked,
    _sparse(scipy.sparse.csr_matrix),
    _sparse(scipy.sparse.coo_array),
    _matrix,
    np.asfortranarray,
    lambda a: a[::-1],
    lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    _readonly,
    _object_rows,
    _tensor,
    iter,
    lambda a: {"rows": a},
    lambda a: [*a[:-1], None],
    lambda a: [*a[:-1], "text"],
    lambda a: [*a[:-1], {}],
    lambda a: [a, a],
    lambda a: a[:, None],
    lambda a: a[..., None],
]


@st.composite
def things(draw, shapes):
    """An array-like of one of the shapes, or no data at all."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(NO_DATA))()
    array = draw(arrays(draw(st.sampled_from(shapes))))
    try:
        return draw(st.sampled_from(CONTAINERS))(array)
    except (TypeError, ValueError, IndexError):
        return array


@st.composite
def ragged(draw):
    """A list of sequences of unequal length, some of them spoiled."""
    n_channels = draw(st.sampled_from([1, 2, 2]))
    items = [draw(arrays((draw(st.integers(1, 5)), n_channels))) for _ in range(2)]
    items = [*items, *(np.ones((3, n_channels)) for _ in range(N - len(items)))]
    change = draw(st.integers(0, 9))
    if change == 1:
        items[3] = np.ones((3, n_channels + 1))
    elif change == 2:
        items[3] = draw(st.sampled_from(NO_DATA))()
    elif change == 3:
        items = [pd.DataFrame(item) for item in items]
        items[3] = items[3].rename(columns=str)
    elif change == 4:
        items = [item[:, 0] for item in items]
    elif change == 5:
        items = [item.tolist() for item in items]
    elif change == 6:
        items[0] = items[0][:0]
    elif change == 7:
        items = _object_rows(items)
    elif change == 8:
        items = [pd.DataFrame(item, columns=["a", "b"][:n_channels]) for item in items]
        items[-1] = items[-1].iloc[:, ::-1]
    return items


# Tables ---------------------------------------------------------------------------------------------------------------


def _times(n, **options):
    return pd.date_range("2024-01-01", periods=n, freq="h", **options)


def _mixed(n):
    return pd.Series([[1.5, "a", None, pd.NaT, 2][i % 5] for i in range(n)], dtype=object)


COLUMNS = {
    "float": lambda n, rng: rng.normal(size=n),
    "float again": lambda n, rng: rng.normal(size=n),
    "with nan": lambda n, rng: np.where(np.arange(n) % 3 == 1, np.nan, rng.normal(size=n)),
    "nan": lambda n, rng: np.full(n, np.nan),
    "inf": lambda n, rng: np.where(np.arange(n) == n // 2, np.inf, 1.0),
    "tiny": lambda n, rng: rng.normal(size=n) * 1e-30,
    "large": lambda n, rng: rng.normal(size=n) * 1e30,
    "too large": lambda n, rng: rng.normal(size=n) * 1e300,
    "constant": lambda n, rng: np.full(n, 7),
    "negative zero": lambda n, rng: np.full(n, -0.0),
    "half": lambda n, rng: rng.normal(size=n).astype(np.float16),
    "int": lambda n, rng: rng.integers(0, 5, n),
    "big int": lambda n, rng: np.full(n, 2**62),
    "bigger int": lambda n, rng: pd.Series([10**30 + i for i in range(n)], dtype=object),
    "bool": lambda n, rng: rng.integers(0, 2, n).astype(bool),
    "Int64": lambda n, rng: pd.array([None if i % 4 == 1 else i for i in range(n)], dtype="Int64"),
    "Float64": lambda n, rng: pd.array([None if i % 4 == 1 else i / 3 for i in range(n)], dtype="Float64"),
    "boolean": lambda n, rng: pd.array([[True, False, None][i % 3] for i in range(n)], dtype="boolean"),
    "string": lambda n, rng: pd.array([[None, "a", "b"][i % 3] for i in range(n)], dtype="string"),
    "str": lambda n, rng: np.array(["a", "b"] * n)[:n],
    "many str": lambda n, rng: np.array([f"s{i}" for i in range(n)]),
    "category": lambda n, rng: pd.Categorical(["a", "b", None] * n)[:n],
    "category of int": lambda n, rng: pd.Categorical([3, 1] * n)[:n],
    "empty category": lambda n, rng: pd.Categorical([None] * n, categories=[]),
    "date": lambda n, rng: _times(n),
    "date again": lambda n, rng: _times(n)[::-1],
    "zoned": lambda n, rng: _times(n, tz="Europe/Berlin"),
    "zones": lambda n, rng: pd.Series(
        [pd.Timestamp("2024", tz=["UTC", "Asia/Tokyo"][i % 2]) for i in range(n)], dtype=object
    ),
    "zoned or not": lambda n, rng: pd.Series(
        [pd.Timestamp("2024", tz=["UTC", None][i % 2]) for i in range(n)], dtype=object
    ),
    "date with NaT": lambda n, rng: _times(n).where(np.arange(n) != 1),
    "same date": lambda n, rng: pd.DatetimeIndex(["2024"] * n),
    "python dates": lambda n, rng: pd.Series([datetime.date(2024, 1, 1 + i % 28) for i in range(n)], dtype=object),
    "far dates": lambda n, rng: pd.Series([datetime.datetime(9000 + i % 99, 1, 1) for i in range(n)], dtype=object),
    "delta": lambda n, rng: pd.timedelta_range("1h", periods=n, freq="h"),
    "period": lambda n, rng: pd.period_range("2024", periods=n, freq="M"),
    "interval": lambda n, rng: pd.interval_range(0, n),
    "sparse": lambda n, rng: pd.arrays.SparseArray(rng.integers(0, 2, n).astype(float)),
    "complex": lambda n, rng: rng.normal(size=n) + 1j,
    "mixed": lambda n, rng: _mixed(n),
    "lists": lambda n, rng: pd.Series([[1, 2]] * n, dtype=object),
    "bytes": lambda n, rng: pd.Series([b"x"] * n, dtype=object),
    "objects": lambda n, rng: pd.Series([1.5] * n, dtype=object),
    "decimals": lambda n, rng: pd.Series([decimal.Decimal(i) for i in range(n)], dtype=object),
    "counts": lambda n, rng: np.arange(n),
    "uneven counts": lambda n, rng: np.cumsum(rng.integers(1, 9, n)),
    "uint counts": lambda n, rng: np.arange(n, dtype=np.uint64) + np.uint64(2**63),
    "unsorted counts": lambda n, rng: rng.permutation(n),
    "groups": lambda n, rng: np.arange(n) // max(n // 2, 1),
    "groups with nan": lambda n, rng: np.where(np.arange(n) == 0, np.nan, np.arange(n) // max(n // 2, 1)),
}

NAMES = [
    ["a", "b", "c", "d", "e"],
    ["a", "b", "c", "d", "e"],
    ["a", "b", "c", "d", "e"],
    ["a", "a", "c", "d", "e"],
    [0, 1, 2, 3, 4],
    ["a", 1, None, 2.5, ("x", "y")],
    [np.nan, "b", "", " ", "target"],
    pd.MultiIndex.from_product([["a", "b", "c", "d", "e"], ["x"]]),
    pd.date_range("2024", periods=5),
    [True, False, b"c", "d", "e"],
]

INDEXES = [
    lambda n: pd.RangeIndex(n),
    lambda n: pd.RangeIndex(n),
    lambda n: _times(n),
    lambda n: _times(n)[::-1],
    lambda n: _times(n, tz="Europe/Berlin"),
    lambda n: pd.DatetimeIndex(["2024"] * n),
    lambda n: _times(n).where(np.arange(n) != 1),
    lambda n: pd.period_range("2024", periods=n, freq="D"),
    lambda n: pd.timedelta_range("1h", periods=n, freq="h"),
    lambda n: pd.bdate_range("2024", periods=n),
    lambda n: pd.date_range("2024", periods=n, freq="MS"),
    lambda n: pd.Index([f"r{i}" for i in range(n)]),
    lambda n: pd.Index([0] * n),
    lambda n: pd.Index([0.1 * i for i in range(n)]),
    lambda n: pd.Index([np.nan] * n),
    lambda n: pd.Index([np.inf] * n),
    lambda n: pd.MultiIndex.from_arrays([range(n), range(n)]),
    lambda n: pd.Index([[1, "a", None][i % 3] for i in range(n)], dtype=object),
    lambda n: pd.Index([pd.Timestamp("2024", tz=["UTC", "Asia/Tokyo"][i % 2]) for i in range(n)], dtype=object),
    lambda n: pd.Index([datetime.date(2024, 1, 1 + i % 28) for i in range(n)], dtype=object),
    lambda n: pd.CategoricalIndex(["a"] * n),
    lambda n: pd.Index([True] * n),
    lambda n: pd.Index([2**62 + i for i in range(n)]),
    lambda n: pd.Index([None] * n, dtype=object),
    lambda n: pd.Index([1j] * n),
]


@st.composite
def frames(draw, n_rows=(0, 1, 2, N, N, 2 * N, 2 * N)):
    """A DataFrame with any columns, names and index."""
    n = draw(st.sampled_from(n_rows))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    kinds = ["float", *draw(st.lists(st.sampled_from(list(COLUMNS)), max_size=4))]
    if draw(st.integers(0, 3)) == 0:
        kinds = kinds[::-1]
    columns = [pd.Series(COLUMNS[kind](n, rng)).reset_index(drop=True) for kind in kinds]
    frame = pd.concat(columns, axis=1) if n else pd.DataFrame(dict(enumerate(columns)))
    names = draw(st.sampled_from(NAMES))
    frame.columns = names[: len(kinds)]
    index = draw(st.sampled_from(INDEXES))(n)
    if len(index) == n:
        frame.index = index
    if draw(st.integers(0, 9)) == 0:
        frame = frame.iloc[::-1]
    return frame


# What the estimators are given ----------------------------------------------------------------------------------------


def good_X():
    return np.random.default_rng(0).normal(size=(N, STEPS))


def good_y():
    return np.arange(float(N)) % 3


@st.composite
def sequences(draw):
    """Sequences made of hostile rows, where they can be made at all."""
    rows = draw(arrays((N + 4, draw(st.sampled_from([1, 2])))))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    lengths = rng.integers(1, 5, N)
    try:
        return Sequences(rows, np.arange(N), lengths, align=draw(st.sampled_from(["start", "end"])))
    except (TypeError, ValueError):
        return Sequences(np.ones((N + 4, 1)), np.arange(N), lengths)


def inputs():
    """X of any form."""
    shapes = [
        (N, STEPS),
        (N, STEPS),
        (N, STEPS, 2),
        (N, STEPS, 1),
        (N,),
        (1, STEPS),
        (N, 1),
        (N, 1, 1),
        (0, 3),
        (N, 2, 2, 2),
    ]
    return st.one_of(things(shapes), things(shapes), frames(), ragged(), sequences())


@st.composite
def labels(draw, n):
    """y of about n samples, of any form."""
    kind = draw(st.integers(0, 3))
    if kind == 0:
        column = draw(st.sampled_from(list(COLUMNS)))
        made = pd.Series(COLUMNS[column](n, np.random.default_rng(0)))
        return draw(st.sampled_from([lambda s: s, lambda s: s.to_numpy(), lambda s: list(s), lambda s: s.to_frame()]))(
            made
        )
    if kind == 1:
        return draw(st.sampled_from(LABELS))(n)
    return draw(things([(n,), (n,), (n, 2), (n + 1,), (n, 1), (n, STEPS), (n, 2, 2), (0,)]))


LABELS = [
    lambda n: ["low", "high"] * (n // 2) + ["low"] * (n % 2),
    lambda n: [None] * n,
    lambda n: ["low", None] * (n // 2),
    lambda n: ["low", 1] * (n // 2),
    lambda n: [[0, 1]] * (n - 1) + [[0]],
    lambda n: [np.arange(3)] * n,
    lambda n: [np.arange(i + 1) for i in range(n)],
    lambda n: np.arange(n) % 2,
    lambda n: np.zeros(n),
    lambda n: np.arange(n) % 2 == 0,
    lambda n: np.arange(n) / 2,
    lambda n: -np.arange(n),
    lambda n: np.full(n, 10**30, dtype=object),
    lambda n: [10**400] * n,
    lambda n: [[["a"]]] * n,
    lambda n: np.array(["a", "b"] * n)[:n].reshape(-1, 1),
    lambda n: np.eye(n, 3, dtype=int),
    lambda n: scipy.sparse.csr_matrix(np.eye(n, 3)),
    lambda n: np.full((n, 3), np.nan),
    lambda n: [(0, 1), (1,)] * (n // 2),
    lambda n: [{"a"}, {"b"}] * (n // 2),
    lambda n: "a" * n,
    lambda n: Sequences(np.zeros(n), np.arange(n), np.ones(n, int)),
]


def weights(n):
    """sample_weight of about n samples, of any form."""
    made = [
        lambda: None,
        lambda: np.ones(n),
        lambda: np.zeros(n),
        lambda: -np.ones(n),
        lambda: np.full(n, np.nan),
        lambda: np.full(n, np.inf),
        lambda: np.full(n, 1e-320),
        lambda: np.full(n, 1e300),
        lambda: np.full(n, 1e308),
        lambda: np.eye(n)[0],
        lambda: np.ones((n, 1)),
        lambda: np.ones((n, 2)),
        lambda: ["a"] * n,
        lambda: 2.0,
        lambda: 0,
        lambda: "balanced",
        lambda: pd.Series(np.ones(n)),
        lambda: pd.array([1, None] * n, dtype="Int64")[:n],
        lambda: [1] * n,
    ]
    return st.one_of(st.sampled_from(made).map(lambda make: make()), things([(n,), (n + 1,), (n, 1)]))


def changes(names, values, plausible=None):
    """A few parameters by name with hostile values, or plausible ones, which lead further in."""
    plausible = plausible or {}

    def of(name):
        good = st.sampled_from(plausible[name]) if name in plausible else None
        bad = st.sampled_from(values)
        return st.tuples(st.just(name), bad if good is None else st.one_of(good, bad))

    return st.lists(st.sampled_from(names).flatmap(of), max_size=3).map(dict)


# Files ----------------------------------------------------------------------------------------------------------------


@st.composite
def damages(draw, content):
    """Bytes with up to three parts changed, cut out, doubled or put in, or others altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, len(content)))
        last = draw(st.one_of(st.integers(first, min(first + 8, len(content))), st.integers(first, len(content))))
        part = draw(st.sampled_from([b"", content[first:last] * 2, bytes(last - first)]) | st.binary(max_size=8))
        content = content[:first] + part + content[last:]
    return content


JUNK = [None, True, -1, 0, 1, 10**30, 0.5, "", "a", "numpy", "os", "system", [], {}, [[]], {"a": 1}, float("nan")]


@st.composite
def forgeries(draw, tree):
    """A tree of JSON with up to three of its nodes deleted, or replaced by junk or by another node of it."""
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(tree))
        if not places:
            return draw(st.sampled_from(JUNK))
        parent, key = draw(st.sampled_from(places))
        other = draw(st.sampled_from(places))
        how = draw(st.sampled_from(["delete", "junk", "copy"]))
        if how == "delete":
            del parent[key]
        else:
            parent[key] = copy.deepcopy(other[0][other[1]]) if how == "copy" else draw(st.sampled_from(JUNK))
    return tree


def _places(tree):
    """Each node below the root as its parent and its key there."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], (dict, list)):
            yield from _places(tree[key])
