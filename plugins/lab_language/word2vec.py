"""Words as vectors. B blocks of L words, of which T stay, N in all; D width, V different words, M that are not said."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import embedding, embedding_bag, softplus

from lab.contract import Batch, Experiment, Learner, Metrics
from lab.data.shuffled import Shuffled
from lab.data.token_file import Tokens
from lab.errors import UsageError
from lab.schedules import linear
from lab.world import World

from .plugin import Word2Vec
from .words import Judge, asked

POWER = 0.75                      # of the counts, for what is not said (Mikolov et al. 2013b, section 2.2)
LEAST = 1e-4                      # the last learning rate over the first


def windows(x: Tensor, stays: Tensor, reach: Tensor) -> tuple[Tensor, Tensor]:
    """Words [B, T] of blocks x [B, L], those that stay [B, L] in front, and who is near whom, [B, T, T]: 1 where both
    stay and the second is another one, at most as far away as `reach` [B, L] says of the place where the first is now.
    """
    length = stays.sum(1, keepdim=True)                                                     # [B, 1]
    t = max(int(length.max()), 1)
    x = x.gather(1, (~stays).int().argsort(dim=1, stable=True)[:, :t])                      # [B, T]
    place = torch.arange(t, device=x.device, dtype=torch.float32)
    apart = (place[None] - place[:, None]).abs().fill_diagonal_(torch.inf)                  # [T, T]
    inside = place < length                                                                 # [B, T]
    far = torch.where(inside, reach[:, :t].float(), 0)
    return x, (apart <= far[:, :, None]).float().mul_(inside[:, None])                      # [B, T, T]


class Around(NamedTuple):
    """The same as a list for each word: less to do where nothing is asked of single pairs. W is twice the window."""

    places: Tensor                # [N, W] of the words before and after it
    near: Tensor                  # [N, W]: 1 for those in its reach
    back: Tensor                  # [N, W]: 1 for those in whose reach it is itself


def around(x: Tensor, stays: Tensor, reach: Tensor) -> tuple[Tensor, Around]:
    """Words [N] of all blocks x [B, L], those that stay, and who is near whom, as `reach` [B, L] says of the places
    that they had.
    """
    window = min(int(reach.max()), max(x.shape[1] - 1, 1))
    count, far, device = stays.sum(1), reach[stays][:, None], x.device                      # [B], [N, 1]
    last = count.cumsum(0).repeat_interleave(count)[:, None]                                # [N, 1]
    first = last - count.repeat_interleave(count)[:, None]                                  # [N, 1]
    steps = torch.cat([torch.arange(-window, 0, device=device), torch.arange(1, window + 1, device=device)])    # [W]
    places = torch.arange(len(far), device=device)[:, None] + steps                         # [N, W]
    inside, there = (places >= first) & (places < last), places.clamp(0, max(len(far) - 1, 0))
    near, back = (inside & (steps.abs() <= each) for each in (far, far[:, 0][there]))
    return x[stays], Around(there, near.float(), back.float())


def chances(counts: Tensor, threshold: float) -> Tensor:
    """That a word is not left out, [V]: min(1, sqrt(t / f) + t / f) of its frequency f (Mikolov et al. 2013b, equation
    5, as in their code); 0: all stay.
    """
    if not threshold:
        return torch.ones_like(counts)
    share = threshold / (counts / counts.sum()).clamp(min=1e-12)
    return (share.sqrt() + share).clamp(max=1)


def skip_gram(near: Tensor, a: Tensor, b: Tensor, no: Tensor, weight: float) -> tuple[Tensor, ...]:
    """The loss of saying the words around each, of how many pairs it is the sum, and its gradients by a, b and no
    (Mikolov et al. 2013b, equation 4).

    near [B, T, T]; a [B, T, D] of the words as they say, b [B, T, D] as they are said, no [M, D] of words that are not
    said, each of which counts `weight` times for each pair: -log s(a_i b_j) - weight sum_m log s(-a_i no_m), where
    -log s(x) is softplus(-x).
    """
    pairs = near.sum(2, keepdim=True)                                                       # [B, T, 1]
    yes, other = a @ b.mT, a @ no.T                                                         # [B, T, T], [B, T, M]
    loss = (near * softplus(-yes)).sum() + weight * (pairs * softplus(other).sum(2, keepdim=True)).sum()
    up, down = near * (yes.sigmoid() - 1), weight * pairs * other.sigmoid()
    return loss, pairs.sum(), up @ b + down @ no, up.mT @ a, down.flatten(0, 1).T @ a.flatten(0, 1)


def cbow(near: Around, a: Tensor, b: Tensor, no: Tensor, weight: float) -> tuple[Tensor, ...]:
    """The same of saying each word by the mean of those around it (Mikolov et al. 2013a, section 3.1): a and b [N, D],
    and the sum is over the words that have others around them.
    """
    count = near.near.sum(1, keepdim=True)                                                  # [N, 1]
    there, share = (count > 0).float(), 1 / count.clamp(min=1)
    mean = embedding_bag(near.places, a, mode="sum", per_sample_weights=near.near * share)  # [N, D]
    yes, other = (mean * b).sum(1, keepdim=True), mean @ no.T                               # [N, 1], [N, M]
    loss = (there * (softplus(-yes) + weight * softplus(other).sum(1, keepdim=True))).sum()
    up, down = there * (yes.sigmoid() - 1), other.sigmoid().mul_(weight * there)
    slope = (down @ no).add_(up * b).mul_(share)                                            # [N, D]
    by_a = embedding_bag(near.places, slope, mode="sum", per_sample_weights=near.back)
    return loss, there.sum(), by_a, up * mean, down.T @ mean


METHODS: dict[str, tuple[Callable[..., Any], Callable[..., tuple[Tensor, ...]]]] = {
    "skip_gram": (windows, skip_gram), "cbow": (around, cbow)}


def stepped(table: Tensor, squares: Tensor, rows: Tensor, slope: Tensor, rate: float) -> None:
    """Step down by gradients [N, D] of `rows` [N], over the root of the sum of their mean squares so far [V]: one rate
    for each word (Duchi et al. 2011, section 1.3), since in one step some come a hundred times and most not at all.
    """
    squares.index_add_(0, rows, vector_norm(slope, dim=1).square_() / slope.shape[1])
    change = slope * (-rate / squares[rows].sqrt())[:, None]                                # [N, D]
    table.scatter_add_(0, rows[:, None].expand_as(change), change)        # of all ways to add rows the fastest on CPUs


class Vectors(Learner):
    """Two vectors of each word: as it says others, and as it is said. Steps of stochastic gradient descent."""

    saved = ("says", "is_said", "says_squares", "is_said_squares", "rng")

    def __init__(self, counts: Tensor, cfg: Word2Vec, world: World):
        compute = world.compute
        first = torch.Generator().manual_seed(compute.seed_for("first vectors"))
        v, device = len(counts), compute.device
        self.says = ((torch.rand(v, cfg.width, generator=first) - 0.5) / cfg.width).to(device)
        self.is_said = torch.zeros(v, cfg.width, device=device)
        self.says_squares, self.is_said_squares = (torch.full((v,), 1e-6, device=device) for _ in range(2))
        self.rng, self.cfg, self.compute = compute.rng("words"), cfg, compute
        self.chance, self.shares = chances(counts.to(device), cfg.subsample), counts.to(device) ** POWER
        self.pairing, self.step = METHODS[cfg.method]

    def draws(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Any, Tensor]:
        """Of blocks [B, L] the words that stay, who is near whom, and words that are not said [M]."""
        stays = torch.rand(x.shape, generator=rng, device=x.device) < self.chance[x]
        reach = torch.randint(1, self.cfg.window + 1, x.shape, generator=rng, device=x.device)
        others = torch.multinomial(self.shares, self.cfg.shared, replacement=True, generator=rng)
        return *self.pairing(x, stays, reach), others

    def loss(self, x: Tensor, near: Any, others: Tensor) -> tuple[Tensor, ...]:
        """Its sum, of how many, and its gradients by the vectors of `x`, as they say and are said, and of `others`."""
        return self.step(near, embedding(x, self.says), embedding(x, self.is_said), self.is_said[others],
                         self.cfg.negatives / self.cfg.shared)

    def update(self, batch: Batch) -> Metrics:
        x, near, others = self.draws(batch["x"], self.rng)
        rate = linear(self.compute.now(), self.cfg.lr, self.cfg.lr * LEAST, self.cfg.decay)
        loss, count, a, b, no = self.loss(x, near, others)
        stepped(self.says, self.says_squares, x.flatten(), a.flatten(0, -2), rate)
        stepped(self.is_said, self.is_said_squares, x.flatten(), b.flatten(0, -2), rate)
        stepped(self.is_said, self.is_said_squares, others, no, rate)
        return {"loss/train": loss / count.clamp(min=1)}

    def num_parameters(self) -> int:
        return self.says.numel() + self.is_said.numel()


def word2vec(cfg: Word2Vec, world: World) -> Experiment:
    data, train = world.data, world.data.splits["train"]
    assert isinstance(train, Tokens)
    counts = torch.bincount(torch.from_numpy(train.ids.astype("int64")), minlength=data.about.vocabulary[0]).float()
    stream = data.stream(cfg.batch_size)
    cfg.decay = cfg.decay or planned(world, stream)                      # a run that goes on keeps it
    learner = Vectors(counts, cfg, world)
    judge = Judge(learner, data)
    for word in [*cfg.words, *(word for question in cfg.analogies for word in asked(question))]:
        judge.place(word)
    last = {"test": lambda: judge.loss("test", "test/")} if "test" in data.splits else {}
    return Experiment(learner, stream, {data.judged: lambda: judge.loss(data.judged)}, {**last, "words": judge.words})


def planned(world: World, stream: Shuffled) -> int:
    """The updates of the whole run. Raises UsageError where nobody knows them."""
    budget, epoch = world.cfg.budget, stream.epoch_updates or 1
    steps = budget.steps and math.ceil(budget.steps * epoch / (stream.epoch_length or 1))
    if known := [value for value in (budget.updates, budget.epochs and budget.epochs * epoch, steps) if value]:
        return int(min(known))
    raise UsageError("the learning rate of word2vec falls over the whole run, and this budget does not say how many "
                     "updates it has; give agent.decay")
