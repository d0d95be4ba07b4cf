"""Weights and gradients as they are watched: log.histograms=true."""

import json

import torch

from lab.assembly import parameters


class Held:
    """A network [1, 2] -> [1, 1] and one that nothing was asked of."""

    def __init__(self):
        self.net, self.idle = torch.nn.Linear(2, 1, bias=False), torch.nn.Linear(1, 1, bias=False)


def test_a_weight_its_gradient_and_that_gradients_norm():
    held = Held()
    held.net(torch.tensor([[3.0, 4.0]])).sum().backward()         # d(3 a + 4 b) = (3, 4), of norm 5
    found = parameters(held)
    assert set(found) == {"weights/net.weight", "weights/idle.weight", "gradients/net.weight",
                          "gradient_norm/net.weight"}
    assert found["weights/net.weight"] is held.net.weight and found["gradient_norm/net.weight"] == 5.0
    assert found["gradients/net.weight"].tolist() == [[3.0, 4.0]]


def test_they_are_files_and_curves_of_a_run(lab, tmp_path):
    code, _, error = lab("+agent=classifier", "data=iris", "model=linear", "budget.epochs=2", "log.histograms=true")
    assert code == 0, error
    (run,) = (tmp_path / "runs").glob("*/*/*/run.json")
    counts = [json.loads(path.read_text()) for path in run.parent.glob("media/eval/gradients/*/*.json")]
    assert any(sum(each["counts"]) == 3 for each in counts), counts      # the biases of three classes
    assert "eval/gradient_norm/" in (run.parent / "metrics.jsonl").read_text()
