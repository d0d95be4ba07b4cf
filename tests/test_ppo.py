"""PPO: one update by hand and against Stable-Baselines3's, what is refused, and that it learns."""

import copy
import functools

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

import lab_ppo.ppo
from lab.assembly import assemble
from lab.budget import Budget, Periods
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.errors import UsageError
from lab.runner import Runner
from lab.testing import checks, maker
from lab_ppo.actor_critic import ActorCritic
from lab_ppo.distributions import Categorical, Gaussian
from lab_ppo.plugin import PPO
from lab_ppo.ppo import Proximal

NEVER = 10**9
CONTINUOUS = ("env=gym", "env.id=lab/TinyContinuous-v0")


def learner(distribution=None, rate=0.5, compute="eager", **settings):
    """Logits and values are linear in two features of the state; plain gradient descent."""
    net = ActorCritic(distribution or Categorical(2), [nn.Identity()], 2)
    machine = Compute(ComputeConfig(device="cpu", jit=compute))
    return Proximal(net, torch.optim.SGD(net.parameters(), rate), PPO(**settings), machine)


def batch(t, n, seed=0):
    """A rollout [T, N, ...] of noise in which no episode ends."""
    rng = torch.Generator().manual_seed(seed)
    return {"obs": torch.randn(t, n, 2, generator=rng), "next_obs": torch.randn(t, n, 2, generator=rng),
            "action": torch.randint(2, (t, n), generator=rng), "reward": torch.randn(t, n, generator=rng),
            "terminal": torch.zeros(t, n), "done": torch.zeros(t, n)}


def test_one_update_by_hand():
    """Both actions are as likely, all values 0; two steps end their episodes with the rewards 3 and -1.

    Advantages and returns are the rewards. The ratios are 1: the surrogate is their mean, 1, and its slope in the
    logit of the action taken is A * (1 - 1/2) / 2 rows, in the other's the opposite. The values are wrong by -3 and 1:
    the squared error is 5, and half of it falls with the slopes (0 - 3) / 2 and (0 + 1) / 2.
    """
    ppo = learner(num_envs=2, rollout_steps=1, batch_size=2, epochs=1, normalize_advantage=False, max_grad_norm=100.0)
    for parameter in ppo.net.parameters():
        parameter.data.zero_()
    rows = batch(1, 2)
    rows |= {"obs": torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), "action": torch.tensor([[0, 1]]),
             "reward": torch.tensor([[3.0, -1.0]]), "terminal": torch.ones(1, 2), "done": torch.ones(1, 2)}
    metrics = {name: value.item() for name, value in ppo.update(rows).items()}
    assert metrics["loss/value"] == 5.0 and metrics["loss/policy"] == -1.0
    slopes = {"actor": [[-0.75, -0.5], [0.75, 0.5]], "actor_bias": [-1.0, 1.0], "critic": [[-1.5, 1.0]],
              "critic_bias": [-1.0]}
    found = dict(zip(slopes, ppo.net.parameters(), strict=True))
    for name, slope in slopes.items():
        torch.testing.assert_close(found[name].data, -0.5 * torch.tensor(slope), msg=name)
    assert metrics["grad/norm"] == pytest.approx(np.linalg.norm(np.concatenate([np.ravel(s) for s in slopes.values()])))
    assert metrics["value/explained_variance"] == 0.0 and ppo.steps == 2


def test_after_the_update_it_is_seen_how_far_the_policy_moved():
    """By hand from the weights above: the logits of the rows are -+0.875 and -+1 in favour of the actions taken or not.

    Action 0 at (1, 0): logits 0.375 + 0.5 and the opposite. Action 1 at (0, 2): -0.5 - 0.5 = -1 and 1 for action 0.
    """
    ppo = learner(num_envs=2, rollout_steps=1, batch_size=2, epochs=1, normalize_advantage=False, max_grad_norm=100.0)
    for parameter in ppo.net.parameters():
        parameter.data.zero_()
    rows = batch(1, 2)
    rows |= {"obs": torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), "action": torch.tensor([[0, 1]]),
             "reward": torch.tensor([[3.0, -1.0]]), "terminal": torch.ones(1, 2), "done": torch.ones(1, 2)}
    metrics = ppo.update(rows)
    ratio = 2 / (1 + np.exp([-2 * 0.875, 2 * 1.0]))
    assert metrics["policy/kl"].item() == pytest.approx((ratio - 1 - np.log(ratio)).mean(), rel=1e-5)
    assert metrics["policy/clip_fraction"].item() == 1.0
    p = 1 / (1 + np.exp([1.75, 2.0]))
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert metrics["policy/entropy"].item() == pytest.approx(entropy, rel=1e-5)


def sb3_and_ours(**settings):
    """Stable-Baselines3's PPO after one rollout on CartPole, and ours with its weights and that rollout."""
    baselines = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_util import make_vec_env

    torch.manual_seed(0)
    model = baselines.PPO("MlpPolicy", make_vec_env("CartPole-v1", 4, seed=0), n_steps=64, batch_size=256, n_epochs=3,
                          learning_rate=0.02, seed=0, device="cpu", **settings)
    _, callback = model._setup_learn(10**6)
    for _ in range(2):                   # the second begins in mid-episode
        model.collect_rollouts(model.env, callback, model.rollout_buffer, 64)
    kept, policy, as_tensor = model.rollout_buffer, model.policy, torch.as_tensor
    done = np.concatenate([kept.episode_starts[1:], model._last_episode_starts[None]])
    rows = {"obs": as_tensor(kept.observations), "action": as_tensor(kept.actions[..., 0]).long(),
            "next_obs": as_tensor(np.concatenate([kept.observations[1:], model._last_obs[None]])),
            "reward": as_tensor(kept.rewards), "terminal": as_tensor(done).float(), "done": as_tensor(done).float()}
    bodies = [nn.Sequential(*copy.deepcopy(net)) for net in (policy.mlp_extractor.policy_net,
                                                             policy.mlp_extractor.value_net)]
    net = ActorCritic(Categorical(2), bodies, 64)
    theirs = [policy.mlp_extractor.policy_net, policy.mlp_extractor.value_net, policy.action_net, policy.value_net]
    for ours, their in zip([*net.bodies, net.actor_head, net.critic_head], theirs, strict=True):
        ours.load_state_dict(their.state_dict())
    return model, rows, net, theirs


@pytest.mark.parametrize("theirs, ours", [
    ({}, {}), ({"gamma": 0.9, "gae_lambda": 0.8, "clip_range": 0.05, "ent_coef": 0.1, "vf_coef": 1.0},
               {"discount": 0.9, "gae_lambda": 0.8, "clip": 0.05, "entropy_coef": 0.1, "value_coef": 1.0}),
    ({"normalize_advantage": False, "max_grad_norm": 5.0}, {"normalize_advantage": False, "max_grad_norm": 5.0})])
def test_an_update_is_that_of_stable_baselines3(theirs, ours):
    """Three epochs of one minibatch, on one rollout, from the same weights to the same weights."""
    model, rows, net, parts = sb3_and_ours(**theirs)
    ppo = Proximal(net, torch.optim.Adam(net.parameters(), 0.02, eps=1e-5),
                   PPO(num_envs=4, rollout_steps=64, batch_size=256, epochs=3, **ours),
                   Compute(ComputeConfig(device="cpu")))
    assert rows["terminal"].sum() > 5
    model.train()
    ppo.update(rows)
    for mine, their in zip([*net.bodies, net.actor_head, net.critic_head], parts, strict=True):
        for a, b in zip(mine.parameters(), their.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
    assert not torch.equal(rows["obs"], rows["next_obs"])


def test_minibatches_are_all_rows_once_in_another_order_each_time():
    ppo = learner(num_envs=3, rollout_steps=4, batch_size=6)
    rows = torch.arange(12.0)[:, None], torch.arange(12), torch.arange(12.0)[:, None].expand(12, 4)
    seen = []
    for _ in range(3):
        parts = list(ppo.shuffled(rows))
        assert [len(action) for _, action, _ in parts] == [6, 6]
        for obs, action, columns in parts:
            assert torch.equal(obs[:, 0].long(), action) and torch.equal(columns[:, 3].long(), action)
        seen.append(torch.cat([action for _, action, _ in parts]).tolist())
    assert all(sorted(order) == list(range(12)) for order in seen) and len({tuple(order) for order in seen}) == 3


@pytest.mark.parametrize("steps, clip, coef", [(0, 0.2, 0.1), (500, 0.15, 0.1), (1000, 0.1, 0.1), (10**9, 0.1, 0.1)])
def test_schedules_are_straight_lines_in_environment_steps(steps, clip, coef):
    """From 0.2 to half of it in 1,000 steps; what has no decay stays."""
    ppo = learner(clip=0.2, clip_decay=1000, clip_final=0.5, entropy_coef=0.1)
    ppo.steps = steps
    assert ppo.scheduled(0.2, 0.5, 1000).item() == pytest.approx(clip)
    assert ppo.scheduled(0.1, 0.0, 0).item() == pytest.approx(coef)
    settings, given = ppo.cfg, []
    ppo.learn = lambda obs, action, columns, *rest: given.append(rest) or (torch.zeros(()),) * 3
    ppo.update(batch(settings.rollout_steps, settings.num_envs))
    assert [value.item() for value in given[0]] == pytest.approx([clip, coef])


@pytest.mark.parametrize("target, epochs", [(None, 5), (1e-9, 1), (1e9, 5)])
def test_an_update_ends_early_where_the_policy_has_moved_far_enough(target, epochs):
    ppo, taken = learner(num_envs=2, rollout_steps=4, batch_size=4, epochs=5, target_kl=target), []
    learn = ppo.learn
    ppo.learn = lambda *args: taken.append(1) or learn(*args)
    ppo.update(batch(4, 2))
    assert len(taken) == 2 * epochs


def test_values_that_may_not_move_far_give_another_update():
    """Clipped at next to nothing, a value has no slope once it has moved."""
    free, held = (learner(num_envs=2, rollout_steps=4, batch_size=8, epochs=6, max_grad_norm=100.0, value_clip=clip)
                  for clip in (None, 1e-6))
    held.net.load_state_dict(free.net.state_dict())
    first = {name: value.clone() for name, value in free.net.critic_head.state_dict().items()}
    free.update(batch(4, 2)), held.update(batch(4, 2))
    moved = [(ppo.net.critic_head.weight - first["weight"]).norm() for ppo in (free, held)]
    assert moved[1] < 0.9 * moved[0]


def test_each_copy_explores_for_itself_and_the_greedy_action_is_the_mode():
    ppo = learner(Gaussian((3,), 0.0))
    obs = torch.ones(40, 2)
    actions = ppo.act(obs, 0)
    assert actions.shape == (40, 3) and len(actions.unique(dim=0)) == 40
    assert len(ppo.greedy(obs).unique(dim=0)) == 1
    assert 0 < learner().act(obs, 0).sum() < 40


@pytest.mark.filterwarnings("ignore")
def test_compiled_it_is_the_same(monkeypatch):
    """As graphs, without the C++ compiler. Sums in another order may differ in the last digits."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    eager, compiled = (learner(compute=jit, num_envs=2, rollout_steps=8, batch_size=8, epochs=2, entropy_coef=0.1,
                               value_clip=0.5, clip_decay=100) for jit in ("eager", "compile"))
    compiled.net.load_state_dict(eager.net.state_dict())
    for seed in range(2):
        a, b = eager.update(batch(8, 2, seed)), compiled.update(batch(8, 2, seed))
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-5)
            assert not b[name].requires_grad
    for one, other in zip(eager.net.parameters(), compiled.net.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("overrides, text", [
    (["agent.batch_size=100"], r"agent.batch_size=100 does not divide the 256 rows .*num_envs=8 times "
                               r"agent.rollout_steps=32\); use one that does, such as 32 or 64 or 128"),
    (["agent.batch_size=512"], "does not divide the 256 rows"),
    (["agent.batch_size=1"], "agent.batch_size is 1; expected a number from 2"),
    (["agent.num_envs=1", "agent.rollout_steps=1", "agent.batch_size=2"], "use more of either"),
    (["agent.clip=0"], "agent.clip is 0"), (["agent.gae_lambda=1.5"], "agent.gae_lambda is 1.5"),
    (["agent.epochs=0"], "agent.epochs is 0"), (["agent.target_kl=-1"], "agent.target_kl is -1"),
    (["agent.entropy_final=2"], "agent.entropy_final is 2"), (["agent.clip_decay=-1"], "agent.clip_decay is -1"),
    (["agent.value_clip=0"], "agent.value_clip is 0"), (["agent.log_std=9"], "agent.log_std is 9"),
    (["env=gym", "env.id=lab/Odd-v0"], r"ppo needs a Discrete, .*lab/Odd-v0 has Dict\(.*Wrap"),
    (["agent.num_envs=4096", "agent.rollout_steps=65536"], "=268,435,456 of 60 bytes each take 16.1 GB")])
def test_what_cannot_work_is_refused(overrides, text, monkeypatch):
    monkeypatch.setattr("lab.world.room", lambda device: 10**9)
    monkeypatch.setattr(lab_ppo.ppo.World, "envs", few(lab_ppo.ppo.World.envs))
    with pytest.raises(UsageError, match=text):
        assemble(composed(["+agent=ppo", "env=CartPole", *overrides, "compute.device=cpu"]))


def few(envs):
    """4,096 of them take a while to make."""
    return lambda self, n, *rest: envs(self, min(n, 8), *rest)


class Odd(gym.Env):
    observation_space, action_space = spaces.Box(-1, 1, (2,)), spaces.Dict(a=spaces.Discrete(2))

    def __init__(self, render_mode=None):
        pass

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}


class Signals(gym.Env):
    """Shows three signs and pays for each entry of the action that repeats its sign; ten steps."""

    observation_space = spaces.Box(-1, 1, (3,), np.float32)

    def __init__(self, kind="binary", render_mode=None):
        self.action_space = {"binary": spaces.MultiBinary(3), "multi": spaces.MultiDiscrete([2, 2, 2]),
                             "discrete": spaces.Discrete(2), "box": spaces.Box(-1, 1, (3,), np.float32)}[kind]
        self.kind, self.signs = kind, np.zeros(3, np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.show(), {}

    def show(self):
        self.signs = self.np_random.choice([-1.0, 1.0], 3).astype(np.float32)
        return self.signs

    def step(self, action):
        chosen = np.asarray(action if self.kind == "box" else 2 * np.asarray(action, np.float32) - 1)
        assert chosen.max() <= 1 and chosen.min() >= -1
        reward = float(np.mean(1 - np.abs(self.signs - chosen)))
        return self.show(), reward, False, False, {}


class Picture(gym.Env):
    """A bright half, left or right: pays for saying which; ten steps."""

    observation_space, action_space = spaces.Box(0, 255, (8, 8, 1), np.uint8), spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.side = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.show(), {}

    def show(self):
        self.side, picture = int(self.np_random.integers(2)), np.zeros((8, 8, 1), np.uint8)
        picture[:, 4 * self.side:4 * self.side + 4] = 255
        return picture

    def step(self, action):
        reward = float(action == self.side)
        return self.show(), reward, False, False, {}


gym.register("lab/Odd-v0", Odd)
gym.register("lab/Signals-v0", Signals, max_episode_steps=10)
gym.register("lab/Picture-v0", Picture, max_episode_steps=10)
QUICK = ("agent.num_envs=8", "agent.rollout_steps=32", "agent.batch_size=64", "agent.epochs=5", "agent.discount=0.5",
         "agent.entropy_coef=0", "agent.clip_decay=0", "agent.entropy_decay=0", "optimizer.lr=3e-3",
         "evaluate.episodes=20")


class Nowhere:
    """A record that keeps nothing."""

    def log(self, *args):
        pass

    media = save = log


def trained(made, **budget):
    at = Runner(made.experiment, made.compute, Nowhere(), Periods(NEVER, NEVER, NEVER))
    look, at.evaluators, at.closing = at.evaluators["return"], {}, {}
    at.run(Budget(**budget))
    return at, look()


@pytest.mark.parametrize("kind", ["discrete", "multi", "binary", "box"])
def test_it_learns_with_every_kind_of_action(kind):
    """At random an episode brings 0 or less; 10 is the most, and a single sign for three is worth 5 / 3 * 2."""
    made = maker("ppo", "env=gym", "env.id=lab/Signals-v0", f"+env.options.kind={kind}")("seed=1", *QUICK)
    _, found = trained(made, updates=40)
    assert found["return/mean"] > (3.5 if kind == "discrete" else 8)


def test_it_learns_from_pictures_with_one_body_for_both():
    made = maker("ppo", "env=gym", "env.id=lab/Picture-v0", "model=cnn", "model.channels=[4]", "model.kernels=[4]",
                 "model.strides=[4]", "model.hidden=[16]")("seed=1", *QUICK)
    assert len(made.experiment.learner.net.bodies) == 1
    _, found = trained(made, updates=10)
    assert found["return/mean"] == 10


@pytest.mark.parametrize("seed", range(3))
def test_it_learns_cart_pole(seed):
    """In 30,000 steps of rl-zoo3's 100,000; untrained it falls after some 20."""
    made = assemble(composed(["+agent=ppo", "env=CartPole", f"seed={seed}", "compute.device=cpu"]))
    _, found = trained(made, steps=30_000)
    assert found["return/mean"] > 400


def test_a_cut_off_episode_is_worth_what_it_would_have_gone_on_to():
    """A reward of 1 for ever, cut off every 5 steps: each state is worth 1 / (1 - 0.8) = 5, not 1 to 3.4."""
    class Forever(Odd):
        action_space = spaces.Discrete(2)

        def step(self, action):
            return np.zeros(2, np.float32), 1.0, False, False, {}

    if "lab/Forever-v0" not in gym.registry:
        gym.register("lab/Forever-v0", Forever, max_episode_steps=5)
    made = maker("ppo", "env=gym", "env.id=lab/Forever-v0")(*QUICK, "agent.discount=0.8", "optimizer.lr=1e-2")
    at, _ = trained(made, updates=60)
    assert at.learner.net.critic(torch.zeros(1, 2)).item() == pytest.approx(5, abs=0.2)


def test_continuous_actions_keep_the_promises_and_their_spread_is_saved(tmp_path):
    """On discrete actions all of them are checked, in test_agents.py."""
    make = maker("ppo", *CONTINUOUS)
    checks.resume_is_exact(make, tmp_path)
    checks.overfits_one_batch(make, tmp_path)
    made = make("agent.log_std=-0.5")
    ppo, name = made.experiment.learner, "distribution.log_std"
    assert ppo.state_dict()["net"][name].item() == -0.5
    ppo.update(made.experiment.stream.next())
    assert ppo.state_dict()["net"][name].item() != -0.5
