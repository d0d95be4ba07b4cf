"""What a run of Stable-Baselines3 in the lab adds to it: resume, clear errors, evaluation."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from lab import checkpoint, compute
from lab.assembly import assemble
from lab.budget import Budget
from lab.compose import composed
from lab.errors import Diverged, EnvError, UsageError
from lab.saved_config import changed
from lab.testing import checks, maker, next_batch
from lab.testing.making import runner
from lab_sb3 import build


def assembled(agent, *overrides):
    return assemble(composed([f"+agent=sb3_{agent}", "compute.device=cpu", "evaluate.videos=0", *overrides]))


@pytest.mark.parametrize("agent", ["sac", "qrdqn"])
def test_a_resume_within_the_warmup_is_exact(agent, tmp_path):
    make = maker(f"sb3_{agent}")
    whole, _ = runner(make(), tmp_path / "whole")
    whole.run(Budget(updates=30))
    killed, _ = runner(make(), tmp_path / "killed")
    assert [killed.stream.next() for _ in range(7)] == [None] * 7
    killed.save()
    resumed, _ = runner(make(), tmp_path / "killed")
    resumed.load(checkpoint.newest(tmp_path / "killed", print)[1])
    resumed.run(Budget(updates=30))
    for part in ("learner", "stream"):
        a, b = (getattr(each, part).state_dict() for each in (whole, resumed))
        assert checks.differences(a, b) == []


class Fragile(gym.Env):
    """Does what BROKEN says in its 21st step."""

    observation_space, action_space = gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2)
    metadata = {"render_modes": []}
    steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.random(2, np.float32), {}

    def step(self, action):
        Fragile.steps += 1
        if Fragile.steps == 21 and BROKEN == ["raise"]:
            raise RuntimeError("out of order")
        reward = float("nan") if Fragile.steps == 21 and BROKEN == ["nan"] else 1.0
        return self.np_random.random(2, np.float32), reward, False, False, {}


BROKEN = []


@pytest.fixture
def fragile():
    if "test/Fragile-v0" not in gym.registry:
        gym.register("test/Fragile-v0", Fragile, max_episode_steps=9)
    yield ("env=gym", "env.id=test/Fragile-v0")
    BROKEN.clear()


@pytest.mark.parametrize("agent", ["a2c", "dqn"])
@pytest.mark.parametrize("how, says", [("raise", "out of order"), ("nan", "a reward that is not finite")])
def test_an_environment_that_fails_says_where_and_the_run_can_go_on(agent, how, says, fragile, tmp_path):
    make = maker(f"sb3_{agent}", *fragile, "+agent.policy_kwargs.net_arch=[8]", "agent.num_envs=2")
    at, _ = runner(make(), tmp_path)
    Fragile.steps, BROKEN[:] = 0, [how]
    with pytest.raises(EnvError, match=f"copy 0 of 2.*{says}"):
        at.run(Budget(updates=99))
    BROKEN.clear()
    resumed, _ = runner(make(), tmp_path)
    resumed.load(checkpoint.newest(tmp_path, print)[1])
    assert resumed.stream.envs.lost == [0, 1] and resumed.stream.count == at.stream.count == 20
    resumed.run(Budget(updates=9))
    assert resumed.updates == 9


def test_the_last_row_of_a_lost_episode_ends_it():
    stream = maker("sb3_dqn", "agent.n_steps=3", "agent.num_envs=2", "agent.buffer_size=96")().experiment.stream
    for _ in range(4):
        stream.next()
    stream.rows.end(1)
    assert stream.rows.buffer.timeouts[3, 1] and stream.rows.buffer.dones[3, 1] and not stream.rows.buffer.dones[2, 1]


def test_a_buffer_of_another_size_cannot_go_on():
    full, part = (maker("sb3_dqn", f"agent.buffer_size={n}")().experiment.stream for n in (16, 64))
    for _ in range(12):
        full.next()
    for size in (8, 64):
        other = maker("sb3_dqn", f"agent.buffer_size={size}")().experiment.stream
        with pytest.raises(ValueError, match="rows, with which a buffer of"):
            other.load_state_dict(full.state_dict())
    for _ in range(12):
        part.next()
    larger = maker("sb3_dqn", "agent.buffer_size=96")().experiment.stream
    larger.load_state_dict(part.state_dict())
    assert larger.rows.buffer.size() == part.rows.buffer.size() == larger.rows.pos and not larger.rows.buffer.full


@pytest.mark.parametrize("agent", ["ppo", "sac"])
def test_a_weight_that_is_no_number_ends_the_run(agent):
    experiment = maker(f"sb3_{agent}")().experiment
    batch = next_batch(experiment.stream)
    experiment.learner.update(batch)
    next(experiment.learner.model.policy.parameters()).data.fill_(float("nan"))
    with pytest.raises(Diverged, match="a weight was not finite after update"):
        experiment.learner.update(batch)


def test_another_mistake_of_a_value_is_not_called_divergence(monkeypatch):
    experiment = maker("sb3_ppo")().experiment
    batch = next_batch(experiment.stream)
    monkeypatch.setattr(experiment.learner.model, "train", lambda: int("x"))
    with pytest.raises(ValueError, match="invalid literal"):
        experiment.learner.update(batch)


@pytest.mark.parametrize("agent, action", [("ppo", 2.0), ("sac", 2.0)])
def test_actions_are_those_that_the_environment_takes(agent, action):
    learner = assembled(agent, "env=Pendulum", "budget.steps=500").experiment.learner
    head = learner.model.policy.action_net if agent == "ppo" else learner.model.actor.mu
    head.bias.data.fill_(100.0)
    chosen = learner.greedy(torch.zeros(5, 3))
    assert chosen.shape == (5, 1) and (chosen == action).all()


def test_explained_variance_of_equal_returns_is_0(monkeypatch):
    learner = maker("sb3_a2c")().experiment.learner
    learner.model.logger.record("train/explained_variance", float("nan"))
    learner.model.logger.record("train/value_loss", 1.0)
    assert learner.metrics() == {"loss/value": 1.0, "train/explained_variance": 0.0}


def test_a_larger_budget_holds_the_last_value_of_a_schedule():
    cfg = composed(["+agent=sb3_dqn", "budget.steps=500"])
    longer = changed(cfg, ["budget.steps=900"])
    assert (longer.budget.steps, longer.agent.total_timesteps) == (900, 500)
    model = assembled("ppo", "agent.learning_rate=lin_0.01", "budget.steps=500").experiment.learner.model
    assert model.lr_schedule(0.5) == 0.005 and model.lr_schedule(-0.8) == 0
    assert assembled("dqn", "budget.updates=9").experiment.stream.model._total_timesteps == 100_000


class Whole(Fragile):
    """Takes a Box of whole numbers."""

    action_space = gym.spaces.Box(0, 9, (2,), np.int32)


class Old(Fragile):
    """Its steps are those of Gym 0.25."""

    def step(self, action):
        return super().step(action)[:4]


gym.register("test/Whole-v0", Whole)
gym.register("test/Old-v0", Old)
REFUSED = {
    ("dqn", "env=Pendulum"): "sb3_dqn needs a Discrete action space; Pendulum-v1 has Box",
    ("sac", "env=CartPole"): "sb3_sac needs a Box action space; CartPole-v1 has Discrete",
    ("ppo", "env=gym", "env.id=lab/TinyDiscrete-v0"): "counts from 0",
    ("ppo", "env=gym", "env.id=test/Whole-v0"): "test/Whole-v0 has actions Box(0, 9, (2,), int32), whole numbers",
    ("sac", "env=gym", "env.id=test/Whole-v0"): "would hand it fractions",
    ("a2c", "env=gym", "env.id=test/Old-v0"): "values to unpack (expected 5, got 4): it fails at its first step",
    ("dqn", "env=gym", "env.id=test/Old-v0"): "it fails at its first step",
    ("dqn", "agent.n_steps=500", "agent.buffer_size=499"): "agent.n_steps=500 need at least 500",
    ("sac", "agent.n_steps=6", "agent.num_envs=2", "agent.buffer_size=11"): "2 environments with agent.n_steps=6 need",
    ("ppo", "agent.nsteps=3"): "Did you mean 'n_steps'",
    ("ppo", "agent.learning_rate=fast"): "agent.learning_rate is fast; expected a number",
    ("ppo", "agent.clip_range_vf=x"): "agent.clip_range_vf is x", ("ppo", "agent.gamma=2"): "agent.gamma is 2",
    ("ppo", "agent.batch_size=1"): "must be greater than 1", ("ppo", "agent.use_sde=true"): "continuous actions",
    ("ppo", "agent.policy=CnnPolicy"): "only with images", ("ppo", "agent.policy=Mlp"): "Known: CnnPolicy, MlpPolicy",
    ("ppo", "+agent.policy_kwargs.depth=3"): "unexpected keyword argument 'depth'",
    ("ppo", "+agent.policy_kwargs.activation_fn=relo"): "Did you mean 'relu'",
    ("sac", "agent.ent_coef=much"): "expected a number from 0 to 1,000,000, auto_NUMBER or auto",
    ("sac", "agent.target_entropy=much"): "could not convert", ("sac", "agent.noise_type=pink"): "Known: none, normal",
    ("dqn", "agent.train_freq=[2,epoch]"): "a number of steps, or [N, episode]",
    ("dqn", "agent.train_freq=[2,episode]", "agent.num_envs=2"): "needs agent.num_envs=1; came 2",
    ("dqn", "agent.gradient_steps=0"): "expected 1 or more, or -1", ("dqn", "agent.total_timesteps=0"): "from 1 to",
    ("dqn", "agent.buffer_size=9000000000"): "are free on cpu", ("ppo", "optimizer=sgd"): "has its own optimizer",
    ("ppo", "model=mlp"): "makes its own network", ("ppo", "compute.precision=bf16"): "computes in float32",
    ("ppo", "compute.jit=compile"): "use eager", ("ppo", "seed=5000000000"): "takes seeds below"}


@pytest.mark.parametrize("case", REFUSED, ids=" ".join)
def test_a_mistake_is_told_before_anything_is_made(case, monkeypatch):
    monkeypatch.setattr(compute, "has_bf16", lambda device: True)         # on every machine
    with pytest.raises(UsageError) as error:
        assembled(*case)
    assert REFUSED[case] in str(error.value) and "\n" not in str(error.value)


def test_what_is_not_installed_is_told_with_the_extra(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(build, "import_module", missing)
    for agent, package in (("ppo", "stable_baselines3"), ("tqc", "sb3_contrib")):
        with pytest.raises(UsageError, match=rf'needs the package {package}.*pip install "pluglab\[sb3\]"'):
            assembled(agent)


def test_its_warnings_are_said_at_the_start():
    notes = assembled("ppo", "agent.num_envs=3", "agent.n_steps=30").experiment.stream.notes()
    assert "PPO, MlpPolicy, 3 environments" in notes[0] and "mini-batch size of 64" in notes[1] and "exact" in notes[-1]


def test_declaring_the_agents_imports_nothing_heavy(process):
    code = "import sys, lab_sb3.plugin as p; p.lab_agents(); print({'torch', 'stable_baselines3'} & set(sys.modules))"
    assert process("-c", code).stdout.strip() == "set()"


def test_an_environment_gets_what_dummy_vec_env_would_hand_it():
    """Numpy's integers, whose arithmetic is not Python's; and numbers near 0 stay what they are."""
    experiment = maker("sb3_a2c")().experiment
    seen = []
    for env in experiment.stream.envs.envs:
        env.env.step = lambda action, step=env.env.step: (seen.append(type(action)), step(action))[1]
    torch.set_flush_denormal(True)
    experiment.stream.next()
    assert set(seen) == {np.int64} and float(torch.tensor([1e-40]) * 1) > 0
