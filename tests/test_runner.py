"""The loop: what happens when, where it ends, and that neither a stop nor a look aside changes anything."""

import copy
import math
import random
import signal

import numpy as np
import pytest
import torch

from lab import runner as module
from lab import signals
from lab.best import Best
from lab.budget import Budget, Periods, after
from lab.compute import Compute
from lab.config import ComputeConfig
from lab.contract import Experiment, Learner, Stream
from lab.errors import DataError, DiskError, Diverged, EnvError, LabError
from lab.runner import Runner
from lab.state import seed_globals
from lab.testing.checks import differences

NEVER = 10**9


class Walk(Learner):
    """A point pushed by batches and by its own noise."""

    saved = ("place", "rng")

    def __init__(self, compute):
        self.place, self.rng, self.fail_at, self.done = torch.zeros(2), compute.rng("walk"), None, 0

    def update(self, batch):
        self.done += 1
        self.place = self.place + batch["x"].mean() + torch.rand(2, generator=self.rng)
        loss = self.place.sum() if self.done != self.fail_at else torch.tensor(float("nan"))
        return {"loss/x": loss, "place/y": self.place[1]}

    def logged(self, count):
        return {"explore/left": 1.0 / count}


class Drift(Stream):
    """Three steps a batch; `long` of them before the first one, with a look at the flags between them."""

    saved = ("count", "rng", "reports")
    unit = "steps"

    def __init__(self, compute, long=0):
        self.count, self.rng, self.long, self.reports, self.hook = 0, compute.rng("drift"), long, 0, lambda stream: None

    def next(self):
        self.count += 3
        while self.count < self.long:
            self.hook(self)
            signals.check()
            self.count += 3
        self.hook(self)
        self.reports += 1
        return {"x": torch.rand(4, generator=self.rng)}

    def metrics(self):
        reports, self.reports = self.reports, 0
        return {"episode/count": float(reports)}


class Record(list):
    """(what, count, updates or state, metrics) of everything that is written."""

    def log(self, count, updates, seconds, metrics):
        self.append(("log", count, updates, {name: value for name, value in metrics.items() if "time/" not in name}))

    def media(self, count, name, value):
        self.append(("media", count, name, value))

    def save(self, count, state):
        self.append(("save", count, copy.deepcopy(state), None))

    @property
    def state(self):
        return [entry[2] for entry in self if entry[0] == "save"][-1]

    def lines(self):
        return [entry for entry in self if entry[0] == "log"]


def toy(periods=(12, NEVER, NEVER), evaluators=None, closing=None, **stream):
    compute = Compute(ComputeConfig(device="cpu"), seed=3)
    experiment = Experiment(Walk(compute), Drift(compute, **stream), evaluators or {}, closing or {})
    record = Record()
    return Runner(experiment, compute, record, Periods(*periods)), record


def events(record):
    return [entry[:2] for entry in record]


def ends_equal(a, b):
    """In everything that a checkpoint holds, except seconds and what `finish` notes."""
    for part in ("learner", "stream", "meter"):
        one, other = (getattr(each, part).state_dict() for each in (a, b))
        assert str(one) == str(other)
    assert torch.equal(a.learner.place, b.learner.place) and a.updates == b.updates


def ask(stop=None, save=False):
    """What the handler of a signal does."""
    signals.FLAGS.any, signals.FLAGS.stop, signals.FLAGS.save = True, stop, save


def test_the_first_multiple_after_a_count():
    assert [after(count, 10) for count in (0, 9, 10, 11, 99)] == [10, 10, 20, 20, 100]


def test_log_then_evaluate_then_save_each_when_a_multiple_is_crossed():
    """Counts are 3, 6, 9, ...: a multiple of 5 is crossed at 6, 12, 15, 21, ...; all happens once per crossing."""
    at, record = toy((5, 10, 10), {"value": lambda: {"value": 1.0}})
    at.run(Budget(steps=33))
    seen = [(what, count, (value or {}).keys() >= {"eval/value"}) for what, count, _, value in record]
    logs, evaluations = (6, 12, 15, 21, 27, 30, 33), (12, 21, 30, 33)
    assert [count for what, count, evaluation in seen if what == "log" and not evaluation] == list(logs)
    assert [count for what, count, evaluation in seen if evaluation] == list(evaluations)
    assert [count for what, count, _ in seen if what == "save"] == [*evaluations, 33]
    assert seen[1:4] == [("log", 12, False), ("log", 12, True), ("save", 12, False)]


def test_a_batch_that_crosses_several_multiples_counts_once():
    at, record = toy((1, NEVER, 2))
    at.run(Budget(steps=9))
    assert events(record) == [("log", 3), ("save", 3), ("log", 6), ("save", 6), ("log", 9), ("save", 9)]


def test_what_is_logged_is_the_mean_since_the_last_time():
    at, record = toy((6, NEVER, NEVER))
    places = []
    update = at.learner.update
    at.learner.update = lambda batch: (update(batch), places.append(at.learner.place[1].item()))[0]
    at.run(Budget(updates=5))
    logged = [(updates, values["place/y"], values["episode/count"]) for _, _, updates, values in record.lines()]
    pairs = [sum(places[:2]) / 2, sum(places[2:4]) / 2, places[4]]
    assert logged == [(2, pytest.approx(pairs[0]), 2), (4, pytest.approx(pairs[1]), 2), (5, pytest.approx(pairs[2]), 1)]


@pytest.mark.parametrize("budget, updates, count", [
    (Budget(steps=30), 10, 30), (Budget(steps=29), 10, 30), (Budget(steps=1), 1, 3), (Budget(updates=7), 7, 21),
    (Budget(steps=30, updates=4), 4, 12), (Budget(steps=9, updates=40), 3, 9)])
def test_it_ends_at_the_first_bound(budget, updates, count):
    at, record = toy()
    at.run(budget)
    assert (at.updates, at.stream.count, at.learner.done) == (updates, count, updates)
    assert events(record)[-1] == ("save", count) and record.state["runner"]["finished"] == updates


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def test_seconds_of_all_sittings_count_together(clock):
    def sitting(state=None):
        at, record = toy()
        at.stream.hook = lambda stream: clock.__setitem__(0, clock[0] + 1.0)
        if state:
            at.load(state)
        return at, record

    at, record = sitting()
    at.run(Budget(seconds=5))
    assert at.updates == 5 and record.state["runner"]["seconds"] == 5
    clock[0] += 1e6                                       # a week between the two is nobody's training
    more, more_record = sitting(record.state)
    more.run(Budget(seconds=8))
    assert more.updates == 8 and more_record.state["runner"]["seconds"] == 8


def test_the_rate_is_of_this_window_alone(clock):
    rates = []
    at, record = toy((6, NEVER, NEVER))
    at.stream.hook = lambda stream: clock.__setitem__(0, clock[0] + (1.0 if stream.count <= 6 else 2.0))
    record.log = lambda count, updates, seconds, metrics: rates.append(metrics["time/steps_per_s"])
    at.run(Budget(updates=4))
    assert rates == [3.0, 1.5]


def test_a_whole_number_of_windows_has_no_window_without_values_at_the_end():
    at, record = toy((6, NEVER, NEVER))
    at.run(Budget(steps=12))
    assert [(count, values["episode/count"]) for _, count, _, values in record.lines()] == [(6, 2), (12, 2)]


def test_a_learner_is_asked_once_per_log():
    at, record = toy((6, NEVER, NEVER))
    at.run(Budget(steps=12))
    assert [values["explore/left"] for _, _, _, values in record.lines()] == [1 / 6, 1 / 12]


def test_at_the_end_the_closing_evaluators_too():
    film, weight = np.zeros((2, 4, 4, 3), np.uint8), torch.ones(3)
    at, record = toy((NEVER, 6, NEVER), {"a": lambda: {"a/mean": 1, "weight": weight}}, {"b": lambda: {"film": film}})
    at.run(Budget(steps=9))
    assert events(record) == [("media", 6), ("log", 6), ("log", 9), ("save", 9), ("media", 9), ("log", 9),
                              ("media", 9), ("save", 9)]
    names = [entry[2] for entry in record if entry[0] == "media"]
    assert names == ["eval/weight", "eval/weight", "eval/film"] and record.lines()[-1][3] == {"eval/a/mean": 1.0}
    assert at.final["eval/a/mean"] == 1.0 and "loss/x" in at.final and "eval/film" not in at.final


def test_closing_evaluations_that_fail_leave_the_last_weights_and_not_the_best():
    def broken():
        raise DataError("a picture of the test split does not open")

    at, record = toy((NEVER, 6, 6), {"a": lambda: {"a": -at.stream.count}}, {"b": broken})
    at.best, record.read = Best("a"), lambda count: {"learner": at.first}
    at.first = copy.deepcopy(at.learner.state_dict())
    with pytest.raises(DataError):
        at.run(Budget(steps=12))
    assert at.best.count == 6 and record.state["stream"]["count"] == 12
    assert differences(record.state["learner"], at.learner.state_dict()) == []
    assert differences(record.state["learner"], at.first) != []


@pytest.mark.parametrize("stop_at", [3, 6, 12, 21, 27])
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_during_a_batch_it_resumes_exactly(stop_at, number, code):
    look = {"a": lambda: {"a": 1.0}}
    whole, whole_record = toy((5, 10, 10), look)
    whole.run(Budget(steps=40))
    first, record = toy((5, 10, 10), look)
    first.stream.hook = lambda stream: ask(stop=number) if stream.count == stop_at else None
    with pytest.raises(signals.Stop) as stopped:
        first.run(Budget(steps=40))
    assert stopped.value.exit_code == code and first.stream.count == stop_at           # the update was finished
    assert events(record)[-1] == ("save", stop_at) and record.state["runner"]["updates"] == stop_at // 3
    signals.FLAGS.__init__()
    second, more = toy((5, 10, 10), look)
    second.load(record.state)
    second.run(Budget(steps=40))
    ends_equal(whole, second)
    assert record.lines() + more.lines() == whole_record.lines()
    assert events(record)[:-1] + events(more) == events(whole_record)


def test_a_stop_is_seen_before_an_evaluation_begins():
    looked = []
    at, record = toy((12, 12, NEVER), {"a": lambda: looked.append(at.stream.count) or {"a": 1.0}})
    at.stream.hook = lambda stream: ask(stop=signal.SIGINT) if stream.count == 12 else None
    with pytest.raises(signals.Stop):
        at.run(Budget(steps=40))
    assert looked == [] and events(record) == [("log", 12), ("save", 12)]


def test_stopped_during_the_warm_up():
    whole, whole_record = toy(long=30)
    whole.run(Budget(steps=60))
    first, record = toy(long=30)
    first.stream.hook = lambda stream: ask(stop=signal.SIGTERM) if stream.count == 12 else None
    with pytest.raises(signals.Stop):
        first.run(Budget(steps=60))
    assert first.updates == 0 and record.state["stream"]["count"] == 12
    signals.FLAGS.__init__()
    second, more = toy(long=30)
    second.load(record.state)
    second.run(Budget(steps=60))
    ends_equal(whole, second)
    assert more.lines() == whole_record.lines()


@pytest.mark.parametrize("closing", [False, True])
def test_stopped_during_an_evaluation(closing):
    """The evaluation is done again, and nothing else is."""
    def evaluator():
        signals.check()
        return {"draw": torch.rand(()).item() * 0}

    def run(ask_at):
        def asking():
            if at.stream.count == ask_at:
                ask(stop=signal.SIGINT)
            return evaluator()

        at, record = toy((12, 12, NEVER), {"a": asking})
        return at, record

    whole, whole_record = run(None)
    whole.run(Budget(steps=30))
    first, record = run(30 if closing else 12)
    with pytest.raises(signals.Stop):
        first.run(Budget(steps=30))
    signals.FLAGS.__init__()
    second, more = run(None)
    second.load(record.state)
    second.run(Budget(steps=30))
    ends_equal(whole, second)
    assert record.lines() + more.lines() == whole_record.lines()


def test_stopped_before_the_first_batch():
    at, record = toy()
    ask(stop=signal.SIGTERM)
    with pytest.raises(signals.Stop):
        at.run(Budget(steps=60))
    assert at.updates == 0 and events(record) == [("save", 0)]


def test_usr1_saves_once_and_goes_on():
    whole, _ = toy((5, NEVER, NEVER))
    whole.run(Budget(steps=60))
    at, record = toy((5, NEVER, NEVER))
    at.stream.hook = lambda stream: ask(save=True) if stream.count == 21 else None
    at.run(Budget(steps=60))
    assert [count for what, count in events(record) if what == "save"] == [21, 60]
    ends_equal(whole, at)
    assert not signals.FLAGS.any and not signals.FLAGS.save


def test_a_stop_during_a_save_on_request_is_not_lost():
    at, record = toy()
    save = record.save
    record.save = lambda count, state: (save(count, state), ask(stop=signal.SIGTERM) if count == 9 else None)
    at.stream.hook = lambda stream: ask(save=True) if stream.count == 9 else None
    with pytest.raises(signals.Stop):
        at.run(Budget(steps=60))
    assert at.stream.count == 9


@pytest.mark.parametrize("update", [1, 2, 4, 5, 6, 9])
def test_divergence_names_metric_and_update_and_is_not_saved(update):
    at, record = toy((12, NEVER, 6))
    at.learner.fail_at = update
    with pytest.raises(Diverged, match=rf"^loss/x was not finite at update {update}$"):
        at.run(Budget(updates=10))
    assert all(entry[2]["runner"]["updates"] < update for entry in record if entry[0] == "save")
    assert all(entry[2] < update for entry in record.lines())


def test_a_skipped_step_ends_the_run_at_the_next_log():
    at, record = toy((12, NEVER, NEVER))
    at.compute.skipped += 2
    with pytest.raises(Diverged, match="a loss or gradient was not finite between the updates 0 and 4"):
        at.run(Budget(updates=10))
    assert not record


def test_a_stream_that_has_nothing_yet_is_asked_again_and_signals_are_seen(monkeypatch):
    at, record = toy((NEVER, NEVER, NEVER))
    give, asked = at.stream.next, []

    def wait():
        asked.append(at.updates)
        if len(asked) == 5:
            ask(stop=signal.SIGTERM)
        return None if len(asked) < 9 else give()

    at.stream.next = wait
    with pytest.raises(signals.Stop):
        at.run(Budget(updates=3))
    assert len(asked) == 5 and at.updates == 0 and [entry[0] for entry in record] == ["save"]
    signals.FLAGS.__init__()
    at.run(Budget(updates=3))
    assert asked == [0] * 9 + [1, 2] and at.updates == 3


def test_evaluation_leaves_every_network_in_the_mode_in_which_it_was():
    """Also one that was frozen on purpose, in a list or deep inside another."""
    at, _ = toy((NEVER, 6, NEVER), {"modes": lambda: {"training": sum(each.training for each in networks)}})
    frozen, outer = torch.nn.BatchNorm1d(2), torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Dropout())
    at.learner.net, at.learner.more = outer, [{"a": torch.nn.Dropout()}, frozen]
    outer[0].eval(), frozen.eval()
    networks = [outer, *outer, at.learner.more[0]["a"], frozen]
    before = [each.training for each in networks]
    at.run(Budget(steps=9))
    assert at.final["eval/training"] == 0 and [each.training for each in networks] == before == [
        True, False, True, True, False]


@pytest.mark.parametrize("value, text", [("high", "metric eval/a is 'high'; expected a number"),
                                         (None, "metric eval/a is None; expected a number")])
def test_a_metric_that_is_no_number_is_named(value, text):
    at, _ = toy((NEVER, 6, NEVER), {"a": lambda: {"a": value}})
    with pytest.raises(LabError, match=text):
        at.run(Budget(steps=9))
    assert "eval/a" not in at.final


def test_metrics_of_other_kinds_are_numbers_too():
    at, record = toy((NEVER, 6, NEVER), {"a": lambda: {"a": np.float32(0.5), "b": True, "c": np.int64(3)}})
    at.run(Budget(steps=9))
    assert [type(value) for value in record.lines()[-1][3].values()] == [float] * 3 and at.final["eval/c"] == 3.0


def test_a_skipped_step_is_named_by_its_update_where_that_is_known():
    at, record = toy((12, NEVER, NEVER))
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    update, optimizer = at.learner.update, torch.optim.SGD([weight], 0.1)

    def improve(batch):
        at.compute.minimize(weight.sum() * (math.nan if at.updates in (2, 3) else 1.0), optimizer)
        return update(batch)

    at.learner.update = improve
    with pytest.raises(Diverged, match="a loss or gradient was not finite at update 3"):
        at.run(Budget(updates=10))
    assert not record


def test_a_stop_does_not_save_what_diverged():
    at, record = toy()
    at.learner.fail_at = 2
    at.stream.hook = lambda stream: ask(stop=signal.SIGINT) if stream.count == 9 else None
    with pytest.raises(Diverged):
        at.run(Budget(updates=10))
    assert not record


@pytest.mark.parametrize("first", [5, 12, 15, 30])
def test_a_larger_budget_goes_on_as_though_it_had_been_there_from_the_start(first):
    whole, _ = toy((5, NEVER, 10))
    whole.run(Budget(steps=60))
    once, record = toy((5, NEVER, 10))
    once.run(Budget(steps=first))
    more, _ = toy((5, NEVER, 10))
    more.load(record.state)
    more.run(Budget(steps=60))
    ends_equal(whole, more)


def test_a_finished_run_has_nothing_left_to_do():
    at, record = toy((5, 5, 5), {"a": lambda: {"a": 1.0}})
    at.run(Budget(steps=30))
    again, more = toy((5, 5, 5), {"a": lambda: {"a": 1.0}})
    again.load(record.state)
    again.run(Budget(steps=30))
    assert more == [] and again.final == at.final


def noisy():
    torch.rand(7), np.random.rand(3), torch.manual_seed(0)
    return {"noise": 1.0}


def raising():
    noisy()
    raise ValueError("the evaluator")


def test_evaluation_is_not_noticed():
    often, _ = toy((12, 3, NEVER), {"noise": noisy})
    never, _ = toy()
    for at in (often, never):
        torch.manual_seed(5)
        at.run(Budget(steps=30))
        at.drawn = torch.rand(3)
    ends_equal(often, never)
    assert torch.equal(often.drawn, never.drawn)


def test_an_evaluator_that_raises_ends_the_run_and_leaves_the_generators():
    at, _ = toy((NEVER, 6, NEVER), {"bad": raising})
    torch.manual_seed(5)
    with pytest.raises(ValueError, match="the evaluator"):
        at.run(Budget(steps=30))
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3)) and torch.is_grad_enabled()


def test_networks_are_in_evaluation_mode_meanwhile():
    """Those that were training, also where an evaluator raises."""
    def look():
        seen.append([net.training for net in nets])
        if len(seen) == 2:
            raise ValueError
        return {"a": 1.0}

    seen, nets = [], [torch.nn.Dropout(), torch.nn.Dropout().eval()]
    at, _ = toy((NEVER, 6, NEVER), {"a": look})
    at.learner.net, at.learner.frozen = nets
    with pytest.raises(ValueError):
        at.run(Budget(steps=30))
    assert seen == [[False, False]] * 2 and [net.training for net in nets] == [True, False]


def test_evaluation_makes_no_graph():
    at, _ = toy((NEVER, 6, NEVER), {"grad": lambda: {"on": float(torch.is_grad_enabled())}})
    at.run(Budget(steps=6))
    assert at.final["eval/on"] == 0


def test_an_environment_that_fails_leaves_the_learner_saved():
    def fail(stream):
        if stream.count == 15:
            raise EnvError("it fell over")

    at, record = toy((5, 5, NEVER), {"a": lambda: {"a": 1.0}})
    at.stream.hook = fail
    with pytest.raises(EnvError, match="it fell over"):
        at.run(Budget(steps=30))
    assert record.state["runner"]["updates"] == 4
    again, more = toy((5, 5, NEVER), {"a": lambda: {"a": 1.0}})
    again.load(record.state)
    again.run(Budget(steps=30))
    assert more.lines()[0][2] == 5                        # the half step is no reason to log


def test_another_error_saves_nothing():
    at, record = toy()
    at.learner.update = lambda batch: 1 / 0
    with pytest.raises(ZeroDivisionError):
        at.run(Budget(steps=30))
    assert record == []


def test_a_failed_save_on_a_stop_is_told():
    at, record = toy()

    def save(count, state):
        raise DiskError("full")

    record.save = save
    ask(stop=signal.SIGINT)
    with pytest.raises(DiskError, match="full"):
        at.run(Budget(steps=30))


def test_global_generators_go_on_after_a_resume():
    """A plugin of others may draw from them."""
    def drawing(seed):
        seed_globals(seed)
        at, record = toy()
        update = at.learner.update
        at.learner.update = lambda batch: update({"x": batch["x"] + torch.rand(4) + np.random.rand() + random.random()})
        return at, record

    whole, _ = drawing(1)
    whole.run(Budget(steps=30))
    first, record = drawing(1)
    first.run(Budget(steps=15))
    second, _ = drawing(9)
    second.load(record.state)
    second.run(Budget(steps=30))
    ends_equal(whole, second)
