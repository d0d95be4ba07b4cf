"""Folders of pictures: what is read, what is refused, and that reading them late changes nothing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lab import checkpoint
from lab.assembly import assemble
from lab.compose import composed
from lab.data.dataset import About
from lab.data.reading import Loaded, Read
from lab.errors import DataError, UsageError
from lab.runner import Budget
from lab.testing.making import runner
from lab_data import pictures
from lab_data.plugin import Images

RED = np.full((2, 3, 3), [255, 0, 10], np.uint8)         # 2 x 3 pixels


@pytest.fixture
def folder(tmp_path):
    """folder({path: array, or bytes of a file}) -> a folder with them."""
    def make(files):
        for name, body in files.items():
            path = tmp_path / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(body, bytes):
                path.write_bytes(body)
            else:
                Image.fromarray(body).save(path)
        return tmp_path / "pictures"

    return make


def build(where, **settings):
    return pictures.build(Images("images", path=str(where), **settings))


def grey(value, shape=(2, 3)):
    return np.full(shape, value, np.uint8)


GOOD = {"dog/b.png": grey(3), "cat/a.png": grey(1), "cat/deep/c.png": grey(2)}


def values(split):
    batch, = split.batches([torch.arange(len(split))], torch.device("cpu"))
    return batch["x"].flatten(1)[:, 0].tolist()


# --- what is read ---

@pytest.mark.parametrize("memory", [0.25, 0])
def test_a_folder_per_class(folder, memory):
    found = build(folder(GOOD), memory=memory)
    train = found.splits["train"]
    assert found.about == About("picture", (1, 2, 3), ("cat", "dog")) and list(found.splits) == ["train"]
    assert values(train) == [1, 2, 3] and train.y.tolist() == [0, 0, 1] and train.y.dtype == torch.int64
    assert isinstance(train, Read if memory == 0 else Loaded) and found.notes == ()


def test_folders_per_split(folder):
    names = ("train/cat/1.png", "train/dog/2.png", "valid/dog/3.png", "test/cat/4.png", "test/dog/5.png")
    found = build(folder({name: grey(i + 1) for i, name in enumerate(names)}))
    assert {name: values(split) for name, split in found.splits.items()} == {
        "train": [1, 2], "valid": [3], "test": [4, 5]}
    assert found.splits["valid"].y.tolist() == [1]


def test_colours_stand_in_their_channels(folder):
    found = build(folder({"a/1.png": RED, "b/1.png": RED}))
    assert found.about.shape == (3, 2, 3)
    assert found.splits["train"].tensors["x"][0, :, 1, 2].tolist() == [255, 0, 10]
    grey_of_red = build(folder({}), channels=1)
    assert grey_of_red.splits["train"].tensors["x"][0, 0, 0, 0] == round(0.299 * 255 + 0.114 * 10)


def test_one_coloured_picture_makes_all_of_three_channels(folder):
    where = folder({"a/1.png": RED, "b/1.png": grey(7)})
    assert build(where).splits["train"].tensors["x"][1, :, 0, 0].tolist() == [7, 7, 7]


def test_sixteen_bits(folder):
    found = build(folder({"a/1.png": np.full((2, 3), 0x1234, np.uint16), "b/1.png": grey(0)}))
    assert values(found.splits["train"]) == [0x12, 0] and found.about.shape == (1, 2, 3)


def test_a_palette_and_black_and_white(folder):
    where = folder({"a/1.png": grey(0), "b/1.png": grey(0)})
    Image.fromarray(RED).convert("P").save(where / "a" / "2.gif")
    Image.fromarray(grey(255)).convert("1").save(where / "b" / "2.png")
    x = build(where).splits["train"].tensors["x"]
    assert x[3, :, 0, 0].tolist() == [255, 255, 255] and x[1, :, 0, 0].tolist() == pytest.approx([255, 0, 10], abs=10)


def test_brought_to_one_size(folder):
    """Half of 4 x 4 pixels, of which one side is white."""
    halves = np.repeat(np.array([[0, 0, 200, 200]], np.uint8), 4, 0)
    found = build(folder({"a/1.png": halves, "b/1.jpg": grey(9, (7, 3))}), size=[2, 2])
    x = found.splits["train"].tensors["x"]
    assert found.about.shape == (1, 2, 2) and x[1].flatten().tolist() == [9] * 4
    assert (x[0, 0, :, 0] < 50).all() and (x[0, 0, :, 1] > 150).all()
    assert build(folder({}), size=[2, 5]).about.shape == (1, 2, 5)


def test_other_files_are_counted(folder):
    found = build(folder({**GOOD, "cat/notes.txt": b"x", "cat/.hidden.png": b"", ".git/x.png": b"", "loose.png": b""}))
    assert found.notes == ("2 files left out, no pictures by their names, or in no folder of a class: cat/notes.txt, "
                           "loose.png",)
    assert len(found.splits["train"]) == 3


# --- mistakes ---

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("files, settings, message", [
    ({".": b""}, {}, r"data\.path=.*pictures: there is no such file or folder"),
    ({"readme.txt": b"x"}, {}, "pictures has no folder of a class; expected one, with its pictures, for each of two"),
    ({"a.png": grey(1)}, {}, "pictures has no folder of a class"),
    ({"cat/a.png": grey(1)}, {}, "pictures has 1 folder of a class; expected one"),
    ({**GOOD, "cow/x.txt": b""}, {}, "pictures/cow has no picture; expected files that end in .png, .jpg"),
    ({"train/cat/1.png": grey(1), "train/dog/1.png": grey(1), "test/cow/1.png": grey(1)}, {},
     r"pictures/test/cow: .*pictures/train has no such class\. Known: cat, dog"),
    ({"train/cat/1.png": grey(1), "train/dog/1.png": grey(1), "test/x.png": grey(1)}, {}, "pictures/test is empty"),
    ({"train/cat/1.png": grey(1), "train/dog/1.png": grey(1), "val/cat/1.png": grey(1)}, {},
     r"pictures/val: beside train/ may stand valid/ and test/\. Did you mean 'valid'\?"),
    ({"Train/cat/1.png": grey(1), "Test/cat/1.png": grey(1)}, {}, "pictures/Test looks like a split, and there is no "),
    ({"valid/cat/1.png": grey(1), "test/cat/1.png": grey(1)}, {}, "pictures/test looks like a split, .*/train: name"),
    ({**GOOD, "dog/c.png": grey(1, (4, 5))}, {}, r"of several sizes: cat/a.png has 2 x 3 pixels and dog/c.png 4 x 5, "
                                                 r"height first; data.size=\[2,3\]"),
    ({**GOOD, "cat/z.png": b"GIF or so"}, {}, r"pictures/cat/z.png does not open as a picture: it is of no known "
                                              r"format; data\.skip_broken=true leaves out"),
    ({**GOOD, "cat/z.png": PNG + b"\0" * 40}, {}, "cat/z.png does not open as a picture: "),
    ({**GOOD, "cat/z.tif": grey(1).astype(np.float32)}, {}, "z.tif does not open .* 32-bit numbers .* 8 or 16 bits")])
def test_mistakes(files, settings, message, folder):
    where = folder({name: body for name, body in files.items() if name != "."})
    with pytest.raises(UsageError, match=message):
        build(where, **settings)


def test_mistakes_in_the_config(tmp_path):
    for settings, message in (({"size": [3]}, r"data\.size is \[3\]; expected \[height,width\]"),
                              ({"size": [0, 3]}, r"data\.size is 0; expected a number from 1 to"),
                              ({"channels": 2}, r"data\.channels is 2; expected 1, 3 or null"),
                              ({"path": ""}, r"data\.path is missing")):
        with pytest.raises(UsageError, match=message):
            Images("images", **{"path": "x", **settings})


def truncated(where):
    """The header is whole, the pixels are not."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    Image.fromarray(noise).save(where)
    where.write_bytes(where.read_bytes()[:-500])


def test_a_picture_that_is_cut_off(folder):
    where = folder({f"{name}/1.png": grey(1, (40, 40)) for name in ("cat", "dog")})
    truncated(where / "dog" / "2.png")
    for late in ({}, {"memory": 0, "prepare": "none"}):                       # nothing else reads it at the start
        with pytest.raises(UsageError, match=r"dog/2\.png does not open as a picture: .*truncated.*skip_broken=true"):
            build(where, **late)
    found = build(where, skip_broken=True)
    assert found.notes == ("1 files left out, which do not open as pictures: dog/2.png",)
    assert len(found.splits["train"]) == 2
    assert len(build(where, skip_broken=True, memory=0).splits["train"]) == 2


def test_a_class_that_is_broken_as_a_whole(folder):
    with pytest.raises(UsageError, match="no picture of the class 'cow' opens"):
        build(folder({**GOOD, "cow/1.png": b"x"}), skip_broken=True)
    with pytest.raises(UsageError, match="no picture of the test split opens"):
        pictures.check_left("root", ["a", "b"], {"train": [("x", 0), ("y", 1)], "test": []})


# --- identity ---

def test_a_change_of_any_pixel_is_seen(folder):
    """In memory or not, so that a run resumes with either, and with no other pictures."""
    def prints(**settings):
        where = folder({})
        found = [build(where, memory=memory, **settings).splits["train"].fingerprint() for memory in (0.25, 0)]
        assert found[0] == found[1]
        return found[0]

    where = folder({**GOOD, "cat/a.bmp": grey(1)})
    first = prints()
    assert prints() == first != prints(size=[2, 2])
    size = (where / "cat" / "a.bmp").stat().st_size
    folder({"cat/a.bmp": grey(2)})
    assert (where / "cat" / "a.bmp").stat().st_size == size and prints() != first


# --- read late ---

@pytest.fixture
def many(folder):
    rng = np.random.default_rng(0)
    return folder({f"{name}/{i:02}.png": rng.integers(0, 256, (9, 9, 3), np.uint8) for name in ("cat", "dog")
                   for i in range(24)})


def assembled(where, *overrides, initial=None):
    return assemble(composed(["+agent=classifier", "data=images", f"data.path={where}", "agent.batch_size=8",
                              "model=mlp", "model.hidden=[8]", "compute.device=cpu", "compute.threads=1", *overrides]),
                    initial)


def batches(made, n):
    stream = made.experiment.stream
    found = [{name: tensor.tolist() for name, tensor in stream.next().items()} for _ in range(n)]
    stream.close()
    return found


def test_reading_late_changes_nothing(many):
    augmented = ["data.augment.flip=true", "data.augment.crop=2"]
    whole = batches(assembled(many, *augmented), 9)
    for workers in (0, 1, 2):
        late = assembled(many, *augmented, "data.memory=0", f"data.workers={workers}")
        assert batches(late, 9) == whole, f"with {workers} processes"
        assert torch.equal(late.experiment.learner.net.front.scale, assembled(many).experiment.learner.net.front.scale)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_while_training(many, tmp_path, workers):
    """The run ends with the name of the file and everything saved; mended, it goes on as if nothing had happened."""
    late = ["data.memory=0", f"data.workers={workers}", "data.valid=0"]
    whole, _ = runner(assembled(many, "data.valid=0"), tmp_path / "whole", evaluate=40)
    whole.run(Budget(updates=20))
    broken, _ = runner(assembled(many, *late), tmp_path / "broken", evaluate=40)
    broken.run(Budget(updates=7))
    broken.stream.close()
    stream = broken.stream
    path = many / stream.split.read.names[int(stream.split.rows[stream.order(1)[-1]])]
    body = path.read_bytes()
    path.write_bytes(body[:60])
    with pytest.raises(DataError, match=f"{path.parent.name}/{path.name} does not open as a picture"):
        broken.run(Budget(updates=20))
    assert stream.count == 38 + 32, "the last batch of the second epoch has not come"
    assert not multiprocessing.active_children()
    path.write_bytes(body)
    again, _ = runner(assembled(many, *late, initial=9), tmp_path / "broken", evaluate=40)
    again.load(checkpoint.newest(tmp_path / "broken", print)[1])
    assert again.stream.count == 70
    again.run(Budget(updates=20))
    again.stream.close()
    for one, two in zip(whole.learner.net.parameters(), again.learner.net.parameters(), strict=True):
        assert torch.equal(one, two)
    assert whole.stream.state_dict() == again.stream.state_dict()


def command(where, *more):
    return ["-m", "lab", "+agent=classifier", "data=images", f"data.path={where}", "agent.batch_size=8", "model=mlp",
            "compute.device=cpu", "hydra.run.dir=out", *more]


def test_from_the_command_line(many, process):
    late = ["data.memory=0", "data.workers=1"]
    done = process(*command(many, *late, "budget.epochs=2"))
    assert done.returncode == 0, done.stderr
    assert "picture of 3 x 9 x 9, 2 classes" in done.stderr and "Traceback" not in done.stderr
    more = process("-m", "lab", "resume=out", "budget.epochs=3", "data.memory=0.25")
    assert more.returncode == 0, more.stderr


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_reader_is_left_however_a_run_ends(many, tmp_path, number, code):
    """Ctrl-C goes to the whole group: those that read must not die of it before the run is saved."""
    endless = command(many, "data.memory=0", "data.workers=2", "budget.epochs=10000", "log.every=30")
    running = subprocess.Popen([sys.executable, *endless], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                               start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    log = tmp_path / "out" / "metrics.jsonl"
    until = time.monotonic() + 60
    while not (log.exists() and log.stat().st_size) and time.monotonic() < until and running.poll() is None:
        time.sleep(0.1)
    (os.killpg if number == signal.SIGINT else os.kill)(running.pid, number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == code, said
    assert code < 0 or ("stopped by SIGINT" in said and "Traceback" not in said), said
    until = time.monotonic() + 10
    while group(running.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not group(running.pid), "processes are left"


def group(leader):
    """The processes of a session."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if int(Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(name)
    return found
