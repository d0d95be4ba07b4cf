"""A replay from end to end, against a log of everything that was collected; also where an environment failed."""

import gymnasium as gym
import pytest
import torch
from test_envs import COMPUTE, Counts, at_random, envs_of, on_disk, zeros

from lab import checkpoint
from lab.budget import Budget
from lab.env_state import Tier
from lab.envs import Envs
from lab.errors import EnvError
from lab.replay import Replay, Ring, Sampling
from lab.testing import maker
from lab.testing.envs import TinyBox
from lab.testing.making import runner

CPU = torch.device("cpu")
GAMMA = 0.5


class Lives(TinyBox):
    """A life is lost here and there, where nothing that follows counts although the episode goes on.

    It fails in the step that `fuse` counts down to, and in no other.
    """

    fuse = -1

    def step(self, action):
        self.fuse -= 1
        if self.fuse == 0:
            raise RuntimeError("lost a wheel")
        *rest, info = super().step(action)
        return *rest, {**info, "learning_terminal": bool(self.np_random.random() < 0.1)}


gym.register("lab/Lives-v0", Lives, max_episode_steps=7)


def stacked(stack, padding, kind=Lives):
    """Episodes end by themselves, or after 7 steps."""
    env = gym.wrappers.TimeLimit(kind(), 7)
    return env if stack == 1 else gym.wrappers.FrameStackObservation(env, stack, padding_type=padding)


def stream(stack=1, padding="reset", copies=2, n_steps=1, capacity=60):
    envs = Envs(lambda: stacked(stack, padding), copies, COMPUTE, tier=Tier.EXACT)
    plan = Sampling(5, 1, (3, 8), n_steps, GAMMA)
    return Replay(envs, at_random(), Ring(capacity, CPU, copies, envs.stack, envs.padding), plan, COMPUTE.rng("replay"))


class Log:
    """Of everything that is pushed into a ring: one dict for each step of each copy, [T][N]."""

    def __init__(self):
        self.steps = []

    def follow(self, ring):
        push = ring.push

        def pushed(rows):
            for t in range(len(rows["done"])):
                self.steps.append([{name: row[t, i] for name, row in rows.items()} for i in range(ring.n)])
            push(rows)

        ring.push = pushed
        return self

    def follows(self, row, n_steps):
        """Worked out step by step: obs, action, reward, discount, and next_obs, None where it is of no account."""
        t, i = divmod(row, len(self.steps[0]))
        first, reward, discount = self.steps[t][i], 0.0, 1.0
        for k in range(n_steps):
            step = self.steps[t + k][i]
            reward, discount = reward + discount * step["reward"].item(), discount * GAMMA
            if step["terminal"]:
                return first["obs"], first["action"], reward, 0.0, None
            if step["done"]:
                break
        return first["obs"], first["action"], reward, discount, step["next_obs"]

    def holds(self, batch, rows, n_steps):
        """Whether all of a batch [K, B, ...], whose rows these are, is what the log says. Raises AssertionError."""
        at = {name: each.flatten(0, 1) for name, each in batch.items()}
        for b, row in enumerate(rows.flatten().tolist()):
            obs, action, reward, discount, next_obs = self.follows(row, n_steps)
            assert torch.equal(at["obs"][b], obs) and at["action"][b] == action
            assert at["reward"][b].item() == pytest.approx(reward) and at["discount"][b].item() == discount
            assert next_obs is None or torch.equal(at["next_obs"][b], next_obs)
        return True


def all_rows(at):
    """Those that can be drawn."""
    first, end = at.ring.first + at.before, at.ring.pushed - at.after
    return torch.arange(first, max(first, end))[None]


def noting(at):
    """The row numbers that are drawn from now on."""
    drawn, batch = [], at.batch
    at.batch = lambda rows: (drawn.append(rows), batch(rows))[1]
    return drawn


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("stack, padding", [(1, "reset"), (4, "reset"), (4, "zero")])
def test_every_sample_is_what_was_collected(stack, padding, copies, n_steps):
    """Past the ends of episodes and the end of the buffer, twice; every row that there is, and every one drawn."""
    at = stream(stack, padding, copies, n_steps)
    log, drawn, batches = Log().follow(at.ring), noting(at), 0
    while at.ring.pushed < 2.5 * at.ring.capacity:
        if batch := at.next():
            batches += log.holds(batch, drawn.pop(), n_steps)
            rows = all_rows(at)
            assert rows[0, 0] >= 0 and log.holds(at.batch(rows), rows, n_steps) and drawn.pop() is rows
    ends = [(bool(step["terminal"]), bool(step["done"])) for steps in log.steps for step in steps]
    assert batches > 5 and ends.count((True, True)) > 5 and ends.count((False, True)) > 5
    assert at.ring.columns["obs"][0].shape == (2,), "one picture of a stack"


@pytest.mark.parametrize("stack", [2, 3, 256, 300])
def test_stacks_of_an_episode_longer_than_a_byte_can_count(stack):
    """600 steps without an end, of which the buffer holds half; a stack of 300 is stored as a whole."""
    envs = envs_of(gym.wrappers.FrameStackObservation(Counts(10**6), stack))
    ring, plan = Ring(300, CPU, 1, envs.stack), Sampling(50, 1, (1, 8), 1, GAMMA)
    at = Replay(envs, zeros, ring, plan, COMPUTE.rng("replay"))
    log = Log().follow(at.ring)
    for _ in range(12):
        at.next()
        assert log.holds(at.batch(all_rows(at)), all_rows(at), 1)
    assert at.ring.pushed == 600


@pytest.mark.parametrize("stack, padding", [(1, "reset"), (4, "zero")])
@pytest.mark.parametrize("pushed, fuse", [(0, 3), (5, 1), (5, 4), (20, 5)])
def test_after_a_failure_no_sample_reaches_across(pushed, fuse, stack, padding, tmp_path):
    """The second copy fails in the midst of a collect: of its steps none is kept, and both begin a new episode."""
    first, second = (stream(stack, padding, n_steps=3) for _ in range(2))
    log = Log().follow(first.ring)
    while first.count < 2 * pushed:
        first.next()
    first.envs.envs[1].unwrapped.fuse = fuse
    with pytest.raises(EnvError, match="lost a wheel"):
        first.next()
    assert first.ring.pushed == first.count == 2 * pushed
    second.load_state_dict(on_disk(first, tmp_path))
    assert second.envs.lost == [0, 1] and second.envs.lengths == [0, 0]
    for step in log.steps[-1] if log.steps else ():
        step["done"] = torch.ones(())                     # cut short, where it had not ended
    log.follow(second.ring)
    while second.ring.pushed < 2 * pushed + 50:
        second.next()
        rows = all_rows(second)
        assert rows.numel() == 0 or log.holds(second.batch(rows), rows, 3)
    assert second.count == second.ring.pushed == 2 * len(log.steps)


@pytest.mark.parametrize("agent", ["dqn", "prioritized_dqn"])
def test_a_run_goes_on_after_a_failure_in_the_midst_of_a_collect(agent, tmp_path):
    """Saved as it was after its last whole update; what is learned from later is what the environments did."""
    make = maker(agent, "env=gym", "env.id=lab/Lives-v0", f"agent.discount={GAMMA}", "agent.n_steps=2",
                 "agent.train_every=5")
    made, again = make(), make(initial=999)
    stream, log = made.experiment.stream, Log()
    log.follow(stream.ring)
    (at, _), (resumed, _) = runner(made, tmp_path), runner(again, tmp_path)
    stream.envs.envs[1].unwrapped.fuse = 5 * 9 + 3
    with pytest.raises(EnvError, match=r"lab/Lives-v0 \(copy 1 of 2, step \d+ of its episode \d+\) raised RuntimeErr"):
        at.run(Budget(updates=100))
    assert len(log.steps) == 5 * 9 and at.updates == 6 and stream.count == 2 * 5 * 9
    resumed.load(checkpoint.newest(tmp_path, pytest.fail)[1])
    assert resumed.updates == 6 and len(resumed.stream.ring) == 64 and resumed.stream.count == 2 * 5 * 9
    for step in log.steps[-1]:
        step["done"] = torch.ones(())
    log.follow(resumed.stream.ring)
    drawn = noting(resumed.stream)
    update = resumed.learner.update
    resumed.learner.update = lambda batch: (log.holds(batch, drawn[-1], 2), update(batch))[1]
    resumed.run(Budget(updates=15))
    assert len(drawn) == 9 and len(log.steps) == 5 * 18
    rows = torch.cat(drawn)
    assert (rows < 90).any() and (rows >= 90).any(), "from before and after the failure"


def test_a_memory_does_not_outlast_a_failure(tmp_path):
    """What was remembered of the steps that nobody got goes with them, and the next episode begins with nothing."""
    make = maker("r2d2", "env=gym", "env.id=lab/Lives-v0", "agent.train_every=5")
    made, again = make(), make(initial=999)
    (at, _), (resumed, _) = runner(made, tmp_path), runner(again, tmp_path)
    made.experiment.stream.envs.envs[1].unwrapped.fuse = 5 * 9 + 3
    with pytest.raises(EnvError, match="lost a wheel"):
        at.run(Budget(updates=100))
    resumed.load(checkpoint.newest(tmp_path, pytest.fail)[1])
    resumed.run(Budget(updates=at.updates + 1))
    ring = resumed.stream.ring
    assert ring.pushed == 2 * 5 * 10 == resumed.stream.count
    columns = {name: column[torch.arange(88, 100) % ring.capacity] for name, column in ring.columns.items()}
    assert columns["done"][:2].all() and columns["fresh"][2:4].all() and not columns["memory"][2:4].any()
    fresh = torch.cat([torch.ones(2), columns["done"][2:-2]])                # lost lives end no episode
    lost = torch.cat([torch.zeros(2), columns["terminal"][2:-2]])
    assert (columns["fresh"][2:] == fresh)[lost == 0].all()
