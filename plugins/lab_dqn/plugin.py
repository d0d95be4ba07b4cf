"""Deep value learning. Light: the command line reads this file before torch is imported."""

from pathlib import Path

from lab import Agent, hookimpl

from . import tuned
from .configs import (
    C51,
    DQN,
    IQN,
    QRDQN,
    DoubleDQN,
    DuelingDQN,
    MunchausenDQN,
    NoisyDQN,
    PrioritizedDQN,
    Rainbow,
)
from .others import PQN, R2D2, DiscreteSAC

SMALL = ("agent.num_envs=2", "agent.warmup=40", "agent.train_every=1", "agent.batch_size=16", "agent.buffer_size=64",
         "agent.target_every=7", "agent.n_steps=2", "agent.epsilon_steps=500", "model.hidden=[16]")
SPREAD = (*SMALL, "agent.discount=0.5")           # the spread of the returns, which no loss takes away, dies out sooner
ROLLED = ("agent.num_envs=2", "agent.rollout_steps=4", "agent.batch_size=3", "agent.epochs=1",
          "agent.epsilon_steps=500", "model.hidden=[16]")
STORED = (*SMALL, "agent.batch_size=6", "agent.memory=8", "agent.burn_in=2", "agent.length=4")
SOFT = ("agent.num_envs=2", "agent.warmup=40", "agent.train_every=1", "agent.batch_size=16", "agent.buffer_size=64",
        "agent.n_steps=2", "model.hidden=[16]")
FAMILY: tuple[tuple[type[DQN], str, tuple[str, ...], tuned.Rows], ...] = (
    (DQN, "dqn", SMALL, tuned.DQN), (DoubleDQN, "dqn", SMALL, tuned.DQN), (DuelingDQN, "dqn", SMALL, tuned.DQN),
    (PrioritizedDQN, "dqn", SMALL, tuned.DQN), (NoisyDQN, "dqn", SMALL, tuned.NOISY),
    (MunchausenDQN, "dqn", SMALL, tuned.DQN), (C51, "c51", SMALL, tuned.C51),
    (Rainbow, "c51", SMALL, tuned.RAINBOW),
    (QRDQN, "qr_dqn", SPREAD, tuned.DQN), (IQN, "iqn", SPREAD, tuned.DQN))


@hookimpl
def lab_agents() -> list[Agent]:
    family = [Agent(config().name, config, f"lab_dqn.build:{build}", tuned=rows, small=small)
              for config, build, small, rows in FAMILY]
    return [*family, Agent("pqn", PQN, "lab_dqn.pqn:build", tuned=tuned.PQN, small=ROLLED),
            Agent("r2d2", R2D2, "lab_dqn.recurrent:build", tuned=tuned.R2D2, small=STORED),
            Agent("discrete_sac", DiscreteSAC, "lab_dqn.sac:build", tuned=tuned.SAC, small=SOFT)]


@hookimpl
def lab_conf() -> Path:
    return Path(__file__).parent / "conf"
