"""The measures of made examples, by hand and where the answer is known."""

import math

import numpy as np
import pytest
import torch

from lab.generated import balance, duplicates, fidelity, frechet, reaches


def test_frechet_by_hand():
    """Deviations 1 and 3 about 0 and 2, in one number: 2^2 + (3 - 1)^2."""
    one, other = torch.tensor([[-1.0], [1.0]]) / math.sqrt(2), torch.tensor([[-1.0], [1.0]]) * 3 / math.sqrt(2) + 2
    assert frechet(one, other) == pytest.approx(8)


def test_frechet_is_the_formula_with_a_matrix_root():
    """By the eigenvalues of the product, which is not symmetric."""
    torch.manual_seed(0)
    one, other = torch.randn(200, 4) @ torch.randn(4, 4), torch.randn(300, 4) @ torch.randn(4, 4) + 1
    a, b = np.cov(one.double().numpy().T), np.cov(other.double().numpy().T)
    root = np.sqrt(np.linalg.eigvals(a @ b).real).sum()
    apart = ((one.double().mean(0) - other.double().mean(0)) ** 2).sum().item()
    assert frechet(one, other) == pytest.approx(apart + np.trace(a) + np.trace(b) - 2 * root)
    assert frechet(one, one) == pytest.approx(0, abs=1e-8)


def test_reaches_by_hand():
    x = torch.tensor([[0.0], [1.0], [3.0]])
    assert reaches(x, 1).tolist() == [1, 1, 2] and reaches(x, 2).tolist() == reaches(x, 9).tolist() == [3, 2, 3]


def test_what_is_made_is_what_is_real():
    x = torch.randn(300, 3)
    found = fidelity(x, x)
    assert found["precision"] == found["recall"] == found["coverage"] == 1 and found["density"] == pytest.approx(
        1.2, abs=0.05)                # each is in the surroundings of itself too: 6 of 5, on average
    assert frechet(x, x) == pytest.approx(0, abs=1e-6)


def test_one_example_again_and_again():
    """As precise as can be, and nothing is covered; every one is a duplicate."""
    real, made = torch.randn(200, 3), torch.zeros(100, 3)
    found = fidelity(real, made)
    assert found["precision"] == 1 and found["recall"] == 0 and found["coverage"] < 0.2 and duplicates(real, made) == 1


def test_noise_far_away():
    real, made = torch.randn(200, 3), torch.randn(200, 3) + 100
    found = fidelity(real, made)
    assert found == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}
    assert duplicates(real, made) < 0.05
    assert frechet(real, made) > 10_000


def test_fidelity_by_hand():
    """Real 0, 1, 2, 3, ... 6 reach 5 or so; a made one at -1 is in the surroundings of the six nearest."""
    real, made = torch.arange(7.0)[:, None], torch.tensor([[-1.0], [-100.0]])
    inside = [(distance <= reach) for distance, reach in zip((real + 1).flatten(), reaches(real), strict=True)]
    found = fidelity(real, made)
    assert found["precision"] == 0.5 and found["density"] == pytest.approx(sum(map(float, inside)) / 5 / 2)
    assert found["coverage"] == pytest.approx(sum(map(float, inside)) / 7)
    assert found["recall"] == 1       # two made examples reach over all that lies between them


def test_real_examples_that_are_there_twice_hide_no_duplicates():
    torch.manual_seed(0)
    real = torch.randn(300, 256) * 10
    made = torch.zeros(100, 256)
    assert duplicates(torch.cat([real, real[:3]]), made) == 1
    assert duplicates(torch.cat([real, real[:3]]), torch.randn(300, 256) * 10) < 0.05
    assert duplicates(torch.ones(20, 256), made) == 1         # nothing is known of how far apart they are


def test_one_stray_example_is_no_class():
    """Two classes of 50 real ones each, one example in 100 of the second; a third class that no real one has."""
    made, real = torch.tensor([0] * 98 + [1, 2]), torch.tensor([0, 1] * 50)
    found = balance(made, real, 3)
    kl = 0.98 * math.log(0.98 / 0.5) + 0.01 * math.log(0.01 / 0.5) + 0.01 * math.log(0.01 / 0.005)
    assert found == {"classes": 1, "class_kl": pytest.approx(kl)} and balance(made, real, 3, least=0)["classes"] == 2


def test_of_nothing_made_the_balance_is_the_worst():
    found = balance(torch.zeros(0, dtype=torch.int64), torch.tensor([0, 0, 0, 1]), 2)
    assert found == {"classes": 0, "class_kl": pytest.approx(math.log(4))}


@pytest.mark.parametrize("made, classes, kl", [
    ([0, 1, 2, 2], 3, 0.0), ([0, 0, 0, 0], 1, math.log(4)), ([2, 2], 1, math.log(2))])
def test_the_balance_of_classes_by_hand(made, classes, kl):
    found = balance(torch.tensor(made), torch.tensor([0, 1, 2, 2]), 4)
    assert found["classes"] == classes and found["class_kl"] == pytest.approx(kl)
