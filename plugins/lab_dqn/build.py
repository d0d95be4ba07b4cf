"""Puts the agents together: environments, a network with its head, the learner and its replay."""

from gymnasium.spaces import Discrete
from torch import nn

from lab.contract import Experiment
from lab.envs import Envs
from lab.errors import UsageError
from lab.nn import width
from lab.priorities import LEAF, Prioritised, Priority
from lab.replay import Replay, Ring, Sampling, row_bytes
from lab.streams import observation_bytes
from lab.world import World

from .configs import C51, DQN, IQN, QRDQN, Replayed
from .distributional import Atoms, Categorical, Drawn, Fractions, Implicit, Quantiles
from .dqn import DeepQ
from .heads import Dueling, NoisyLinear, noisy


def discrete(world: World, envs: Envs) -> int:
    """The number of actions. Raises UsageError where they cannot be counted."""
    if not isinstance(envs.action_space, Discrete):
        raise UsageError(f"{world.cfg.agent.name} needs a Discrete action space; {envs.id} has {envs.action_space}. "
                         "Choose an environment with discrete actions, such as env=CartPole, or an agent for "
                         "continuous ones, such as +agent=ppo")
    return int(envs.action_space.n)


def network(cfg: DQN, world: World, envs: Envs, atoms: int | None = None) -> nn.Module:
    """[B, ...] -> [B, A], or [B, A, Z] with `atoms`."""
    space, n_actions = envs.observation_space, discrete(world, envs)
    if cfg.dueling:
        body = world.net(space)
        net = nn.Sequential(body, Dueling(width(body, space), n_actions, atoms, cfg.dueling_hidden))
    elif atoms is None:
        net = world.net(space, n_actions)
    else:
        net = nn.Sequential(world.net(space, n_actions * atoms), nn.Unflatten(-1, (n_actions, atoms)))
    return explored(net, cfg)


def implicit(cfg: IQN, world: World, envs: Envs) -> nn.Module:
    """[B, ...] -> [B, A, N]"""
    space, n_actions = envs.observation_space, discrete(world, envs)
    body = world.net(space)
    features = width(body, space)
    head = Dueling(features, n_actions, None, cfg.dueling_hidden) if cfg.dueling else nn.Linear(features, n_actions)
    return explored(nn.Sequential(body, Implicit(features, head, cfg.samples)), cfg)


def explored(net: nn.Module, cfg: DQN) -> nn.Module:
    """With noise where the config asks for it. Raises UsageError where it has no layer to bear it."""
    if cfg.noisy and not any(isinstance(part, NoisyLinear) for part in noisy(net, cfg.sigma).modules()):
        raise UsageError("agent.noisy=true puts noise on fully connected layers, and this model has none; use "
                         "agent.noisy=false with agent.epsilon_start=1, or another model")
    return net


def replaying(cfg: Replayed, world: World, envs: Envs, more: int = 0, seen: int = 2) -> tuple[Ring, Sampling]:
    """The buffer, with `more` bytes for each row than its step takes, and what is drawn: `seen` observations at a time.

    Raises UsageError where memory has no room for it.
    """
    world.must_fit("agent.buffer_size", cfg.buffer_size, row_bytes(envs) + more)
    world.must_fit("agent.num_envs * agent.train_every", cfg.num_envs * cfg.train_every, 2 * observation_bytes(envs))
    world.must_fit("agent.gradient_steps * agent.batch_size", cfg.gradient_steps * cfg.batch_size,
                   seen * observation_bytes(envs))
    ring = Ring(cfg.buffer_size, world.compute.device, envs.n, envs.stack, envs.padding)
    minibatches = cfg.gradient_steps, cfg.batch_size
    return ring, Sampling(cfg.train_every, cfg.warmup, minibatches, cfg.n_steps, cfg.discount)


def experiment(cfg: DQN, world: World, envs: Envs, kind: type[DeepQ], q: nn.Module) -> Experiment:
    (ring, sampling), rng = replaying(cfg, world, envs, LEAF * (cfg.priority > 0)), world.compute.rng("replay")
    q = q.to(world.compute.device)
    learner = kind(q, discrete(world, envs), world.optimizer(q.parameters()), cfg, world.compute)
    if not cfg.priority:
        return Experiment(learner, Replay(envs, learner.act, ring, sampling, rng), policy=learner.greedy)
    priority = Priority(cfg.priority, cfg.importance, cfg.importance_steps)
    stream = Prioritised(envs, learner.act, ring, sampling, rng, priority)
    learner.report = stream.report
    return Experiment(learner, stream, policy=learner.greedy)


def dqn(cfg: DQN, world: World) -> Experiment:
    envs = world.envs(cfg.num_envs)
    return experiment(cfg, world, envs, DeepQ, network(cfg, world, envs))


def c51(cfg: C51, world: World) -> Experiment:
    envs = world.envs(cfg.num_envs)
    return experiment(cfg, world, envs, Categorical,
                      Atoms(network(cfg, world, envs, cfg.atoms), cfg.v_min, cfg.v_max, cfg.atoms))


def qr_dqn(cfg: QRDQN, world: World) -> Experiment:
    envs = world.envs(cfg.num_envs)
    return experiment(cfg, world, envs, Quantiles, Fractions(network(cfg, world, envs, cfg.quantiles)))


def iqn(cfg: IQN, world: World) -> Experiment:
    envs = world.envs(cfg.num_envs)
    return experiment(cfg, world, envs, Quantiles, Drawn(implicit(cfg, world, envs)))
