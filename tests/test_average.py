"""The average of a network over its steps, by hand."""

import pytest
import torch
from torch import nn

from lab.average import Average, decay_at


def norm(mean, variance, batches):
    net = nn.BatchNorm1d(1)
    net.running_mean.fill_(mean)
    net.running_var.fill_(variance)
    net.num_batches_tracked.fill_(batches)
    return net


@pytest.mark.parametrize("step, expected", [(1, 2 / 11), (2, 3 / 12), (80, 0.9), (81, 0.9), (10**6, 0.9)])
def test_the_decay_grows_up_to_its_value(step, expected):
    assert decay_at(step, 0.9) == pytest.approx(expected)


def test_running_statistics_are_averaged_and_counts_are_not():
    followed = norm(0.0, 1.0, 5)
    average = Average(followed, 0.0)
    followed.running_mean.fill_(4.0)
    average.update()
    assert average.net.running_mean.item() == 4.0                                   # a decay of 0 keeps nothing
    average.decay = 0.5
    followed.running_mean.fill_(8.0)
    followed.running_var.fill_(9.0)
    followed.num_batches_tracked.fill_(7)
    average.update()                                                                # 3/12 of what it was
    assert average.net.running_mean.item() == 0.25 * 4 + 0.75 * 8
    assert average.net.running_var.item() == 0.25 * 1 + 0.75 * 9
    assert average.net.num_batches_tracked.item() == 7


def test_what_never_changes_stays_to_the_bit():
    followed = nn.Linear(3, 3)
    average = Average(followed, 0.999)
    for _ in range(50):
        average.update()
    assert torch.equal(average.net.weight, followed.weight) and not average.net.weight.requires_grad


def test_it_comes_back_as_it_was():
    followed, other = nn.Linear(1, 1), nn.Linear(1, 1)
    average, again = Average(followed, 0.99), Average(other, 0.99)
    average.update()
    again.load_state_dict(average.state_dict())
    other.load_state_dict(followed.state_dict())
    for net, each in ((followed, average), (other, again)):
        net.weight.data.fill_(3.0)
        each.update()
    assert torch.equal(average.net.weight, again.net.weight) and again.step == 2
