"""Words as vectors. B blocks, T words of each, D width, V different words, M words that are not said."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

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


def windows(length: Tensor, reach: Tensor) -> Tensor:
    """[B, T, T]: 1 where the second word is at most `reach` [B, T] away from the first, is another one, and both are
    among the first `length` [B].
    """
    t = reach.shape[1]
    place = torch.arange(t, device=reach.device)
    apart = (place[None] - place[:, None]).abs()                                            # [T, T]
    inside = place < length[:, None]                                                        # [B, T]
    near = (apart <= reach[:, :, None]) & (apart > 0)
    return (near & inside[:, :, None] & inside[:, None]).float()


def kept(x: Tensor, chance: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """[B, T] with the words that stay in front, in their order, and how many they are [B]; `chance` [V] is that of each
    word, `u` [B, T] from 0 to 1.
    """
    stays = u < chance[x]
    return x.gather(1, (~stays).int().argsort(dim=1, stable=True)), stays.sum(1)


def chances(counts: Tensor, threshold: float) -> Tensor:
    """That a word is not left out, [V]: min(1, sqrt(t / f) + t / f) of its frequency f (Mikolov et al. 2013b, equation
    5, as in their code); 0: all stay.
    """
    if not threshold:
        return torch.ones_like(counts)
    share = threshold / (counts / counts.sum()).clamp(min=1e-12)
    return (share.sqrt() + share).clamp(max=1)


def skip_gram(near: Tensor, a: Tensor, b: Tensor, no: Tensor, weight: float) -> tuple[Tensor, ...]:
    """The loss of saying the words around each, and its gradients by a, b and no (Mikolov et al. 2013b, equation 4).

    near [B, T, T]; a [B, T, D] of the words as they say, b [B, T, D] as they are said, no [M, D] of words that are not
    said, each of which counts `weight` times for each pair: -log s(a_i b_j) - weight sum_m log s(-a_i no_m).
    """
    pairs = near.sum(2, keepdim=True)                                                       # [B, T, 1]
    yes, other = a @ b.mT, a @ no.T                                                         # [B, T, T], [B, T, M]
    loss = -(near * logsigmoid(yes)).sum() - weight * (pairs * logsigmoid(-other)).sum()
    up, down = near * (yes.sigmoid() - 1), weight * pairs * other.sigmoid()
    return loss, up @ b + down @ no, up.mT @ a, torch.einsum("btm,btd->md", down, a)


def cbow(near: Tensor, a: Tensor, b: Tensor, no: Tensor, weight: float) -> tuple[Tensor, ...]:
    """The same of saying each word by the mean of those around it (Mikolov et al. 2013a, section 3.1)."""
    count = near.sum(2, keepdim=True)
    there, shares = (count > 0).float(), near / count.clamp(min=1)
    mean = shares @ a                                                                       # [B, T, D]
    yes, other = (mean * b).sum(2, keepdim=True), mean @ no.T                               # [B, T, 1], [B, T, M]
    loss = -(there * logsigmoid(yes)).sum() - weight * (there * logsigmoid(-other)).sum()
    up, down = there * (yes.sigmoid() - 1), weight * there * other.sigmoid()
    slope = up * b + down @ no
    return loss, shares.mT @ slope, up * mean, torch.einsum("btm,btd->md", down, mean)


METHODS = {"skip_gram": skip_gram, "cbow": cbow}


def stepped(table: Tensor, squares: Tensor, rows: Tensor, slope: Tensor, rate: float) -> None:
    """Step down by gradients [N, D] of `rows` [N], over the root of the sum of their mean squares so far [V]: one rate
    for each word (Duchi et al. 2011, section 1.3), since in one step some come a hundred times and most not at all.
    """
    squares.index_add_(0, rows, slope.square().mean(1))
    table.index_add_(0, rows, slope / squares[rows].sqrt()[:, None], alpha=-rate)


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
        self.step = METHODS[cfg.method]

    def draws(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Words [B, T], who is near whom [B, T, T], and words that are not said [M]."""
        x, length = kept(x, self.chance, torch.rand(x.shape, generator=rng, device=x.device))
        longest = max(int(length.max()), 1)
        reach = torch.randint(1, self.cfg.window + 1, (len(x), longest), generator=rng, device=x.device)
        others = torch.multinomial(self.shares, self.cfg.shared, replacement=True, generator=rng)
        return x[:, :longest], windows(length, reach), others

    def update(self, batch: Batch) -> Metrics:
        x, near, others = self.draws(batch["x"], self.rng)
        rate = linear(self.compute.now(), self.cfg.lr, self.cfg.lr * LEAST, self.cfg.decay)
        given = near, self.says[x], self.is_said[x], self.is_said[others], self.cfg.negatives / self.cfg.shared
        loss, a, b, no = self.step(*given)
        stepped(self.says, self.says_squares, x.flatten(), a.flatten(0, 1), rate)
        stepped(self.is_said, self.is_said_squares, x.flatten(), b.flatten(0, 1), rate)
        stepped(self.is_said, self.is_said_squares, others, no, rate)
        return {"loss/train": loss / self.size(near).clamp(min=1)}

    def size(self, near: Tensor) -> Tensor:
        """Over what the mean is taken: pairs, or words that have others around them."""
        return near.sum() if self.cfg.method == "skip_gram" else (near.sum(2) > 0).sum()

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
