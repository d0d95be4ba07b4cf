"""Classification and regression: measures by hand, the step that is taken, and what data and model must have."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from lab import figures, metrics, reports
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.data.network import Network
from lab.errors import ResumeError, UsageError
from lab.testing import maker
from lab.testing.checks import bf16_is_finite, resume_is_exact
from lab_supervised.learner import Predictor
from lab_supervised.plugin import Classifier
from lab_supervised.supervised import Rescaled, balanced, hits, weight_of

# Said 0, 1, 2, 0; true 0, 1, 1, 2: of class 0 one of two that were said is right, and so on.
LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [2.0, 0.0, 0.0]])
Y = torch.tensor([0, 1, 1, 2])
RIGHT, WRONG = (-math.log(math.exp(each) / (math.e**2 + 2)) for each in (2, 0))


def test_measures_of_classes_by_hand():
    found = metrics.classification(LOGITS, Y)
    expected = {"loss": (2 * RIGHT + 2 * WRONG) / 4, "accuracy": 1 / 2, "precision/micro": 1 / 2,
                "precision/macro": (1 / 2 + 1 + 0) / 3, "recall/macro": (1 + 1 / 2 + 0) / 3,
                "f1/macro": (2 / 3 + 2 / 3 + 0) / 3, "f1/micro": 1 / 2, "recall/micro": 1 / 2}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    assert found["ece"] == pytest.approx(math.e**2 / (math.e**2 + 2) - 1 / 2, abs=1e-6), "all are as sure"


def test_among_the_first_two_by_hand():
    logits = torch.tensor([[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [2.0, 1.0, 3.0]])
    found = metrics.classification(logits, torch.tensor([1, 0, 2]), top_k=2)
    assert (found["accuracy"], found["accuracy_top2"]) == pytest.approx((1 / 3, 2 / 3))
    assert "accuracy_top3" not in metrics.classification(logits, torch.tensor([1, 0, 2]), top_k=3), "all are right"


def test_measures_of_each_class_by_hand():
    found = metrics.per_class(LOGITS, Y, ["a", "b c", "d"])
    assert found == pytest.approx({"precision/a": 0.5, "recall/a": 1.0, "f1/a": 2 / 3, "precision/b_c": 1.0,
                                   "recall/b_c": 0.5, "f1/b_c": 2 / 3, "precision/d": 0.0, "recall/d": 0.0,
                                   "f1/d": 0.0})


def test_a_class_that_does_not_occur_takes_no_part_in_the_area():
    """Both others are in a perfect order; of one class alone there is no order."""
    logits = torch.tensor([[9.0, 0, 0], [0, 9, 0], [8, 0, 0]])
    assert metrics.classification(logits, torch.tensor([0, 1, 0]))["auroc"] == pytest.approx(1)
    assert math.isnan(metrics.classification(logits, torch.tensor([0, 0, 0]))["auroc"])


@pytest.mark.parametrize("names", [["a", "a!", "a_1"], ["macro", "micro", "x"], ["a", "a", "a_0", "a_1_"],
                                   ["", "1", ""]])
def test_names_differ_whatever_they_are(names):
    found = metrics.slugs(names)
    assert len(set(found)) == len(names) and not {"macro", "micro", ""} & set(found)


@pytest.mark.parametrize("names", [["$10_$20", "$20_$30"], ["$a^b^c$", "_hidden"], ["\\frac", "$"]])
def test_names_of_classes_are_drawn_as_they_are(names):
    report = reports.classes_report(LOGITS[:, :2], torch.tensor([0, 1, 1, 0]), names)
    assert report["confusion"].std() > 10
    figures.captioned([np.zeros((2, 2))], [names[0]])


def test_no_two_classes_share_a_name():
    assert metrics.slugs(["cat", "a b", "a-b", "a/b", "猫", "犬"]) == ["cat", "a_b_1", "a-b", "a_b_3", "4", "5"]


def test_the_areas_of_a_perfect_order_are_1_and_of_the_opposite_0():
    chances, y = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]), torch.tensor([0, 0, 1])
    assert metrics.classification(chances.log(), y)["auroc"] == pytest.approx(1)
    assert metrics.classification(chances.log(), y)["ap"] == pytest.approx(1)
    assert metrics.classification(chances.log(), 1 - y)["auroc"] == pytest.approx(0)


def test_measures_of_numbers_by_hand():
    out, y = torch.tensor([[1.0], [2.0], [6.0]]), torch.tensor([[1.0], [4.0], [4.0]])
    found = metrics.regression(out, y, torch.tensor([2.0]), ["price"])
    assert found == pytest.approx({"loss": 8 / 3 / 4, "mae": 4 / 3, "rmse": math.sqrt(8 / 3), "r2": 1 - 8 / 6})


def test_several_numbers_are_measured_each_in_its_unit():
    out, y = torch.tensor([[1.0, 100.0], [3.0, 500.0]]), torch.tensor([[1.0, 300.0], [5.0, 500.0]])
    found = metrics.regression(out, y, torch.tensor([1.0, 100.0]), ["a", "b"])
    assert found == pytest.approx({
        "loss": (4 / 2 + 4 / 2) / 2, "mae/a": 1, "mae/b": 100, "rmse/a": math.sqrt(2), "rmse/b": math.sqrt(20000),
        "r2/a": 1 - 4 / 8, "r2/b": 1 - 40000 / 20000, "r2": (0.5 - 1) / 2})


def test_counts_of_a_curve_by_hand():
    """Of the chances 0.2, 0.6 and 0.9, the first and the last being there."""
    counts = reports.counted(torch.tensor([0.2, 0.6, 0.9]), torch.tensor([True, False, True]))
    at = {threshold: tuple(each[threshold] for each in counts) for threshold in (0, 50, 95)}
    assert at == {0: (2, 1, 0, 0), 50: (1, 1, 0, 1), 95: (0, 0, 1, 2)}


def test_bins_of_confidence_by_hand():
    chances = torch.tensor([[0.5, 0.5], [0.52, 0.48], [0.01, 0.99]])
    confidence, accuracy, counts = reports.binned(chances, torch.tensor([0, 1, 1]))
    assert counts.tolist() == [0] * 7 + [2] + [0] * 6 + [1]
    assert (confidence[7], accuracy[7], confidence[14], accuracy[14]) == pytest.approx((0.51, 0.5, 0.99, 1.0))


def test_the_worst_mistakes_come_first():
    logits = torch.tensor([[9.0, 0.0], [1.0, 0.0], [0.0, 5.0], [2.0, 0.0]])
    assert reports.worst(logits, torch.tensor([0, 1, 0, 1])).tolist() == [2, 3, 1]
    assert reports.worst(logits, torch.tensor([0, 1, 0, 1]), most=1).tolist() == [2]
    assert not len(reports.worst(logits, torch.tensor([0, 0, 1, 0])))


def test_a_table_is_csv_whatever_the_classes_are_called():
    assert reports.table(torch.tensor([[1, 2], [3, 4]]), ["a,b", 'c"']) == \
        'true,"a,b","c"""\n"a,b",1,2\n"c""",3,4\n'


def test_a_report_has_pictures_tables_and_curves():
    found = reports.classes_report(LOGITS, Y, ["a", "b", "c"])
    assert {"confusion", "confusion_counts", "roc", "precision_recall", "reliability", "pr/a", "f1/c"} <= set(found)
    for name in ("confusion", "roc", "precision_recall", "reliability"):
        assert found[name].dtype == "uint8" and found[name].shape[2] == 3 and found[name].std() > 10
    assert found["confusion_counts"] == 'true,"a","b","c"\n"a",1,0,0\n"b",0,1,1\n"c",1,0,0\n'


def test_weights_of_classes_make_them_count_alike():
    weights = balanced(torch.tensor([6, 3, 3]))
    assert weights.tolist() == pytest.approx([2 / 3, 4 / 3, 4 / 3])


def test_hits_of_labels_and_of_shares():
    out = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert hits(out, torch.tensor([0, 1, 1]))["train/accuracy"].item() == pytest.approx(2 / 3)
    shares = torch.tensor([[0.6, 0.4], [0.9, 0.1], [1.0, 0.0]])
    assert hits(out, shares)["train/accuracy"].item() == pytest.approx(2 / 3)


def test_numbers_are_learned_on_their_own_scale():
    scale = Rescaled(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert scale(torch.tensor([[0.0, 0.0], [2.0, 2.0]])).tolist() == [[2.0, 5.0], [4.0, 7.0]]


def predictor(**settings):
    torch.manual_seed(0)
    net = Network(nn.Identity(), nn.Linear(3, 2))
    compute = Compute(ComputeConfig(device="cpu", precision="fp32"))
    sgd = torch.optim.SGD(net.parameters(), lr=0.5)
    return Predictor(net, cross_entropy, hits, sgd, Classifier(**settings), compute)


def batch(n):
    rng = torch.Generator().manual_seed(n)
    return {"x": torch.randn(n, 3, generator=rng), "y": torch.randint(2, (n,), generator=rng)}


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_in_parts_it_is_the_same_step(parts):
    whole, split = predictor(), predictor(accumulate=parts)
    for n in (7, 8, 2):
        a, b = (each.update(batch(n)) for each in (whole, split))
        assert {name: value.item() for name, value in b.items()} == \
            pytest.approx({name: value.item() for name, value in a.items()}, rel=1e-5)
    assert torch.allclose(whole.net.body.weight, split.net.body.weight, atol=1e-6)


@pytest.mark.parametrize("parts", [2, 5])
def test_in_parts_it_is_the_same_step_where_classes_are_weighted(parts):
    weights, learners = torch.tensor([1.0, 9.0]), [predictor(), predictor(accumulate=parts)]
    for each in learners:
        each.error, each.weigh = partial(cross_entropy, weight=weights), partial(weight_of, weights)
    a, b = (each.update(batch(7)) for each in learners)
    assert b["loss/train"].item() == pytest.approx(a["loss/train"].item(), rel=1e-5)
    assert torch.allclose(*(each.net.body.weight for each in learners), atol=1e-6)


def test_the_gradient_is_clipped_to_its_norm():
    learner = predictor(max_grad_norm=0.01)
    before = learner.net.body.weight.clone(), learner.net.body.bias.clone()
    learner.update(batch(8))
    moved = torch.cat([(new - old).flatten() for new, old in
                       zip((learner.net.body.weight, learner.net.body.bias), before, strict=True)])
    assert moved.norm().item() == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_the_average_of_the_weights_by_hand():
    """2/11 of what it was and 9/11 of the weights after the first step; a quarter and three, 3/12, after the second."""
    learner = predictor(ema=0.9)
    start = learner.net.body.weight.clone()
    learner.update(batch(8))
    first = learner.net.body.weight.clone()
    assert torch.allclose(learner.judged.body.weight, 2 / 11 * start + 9 / 11 * first)
    learner.update(batch(7))
    assert torch.allclose(learner.judged.body.weight,
                          0.25 * (2 / 11 * start + 9 / 11 * first) + 0.75 * learner.net.body.weight)
    assert not learner.judged.body.weight.requires_grad and learner.judged is not learner.net


VARIANTS = [("agent.ema=0.9",), ("agent.accumulate=3",), ("data.augment.mixup=0.4", "data.augment.crop=1"),
            ("model=lstm", "model.units=8"), ("model=gru", "model.units=8", "model.bidirectional=true"),
            ("model=resnet", "model.depth=8", "model.width=4"), ("model=linear", "optimizer=sgd"),
            ("agent.class_weights=balanced", "agent.label_smoothing=0.1", "optimizer=rmsprop"),
            ("data.augment.flip=true", "data.augment.cutout=2", "optimizer.schedule=step")]


@pytest.mark.parametrize("variant", VARIANTS, ids=" ".join)
def test_a_run_resumes_to_the_bit(variant, tmp_path):
    resume_is_exact(maker("classifier", *variant), tmp_path)


@pytest.mark.parametrize("variant", [VARIANTS[3], VARIANTS[5]], ids=" ".join)
def test_in_bfloat16(variant, tmp_path):
    bf16_is_finite(maker("classifier", *variant), tmp_path)


@pytest.mark.parametrize("words, text", [
    (("classifier", "data=diabetes"), r"data=diabetes has numbers to predict: use \+agent=regressor"),
    (("regressor", "data=iris"), r"data=iris has classes, such as 'setosa': use \+agent=class"),
    (("classifier", "data=iris", "model=lstm"), "model=lstm reads sequences .* table's row of 4 numbers: use "),
    (("classifier", "data=iris", "model=resnet"), r"model=resnet sees pictures, .* \[4\]: use model=mlp"),
    (("classifier", "data=iris", "data.augment.flip=true"), "data.augment.flip is for pictures"),
    (("classifier", "data=iris", "data.augment.mixup=0.2", "data.impute=mean"), "mixup mixes numbers before data"),
    (("classifier", "agent.accumulate=2", "compute.jit=compile"), "agent.accumulate=2 cuts an update in parts"),
    (("classifier", "data=iris", "data.valid=0", "evaluate.metric=accuracy"), "the test split may not choose"),
    (("classifier", "data=iris", "data.valid=0", "data.test=0", "evaluate.metric=accuracy"), "the train split may not"),
    (("classifier", "data=digits", "agent.batch_size=1", "model=mlp"), "a step has one example, by agent.batch_size")])
def test_what_does_not_fit(words, text):
    agent, *rest = words
    with pytest.raises(UsageError, match=text):
        maker(agent, *rest)()


def test_an_average_is_not_switched_on_in_a_run():
    with pytest.raises(ResumeError, match=r"agent.ema=0.9: it cannot be switched on or off"):
        predictor(ema=0.9).load_state_dict(predictor().state_dict())


def test_numbers_are_learned_from_sequences_too(tmp_path):
    """Of several lengths, by a model that reads them step by step."""
    lines = [f"{i},{i % 7 + t},{i % 5}.5" for i in range(40) for t in range(1 + i % 3)]
    path = tmp_path / "steps.csv"
    path.write_text("\n".join(["id,a,target", *lines]))
    words = ("data=sequences", f"data.path={path}", "data.task=numbers", "model=gru", "model.units=4")
    made = maker("regressor", *words)()
    learner, stream = made.experiment.learner, made.experiment.stream
    losses = [learner.update(stream.next())["loss/train"].item() for _ in range(200)]
    assert sum(losses[-10:]) < sum(losses[:10])


@pytest.mark.parametrize("batch_size", [0, 1, 50])
def test_full_batches_single_examples_and_minibatches(batch_size):
    made = maker("classifier", "data=iris", "model=linear", f"agent.batch_size={batch_size}")()
    stream = made.experiment.stream
    sizes = [len(stream.next()["x"]) for _ in range(stream.epoch_updates)]
    assert sum(sizes) == stream.epoch_length == 108
    assert set(sizes) == {0: {108}, 1: {1}, 50: {50, 8}}[batch_size]
