"""A checkpoint gives back what was put in, to the type and the bit, or is refused; whatever happens to the disk."""

import errno
import json
import math
import os
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from lab import checkpoint
from lab.checkpoint import FILES, count_of, found, newest, read, write
from lab.errors import DiskError, ResumeError


def same(a, b):
    """The same types, keys in the same order, the same bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        alike = (a.dtype, a.shape) == (b.dtype, b.shape)
        return alike and torch.equal(a.contiguous().view(-1).view(torch.uint8),
                                     b.contiguous().view(-1).view(torch.uint8))
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, dict):
        return same(list(a), list(b)) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return math.copysign(1, a) == math.copysign(1, b) and (a == b or (a != a and b != b))
    return a == b


def through_disk(state, folder):
    write(folder, 1, state, keep=3)
    return newest(folder, print)[1]


STATE = {"weight": torch.randn(3, 4), "step": 7}
OTHER = {"weight": torch.randn(3, 4), "step": 8}
VALUES = {
    "bf16": torch.tensor([1.5, float("nan"), -0.0], dtype=torch.bfloat16), "0-d tensor": torch.tensor(2.5),
    "bool tensor": torch.tensor([True, False]), "int64": torch.tensor([2**62, -1]),
    "uint8": torch.arange(5, dtype=torch.uint8),
    "nan and inf": torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 1e-45]), "no rows": torch.zeros(0, 3),
    "float64": torch.tensor([math.pi], dtype=torch.float64), "generator": torch.Generator().manual_seed(1).get_state(),
    "empty dict": {}, "empty list": [], "empty tuple": (), "nested": {"a": [(1, {"b": None}), []], "c": ({},)},
    "tuple in list": [(1, 2), [3, (4,)]], "int keys": {0: {"exp_avg": torch.ones(2)}, 10: "x", -1: 2.0},
    "mixed keys": {"1": 1, 1: 2, None: 3, "True": 4}, "order": {"b": 1, "a": 2},
    "big ints": [2**64, -(2**200), 2**53 + 1], "bools": [True, False, 1, 0, None],
    "floats": [float("nan"), float("inf"), -float("inf"), -0.0, 0.1, 5e-324, 1.7976931348623157e308, 1.0],
    "text": ["", "é\n\"\0", "\ud800", "{\"tensor\": 1}"], "like a node": {"tensor": "run/x", "dict": 1},
    "f8": np.array([1.5, np.nan, -0.0]), "f4": np.ones((2, 3), np.float32), "f2": np.ones(2, np.float16),
    "i8": np.array([-2**63]), "i1": np.array([-128], np.int8), "u1": np.arange(4, dtype=np.uint8),
    "u2": np.array([65535], np.uint16),
    "u8": np.array([2**64 - 1], np.uint64), "b1": np.array([[True], [False]]), "0-d array": np.array(2.5),
    "0-length array": np.zeros((0, 4), np.float32), "0-d int array": np.array(3),
    "fortran": np.asfortranarray(np.eye(3)[:2]),
    "reversed": np.arange(4)[::-1]}


@pytest.mark.parametrize("name", VALUES)
def test_round_trip_keeps_types_and_bits(name, tmp_path):
    state = {"before": torch.ones(1), "value": VALUES[name], "after": 1}
    assert same(through_disk(state, tmp_path), state)


def test_tensors_that_share_memory_come_back_equal_and_apart(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    state = {"a": base, "b": base, "column": base[:, 1], "turned": base.T, "wide": torch.ones(1).expand(5),
             "part": base[1:]}
    back = through_disk(state, tmp_path)
    assert same(back, state)
    back["a"].zero_()
    assert same(back["b"], base)


def test_names_that_make_one_path_are_kept_apart(tmp_path):
    state = {"a/b": torch.ones(1), "a": {"b": torch.zeros(1)}, "c": {1: torch.ones(2), "1": torch.zeros(2)}}
    assert same(through_disk(state, tmp_path), state)


class Odd:
    pass


@pytest.mark.parametrize("value, text", [
    (Odd(), "run/learner/x: a Odd cannot be saved; turn it into tensors, numbers or strings"),
    ([1, {"f": len}], "run/learner/x/1/f: a builtin_function_or_method"), ({1, 2}, "run/learner/x: a set"),
    (b"x", "run/learner/x: a bytes"), (1j, "run/learner/x: a complex"), (np.array(["a"]), "run/learner/x: a ndarray"),
    (np.array([None]), "run/learner/x: a ndarray"), (np.float32(1), "run/learner/x: a float32"),
    (np.arange(3, dtype=">f8"), "run/learner/x: a ndarray of >f8"),
    (np.ones(1, np.longdouble), "run/learner/x: a ndarray of"),
    ({(1, 2): 3}, r"run/learner/x: the key \(1, 2\)"), ({np.int64(1): 3}, "run/learner/x: the key")])
def test_what_is_not_plain_data_is_named_and_nothing_is_written(value, text, tmp_path):
    with pytest.raises(TypeError, match=text):
        write(tmp_path / "checkpoints", 1, {"learner": {"x": value}}, keep=3)
    assert not list(tmp_path.iterdir())


def test_cut_anywhere_it_never_loads_other_values(tmp_path):
    write(tmp_path, 1, STATE, 3)
    path = write(tmp_path, 2, OTHER, 3)
    for name in (*FILES, "manifest.json"):
        whole = (path / name).read_bytes()
        for length in {*np.linspace(0, len(whole) - 1, 20).astype(int).tolist(), len(whole) - 1, 1, 8}:
            (path / name).write_bytes(whole[:length])
            said = []
            at, state = newest(tmp_path, said.append)
            assert count_of(at) == 1 and same(state, STATE)
            assert len(said) == 1 and said[0].startswith("checkpoint 2: ") and said[0].endswith("; using 1")
        (path / name).write_bytes(whole)
    assert same(newest(tmp_path, print)[1], OTHER)


def test_one_flipped_bit_is_noticed(tmp_path):
    path = write(tmp_path, 1, STATE, 3)
    for name in FILES:
        whole = (path / name).read_bytes()
        for at in np.linspace(0, len(whole) - 1, 20).astype(int):
            (path / name).write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
            with pytest.raises(ResumeError, match=f"is intact: checkpoint 1: damaged, the content of {name}"):
                newest(tmp_path, print)
        (path / name).write_bytes(whole)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_named(name, tmp_path):
    write(tmp_path, 1, STATE, 3)
    (write(tmp_path, 2, OTHER, 3) / name).unlink()
    said = []
    assert same(newest(tmp_path, said.append)[1], STATE)
    assert said == [f"checkpoint 2: incomplete, {name} is missing; using 1"]


def test_all_damaged_are_all_named_and_left_alone(tmp_path):
    for count in (1, 2):
        (write(tmp_path, count, STATE, 3) / "tree.json").write_text("{}")
    with pytest.raises(ResumeError, match=r"checkpoint 2: damaged.*checkpoint 1: damaged.*Nothing was changed"):
        newest(tmp_path, print)
    assert [count_of(path) for path in found(tmp_path)] == [2, 1]


def test_none_at_all(tmp_path):
    with pytest.raises(ResumeError, match="holds no checkpoint"):
        newest(tmp_path / "absent", print)


@pytest.mark.parametrize("manifest", ["", "[]", "3", "null", "{", '{"schema": "x"}', '{"schema": 1}', "\xff",
                                      "[" * 100_000,
                                      '{"schema": 1, "sha256": []}', '{"schema": 1, "sha256": {"tree.json": 1}}'])
def test_a_strange_manifest_is_damage(manifest, tmp_path):
    (write(tmp_path, 1, STATE, 3) / "manifest.json").write_bytes(manifest.encode("latin-1"))
    with pytest.raises(ResumeError, match=r"checkpoint 1: manifest.json is damaged"):
        newest(tmp_path, print)


def test_a_newer_schema_says_so(tmp_path):
    path = write(tmp_path, 1, STATE, 3) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))
    with pytest.raises(ResumeError, match=r"written by a newer lab \(schema 99, this one reads up to 1\)"):
        newest(tmp_path, print)


def forged(folder, tensors=None, tree=None):
    """A checkpoint with another content and the sha256 that fits it."""
    path = write(folder, 1, STATE, 3)
    manifest = json.loads((path / "manifest.json").read_text())
    for name, body in zip(FILES, (tensors, tree), strict=True):
        if body is not None:
            (path / name).write_bytes(body)
            manifest["sha256"][name] = sha256(body).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


@pytest.mark.parametrize("tree", [b"", b"7", b"{}", b"\xff", b'{"tensor": "absent"}', b'{"dict": [[1]]}', b'{"x": 1}',
                                  b'{"dict": [[[1], 2]]}', b'{"float": "x"}', b'{"a": 1, "b": 2}', b"[" * 100_000,
                                  b'{"array": ["run/weight", "evil"]}', b'{"array": 3}', b'{"list": 3}'])
def test_a_strange_tree_is_damage(tree, tmp_path):
    with pytest.raises(ValueError, match="its content cannot be read"):
        read(forged(tmp_path, tree=tree))


@pytest.mark.parametrize("tensors", [
    b"", b"x" * 100, (2**63).to_bytes(8, "little"), (10).to_bytes(8, "little") + b"{}",
    *(len(head).to_bytes(8, "little") + head for head in (
        b'{"run/weight": {"dtype": "F32", "shape": [2500000000], "data_offsets": [0, 10000000000]}}',
        b'{"run/weight": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}', b"[]", b'{"run/weight": 3}',
        b"{}"))])
def test_strange_tensors_are_damage(tensors, tmp_path):
    with pytest.raises(ValueError, match="its content cannot be read"):
        read(forged(tmp_path, tensors=tensors))


class PowerCut(BaseException):
    """No code of the lab may catch it."""


OPERATIONS = ((os, "fsync"), (os, "rename"), (os, "replace"), (shutil, "rmtree"), (Path, "mkdir"),
              (checkpoint, "write_file"))


def cut_before(number, monkeypatch):
    """The power goes before the operation on the disk of this number; returns how many there were."""
    done = []

    def guard(real, name):
        def guarded(*args, **options):
            if len(done) == number:
                raise PowerCut(name)
            done.append(name)
            return real(*args, **options)
        return guarded

    for owner, name in OPERATIONS:
        monkeypatch.setattr(owner, name, guard(getattr(owner, name), name))
    return done


@pytest.mark.parametrize("keep", [1, 3])
@pytest.mark.parametrize("count", [1, 2])
def test_a_power_cut_before_any_operation_leaves_the_old_or_the_new(count, keep, tmp_path, monkeypatch):
    """`count` 1: over a checkpoint of the same count."""
    for number in range(100):
        folder = tmp_path / str(number)
        write(folder, 1, STATE, keep)
        with monkeypatch.context() as patch:
            done = cut_before(number, patch)
            try:
                write(folder, count, OTHER, keep)
            except PowerCut:
                pass
            else:
                break
        at, state = newest(folder, pytest.fail)
        assert same(state, OTHER) or (same(state, STATE) and count_of(at) == 1), done
        write(folder, 3, OTHER, 1)
        assert same(newest(folder, print)[1], OTHER) and len(list(folder.iterdir())) == 1
    assert {"fsync", "rename", "write_file", "rmtree", "mkdir"} <= set(done) and len(done) > 8
    assert same(newest(folder, print)[1], OTHER) and len(list(folder.iterdir())) == min(keep, count)


def test_leftovers_of_a_dead_process_are_swept(tmp_path):
    (tmp_path / ".part-1").mkdir()
    (tmp_path / ".part-1" / "tree.json").write_text("half")
    assert found(tmp_path) == []
    write(tmp_path, 1, STATE, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000001"]


def test_the_newest_k_are_kept(tmp_path):
    for count in (5, 10, 9 * 10**11, 10**12):
        write(tmp_path, count, {"count": count}, keep=2)
    assert [count_of(path) for path in found(tmp_path)] == [10**12, 9 * 10**11]
    assert newest(tmp_path, print)[1] == {"count": 10**12}


def test_other_names_are_no_checkpoints(tmp_path):
    for name in ("notes", "1.tmp", "12x", "1²", ".part-7"):
        (tmp_path / name).mkdir()
    assert found(tmp_path) == []


@pytest.mark.parametrize("number, text", [
    (errno.ENOSPC, r"no space to write in .*: needed \d+\.\d MB, free \d+\.\d MB"), (errno.EDQUOT, "no space"),
    (errno.EFBIG, "no space"), (errno.EACCES, "cannot write in .*: Permission denied"), (errno.EROFS, "Read-only")])
def test_a_disk_that_refuses_is_a_disk_error_and_the_last_one_stays(number, text, tmp_path, monkeypatch):
    real = checkpoint.write_file
    write(tmp_path, 1, STATE, 3)
    for failing in (*FILES, "manifest.json"):
        def write_file(path, body, failing=failing):
            if path.name == failing:
                raise OSError(number, os.strerror(number))
            real(path, body)

        monkeypatch.setattr(checkpoint, "write_file", write_file)
        with pytest.raises(DiskError, match=text):
            write(tmp_path, 2, OTHER, 3)
        assert [path.name for path in tmp_path.iterdir()] == ["000000000001"]
    assert same(newest(tmp_path, pytest.fail)[1], STATE)


def test_what_was_written_is_read_back(tmp_path, monkeypatch):
    """A disk that loses bytes without an error is a DiskError too."""
    real = checkpoint.write_file
    write(tmp_path, 1, STATE, 1)
    def write_file(path, body):
        real(path, body[:-1] if path.name == FILES[0] else body)

    monkeypatch.setattr(checkpoint, "write_file", write_file)
    with pytest.raises(DiskError, match="does not match its sha256"):
        write(tmp_path, 2, OTHER, 1)
    assert same(newest(tmp_path, print)[1], STATE)
