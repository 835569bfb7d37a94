"""The networks against hand-written loops, torch's own modules, finite differences."""

import numpy as np
import pytest
import torch
from torch import nn

from sklearn_rnn._losses import Criterion
from sklearn_rnn.nets import RecurrentNet
from sklearn_rnn.nets.inputs import CategoryEmbedding, InputEncoder, fold_segments
from sklearn_rnn.nets.pooling import POOLINGS
from sklearn_rnn.nets.recurrent import CELLS

LENGTHS = torch.tensor([9, 6, 4, 1])


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class ArticleNet(nn.Module):
    """Ten lines as every tutorial has them: the recurrent module, its last output into a linear layer."""

    def __init__(self, module, n_layers=1, **options):
        super().__init__()
        self.recurrent = module(10, 20, n_layers, batch_first=True, **options)
        self.head = nn.Linear(20, 1)

    def forward(self, X):
        outputs, _ = self.recurrent(X)
        return self.head(outputs[:, -1, :])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_without_scaling_the_net_is_the_ten_line_torch_module(cell, n_layers, fused):
    article = ArticleNet(CELLS[cell], n_layers)
    net = RecurrentNet(10, 1, cell=cell, hidden_size=20, n_layers=n_layers, fused=fused)
    with torch.no_grad():
        for i, layer in enumerate(net.recurrent.forward_layers):
            for name, weight in layer.named_parameters():
                weight.copy_(getattr(article.recurrent, name.replace("l0", f"l{i}")))
    net.head.load_state_dict(article.head.state_dict())
    X = torch.randn(3, 5, 10)
    assert net(X).shape == (3, 1)
    torch.testing.assert_close(net(X), article(X), rtol=1e-6, atol=1e-6)


def test_relu_reaches_the_plain_cell():
    article = ArticleNet(nn.RNN, nonlinearity="relu")
    net = RecurrentNet(10, 1, cell="rnn", hidden_size=20, nonlinearity="relu")
    net.recurrent.forward_layers[0].load_state_dict(article.recurrent.state_dict())
    net.head.load_state_dict(article.head.state_dict())
    X = torch.randn(3, 5, 10)
    torch.testing.assert_close(net(X), article(X))


@pytest.mark.parametrize("cell", CELLS)
def test_bidirectional_layers_are_torchs_on_packed_sequences(cell):
    reference = CELLS[cell](3, 5, 2, batch_first=True, bidirectional=True).double()
    net = RecurrentNet(3, 1, cell=cell, hidden_size=5, n_layers=2, bidirectional=True).double()
    for i in range(2):
        for layers, suffix in ((net.recurrent.forward_layers, ""), (net.recurrent.backward_layers, "_reverse")):
            state = {name: getattr(reference, name.replace("l0", f"l{i}") + suffix) for name in layers[i].state_dict()}
            layers[i].load_state_dict(state)
    X = torch.randn(4, 9, 3, dtype=torch.float64)
    packed = nn.utils.rnn.pack_padded_sequence(X, LENGTHS, batch_first=True)
    expected, lengths = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    states = net.recurrent(X, LENGTHS)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(states[i, :length], expected[i, :length], rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("bf16_cpu")
@pytest.mark.parametrize("cell", CELLS)
def test_bf16_is_torchs_autocast_of_the_recurrent_layers_alone(cell):
    net = RecurrentNet(3, 2, cell=cell, hidden_size=16, precision="bf16")
    full = RecurrentNet(3, 2, cell=cell, hidden_size=16, fused=False)
    full.load_state_dict(net.state_dict())
    X = torch.randn(4, 9, 3, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        states = net.recurrent.forward_layers[0](X)[0]
    torch.testing.assert_close(net(X), net.head(states[:, -1].float()), rtol=0, atol=0)
    outputs, expected = net(X), full(X)
    assert 0 < (outputs - expected).abs().max() < 0.02  # bfloat16 keeps 8 bits
    (gradient,), (expected,) = (torch.autograd.grad(y.square().sum(), X) for y in (outputs, expected))
    assert 0 < (gradient - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("segment_size", [1, 4])
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_a_sequence_gives_the_same_alone_in_a_batch_and_padded(cell, bidirectional, pooling, n_layers, segment_size):
    net = RecurrentNet(
        3,
        2,
        cell=cell,
        hidden_size=5,
        n_layers=n_layers,
        bidirectional=bidirectional,
        pooling=pooling,
        segment_size=segment_size,
    ).double()
    with torch.no_grad():
        for weight in net.pool.parameters():
            weight.normal_()
    X = torch.randn(4, 9, 3, dtype=torch.float64)
    together = net(X, LENGTHS)
    padded = net(torch.cat([X, torch.full((4, 7, 3), 1e3, dtype=torch.float64)], dim=1), LENGTHS)
    torch.testing.assert_close(padded, together, rtol=1e-10, atol=1e-14)
    for i, length in enumerate(LENGTHS):
        alone = net(X[i : i + 1, :length])
        torch.testing.assert_close(alone, together[i : i + 1], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_what_its_name_says_over_the_valid_steps(pooling):
    net = RecurrentNet(3, 1, hidden_size=4, pooling=pooling)
    states = torch.randn(4, 9, 4)
    for i, length in enumerate(LENGTHS):
        valid = states[i, :length]
        expected = {
            "last": lambda s: s[-1],
            "mean": lambda s: s.mean(0),
            "max": lambda s: s.max(0).values,
            "attention": lambda s: s.mean(0),  # its weights start equal
            "concat": lambda s: torch.cat([s[-1], s.mean(0), s.max(0).values]),
        }[pooling](valid)
        torch.testing.assert_close(net.pool(states, LENGTHS)[i], expected)


@pytest.mark.parametrize("lengths", [None, torch.tensor([4, 3])], ids=["full", "unequal"])
@pytest.mark.parametrize(
    "options",
    [
        *({}, {"bidirectional": True}, {"segment_size": 2}),
        *({"bidirectional": True, "pooling": pooling} for pooling in ("attention", "concat")),
    ],
)
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_agree_with_finite_differences(cell, options, lengths):
    net = RecurrentNet(2, 2, cell=cell, hidden_size=3, fused=cell != "rnn", **options).double()

    def outputs(X, *weights):
        named = dict(zip(dict(net.named_parameters()), weights, strict=True))
        return torch.func.functional_call(net, named, (X, lengths))

    X = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    weights = [weight.detach().requires_grad_() for weight in net.parameters()]
    assert torch.autograd.gradcheck(outputs, (X, *weights))


@pytest.mark.parametrize("cell", CELLS)
def test_the_first_output_depends_on_the_newest_step(cell):
    net = RecurrentNet(1, 1, cell=cell, hidden_size=8)
    X = torch.randn(1, 20, 1)
    changed = X.clone()
    changed[0, -1] += 1
    assert abs(net(X) - net(changed)) > 1e-3


def test_weights_start_orthogonal_and_the_forget_gate_open():
    lstm = RecurrentNet(3, 1, cell="lstm", hidden_size=6).recurrent.forward_layers[0]
    for gate in lstm.weight_hh_l0.split(6):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), rtol=1e-5, atol=1e-5)
    bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).view(4, 6)  # input, forget, cell, output
    assert torch.equal(bias, torch.tensor([0.0, 1.0, 0.0, 0.0])[:, None].expand(4, 6))


def test_segments_are_aligned_to_the_end():
    X = torch.arange(1.0, 6.0).view(1, 5, 1)
    segments, lengths = fold_segments(X, None, 2)
    assert segments.tolist() == [[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]]
    segments, lengths = fold_segments(X, torch.tensor([3]), 2)
    assert lengths.tolist() == [2]
    assert segments[0, :2].tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_a_missing_value_becomes_the_mean_and_is_marked():
    net = RecurrentNet(2, 1, input_mean=[5.0, 1.0], input_scale=[2.0, 1.0], missing=[1])
    X = torch.tensor([[[7.0, torch.nan], [5.0, 3.0]]])
    assert net.encoder(X).tolist() == [[[1.0, 0.0, 1.0], [0.0, 2.0, 0.0]]]


def test_unseen_categories_share_a_row_of_zeros():
    embedding = CategoryEmbedding([1.0, 4.0, 7.0], 3)
    vectors = embedding(torch.tensor([[1.0, 4.0, 7.0, 2.0, 99.0, torch.nan]]))[0]
    torch.testing.assert_close(vectors[:3], embedding.vectors.weight[1:])
    assert not vectors[3:].any()


def test_quantiles_never_cross():
    net = RecurrentNet(1, 2, hidden_size=4, n_quantiles=5)
    with torch.no_grad():
        net.head.weight.normal_(std=10)
    outputs = net(torch.randn(50, 6, 1))
    assert outputs.shape == (50, 2, 5)
    assert (outputs.diff(dim=-1) >= 0).all()


def test_an_anchor_adds_the_last_value_in_the_units_of_y():
    options = {"hidden_size": 4, "input_mean": [3.0, 0.0], "input_scale": [2.0, 1.0]}
    units = {"output_mean": [10.0], "output_scale": [4.0]}
    plain = RecurrentNet(2, 1, **options, **units)
    anchored = RecurrentNet(2, 1, anchor=1, **options, **units)
    anchored.load_state_dict(plain.state_dict())
    X = torch.randn(4, 9, 2)
    last = X[torch.arange(4), LENGTHS - 1, 1]
    difference = anchored.unscale(anchored(X, LENGTHS)) - plain.unscale(plain(X, LENGTHS))
    torch.testing.assert_close(difference[:, 0], last.double(), rtol=1e-5, atol=1e-5)


def test_dropout_acts_before_the_output_with_one_layer_too():
    net = RecurrentNet(1, 1, hidden_size=16, dropout=0.5)
    X = torch.randn(2, 5, 1)
    assert not torch.equal(net.train()(X), net(X))
    assert torch.equal(net.eval()(X), net(X))


def test_cross_entropy_and_pinball_are_their_formulas():
    logits, target = torch.randn(4, 3), torch.tensor([[0], [2], [1], [2]])
    expected = -torch.log_softmax(logits, 1)[torch.arange(4), target[:, 0]]
    torch.testing.assert_close(Criterion("cross_entropy")(logits, target)[:, 0], expected)
    prior = np.array([0.2, 0.5, 0.3])
    soft = 0.9 * np.eye(3)[target[:, 0].long().numpy()] + 0.1 * prior
    smoothed = torch.nn.functional.cross_entropy(logits.double(), torch.from_numpy(soft), reduction="none")
    criterion = Criterion("cross_entropy", label_smoothing=0.1, prior=prior.tolist()).double()
    torch.testing.assert_close(criterion(logits.double(), target)[:, 0], smoothed)
    raw, y = np.array([[[1.0, 3.0]]]), np.array([[2.0]])
    loss = Criterion("quantile", quantiles=(0.1, 0.9))(torch.from_numpy(raw), torch.from_numpy(y))
    assert loss.item() == pytest.approx((0.1 * (2 - 1) + (1 - 0.9) * (3 - 2)) / 2)


def test_noise_joins_the_numbers_in_training_alone():
    encoder = InputEncoder([5.0, 0.0, 0.0], [10.0, 2.0, 1.0], missing=[1], categories={2: [3.0, 4.0]}, noise=0.3)
    values = torch.tensor([[25.0, 4.0, 3.0]]).expand(200, 50, 3).contiguous()
    clean = encoder.eval()(values).detach()
    np.testing.assert_array_equal(clean[:, :, :3].numpy(), np.broadcast_to([2.0, 2.0, 0.0], (200, 50, 3)))
    noise = encoder.train()(values).detach().numpy() - clean.numpy()
    np.testing.assert_array_equal(noise[:, :, 2:], 0.0)  # the mark of missing values and the embedding
    np.testing.assert_allclose(noise[:, :, :2].mean((0, 1)), 0.0, atol=0.02)
    np.testing.assert_allclose(noise[:, :, :2].std((0, 1)), 0.3, atol=0.02)
    correlation = np.corrcoef(noise[:, :, 0].ravel(), noise[:, :, 1].ravel())[0, 1]
    assert abs(correlation) < 0.05
