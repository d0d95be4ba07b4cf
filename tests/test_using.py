"""lab predict and lab export: what was learned, used without the data; and lab eval, with it."""

import csv
import io
import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from lab.commands.predict import said
from lab.data import network
from lab.data.dataset import About
from lab.errors import Diverged, ResumeError

QUIET = ("evaluate.every=100_000", "budget.epochs=30")


@pytest.fixture
def table(tmp_path):
    """100 rows: the class is big where the size is above 3, the town does not matter."""
    rng, path = np.random.default_rng(0), tmp_path / "houses.csv"
    rows = [(f"{size:.3f}", town, "big" if size > 3 else "small")
            for size, town in zip(rng.uniform(1, 5, 100), rng.choice(["Ulm", "Bonn"], 100), strict=True)]
    path.write_text("\n".join(map(",".join, [("size", "town", "kind"), *rows])))
    return path


@pytest.fixture
def houses(once, table):
    """The folder of a run that has learned it; the data is gone."""
    run = once("houses", "+agent=classifier", "data=csv", f"data.path={table}", "data.target=kind", "model=mlp", *QUIET,
               "model.hidden=[16]", "model.norm=none", "agent.batch_size=8")
    table.unlink()
    return run


def test_rows_of_a_table_whose_columns_stand_otherwise(lab, houses, tmp_path):
    new = tmp_path / "new.csv"
    new.write_text("town,colour,size\nUlm,red,4.9\nBonn,blue,1.1\n")
    code, out, _ = lab("predict", houses, new)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [row["class"] for row in rows] == ["big", "small"]
    assert [row["input"] for row in rows] == [f"{new}:2", f"{new}:3"]
    for row in rows:
        chances = {name: float(row[f"chance of {name}"]) for name in ("big", "small")}
        assert sum(chances.values()) == pytest.approx(1) and float(row["chance"]) == max(chances.values()) > 0.9


@pytest.fixture
def digits(once):
    """A run of one epoch."""
    return once("digits", "+agent=classifier", "data=digits", "model=linear", "budget.epochs=1")


def test_a_classifier_is_evaluated_again_as_at_its_end(lab, digits):
    own = [json.loads(line)["metrics"] for line in (digits / "metrics.jsonl").read_text().splitlines()]
    before = sorted(path for path in digits.rglob("*"))
    code, out, _ = lab("eval", digits, "--json")
    found = json.loads(out)
    assert code == 0 and found["agent"] == "classifier" and found["count"] == 1294
    assert {f"eval/{name}": value for name, value in found["metrics"].items()} == {
        name: value for each in own for name, value in each.items() if name.startswith("eval/")}
    assert before == sorted(path for path in digits.rglob("*"))
    code, out, _ = lab("eval", digits)
    assert code == 0 and re.search(rf"test/accuracy +{found['metrics']['test/accuracy']:.4f}\n", out)


def test_a_classifier_is_not_evaluated_on_what_it_has_seen(lab, digits):
    """Nor over episodes."""
    for word, told in (("--episodes=3", "learns from data and plays no episodes"), ("--seed=3", "plays no episodes"),
                       ("data.test=0.5", "the training split is not what the run has learned from"),
                       ("data.split_seed=1", "the training split is not what the run has learned from"),
                       ("data.impute=mean", "data.impute is 'none' in this run and cannot become 'mean'")):
        code, out, err = lab("eval", digits, word)
        assert code != 0 and told in err and "Traceback" not in err and not out


def test_a_table_is_evaluated_as_it_was_or_with_another_test_file(lab, table, tmp_path):
    """Rows of the class that is said of them, or of the other; columns that stand otherwise would be mistaken."""
    run, later = tmp_path / "run", tmp_path / "later.csv"
    later.write_text("size,town,kind\n" + "4.9,Ulm,big\n" * 5)
    assert lab("+agent=classifier", "data=csv", f"data.path={table}", f"data.test_path={later}", "data.target=kind",
               "model=mlp", *QUIET, "model.hidden=[16]", "model.norm=none", "agent.batch_size=8",
               f"hydra.run.dir={run}")[0] == 0
    code, out, _ = lab("eval", run, "--json")
    metrics = json.loads(out)["metrics"]
    assert code == 0 and metrics["test/accuracy"] == 1 and metrics["test/auroc"] is None, "there is one class alone"
    later.write_text("size,town,kind\n" + "1.1,Ulm,big\n" * 5)
    assert json.loads(lab("eval", run, "--json")[1])["metrics"]["test/accuracy"] == 0
    lines = [line.split(",") for line in table.read_text().splitlines()]
    table.write_text("\n".join(",".join((town, size, kind)) for size, town, kind in lines))
    later.write_text("town,size,kind\nUlm,4.9,big\n")
    code, out, err = lab("eval", run)
    assert code != 0 and "put back its files" in err and not out


def test_a_network_that_has_diverged_says_nothing():
    with pytest.raises(Diverged, match="it has diverged; use an earlier checkpoint"):
        network.told(torch.tensor([[1.0, float("nan")]]))
    assert network.told(torch.tensor([[1.0, -float("inf")]])).shape == (1, 2)      # a class that cannot be
    assert network.told(torch.tensor([[1.5]], dtype=torch.bfloat16)).dtype == torch.float32


def test_as_json_in_a_file(lab, houses, tmp_path):
    new, out = tmp_path / "new.csv", tmp_path / "said.json"
    new.write_text("size,town\n4.9,Ulm\n")
    assert lab("predict", houses, new, "--out", out)[0] == 0
    (row,) = json.loads(out.read_text())
    assert row["class"] == "big" and set(row["chances"]) == {"big", "small"}


@pytest.mark.parametrize("text, told", [
    ("size\n4.9\n", "data.columns=town: {new} has no such column"),
    ("size,town\n4.9,Mars\n", "{new}, line 2, column 'town': the training data has no category 'Mars'"),
    ("size,town\n,Ulm\n", "{new}, line 2, column 'size': the number is missing"),
    ("size,town\nbig,Ulm\n", "{new}, line 2, column 'size': 'big' is no number")])
def test_what_cannot_be_predicted_from(lab, houses, tmp_path, text, told):
    new = tmp_path / "new.csv"
    new.write_text(text)
    code, out, error = lab("predict", houses, new)
    assert code == 2 and not out and told.format(new=new) in error


@pytest.mark.parametrize("name", ["new.npz", "photo.png"])
def test_files_that_are_no_tables_are_told_from_them(lab, houses, tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\xff")
    code, _, err = lab("predict", houses, tmp_path / name)
    assert code == 2 and f"{name}: this run predicts rows of csv files with the columns " in err, err


def test_pictures_by_file_and_by_folder(lab, tmp_path):
    """Two kinds, dark and bright; of another size than those that were learned from."""
    rng = np.random.default_rng(0)
    for name, low in (("dark", 0), ("bright", 160)):
        for i in range(20):
            path = tmp_path / "pictures" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(low, low + 90, (6, 6)).astype(np.uint8)).save(path)
    run, new = tmp_path / "run", tmp_path / "new"
    assert lab("+agent=classifier", "data=images", f"data.path={tmp_path / 'pictures'}", *QUIET, "model.hidden=[8]",
               "agent.batch_size=8", f"hydra.run.dir={run}")[0] == 0
    shutil.rmtree(tmp_path / "pictures")
    new.mkdir()
    for name, grey in (("a", 20), ("b", 230)):
        Image.fromarray(np.full((9, 12), grey, np.uint8)).save(new / f"{name}.png")
    code, out, _ = lab("predict", run, new, new / "a.png")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [row["class"] for row in rows] == ["dark", "bright", "dark"]
    (new / "c.png").write_bytes(b"none")
    code, _, error = lab("predict", run, new)
    assert code == 2 and f"{new / 'c.png'} does not open as a picture" in error


def test_pictures_in_an_array(lab, digits, tmp_path):
    """Bytes or floats, they are the same pictures."""
    bytes_ = np.random.default_rng(0).integers(0, 256, (300, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=bytes_)
    np.savez(tmp_path / "b.npz", x=(bytes_ / np.float32(255))[:, None])
    code, out, _ = lab("predict", digits, tmp_path / "a.npz", tmp_path / "b.npz")
    rows = [row.split(",") for row in out.splitlines()[1:]]
    assert code == 0 and [row[0] for row in rows[:600:299]] == [f"{tmp_path / name}" for name in
                                                               ("a.npz:1", "a.npz:300", "b.npz:299")]
    first, second = (np.array([row[2:] for row in some], float) for some in (rows[:300], rows[300:]))
    np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.parametrize("there, new, told", [
    ((20, 3), (5, 3), ""), ((20, 4, 3), (5, 4, 3), ""),
    ((20, 3), (5, 2), "an example is a table of [2]; those that were learned from are each a table of [3]"),
    ((20, 4, 3), (5, 6, 3), "a sequence of [6, 3]; those that were learned from are each a sequence of [4, 3]"),
    ((20, 3), (5, 4, 3), "an example is a sequence of [4, 3]; those that were learned from are each a table of [3]")])
def test_numbers_in_an_array(lab, tmp_path, there, new, told):
    rng, run = np.random.default_rng(0), tmp_path / "run"
    np.savez(tmp_path / "old.npz", input=rng.random(there), y=np.arange(20) % 2)
    np.savez(tmp_path / "new.npz", input=rng.random(new))
    model = "model=mlp" if len(there) == 2 else "model=gru"
    assert lab("+agent=classifier", "data=npz", f"data.path={tmp_path / 'old.npz'}", "data.x=input", model,
               "budget.updates=2", f"hydra.run.dir={run}")[0] == 0
    code, out, error = lab("predict", run, tmp_path / "new.npz")
    assert told in error and (code == 2) == bool(told) and len(out.splitlines()) == (0 if told else 6), error


def test_numbers_come_in_their_own_units(lab, tmp_path):
    path = tmp_path / "line.csv"
    path.write_text("x,y\n" + "\n".join(f"{i / 10},{1000 + 50 * i}" for i in range(200)))
    run, new = tmp_path / "run", tmp_path / "new.csv"
    assert lab("+agent=regressor", "data=csv", f"data.path={path}", "data.target=y", "model=linear", "optimizer.lr=0.1",
               *QUIET, f"hydra.run.dir={run}")[0] == 0
    new.write_text("x\n10\n")
    code, out, _ = lab("predict", run, new)
    assert code == 0 and float(out.splitlines()[1].split(",")[1]) == pytest.approx(6000, rel=0.01)


def test_exported_for_torch_it_says_the_same(lab, houses, tmp_path):
    out = tmp_path / "out"
    code, said, _ = lab("export", houses, "--format", "torch", "--out", out)
    assert code == 0 and "largest difference" in said and "batch 64" in said
    call = torch.export.load(out / "model.pt2").module()
    rows = torch.tensor([[4.9, 1.0], [1.1, 0.0], [3.2, 1.0]])
    assert call(rows).argmax(-1).tolist() == [0, 1, 0]
    assert call(rows[:1]).shape == (1, 2)


def test_exported_as_onnx_it_says_the_same(lab, houses, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    code, said, _ = lab("export", houses, "--format", "onnx", "--out", tmp_path)
    assert code == 0 and "onnx" in said
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    out = session.run(None, {"x": np.array([[4.9, 1.0], [1.1, 0.0]], np.float32)})[0]
    assert out.argmax(-1).tolist() == [0, 1]


def test_of_the_best_checkpoint_where_there_is_one(lab, houses, tmp_path):
    """Which that is stands in the newest one: a run that was killed has not said so in run.json."""
    from lab.commands import using

    run = tmp_path / "best"
    assert using.opened(houses, "predict")[-1] == 30 * 72
    assert lab("+agent=classifier", "data=iris", "model=linear", "budget.epochs=30", "evaluate.metric=accuracy",
               f"hydra.run.dir={run}")[0] == 0
    about = json.loads((run / "run.json").read_text())
    best = about["best"]["count"]
    (run / "run.json").write_text(json.dumps({**about, "best": {}}))
    assert using.opened(run, "predict")[-1] == best < about["count"] == 30 * 108
    assert using.opened(run / "checkpoints" / f"{about['count']:012}", "predict")[-1] == about["count"]
    shutil.rmtree(run / "checkpoints" / f"{best:012}")
    with pytest.raises(ResumeError, match=f"{best:012}: incomplete"):
        using.opened(run, "predict")


def test_scores_are_not_called_chances(lab, tmp_path):
    new, run = tmp_path / "new.csv", tmp_path / "run"
    new.write_text("sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5,3.4,1.4,0.2\n")
    assert lab("+agent=svm", "data=iris", f"hydra.run.dir={run}")[0] == 0
    (row,) = csv.DictReader(io.StringIO(lab("predict", run, new)[1]))
    assert row["class"] == "setosa" and float(row["score"]) == float(row["score of setosa"]) > 1
    assert not [name for name in row if "chance" in name]


def test_numbers_that_are_called_input():
    about = About("table", (1,), targets=("input", "other"))
    assert list(said(about, ["a.csv:2"], torch.tensor([[1.0, 2.0]]))) == [
        {"input": "a.csv:2", "input (predicted)": 1.0, "other": 2.0}]


@pytest.mark.parametrize("shape", [[1, 10**6, 10**6], [1, -9, 9], ["a", 9, 9], [1, 0, 9], [True, 9, 9]])
def test_a_description_that_cannot_be_is_damaged(lab, houses, tmp_path, shape):
    plain = json.loads((houses / "data.json").read_text())
    plain["about"]["shape"] = shape
    (houses / "data.json").write_text(json.dumps(plain))
    code, _, error = lab("predict", houses, tmp_path / "new.csv")
    assert code == 4 and "data.json cannot be read: an example of the shape" in error


@pytest.mark.parametrize("command", ["predict", "export"])
def test_runs_that_have_no_data(lab, dqn, tmp_path, command):
    run = tmp_path / "run"
    assert dqn("env=CartPole", "budget.steps=100", f"hydra.run.dir={run}")[0] == 0
    code, _, error = lab(command, run, *(["x.csv"] if command == "predict" else []))
    assert code == 4 and "has no data.json: it did not learn from a dataset" in error


@pytest.mark.parametrize("body", ["[]", "{}", '{"about": 3}', '{"about": {"kind": "table"}}', "nothing"])
def test_a_description_that_is_damaged(lab, houses, body):
    (houses / "data.json").write_text(body)
    code, _, error = lab("predict", houses, "x.csv")
    assert code == 4 and "data.json cannot be read" in error
