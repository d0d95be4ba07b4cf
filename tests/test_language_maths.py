"""Holes in texts, chances of tokens, beams, vectors of words, steps of Muon: by numbers that can be checked by hand."""

import itertools
import math

import pytest
import torch
from torch import nn

from lab.muon import Muon, orthogonalized
from lab.text import EncoderDecoder
from lab_language import masking, word2vec, words
from lab_language.beam import Ends, Marks, beam, greedy, penalty, until
from lab_language.quality import distance, quality
from lab_language.speaking import chooser, continued, likely
from lab_transformer import readers, recurrent
from lab_transformer.plugin import GPT, LSTMReader


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_share_of_the_places_is_hidden_each_once():
    found = masking.chosen(1000, 20, 0.15, rng())
    assert found.shape == (1000, 3) and (found.diff() > 0).all()
    assert torch.allclose(torch.bincount(found.flatten()) / 1000, torch.tensor(3 / 20), atol=0.04)
    assert masking.chosen(2, 5, 0.01, rng()).shape == (2, 1)


def test_most_of_what_is_hidden_is_the_mask_some_another_token_some_as_it_was():
    x = torch.full((2000, 10), 7)
    found = masking.masked(x, torch.tensor([[1, 4]]).expand(2000, 2), 50, rng())
    hidden, rest = found[:, [1, 4]], found[:, [0, 2, 3, 5, 6, 7, 8, 9]]
    assert (rest == 7).all()
    assert (hidden == 50).float().mean() == pytest.approx(0.8, abs=0.03)
    assert (hidden == 7).float().mean() == pytest.approx(0.1 + 0.1 / 50, abs=0.02)


def test_parts_of_a_whole():
    found = masking.parts(1000, 6, 3, rng())
    assert (found.sum(1) == 6).all() and (found >= 1).all()
    assert {tuple(row) for row in found.tolist()} == {each for each in itertools.product(range(1, 5), repeat=3)
                                                      if sum(each) == 6}


def test_so_many_tokens_in_so_many_holes():
    assert masking.counts(100, 0.15, 3) == (15, 5)
    assert masking.counts(4, 0.15, 3) == (1, 1) and masking.counts(2, 0.9, 1) == (1, 1)
    found = masking.holes(50, 20, 0.3, 2, rng())
    assert ((found > 0).sum(1) == 6).all() and (found.amax(1) == 3).all() and (found[:, 0] == 0).all()
    assert 0 < (found[:, -1] > 0).sum() < 50
    assert len({tuple(row) for row in masking.holes(50, 8, 0.2, 3, rng()).tolist()}) == 6    # one of two, anywhere


def test_what_is_outside_and_what_is_inside_of_holes_by_hand():
    """a b [c d] e [f]: outside a b <1> e <2>, inside <1> c d <2> f."""
    x, hole = torch.tensor([[10, 11, 12, 13, 14, 15]]), torch.tensor([[0, 0, 1, 1, 0, 2]])
    assert masking.without(x, hole, 90).tolist() == [[10, 11, 90, 14, 91]]
    assert masking.inside(x, hole, 90).tolist() == [[90, 12, 13, 91, 15]]


def test_nothing_of_a_text_is_lost_in_holes():
    x = torch.arange(30).expand(7, 30)
    hole = masking.holes(7, 30, 0.4, 3, rng(3))
    both = torch.cat([masking.without(x, hole, 100), masking.inside(x, hole, 100)], 1)
    assert all(sorted(token for token in row if token < 100) == list(range(30)) for row in both.tolist())


def test_chances_by_hand():
    logits = torch.tensor([[math.log(4), math.log(3), math.log(2), math.log(1)]])
    assert torch.allclose(likely(logits, 1.0), torch.tensor([[0.4, 0.3, 0.2, 0.1]]))
    assert torch.allclose(likely(logits, 0.5), torch.tensor([[16.0, 9, 4, 1]]) / 30)
    assert torch.allclose(likely(logits, 1.0, top_k=2), torch.tensor([[4.0, 3, 0, 0]]) / 7)
    assert torch.allclose(likely(logits, 1.0, top_p=0.69), torch.tensor([[4.0, 3, 0, 0]]) / 7)
    assert torch.allclose(likely(logits, 1.0, top_p=0.71), torch.tensor([[4.0, 3, 2, 0]]) / 9)
    assert torch.allclose(likely(logits, 1.0, top_p=1e-9), torch.tensor([[1.0, 0, 0, 0]]))


def test_the_most_likely_and_what_is_never_said():
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    assert chooser(rng(), 0)(logits.clone()).tolist() == [1]
    assert chooser(rng(), 0, never=[1])(logits.clone()).tolist() == [2]
    said = torch.cat([chooser(rng(i), 1.0, top_k=2)(logits.clone()) for i in range(50)])
    assert set(said.tolist()) == {1, 2}


@pytest.mark.parametrize("make", [lambda: readers.build(GPT(layers=2, width=8, heads=2), 11, 12),
                                  lambda: readers.build(GPT(layers=1, width=8, heads=2, positions="learned"), 11, 12),
                                  lambda: recurrent.reader(LSTMReader(width=8), 11, 12)],
                         ids=["gpt", "learned", "lstm"])
def test_with_and_without_a_memory_the_same_is_said_also_beyond_what_can_be_read_at_once(make):
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(8)                                   # so that what is said is not always the same
    x = torch.randint(11, (3, 4), generator=rng())
    for temperature in (0, 1.0):
        both = [torch.stack(list(continued(net, x, 40, chooser(rng(), temperature), remember)), 1)
                for remember in (True, False)]
        assert both[0].shape == (3, 40) and torch.equal(*both)
    assert len(both[0].unique()) > 3


class Table(EncoderDecoder):
    """What it says depends on the last token alone: logits [W, W]."""

    def __init__(self, logits):
        super().__init__(len(logits), (9, 9))
        self.logits, self.head = logits, nn.Identity()

    def memory(self, x, length):
        return torch.zeros(len(x))

    def read(self, y, memory):
        return self.logits[y]

    def choose(self, memory, rows):
        return memory[rows]


def chance(net, marks, tokens):
    path = [marks.begin, *tokens, marks.end]
    logits = net.logits.clone()
    logits[:, marks.begin] = -torch.inf
    return float(sum(logits.log_softmax(-1)[a, b] for a, b in itertools.pairwise(path)))


def test_a_beam_finds_what_the_most_likely_token_misses():
    """a, then anything: .6 (.5 + .5); b, then the end at once: .4 * 1."""
    begin, end, a, b, c, d = 0, 1, 2, 3, 4, 5
    logits = torch.full((6, 6), -torch.inf)
    for start, token, share in ((begin, a, 0.6), (begin, b, 0.4), (a, c, 0.5), (a, d, 0.5), (c, end, 1), (d, end, 1),
                                (b, end, 1)):
        logits[start, token] = math.log(share)
    net, marks, x = Table(logits), Marks(begin, end, 5), torch.zeros(1, 2)
    assert greedy(net, x, torch.tensor([2]), marks) == [[a, c]]
    assert beam(net, x, torch.tensor([2]), marks, 2, 0.0) == [[b]]
    assert beam(net, x, torch.tensor([2]), marks, 3, 5.0) in ([[a, c]], [[a, d]])       # which asks for longer ones


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_a_wide_beam_is_a_search_of_all(alpha):
    """With 3 tokens and at most 3 of them before the end: 1 + 3 + 9 + 27 texts."""
    marks = Marks(0, 1, 3)
    nets = [Table(torch.randn(5, 5, generator=rng(seed))) for seed in range(10)]
    for net in nets:
        texts = [text for n in range(4) for text in itertools.product((2, 3, 4), repeat=n)]
        best = max(texts, key=lambda text: chance(net, marks, text) / penalty(len(text) + 1, alpha))
        found = beam(net, torch.zeros(2, 1), torch.tensor([1, 1]), marks, 60, alpha)
        assert found == [list(best), list(best)]


def test_the_penalty_by_hand_and_when_nothing_better_can_come():
    assert penalty(7, 1.0) == 2 and penalty(19, 0.5) == 2 and penalty(3, 0.0) == 1
    ends = Ends(2)
    ends.add(-3.0, [1])
    assert not ends.over(-9.0)
    ends.add(-1.0, [2])
    ends.add(-2.0, [3])
    assert [score for score, _ in ends.found] == [-1.0, -2.0] and ends.over(-2.0) and not ends.over(-1.9)
    assert until([4, 5, 1, 6], 1) == [4, 5] and until([4], 1) == [4]


def test_edits_by_hand():
    assert distance("kitten", "sitting") == 3 and distance("", "abc") == 3 and distance("abc", "abc") == 0


def test_the_quality_of_what_was_said():
    """Of two words one is right, by the second of its answers; the other has one wrong of four."""
    read, right = [[1], [1], [2]], [[5, 6], [5, 7], [5, 6, 7, 8]]
    said = [[5, 7], [0], [5, 6, 7, 9]]
    found = quality(read, said, right, lambda tokens: " ".join(map(str, tokens)), "none")
    assert found["exact"] == 0.5 and found["error_rate"] == 1 / 6 and 0 < found["bleu"] < 100
    same = quality([[1], [2]], right[1:], right[1:], lambda tokens: " ".join(map(str, tokens)), "none")
    assert same["exact"] == 1 and same["error_rate"] == 0 and same["chrf"] == pytest.approx(100)


WORDS = torch.tensor([[5, 6, 9, 7], [8, 5, 6, 7]])
STAYS = torch.tensor([[True, True, False, True], [True, True, True, True]])


def test_who_is_near_whom_by_hand():
    """The 9 is left out, whatever its reach; the 8 reaches over two words."""
    x, found = word2vec.windows(WORDS, STAYS, torch.tensor([[1, 1, 1, 1], [2, 1, 1, 1]]))
    assert x[0, :3].tolist() == [5, 6, 7] and x[1].tolist() == [8, 5, 6, 7]
    assert found[0].tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert found[1].tolist() == [[0, 1, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]


def test_the_same_as_lists_by_hand():
    x, (places, near, back) = word2vec.around(WORDS, STAYS, torch.tensor([[1, 1, 9, 1], [2, 1, 1, 1]]))
    assert x.tolist() == [5, 6, 7, 8, 5, 6, 7]
    pairs = [[(i, int(places[i, k])) for i, k in each.nonzero().tolist()] for each in (near, back)]
    assert pairs[0] == [(0, 1), (1, 0), (1, 2), (2, 1), (3, 4), (3, 5), (4, 3), (4, 5), (5, 4), (5, 6), (6, 5)]
    assert sorted((j, i) for i, j in pairs[1]) == pairs[0]


def test_a_window_that_is_wider_than_a_block_is_the_whole_block():
    for pairing, _ in word2vec.METHODS.values():
        _, near = pairing(WORDS, torch.ones_like(STAYS), torch.full_like(WORDS, 10_000))
        near = near if isinstance(near, torch.Tensor) else near.near
        assert near.numel() < 100 and int(near.sum()) == 2 * 4 * 3


def test_where_no_word_stays_there_is_nothing_to_say():
    for pairing, step in word2vec.METHODS.values():
        x, near = pairing(WORDS, torch.zeros_like(STAYS), torch.ones_like(WORDS))
        a, b = (torch.ones(*x.shape, 3) for _ in range(2))
        loss, count, *slopes = step(near, a, b, torch.ones(4, 3), 0.7)
        assert float(loss) == float(count) == 0 and not any(slope.any() for slope in slopes)


def test_frequent_words_are_left_out_by_hand():
    """Of a frequency of .25 with t = .01: sqrt(.04) + .04."""
    assert torch.allclose(word2vec.chances(torch.tensor([1.0, 3.0]), 0.01)[0], torch.tensor(0.24))
    assert word2vec.chances(torch.tensor([1.0, 3.0]), 0).tolist() == [1, 1]


@pytest.mark.parametrize("method", word2vec.METHODS)
def test_gradients_of_word_vectors_are_those_of_their_loss(method):
    draws, (pairing, step) = rng(), word2vec.METHODS[method]
    x, near = pairing(WORDS, STAYS, torch.randint(1, 3, (2, 4), generator=draws))
    near = near.double() if method == "skip_gram" else near._replace(near=near.near.double(), back=near.back.double())
    a, b, no = (torch.randn(*shape, 3, generator=draws, dtype=torch.float64, requires_grad=True)
                for shape in (x.shape, x.shape, (4,)))
    loss, _, *slopes = step(near, a, b, no, 0.7)
    for own, right in zip(slopes, torch.autograd.grad(loss, (a, b, no)), strict=True):
        assert torch.allclose(own, right)


def test_the_loss_of_word_vectors_by_hand():
    """One pair with product ln 3, one other word with product 0: -ln .75 - .5 ln .5, twice."""
    for pairing, step in word2vec.METHODS.values():
        x, near = pairing(torch.tensor([[3, 4]]), torch.tensor([[True, True]]), torch.tensor([[1, 1]]))
        a, b, no = torch.full((*x.shape, 1), math.log(3)), torch.ones(*x.shape, 1), torch.zeros(1, 1)
        loss, count, *_ = step(near, a, b, no, 0.5)
        assert float(loss) == pytest.approx(2 * (-math.log(0.75) - 0.5 * math.log(0.5))) and int(count) == 2


def test_a_step_of_a_word_is_over_the_root_of_its_squares():
    """Gradients (3, 4) of one word, mean square 12.5; another word stays."""
    table, squares = torch.zeros(2, 2), torch.zeros(2)
    word2vec.stepped(table, squares, torch.tensor([1]), torch.tensor([[3.0, 4.0]]), 0.1)
    assert torch.allclose(table, torch.tensor([[0.0, 0.0], [-0.3, -0.4]]) / math.sqrt(12.5))
    assert squares.tolist() == [0, 12.5]


def test_what_is_nearest_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 3.0], [-1.0, 0.0]])
    _, found = words.nearest(vectors, vectors[[0]], 2, [0])
    assert found.tolist() == [[1, 2]]


@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (8, 3), (2, 5, 4)])
def test_singular_values_become_about_one(shape):
    found = torch.linalg.svdvals(orthogonalized(torch.randn(*shape, generator=rng())))
    assert ((found > 0.5) & (found < 1.3)).all()
    x = torch.randn(5, 5, generator=rng())
    u, _, v = torch.linalg.svd(x)
    assert float((orthogonalized(x) * (u @ v)).sum()) > 0.85 * 5


def test_what_is_not_hidden_takes_the_steps_of_adamw():
    nets = [nn.Linear(3, 2) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    settings = {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-8, "weight_decay": 0.3}
    ours = Muon(nets[0].parameters(), momentum=0.9, **settings)
    torchs = torch.optim.AdamW(nets[1].parameters(), **settings)
    for step in range(5):
        for net, optimizer in zip(nets, (ours, torchs), strict=True):
            optimizer.zero_grad()
            net(torch.full((1, 3), step + 1.0)).square().sum().backward()
            optimizer.step()
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))


def test_a_hidden_matrix_takes_a_step_of_the_size_of_adamws():
    """The root mean square is .2 lr, whatever the gradient's size; the weights decay."""
    p = nn.Parameter(torch.zeros(16, 64), requires_grad=False)
    optimizer = Muon([{"params": [p], "hidden": True}], 0.1, 0.95, (0.9, 0.95), 1e-8, 0.5)
    p.grad = 1e-4 * torch.randn(16, 64, generator=rng())
    optimizer.step()
    assert float(p.square().mean().sqrt()) == pytest.approx(0.02, rel=0.2)
    before = p.detach().clone()
    p.grad = torch.zeros(16, 64)
    optimizer.state[p]["momentum"].zero_()
    optimizer.step()
    assert torch.allclose(p, 0.95 * before)
