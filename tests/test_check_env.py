"""`lab check-env`."""

import gymnasium as gym
import pytest
from test_env_state import After, Entropy, Past, Raises

from lab.commands import check_env
from lab.env_state import same
from lab.errors import EnvError, UsageError


@pytest.fixture
def registered():
    """Environment ids "Lab<class>-v0" for as long as a test takes."""
    classes = (After, Entropy, Past, Raises)
    for each in classes:
        gym.register(f"Lab{each.__name__}-v0", each)
    yield
    for each in classes:
        del gym.registry[f"Lab{each.__name__}-v0"]


def test_check_env_says_which_way_holds_and_why_not(registered, capsys):
    assert check_env.main(["LabPast-v0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "LabPast-v0: exact by replay"
    assert "env.env" in lines[1] and "Past.Episode and is nothing in a new one" in lines[1]
    assert lines[2].startswith("  exact by episode replay  no: step 1: obs[0] was ")
    assert lines[3] == "  exact by replay          yes"
    assert lines[4].startswith("  warning: an episode depends on those before its reset(seed=...): seed ")


def test_check_env_ends_with_1_where_only_a_new_episode_is_left(registered, capsys):
    assert check_env.main(["LabEntropy-v0"]) == 1
    assert "LabEntropy-v0: episode boundary" in capsys.readouterr().out
    assert check_env.main(["FrozenLake-v1", "is_slippery=false", "map_name=8x8"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_check_env_warns_of_a_reset_that_forgets_too_little(registered, capsys):
    assert check_env.main(["LabAfter-v0"]) == 0
    assert "depends on those before its reset(seed=...): seed 5, step 0: obs[0] was" in capsys.readouterr().out


@pytest.mark.parametrize("argv, options", [
    (["FrozenLake-v1", "a=false", "b=null", "c=8x8"], {"a": False, "b": None, "c": "8x8"}),
    (["env=FrozenLake", "a=1e-3", "env.options.b=[1, 2]"], {"a": 0.001, "b": [1, 2]}),
    (["gym", "env.id=FrozenLake-v1", "a=1e3"], {"a": 1000}), (["env.id=FrozenLake-v1"], {})])
def test_check_env_reads_options_as_training_does(argv, options):
    cfg = check_env.config(argv[0], argv[1:])
    assert cfg.id == "FrozenLake-v1" and same(cfg.options, options)


def test_check_env_takes_the_keys_of_an_environment_without_options():
    assert check_env.config("Atari", ["env.game=breakout"]).game == "breakout"
    assert check_env.config("Atari", ["game=breakout"]).game == "breakout"
    assert check_env.config("+env=Atari", ["++env.game=breakout"]).game == "breakout"


def test_check_env_lets_the_environment_say_what_it_raised_where_there_is_no_signature(registered):
    gym.register("LabUnreadable-v0", dict)
    try:
        with pytest.raises(UsageError, match=r"LabUnreadable-v0 .*cannot be made: The environment must inherit"):
            check_env.main(["LabUnreadable-v0", "size=3"])
    finally:
        del gym.registry["LabUnreadable-v0"]


@pytest.mark.parametrize("argv, text", [
    (["CartPol-v1"], "Did you mean 'CartPole-v1'"), (["os:Foo-v0"], "import the module"),
    (["CartPole-v1", "vector.mode=native"], "came 'vector.mode'"), (["it's"], "is no name of an environment"),
    (["CartPole-v1", "x"], "came 'x'"), (["Atari", "env.gme=pong"], "unknown key 'env.gme'. Did you mean 'game'"),
    (["LunarLander-v3", "gravty=4"], "LunarLander-v3 has no option 'gravty'. Did you mean 'gravity'[?] Known: cont")])
def test_check_env_refuses_a_bad_command(argv, text):
    with pytest.raises(UsageError, match=text):
        check_env.main(argv)


def test_check_env_names_what_an_environment_raised(registered):
    with pytest.raises(EnvError, match="LabRaises-v0 raised RuntimeError: the seventh step"):
        check_env.main(["LabRaises-v0"])
