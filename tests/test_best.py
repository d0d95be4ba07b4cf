"""The best evaluation: which one it is, that its checkpoint stays, and that a run ends when none is better."""

import json

import pytest

from lab.best import Best
from lab.errors import LabError, UsageError


def looked(best, values, name="eval/accuracy"):
    return [best.look({name: value}, count) for count, value in enumerate(values)]


def test_the_greatest_is_the_best_and_of_equal_ones_the_first():
    best = Best("accuracy")
    assert looked(best, [0.2, 0.5, 0.4, 0.5, 0.6]) == [True, True, False, False, True]
    assert (best.value, best.count, best.waited) == (0.6, 4, 0)


@pytest.mark.parametrize("name", ["loss", "test/rmse", "eval/loss"])
def test_of_a_loss_the_least(name):
    best = Best(name)
    assert looked(best, [2.0, 3.0, 1.0], f"eval/{name.removeprefix('eval/')}") == [True, False, True]


def test_what_is_no_number_is_never_the_best():
    assert looked(Best("accuracy"), [float("nan"), 0.1, float("nan"), 0.2]) == [False, True, False, True]


def test_patience_counts_evaluations_since_the_best():
    best, over = Best("accuracy", patience=2), []
    for count, value in enumerate([0.5, 0.4, 0.6, 0.6, 0.5]):
        best.look({"eval/accuracy": value}, count)
        over.append(best.over)
    assert over == [False, False, False, False, True]


def test_by_another_metric_than_before_it_begins_anew(caplog):
    old, same, other, none = Best("accuracy"), Best("accuracy"), Best("loss"), Best()
    looked(old, [0.2, 0.6, 0.5])
    for best in (same, other, none):
        best.load_state_dict(old.state_dict())
    assert (same.value, same.count, same.waited) == (0.6, 1, 1)
    assert other.metric == "loss" and looked(other, [3.0, 2.0], "eval/loss") == [True, True]
    assert none.count == -1 and none.describe() == {}
    assert "evaluate.metric was accuracy, and is loss now" in caplog.text


def test_a_metric_that_is_not_there():
    with pytest.raises(LabError, match=r"evaluate.metric=acuracy is in no evaluation. Did you mean 'accuracy'"):
        Best("acuracy").look({"eval/accuracy": 0.5, "loss/train": 1.0}, 1)


def test_without_a_metric_nothing_is_looked_at():
    best = Best()
    assert not best.look({}, 1) and not best.over and best.describe() == {}


def test_patience_needs_a_metric():
    from lab.config import EvaluateConfig

    with pytest.raises(UsageError, match=r"evaluate.patience waits for a better evaluation"):
        EvaluateConfig(patience=3)


def test_a_run_ends_early_keeps_the_best_and_is_judged_by_it(lab, tmp_path):
    """Resumed with more patience it goes on to the end of its budget."""
    run = tmp_path / "run"
    words = ("+agent=classifier", "data=iris", "model=mlp", "budget.epochs=40", "evaluate.metric=accuracy",
             "evaluate.patience=3", "checkpoint.keep=1", f"hydra.run.dir={run}")
    assert lab(*words)[0] == 0
    about = json.loads((run / "run.json").read_text())
    best, kept = about["best"], sorted(int(path.name) for path in (run / "checkpoints").glob("0*"))
    assert about["status"] == "finished" and about["count"] < 40 * 108
    assert "no better accuracy in 3 evaluations" in (run / "lab.log").read_text()
    assert lab(f"resume={run}")[0] == 0
    assert "this run is finished: no better accuracy in 3 evaluations; it goes on with" in (run / "lab.log").read_text()
    assert kept == [best["count"], about["count"]] and about["count"] - best["count"] == 3 * 108
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found = {line["count"]: line["metrics"]["eval/accuracy"] for line in lines if "eval/accuracy" in line["metrics"]}
    assert best["value"] == max(found.values()) == found[best["count"]]
    assert lab(f"resume={run}", "evaluate.patience=100")[0] == 0
    assert json.loads((run / "run.json").read_text())["count"] == 40 * 108


def test_the_test_split_does_not_choose_what_it_judges(lab):
    code, _, error = lab("+agent=classifier", "data=iris", "data.valid=0", "evaluate.metric=accuracy")
    assert code == 2 and "there is no validation split" in error and "Set data.valid above 0" in error


@pytest.mark.parametrize("words, meant", [
    (("+agent=classifier", "data=iris", "model=mlp", "evaluate.metric=acuracy"), "accuracy"),
    (("+agent=regressor", "data=diabetes", "model=mlp", "evaluate.metric=eval/rmsee"), "rmse"),
    (("+agent=dqn", "env=CartPole", "evaluate.metric=return/men"), "return/mean")])
def test_a_metric_that_no_evaluation_has_is_found_before_training(words, meant, lab, tmp_path):
    code, _, error = lab(*words, f"hydra.run.dir={tmp_path / 'run'}")
    assert code == 2 and f"is in no evaluation. Did you mean '{meant}'?" in error and not (tmp_path / "run").exists()


def test_looking_for_the_names_of_metrics_changes_nothing(lab, tmp_path):
    words = ("+agent=classifier", "data=iris", "model=mlp", "budget.epochs=2")
    for name, more in (("with", ["evaluate.metric=accuracy"]), ("without", [])):
        assert lab(*words, *more, f"hydra.run.dir={tmp_path / name}")[0] == 0
    found = [[{name: value for name, value in json.loads(line)["metrics"].items() if not name.startswith("time/")}
              for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()] for name in ("with", "without")]
    assert found[0] == found[1]
