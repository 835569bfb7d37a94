"""The state of a model as what skops can hold: arrays, estimators, names, and all else as JSON text.

skops alone is not enough: it reads the keys of {False: 0, True: 1} as twice True, knows no Timestamp, and restores
scipy's distributions from a state of which scipy runs a part as code. Here a container becomes one text, whose tags say
what to build, and tags build values only.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.interpolate import BSpline
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRequest

from sklearn_rnn._times import zone_name

SCALARS = (type(None), bool, int, float, str)
# What is kept by its name, which the reader of a file must find harmless.
_NAMED = (type, FunctionType, BuiltinFunctionType, np.ufunc, type(np.sum))
_CONTAINERS = (dict, list, tuple, set)


class Plain:
    """A value as JSON text and the parts that it cannot hold. Calling the class gives the value back.

    Parameters
    ----------
    text : str
        The tree of the value.
    *parts : object
        What {"part": [i]} in the tree stands for.
    """

    text: str
    parts: tuple

    def __new__(cls, text: str, *parts: Any) -> Any:
        return _build(json.loads(text), parts)

    @staticmethod
    def holding(text: str, parts: list) -> Plain:
        made = object.__new__(Plain)
        made.text, made.parts = text, tuple(parts)
        return made

    def __reduce__(self) -> tuple[type, tuple]:
        return Plain, (self.text, *self.parts)


class Packer:
    """Makes of the values of a model what skops can hold, and notes what they are.

    Attributes
    ----------
    places : dict of str to str
        Where the first function, class or object of each name is, as a user would write it.
    unfit : set of str
        The names of what cannot be held, and was left out.
    """

    def __init__(self) -> None:
        self.places: dict[str, str] = {}
        self.unfit: set[str] = set()
        self._copies: dict[int, tuple[Any, Any]] = {}  # each object, kept alive, and its copy

    def pack(self, value: Any, place: str) -> Any:
        """The value as skops can hold it: a scalar, an array, an object of which all is packed, or a Plain."""
        tree = self._tree(value, place)
        if not isinstance(tree, (list, dict)):
            return tree
        parts: list[Any] = []

        def refer(part: Any) -> dict[str, list[int]]:
            parts.append(part)
            return {"part": [len(parts) - 1]}

        return Plain.holding(json.dumps(tree, default=refer), parts)

    def _tree(self, value: Any, place: str) -> Any:
        """Scalars in lists and in {tag: arguments}, with what text cannot hold as it is."""
        kind = type(value)
        if kind in SCALARS:
            return value
        if kind in (list, tuple):
            items = [self._tree(item, f"{place}[{i}]") for i, item in enumerate(value)]
            return items if kind is list else {"tuple": items}
        if kind is dict:
            values = [self._tree(item, f"{place}[{key!r}]") for key, item in value.items()]
            return {"dict": [[self._tree(key, place) for key in value], values]}
        tag = _TAGS.get(kind) or next((tag for tag, bases in _BASES.items() if isinstance(value, bases)), None)
        arguments = None if tag is None else FORMS[tag].arguments(value)
        if arguments is not None:
            return {tag: [self._tree(argument, place) for argument in arguments]}
        return self._part(value, place)

    def _part(self, value: Any, place: str) -> Any:
        """What skops holds by itself, or None and a note."""
        if isinstance(value, (np.ndarray, np.generic, np.random.RandomState, bytes)):
            return np.asarray(value) if isinstance(value, np.memmap) else value
        named = value if isinstance(value, _NAMED) else type(value)
        name = f"{getattr(named, '__module__', None)}.{named.__name__}"
        self.places.setdefault(name, place)
        if named is value:
            return value
        if type(value).__module__.startswith(("sklearn.", "sklearn_rnn.")) and not isinstance(value, _CONTAINERS):
            return self._copy(value, place)
        self.unfit.add(name)
        return None

    def _copy(self, value: Any, place: str) -> Any:
        """An object of the same type whose attributes are packed; itself if it is compiled and has none."""
        if id(value) in self._copies:
            return self._copies[id(value)][1]
        state = value.__getstate__()
        if not isinstance(state, dict) or not hasattr(value, "__dict__"):
            return value
        made = object.__new__(type(value))
        self._copies[id(value)] = value, made
        vars(made).update({name: self.pack(item, f"{place}.{name}") for name, item in state.items()})
        return made


def _build(tree: Any, parts: tuple) -> Any:
    if isinstance(tree, list):
        return [_build(item, parts) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((tag, arguments),) = tree.items()
    if tag == "part":
        return parts[arguments[0]]
    return FORMS[tag].build(*(_build(argument, parts) for argument in arguments))


# The tags. A file of any release may hold them, so one may be added, but none taken away or changed. ------------------


class Form(NamedTuple):
    """A kind of value: its types, its arguments (None if it cannot be rebuilt), and how it is made of them."""

    types: tuple[type, ...]
    arguments: Callable[[Any], Any]
    build: Callable[..., Any]


def _scalar(value: np.generic) -> list | None:
    item = value.view("i8").item() if value.dtype.kind in "mM" else value.item()
    return [value.dtype.str, item] if type(item) in SCALARS else None


def _objects(array: NDArray) -> list | None:
    return [list(array.shape), array.ravel().tolist()] if array.dtype == object else None


def _build_objects(shape: list[int], items: list) -> NDArray:
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):  # np.array would take apart items that are sequences
        array[i] = item
    return array.reshape(shape)


def _dtype(dtype: np.dtype) -> list | None:
    return None if dtype.names else [dtype.str]


def _timestamp(time: pd.Timestamp) -> list:
    return [int(time.asm8.view("i8")), time.unit, None if time.tz is None else zone_name(time.tz)]


def _build_timestamp(number: int, unit: Any, zone: str | None) -> Any:
    time = pd.Timestamp(number, unit=unit, tz=None if zone is None else "UTC")
    return (time if zone is None else time.tz_convert(zone)).as_unit(unit)


def _distribution(frozen: Any) -> list | None:
    """The name and the parameters of a distribution of scipy.stats."""
    name = frozen.dist.name
    if type(getattr(stats, name, None)) is not type(frozen.dist):
        return None
    return [name, list(frozen.args), frozen.kwds]


def _build_distribution(name: str, args: list, kwds: dict) -> Any:
    family = getattr(stats, name)
    if not isinstance(family, (stats.rv_continuous, stats.rv_discrete)):
        raise ValueError(f"scipy.stats.{name} is no distribution.")
    return family(*args, **kwds)


def _requests(request: MetadataRequest) -> list:
    owner = request.owner if isinstance(request.owner, str) else type(request.owner).__name__
    return [owner, {method: asked.requests for method, asked in vars(request).items() if method != "owner"}]


def _build_requests(owner: str, requests: dict[str, dict]) -> MetadataRequest:
    made = MetadataRequest(owner=owner)
    for method, asked in requests.items():
        for param, alias in asked.items():
            getattr(made, method).add_request(param=param, alias=alias)
    return made


FORMS = {
    "tuple": Form((), list, lambda *items: items),
    "dict": Form((), list, lambda keys, values: dict(zip(keys, values, strict=True))),
    "set": Form((set,), lambda items: [list(items)], set),
    "frozenset": Form((frozenset,), lambda items: [list(items)], frozenset),
    "range": Form((range,), lambda r: [r.start, r.stop, r.step], range),
    "slice": Form((slice,), lambda s: [s.start, s.stop, s.step], slice),
    "date": Form((date,), lambda d: [d.isoformat()], date.fromisoformat),
    "datetime": Form((datetime,), lambda d: None if d.tzinfo else [d.isoformat()], datetime.fromisoformat),
    "path": Form((type(Path()),), lambda p: [str(p)], Path),
    "timedelta": Form((timedelta,), lambda d: [d.days, d.seconds, d.microseconds], timedelta),
    "scalar": Form((np.generic,), _scalar, lambda dtype, item: np.array(item, dtype=dtype)[()]),
    "masked": Form((np.ma.MaskedArray,), lambda a: [np.asarray(a.data), np.ma.getmaskarray(a)], np.ma.MaskedArray),
    "objects": Form((np.ndarray,), _objects, _build_objects),
    "dtype": Form((np.dtype,), _dtype, np.dtype),
    "Timestamp": Form((pd.Timestamp,), _timestamp, _build_timestamp),
    "Timedelta": Form(
        (pd.Timedelta,),
        lambda t: [int(t.asm8.view("i8")), t.unit],
        lambda number, unit: pd.Timedelta(number, unit).as_unit(unit),
    ),
    "Period": Form((pd.Period,), lambda p: [p.ordinal, p.freqstr], lambda n, freq: pd.Period(ordinal=n, freq=freq)),
    "Interval": Form((pd.Interval,), lambda i: [i.left, i.right, i.closed], pd.Interval),
    "NaT": Form((type(pd.NaT),), lambda _: [], lambda: pd.NaT),
    "NA": Form((type(pd.NA),), lambda _: [], lambda: pd.NA),
    "offset": Form(
        tuple(getattr(pd.offsets, name) for name in ("Day", "Hour", "Minute", "Second", "Milli", "Micro", "Nano")),
        lambda offset: [offset.freqstr],
        pd.tseries.frequencies.to_offset,
    ),
    "Bunch": Form((Bunch,), lambda bunch: [dict(bunch)], lambda items: Bunch(**items)),
    "BSpline": Form((BSpline,), lambda b: [b.t, b.c, b.k, b.extrapolate, b.axis], BSpline),
    "distribution": Form((type(stats.norm()), type(stats.randint(0, 1))), _distribution, _build_distribution),
    "requests": Form((MetadataRequest,), _requests, _build_requests),
}
_TAGS = {kind: tag for tag, form in FORMS.items() for kind in form.types}
# Kinds of many types, of which the first that fits counts: a masked array is an array.
_BASES = {tag: FORMS[tag].types for tag in ("scalar", "masked", "objects", "dtype")}
