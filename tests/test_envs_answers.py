"""Answers that are not what an environment's spaces promise, however its copies are stepped; and what they cost."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from lab.assembly import assemble
from lab.asynchronous import AsyncEnvs
from lab.compose import composed
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.env_state import Tier
from lab.envs import Envs
from lab.errors import EnvError, UsageError
from lab.native import NativeEnvs
from lab.spaces import about, standard

COMPUTE = Compute(ComputeConfig(device="cpu"), seed=7)


class Shows(gym.Env):
    """Episodes of three steps. From its step `at` on, over all episodes, it shows `wrong` and gives `answers`."""

    action_space = spaces.Discrete(2)

    def __init__(self, space=None, right=0, wrong=0, at=2, **answers):
        self.observation_space, self.right, self.wrong, self.at = space, right, wrong, at
        self.t, self.answers = 0, answers

    def reset(self, *, seed=None, options=None):
        return self.obs(), {}

    def step(self, action):
        self.t += 1
        said = self.answers if self.t >= self.at else {}
        return (self.obs(), said.get("reward", 1.0), said.get("terminated", False), self.t % 3 == 0,
                said.get("info", {}))

    def obs(self):
        return self.wrong if self.t >= self.at else self.right


def zeros(obs, count):
    return torch.zeros(len(obs), dtype=torch.int64)


FIVE, PAIR = spaces.Discrete(5), spaces.MultiDiscrete([3, 4])
BEYOND = {
    "one past the last": (FIVE, 1, 5, r"of int64 from 5 to 5, its space is of int64: Discrete\(5\)"),
    "below the first": (FIVE, 1, -1, "from -1 to -1"),
    "of numpy": (FIVE, np.int32(1), np.int32(5), "from 5 to 5"),
    "below the start": (spaces.Discrete(5, start=3), 3, 2, r"from 2 to 2.*Discrete\(5, start=3\)"),
    "one entry of two": (PAIR, np.array([2, 3]), np.array([2, 7]), r"from 2 to 7.*MultiDiscrete\(\[3 4\]\)"),
    "the other entry": (PAIR, np.array([2, 3]), np.array([3, 3]), "from 3 to 3"),
    "below, of two": (PAIR, np.array([2, 3]), np.array([2, -1]), "from -1 to 2"),
    "of a Tuple": (spaces.Tuple([FIVE, FIVE]), (1, 1), (1, 5), "from 1 to 5"),
    "a fraction in a Tuple": (spaces.Tuple([FIVE, FIVE]), (1, 1), (2.7, 1), "of float64 from 1 to 2.7")}


def make(space, right, wrong, at=2):
    return lambda: standard(Shows(space, right, wrong, at))


@pytest.mark.parametrize("what", BEYOND)
@pytest.mark.parametrize("at, where", [(2, "step 1 of its episode 0"), (4, "step 0 of its episode 1")])
def test_whole_numbers_that_a_space_does_not_count_are_an_error(what, at, where):
    space, right, wrong, text = BEYOND[what]
    with pytest.raises(EnvError, match=f"{where}.*returned an observation .*{text}"):
        Envs(make(space, right, wrong, at), 1, COMPUTE).collect(zeros, 6)


class FromReset(Shows):
    """Wrong in the reset after its first episode alone."""

    def obs(self):
        return self.wrong if self.t == 3 and self.began else self.right

    def reset(self, *, seed=None, options=None):
        self.began = True
        return self.obs(), {}

    def step(self, action):
        self.began = False
        return super().step(action)


def test_and_so_in_a_reset():
    envs = Envs(lambda: FromReset(FIVE, 1, 5, 99), 1, COMPUTE)
    with pytest.raises(EnvError, match=r"step 0 of its episode 1\) returned an observation in reset of int64 from 5"):
        envs.collect(zeros, 6)


class Late(Shows):
    """For a worker to make."""

    def __init__(self):
        super().__init__(PAIR, np.array([2, 3]), np.array([2, 7]))


def test_and_so_in_a_worker_process():
    envs = AsyncEnvs(Late, 2, COMPUTE, about(Late()), Tier.BOUNDARY, 2)
    with pytest.raises(EnvError, match=r"copy 0 of 2, step 1 of its episode 0\) returned .* from 2 to 7"):
        envs.collect(zeros, 6)
    envs.close()


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.DISABLED])
@pytest.mark.parametrize("what", [what for what in BEYOND if "Tuple" not in what and what != "of numpy"])
def test_and_so_in_a_vector_environment(what, mode):
    space, right, wrong, text = BEYOND[what]
    for at in (2, 3):
        one = make(space, right, wrong, at)
        envs = NativeEnvs(lambda n, one=one: SyncVectorEnv([one] * n, autoreset_mode=mode), 2, COMPUTE, about(one()))
        with pytest.raises(EnvError, match=f"2 copies in one, .* returned observations .*{text}"):
            envs.collect(zeros, 6)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("agent", ["dqn", "q_learning"])
def test_at_the_first_step_it_is_refused_at_assembly(agent, mode):
    gym.register("lab/Shows-v0", Shows, kwargs={"space": FIVE, "right": 1, "wrong": 5, "at": 1})
    try:
        cfg = composed([f"+agent={agent}", "env=gym", "env.id=lab/Shows-v0", "compute.device=cpu",
                        f"vector.mode={mode}"])
        with pytest.raises(UsageError, match=r"returned an observation of int64 from 5 to 5.*at its first step"):
            assemble(cfg)
    finally:
        del gym.registry["lab/Shows-v0"]


BYTE = spaces.Box(0, 255, (), np.uint8)


@pytest.mark.parametrize("wrong", [300, np.int64(300), -1, 2**70, 1.5, np.array(300)])
@pytest.mark.parametrize("at", [2, 4])
def test_a_single_number_is_not_cut_to_fit_its_bytes(wrong, at):
    with pytest.raises(EnvError, match="its space is of uint8"):
        Envs(lambda: Shows(BYTE, 7, wrong, at), 1, COMPUTE).collect(zeros, 6)


def test_what_fits_is_taken_whatever_its_type():
    for right in (255, np.int64(255), np.uint8(255), np.array(255)):
        rows = Envs(lambda right=right: Shows(BYTE, right, right), 1, COMPUTE).collect(zeros, 6)
        assert rows["next_obs"].unique().tolist() == [255]
    bits = spaces.Box(0, 1, (2,), np.bool_)
    assert Envs(lambda: Shows(bits, [0, 1], [1, 1]), 1, COMPUTE).collect(zeros, 6)["obs"].dtype is torch.bool


REAL = (spaces.Box(-1, 1, (1,), np.float32), np.zeros(1, np.float32), np.zeros(1, np.float32))


@pytest.mark.parametrize("answers, text", [
    ({"terminated": None}, "returned the terminated None, a NoneType; expected true or false"),
    ({"terminated": "False"}, "returned the terminated 'False', a str"),
    ({"terminated": np.array([False, False])}, r"returned the terminated array\(\[False, False\]\), a ndarray"),
    ({"terminated": np.array("no")}, "returned the terminated array"),
    ({"reward": np.array("1")}, "returned the reward array.*; expected a number"),
    ({"reward": np.array(None)}, "returned the reward array"),
    ({"info": {"episode_frame_number": None}}, "returned the episode_frame_number None; expected a number for each"),
    ({"info": {"learning_terminal": np.zeros(2)}}, "returned the learning_terminal array"),
    ({"info": {"learning_reward": 10**400}}, "returned the learning_reward 1000")])
def test_ends_rewards_and_infos_that_say_nothing(answers, text):
    with pytest.raises(EnvError, match=rf"step . of its episode 0\) {text}"):
        Envs(lambda: Shows(*REAL, **answers), 1, COMPUTE).collect(zeros, 6)


@pytest.mark.parametrize("yes, no", [(True, False), (np.True_, np.False_), (1, 0), (np.array(True), np.array(False))])
def test_ends_in_every_form_that_means_something(yes, no):
    class Ends(Shows):
        def step(self, action):
            obs, reward, *_ = super().step(action)
            return obs, reward, yes if self.t % 3 == 0 else no, no, {}

    rows = Envs(lambda: Ends(*REAL), 1, COMPUTE).collect(zeros, 6)
    assert rows["terminal"].flatten().tolist() == rows["done"].flatten().tolist() == [0, 0, 1] * 2


def test_an_observation_of_uneven_lists():
    with pytest.raises(EnvError, match=r"returned an observation of shape None, its space has \(1,\)"):
        Envs(lambda: Shows(REAL[0], REAL[1], [[1.0], [1.0, 2.0]]), 1, COMPUTE).collect(zeros, 6)


class Says(SyncVectorEnv):
    """Its infos are `told`."""

    def __init__(self, n, told):
        super().__init__([lambda: Shows(*REAL)] * n, autoreset_mode=AutoresetMode.SAME_STEP)
        self.told = told

    def step(self, actions):
        *answer, infos = super().step(actions)
        return *answer, {**infos, **self.told}


@pytest.mark.parametrize("told, text", [
    ({"learning_reward": np.zeros((2, 1))}, r"returned the learning_reward float64 \[2, 1\] .*; expected 2 numbers"),
    ({"learning_reward": np.array(["a", "b"])}, "returned the learning_reward <U1"),
    ({"learning_reward": np.zeros(3), "_learning_reward": np.ones(2, bool)}, r"learning_reward float64 \[3\]"),
    ({"learning_terminal": True}, "returned the learning_terminal bool"),
    ({"episode_frame_number": np.array([None, None])}, "returned the episode_frame_number object")])
def test_infos_of_a_vector_environment_that_say_nothing(told, text):
    envs = NativeEnvs(lambda n: Says(n, told), 2, COMPUTE, about(Shows(*REAL)))
    with pytest.raises(EnvError, match=text):
        envs.collect(zeros, 2)
