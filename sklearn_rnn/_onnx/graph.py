"""ONNX graphs, built node by node: the one place that knows the package onnx."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from onnx import ModelProto

# Old enough for the runtimes of the last years: the operators are of onnx 1.13, the encoder of categories of 1.16.
OPSETS = {"": 18, "ai.onnx.ml": 4}
IR_VERSION = 8


class GraphBuilder:
    """A graph that grows by calls: ``op.MatMul(a, b)`` adds a node and gives the name of its output.

    The operators are ONNX's own (https://onnx.ai/onnx/operators). Inputs are names; arrays, integers and lists of
    integers become constants, and so do arrays among the attributes.

    Parameters
    ----------
    dtype : dtype
        The floating-point type of the net.
    counter : iterator of int, default=None
        Numbers for new names; a graph inside another one goes on with those of the outer one.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    """

    def __init__(self, dtype: DTypeLike, counter: Iterator[int] | None = None) -> None:
        self._onnx = _import_onnx()
        self.dtype = np.dtype(dtype)
        self._counter = itertools.count() if counter is None else counter
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def __getattr__(self, operator: str) -> Callable[..., Any]:
        if not operator[:1].isupper():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {operator!r}")
        return partial(self._add, operator)

    def _add(self, operator: str, *inputs: Any, n_outputs: int = 1, domain: str = "", **attributes: Any) -> Any:
        names = [self._new_name(operator) for _ in range(n_outputs)]
        read = [value if isinstance(value, str) else self._constant(np.asarray(value)) for value in inputs]
        arrays = {name: self._tensor(value) for name, value in attributes.items() if isinstance(value, np.ndarray)}
        make = self._onnx.helper.make_node
        # Nodes have names because onnxruntime 1.19 gives several unnamed ones the same when it fuses them.
        self._nodes.append(make(operator, read, names, name=names[0], domain=domain, **{**attributes, **arrays}))
        return names[0] if n_outputs == 1 else names

    def number(self, value: float) -> NDArray:
        """A number of the net's floating-point type."""
        return np.array(value, self.dtype)

    def cast(self, value: str, dtype: DTypeLike) -> str:
        """The value as another type."""
        return self.Cast(value, to=self._type_of(dtype))

    def scan(self, step: Callable, states: Sequence[str], inputs: Sequence[str]) -> list[str]:
        """Run ``step(op, states, inputs)``, which gives the new states, along the first axis of the inputs.

        Returns
        -------
        list of str
            The last states, then the first of the states after each step.
        """
        body, without_type = GraphBuilder(self.dtype, self._counter), self._onnx.helper.make_empty_tensor_value_info
        now, read = ([self._new_name("now") for _ in values] for values in (states, inputs))
        new = step(body, now, read)
        body._inputs = [without_type(name) for name in [*now, *read]]
        body._outputs = [without_type(name) for name in [*new, body.Identity(new[0])]]
        graph = body._finish("step")
        return self.Scan(*states, *inputs, n_outputs=len(states) + 1, body=graph, num_scan_inputs=len(inputs))

    def input(self, name: str, dtype: DTypeLike, shape: Sequence[int | str], text: str) -> str:
        """Declare an input of the graph, the named axes of its shape being free; its name."""
        info = self._onnx.helper.make_tensor_value_info(name, self._type_of(dtype), shape, doc_string=text)
        self._inputs.append(info)
        return name

    def output(self, name: str, value: str, dtype: DTypeLike, shape: Sequence[int | str], text: str) -> None:
        """Make a value an output of the graph."""
        info = self._onnx.helper.make_tensor_value_info(name, self._type_of(dtype), shape, doc_string=text)
        self._outputs.append(info)
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name], name=name))

    def model(self, name: str, producer: str, version: str, metadata: Mapping[str, str]) -> ModelProto:
        """The finished model."""
        used = {node.domain for node in self._nodes}
        opsets = [self._onnx.helper.make_opsetid(domain, OPSETS[domain]) for domain in OPSETS if domain in used]
        model = self._onnx.helper.make_model(
            self._finish(name),
            producer_name=producer,
            producer_version=version,
            opset_imports=opsets,
            ir_version=IR_VERSION,
        )
        self._onnx.helper.set_model_props(model, dict(metadata))
        return model

    def _finish(self, name: str) -> Any:
        return self._onnx.helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._constants)

    def _constant(self, array: NDArray) -> str:
        name = self._new_name("constant")
        self._constants.append(self._tensor(array, name))
        return name

    def _tensor(self, array: NDArray, name: str | None = None) -> Any:
        return self._onnx.numpy_helper.from_array(array, name)

    def _type_of(self, dtype: DTypeLike) -> int:
        return self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def _new_name(self, kind: str) -> str:
        return f"{kind}_{next(self._counter)}"


def _import_onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise ImportError("to_onnx needs onnx. Install it with pip install onnx.") from error
    return onnx
