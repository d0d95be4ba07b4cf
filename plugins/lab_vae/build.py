"""Autoencoders, put together. N examples, K classes."""

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from lab.contract import Evaluator, Experiment
from lab.data.loaded import Data
from lab.errors import UsageError
from lab.layers import Row, rows, summary
from lab.nn import Coder
from lab.world import World

from .judges import BoundJudge, Judge
from .learners import Denoiser, Reconstructor, Target, Variational
from .likelihoods import Discretized, Gaussian, Likelihood, levels
from .network import Coded
from .pictures import Album
from .plugin import VAE, Autoencoder, BetaVAE, ConditionalVAE, DenoisingAutoencoder, Reconstructing
from .prior import Prior


def autoencoder(cfg: Autoencoder, world: World) -> Experiment:
    return experiment(made(cfg, world, Reconstructor, 1), world)


def denoising_autoencoder(cfg: DenoisingAutoencoder, world: World) -> Experiment:
    if cfg.noise == "salt" and world.data.about.kind != "picture":
        raise UsageError(f"agent.noise=salt makes pixels black or white, and an example of this data is a "
                         f"{world.data.about.kind}; use mask or gaussian")
    return experiment(made(cfg, world, Denoiser, 1), world)


def vae(cfg: VAE, world: World) -> Experiment:
    return experiment(made(cfg, world, Variational, 2), world)


beta_vae: Callable[[BetaVAE, World], Experiment] = vae


def conditional_vae(cfg: ConditionalVAE, world: World) -> Experiment:
    about = world.data.about
    if not about.classes:
        raise UsageError(f"conditional_vae is told the class of an example, and data={world.data.cfg.name} has none; "
                         "use +agent=vae")
    return experiment(made(cfg, world, Variational, 2, len(about.classes)), world)


def made(cfg: Reconstructing, world: World, kind: type[Reconstructor], heads: int, classes: int = 0) -> Reconstructor:
    """Raises UsageError where data, likelihood and model do not fit together."""
    data, about = world.data, world.data.about
    if about.ragged:
        raise UsageError(f"{cfg.name} sees examples of one size, and these sequences are of several lengths")
    if data.cfg.augment.mixup:
        raise UsageError(f"data.augment.mixup mixes targets, and {cfg.name} learns the examples themselves")
    if cfg.binarize != "none" and about.kind != "picture":
        raise UsageError(f"agent.binarize={cfg.binarize} is for pictures, and an example of this data is a "
                         f"{about.kind}")
    front, shape = data.front
    front = copy.deepcopy(front).to(world.compute.device)
    target = Target(about.kind, shape, cfg.binarize, front)
    likelihood = fitting(cfg, data, target)
    coder = world.model(shape, likelihood.said, role="autoencoder")
    if not isinstance(coder, Coder):
        raise UsageError(f"the build of model={world.cfg.model.name} returned {type(coder).__name__}, no "
                         "lab.nn.Coder")
    net = Coded(front, coder, likelihood, cfg.latent, heads, classes).to(world.compute.device)
    return kind(net, target, world.optimizer(net.parameters()), cfg, world.compute)


def fitting(cfg: Reconstructing, data: Data, target: Target) -> Likelihood:
    """Raises UsageError for a likelihood under which the examples are impossible."""
    picture = data.about.kind == "picture"
    name = cfg.likelihood if cfg.likelihood != "auto" else "bernoulli" if picture else "gaussian"
    if name == "gaussian":
        return Gaussian(cfg.sigma, spread(target(batch["x"], {}) for batch in data.batches("train")))
    if name == "discretized":
        return Discretized(levels_of(data))
    if not picture:
        low, high = ends(target(batch["x"], {}) for batch in data.batches("train"))
        if low < 0 or high > 1:
            raise UsageError(f"agent.likelihood=bernoulli takes numbers from 0 to 1, and those of data={data.cfg.name} "
                             f"are from {low:.3g} to {high:.3g}; use agent.likelihood=gaussian, or data.prepare=minmax")
    return Likelihood()


def levels_of(data: Data) -> int:
    """Raises UsageError where there are none."""
    if data.about.kind != "picture":
        raise UsageError("agent.likelihood=discretized is for the levels of pixels, and an example of this data is a "
                         f"{data.about.kind}; use agent.likelihood=gaussian")
    batches = [batch["x"] for batch in data.batches("train")]
    if not batches[0].is_floating_point():
        return 256
    count = levels(torch.cat([torch.unique(x) for x in batches]))
    if not count:
        raise UsageError(f"agent.likelihood=discretized needs pixels on at most 256 even levels, and those of "
                         f"data={data.cfg.name} are on none; use agent.likelihood=gaussian or bernoulli")
    return count


def spread(parts: Iterable[Tensor]) -> float:
    """The deviation of all numbers together."""
    found = torch.cat([part.flatten()[:, None] for part in parts])
    return float(found.std(correction=0)) or 1.0


def ends(parts: Iterable[Tensor]) -> tuple[float, float]:
    """The least and the greatest number."""
    found = [part.aminmax() for part in parts]
    return min(float(each.min) for each in found), max(float(each.max) for each in found)


def experiment(learner: Reconstructor, world: World) -> Experiment:
    """Evaluated on the validation split while it trains, and on the test split at the end, there also in pictures."""
    data = world.data
    stream, last = data.stream(learner.cfg.batch_size), "test" if "test" in data.splits else data.judged
    during, final = Judge(learner, data, data.judged), Judge(learner, data, last, f"{last}/")
    if isinstance(learner, Variational):
        during = BoundJudge(learner, data, data.judged)
        final = BoundJudge(learner, data, last, f"{last}/", learner.cfg.importance_samples)
    closing: dict[str, Evaluator] = {last: final}
    if data.about.kind == "picture":
        closing["album"] = Album(final)
    found = layers(learner, data)
    return Experiment(learner, stream, {data.judged: during}, closing, summary(learner.net, found),
                      sum(row[-1] for row in found) * stream.size,
                      sample=Prior(learner) if isinstance(learner, Variational) else None)


def layers(learner: Reconstructor, data: Data) -> list[Row]:
    """Of its network, as one example goes through them."""
    x = next(data.batches("train", 1))["x"]
    label = torch.zeros(1, dtype=torch.int64, device=x.device) if learner.net.classes else None
    rng = torch.Generator(x.device)
    return rows(learner.net, lambda: learner.terms(x, label, learner.draws(1, rng)))
