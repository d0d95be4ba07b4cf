"""Generative adversarial networks, put together. N examples, K classes."""

import copy
import logging
from functools import partial

import torch
from torch import Tensor, nn

from lab.codes import FromCodes
from lab.contract import Experiment
from lab.data.gallery import Wall
from lab.data.loaded import Data
from lab.data.made import at_the_end, measured
from lab.data.network import enough_examples, whole_examples
from lab.data.scaled import Scaled
from lab.data.shuffled import Shuffled
from lab.errors import UsageError
from lab.layers import Row, rows, summary
from lab.modules import mixes
from lab.warned import Warned
from lab.world import World

from .learners import Adversaries
from .networks import Critic, Generator
from .plugin import GAN

LOG = logging.getLogger("lab")


def gan(cfg: GAN, world: World) -> Experiment:
    return experiment(cfg, world, 0)


lsgan = hinge_gan = wgan = wgan_gp = r1_gan = gan


def conditional_gan(cfg: GAN, world: World) -> Experiment:
    about = world.data.about
    if not about.classes:
        raise UsageError(f"conditional_gan is told the class of an example, and data={world.data.cfg.name} has none; "
                         "use +agent=gan")
    return experiment(cfg, world, len(about.classes))


def experiment(cfg: GAN, world: World, classes: int) -> Experiment:
    """Raises UsageError where data and model do not fit together."""
    data, about = world.data, world.data.about
    whole_examples(cfg.name, data)
    if cfg.augment and about.kind != "picture":
        raise UsageError(f"agent.augment={list(cfg.augment)} changes pictures, and an example of this data is a "
                         f"{about.kind}")
    if "saturation" in cfg.augment and about.shape[0] != 3:
        raise UsageError(f"agent.augment=saturation changes colours, and these pictures have {about.shape[0]} channels")
    front, shape = data.front
    scaled = Scaled(copy.deepcopy(front), about.kind).to(world.compute.device)
    rivals = world.model(cfg.latent + classes, shape, role="rivals")
    generator = Generator(rivals, cfg.latent, classes, scaled).to(world.compute.device)
    critic = Critic(rivals, classes, getattr(world.cfg.model, "critic_norm", "none")).to(world.compute.device)
    if cfg.penalty != "none" and mixes(critic):
        LOG.warning("agent.penalty=%s looks at the critic's gradient at single examples, which batch statistics mix: "
                    "use model.critic_norm=layer, spectral or none", cfg.penalty)
    optimizers = (world.optimizer(generator.parameters()),
                  world.optimizer(critic.parameters(), cfg.critic_rate, cfg.critic_steps))
    learner = Adversaries(generator, critic, optimizers, scaled, cfg, world.compute)
    stream = data.stream(cfg.batch_size, cfg.critic_steps)
    enough_examples(generator, stream.size // cfg.critic_steps)
    enough_examples(critic, stream.size // cfg.critic_steps, "model.critic_norm")
    return judged(learner, world, stream)


def judged(learner: Adversaries, world: World, stream: Shuffled) -> Experiment:
    """With evaluations while it trains, and on the test split at the end."""
    data, generator = world.data, learner.generator
    sample = FromCodes(partial(decoded, learner), generator.latent, generator.classes)
    last = "test" if "test" in data.splits else data.judged
    most = world.cfg.evaluate.samples
    during = measured(sample, data, data.judged, most)
    if data.about.kind == "picture":
        during["wall"] = Wall(sample, world.compute)
    during["warned"] = Warned(learner.warning)
    found = layers(learner, data)
    return Experiment(learner, stream, during, at_the_end(sample, data, last, most),
                      summary(nn.ModuleList([generator, learner.critic]), found),
                      sample=sample, operations=sum(row[-1] for row in found) * stream.size)


def decoded(learner: Adversaries, codes: Tensor, label: Tensor | None) -> Tensor:
    """Codes [n, Z] to examples as the data has them."""
    made = learner.judged
    with learner.compute.autocast():
        found = made(codes, label)
    return made.scaled.back(found.float())


def layers(learner: Adversaries, data: Data) -> list[Row]:
    """Of both networks, as one example goes through them."""
    generator, device = learner.generator, learner.compute.device
    z = torch.zeros(1, generator.latent, device=device)
    label = torch.zeros(1, dtype=torch.int64, device=device) if generator.classes else None
    both = nn.ModuleDict({"generator": generator, "critic": learner.critic})
    return rows(both, lambda: learner.critic(generator(z, label), label))
