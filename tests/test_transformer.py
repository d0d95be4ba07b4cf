"""What networks for text are made of, by numbers that can be checked by hand, and what must hold of all of them."""

import math

import pytest
import torch
from torch import nn

from lab.errors import UsageError
from lab.text import groups
from lab_transformer import huggingface, parts, positions, readers, recurrent, translators, vit
from lab_transformer.plugin import (
    GPT,
    Bert,
    EncoderDecoder,
    GRUReader,
    LSTMReader,
    RNNReader,
    RNNSeq2Seq,
    Transformer,
    ViT,
)

SMALL = {"layers": 2, "heads": 2, "width": 8}
KINDS = [{}, {"positions": "learned"}, {"positions": "sinusoidal"}, {"positions": "relative"}, {"positions": "none"},
         {"norm": "layer", "placement": "post", "activation": "gelu", "bias": True, "tie": False},
         {"norm_heads": True, "activation": "squared_relu"}, {"activation": "relu", "recompute": True}]
NAMES = [" ".join(f"{key}={value}" for key, value in kind.items()) or "as it comes" for kind in KINDS]
RECURRENT = [RNNReader, LSTMReader, GRUReader]


def near(a, b):
    return torch.allclose(a, b, atol=1e-5)


def test_sinusoids_by_hand():
    found = positions.sinusoids(3, 4)
    assert near(found[0], torch.tensor([0.0, 0, 1, 1]))
    assert near(found[2], torch.tensor([math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)]))
    assert positions.sinusoids(3, 5).shape == (3, 5)


def test_a_quarter_turn_and_what_it_leaves_as_it_is():
    """(1, 0) turned by 90 degrees is (0, 1); dot products depend on the distance of places alone."""
    quarter = torch.tensor([[math.pi / 2]])
    turned = positions.rotated(torch.tensor([[1.0, 0.0]]), quarter.cos(), quarter.sin())
    assert near(turned, torch.tensor([[0.0, 1.0]]))
    torch.manual_seed(0)
    q, k, angle = torch.randn(4), torch.randn(4), positions.angles(torch.arange(9), 4)
    at = lambda x, i: positions.rotated(x[None], angle[i:i + 1].cos(), angle[i:i + 1].sin())[0]       # noqa: E731
    assert near(at(q, 3) @ at(k, 1), at(q, 8) @ at(k, 6)) and not near(at(q, 3) @ at(k, 1), at(q, 3) @ at(k, 2))


def test_buckets_by_hand():
    """8 buckets up to 16: 4 near ones of a distance each, then 4, 5: 4, 6 to 7: 5, 8 to 11: 6, and all others 7."""
    back = -torch.arange(20)
    assert positions.buckets(back, 8, 16, both=False).tolist() == [0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, *8 * [7]]
    both = positions.buckets(torch.tensor([-9, -1, 0, 1, 9]), 8, 16, both=True)
    assert both.tolist() == [3, 1, 0, 5, 7]


def test_attention_by_hand():
    """Two tokens of one number: queries and keys 1 and 2, values as they are; e^(q k) are the weights."""
    attention = parts.Attention(Transformer(width=1, heads=1, positions="none"))
    with torch.no_grad():
        attention.into.weight.fill_(1)
        attention.out.weight.fill_(1)
    x = torch.tensor([[[1.0], [2.0]]])
    first = (math.e * 1 + math.e**2 * 2) / (math.e + math.e**2)
    second = (math.e**2 * 1 + math.e**4 * 2) / (math.e**2 + math.e**4)
    assert near(attention(x)[0, :, 0], torch.tensor([first, second]))
    assert near(attention(x, causal=True)[0, :, 0], torch.tensor([1.0, second]))
    mask = torch.tensor([[True, False], [True, True]])[None, None]
    assert near(attention(x, mask), attention(x, causal=True))
    shares = attention.weights(x, causal=True)[0, 0]
    assert near(shares, torch.tensor([[1.0, 0.0], [1 / (1 + math.e**2), 1 / (1 + math.e**-2)]]))


def test_the_part_for_each_token_by_hand():
    """swiglu of 1: the first half of [2, 3] times silu of the second."""
    inner = parts.Inner(Transformer(width=1, heads=1, inner=1, positions="none"))
    with torch.no_grad():
        inner.into.weight.copy_(torch.tensor([[2.0], [3.0]]))
        inner.out.weight.fill_(1)
    assert near(inner(torch.ones(1, 1)), torch.tensor([[2 * 3 / (1 + math.exp(-3))]]))


def test_what_lies_ahead():
    assert parts.ahead(2, 4).tolist() == [[False, False, False, True], [False, False, False, False]]


def causal_nets():
    torch.manual_seed(0)
    made = [readers.build(GPT(**SMALL, **kind), 11, 12) for kind in KINDS]
    return [*made, *(recurrent.reader(kind(width=8, layers=2), 11, 12) for kind in RECURRENT)]


@pytest.mark.parametrize("net", causal_nets(), ids=[*NAMES, "rnn", "lstm", "gru"])
def test_a_later_token_changes_nothing_before_it(net):
    net.eval()
    x = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(1))
    before = net(x)
    for at in range(1, 9):
        other = x.clone()
        other[:, at:] = (other[:, at:] + 1) % 11
        found = net(other)
        assert torch.equal(found[:, :at], before[:, :at]) or near(found[:, :at], before[:, :at])
        assert not near(found[:, at], before[:, at])


@pytest.mark.parametrize("net", causal_nets(), ids=[*NAMES, "rnn", "lstm", "gru"])
def test_read_piece_by_piece_is_read_at_once(net):
    net.eval()
    x, memory = torch.randint(11, (2, 9), generator=torch.Generator().manual_seed(1)), net.memory(2)
    pieces = [net.read(part, memory) for part in torch.split(x, [4, 1, 3, 1], 1)]
    assert near(torch.cat(pieces, 1), net(x))


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_what_is_beyond_a_text_changes_nothing_in_it(kind):
    torch.manual_seed(0)
    net = readers.build(Bert(**SMALL, **kind), 11, 12).eval()
    x, length = torch.randint(11, (2, 9)), torch.tensor([9, 5])
    other = x.clone()
    other[1, 5:] = (other[1, 5:] + 1) % 11
    assert near(net(x, length)[1, :5], net(other, length)[1, :5]) and near(net(x, length)[1, :5], net(x[1:, :5])[0])
    other[1, 4] = (other[1, 4] + 1) % 11
    assert not near(net(x, length)[1, 0], net(other, length)[1, 0])             # it sees what follows


def translating():
    torch.manual_seed(0)
    made = [translators.build(EncoderDecoder(**SMALL, **kind), (11, 7), (12, 10)) for kind in KINDS]
    return [*made, *(recurrent.translator(RNNSeq2Seq(width=8, units=6, layers=2, cell=cell), (11, 7), (12, 10))
                     for cell in ("gru", "lstm"))]


@pytest.mark.parametrize("net", translating(), ids=[*NAMES, "gru", "lstm"])
def test_one_that_says_what_it_has_read(net):
    """Piece by piece as at once; nothing of what is said later, or lies beyond what is read, changes what comes before;
    what is chosen of a memory goes on as itself.
    """
    net.eval()
    torch.manual_seed(1)
    x, length, y = torch.randint(11, (2, 9)), torch.tensor([9, 5]), torch.randint(7, (2, 6))
    whole = net(x, length, y)
    memory = net.memory(x, length)
    assert near(torch.cat([net.read(part, memory) for part in torch.split(y, [1, 3, 2], 1)], 1), whole)
    other, later = x.clone(), y.clone()
    other[1, 5:], later[:, 4:] = (x[1, 5:] + 1) % 11, (y[:, 4:] + 1) % 7
    found = net(other, length, later)
    assert near(found[:, :4], whole[:, :4]) and not near(found[:, 4], whole[:, 4])
    other[1, 4] = (x[1, 4] + 1) % 11
    assert not near(net(other, length, y)[1], whole[1])
    memory = net.memory(x, length)
    net.read(y[:, :2], memory)
    chosen = net.choose(memory, torch.tensor([1, 1, 0]))
    assert near(net.read(y[[1, 1, 0], 2:4], chosen), whole[[1, 1, 0], 2:4])


def test_recomputed_gradients_are_the_same():
    nets = []
    for recompute in (False, True):
        torch.manual_seed(0)
        nets.append(readers.build(GPT(**SMALL, recompute=recompute), 11, 12))
        nets[-1](torch.arange(10)[None]).square().sum().backward()
    assert all(near(a.grad, b.grad) for a, b in zip(*(net.parameters() for net in nets), strict=True)
               if a.grad is not None)


def test_patches_of_a_picture_by_hand():
    x = torch.arange(12.0).view(1, 1, 3, 4)
    assert vit.patches(x, 2).tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 0, 0], [10, 11, 0, 0]]]


@pytest.mark.parametrize("given", [{}, {"pool": "first"}, {"positions": "rotary"}, {"positions": "relative"}])
def test_a_picture_is_read_as_patches(given):
    net = vit.build(ViT(**SMALL, **given), (3, 9, 8), 5)
    assert net(torch.rand(2, 3, 9, 8)).shape == (2, 5)
    assert vit.build(ViT(**SMALL), (3, 9, 8))(torch.rand(2, 3, 9, 8)).shape == (2, 8)
    with pytest.raises(UsageError, match=r"model=vit reads pictures .* this input is \[4\]; use model=mlp"):
        vit.build(ViT(**SMALL), (4,), 5)


@pytest.mark.parametrize("given, said", [
    ({"heads": 3}, "model.heads=3 do not divide model.width=128; use a width such as 129"),
    ({"width": 12, "heads": 4}, "rotary turns pairs of numbers, and a head has 3 of them"),
    ({"positions": "sin"}, "model.positions=sin is not known"),
    ({"layers": 0}, "model.layers is 0")])
def test_what_no_transformer_can_be(given, said):
    with pytest.raises(UsageError, match=said):
        GPT(**given)


def test_groups_of_parameters():
    """Matrices between the layers, embedding and head, and vectors; with a decay each layer has its own rate."""
    net = readers.build(GPT(**SMALL, tie=False), 11, 12)
    hidden, outer, vectors = sorted(groups(net), key=lambda each: (not each.get("hidden"), "weight_decay" in each))
    assert {p.ndim for p in hidden["params"]} == {2} and len(hidden["params"]) == 2 * 4
    assert {tuple(p.shape) for p in outer["params"]} == {(11, 8)} and len(outer["params"]) == 2
    assert {p.ndim for p in vectors["params"]} == {1} and vectors["weight_decay"] == 0
    rates = {id(p): group["rate"] for group in groups(net, 0.5) for p in group["params"]}
    found = {name: rates[id(p)] for name, p in net.named_parameters()}
    assert found["head.weight"] == found["body.last.weight"] == 1
    assert found["body.blocks.1.inner.out.weight"] == 0.5 and found["body.blocks.0.inner.out.weight"] == 0.25
    assert found["embed.tokens.weight"] == 0.125
    net.body.requires_grad_(False)
    assert sum(len(group["params"]) for group in groups(net)) == 2


def test_a_tied_head_has_the_weights_of_the_embedding():
    net = readers.build(GPT(**SMALL), 11, 12)
    assert net.head.weight is net.embed.tokens.weight and isinstance(net.embed.drop, nn.Dropout)


@pytest.fixture
def quiet(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    return pytest.importorskip("transformers")


def test_a_gpt2_of_the_library_transformers_says_the_same(quiet, tmp_path):
    torch.manual_seed(0)
    config = quiet.GPT2Config(vocab_size=11, n_positions=12, n_embd=8, n_layer=2, n_head=2)
    theirs = quiet.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(torch.randn_like(p) / 5)
    theirs.save_pretrained(tmp_path)
    found = huggingface.gpt2(tmp_path)
    assert huggingface.bert(tmp_path) is None and huggingface.gpt2(tmp_path / "no") is None
    net = readers.build(GPT(**found.settings), 11, 12).eval()
    net.load_state_dict(found.weights())
    x = torch.randint(11, (2, 9))
    assert near(net.head(net(x)), theirs(x).logits)


def test_a_bert_of_the_library_transformers_says_the_same(quiet, tmp_path):
    torch.manual_seed(0)
    config = quiet.BertConfig(vocab_size=11, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                              intermediate_size=16, max_position_embeddings=12)
    theirs = quiet.BertForMaskedLM(config).eval()
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(torch.randn_like(p) / 5)
    theirs.save_pretrained(tmp_path)
    found = huggingface.bert(tmp_path)
    net = readers.build(Bert(**found.settings), 11, 12).eval()
    net.load_state_dict(found.weights())
    x, length = torch.randint(11, (2, 9)), torch.tensor([9, 5])
    there = torch.arange(9) < length[:, None]
    assert near(net.head(net(x, length))[there], theirs(x, attention_mask=there.long()).logits[there])
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"model\.safetensors cannot be read"):
        found.weights()
