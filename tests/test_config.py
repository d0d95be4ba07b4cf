"""From words on a command line to typed values: defaults, what an agent says, and what is refused."""

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from omegaconf import OmegaConf

from lab import argv
from lab.assembly import assemble, of_another
from lab.compose import composed, typed
from lab.config import LabConfig, plain_of, world_name
from lab.errors import ResumeError, UsageError
from lab.host import core_folder, host
from lab.saved_config import changed
from lab.tuned import takes

FOLDERS = (core_folder(), *host().folders.values())
YAML = sorted((file.parent.name, file.stem, file) for folder in FOLDERS for file in Path(folder).glob("*/*.yaml"))
DQN = ("+agent=dqn", "env=CartPole")


def words(*args):
    """As the command line does it."""
    _, overrides = argv.split(list(args))
    argv.refuse_doubles(overrides)
    return composed(overrides)


def refused(*args):
    with pytest.raises(UsageError) as error:
        words(*args)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    return str(error.value)


@pytest.mark.parametrize("group, name, file", YAML, ids=[f"{group}={name}" for group, name, _ in YAML])
def test_every_choice_composes_with_its_schema(group, name, file):
    needs = {"gym": ["env.id=CartPole-v1"], "csv": ["data.path=a", "data.target=b"],
             **{each: ["data.path=a"] for each in ("images", "npz", "sequences", "hf", "text", "text_labels", "pairs",
                                                  "gpt_chars", "multi30k")}}
    choice = needs.get(name, [])
    cfg = words(f"{group}={name}", *choice, *([] if group in ("agent", "experiment") else ["+agent=dqn"]))
    if group in ("agent", "env", "data", "model", "optimizer"):
        node = getattr(cfg, group)
        assert node is None if name == "none" else type(node) is host().entry(group, node.name).config
        assert name == "none" or "/schema/" in file.read_text()
    for word in ("_target_", "_partial_", "oc.env"):
        assert word not in file.read_text()


def test_every_agent_has_a_choice_and_a_budget():
    for name in host().names("agent"):
        assert ("agent", name) in {(group, stem) for group, stem, _ in YAML}
        budget = words(f"agent={name}").budget
        assert budget.steps or budget.epochs, name


def test_both_ways_of_naming_the_agent():
    assert words("agent=dqn") == words("+agent=dqn") == words("agent=dqn", "+agent=dqn")


def test_an_agent_brings_what_goes_with_it_and_the_command_line_wins():
    cfg = words("+agent=dqn")
    assert (cfg.model.name, cfg.optimizer.name, cfg.env.id, cfg.data) == ("auto", "adam", "CartPole-v1", None)
    cfg = words("optimizer=sgd", "env=Acrobot", "model.hidden=[8,9]", "+agent=dqn", "optimizer.momentum=0.5",
                "agent.batch_size=5")
    assert (cfg.optimizer.name, cfg.env.id, cfg.model.hidden) == ("sgd", "Acrobot-v1", [8, 9])
    assert cfg.optimizer.momentum == 0.5
    assert cfg.agent.batch_size == 5 and world_name(cfg) == "Acrobot-v1"


@pytest.fixture
def tuned(monkeypatch):
    table = {"default": {"budget.steps": 1100, "optimizer.lr": 0.5, "agent.batch_size": 7, "model.hidden": [3]},
             "CartPole-v1": {"budget.steps": 2200, "agent.batch_size": 9, "optimizer.lr": 0.25},
             "CartPole-v1+cnn": {"agent.batch_size": 11, "model.hidden": [4]}}
    entry = dataclasses.replace(host().entry("agent", "dqn"), tuned=table)
    monkeypatch.setitem(host().entries, ("agent", "dqn"), entry)


def tuned_values(*args):
    cfg = words("+agent=dqn", *args)
    return cfg.budget.steps, cfg.optimizer.lr, cfg.agent.batch_size, cfg.model.hidden


@pytest.mark.parametrize("args, values", [
    (["env=CartPole"], (2200, 0.25, 9, [3])), (["env=gym", "env.id=CartPole-v1"], (2200, 0.25, 9, [3])),
    (["env=Acrobot"], (1100, 0.5, 7, [3])), (["env=gym", "env.id=Unheard-v0"], (1100, 0.5, 7, [3])),
    (["env=CartPole", "optimizer.lr=0.125", "budget.steps=50"], (50, 0.125, 9, [3])),
    (["env=CartPole", "agent.batch_size=1", "model.hidden=[1,2]"], (2200, 0.25, 1, [1, 2])),
    (["env=CartPole", "optimizer=rmsprop"], (2200, 0.25, 9, [3])),
    (["env=CartPole", "optimizer=sgd"], (2200, 0.01, 9, [3])), (["env=CartPole", "model=cnn"], (2200, 0.25, 11, [4])),
    (["env=Acrobot", "model=cnn"], (1100, 0.5, 7, [3]))])
def test_tuned_values(args, values, tuned):
    assert tuned_values(*args) == values


@pytest.mark.parametrize("model, norm, dropout", [("cnn", "batch", 0.5), ("vit", "rms", 0)])
def test_values_for_a_model_that_takes_only_some_of_them_are_those_of_others(model, norm, dropout):
    row = host().entry("agent", "classifier").tuned["digits"]
    assert (row["model.norm"], row["model.dropout"]) == ("batch", 0.5)
    cfg = words("+agent=classifier", "data=digits", f"model={model}").model
    assert (cfg.norm, cfg.dropout) == (norm, dropout)


@pytest.mark.parametrize("entered, policy, refused", [
    (False, None, True), (True, None, False), (False, torch.argmax, False)])
def test_an_environment_may_be_for_what_learns_from_data_and_acts(entered, policy, refused):
    cfg = words("+agent=classifier", "env=CartPole")
    world = SimpleNamespace(used={"model", "optimizer", *(["env"] if entered else [])}, data=None)
    with pytest.raises(UsageError, match="plays no episodes") if refused else nullcontext():
        of_another(cfg, world, SimpleNamespace(policy=policy))


@pytest.mark.parametrize("agent, given", [
    ("word2vec", "model=gpt"), ("random_forest", "optimizer=adam"), ("q_learning", "model=mlp")])
def test_what_an_agent_does_not_use_is_refused(agent, given):
    with pytest.raises(UsageError, match=f"{given}: {agent} has no {given.split('=')[0]} to choose"):
        assemble(words(f"+agent={agent}", given))


@dataclasses.dataclass
class Needing:
    name: str = "needing"
    path: str = ""
    hidden: int = 1
    parts: list[int] = dataclasses.field(default_factory=list)

    def __post_init__(self):
        if not self.path or self.hidden < 0:
            raise UsageError("no path")


@pytest.mark.parametrize("row, expected", [
    ({"model.path": "x", "model.hidden": 3}, True), ({"model.hidden": -3}, True), ({"model.other": [1]}, True)])
def test_what_needs_something_of_the_user_takes_values_as_they_are(row, expected):
    """It cannot be made without a path: nothing can be said of the others."""
    assert takes(Needing, row) is expected


@pytest.mark.parametrize("row, expected", [
    ({"model.hidden": [3]}, True), ({"model.hidden": "x"}, False), ({"optimizer.hidden": "x"}, True),
    ({"model.hidden": [3], "model.activation": "odd"}, False), ({"model.norm": "batch", "model.units": 2}, True)])
def test_a_model_takes_a_row_or_nothing_of_it(row, expected):
    assert takes(host().entry("model", "mlp").config, row) is expected


@pytest.mark.parametrize("bound", ["updates=10", "epochs=10", "minutes=0.5"])
def test_another_bound_drops_the_tuned_steps_but_not_given_ones(bound, tuned):
    assert words(*DQN, f"budget.{bound}").budget.steps is None
    assert words(*DQN, f"budget.{bound}", "budget.steps=70").budget.steps == 70


def test_what_is_not_tuned_is_the_default(tuned):
    assert words(*DQN).agent.discount == host().entry("agent", "dqn").config().discount


@pytest.mark.parametrize("args, periods", [
    (["budget.steps=1000"], (10, 100, 100)), (["budget.steps=5"], (1, 1, 1)), (["budget.updates=3"], (22, 220, 220)),
    (["budget.steps=1000", "log.every=7", "checkpoint.every=9"], (7, 100, 9)),
    (["budget.minutes=1", "env=Acrobot"], (11, 110, 110))])
def test_periods_are_settled_as_numbers(args, periods, tuned):
    cfg = words("+agent=dqn", *args)
    assert (cfg.log.every, cfg.evaluate.every, cfg.checkpoint.every) == periods


def test_options_of_an_environment_are_its_own_affair():
    cfg = words("+agent=q_learning", "env=FrozenLake", "env.options.is_slippery=false", "+env.options.map_name=8x8")
    assert cfg.env.options == {"is_slippery": False, "map_name": "8x8"}


RECIPES = [name for group, name, _ in YAML if group == "experiment"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_whole_experiment_that_the_command_line_changes(name):
    needs = ["data.path=a"] if name in ("gpt_chars", "multi30k") else []
    recipe, same = words(f"experiment={name}", *needs), words(f"+experiment={name}", *needs)
    other = words(f"experiment={name}", *needs, "seed=9", "budget.steps=77")
    assert recipe == same and recipe.agent is not None
    assert (other.seed, other.budget.steps, other.agent) == (9, 77, recipe.agent)


@pytest.mark.parametrize("args, text", [
    (["+agent=dqm"], "no agent is called 'dqm'. Did you mean 'dqn'? `python -m lab --help` lists all "),
    ([], "no agent chosen; add +agent=NAME. `python -m lab --help` lists all "),
    (["+agent="], "no agent is called ''"), (["+agent=null"], "+agent=null: expected the name of a choice"),
    (["+agent=dqn", "env=Cartpol"], "no env is called 'Cartpol'. Did you mean 'CartPole'?"),
    ([*DQN, "model=mpl"], "no model is called 'mpl'. Did you mean 'mlp'?"),
    ([*DQN, "optimizer=adma"], "no optimizer is called 'adma'. Did you mean 'adam'?"),
    ([*DQN, "compute=gpu"], "no compute is called 'gpu'. Did you mean 'cpu'? Known: auto, cpu, cuda"),
    ([*DQN, "data=digitz"], "no data is called 'digitz'"),
    (["experiment=nope"], "no experiment is called 'nope'. Known: "),
    ([*DQN, "bugdet.steps=5"], "unknown key 'bugdet'. Did you mean 'budget'?"),
    ([*DQN, "sed=5"], "Did you mean 'seed'?"),
    ([*DQN, "+bugdet=5"], "unknown key 'bugdet'. Did you mean 'budget'?"),
    ([*DQN, "budget.stepz=5"], "unknown key 'budget.stepz'. Did you mean 'steps'?"),
    ([*DQN, "+budget.stepz=5"], "unknown key 'budget.stepz'. Did you mean 'steps'?"),
    ([*DQN, "++compute.devise=cpu"], "unknown key 'compute.devise'. Did you mean 'device'?"),
    ([*DQN, "agent.batchsize=5"], "unknown key 'agent.batchsize'. Did you mean 'batch_size'?"),
    ([*DQN, "+agent.batchsize=5"], "unknown key 'agent.batchsize'. Did you mean 'batch_size'?"),
    ([*DQN, "+optimizer.lrr=5"], "unknown key 'optimizer.lrr'. Did you mean 'lr'?"),
    ([*DQN, "+env.ids=x"], "unknown key 'env.ids'. Did you mean 'id'?"),
    ([*DQN, "model.hiden=[1]"], "Did you mean 'hidden'?"),
    ([*DQN, "agent.lr.x=1"], "'agent.lr'"),
    ([*DQN, "agent.learning_rate=1"], "unknown key 'agent.learning_rate'. Did you mean 'optimizer.lr'? Known: batch"),
    ([*DQN, "lr=1"], "unknown key 'lr'. Did you mean 'optimizer.lr'?"),
    ([*DQN, "agent.seed=1"], "unknown key 'agent.seed'. Did you mean 'seed'?"),
    ([*DQN, "total_timesteps=1"], "Did you mean 'budget.steps'?"),
    ([*DQN, "hidden=[4]"], "Did you mean 'model.hidden'?"),
    (["+agent=sb3_dqn", "env=CartPole", "agent.discount=1"], "Did you mean 'agent.gamma'?"),
    (["+agent=sb3_dqn", "env=CartPole", "agent.lr=1"], "Did you mean 'agent.learning_rate'?"),
    ([*DQN, "agent.lr=1", "agent.gamma=1"], "Did you mean 'optimizer.lr'?"),
    ([*DQN, "++agent.gamma=1"], "Did you mean 'agent.discount'?"),
    ([*DQN, "+gamma=1"], "Did you mean 'agent.discount'?"),
    ([*DQN, "env.max_steps=5"], "Did you mean 'max_episode_steps'?"),
    ([*DQN, "evaluate.steps=5"], "Did you mean 'max_steps'?"), ([*DQN, "log.steps=5"], "'log.steps'. Known: every"),
    ([*DQN, "data.x=1"], "data.x: no data is chosen here; data=NAME chooses one"),
    (["+agent=q_learning", "env=FrozenLake", "optimizer.lr=1"], "optimizer.lr: no optimizer is chosen"),
    ([*DQN, "model=null"], "model=null: expected the name of a choice"),
    ([*DQN, "optimizer=5", "seed=1"], "optimizer=5: expected the name of a choice"),
    ([*DQN, "budget=[1]"], "budget: expected a list where there is a list, and keys where there are keys"),
    ([*DQN, "model.hidden.0=5"], "write the whole list"),
    ([*DQN, "model.hidden=[null]"], "model.hidden[0]=null: expected a value, not null"),
    ([*DQN, "log.sinks=[null]"], "sink has no name"),
    ([*DQN, "agent.discount='value not in range'"], "agent.discount=value not in range: expected a number"),
    ([*DQN, "seed=;"], "seed=;: expected a whole number"),
    ([*DQN, "model.hidden=[ü]"], "model.hidden=[ü] cannot be read: a list is [1,2], and a word with other characters "
     "than letters from a to z, digits and . / : - _ is quoted, such as \"model.hidden=['a (1)',b]\""),
    ([*DQN, "seed=1,2"], "several values are a sweep, with -m"), ([*DQN, "+budget.steps=1"], "Write it without +"),
    ([*DQN, "agent.batch_size=abc"], "agent.batch_size=abc: expected a whole number"),
    ([*DQN, "agent.batch_size={a: 1}"], "agent.batch_size={'a': 1}: expected a whole number"),
    ([*DQN, "agent.double=maybe"], "agent.double=maybe: expected true or false"),
    ([*DQN, "budget.steps=1.5"], "budget.steps=1.5: expected a whole number"),
    ([*DQN, "seed=null"], "seed=null: expected a value, not null"),
    ([*DQN, "optimizer.lr=abc"], "optimizer.lr=abc: expected a number"),
    ([*DQN, "optimizer.schedule=[1]"], "optimizer.schedule=[1]: expected a word"),
    ([*DQN, "model.hidden=5"], "model.hidden=5: expected a list, such as [5]"),
    ([*DQN, "env.options=5"], "env.options=5: expected a mapping, such as {NAME: 5}"),
    ([*DQN, "model.hidden=[a]"], "model.hidden[0]=a: expected a whole number"),
    ([*DQN, "budget=5"], "budget=5: expected one of its keys, such as budget.steps="),
    ([*DQN, "log=1"], "log=1: expected one of its keys, such as log.every="),
    ([*DQN, "seed=-1"], "seed is -1; expected a number from 0 to 9,223,372,036,854,775,807"),
    ([*DQN, "seed=1e18"], "seed=1e+18: expected a whole number"),
    ([*DQN, "seed=9223372036854775808"], "seed is 9223372036854775808"),
    ([*DQN, "budget.steps=0"], "budget.steps is 0; expected"),
    ([*DQN, "budget.steps=-5"], "budget.steps is -5"), ([*DQN, "budget.minutes=0"], "budget.minutes is 0.0"),
    ([*DQN, "budget.minutes=nan"], "budget.minutes is nan"), ([*DQN, "budget.updates=0"], "budget.updates is 0"),
    ([*DQN, "budget.steps=null"], "no budget: say how long to train with budget.steps="),
    ([*DQN, "optimizer.lr=0"], "optimizer.lr is 0.0; expected a number above 0 and at most 10"),
    ([*DQN, "optimizer.lr=nan"], "optimizer.lr is nan"), ([*DQN, "optimizer.lr=11"], "optimizer.lr is 11.0"),
    ([*DQN, "agent.discount=1.5"], "agent.discount is 1.5; expected a number from 0 to 1"),
    ([*DQN, "agent.batch_size=64", "agent.buffer_size=32"], "agent.buffer_size is 32; expected at least 64: "),
    ([*DQN, "agent.num_envs=50", "agent.buffer_size=128"], "agent.buffer_size is 128; expected at least 1,050: "),
    ([*DQN, "evaluate.every=0"], "evaluate.every is 0"), ([*DQN, "checkpoint.keep=0"], "checkpoint.keep is 0"),
    ([*DQN, "log.every=-1"], "log.every is -1"), ([*DQN, "evaluate.episodes=0"], "evaluate.episodes is 0"),
    ([*DQN, "compute.precision=fp16"], "compute.precision=fp16 is not known. Did you mean 'bf16'?"),
    ([*DQN, "compute.jit=fast"], "compute.jit=fast is not known. Known: compile, eager, graph"),
    ([*DQN, "optimizer.schedule=liner"], "optimizer.schedule=liner is not known. Did you mean 'linear'?"),
    ([*DQN, "optimizer.schedule=linear", "optimizer.decay=0"], "optimizer.decay is 0; expected a number from 1"),
    ([*DQN, "optimizer=sgd", "optimizer.nesterov=true"], "optimizer.nesterov=true needs optimizer.momentum above 0"),
    ([*DQN, "model.activation=rely"], "model.activation=rely is not known. Did you mean 'relu'?"),
    (["+agent=dqn", "env=gym"], "env.id is missing"), ([*DQN, "agent.name=sarsa"], "write agent=sarsa"),
    ([*DQN, "env.name=box"], "env.name=box: the name belongs to the choice; write env=box"),
    ([*DQN, "model.hidden=[1"], "model.hidden=[1 cannot be read: a list is [1,2], and a word with"),
    (["+agent=dqn", "agent=sarsa"], "agent is given twice"), (["+agent=dqn,sarsa"], "Ambiguous value"),
    ([*DQN, "seed=1", "seed=2"], "seed is given twice: seed=1 and seed=2")],
    ids=lambda case: "-" if isinstance(case, str) else " ".join(case))
def test_refused_in_one_line_with_the_nearest_right_name(args, text):
    assert text in refused(*args)


def test_a_plugin_that_was_left_out_is_remembered_where_its_name_is_missed(monkeypatch):
    from lab.host import Found
    monkeypatch.setattr(host(), "quarantined", [Found("sac", "lab-sac", "1.0", reason="it needs pluglab>=9")])
    assert "The plugin 'sac' was left out: it needs pluglab>=9." in refused("+agent=sac")


@pytest.mark.parametrize("agent", host().names("agent"))
def test_written_and_read_again_it_is_the_same(agent):
    cfg = words(f"agent={agent}", "seed=3")
    text = OmegaConf.to_yaml(OmegaConf.create(plain_of(cfg)))
    again = typed(yaml.safe_load(text))
    assert again == cfg and type(again.agent) is type(cfg.agent) and "${" not in text


@pytest.mark.parametrize("plain", [None, 3, "x", [], {}, {"agent": 3}, {"agent": {"name": 3}},
                                   {"agent": {"name": "dqm"}},
                                   {"agent": {"name": ["dqn"]}}, {1: 2}, {"agent": {"name": "dqn"}, "budget": []}])
def test_plain_data_of_another_shape_is_refused(plain):
    with pytest.raises(UsageError):
        typed(plain)


@pytest.fixture(scope="module")
def saved():
    return words(*DQN, "budget.steps=1000")


def test_a_resume_keeps_what_was_settled(saved):
    cfg = changed(saved, ["budget.steps=5000", "optimizer.lr=0.125", "log.sinks=[]", "agent=dqn", "env.id=CartPole-v1",
                          "seed=0"])
    assert (cfg.budget.steps, cfg.optimizer.lr, cfg.log.every, cfg.checkpoint.every) == (5000, 0.125, 10, 100)
    assert saved.budget.steps == 1000


@pytest.mark.parametrize("override, kind, text", [
    ("seed=1", ResumeError, "seed is 0 in this run and cannot become 1; start a new one for that"),
    ("env.id=Acrobot-v1", ResumeError, "env.id is 'CartPole-v1' in this run"),
    ("agent=sarsa", ResumeError, "belongs to agent 'dqn'"),
    ("+agent=sarsa", ResumeError, "belongs to agent 'dqn', not 'sarsa'"),
    ("model=cnn", ResumeError, "belongs to model 'auto'"),
    ("env=gym", None, ""), ("budget.stepz=1", UsageError, "unknown key 'budget.stepz'. Did you mean 'steps'?"),
    ("agent.gamma=1", UsageError, "Did you mean 'agent.discount'?"), ("lr=1", UsageError, "mean 'optimizer.lr'?"),
    ("env.option.x=1", UsageError, "unknown key 'env.option'. Did you mean 'options'?"),
    ("budget.steps.x=1", UsageError, "unknown key 'budget.steps.x'"), ("seed=???", UsageError, "expected a value"),
    ("bugdet=1", UsageError, "Did you mean 'budget'?"), ("budget.steps=x", UsageError, "=x: expected a whole number"),
    ("budget.steps=-1", UsageError, "budget.steps is -1"), ("budget.steps=[1", UsageError, "no viable alternative")])
def test_what_a_resume_may_change(override, kind, text, saved):
    if kind is None:
        assert changed(saved, [override]) == saved
        return
    with pytest.raises(kind) as error:
        changed(saved, [override])
    assert text in str(error.value) and "\n" not in str(error.value)


def test_a_resume_may_give_an_environment_a_new_option(saved):
    assert changed(saved, ["env.options.sutton_barto_reward=true"]).env.options == {"sutton_barto_reward": True}


def test_every_key_of_the_root_is_documented_by_type():
    assert [field.name for field in dataclasses.fields(LabConfig)] == [
        "agent", "env", "data", "model", "optimizer", "compute", "vector", "normalize", "seed", "budget", "log",
        "evaluate", "checkpoint"]
