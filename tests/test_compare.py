"""`lab compare`: runs side by side, from folders that may be a stranger's."""

import csv
import json
import math
import sys

import pytest
import yaml

from lab import comparing
from lab.comparing import folded, rows, smaller_is_better
from lab.compose import composed
from lab.config import plain_of
from lab.errors import ResumeError, UsageError
from lab.recorded import clean, number, opened, runs_in


def write(path, config, **about):
    """A run folder, of which nothing but this is looked at."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    whole = {"status": "finished", "seconds": 10.0, "parameters": 1234, "started": "2026-01-01T00:00:00", "final": {}}
    (path / "run.json").write_text(json.dumps(whole | about))
    return path


def config(agent="theirs", seed=0, world="digits", **groups):
    """As one of a plugin that is not here."""
    chosen = {"agent": {"name": agent, **groups.pop("own", {})}, "data": {"name": world}, "env": None}
    return {**chosen, "seed": seed, "compute": {"device": "cpu"}, **groups}


def nets(folder, values, agent="theirs", **groups):
    """A run for each seed, with this accuracy on the test split."""
    for seed, value in enumerate(values):
        name = "-".join([agent, *(str(value) for each in groups.values() for value in each.values()), str(seed)])
        write(folder / name, config(agent, seed, **groups), final={"eval/test/accuracy": value, "eval/accuracy": 0.1})


def test_mean_and_interval_by_hand():
    """1, 2, 3: deviation 1; Student's t with 2 degrees of freedom, 4.3027, by the root of 3. For 0, 1 t is 12.7062."""
    found = folded([1.0, 2.0, 3.0])
    assert found.mean == 2 and found.interval == pytest.approx(4.302653 / math.sqrt(3), abs=1e-6)
    assert folded([0.0, 1.0]).interval == pytest.approx(12.706205 / 2, abs=1e-5)
    assert folded([5.0]).interval is None and folded([5.0, 5.0]).interval == 0 and folded([]) is None


def test_runs_that_differ_in_the_seed_or_the_machine_are_one_row(tmp_path):
    nets(tmp_path, [0.5, 0.7, 0.9])
    other = config(seed=3, compute={"device": "cuda"}, log={"every": 7})
    write(tmp_path / "gpu", other, final={"eval/test/accuracy": 0.7})
    row, = rows(map(opened, runs_in(tmp_path)))
    assert [run.seed for run in row.runs] == [0, 1, 2, 3] and row.told == {}
    assert row.folded("eval/test/accuracy").mean == pytest.approx(0.7)
    assert row.folded("seconds").mean == 10 and row.folded("eval/test/loss") is None


def test_a_row_tells_what_sets_it_apart(tmp_path):
    sgd, adam = {"name": "sgd", "lr": 0.1, "momentum": 0.9}, {"name": "adam", "lr": 0.1}
    nets(tmp_path, [0.5], model={"name": "cnn", "width": 4}, optimizer=sgd)
    nets(tmp_path, [0.6], model={"name": "mlp", "width": 8}, optimizer=adam)
    nets(tmp_path, [0.7], "other", own={"trees": 3})
    write(tmp_path / "wide", config(model={"name": "cnn", "width": 9}, optimizer=sgd))
    found = {row.first.path.name: row.told for row in rows(map(opened, runs_in(tmp_path)))}
    assert found == {"theirs-cnn-4-sgd-0.1-0.9-0": {"model": "cnn", "model.width": 4, "optimizer": "sgd"},
                     "wide": {"model": "cnn", "model.width": 9, "optimizer": "sgd"},
                     "theirs-mlp-8-adam-0.1-0": {"model": "mlp", "optimizer": "adam"}, "other-3-0": {}}


def test_a_precision_that_was_left_to_the_lab_is_the_one_that_it_took(tmp_path):
    """A run that was resumed has it in its config."""
    for seed, precision in enumerate(("auto", "fp32", "auto")):
        took = "bf16" if seed == 2 else "fp32"
        write(tmp_path / str(seed), config(seed=seed, compute={"precision": precision}), sittings=[{"precision": took}])
    assert [len(row.runs) for row in rows(map(opened, runs_in(tmp_path)))] == [2, 1]


def test_a_setting_of_the_data_is_told_of_all_agents(tmp_path):
    for seed, agent in enumerate("ab"):
        write(tmp_path / agent, config(agent, data={"name": "digits", "split_seed": seed}))
    assert [row.told for row in rows(map(opened, runs_in(tmp_path)))] == [
        {"data.split_seed": 0}, {"data.split_seed": 1}]


def test_a_run_of_before_has_the_defaults_of_today(tmp_path):
    plain = plain_of(composed(["+agent=random_forest", "data=iris"]))
    write(tmp_path / "new", plain)
    del plain["agent"]["max_features"], plain["data"]["memory"]
    write(tmp_path / "old", plain | {"seed": 1})
    row, = rows(map(opened, runs_in(tmp_path)))
    assert len(row.runs) == 2


@pytest.mark.parametrize("name, smaller", [
    ("eval/test/loss", True), ("eval/test/loss/hinge", True), ("eval/rmse", True), ("eval/test/accuracy", False),
    ("eval/return/mean", False), ("eval/inertia", True), ("eval/r2", False), ("eval/reconstruction/error", True)])
def test_what_is_better(name, smaller):
    assert smaller_is_better(name) is smaller


@pytest.mark.parametrize("metric, order", [("test/accuracy", ["b", "c", "a"]), ("test/loss", ["a", "b", "c"])])
def test_the_best_come_first(metric, order, tmp_path, lab):
    for name, accuracy, loss in (("a", 0.1, 0.1), ("b", 0.9, 0.5), ("c", 0.5, None)):
        write(tmp_path / name, config(name), final={"eval/test/accuracy": accuracy, "eval/test/loss": loss})
    code, out, _ = lab("compare", tmp_path, "--metrics", metric, "--json")
    assert code == 0 and [row["agent"] for row in json.loads(out)["rows"]] == order


def test_the_table(tmp_path, lab):
    nets(tmp_path / "runs", [0.91, 0.93, 0.95])
    nets(tmp_path / "runs", [0.97], "one")
    write(tmp_path / "runs" / "going", config("slow"), status="running", seconds=3.25, parameters=0)
    run = tmp_path / "runs" / "one-0" / "run.json"
    old = {name: value for name, value in json.loads(run.read_text()).items() if name != "parameters"}
    run.write_text(json.dumps(old))
    code, out, err = lab("compare", "runs")
    first, _, *lines = out.splitlines()
    assert code == 0 and err == "" and first.startswith("digits, best first by eval/test/accuracy (larger is better)")
    assert lines == ["agent   status   seeds  test/accuracy  seconds  parameters",
                     "one              1      0.97           10       -",
                     "theirs           3      0.930 ± 0.050  10       1,234",
                     "slow    running  1      -              3.2      -"]


def test_a_terminal_has_it_too(tmp_path, lab, monkeypatch):
    nets(tmp_path / "runs", [0.91, 0.93])
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: True, raising=False)
    code, out, _ = lab("compare", "runs/theirs-0", "runs/theirs-1", "--metrics", "accuracy")
    assert code == 0 and "theirs" in out and "0.1 ± 0" in out


def test_json_and_csv(tmp_path, lab):
    nets(tmp_path / "runs", [0.25, 0.75], optimizer={"name": "sgd", "lr": 0.5})
    nets(tmp_path / "runs", [0.5], optimizer={"name": "sgd", "lr": 1e-5})
    found = json.loads(lab("compare", "runs", "--json")[1])
    two, one = sorted(found["rows"], key=lambda row: -len(row["seeds"]))
    assert found["world"] == "digits" and two["settings"] == {"optimizer.lr": 0.5} and two["seeds"] == [0, 1]
    assert two["metrics"]["eval/test/accuracy"]["values"] == [0.25, 0.75] and len(two["runs"]) == 2
    assert one["metrics"]["eval/test/accuracy"] == {"mean": 0.5, "interval": None, "values": [0.5]}
    table = list(csv.DictReader(lab("compare", "runs", "--csv")[1].splitlines()))
    assert {row["optimizer.lr"]: (row["seeds"], row["eval/test/accuracy"]) for row in table} == \
        {"0.5": ("2", "0.5"), "1e-05": ("1", "0.5")}
    assert float(table[0]["eval/test/accuracy interval"] or table[1]["eval/test/accuracy interval"]) > 3


def test_a_metric_that_some_seeds_lack_is_marked(tmp_path, lab):
    nets(tmp_path / "runs", [0.5, None, 0.5])
    assert "0.5 ± 0 (2 of 3)" in lab("compare", "runs")[1]


def test_of_two_runs_with_one_seed_the_newer_counts(tmp_path, lab):
    for name, day in (("b", 1), ("a", 2)):
        started, final = f"2026-01-0{day}T00:00:00", {"eval/accuracy": float(day)}
        write(tmp_path / "runs" / name, config(), started=started, final=final)
    code, out, err = lab("compare", "runs", "--json")
    row, = json.loads(out)["rows"]
    assert code == 0 and row["metrics"]["eval/accuracy"]["values"] == [2.0]
    assert err == "left out: runs/b, of which there is a newer run with the same seed\n"


def test_what_did_not_finish_is_no_seed_of_what_did(tmp_path):
    write(tmp_path / "a", config(seed=0))
    write(tmp_path / "b", config(seed=1), status="diverged")
    assert sorted(row.first.status for row in rows(map(opened, runs_in(tmp_path)))) == ["diverged", "finished"]


def test_runs_of_different_worlds_are_refused(tmp_path, lab):
    for name in ("digits", "iris"):
        write(tmp_path / "runs" / name, config(world=name))
    code, out, err = lab("compare", "runs")
    assert code == 2 and out == "" and "digits (1, such as runs/digits), iris (1, such as runs/iris)" in err
    for name in ("a", "b"):
        write(tmp_path / "csv" / name, config(data={"name": "csv", "path": f"{name}.csv"}))
    assert "csv a.csv (1" in lab("compare", "csv")[2], "another file is other data"


@pytest.mark.parametrize("words, text", [
    (("compare",), "the following arguments are required: RUN"), (("compare", "nowhere"), "nowhere: it does not exist"),
    (("compare", "empty"), "empty: there is no run in it"), (("compare", "file"), "file: it is no folder"),
    (("compare", "runs", "--metrics", "test/acuracy"), "Did you mean 'eval/test/accuracy'?"),
    (("compare", "torn"), "torn is not a run folder: it has no readable run.json"),
    (("compare", "all"), "there is no run to compare that could be read"),
    (("compare", "runs", "--json", "--csv"), "not allowed with argument --json")])
def test_what_cannot_be_compared_is_refused(words, text, tmp_path, lab):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    nets(tmp_path / "runs", [0.5])
    for name in ("torn", "all/torn"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{")
    code, out, err = lab(*words)
    assert code == 2 and text in err and out == ""


@pytest.mark.parametrize("config_text", [
    "agent: {name: x, _target_: os.system}\ndata: {name: digits}\n", "!!python/object/apply:os.system [ls]\n",
    "agent: x\ndata: {name: digits}\n", "agent: {name: 3}\ndata: {name: digits}\n", "agent: {name: x}\n", "- 1\n",
    "agent: {name: x}\nenv: {name: Gym, id: 'os:system'}\n"])
def test_a_folder_with_a_strange_config_is_left_out(config_text, tmp_path, lab):
    nets(tmp_path / "runs", [0.5])
    (write(tmp_path / "runs" / "odd", config()) / "config.yaml").write_text(config_text)
    code, out, err = lab("compare", "runs")
    assert code == 0 and "theirs" in out and err.startswith("left out: ") and "runs/odd" in err
    with pytest.raises(ResumeError):
        opened(tmp_path / "runs" / "odd")


def test_strange_values_are_no_numbers_and_strange_names_do_nothing_to_a_terminal(tmp_path):
    final = {"a": "1", "b": True, "c": 10**400, "d": None, "e": [1], "f": 2, "g\x1b[2J": 1.5}
    found = opened(write(tmp_path / "run", config("a\x1b]0;x\x07"), final=final, seconds="long", parameters=[1],
                         status="\x1b[31mfinished"))
    assert found.final == {"f": 2.0, "g?[2J": 1.5} and found.seconds is None and found.parameters is None
    assert "\x1b" not in found.agent + found.status and clean("ü α ok") == "ü α ok"
    assert number(float("nan")) is None and number(float("inf")) is None and number(-3) == -3.0


def test_other_metrics_of_an_evaluation_where_the_main_ones_are_missing(tmp_path):
    write(tmp_path / "a", config(), final={"eval/fid": 3.0, "loss/train": 1.0})
    found = rows([opened(tmp_path / "a")])
    assert comparing.metrics_of(found, []) == ["eval/fid"]
    assert comparing.metrics_of(found, ["loss/train"]) == ["loss/train"]
    with pytest.raises(UsageError, match="no run has it"):
        comparing.metrics_of(found, ["train"])


def test_rows_are_sorted_by_a_metric_that_all_of_them_have(tmp_path, lab):
    """A likelihood model has a loss and classes, an adversarial one has none; both have a distance."""
    write(tmp_path / "vae", config("vae"), final={"eval/test/loss": 90.0, "eval/test/made/frechet": 30.0})
    write(tmp_path / "gan", config("gan"), final={"eval/test/made/frechet": 20.0, "eval/test/made/accuracy": 0.9})
    found = rows([opened(tmp_path / name) for name in ("vae", "gan")])
    names = [name.removeprefix("eval/test/") for name in comparing.metrics_of(found, [])]
    assert names == ["made/frechet", "made/accuracy", "loss"]
    said = lab("compare", tmp_path)[1]
    assert "best first by eval/test/made/frechet (smaller is better)" in said and said.index("gan") < said.index("vae")


@pytest.mark.parametrize("tokens, names", [
    ("chars", ["accuracy", "loss", "perplexity"]), ("words", [])])
def test_figures_of_other_tokens_are_no_measure(tmp_path, lab, tokens, names):
    """Of a language model; what a classifier of texts finds right does not depend on its tokens."""
    whole = {"eval/loss": 3.0, "eval/accuracy": 0.3, "eval/perplexity": 20.0}
    for name, given in (("a", "chars"), ("b", tokens)):
        plain = config(name)
        plain["data"]["tokenizer"] = given
        write(tmp_path / "lm" / name, plain, final=whole)
        write(tmp_path / "classifier" / name, plain, final={"eval/accuracy": 0.3})
    found = [rows([opened(tmp_path / kind / name) for name in "ab"]) for kind in ("lm", "classifier")]
    assert comparing.metrics_of(found[0], []) == [f"eval/{name}" for name in names]
    assert comparing.metrics_of(found[0], ["loss"]) == ["eval/loss"]
    assert comparing.metrics_of(found[1], []) == ["eval/accuracy"]
    assert lab("compare", tmp_path / "lm")[0] == 0


@pytest.mark.parametrize("binarize, names", [
    ("none", ["made/frechet", "made/density", "iwae/nats", "loss"]), ("draw", ["made/frechet", "made/density"])])
def test_nats_of_other_likelihoods_are_no_measure(tmp_path, binarize, names):
    """A picture in black and white is said in fewer nats than a grey one. A diffusion model has none."""
    final = {f"eval/test/{name}": 1.0 for name in ("made/frechet", "made/density", "iwae/nats", "elbo/nats", "loss")}
    for name, given in (("a", "none"), ("b", binarize), ("c", None)):
        plain = config(name)
        plain["agent"]["binarize"] = given
        write(tmp_path / name, plain, final=final if given else {"eval/test/made/frechet": 1.0})
    found = rows([opened(tmp_path / name) for name in "abc"])
    assert comparing.metrics_of(found, []) == [f"eval/test/{name}" for name in names]


def test_a_real_run_has_its_parameters(lab):
    """FrozenLake: 16 states with 4 actions."""
    for seed in (0, 1):
        code, _, err = lab("+agent=q_learning", "env=FrozenLake", "budget.steps=320", "evaluate.episodes=2",
                           "evaluate.videos=0", f"seed={seed}")
        assert code == 0, err
    code, out, _ = lab("compare", "runs", "--json")
    found = json.loads(out)
    row, = found["rows"]
    assert code == 0 and found["world"] == "FrozenLake-v1" and row["seeds"] == [0, 1]
    assert row["parameters"]["mean"] == 64 and row["metrics"]["eval/return/mean"] and row["seconds"]["mean"] > 0
