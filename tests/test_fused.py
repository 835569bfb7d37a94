"""The fused layers are torch's layers: same weights, same states, same gradients."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from sklearn_rnn.nets.fused import cell_threads, recurrent_states

pytest.importorskip("numba", reason='the extra "fast" is not installed')

LAYERS = {"gru": (nn.GRU, {}), "lstm": (nn.LSTM, {}), "tanh": (nn.RNN, {}), "relu": (nn.RNN, {"nonlinearity": "relu"})}
NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
# (batch, n_steps, n_channels, hidden_size): a part of a tile, one sample, one step, odd and whole panels, many groups
SHAPES = [
    (40, 4, 2, 256),
    (33, 7, 3, 20),
    (1, 1, 1, 8),
    (1, 5, 2, 16),
    (8, 9, 8, 33),
    (5, 1, 17, 1),
    (96, 48, 8, 64),
    (300, 3, 16, 128),
]
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float64: (1e-10, 1e-10)}  # of states, relative of gradients


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


def layer_and_module(cell: str, n_channels: int, hidden_size: int, dtype: torch.dtype = torch.float32):
    module_class, options = LAYERS[cell]
    module = module_class(n_channels, hidden_size, batch_first=True, dtype=dtype, **options)
    return (lambda *args: recurrent_states(module, *args)[0]), module


def assert_gradients_match(ours, theirs, tolerance: float) -> None:
    for mine, yours in zip(ours, theirs, strict=True):
        assert mine.shape == yours.shape
        assert (mine - yours).abs().max() <= tolerance * yours.abs().max() + 1e-30


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("cell", LAYERS)
def test_states_and_gradients_are_those_of_torch(cell, dtype, shape):
    batch, n_steps, n_channels, hidden_size = shape
    layer, module = layer_and_module(cell, n_channels, hidden_size, dtype)
    x = torch.randn(batch, n_steps, n_channels, dtype=dtype, requires_grad=True)
    direction = torch.randn(batch, n_steps, hidden_size, dtype=dtype)
    ours, theirs = layer(x), module(x)[0]
    state_tolerance, gradient_tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=state_tolerance)
    leaves = [x, *module.parameters()]
    assert_gradients_match(
        torch.autograd.grad((ours * direction).sum(), leaves),
        torch.autograd.grad((theirs * direction).sum(), leaves),
        gradient_tolerance,
    )


@pytest.mark.parametrize("cell", LAYERS)
def test_a_start_is_where_torch_starts_from_too(cell):
    layer, module = layer_and_module(cell, 3, 20, torch.float64)
    n_states = 2 if cell == "lstm" else 1
    x = torch.randn(9, 4, 3, dtype=torch.float64)
    start = torch.randn(9, n_states, 20, dtype=torch.float64, requires_grad=True)
    h, *c = start.transpose(0, 1).split(1)
    theirs = module(x, (h, *c) if c else h)[0]
    ours = layer(x, start)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    leaves = [start, *module.parameters()]
    assert_gradients_match(
        torch.autograd.grad(ours.square().sum(), leaves), torch.autograd.grad(theirs.square().sum(), leaves), 1e-10
    )


@pytest.mark.parametrize("used", [(0, 1), (1, 0), (1, 1)], ids=["final", "states", "both"])
@pytest.mark.parametrize("cell", LAYERS)
def test_the_final_state_is_torchs_with_its_gradients(cell, used):
    _, module = layer_and_module(cell, 3, 20, torch.float64)
    x = torch.randn(37, 5, 3, dtype=torch.float64, requires_grad=True)
    outputs, final = module(x)
    final = torch.stack([part[0] for part in final], dim=1) if cell == "lstm" else final.transpose(0, 1)
    theirs, ours = (outputs, final), recurrent_states(module, x)
    directions = [torch.randn_like(part) for part in theirs]
    leaves = [x, *module.parameters()]
    gradients = []
    for parts in (ours, theirs):
        torch.testing.assert_close(parts, theirs, rtol=0, atol=1e-10)
        chosen = [(part * direction).sum() for part, direction, use in zip(parts, directions, used, strict=True) if use]
        gradients.append(torch.autograd.grad(sum(chosen), leaves))
    assert_gradients_match(*gradients, 1e-10)


@pytest.mark.parametrize("cell", LAYERS)
def test_inference_gives_the_bits_of_training(cell):
    _, module = layer_and_module(cell, 3, 20)
    x = torch.randn(33, 7, 3)
    trained = recurrent_states(module, x)
    with torch.no_grad():
        assert all(map(torch.equal, recurrent_states(module, x), trained))


@pytest.mark.parametrize("cell", LAYERS)
def test_gradients_agree_with_finite_differences(cell):
    layer, module = layer_and_module(cell, 2, 3, torch.float64)
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)

    def states(x: Tensor, *weights: Tensor) -> Tensor:
        with torch.nn.utils.stateless._reparametrize_module(module, dict(zip(NAMES, weights, strict=True))):
            return layer(x)

    assert torch.autograd.gradcheck(states, (x, *(getattr(module, name) for name in NAMES)))


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("cell", LAYERS)
def test_a_sample_does_not_see_its_batch(cell, dtype):
    layer, _ = layer_and_module(cell, 3, 20, dtype)
    x = torch.randn(37, 6, 3, dtype=dtype)
    together = layer(x)
    for rows in (slice(0, 1), slice(36, 37), slice(5, 22), slice(30, 33)):
        assert torch.equal(layer(x[rows]), together[rows])
    assert torch.equal(layer(x.flip(0)).flip(0), together)


@pytest.mark.parametrize("batch", [1, 33, 200])
@pytest.mark.parametrize("cell", LAYERS)
def test_bits_do_not_depend_on_threads_or_the_run(cell, batch):
    layer, module = layer_and_module(cell, 3, 20)
    x = torch.randn(batch, 6, 3, requires_grad=True)

    def run(n_threads: int) -> list[Tensor]:
        with cell_threads(n_threads):
            states = layer(x)
            return [states, *torch.autograd.grad(states.square().sum(), [x, *module.parameters()])]

    first = run(1)
    for n_threads in (1, 2, 3):
        assert all(torch.equal(a, b) for a, b in zip(first, run(n_threads), strict=True))


@pytest.mark.parametrize("cell", LAYERS)
def test_nan_stays_in_its_sample(cell):
    layer, _ = layer_and_module(cell, 3, 20)
    x = torch.randn(19, 5, 3)
    clean = layer(x)
    x[7, 2, 1] = torch.nan
    states = layer(x)
    assert states[7, 2:].isnan().all()
    assert torch.equal(states[7, :2], clean[7, :2])
    others = torch.arange(19) != 7
    assert torch.equal(states[others], clean[others])


@pytest.mark.parametrize("cell", LAYERS)
def test_large_inputs_saturate_as_in_torch(cell):
    layer, module = layer_and_module(cell, 1, 8)
    x = torch.tensor([-1e30, -100.0, -8.0, 8.0, 100.0, 1e30]).reshape(6, 1, 1)
    torch.testing.assert_close(layer(x), module(x)[0], rtol=1e-5 if cell == "relu" else 0, atol=1e-5)


def test_relu_of_what_overflows_is_that_of_torch():
    layer, module = layer_and_module("relu", 1, 8)
    with torch.no_grad():
        module.weight_ih_l0[:4], module.weight_ih_l0[4:] = -3e38, 1.0
        module.weight_hh_l0.zero_()
    x = torch.full((6, 2, 1), 100.0, requires_grad=True)
    torch.testing.assert_close(layer(x), module(x)[0])
    ours, theirs = (torch.autograd.grad(states.sum(), x)[0] for states in (layer(x), module(x)[0]))
    torch.testing.assert_close(ours, theirs)


def test_a_graph_can_be_walked_twice():
    layer, module = layer_and_module("gru", 3, 20)
    loss = layer(torch.randn(9, 4, 3)).square().sum()
    first = torch.autograd.grad(loss, module.weight_hh_l0, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(loss, module.weight_hh_l0)[0], first)


def test_second_derivatives_are_refused_not_wrong():
    layer, module = layer_and_module("gru", 3, 20)
    gradient = torch.autograd.grad(layer(torch.randn(9, 4, 3)).square().sum(), module.weight_hh_l0, create_graph=True)[
        0
    ]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("cell", LAYERS)
def test_any_strides_of_inputs_and_gradients(cell):
    layer, module = layer_and_module(cell, 4, 16)
    x = torch.randn(7, 12, 8).transpose(0, 1)[:, :, ::2]  # (12, 7, 4)
    ours, theirs = layer(x), module(x)[0]
    mine = torch.autograd.grad(ours[:, -1].sum(), list(module.parameters()))  # an expanded gradient
    assert_gradients_match(mine, torch.autograd.grad(theirs[:, -1].sum(), list(module.parameters())), 1e-4)


def test_several_python_threads_at_once():
    layer, module = layer_and_module("gru", 3, 20)
    torch.set_num_threads(2)
    xs = [torch.randn(40, 6, 3) for _ in range(8)]

    def gradient(x: Tensor) -> Tensor:
        return torch.autograd.grad(layer(x).square().sum(), module.weight_hh_l0)[0]

    alone = [gradient(x) for x in xs]
    with ThreadPoolExecutor(4) as pool:
        assert all(torch.equal(a, b) for a, b in zip(alone, pool.map(gradient, xs), strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own():
    code = """if True:
        import os, torch
        from sklearn_rnn.nets.fused import recurrent_states
        torch.set_num_threads(2)
        x, gru = torch.randn(64, 5, 3), torch.nn.GRU(3, 8, batch_first=True)
        parent = recurrent_states(gru, x)[0]
        pid = os.fork()
        if pid == 0:
            os._exit(0 if torch.equal(recurrent_states(gru, x)[0], parent) else 1)
        assert os.waitpid(pid, 0)[1] == 0
    """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_numba_is_not_imported_before_a_layer_runs():
    code = "import sys; from sklearn_rnn import RNNRegressor; RNNRegressor(); assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
