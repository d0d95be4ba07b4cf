"""Models of Stable-Baselines3 as .zip files: read without running anything, written so that it reads them."""

import base64
import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from contextlib import suppress
from dataclasses import fields

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise, VectorizedActionNoise
from test_sb3 import CART, KINDS, PENDULUM

from lab import checkpoint
from lab.assembly import assemble
from lab.commands.runs import trained
from lab.compose import composed
from lab.errors import UsageError
from lab.host import host
from lab_sb3.__main__ import main
from lab_sb3.limits import network
from lab_sb3.zip_values import found, policy_kwargs
from lab_sb3.zips import agent_of, fill, read_data

NETWORK = {"net_arch": [8], "activation_fn": torch.nn.ELU}
QUICK = ("evaluate.episodes=1", "evaluate.videos=0", "compute.device=cpu")


def env_of(agent):
    return CART if agent in ("ppo", "a2c", "trpo", "dqn", "qrdqn") else PENDULUM


def model(agent, env=None, **values):
    return KINDS[agent]("MlpPolicy", env or env_of(agent), seed=5, device="cpu", policy_kwargs=dict(NETWORK), **values)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """command(ARGS) -> (exit code, standard error), in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        capsys.readouterr()
        return main(list(map(str, args))), capsys.readouterr().err

    return run


def observations(agent):
    return np.random.default_rng(0).normal(size=(50, 4 if env_of(agent) == CART else 3)).astype(np.float32)


def run_folder(tmp_path):
    (found,) = tmp_path.glob("runs/*/*/*")
    return found


@pytest.mark.parametrize("agent", KINDS)
def test_a_zip_becomes_a_run_and_a_run_a_zip(agent, command, tmp_path):
    theirs = model(agent, gamma=0.9, learning_rate=0.002)
    theirs.save("theirs.zip")
    code, said = command("import", "theirs.zip", "env=gym", f"env.id={env_of(agent)}", *QUICK)
    run = run_folder(tmp_path)
    assert code == 0 and "eval/return/mean" in said
    assert ("agent.train_freq=1" in said) is (agent in ("td3", "sac", "tqc", "crossq")), said
    cfg, made, _, count = trained(run, 1, [])
    wanted, _ = theirs.predict(observations(agent), deterministic=True)
    chosen = made.experiment.policy(torch.from_numpy(observations(agent)))
    assert np.array_equal(chosen.numpy(), wanted) and count == 0
    assert (cfg.agent.name, cfg.agent.gamma, cfg.agent.learning_rate) == (f"sb3_{agent}", 0.9, 0.002)
    assert command("export", run, "ours.zip")[0] == 0
    ours = KINDS[agent].load("ours.zip", device="cpu")
    assert np.array_equal(ours.predict(observations(agent), deterministic=True)[0], wanted)


SGD = {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": 0.5}}
ADAMW = {"optimizer_class": torch.optim.AdamW, "optimizer_kwargs": {"betas": (0.8, 0.9)}}
SLOW = {"optimizer_class": torch.optim.RMSprop, "optimizer_kwargs": {"alpha": 0.5}}
FOREIGN = {"optimizer_class": torch.optim.Adagrad, "optimizer_kwargs": {"lr_decay": 0.1}}
TENSOR = {"optimizer_kwargs": {"eps": torch.tensor(1e-5)}}
NORMAL, WALK = NormalActionNoise(np.zeros(1), 0.3 * np.ones(1)), OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1))
SHIFTED, BRISK = NormalActionNoise(np.ones(1), np.ones(1)), OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1), 0.5)


@pytest.mark.parametrize("agent, theirs, ours, kwargs, unread", [
    ("ppo", SGD, {}, {"optimizer_class": "sgd", "optimizer_kwargs": {"momentum": 0.5}}, []),
    ("sac", ADAMW, {}, {"optimizer_class": "adamw", "optimizer_kwargs": {"betas": [0.8, 0.9]}}, []),
    ("ppo", {"optimizer_kwargs": {"eps": 0.1}}, {}, {"optimizer_kwargs": {"eps": 0.1}}, []),
    ("ppo", FOREIGN, {}, {}, ["policy_kwargs.optimizer_class"]),
    ("ppo", TENSOR, {}, {}, ["policy_kwargs.optimizer_kwargs"]),
    ("a2c", {"use_rms_prop": False}, {"use_rms_prop": False}, {}, []),
    ("a2c", {"rms_prop_eps": 0.5}, {"use_rms_prop": True, "rms_prop_eps": 0.5}, {}, []),
    ("a2c", SLOW, {}, {"optimizer_class": "rmsprop", "optimizer_kwargs": {"alpha": 0.5}}, []),
    ("a2c", SGD, {}, {"optimizer_class": "sgd", "optimizer_kwargs": {"momentum": 0.5}}, []),
    ("td3", {"action_noise": NORMAL}, {"noise_type": "normal", "noise_std": 0.3}, {}, []),
    ("td3", {"action_noise": VectorizedActionNoise(NORMAL, 2)}, {"noise_type": "normal", "noise_std": 0.3}, {}, []),
    ("sac", {"action_noise": WALK}, {"noise_type": "ornstein-uhlenbeck", "noise_std": 1.0}, {}, []),
    ("td3", {"action_noise": SHIFTED}, {"noise_type": "none"}, {}, ["action_noise"]),
    ("td3", {"action_noise": BRISK}, {"noise_type": "none"}, {}, ["action_noise"]),
    ("td3", {"action_noise": VectorizedActionNoise(WALK, 2)}, {"noise_type": "none"}, {}, ["action_noise"]),
    ("td3", {}, {"noise_type": "none"}, {}, [])])
def test_the_optimizer_and_the_noise_are_taken_over_or_named(agent, theirs, ours, kwargs, unread, tmp_path):
    path, kind = tmp_path / "theirs.zip", KINDS[agent]
    given = {"policy_kwargs": dict(theirs)} if any(name.startswith("optimizer") for name in theirs) else theirs
    made = kind("MlpPolicy", env_of(agent), device="cpu", **given)
    made.save(path)
    names = {each.name for each in fields(host().entry("agent", f"sb3_{agent}").config)}
    seen = found(path, f"sb3_{agent}", read_data(path), names)
    assert (seen.policy_kwargs, seen.unread) == (kwargs, ["train_freq"] * (agent in ("td3", "sac")) + unread)
    values = {name: "null" if value is None else value for name, value in seen.values.items()}
    cfg = composed([f"+agent=sb3_{agent}", *(f"agent.{name}={value}" for name, value in values.items()), *QUICK])
    cfg.agent.policy_kwargs = seen.policy_kwargs
    assert ours.items() <= vars(cfg.agent).items()
    if not unread:
        cfg.env = composed(["+agent=ppo", "env=gym", f"env.id={env_of(agent)}"]).env
        model = assemble(cfg).experiment.learner.model
        policy, other = (getattr(each.policy, "actor", each.policy) for each in (model, made))
        assert type(policy.optimizer) is type(other.optimizer) and policy.optimizer.defaults == other.optimizer.defaults


def test_what_the_command_line_says_of_them_holds(command, tmp_path):
    sb3.PPO("MlpPolicy", CART, device="cpu", policy_kwargs=dict(SGD)).save("sgd.zip")
    sb3.TD3("MlpPolicy", PENDULUM, device="cpu", action_noise=NORMAL).save("noise.zip")
    for args, name, value in (
            (("sgd.zip", "env=CartPole", "+agent.policy_kwargs.optimizer_class=adam"), "policy_kwargs",
             {"optimizer_class": "adam"}),
            (("noise.zip", "env=Pendulum", "agent.noise_std=0.2"), "noise_type", "normal"),
            (("noise.zip", "env=Pendulum", "agent.noise_type=none"), "noise_type", "none")):
        assert command("import", *args, *QUICK)[0] == 0
        run = run_folder(tmp_path)
        assert getattr(trained(run, 1, [])[0].agent, name) == value
        shutil.rmtree(tmp_path / "runs")


def test_an_imported_run_goes_on_and_its_zip_knows_how_far(command, lab, tmp_path):
    model("dqn", learning_starts=10, exploration_fraction=0.5).save("theirs.zip")
    assert command("import", "theirs.zip", "env=CartPole", "budget.steps=100", *QUICK)[0] == 0
    run = run_folder(tmp_path)
    assert lab(f"resume={run}")[0] == 0
    recorded = json.loads((run / "run.json").read_text())["versions"]
    assert (recorded["stable-baselines3"], "ale-py" in recorded) == (sb3.__version__, False)
    assert command("export", run, "ours.zip")[0] == 0
    ours = sb3.DQN.load("ours.zip", device="cpu", env=gym.make(CART))
    assert ours.num_timesteps == 100 and ours.exploration_rate == 0.05
    assert ours.learn(20, reset_num_timesteps=False).num_timesteps == 120


class Evil:
    """Unpickled, it leaves a mark."""

    def __reduce__(self):
        return os.system, ("touch MARK",)


EVIL = pickle.dumps(Evil())
RAN = []
sys.addaudithook(lambda event, args: RAN.append(event) if event in ("os.system", "pickle.find_class") and ON else None)
ON = []


@pytest.fixture
def auditing():
    """RAN lists what is looked up by name, and what runs."""
    RAN.clear(), ON.append(1)
    yield
    ON.clear()


@pytest.fixture
def audited(tmp_path, auditing):
    """Nothing of the kind happens."""
    yield
    assert not RAN and not (tmp_path / "MARK").exists()


def torch_zip(body):
    """A file in torch's own format whose description is `body`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("archive/data.pkl", body)
        file.writestr("archive/version", "3")
        file.writestr("archive/byteorder", "little")
    return out.getvalue()


def rewritten(source, target, **parts):
    """A copy with other content; None leaves a part out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        names = {name.replace(".pth", "").replace(".", "_"): name for name in old.namelist()}
        for key, name in names.items():
            body = parts.pop(key, old.read(name))
            if body is not None:
                new.writestr(name, body)
    assert not parts


def with_data(source, target, **values):
    data = {**json.loads(zipfile.ZipFile(source).read("data")), **values}
    rewritten(source, target, data=json.dumps({key: value for key, value in data.items() if value is not None}))


def test_what_is_pickled_in_it_is_ignored(command, tmp_path, auditing):
    model("ppo").save("good.zip")
    evil = {":type:": "<class 'dict'>", ":serialized:": base64.b64encode(EVIL).decode()}
    data = json.loads(zipfile.ZipFile("good.zip").read("data"))
    kwargs = {**data["policy_kwargs"], ":serialized:": evil[":serialized:"]}
    with_data("good.zip", "half.zip", _last_obs=evil, policy_class=evil, lr_schedule=evil, clip_range=evil, env=evil,
              observation_space=evil, policy_kwargs=kwargs)
    rewritten("half.zip", "evil.zip", pytorch_variables=EVIL, policy_optimizer=torch_zip(EVIL))
    assert command("import", "evil.zip", "env=CartPole", *QUICK)[0] == 0
    assert not RAN and not (tmp_path / "MARK").exists()
    with suppress(Exception):
        sb3.PPO.load("evil.zip")
    assert "os.system" in RAN and (tmp_path / "MARK").exists(), "the attack is none"


BAD = {
    "a pickle for weights": {"policy": EVIL}, "a pickle in torch's format": {"policy": torch_zip(EVIL)},
    "no weights": {"policy": None}, "no data": {"data": None}, "half of the weights": {"policy": b"PK\3\4" + bytes(99)},
    "data that is no JSON": {"data": b"\x80\x04"}, "nested data": {"data": b"[" * 100_000}, "a list": {"data": b"[]"},
    "large weights": {"policy": bytes(3_000_000)}, "a model of nothing": {"data": b"{}"}}


@pytest.mark.parametrize("name", BAD)
def test_a_damaged_or_hostile_zip_is_refused(name, command, tmp_path, audited):
    model("ppo").save("good.zip")
    rewritten("good.zip", "bad.zip", **BAD[name])
    code, said = command("import", "bad.zip", "env=CartPole", *QUICK)
    assert code == 2 and said.startswith("lab: bad.zip") and len(said) < 500 and not (tmp_path / "runs").exists()


def saved(values):
    out = io.BytesIO()
    torch.save(values, out)
    return out.getvalue()


def test_weights_that_do_not_fit_are_refused(command, tmp_path):
    model("ppo").save("ppo.zip")
    policy = model("ppo").policy
    weights = policy.state_dict()
    first = next(iter(weights))
    for values, says in (({**weights, first: weights[first] * float("nan")}, "is not finite"),
                         ({"a": 1}, "something else than weights"), ([1], "something else than weights"),
                         ({**weights, "more": torch.ones(1)}, "more is in one of the two alone"),
                         ({**weights, first: torch.ones(2)}, "has the shape [2], here [8, 4]")):
        rewritten("ppo.zip", "other.zip", policy=saved(values))
        with pytest.raises(UsageError) as error:
            fill(policy, "other.zip", read_data("other.zip"))
        assert says in str(error.value)


@pytest.mark.parametrize("args, says", [
    (("import", "none.zip", "env=CartPole"), "No such file"), (("import", "ppo.zip"), "add env=NAME"),
    (("import", "ppo.zip", "env=LunarLander"), "observation_space has shape [4], this one [8]"),
    (("import", "sac.zip", "env=CartPole"), "needs a Box action space"),
    (("import", "sac.zip", "env=gym", "env.id=lab/TinyContinuous-v0"), "does not fit: its observation_space"),
    (("import", "ppo.zip", "env=CartPole", "+agent.policy_kwargs.net_arch=[4]"), "of another environment or network"),
    (("import", "ppo.zip", "env=CartPole", "agent.gama=1"), "Did you mean 'gamma'"),
    (("export", "nowhere", "new.zip"), "is not a run folder"), (("export", "nowhere", "ppo.zip"), "a new file"),
    (("export", "nowhere", "new.tar"), "ends in .zip"), ((), "expected one of these"), (("import",), "expected one")])
def test_a_mistake_is_told_in_a_paragraph(args, says, command):
    for agent in ("ppo", "sac"):
        model(agent).save(f"{agent}.zip")
    code, said = command(*args)
    assert code in (2, 4) and says in said and said.count("\n") == 1


def test_bounds_of_actions_and_the_code_of_a_policy_matter(command):
    sac = model("sac")
    sac.save("sac.zip")
    data = read_data("sac.zip")
    wider = {**data, "action_space": {**data["action_space"], "high": "[4.]"}}
    masked = {**data, "policy_class": {**data["policy_class"], "__module__": "my.policies"}}
    for other, says in ((wider, r"its action_space has high \[4.\], this one \[2.\]"), (masked, "my.policies")):
        with pytest.raises(UsageError, match=says):
            fill(sac.policy, "sac.zip", other)
    for kwargs in ({"features_extractor_class": "<class 'my.Extractor'>"}, {"activation_fn": "<class 'my.Act'>"}):
        with pytest.raises(UsageError, match="which the lab cannot make"):
            policy_kwargs("sac.zip", {"policy_kwargs": kwargs})
    with pytest.raises(UsageError, match="of no algorithm that the lab has"):
        agent_of("x.zip", {"n_delta": 8})


def test_a_run_of_another_agent_is_not_exported(command, lab, tmp_path):
    assert lab("+agent=dqn", "budget.updates=1", "agent.warmup=10", "agent.batch_size=4", *QUICK)[0] == 0
    run = run_folder(tmp_path)
    code, said = command("export", run, "new.zip")
    assert code == 2 and "is of the agent dqn" in said and checkpoint.found(run / "checkpoints")


@pytest.mark.parametrize("kwargs", [[1, 2], "abc", 7])
def test_kwargs_that_are_no_mapping_are_damage(kwargs):
    with pytest.raises(UsageError, match=r"damaged: its policy_kwargs are .* no mapping"):
        policy_kwargs("ppo.zip", {"policy_kwargs": kwargs})


@pytest.mark.parametrize("agent, kwargs, says", [
    ("ppo", {"net_arch": "abc"}, "net_arch is 'abc'; expected a list"), ("ppo", {"net_arch": [0]}, "net_arch is [0]"),
    ("ppo", {"net_arch": [8, -3]}, "widths from 1 to"), ("ppo", {"net_arch": [1.5]}, "net_arch is [1.5]"),
    ("ppo", {"features_extractor_kwargs": {"features_dim": 10**9}}, "features_dim is 1000000000"),
    ("sac", {"net_arch": [True]}, "net_arch is [True]"),
    ("sac", {"net_arch": {"pi": [8], "qf": 8}}, "net_arch.qf is 8"),
    ("ppo", {"net_arch": [3_000_000]}, "net_arch is [3000000]"), ("ppo", {"net_arch": [8] * 101}, "at most 100 widths"),
    ("ppo", {"net_arch": [100_000] * 2}, "a network of 10,000,100,000 weights; at most 100,000,000"),
    ("sac", {"n_critics": 10**9}, "n_critics is 1000000000"), ("sac", {"n_critics": "2"}, "n_critics is '2'"),
    ("sac", {"net_arch": [5000] * 3, "n_critics": 3}, "a network of 150,015,000 weights")])
def test_networks_that_cannot_be_are_refused_before_they_are_made(agent, kwargs, says, command, tmp_path, monkeypatch):
    model(agent).save("good.zip")
    with_data("good.zip", "bad.zip", policy_kwargs=kwargs)
    monkeypatch.setattr(KINDS[agent], "_setup_model", lambda self: pytest.fail("it is made"))
    code, said = command("import", "bad.zip", f"env={'CartPole' if agent == 'ppo' else 'Pendulum'}", *QUICK)
    assert code == 2 and says in said and said.count("\n") == 1 and not (tmp_path / "runs").exists()


def test_the_form_of_net_arch_in_old_files_is_read():
    """A list that holds one mapping, for which Stable-Baselines3 warns."""
    network({"net_arch": [{"pi": [8], "vf": [8]}]})
    with pytest.raises(UsageError, match=r"net_arch.vf is \[0\]"):
        network({"net_arch": [{"pi": [8], "vf": [0]}]})
