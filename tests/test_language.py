"""Runs that learn language: from the command line to what is made of them."""

import csv
import gzip
import json
import re
from pathlib import Path

import pytest
import torch

from lab.beginning import inherited
from lab.errors import UsageError
from lab.low_rank import LowRank, low_rank
from lab.testing import maker
from lab.testing.checks import resume_is_exact
from lab_language.plugin import LM
from lab_text import pairs
from lab_text.plugin import Symbols
from lab_transformer import readers
from lab_transformer.plugin import GPT

NAMES = [(a, b) for a in ("Ann", "Ben", "Cid", "Dora") for b in ("Eve", "Fay", "Gil")]
TEXT = "".join(f"{a} sees {b}. {b} sees {a}.\n" for a, b in NAMES) * 20
TINY = ("model.layers=1", "model.width=16", "model.heads=2", "agent.batch_size=8", "optimizer.lr=1e-2",
        "optimizer.warmup=5")
QUIET = ("evaluate.every=1_000_000", "log.every=10_000")


@pytest.fixture
def story(tmp_path):
    (tmp_path / "story.txt").write_text(TEXT)
    return tmp_path / "story.txt"


@pytest.fixture
def told(once, story):
    """The folder of a run that has learned it by letters; the text is gone."""
    run = once("told", "+agent=lm", "data=text", f"data.path={story}", "data.block=16", *TINY, *QUIET,
               "budget.epochs=8")
    story.unlink()
    return run


def final(run):
    return json.loads((run / "run.json").read_text())["final"]


def test_a_run_of_text_and_what_it_goes_on_with(lab, told, tmp_path):
    """It knows the names after eight times reading; the same seed says the same, no token at once or piece by piece."""
    found = final(told)
    assert found["eval/loss"] < 0.8 and found["eval/perplexity"] < 2.3
    assert found["eval/bits_per_byte"] == pytest.approx(found["eval/loss"] / 0.6931, rel=0.01)
    assert (told / "tokenizer.json").exists()
    assert list(told.rglob("made/text/*.md")) and list(told.rglob("attention/**/*.png"))
    code, out, _ = lab("sample", told, "--prompt", "Ann", "--tokens", 40, "--temperature", 0)
    assert code == 0 and out.startswith("Ann") and len(out) == 44 and "sees" in out
    texts = [lab("sample", told, "-n", 2, "--seed", seed, "--tokens", 30, "--top-k", 5, "--top-p", 0.9)[1]
             for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2] and texts[0].count("\n---\n") == 1
    code, out, _ = lab("sample", told, "--out", tmp_path / "new.txt")
    assert code == 0 and "new.txt: 1 texts of lm at" in out and len((tmp_path / "new.txt").read_text()) > 200


@pytest.mark.parametrize("args, said", [
    (("--prompt", "Ann sees Ben. Ben sees Ann."), "the prompt has 27 tokens, and this run reads 16 at most; shorten "
     "it, or train with a larger data.block"),
    (("--class", "3"), "--class is for runs that were told classes"),
    (("--out", "x.png"), "expected a name that ends in .txt"),
    (("--temperature", "-1"), "--temperature is -1.0"), (("--top-p", "2"), "--top-p is 2.0"),
    (("--out", "nowhere/x.txt"), "there is no folder nowhere"), (("--tokens", "0"), "--tokens is 0")])
def test_what_no_text_can_be(lab, told, args, said):
    code, out, err = lab("sample", told, *args)
    assert code == 2 and said in err and out == ""


def test_a_prompt_of_letters_that_were_never_seen_is_told(lab, told):
    code, _, err = lab("sample", told, "--prompt", "Zoë", "--tokens", 5)
    assert code == 0 and "2 of the 3 tokens of the prompt are not in the vocabulary" in err


def test_a_vocabulary_that_is_not_that_of_the_run_is_refused(lab, told):
    """Two of its letters have changed places."""
    file = told / "tokenizer.json"
    plain = json.loads(file.read_text())
    vocabulary = plain["model"]["vocab"]
    a, b = [*vocabulary][-2:]
    vocabulary[a], vocabulary[b] = vocabulary[b], vocabulary[a]
    file.write_text(json.dumps(plain))
    code, _, err = lab("sample", told)
    assert code == 4 and "tokenizer.json is not the vocabulary that the run has learned with: put that one back" in err


def test_words_for_pictures_are_refused_and_what_a_run_can_do_is_told(lab, told, tmp_path):
    code, _, err = lab("predict", told, "x.txt")
    assert code == 2 and "lm has nothing to predict with; what it can do: lab sample" in err
    assert lab("+agent=vae", "model=vae_mlp", "budget.epochs=1", "evaluate.samples=0",
               f"hydra.run.dir={tmp_path / 'vae'}")[0] == 0
    code, _, err = lab("sample", tmp_path / "vae", "--prompt", "x")
    assert code == 2 and "--prompt is for runs that have learned text, and vae has not" in err


def test_a_run_of_text_is_evaluated_again_and_goes_on(lab, story, tmp_path):
    run = tmp_path / "run"
    assert lab("+agent=lm", "data=text", f"data.path={story}", "data.block=16", *TINY, *QUIET, "budget.epochs=1",
               "data.tokenizer=bpe", "data.vocabulary=40", f"hydra.run.dir={run}")[0] == 0
    code, out, _ = lab("eval", run)
    assert code == 0 and f"{final(run)['eval/loss']:.4f}" in out
    assert lab(f"resume={run}", "budget.epochs=2")[0] == 0
    code, _, err = lab(f"resume={run}", "data.block=8")
    assert code != 0 and "data.block is 16 in this run and cannot become 8; start a new one for that" in err
    story.write_text(TEXT.replace("Ann", "Amy"))
    code, _, err = lab(f"resume={run}", "budget.epochs=3")
    assert code != 0 and "the training data has changed" in err


@pytest.mark.parametrize("args", [
    ("lm", "model=lstm_lm"), ("lm", "model=gpt", "model.positions=learned", "model.dropout=0.1"),
    ("seq2seq", "model=rnn_seq2seq"), ("lm", "model=gpt", "model.lora=2", "agent.accumulate=2"),
    ("word2vec", "agent.method=cbow")])
def test_killed_and_resumed_to_the_bit(args, tmp_path):
    agent, *rest = args
    sizes = [each for each in TINY if "model.heads" not in each or "model=gpt" in rest]
    if agent == "word2vec":
        sizes = ["agent.batch_size=8"]
    if agent != "seq2seq":
        rest += ["data.block=16"]
    resume_is_exact(lambda *more, **given: maker(agent)(*sizes, *rest, *more, **given), tmp_path)


@pytest.mark.parametrize("task", [
    "sort", *(pytest.param(task, marks=pytest.mark.slow) for task in ("copy", "reverse"))])
def test_rows_that_were_never_seen_are_said_without_a_mistake(lab, task, tmp_path):
    """Most rows of 3 to 5 of 5 symbols, of which a tenth is held back."""
    assert lab("+agent=seq2seq", f"data={task}", "data.symbols=5", "data.shortest=3", "data.longest=5",
               "data.examples=16_000", "data.test=0.1", *QUIET,
               "model.layers=1", "model.width=32", "model.heads=2", "budget.epochs=4", "agent.batch_size=64",
               "optimizer.lr=5e-3", "optimizer.warmup=20", f"hydra.run.dir={tmp_path / 'run'}")[0] == 0
    assert final(tmp_path / "run")["eval/test/said/exact"] > 0.98


def test_lines_are_translated(lab, tmp_path):
    run, file = tmp_path / "run", tmp_path / "in.txt"
    assert lab("+agent=seq2seq", "data=copy", "data.longest=4", "data.examples=500", *QUIET, *TINY, "budget.updates=20",
               f"hydra.run.dir={run}")[0] == 0
    file.write_text("1 2\n\n3 1 2 4 5\n")
    code, out, err = lab("translate", run, file)
    assert code == 0 and len(out.split("\n")) == 4 and out.split("\n")[1] == ""
    assert "what is given: 1 of 2 texts are longer than the 4 tokens that this run reads: their ends" in err
    code, beamed, _ = lab("translate", run, file, "--beam", 3, "--out", tmp_path / "out.txt")
    assert code == 0 and "out.txt: 3 lines by seq2seq" in beamed
    file.write_text("1 one\n")
    code, _, err = lab("translate", run, file)
    assert code == 0 and "what is given: 1 of 2 tokens are not in the vocabulary" in err
    code, _, err = lab("translate", run, file, "--beam", 0)
    assert code == 2 and "--beam is 0" in err
    code, _, err = lab("translate", run, tmp_path / "no.txt")
    assert code == 2 and "there is no such file" in err


def labelled(path, n=60):
    rows = [(f"the {a} {b} is {c}", c) for a in ("big", "old", "red") for b in ("cat", "dog") for c in ("hot", "cold")]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in (rows * n)[:n]))
    return path


def test_texts_are_classified_and_new_ones_are_predicted(lab, tmp_path):
    run = tmp_path / "run"
    assert lab("+agent=text_classifier", "data=text_labels", f"data.path={labelled(tmp_path / 'a.csv')}",
               "data.tokenizer=words", *TINY, *QUIET, "budget.epochs=20", f"hydra.run.dir={run}")[0] == 0
    assert final(run)["eval/test/accuracy"] == 1
    (tmp_path / "new.txt").write_text("the new cow is cold\nhot is the day\n")
    code, out, _ = lab("predict", run, tmp_path / "new.txt")
    said = list(csv.DictReader(out.splitlines()))
    assert code == 0 and [row["class"] for row in said] == ["cold", "hot"] and said[1]["input"].endswith("new.txt:2")
    (tmp_path / "many.txt").write_text("the new cow is cold\n" * 300)
    code, _, err = lab("predict", run, tmp_path / "many.txt")
    assert code == 0 and err.count("are not in the vocabulary") == 1 and "600 of 1,500 tokens" in err, err
    code, again, _ = lab("predict", run, tmp_path / "a.csv")
    assert code == 0 and len(again.splitlines()) == 61
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    assert lab("predict", run, tmp_path / "a.csv.gz")[1] == again.replace("a.csv", "a.csv.gz")
    (tmp_path / "new.txt").write_text("a\n\n")
    code, _, err = lab("predict", run, tmp_path / "new.txt")
    assert code == 2 and "new.txt, line 2 is empty; expected a text" in err


def test_a_network_begins_as_that_of_another_run(lab, story, tmp_path, monkeypatch):
    """The body is that of the run, the head new; model and tokens are as there, whatever the defaults are."""
    first, then = tmp_path / "first", tmp_path / "then"
    assert lab("+agent=mlm", "data=text", f"data.path={story}", "data.tokenizer=words", "data.block=8", *TINY, *QUIET,
               "budget.epochs=1", f"hydra.run.dir={first}")[0] == 0
    table = labelled(tmp_path / "a.csv")
    start = ("+agent=text_classifier", "data=text_labels", f"data.path={table}", f"model.init={first}", *QUIET)
    assert lab(*start, "agent.freeze=true", "budget.epochs=1", "agent.batch_size=8", f"hydra.run.dir={then}")[0] == 0
    config = (then / "config.yaml").read_text()
    assert "width: 16" in config and f"tokenizer: {first}" in config
    states = [torch_state(each) for each in (first, then)]
    body = {name: value for name, value in states[1].items() if name.startswith("reader.body")}
    assert body and all(torch.equal(value, states[0][name.removeprefix("reader.")]) for name, value in body.items())
    embedding = states[1]["reader.embed.tokens.weight"]
    assert torch.equal(embedding, states[0]["embed.tokens.weight"][:len(embedding)])       # the mask is left out
    for path in first.rglob("*"):
        if path.is_file():
            path.unlink()
    assert lab(f"resume={then}", "budget.epochs=2")[0] == 0                      # which does not need the other run
    assert lab("predict", then, table)[0] == 0


def torch_state(run):
    from lab import checkpoint

    return checkpoint.newest(Path(run) / "checkpoints", print)[1]["learner"]["net"]


@pytest.mark.parametrize("args, said", [
    (("model.width=32",), "that run has model.width=16, here it is 32; leave model.width out"),
    (("model.norm=layer",), "that run has model.norm=rms, here it is layer; leave model.norm out"),
    (("model.positions=learned", "data.longest=32"), "that run has model.positions="),
    (("data.tokenizer=chars",), "that run has another vocabulary; leave out data.tokenizer"),
    (("model=lstm_lm",), "its network has no")])
def test_a_network_that_does_not_fit_is_refused(lab, story, tmp_path, args, said):
    first = tmp_path / "first"
    assert lab("+agent=mlm", "data=text", f"data.path={story}", "data.tokenizer=words", "data.block=8", *TINY, *QUIET,
               "budget.updates=2", f"hydra.run.dir={first}")[0] == 0
    code, _, err = lab("+agent=text_classifier", "data=text_labels", f"data.path={labelled(tmp_path / 'a.csv')}",
                       f"model.init={first}", "agent.batch_size=8", *args)
    assert code == 2 and re.search(said, err), err


def test_places_that_were_not_learned_are_told(lab, story, tmp_path):
    first = tmp_path / "first"
    assert lab("+agent=mlm", "data=text", f"data.path={story}", "data.block=8", *TINY, *QUIET,
               "model.positions=learned", "budget.updates=2", f"hydra.run.dir={first}")[0] == 0
    code, _, err = lab("+agent=text_classifier", "data=text_labels", f"data.path={labelled(tmp_path / 'a.csv')}",
                       "data.longest=32", f"model.init={first}")
    assert code == 2 and "it has learned 8 places of a text, here there are" in err and "data.longest" in err


def test_a_model_that_is_named_is_still_that_of_the_run(story, lab, tmp_path):
    first = tmp_path / "first"
    assert lab("+agent=lm", "data=text", f"data.path={story}", "data.block=8", *TINY, *QUIET, "budget.updates=2",
               f"hydra.run.dir={first}")[0] == 0
    told = inherited([f"model.init={first}", "model=gpt", "model.layers=3"])
    assert "model.width=16" in told and "model.layers=1" not in told and told.count("model=gpt") == 1
    assert not any(each.startswith("model.width") for each in inherited([f"model.init={first}", "model=lstm_lm"]))


def test_masks_of_an_evaluation_are_those_of_the_run(lab, story, tmp_path):
    run = tmp_path / "run"
    assert lab("+agent=mlm", "data=text", f"data.path={story}", "data.block=8", *TINY, *QUIET, "budget.updates=2",
               "seed=3", f"hydra.run.dir={run}")[0] == 0
    code, out, _ = lab("eval", run)
    assert code == 0 and f"{final(run)['eval/loss']:.4f}" in out and final(run)["eval/loss"] > 0.1


@pytest.mark.parametrize("args, said", [
    (("data.path=x.txt",), "Without data.path_y, a second file of as many lines, x.txt is read as a csv file"),
    (("data.path=a.csv", "data.x=q"), "data.x=q: a.csv has no such column"),
    (("data.path=a.csv", "data.path_y=a.csv"), "data.path and data.path_y are the same csv file, ")])
def test_pairs_that_are_not_two_files(lab, tmp_path, args, said):
    (tmp_path / "x.txt").write_text("a b, c\nd e\n")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    code, _, err = lab("+agent=seq2seq", "data=pairs", *args)
    assert code == 2 and said in err.replace(f"{tmp_path}/", ""), err


def test_what_is_no_run_cannot_be_begun_with(lab, tmp_path):
    code, _, err = lab("+agent=text_classifier", "model.init=nowhere")
    assert code == 2 and "model.init=nowhere: nowhere is not a run folder" in err
    assert inherited(["+agent=dqn", "model.hidden=[3]"]) == ["+agent=dqn", "model.hidden=[3]"]


def test_changes_of_low_rank_begin_with_none_and_are_all_that_is_learned():
    torch.manual_seed(0)
    net, x = readers.build(GPT(layers=1, width=8, heads=2, tie=False), 11, 12), torch.arange(9)[None]
    before = net(x)
    low_rank(net, 2)
    assert torch.equal(net(x), before)
    learned = {name for name, p in net.named_parameters() if p.requires_grad}
    assert learned == {"head.weight", *(f"body.blocks.0.{part}.{each}.weight" for each in ("down", "up") for part in
                                        ("attention.into", "attention.out", "inner.into", "inner.out"))}
    assert isinstance(net.body.blocks[0].inner.out, LowRank)


def test_a_layer_too_small_for_changes_of_low_rank_is_learned_whole():
    net = torch.nn.ModuleDict({"small": torch.nn.Linear(4, 16), "large": torch.nn.Linear(16, 16)})
    low_rank(net, 4)
    assert isinstance(net["large"], LowRank) and not net["large"].weight.requires_grad
    assert type(net["small"]) is torch.nn.Linear and all(p.requires_grad for p in net["small"].parameters())


def test_rows_of_which_there_are_few_are_held_back_all_the_same():
    """0 and 1 in rows of up to three: 14 different ones."""
    found = pairs.symbols(Symbols("reverse", symbols=2, longest=3, examples=500)).splits
    parts = {name: set(split.x) for name, split in found.items()}
    assert len(parts["train"]) == 12 and len(parts["valid"]) == len(parts["test"]) == 1
    assert len(set.union(*parts.values())) == 14
    with pytest.raises(UsageError, match="2 different texts to read, too few to hold back"):
        pairs.symbols(Symbols("copy", symbols=2, longest=1, examples=10))


def test_words_that_are_used_alike_are_near_each_other(lab, story, tmp_path):
    """Names that see and names that are seen."""
    story.write_text("".join(f"{a} eats {b}\n" for a in ("cat", "dog", "cow") for b in ("ham", "pie", "jam")) * 60)
    run = tmp_path / "run"
    assert lab("+agent=word2vec", "data=text", f"data.path={story}", "data.block=27", "agent.width=8", "agent.window=2",
               "agent.subsample=0", "budget.epochs=200", "agent.lr=0.1", "agent.words=[cat,pie]",
               "agent.analogies=[cat:dog:ham]", *QUIET, f"hydra.run.dir={run}")[0] == 0
    (file,) = run.rglob("nearest/*.csv")
    rows = {row["word"]: set(list(row.values())[1:3]) for row in csv.DictReader(file.read_text().splitlines())}
    assert rows["cat"] == {"dog", "cow"} and rows["pie"] == {"ham", "jam"}
    assert list(run.rglob("analogies/*.csv"))
    code, _, err = lab("+agent=word2vec", "data=text", f"data.path={story}", "data.block=27", "agent.words=[cats]")
    assert code == 2 and "agent.words and agent.analogies: 'cats' is no token of data=text. Did you mean 'cat'?" in err


def test_a_recurrent_network_is_frozen_too(lab, tmp_path):
    assert lab("+agent=text_classifier", "data=text_labels", f"data.path={labelled(tmp_path / 'a.csv')}", *QUIET,
               "model=lstm_lm", "model.units=8", "agent.freeze=true", "agent.batch_size=8", "budget.updates=2",
               f"hydra.run.dir={tmp_path / 'run'}")[0] == 0


def test_settings_that_are_refused():
    with pytest.raises(UsageError, match=r"agent\.sample is -1"):
        LM(sample=-1)


def test_a_run_of_two_vocabularies_hands_on_both(lab, tmp_path):
    """And one with changes of low rank what they come to; a name that is no model of a stranger's config is refused."""
    (tmp_path / "x.txt").write_text("a b c\nb c\nc a\nb a\n" * 10)
    (tmp_path / "y.txt").write_text("A B C\nB C\nC A\nB A\n" * 10)
    pairs = ("+agent=seq2seq", "data=pairs", "data.path=x.txt", "data.path_y=y.txt", *QUIET, "budget.epochs=1")
    first, then = tmp_path / "first", tmp_path / "then"
    assert lab(*pairs, *TINY, "data.tokenizer=blanks", "model.lora=2", f"hydra.run.dir={first}")[0] == 0
    small = ("agent.batch_size=8", "optimizer.lr=1e-9")
    assert lab(*pairs, f"model.init={first}", *small, f"hydra.run.dir={then}")[0] == 0
    for name in ("tokenizer.json", "tokenizer-y.json"):
        assert (then / name).read_text() == (first / name).read_text()
    assert (first / "tokenizer.json").read_text() != (first / "tokenizer-y.json").read_text()
    old, new = (torch_state(each) for each in (first, then))
    name = "encoder.blocks.0.attention.into"
    own = old[f"{name}.layer.weight"] + 2 * old[f"{name}.up.weight"] @ old[f"{name}.down.weight"]
    assert torch.allclose(new[f"{name}.weight"], own, atol=1e-4) and old[f"{name}.up.weight"].any()
    config = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(config.replace("name: encoder_decoder", "name: ../../evil"))
    code, _, err = lab(*pairs, f"model.init={first}")
    assert code == 2 and "that run has no model that is known here" in err


@pytest.mark.parametrize("args, said", [
    (("+agent=seq2seq", "agent.bleu=foo"), "agent.bleu=foo is not known"),
    (("+agent=lm", "agent.prompt=" + "x" * 200), "agent.prompt has 200 tokens, and data.block=128 is all"),
    (("+agent=lm", "data.tokenizer=unigram", "data.vocabulary=5"), "data.vocabulary=5 cannot be learned"),
    (("+agent=word2vec", "budget.epochs=null", "budget.minutes=1"), "give agent.decay"),
    (("+agent=seq2seq", "data.tokenizer_y=words"), "data.joint=true gives both sides the same tokens"),
    (("+agent=lm", "data.augment.flip=true"), "data.augment.flip is for numbers and pictures, and data=python_docs"),
    (("+agent=mlm", "data.impute=mean"), "data.impute is for numbers and pictures"),
    (("+agent=lm", "env=CartPole"), "env=gym: lm learns from data and plays no episodes"),
    (("+agent=dqn", "data=python_docs"), "data=python_docs: dqn learns from an environment and reads no data"),
    (("+agent=classifier", "data=python_docs"), "agents that learn from it: lm, mlm, span_corruption, word2vec\n"),
    (("+agent=text_classifier", "model=vit"), "of role 'causal' or 'bidirectional', came vit; add model=NAME"),
    (("+agent=text_classifier", "model.lora=200"), "model.lora=200: no matrix of this network has more numbers"),
    (("+agent=text_classifier", "model.lora=2", "agent.freeze=true"), "leave one of them out")])
def test_what_can_be_refused_at_the_start_is(lab, tmp_path, args, said):
    code, _, err = lab(*args)
    assert code == 2 and said in err, err
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("change", [{"vocabulary": []}, {"vocabulary": ["x"]}, {"vocabulary": [10**12]}])
def test_a_strangers_description_of_text_is_refused(lab, told, change):
    plain = json.loads((told / "data.json").read_text())
    plain["about"] |= change
    (told / "data.json").write_text(json.dumps(plain))
    code, _, err = lab("sample", told)
    assert code != 0 and "data.json cannot be read: tokens" in err
