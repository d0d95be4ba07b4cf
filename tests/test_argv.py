"""What is repaired on a command line before Hydra reads it, and what is refused."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lab import argv
from lab.errors import UsageError


@pytest.mark.parametrize("given, repaired", [
    ("agent=dqn", "+agent=dqn"), ("+agent=dqn", "+agent=dqn"), ("experiment=x", "+experiment=x"),
    ("env=gym", "env=gym"),
    ("agent.lr=1", "agent.lr=1"), ("+env.options.a=1", "++env.options.a=1"),
    ("env.options.a=1", "++env.options.a=1"), ("seed=1e3", "seed=1000"),
    ("budget.steps=1e6", "budget.steps=1000000"), ("budget.steps=1.5e6", "budget.steps=1500000"),
    ("a=1E+6", "a=1000000"),
    ("a=-2e3", "a=-2000"), ("a=1e-3", "a=1e-3"), ("a=1.25e1", "a=1.25e1"), ("a=1e30", "a=1e30"), ("a=e6", "a=e6"),
    ("a=1_000", "a=1_000"), ("a=", "a="), ("a=b=c", "a=b=c"), ("a=[1e6]", "a=[1e6]"), ("a=1e6x", "a=1e6x")])
def test_repaired(given, repaired):
    assert argv.repaired(given) == repaired


@pytest.mark.parametrize("value", [
    "a (1).txt", "ü.txt", "it's", r"a\'b", "a'", "die Art 🐱", ";", "a;b,c", 'a"b', "~/a"])
def test_a_word_that_hydra_cannot_read_is_quoted(value):
    parsed = OverridesParser.create().parse_override(argv.repaired(f"data.path={value}"))
    assert parsed.value() == value and not parsed.is_sweep_override()


@pytest.mark.parametrize("value", ["a,b", "[ü]", "{", "'ü'", "${seed}", "a b", "/x-1_2.txt"])
def test_what_it_can_read_or_what_is_a_list_is_left_as_it_is(value):
    assert argv.repaired(f"data.path={value}") == f"data.path={value}"


def test_a_large_number_keeps_every_digit():
    assert argv.repaired("a=9.007199254740993e15") == "a=9007199254740993"


@pytest.mark.parametrize("args, flags, overrides", [
    ([], [], []), (["a=1", "b=2"], [], ["a=1", "b=2"]), (["a=1", "-m", "b=2"], ["-m"], ["a=1", "b=2"]),
    (["--cfg", "job", "a=1", "--resolve"], ["--cfg", "job", "--resolve"], ["a=1"]), (["--cfg=job"], ["--cfg=job"], []),
    (["-c", "job", "-p", "agent"], ["-c", "job", "-p", "agent"], []), (["-sc", "query=bash"], ["-sc"], ["query=bash"]),
    (["--help", "agent=dqn"], ["--help"], ["+agent=dqn"]), (["--cfg"], ["--cfg"], [])])
def test_flags_are_told_from_overrides(args, flags, overrides):
    assert argv.split(args) == (flags, overrides)


@pytest.mark.parametrize("arg, text", [
    ("--agent=dqn", "unknown option --agent=dqn; overrides are written KEY=VALUE"), ("-x", "unknown option -x"),
    ("--config-path=evil", "unknown option"), ("-cn", "unknown option"),
    ("--experimental-rerun=run/config.pickle", "unknown option"),
    ("a='???'", "expected a value"),
    ("dqn", "'dqn' is neither a command nor KEY=VALUE"), ("~agent", "'~agent' is neither")])
def test_what_cannot_be_read_is_refused(arg, text):
    with pytest.raises(UsageError, match=text):
        argv.split(["a=1", arg])


def test_take():
    assert argv.take(["a=1", "+b=2", "b.c=4"], "b") == ("2", ["a=1", "b.c=4"])
    assert argv.take(["a=1"], "b") == (None, ["a=1"]) and argv.take(["b="], "b") == ("", [])


@pytest.mark.parametrize("doubles", [["a=1", "a=2"], ["+agent=dqn", "+agent=sac"], ["a=1", "++a=2"],
                                     ["a=1", "b=1", "+a=1"]])
def test_one_key_given_twice_is_refused(doubles):
    with pytest.raises(UsageError, match="is given twice: "):
        argv.refuse_doubles(doubles)


def test_the_same_twice_is_fine():
    argv.refuse_doubles(["a=1", "b=2", "a=1", "a.b=3"])


@pytest.mark.parametrize("overrides, jobs", [
    (["a=1"], [["a=1"]]), (["a=1,2", "b=x"], [["a=1", "b=x"], ["a=2", "b=x"]]),
    (["+agent=p,q"], [["+agent=p"], ["+agent=q"]]),
    (["a=1,2", "b=3,4"], [["a=1", "b=3"], ["a=1", "b=4"], ["a=2", "b=3"], ["a=2", "b=4"]]),
    (["a=[1,2]"], [["a=[1,2]"]]),
    (["a=range(1,4)", "b=1"], [["b=1"]]), (["a=glob(*)", "b=1"], [["b=1"]]),
    (["hydra.sweep.dir=x,y", "a=1"], [["a=1"]])])
def test_the_jobs_of_a_sweep(overrides, jobs):
    assert list(argv.expanded(overrides)) == jobs


def test_of_a_large_sweep_the_first_are_tried():
    assert len(list(argv.expanded(["a=1,2,3,4,5,6,7,8,9,10", "b=1,2,3,4,5,6,7,8,9,10"]))) == argv.TRIED


def test_a_malformed_override_is_a_usage_error():
    with pytest.raises(UsageError, match="no viable alternative"):
        list(argv.expanded(["a=[1"]))
