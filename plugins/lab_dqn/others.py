"""The settings of the relatives of DQN: without a replay, with a memory, with a policy. Light, as plugin.py is."""

from dataclasses import dataclass

from lab.errors import UsageError, within

from .configs import Exploring, Replayed


@dataclass
class PQN(Exploring):
    """Gallici et al. 2024, arXiv:2407.04811: no replay, no target network; LayerNorm in the model keeps it stable."""

    name: str = "pqn"
    num_envs: int = 16
    rollout_steps: int = 32       # of each environment between updates
    epochs: int = 2               # passes over each rollout
    batch_size: int = 64          # rows per gradient step; the last minibatch of a pass may have fewer
    decay: float = 0.65           # lambda of Q(lambda)

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.rollout_steps", self.rollout_steps, 1, 1_000_000)
        within("agent.epochs", self.epochs, 1, 10_000)
        within("agent.batch_size", self.batch_size, 1, self.num_envs * self.rollout_steps)
        within("agent.decay", self.decay, 0, 1)


@dataclass
class R2D2(Replayed, Exploring):
    """Kapturowski et al. 2019 (openreview.net/forum?id=r1lyTjAqYX): an LSTM, learned from stored sequences."""

    name: str = "r2d2"
    batch_size: int = 32          # sequences per gradient step
    memory: int = 64              # units of the LSTM; 512 in the paper
    burn_in: int = 10             # steps that only bring the memory up to date; 40 in the paper
    length: int = 20              # steps learned from; 80 in the paper
    n_steps: int = 5
    target_every: int = 250       # gradient steps between copies of the network into the target
    dueling: bool = True          # V + A - mean A (Wang et al. 2016)
    rescale: bool = True          # learn from sign(x) (sqrt(|x| + 1) - 1) + x / 1000 (Pohlen et al. 2018)
    priority: float = 0.9         # exponent of prioritised replay; 0: uniform
    highest: float = 0.9          # share of the greatest error of a sequence in its priority, the rest is their mean
    importance: float = 0.6       # exponent of the weights; 1 after `importance_steps`
    importance_steps: int = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.memory", self.memory, 1, 1_000_000)
        within("agent.burn_in", self.burn_in, 0, 100_000)
        within("agent.length", self.length, 1, 100_000)
        within("agent.target_every", self.target_every, 1, 10**9)
        within("agent.priority", self.priority, 0, 1)
        within("agent.highest", self.highest, 0, 1)
        within("agent.importance", self.importance, 0, 1)
        within("agent.importance_steps", self.importance_steps, 1, 10**12)
        if self.buffer_size < self.num_envs * (self.rows + 1):
            raise UsageError(f"agent.buffer_size is {self.buffer_size}; sequences of {self.rows} steps of "
                             f"{self.num_envs} environments need at least {self.num_envs * (self.rows + 1)}")

    @property
    def rows(self) -> int:
        """Steps of a stored sequence."""
        return self.burn_in + self.length + self.n_steps


@dataclass
class DiscreteSAC(Replayed):
    """Christodoulou 2019, arXiv:1910.07207: soft actor-critic with the mean over actions in place of a sample."""

    name: str = "discrete_sac"
    polyak: float = 0.005         # share of the critics that goes into their targets at each gradient step
    entropy_target: float = 0.5   # share of the greatest entropy, log A, that the temperature is tuned for
    temperature: float = 1.0      # at the start, in units of the return

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.polyak", self.polyak, 1e-9, 1)
        within("agent.entropy_target", self.entropy_target, 0, 1)
        within("agent.temperature", self.temperature, 1e-9, 1e9)
