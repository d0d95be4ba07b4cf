"""MNIST's files: read as they are packed, looked for in their places, and refused where they are damaged."""

import gzip
import hashlib
import struct
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from lab.assembly import assemble
from lab.compose import composed
from lab.errors import UsageError
from lab_data import idx
from lab_data.plugin import Idx

NAMES = [f"{prefix}-{what}" for prefix in ("train", "t10k") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
SHAPE = (2, 3)                    # of a picture


def images(n, magic=0x803, first=0):
    return struct.pack(">4I", magic, n, *SHAPE) + bytes((first + i) % 256 for i in range(n * 6))


def labels(values, magic=0x801):
    return struct.pack(">2I", magic, len(values)) + bytes(values)


def content(train=20, test=10):
    return dict(zip(NAMES, [images(train), labels([i % 10 for i in range(train)]), images(test, first=7),
                            labels([9 - i % 10 for i in range(test)])], strict=True))


@pytest.fixture
def folder(tmp_path):
    """folder(changes, pack, rename) -> path of a folder with the four files."""
    def make(changes=(), pack=True, rename=lambda name: name):
        where = tmp_path / "idx"
        where.mkdir()
        for name, body in {**content(), **dict(changes)}.items():
            if body is not None:
                (where / (rename(name) + ".gz" * pack)).write_bytes(gzip.compress(body) if pack else body)
        return where

    return make


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    """No package of the system, an empty cache, and no mirror that answers."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    for name, source in list(idx.SOURCES.items()):
        fields = {**vars(source), "system": tmp_path / "none", "mirrors": ("http://127.0.0.1:9/",)}
        monkeypatch.setitem(idx.SOURCES, name, idx.Source(**fields))


def build(path="", name="mnist"):
    return idx.build(Idx(name, path=str(path)))


@pytest.mark.parametrize("pack, rename", [(True, str), (False, str), (False, lambda name: name.replace("-idx", ".idx")),
                                          (True, lambda name: name.replace("-idx", ".idx"))])
def test_what_is_read(folder, pack, rename):
    found = build(folder(pack=pack, rename=rename))
    train, test = (found.splits[name].tensors for name in ("train", "test"))
    assert found.about.shape == (1, 2, 3) and found.about.classes == tuple("0123456789")
    assert train["x"].shape == (20, 1, 2, 3) and train["x"].dtype == torch.uint8
    assert train["x"][1].tolist() == [[[6, 7, 8], [9, 10, 11]]] and test["x"][0, 0, 0].tolist() == [7, 8, 9]
    assert train["y"].tolist() == [i % 10 for i in range(20)] and train["y"].dtype == torch.int64
    assert test["y"].tolist() == list(range(9, -1, -1))


def test_a_packed_file_without_its_suffix(folder):
    where = folder()
    for path in where.iterdir():
        path.rename(path.with_suffix(""))
    assert len(build(where).splits["train"]) == 20


def test_fashion_has_names():
    assert idx.SOURCES["fashion_mnist"].classes[0] == "T-shirt/top"
    assert idx.SOURCES["fashion_mnist"].classes[9] == "Ankle boot"
    assert all(len(source.classes) == 10 for source in idx.SOURCES.values())


IMAGES, LABELS = NAMES[:2]


@pytest.mark.parametrize("changes, message", [
    ({IMAGES: None}, f"has no file {IMAGES}.gz or {IMAGES}"),
    ({IMAGES: labels([1])}, f"{IMAGES} begins with 0x00000801, expected 0x00000803: it is no IDX file of pictures"),
    ({LABELS: images(1)}, f"{LABELS} begins with 0x00000803, expected 0x00000801: it is no IDX file of labels"),
    ({IMAGES: b""}, f"{IMAGES} begins with 0x00000000"),
    ({IMAGES: images(20)[:-1]}, rf"{IMAGES} has 135 bytes; expected 136 for the shape \[20, 2, 3\]: it is cut off"),
    ({IMAGES: images(20)[:9]}, f"{IMAGES} has 9 bytes; expected"),
    ({IMAGES: images(20) + b"1"}, f"{IMAGES} has 137 bytes; expected 136"),
    ({LABELS: labels([0] * 19)}, f"{IMAGES} has 20 pictures and .*{LABELS} 19 labels; expected as many"),
    ({LABELS: labels([0] * 18 + [10, 11])}, f"{LABELS}: example 19 has the label 10; expected 0 to 9")])
def test_mistakes_in_a_file(folder, changes, message):
    with pytest.raises(UsageError, match=message):
        build(folder(changes, pack=False))


@pytest.mark.parametrize("damage", [lambda body: body[:-9], lambda body: body[:20] + b"\xff\xff\xff" + body[23:],
                                    lambda body: body[:-8] + bytes(8)])
def test_a_damaged_archive(folder, damage):
    where = folder()
    path = where / f"{IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match=f"{IMAGES}.gz is damaged: "):
        build(where)


def test_a_truncated_archive_says_how_much_is_there(folder):
    with pytest.raises(UsageError, match="has 135 bytes unpacked; expected 136"):
        build(folder({IMAGES: images(20)[:-1]}))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"data\.path=/nowhere: there is no such file or folder"):
        build("/nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file; expected a folder"):
        build(tmp_path / "file")


# --- where they are looked for ---

def sources(monkeypatch, **changes):
    """As if the small files were the real ones."""
    packed = {f"{name}.gz": gzip.compress(body, mtime=0) for name, body in content().items()}
    fields = {"sums": {name: hashlib.md5(body).hexdigest() for name, body in packed.items()}, **changes}
    for name, source in list(idx.SOURCES.items()):
        monkeypatch.setitem(idx.SOURCES, name, idx.Source(**{**vars(source), **fields}))
    return packed


def filled(where, packed):
    where.mkdir(parents=True)
    for name, body in packed.items():
        (where / name).write_bytes(body)
    return where


@pytest.fixture
def mirror(tmp_path):
    """mirror(files) -> address of a server that has them, and the paths that it was asked for."""
    servers = []

    def serve(files):
        asked = []

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *args):
                asked.append(self.path)

        where = filled(tmp_path / f"mirror{len(servers)}", files)
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(where))))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/", asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_no_network_says_what_to_do(tmp_path):
    with pytest.raises(UsageError) as error:
        build(name="fashion_mnist")
    said = str(error.value)
    assert said.startswith("train-images-idx3-ubyte.gz cannot be downloaded (http://127.0.0.1:9/: no connection); ")
    for what in ("data.path=FOLDER", "apt install dataset-fashion-mnist", str(tmp_path / "cache" / "fashion_mnist")):
        assert what in said
    with pytest.raises(UsageError) as error:
        build()
    assert "apt" not in str(error.value)


def test_a_package_of_the_system_comes_before_the_cache(tmp_path, monkeypatch):
    packed = sources(monkeypatch, system=tmp_path / "system")
    filled(tmp_path / "system", packed)
    found = build(name="fashion_mnist")
    assert found.notes == (f"read from {tmp_path / 'system'}",) and not (tmp_path / "cache").exists()


def test_the_path_comes_before_all(tmp_path, monkeypatch, folder):
    filled(tmp_path / "system", sources(monkeypatch, system=tmp_path / "system"))
    where = folder({IMAGES: images(20, first=99)})
    assert int(build(where, "fashion_mnist").splits["train"].tensors["x"].flatten()[0]) == 99


def test_the_cache_is_used_without_a_network(tmp_path, monkeypatch):
    filled(tmp_path / "cache" / "mnist", sources(monkeypatch))
    assert len(build().splits["test"]) == 10


def test_a_file_of_the_cache_that_is_another(tmp_path, monkeypatch):
    where = filled(tmp_path / "cache" / "mnist", sources(monkeypatch))
    (where / f"{LABELS}.gz").write_bytes(b"other")
    with pytest.raises(UsageError, match=rf"{LABELS}\.gz has the checksum 795f3202b17cb6bc3d4b771d8c6c9eaf, expected "
                                         "[0-9a-f]{32}: it is damaged or another file; remove it"):
        build()


def test_downloaded_once(tmp_path, monkeypatch, mirror):
    packed = sources(monkeypatch)
    address, asked = mirror(packed)
    sources(monkeypatch, mirrors=("http://127.0.0.1:9/", address))
    assert len(build().splits["train"]) == 20
    assert sorted(asked) == sorted(f"/{name}" for name in packed)
    assert sorted(path.name for path in (tmp_path / "cache" / "mnist").iterdir()) == sorted(packed)
    build()
    assert len(asked) == 4


def test_a_mirror_that_has_another_file(tmp_path, monkeypatch, mirror):
    packed = sources(monkeypatch)
    wrong, _ = mirror({name: b"a page that asks for money" for name in packed})
    empty, _ = mirror({})
    sources(monkeypatch, mirrors=(wrong, empty))
    with pytest.raises(UsageError, match=r"cannot be downloaded .*hash of downloaded file.*404.*data\.path="):
        build()
    right, _ = mirror(packed)
    sources(monkeypatch, mirrors=(wrong, right))
    assert len(build().splits["train"]) == 20, "nothing of the wrong one stayed in the cache"


# --- end to end ---

def test_an_agent_learns_it(folder):
    made = assemble(composed(["+agent=classifier", "data=mnist", f"data.path={folder()}", "agent.batch_size=8",
                              "model=mlp", "compute.device=cpu"]))
    batch = made.experiment.stream.next()
    assert batch["x"].shape == (8, 1, 2, 3) and batch["x"].dtype == torch.uint8
    assert made.experiment.learner.update(batch)["loss/train"].isfinite()
    assert list(made.experiment.learner.net(batch["x"]).shape) == [8, 10]


def test_from_the_command_line(folder, lab):
    code, _, said = lab("+agent=classifier", "data=fashion_mnist", f"data.path={folder()}", "budget.epochs=2",
                   "agent.batch_size=8", "model=mlp", "data.valid=0", "compute.device=cpu", "hydra.run.dir=out")
    assert code == 0, said
    assert "20 for train, 10 for test examples; picture of 1 x 2 x 3, 10 classes" in said


@pytest.mark.skipif(not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="apt install dataset-fashion-mnist")
def test_the_real_one(monkeypatch):
    monkeypatch.undo()
    found = build(name="fashion_mnist")
    assert {name: len(split) for name, split in found.splits.items()} == {"train": 60_000, "test": 10_000}
    assert torch.bincount(found.splits["train"].y).tolist() == [6000] * 10
