"""The classical methods: what they have learned, that a load fits the same model again, and what they refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from lab import plain
from lab.errors import ResumeError, UsageError
from lab.testing import maker
from lab_sklearn import finders, predictors
from lab_sklearn.methods import numbers

X, Y = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0], [3.0, 1.0]]), np.array([0, 0, 1, 1])


def fitted(agent, *words, **kinds):
    """An experiment whose learner has fitted once."""
    made = maker(agent, *words)(**kinds)
    made.experiment.learner.update(made.experiment.stream.next())
    return made


def answers(made, split="test"):
    learner = made.experiment.learner
    return torch.cat([learner.net(batch["x"]) for batch in learner.source.batches(split)])


def through_a_file(state):
    """As a checkpoint has it, which is JSON and tensors."""
    tensors = {}
    tree = json.loads(json.dumps(plain.flatten(state, "", tensors)))
    assert not tensors
    return plain.restore(tree, tensors)


def evaluated(made):
    """On the validation split."""
    return {name: value for evaluator in made.experiment.evaluators.values() for name, value in evaluator().items()}


def r2(made):
    """On the test split, of all targets together, and the root mean square error."""
    y = made.experiment.learner.source.splits["test"].y
    error = (answers(made) - y).square().mean()
    return float(1 - error / (y - y.mean(0)).square().mean()), float(error.sqrt())


def test_numbers_that_are_learned_by_hand():
    """A stump: column and threshold, and two leaves of two classes each."""
    assert numbers(DecisionTreeClassifier().fit(X, Y)) == 2 + 2 * 2
    stumps = RandomForestClassifier(5, max_depth=1, bootstrap=False).fit(X, Y)
    assert numbers(stumps) == 5 * (2 + 2 * 2)
    assert numbers(LogisticRegression().fit(X, Y)) == 2 + 1
    found = SVC().fit(X, Y)
    assert numbers(found) == len(found.support_) * (2 + 1) + 1
    assert numbers(KMeans(3, n_init=1).fit(X)) == 3 * 2 and numbers(PCA(1).fit(X)) == 2 + 2
    boosted = HistGradientBoostingRegressor(max_iter=4, max_leaf_nodes=2, min_samples_leaf=1).fit(X, Y)
    assert numbers(boosted) == 4 * (2 + 2)


def test_the_hinge_loss_by_hand():
    """Two classes: 1 - 3 is below 0, 1 - 0.5, and 1 + 1 on the wrong side. Three: by the best of the others."""
    two = np.array([[0.0, 3.0], [0.5, 0.0], [0.5, -0.5]])
    assert predictors.hinge(two, np.array([1, 0, 1])) == pytest.approx((0 + 0.5 + 2) / 3)
    three = np.array([[2.0, 1.5, 0.0], [0.0, 1.0, 4.0]])
    assert predictors.hinge(three, np.array([0, 1])) == pytest.approx((0.5 + 4) / 2)


def test_clusters_by_hand():
    cluster, y = np.array([0, 0, 0, 1, 1, 2]), np.array([2, 2, 0, 1, 0, 1])
    found = finders.majority(cluster, y, 4)
    assert found.tolist() == [2, 0, 1, 0], "the first of two that are as frequent, and of an empty one"
    new, true = np.array([0, 1, 2, 2]), np.array([2, 1, 1, 0])
    assert finders.agreement(new, true, found)["accuracy"] == 2 / 4
    same = finders.agreement(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1]), np.array([1, 0]))
    assert set(same.values()) == {1.0}
    near = finders.silhouette(np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1]))["silhouette"]
    assert near == pytest.approx(((10.5 - 1) / 10.5 + (9.5 - 1) / 9.5) / 2)
    assert finders.silhouette(X, np.zeros(4)) == {} and finders.silhouette(X, np.arange(4)) == {}


def test_what_components_leave_out_by_hand():
    """Points on two axes: 3 and -3 on the first, 1 and -1 on the second. The first component leaves 2 of 20."""
    x = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    found = finders.rebuilt(PCA(1).fit(x), x)
    assert found == pytest.approx({"reconstruction/error": 2 / 8, "explained_variance_ratio": 18 / 20})


@pytest.mark.parametrize("agent, words, least", [
    ("logistic_regression", ("agent.max_iter=100",), 0.94), ("random_forest", ("agent.n_estimators=100",), 0.95),
    ("svm", (), 0.98), ("decision_tree", (), 0.80), ("kmeans", ("agent.n_init=3",), 0.65)])
def test_digits_are_told_apart(agent, words, least):
    made = fitted(agent, "data=digits", *words)
    found = evaluated(made)
    assert found["accuracy"] > least and ("loss" in found) == (agent not in ("svm", "kmeans")), "scores are no chances"
    if agent != "kmeans":
        y = made.experiment.learner.source.splits["test"].y
        assert (answers(made).argmax(1) == y).float().mean() > least


@pytest.mark.parametrize("agent, words", [("linear_regression", ()), ("random_forest", ("agent.n_estimators=50",)),
                                          ("svm", ("agent.C=1",)), ("gradient_boosting", ("agent.max_iter=20",))])
def test_numbers_are_predicted(agent, words):
    """Diabetes: the mean has an R2 of 0; least squares explain half of what there is."""
    explained, error = r2(fitted(agent, "data=diabetes", *words))
    assert explained > 0.4 and 40 < error < 60


def test_linear_regression_without_a_penalty_is_least_squares():
    made = fitted("linear_regression", "data=diabetes", "agent.alpha=0", "data.test=0", "data.valid=0")
    x, y = load_diabetes(return_X_y=True)
    ones = np.hstack([x, np.ones((len(x), 1))])
    expected = ones @ np.linalg.lstsq(ones, y, rcond=None)[0]
    assert np.allclose(answers(made, "train")[:, 0], expected, rtol=1e-3)


def test_of_several_numbers_each_is_predicted(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = np.stack([10 * x[:, 0], x[:, 1] - 5], 1)
    np.savez(tmp_path / "two.npz", x=x, y=y)
    words = ("data=npz", f"data.path={tmp_path / 'two.npz'}")
    for agent in ("linear_regression", "svm", "gradient_boosting", "random_forest", "decision_tree"):
        made = fitted(agent, *words, *(("agent.min_samples_leaf=2",) if agent == "gradient_boosting" else ()))
        assert answers(made).shape == (12, 2) and r2(made)[0] > 0.4, agent


def test_a_load_fits_the_same_forest_again(monkeypatch):
    words = ("data=wine", "agent.n_estimators=20")
    made, again = fitted("random_forest", *words), maker("random_forest", *words)(initial=999)
    learner, other = made.experiment.learner, again.experiment.learner
    other.load_state_dict(through_a_file(learner.state_dict()))
    assert other.held is None and other.num_parameters() == learner.num_parameters() > 500, "not before it is used"
    assert torch.equal(answers(again), answers(made)) and other.held is not learner.held
    assert evaluated(again) == evaluated(made) and other.state_dict() == learner.state_dict()


@pytest.mark.parametrize("agent", ["random_forest", "kmeans", "svm"])
def test_a_second_fit_is_the_first_again(agent):
    made = fitted(agent, "data=wine")
    learner, stream = made.experiment.learner, made.experiment.stream
    before = answers(made)
    learner.update(stream.next())
    assert stream.count == 2 * stream.n and torch.equal(answers(made), before)
    other = answers(fitted(agent, "data=wine", "seed=7"))
    drawn = agent in ("random_forest", "kmeans")
    assert torch.equal(other, before) is not drawn, "the seed says what is drawn, where anything is"


def test_threads_change_no_bit_of_a_forest():
    one, two = (fitted("random_forest", "data=wine", "agent.n_estimators=30", f"compute.threads={n}") for n in (1, 2))
    with torch.random.fork_rng():
        assert torch.equal(answers(one), answers(two))


@pytest.mark.parametrize("words, text", [
    (("data.split_seed=1",), "the training data has changed"), (("agent.n_estimators=4",), "n_estimators=3, and is 4"),
    (("data.prepare=minmax",), "data.prepare=auto, and is minmax"), (("seed=5",), "another seed")])
def test_a_load_that_would_fit_another_model_is_refused(words, text):
    state = fitted("random_forest").experiment.learner.state_dict()
    with pytest.raises(ResumeError, match=text):
        maker("random_forest")(*words).experiment.learner.load_state_dict(state)


def test_another_scikit_learn_that_fits_another_model_is_told(caplog):
    made, again = fitted("decision_tree"), maker("decision_tree")()
    state = made.experiment.learner.state_dict() | {"learned": 7}
    again.experiment.learner.load_state_dict(state)
    answers(again)
    assert "has learned 7 numbers at the checkpoint" in caplog.text


def test_before_the_first_fit_nothing_is_judged():
    made = maker("random_forest")()
    assert evaluated(made) == {} and made.experiment.learner.num_parameters() == 0
    with pytest.raises(RuntimeError, match="not fitted yet"):
        answers(made)


def test_what_has_not_converged_is_told(caplog):
    fitted("logistic_regression", "data=wine", "agent.max_iter=2")
    assert "logistic_regression: lbfgs failed to converge after 2 iteration" in caplog.text


SEQUENCE = "id,a,target\n" + "".join(f"{i},{i % 3}.5,{'xy'[i % 2]}\n" * (2 + i % 2) for i in range(20))


@pytest.mark.parametrize("agent, words, text", [
    ("logistic_regression", ("data=diabetes",), "use +agent=linear_regression"),
    ("linear_regression", ("data=iris",), "use +agent=logistic_regression"),
    ("svm", ("data=sequences", "data.path=s.csv"), "of several lengths; use +agent=classifier"),
    ("random_forest", ("model=mlp",), "random_forest has no model"),
    ("random_forest", ("optimizer=adam",), "random_forest has no optimizer"),
    ("random_forest", ("data.augment.mixup=0.2",), "data.augment.mixup: random_forest is fitted once"),
    ("svm", ("data=diabetes", "agent.class_weight=balanced"), "data=diabetes has no classes"),
    ("kmeans", ("agent.n_clusters=500",), "agent.n_clusters is 500, and there are 108 examples"),
    ("pca", ("agent.n_components=5",), "108 examples of 4 numbers have at most 4"),
    ("pca", ("agent.n_components=1.5",), "expected a share below 1, or a whole number"),
    ("svm", ("agent.kernel=gauss",), "agent.kernel=gauss is not known"),
    ("gradient_boosting", ("agent.learning_rate=0",), "agent.learning_rate is 0.0"),
    ("random_forest", ("agent.trees=3",), "unknown key 'agent.trees'")])
def test_what_does_not_fit_is_refused(agent, words, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.csv").write_text(SEQUENCE)
    with pytest.raises(UsageError) as caught:
        maker(agent, *words)()
    assert text in str(caught.value)


def test_a_run_from_the_command_line(lab):
    """Finished, then gone on with for another epoch: the same model, with the same figures."""
    code, _, err = lab("+agent=random_forest", "data=wine", "agent.n_estimators=10", "hydra.run.dir=out")
    assert code == 0, err
    before = json.loads(Path("out/run.json").read_text())
    assert before["final"]["eval/test/accuracy"] > 0.9 and before["updates"] == 1
    assert "scikit-learn" in before["versions"]
    code, _, err = lab("resume=out", "budget.epochs=2")
    after = json.loads(Path("out/run.json").read_text())
    assert code == 0 and after["updates"] == 2 and after["parameters"] == before["parameters"] > 100, err
    clock = {name for name in after["final"] if name.startswith("time/")}
    assert {name: value for name, value in after["final"].items() if name not in clock} == \
        {name: value for name, value in before["final"].items() if name not in clock}
