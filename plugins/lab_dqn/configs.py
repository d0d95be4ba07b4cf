"""The settings of the family, each with its meaning, unit and source. Light, as plugin.py is."""

from dataclasses import dataclass

from lab.errors import UsageError, within


@dataclass
class Learning:
    """What all of them have. Steps are environment steps unless it says otherwise."""

    name: str = ""
    num_envs: int = 1
    discount: float = 0.99        # gamma, per step
    max_grad_norm: float = 10.0

    def __post_init__(self) -> None:
        within("agent.num_envs", self.num_envs, 1, 4096)
        within("agent.discount", self.discount, 0, 1)
        within("agent.max_grad_norm", self.max_grad_norm, 1e-9, 1e12)


@dataclass
class Exploring(Learning):
    """Epsilon-greedy, epsilon falling in a straight line."""

    epsilon_start: float = 1.0    # chance of a random action, or that one begins to be held
    epsilon_end: float = 0.05
    epsilon_steps: int = 10_000   # over which it falls
    epsilon_zeta: float = 0.0     # hold a random action n steps with chance n ** -zeta, 2 in Dabney et al. 2021; 0: one

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.epsilon_start", self.epsilon_start, 0, 1)
        within("agent.epsilon_end", self.epsilon_end, 0, 1)
        within("agent.epsilon_steps", self.epsilon_steps, 1, 10**12)
        if self.epsilon_zeta:
            within("agent.epsilon_zeta", self.epsilon_zeta, 1.1, 10)


@dataclass
class Replayed(Learning):
    """From a buffer of transitions, towards a target network."""

    n_steps: int = 1              # steps of reward before the bootstrapped value
    buffer_size: int = 100_000    # transitions; 1e6 in Mnih et al. 2015
    batch_size: int = 64          # transitions per gradient step
    warmup: int = 1_000           # steps before the first update; of more than the buffer holds the newest are kept
    train_every: int = 4          # steps of each environment between updates
    gradient_steps: int = 1       # minibatches per update

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.n_steps", self.n_steps, 1, 1000)
        within("agent.batch_size", self.batch_size, 1, 1_000_000)
        within("agent.buffer_size", self.buffer_size, 1, 10**9)
        if self.buffer_size < (least := max(self.batch_size, self.num_envs * (self.n_steps + 1))):
            raise UsageError(f"agent.buffer_size is {self.buffer_size:,}; expected at least {least:,}: "
                             "agent.batch_size, or agent.num_envs * (agent.n_steps + 1), whichever is more")
        within("agent.warmup", self.warmup, 1, 10**12)
        within("agent.train_every", self.train_every, 1, 1_000_000)
        within("agent.gradient_steps", self.gradient_steps, 1, 100_000)


@dataclass
class DQN(Replayed, Exploring):
    """Mnih et al. 2015, doi:10.1038/nature14236."""

    name: str = "dqn"
    target_every: int = 250       # gradient steps between copies of the network into the target
    huber_delta: float = 1.0      # error up to which the loss is quadratic, in units of the return
    double: bool = False          # the network chooses, its target judges (van Hasselt et al. 2016)
    dueling: bool = False         # V + A - mean A (Wang et al. 2016)
    dueling_hidden: int = 0       # units of a hidden layer of each of its two streams; 0: none
    noisy: bool = False           # noise on the weights explores, epsilon should be 0 (Fortunato et al. 2018)
    sigma: float = 0.5            # of that noise at the start, times 1 / sqrt(inputs of the layer)
    munchausen: float = 0.0       # share of the log-policy in the reward, 0.9 in Vieillard et al. 2020; 0: none
    temperature: float = 0.03     # of that policy, in units of the return
    priority: float = 0.0         # exponent of prioritised replay, 0.6 in Schaul et al. 2016; 0: uniform
    importance: float = 0.4       # exponent of its weights at the start; 1 after `importance_steps`
    importance_steps: int = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.target_every", self.target_every, 1, 10**9)
        within("agent.huber_delta", self.huber_delta, 1e-9, 1e12)
        within("agent.dueling_hidden", self.dueling_hidden, 0, 1_000_000)
        within("agent.sigma", self.sigma, 0, 100)
        within("agent.munchausen", self.munchausen, 0, 1)
        within("agent.temperature", self.temperature, 1e-9, 1e9)
        within("agent.priority", self.priority, 0, 1)
        within("agent.importance", self.importance, 0, 1)
        within("agent.importance_steps", self.importance_steps, 1, 10**12)
        if self.double and self.munchausen:
            raise UsageError("agent.double=true and agent.munchausen above 0 exclude each other: Munchausen takes the "
                             "mean over a policy, where there is no best action to be chosen. Set one of them to 0")


@dataclass
class DoubleDQN(DQN):
    """van Hasselt et al. 2016, arXiv:1509.06461."""

    name: str = "double_dqn"
    double: bool = True


@dataclass
class DuelingDQN(DQN):
    """Wang et al. 2016, arXiv:1511.06581, with the double targets used there."""

    name: str = "dueling_dqn"
    double: bool = True
    dueling: bool = True


@dataclass
class PrioritizedDQN(DQN):
    """Schaul et al. 2016, arXiv:1511.05952, proportional, with the double targets used there."""

    name: str = "prioritized_dqn"
    double: bool = True
    priority: float = 0.6


@dataclass
class NoisyDQN(DQN):
    """Fortunato et al. 2018, arXiv:1706.10295."""

    name: str = "noisy_dqn"
    noisy: bool = True
    epsilon_start: float = 0.0
    epsilon_end: float = 0.0


@dataclass
class MunchausenDQN(DQN):
    """Vieillard et al. 2020, arXiv:2007.14430."""

    name: str = "munchausen_dqn"
    munchausen: float = 0.9


@dataclass
class C51(DQN):
    """Bellemare et al. 2017, arXiv:1707.06887."""

    name: str = "c51"
    atoms: int = 51
    v_min: float = -10.0          # the least return that can be represented, as it is with the discount
    v_max: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.atoms", self.atoms, 2, 10_000)
        within("agent.v_min", self.v_min, -1e9, 1e9)
        within("agent.v_max", self.v_max, -1e9, 1e9)
        if not self.v_min < self.v_max:
            raise UsageError(f"agent.v_min is {self.v_min} and agent.v_max {self.v_max}; expected v_min below v_max: "
                             "the least and the greatest discounted return of the environment")
        if self.v_max - self.v_min < (self.atoms - 1) * 2e-6 * max(abs(self.v_min), abs(self.v_max)):
            raise UsageError(f"agent.v_min is {self.v_min} and agent.v_max {self.v_max}; {self.atoms} returns between "
                             "them are too near to each other for numbers of 32 bits. Move them apart")


@dataclass
class Rainbow(C51):
    """Hessel et al. 2018, arXiv:1710.02298: C51, double, dueling, noisy, prioritised and n steps together."""

    name: str = "rainbow"
    n_steps: int = 3
    double: bool = True
    dueling: bool = True
    noisy: bool = True
    priority: float = 0.5
    epsilon_start: float = 0.0
    epsilon_end: float = 0.0


@dataclass
class QRDQN(DQN):
    """Dabney et al. 2018a, arXiv:1710.10044."""

    name: str = "qr_dqn"
    quantiles: int = 50           # 200 in the paper

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.quantiles", self.quantiles, 2, 10_000)


@dataclass
class IQN(DQN):
    """Dabney et al. 2018b, arXiv:1806.06923."""

    name: str = "iqn"
    samples: int = 32             # of the return in each row; 64 in the paper

    def __post_init__(self) -> None:
        super().__post_init__()
        within("agent.samples", self.samples, 2, 10_000)
