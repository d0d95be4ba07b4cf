"""Autoencoders, put together. N examples, K classes."""

import copy
from collections.abc import Callable, Iterable
from itertools import chain

import torch
from torch import Tensor

from lab.codes import FromCodes
from lab.contract import Evaluator, Experiment
from lab.data.loaded import Data
from lab.data.made import at_the_end
from lab.data.network import enough_examples, whole_examples
from lab.data.prepare import Front, moments
from lab.errors import UsageError
from lab.layers import Row, rows, summary
from lab.nn import Coder
from lab.warned import Warned
from lab.world import World

from .judges import BookJudge, BoundJudge, Judge
from .latent import Latent
from .learners import Denoiser, Reconstructor, Target
from .likelihoods import LEVELS, Discretized, Gaussian, Likelihood, levels
from .network import Coded, Quantized
from .outliers import Outliers, without
from .pictures import Album
from .plugin import VAE, VQVAE, Autoencoder, BetaVAE, ConditionalVAE, DenoisingAutoencoder, Reconstructing
from .variational import Variational
from .vectors import Vectors

FEW = 32                          # levels of pixels up to which `auto` takes them one by one
Coding = Callable[[Front, Coder, Likelihood], Coded | Quantized]


def autoencoder(cfg: Autoencoder, world: World) -> Experiment:
    return experiment(made(cfg, world, Reconstructor, coding(cfg, 1)), world)


def denoising_autoencoder(cfg: DenoisingAutoencoder, world: World) -> Experiment:
    if cfg.noise == "salt" and world.data.about.kind != "picture":
        raise UsageError(f"agent.noise=salt makes pixels black or white, and an example of this data is a "
                         f"{world.data.about.kind}; use mask or gaussian")
    return experiment(made(cfg, world, Denoiser, coding(cfg, 1)), world)


def vae(cfg: VAE, world: World) -> Experiment:
    return experiment(made(cfg, world, Variational, coding(cfg, 2)), world)


beta_vae: Callable[[BetaVAE, World], Experiment] = vae


def conditional_vae(cfg: ConditionalVAE, world: World) -> Experiment:
    about = world.data.about
    if not about.classes:
        raise UsageError(f"conditional_vae is told the class of an example, and data={world.data.cfg.name} has none; "
                         "use +agent=vae")
    if cfg.outlier:
        raise UsageError(f"conditional_vae is told the class of an example, and would not learn agent.outlier="
                         f"{cfg.outlier}, of which it is to make examples all the same; use +agent=vae")
    return experiment(made(cfg, world, Variational, coding(cfg, 2, len(about.classes))), world)


def vq_vae(cfg: VQVAE, world: World) -> Experiment:
    def coded(front: Front, coder: Coder, likelihood: Likelihood) -> Quantized:
        return Quantized(front, coder, likelihood, cfg.latent, cfg.codes, cfg.places)

    return experiment(made(cfg, world, Vectors, coded), world)


def coding(cfg: Reconstructing, heads: int, classes: int = 0) -> Coding:
    return lambda front, coder, likelihood: Coded(front, coder, likelihood, cfg.latent, heads, classes)


def made(cfg: Reconstructing, world: World, kind: type[Reconstructor], coding: Coding) -> Reconstructor:
    """Raises UsageError where data, likelihood and model do not fit together."""
    data, about = learned(cfg, world.data), world.data.about
    whole_examples(cfg.name, data)
    if cfg.binarize != "none" and about.kind != "picture":
        raise UsageError(f"agent.binarize={cfg.binarize} is for pictures, and an example of this data is a "
                         f"{about.kind}")
    front, shape = data.front
    front = copy.deepcopy(front).to(world.compute.device)
    target = Target(about.kind, shape, cfg.binarize, front)
    likelihood = fitting(cfg, data, target)
    coder = world.model(shape, likelihood.said, role="autoencoder")
    net = coding(front, coder, likelihood).to(world.compute.device)
    return kind(net, target, world.optimizer(net.parameters()), cfg, world.compute)


def learned(cfg: Reconstructing, data: Data) -> Data:
    """All of it but the class that is to be found."""
    return without(data, cfg.outlier) if cfg.outlier else data


def fitting(cfg: Reconstructing, data: Data, target: Target) -> Likelihood:
    """Settles `auto`, so that a run remembers it. Raises UsageError for one under which the examples are impossible."""
    cfg.likelihood = chosen(cfg, data)
    for key, came, wanted in (("binarize", cfg.binarize != "none", "bernoulli"), ("sigma", cfg.sigma, "gaussian")):
        if came and cfg.likelihood != wanted:
            raise UsageError(f"agent.{key}={getattr(cfg, key)} is for agent.likelihood={wanted}; came {cfg.likelihood}")
    if cfg.likelihood == "gaussian":
        return Gaussian(cfg.sigma, spread(target(batch["x"]) for batch in data.batches("train")))
    if cfg.likelihood == "discretized":
        return Discretized(levels_wanted(data))
    if data.about.kind != "picture":
        low, high = ends(target(batch["x"]) for name in data.splits for batch in data.batches(name))
        if low < 0 or high > 1:
            raise UsageError(f"agent.likelihood=bernoulli takes numbers from 0 to 1, and those of data={data.cfg.name} "
                             f"are from {low:.3g} to {high:.3g}; use agent.likelihood=gaussian")
    return Likelihood()


def chosen(cfg: Reconstructing, data: Data) -> str:
    """What `auto` comes to."""
    if cfg.likelihood != "auto":
        return cfg.likelihood
    if cfg.sigma or data.about.kind != "picture":
        return "gaussian"
    return "discretized" if cfg.binarize == "none" and 2 < levels_of(data) <= FEW else "bernoulli"


def levels_wanted(data: Data) -> int:
    """Raises UsageError where there are none."""
    if data.about.kind != "picture":
        raise UsageError("agent.likelihood=discretized is for the levels of pixels, and an example of this data is a "
                         f"{data.about.kind}; use agent.likelihood=gaussian")
    if not (count := levels_of(data)):
        raise UsageError(f"agent.likelihood=discretized needs pixels on at most 256 even levels, and those of "
                         f"data={data.cfg.name} are on none; use agent.likelihood=gaussian or bernoulli")
    return count


def levels_of(data: Data) -> int:
    """Of the pixels of all splits; 0: there are too many, or they are not even."""
    there = torch.zeros(0)
    for batch in chain.from_iterable(data.batches(name) for name in data.splits):
        x = batch["x"].flatten()
        kinds = torch.unique(x) if x.is_floating_point() else torch.bincount(x, minlength=LEVELS).nonzero()[:, 0] / 255
        there = torch.unique(torch.cat([there, kinds.cpu()]))
        if len(there) > LEVELS:
            return 0
        if len(there) == LEVELS and not x.is_floating_point():      # no byte is left: the rest need not be read
            return LEVELS
    return levels(there)


def spread(parts: Iterable[Tensor]) -> float:
    """The deviation of all numbers together."""
    return float(moments(part.flatten()[:, None].double() for part in parts).deviation) or 1.0


def ends(parts: Iterable[Tensor]) -> tuple[float, float]:
    """The least and the greatest number."""
    found = [part.aminmax() for part in parts]
    return min(float(each.min) for each in found), max(float(each.max) for each in found)


def experiment(learner: Reconstructor, world: World) -> Experiment:
    """Evaluated on the validation split while it trains, and on the test split at the end, there also in pictures."""
    data = learned(learner.cfg, world.data)
    stream, last = data.stream(learner.cfg.batch_size), "test" if "test" in data.splits else data.judged
    enough_examples(learner.net, stream.size)
    evaluators = dict[str, Evaluator]()
    during, final = Judge(learner, data, data.judged), Judge(learner, data, last, f"{last}/")
    if isinstance(learner, Variational):
        during = BoundJudge(learner, data, data.judged)
        final = BoundJudge(learner, data, last, f"{last}/", learner.cfg.importance_samples)
    if isinstance(learner, Vectors):
        during, final = BookJudge(learner, data, data.judged), BookJudge(learner, data, last, f"{last}/")
        evaluators["warned"] = Warned(learner.warning)
    closing: dict[str, Evaluator] = {last: final, "codes": Latent(final)}
    if learner.cfg.outlier:
        closing["outlier"] = Outliers(learner, world.data, last, learner.cfg.outlier)
    if data.about.kind == "picture":
        closing["album"] = Album(final)
    sample = None
    if isinstance(learner, Variational):
        sample = FromCodes(learner.example, learner.net.latent, learner.net.classes)
        closing |= at_the_end(sample, data, last, world.cfg.evaluate.samples)
    found = layers(learner, data)
    return Experiment(learner, stream, {data.judged: during, **evaluators}, closing, summary(learner.net, found),
                      sum(row[-1] for row in found) * stream.size, sample=sample,
                      cost=None if learner.net.classes else learner.cost)


def layers(learner: Reconstructor, data: Data) -> list[Row]:
    """Of its network, as one example goes through them."""
    x = next(data.batches("train", 1))["x"]
    label = torch.zeros(1, dtype=torch.int64, device=x.device) if learner.net.classes else None
    rng = torch.Generator(x.device)
    return rows(learner.net, lambda: learner.terms(x, label, learner.draws(1, rng)))
