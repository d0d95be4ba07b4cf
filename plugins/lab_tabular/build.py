"""Puts an agent together: which learner, which states, which environments."""

from gymnasium.spaces import Discrete

from lab.contract import Experiment
from lab.envs import name_of
from lab.errors import UsageError
from lab.streams import Steps
from lab.world import World

from .exact import ExactValue
from .learners import DoubleQLearning, ExpectedSarsa, QLearning, Sarsa
from .plugin import Tabular
from .states import states
from .table import known
from .table_envs import TableEnvs, TableSteps

LEARNERS: dict[str, type[QLearning]] = {
    "q_learning": QLearning, "sarsa": Sarsa, "expected_sarsa": ExpectedSarsa, "double_q_learning": DoubleQLearning}


class PythonSteps(Steps):
    """Transitions made by Gymnasium."""

    def notes(self) -> list[str]:
        return [f"ordinary path: {len(self.envs)} copies of {self.envs.id}, stepped in Python", *super().notes()]


def build(cfg: Tabular, world: World) -> Experiment:
    """Raises UsageError for spaces that no table can hold."""
    env, compute = world.make_env(), world.compute
    if not isinstance(env.action_space, Discrete):
        raise UsageError(f"{cfg.name} needs a Discrete action space; {name_of(env)} has {env.action_space}. "
                         "Choose an environment with discrete actions, such as env=FrozenLake")
    seen = states(env.observation_space, cfg.name, cfg.bins, (cfg.low, cfg.high), compute.device)
    n_actions, table = int(env.action_space.n), known(env)
    learner = LEARNERS[cfg.name](seen, n_actions, cfg, compute)
    exact = {} if table is None else {
        "value": ExactValue(table, learner.greedy, world.cfg.evaluate.max_steps, compute.device)}
    if table is not None and cfg.fast_path == "auto":
        return Experiment(learner, TableSteps(TableEnvs(env, table, cfg.num_envs, compute), learner.act), exact,
                          policy=learner.greedy)
    env.close()
    return Experiment(learner, PythonSteps(world.envs(cfg.num_envs), learner.act), exact, policy=learner.greedy)
