"""The buffer: the newest rows, every observation once, stacks put together by index, what a checkpoint writes."""

import errno
import os

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_envs import Shown, envs_of

from lab import checkpoint, rows
from lab.chunks import FOLDER
from lab.errors import DiskError, ResumeError
from lab.replay import Ring, row_bytes
from lab.rows import Finals
from lab.state import pack

CPU = torch.device("cpu")
ROW = 16 + 8 + 12                 # bytes of one of these steps


def steps(first, n, ends=(), copies=1):
    """[n, copies] steps whose every entry says which row it is; the rows in `ends` are cut short."""
    number = torch.arange(first, first + n * copies).view(n, copies)
    done = sum((number == end for end in ends), torch.zeros_like(number)).float()
    return {"obs": torch.stack([number, -number], 2), "action": number, "reward": number.float() / 8,
            "terminal": torch.zeros_like(done), "done": done, "next_obs": 1000 + torch.stack([number, -number], 2)}


def held(buffer):
    """The numbers of the rows in it; every entry of a row agrees."""
    rows = torch.arange(buffer.first, buffer.pushed)
    at = rows % buffer.capacity
    assert torch.equal(buffer.columns["action"][at], rows)
    assert torch.equal(buffer.columns["reward"][at] * 8, rows.float())
    assert torch.equal(buffer.columns["obs"][at], torch.stack([rows, -rows], 1))
    assert len(buffer) == len(rows)
    return rows.tolist()


def followed(buffer, rows):
    """The observations after them, as a replay reads them."""
    obs = buffer.columns["obs"][(rows + buffer.n) % buffer.capacity]
    return buffer.finals.put(obs, rows) if len(buffer.finals.rows) else obs


@pytest.mark.parametrize("pushes, left", [
    ((3,), [0, 1, 2]), ((5,), [0, 1, 2, 3, 4]), ((3, 3), [1, 2, 3, 4, 5]), ((5, 1), [1, 2, 3, 4, 5]),
    ((4, 5), [4, 5, 6, 7, 8]),
    ((1,) * 13, [8, 9, 10, 11, 12]), ((12,), [7, 8, 9, 10, 11]), ((3, 12), [10, 11, 12, 13, 14]),
    ((2, 3, 4), [4, 5, 6, 7, 8])])
def test_the_newest_are_kept(pushes, left):
    buffer, pushed = Ring(5, CPU), 0
    for n in pushes:
        buffer.push(steps(pushed, n))
        pushed += n
    assert held(buffer) == left and buffer.pushed == pushed


def test_what_follows_a_row_is_the_next_row_of_its_copy_or_what_ended_its_episode():
    """Three copies; rows 4 and 9 end an episode by a time limit, so that rows 7 and 12 begin another."""
    buffer = Ring(12, CPU, n=3)
    buffer.push(steps(0, 3, ends=(4,), copies=3))
    buffer.push(steps(9, 2, ends=(9,), copies=3))
    rows = torch.tensor([[3, 4, 5], [9, 10, 11]])
    assert followed(buffer, rows)[..., 0].tolist() == [[6, 1004, 8], [1009, 13, 14]]
    buffer.push(steps(15, 2, copies=3))
    assert buffer.finals.rows.tolist() == [4, 9] and buffer.first == 9
    buffer.push(steps(21, 1, ends=(22,), copies=3))
    assert buffer.finals.rows.tolist() == [22], "what belongs to rows that are gone is forgotten"


def test_an_episode_that_was_lost_ends_with_its_last_row():
    buffer = Ring(12, CPU, n=2)
    buffer.push(steps(0, 4, ends=(7,), copies=2))
    buffer.cut(6, torch.tensor([77, -77]))
    buffer.cut(7, torch.tensor([99, -99]))              # it had ended already
    buffer.push(steps(8, 1, copies=2))
    assert followed(buffer, torch.tensor([4, 5, 6, 7]))[:, 0].tolist() == [6, 7, 77, 1007]
    assert buffer.columns["done"][:10].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 0, 0]


def test_finals_put_their_obs_where_they_belong():
    finals = Finals(CPU)
    finals.push(torch.tensor([5, 9]), torch.tensor([[50.0], [90.0]]), first=0)
    out = finals.put(torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]), torch.tensor([[9, 4], [12, 5]]))
    assert out.tolist() == [[[90.0], [2.0]], [[3.0], [50.0]]]


def test_finals_seldom_copy_what_they_hold():
    """300 pushes of 1 to 3, those of the last 100 rows kept: against a list, and how often the memory is another."""
    finals, expected, memories, row = Finals(CPU), {}, set(), 0
    for i in range(300):
        new = list(range(row, row + 1 + i % 3))
        row += 4
        first = max(0, row - 100)
        finals.push(torch.tensor(new), torch.tensor(new)[:, None] * 10.0, first)
        expected = {number: 10.0 * number for number in [*expected, *new] if number >= first or number in new}
        memories.add(finals.memory[1].data_ptr())
        assert dict(zip(finals.rows.tolist(), finals.obs[:, 0].tolist(), strict=True)) == expected
        assert len(finals.memory[0]) <= 2 * len(expected) + 4
    assert len(memories) < 30


def film(lengths, padding, size=2):
    """Pictures [T, 4, size, size] as an environment stacks them, each another; and where the next begins anew."""
    stacks, resets, picture = [], [], 0
    for length in lengths:
        picture += 1
        stack = [picture] * 4 if padding == "reset" else [0, 0, 0, picture]
        for step in range(length):
            stacks.append(stack)
            resets.append(step == length - 1)
            stack = [*stack[1:], picture := picture + 1]
    pictures = torch.tensor(stacks, dtype=torch.uint8)[..., None, None].expand(-1, -1, size, size)
    return pictures, torch.tensor(resets).float()


@pytest.mark.parametrize("padding", ["reset", "zero"])
@pytest.mark.parametrize("copies", [1, 2])
def test_stacks_are_put_together_from_single_pictures(copies, padding):
    films = [film((3, 1, 7, 2, 9), padding), film((8, 2, 1, 1, 10), padding)][:copies]
    obs, reset = (torch.stack(parts, 1) for parts in zip(*films, strict=True))     # [22, N, 4, 2, 2], [22, N]
    buffer, zeros = Ring(14 * copies, CPU, copies, 4, padding), torch.zeros(len(obs), copies)
    for begin in range(0, len(obs), 5):
        part = slice(begin, begin + 5)
        buffer.push({"obs": obs[part], "action": zeros[part], "reward": zeros[part], "terminal": zeros[part],
                     "done": zeros[part], "reset": reset[part], "next_obs": obs[part]})
        rows = torch.arange(buffer.first + 3 * copies if buffer.first else 0, buffer.pushed)
        assert torch.equal(buffer.stacks(buffer.at_hand(rows % buffer.capacity)), obs.flatten(0, 1)[rows])
        other = Ring(14 * copies, CPU, copies, 4, padding)
        other.load_state_dict(buffer.state_dict())
        buffer = other
    assert buffer.columns["obs"].shape == (14 * copies, 2, 2) and "reset" not in buffer.columns


def stacked():
    """Four pictures of 84 x 84 bytes, as an environment of the wrapper."""
    picture = Shown(spaces.Box(0, 255, (84, 84), "uint8"))
    return envs_of(gym.wrappers.FrameStackObservation(picture, 4))


@pytest.mark.parametrize("envs, expected", [
    (envs_of(Shown(spaces.Box(-1, 1, (4,), "float32"))), 16 + 8 + 12), (stacked(), 84 * 84 + 8 + 12 + 1)])
def test_the_bytes_of_a_step_are_what_it_takes(envs, expected):
    """Four floats, an action of 8 bytes and three numbers; of a stack of pictures one alone and its age."""
    buffer = Ring(10, CPU, stack=envs.stack)
    buffer.push(envs.collect(lambda obs, count: torch.zeros(1, dtype=torch.int64), 3))
    taken = sum(column[0].nbytes for column in buffer.columns.values())
    assert taken == row_bytes(envs) == expected


def test_a_million_frames_fit_in_8_gigabytes():
    assert 1_000_000 * row_bytes(stacked()) == 7_077_000_000


@pytest.fixture
def small_chunks(monkeypatch):
    """Of 4 rows."""
    monkeypatch.setattr(rows, "CHUNK", 4 * ROW)


@pytest.mark.parametrize("before", [0, 3, 5, 8, 12, 40])
@pytest.mark.parametrize("capacity", [3, 5, 17])
def test_a_ring_comes_back_and_goes_on(before, capacity, tmp_path, small_chunks):
    """Empty, part-filled, just full, wrapped around; without chunks, in one and in many."""
    buffer, other = Ring(capacity, CPU), Ring(capacity, CPU)
    if before:
        buffer.push(steps(0, before, ends=(before - 2, before - 1)))
    other.push(steps(90, 4, ends=(92,)))
    checkpoint.write(tmp_path, 1, buffer.state_dict(), 1)
    other.load_state_dict(checkpoint.newest(tmp_path, print)[1])
    for n in (1, 3, 9):
        a, b = buffer.state_dict(), other.state_dict()
        assert a.keys() == b.keys() and {k: c.read() for k, c in a["chunks"].items()}.keys() == b["chunks"].keys()
        buffer.push(steps(before, n)), other.push(steps(before, n))
        before += n
        assert torch.equal(buffer.finals.rows, other.finals.rows) and torch.equal(buffer.finals.obs, other.finals.obs)
    assert held(buffer) == held(other) and other.pushed == before


@pytest.mark.parametrize("capacity", [3, 4, 9, 30])
def test_a_ring_may_grow_or_shrink_and_keeps_the_newest(capacity, tmp_path, small_chunks):
    buffer, other = Ring(9, CPU), Ring(capacity, CPU)
    buffer.push(steps(0, 20))
    checkpoint.write(tmp_path, 1, buffer.state_dict(), 1)
    other.load_state_dict(checkpoint.newest(tmp_path, print)[1])
    assert held(other) == list(range(max(11, 20 - capacity), 20))
    other.push(steps(20, 5))
    assert held(other) == list(range(max(11, 25 - capacity), 25))
    checkpoint.write(tmp_path, 2, other.state_dict(), 1)
    again = Ring(capacity, CPU)
    again.load_state_dict(checkpoint.newest(tmp_path, print)[1])
    assert held(again) == held(other)


def written(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_a_checkpoint_writes_what_has_changed_and_at_most_one_chunk_more(tmp_path, monkeypatch):
    """A buffer of 6.4 MB in chunks of 64 kB; after 1,000 of its 100,000 rows the next checkpoint writes 64 + 64 kB."""
    monkeypatch.setattr(rows, "CHUNK", 2**16)
    buffer = Ring(100_000, CPU)
    wide = lambda first, n: steps(first, n) | {"obs": torch.rand(n, 1, 10)}             # noqa: E731
    buffer.push(wide(0, 99_000))
    size = sum(column[0].nbytes for column in buffer.columns.values())
    checkpoint.write(tmp_path, 1, buffer.state_dict(), 2)
    first = written(tmp_path)
    buffer.push(wide(99_000, 1_000))
    checkpoint.write(tmp_path, 2, buffer.state_dict(), 2)
    new = sum(path.stat().st_size for path, when in written(tmp_path).items() if first.get(path) != when)
    assert 1_000 * size <= new <= 1_000 * size + 2**16 + 10_000
    assert sum(path.stat().st_size for path in first) > 50 * new


def test_chunks_that_no_checkpoint_holds_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "CHUNK", 10 * ROW)
    buffer = Ring(80, CPU)
    for count in range(1, 30):
        buffer.push(steps(10 * (count - 1), 10))
        checkpoint.write(tmp_path, count, buffer.state_dict(), 2)
    names = {path.stem for path in (tmp_path / FOLDER).glob("*")}
    assert len(names) == 9, "8 chunks of 10 rows in each checkpoint, 7 of them in both"
    checkpoint.read(checkpoint.found(tmp_path)[1])


@pytest.mark.parametrize("harm, text", [
    (lambda path: path.unlink(), "is missing"), (lambda path: path.write_bytes(b"x"), "does not match its sha256")])
def test_a_chunk_that_is_damaged_is_noticed_and_the_checkpoint_before_is_used(harm, text, tmp_path, small_chunks):
    buffer, said = Ring(80, CPU), []
    for count in (1, 2):
        buffer.push(steps(30 * (count - 1), 30))
        checkpoint.write(tmp_path, count, buffer.state_dict(), 2)
        if count == 1:
            old = set((tmp_path / FOLDER).glob("*"))
    harm(next(iter(set((tmp_path / FOLDER).glob("*")) - old)))
    path, _ = checkpoint.newest(tmp_path, said.append)
    assert path.name == f"{1:012}" and text in said[0]


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")])
def test_a_chunk_that_was_lost_or_cut_is_written_anew(harm, resumed, tmp_path, small_chunks):
    """Its rows are still in memory, also those that a resume has read."""
    buffer = Ring(80, CPU)
    buffer.push(steps(0, 20))
    checkpoint.write(tmp_path, 1, buffer.state_dict(), 2)
    if resumed:
        state = checkpoint.newest(tmp_path, print)[1]
        buffer = Ring(80, CPU)
        buffer.load_state_dict(state)
    before = written(tmp_path / FOLDER)
    for path in list(before)[:2]:
        harm(path)
    checkpoint.write(tmp_path, 2, buffer.state_dict(), 2)
    after = written(tmp_path / FOLDER)
    assert before.keys() == after.keys() and sum(before[path] == after[path] for path in before) == len(before) - 2
    buffer.load_state_dict(checkpoint.newest(tmp_path, pytest.fail)[1])
    assert held(buffer) == list(range(20))


def test_a_full_disk_is_told_what_the_rows_take(tmp_path, monkeypatch):
    """7.2 MB of rows in 20 chunks, the third of which does not fit: 18 are still to come."""
    monkeypatch.setattr(rows, "CHUNK", 10_000 * ROW)
    buffer, real, calls = Ring(200_000, CPU), os.fsync, []

    def fsync(handle):
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    buffer.push(steps(0, 200_000))
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DiskError, match=r"needed 6\.5 MB"):
        checkpoint.write(tmp_path, 1, buffer.state_dict(), 2)
    assert len(list((tmp_path / FOLDER).iterdir())) == 2, "half a file is not kept"


def test_where_only_chunks_are_damaged_it_says_so(tmp_path, small_chunks):
    buffer = Ring(80, CPU)
    buffer.push(steps(0, 20))
    for count in (1, 2):
        checkpoint.write(tmp_path, count, buffer.state_dict(), 2)
    next((tmp_path / FOLDER).iterdir()).unlink()
    with pytest.raises(ResumeError, match=r"the chunk .* is missing; .* put these back from a copy. The weights are"):
        checkpoint.newest(tmp_path, print)
    (checkpoint.found(tmp_path)[0] / "tree.json").unlink()
    with pytest.raises(ResumeError) as error:
        checkpoint.newest(tmp_path, print)
    assert "put these back" not in str(error.value)


def test_an_end_that_is_put_into_a_chunk_is_saved_with_it(tmp_path, small_chunks):
    buffer, other = Ring(80, CPU), Ring(80, CPU)
    buffer.push(steps(0, 20))
    checkpoint.write(tmp_path, 1, buffer.state_dict(), 2)
    buffer.cut(19, torch.tensor([7, -7]))
    checkpoint.write(tmp_path, 2, buffer.state_dict(), 2)
    other.load_state_dict(checkpoint.newest(tmp_path, print)[1])
    other.push(steps(20, 1))
    assert other.columns["done"][19] == 1 and followed(other, torch.tensor([19])).tolist() == [[7, -7]]


def test_a_state_is_plain_data():
    buffer = Ring(8, CPU)
    buffer.push(steps(0, 20))
    state = pack(buffer)
    assert set(state) == set(Ring.saved) and np.isscalar(state["pushed"])
