"""Text as data: tokens, splits, blocks, batches of similar lengths, and what is refused."""

import gzip
import json
import re
import sys
from collections import Counter

import numpy as np
import pytest
import torch

from lab.compute import Compute
from lab.config import ComputeConfig
from lab.data.blocks import Alike, Blocks, trimmed
from lab.data.config import LongText, Pairs, ShortTexts
from lab.data.dataset import Held
from lab.data.files import decoded
from lab.data.segment import cutter, segmented
from lab.data.sides import Side
from lab.data.texts import Text, Texts, cut, tokenized
from lab.data.token_file import Tokens, stored
from lab.data.tokenizer import MADE, Tokenizer, pieces, trained
from lab.errors import ResumeError, UsageError
from lab.host import host
from lab_text.plugin import Aligned, CMUdict, Labelled, Symbols

WORDS = "the cat sat on the mat and the dog sat on the cat\nso the mat was full of the cat and the dog\n"
COMPUTE = Compute(ComputeConfig(device="cpu", precision="fp32"))


@pytest.mark.parametrize("kind", MADE)
def test_every_kind_of_tokenizer_says_what_it_was_told(kind):
    """Blanks are kept by those that do not part words by them."""
    made = trained(kind, 300, [WORDS])
    (ids,) = made.encode([WORDS])
    said = made.decode(ids.tolist())
    whole = kind in ("chars", "bpe", "bytes", "unigram")
    assert said == WORDS if whole else said.split() == WORDS.split()
    assert max(ids) < made.size <= 300
    again = Tokenizer.of(made.json)
    assert (again.encode([WORDS])[0] == ids).all() and again.digest == made.digest


def test_what_was_never_seen_is_unknown_and_bytes_know_everything():
    assert trained("chars", 100, ["abc"]).encode(["abéc"])[0].tolist().count(0) == 1
    made = trained("bytes", 300, [WORDS])
    assert made.unknown is None and made.decode(made.encode(["é ☃"])[0].tolist()) == "é ☃"


def test_at_most_so_many_tokens_small_letters_and_ends():
    assert trained("words", 3, [WORDS]).size == 3
    assert len(set(trained("chars", 99, ["aA"], lowercase=True).encode(["aA"])[0])) == 1
    assert trained("chars", 99, ["ab", "c"], several=True).end == 1


def test_a_long_text_is_looked_at_in_pieces_that_end_with_lines():
    assert list(pieces("ab\ncd\nefghijk", 4)) == ["ab\n", "cd\n", "efgh", "ijk"]
    assert "".join(pieces(WORDS * 50, 97)) == WORDS * 50


def test_a_packed_file_is_read_as_it_was(tmp_path):
    """Whatever its name; one that is damaged is told."""
    file = tmp_path / "a.txt"
    file.write_bytes(gzip.compress(WORDS.encode()))
    assert decoded(file) == WORDS
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(UsageError, match=r"a\.txt is damaged: "):
        decoded(file)


def test_shares_are_cut_from_the_end_of_all_characters():
    found = cut(["abcdef", "ghij"], {"valid": 0.2, "test": 0.3})
    assert {name: text.x for name, text in found.items()} == {"train": ["abcde"], "valid": ["f", "g"], "test": ["hij"]}
    assert cut(["x" * 1_115_394], {"valid": 0.1})["train"].x == ["x" * 1_003_854]          # as int(0.9 n)


def long(block=4, text=WORDS, **given):
    cfg = LongText(name="text", block=block, test=0.0, **given)
    return tokenized(cfg, Texts("text", {"train": Text([text])}), None)


def test_blocks_of_a_text_and_the_token_that_follows_each():
    dataset, (tokenizer,) = long()
    train, (ids,) = dataset.splits["train"], tokenizer.encode([WORDS[:90]])
    assert isinstance(train.ids, np.memmap) and (train.ids == ids[:len(train.ids)]).all()
    batch = next(train.batches([torch.tensor([0, 2])], torch.device("cpu")))
    assert batch["x"].tolist() == [ids[0:4].tolist(), ids[8:12].tolist()]
    assert batch["y"].tolist() == [ids[1:5].tolist(), ids[9:13].tolist()]
    assert dataset.about.vocabulary == (tokenizer.size,) and dataset.about.shape == (4,)


def test_several_texts_have_an_end_each():
    made = trained("chars", 99, ["ab", "c"], several=True)
    a, b, c = (int(made.inner.token_to_id(each)) for each in "abc")
    assert stored(made, ["ab", "c"]).tolist() == [a, b, made.end, c, made.end]


def test_an_epoch_has_every_block_once_and_cuts_the_text_elsewhere():
    """100 tokens in blocks of 7: 14 of them, 13 in an epoch, which begin up to 8 tokens later."""
    stream = Blocks(Tokens(np.arange(100, dtype="<u2"), 7, 100), 4, COMPUTE)
    epochs = [[stream.next() for _ in range(stream.epoch_updates)] for _ in range(3)]
    begins = [sorted(int(row[0]) for batch in epoch for row in batch["x"]) for epoch in epochs]
    assert all(np.diff(each).tolist() == 12 * [7] for each in begins)
    assert len({each[0] for each in begins}) > 1 and all(0 <= each[0] <= 8 for each in begins)
    assert stream.count == 3 * 13 * 7 == 3 * stream.epoch_length and stream.unit == "tokens"


def test_blocks_go_on_in_the_midst_of_an_epoch():
    tokens = Tokens(np.arange(100, dtype="<u2"), 7, 100)
    whole, again = Blocks(tokens, 4, COMPUTE), Blocks(tokens, 4, COMPUTE)
    for _ in range(6):
        whole.next()
    again.load_state_dict(whole.state_dict())
    assert torch.equal(again.next()["x"], whole.next()["x"])
    with pytest.raises(ResumeError, match="has changed"):
        Blocks(Tokens(np.arange(1, 101, dtype="<u2"), 7, 100), 4, COMPUTE).load_state_dict(whole.state_dict())


def test_a_batch_has_similar_lengths_and_every_text_comes_once():
    rng = np.random.default_rng(0)
    length = torch.from_numpy(rng.integers(1, 50, 1000))
    x = torch.arange(1000)[:, None].expand(1000, 50).contiguous()
    stream = Alike(Held(x=x, length=length), 20, COMPUTE)
    batches = [stream.next() for _ in range(stream.epoch_updates)]
    assert sorted(int(row[0]) for batch in batches for row in batch["x"]) == list(range(1000))
    assert all(batch["x"].shape[1] == batch["length"].max() for batch in batches)
    assert sum(batch["x"].numel() for batch in batches) < 1.1 * length.sum()
    longest = [int(batch["length"].max()) for batch in batches]
    assert longest != sorted(longest)                   # in an order by chance
    assert [int(stream.next()["x"][0, 0]) for _ in range(50)] != [int(batch["x"][0, 0]) for batch in batches]


def test_what_is_beyond_all_lengths_is_left_out():
    batch = {"x": torch.ones(2, 5), "length": torch.tensor([2, 3]), "y": torch.ones(2, 4),
             "y_length": torch.tensor([1, 1])}
    assert {name: tuple(each.shape) for name, each in trimmed(batch).items()} == {
        "x": (2, 3), "length": (2,), "y": (2, 1), "y_length": (2,)}


def test_texts_are_cut_and_counted_and_an_empty_one_has_a_token():
    made = trained("chars", 9, ["abc"])
    side = Side.of(["abcabc", "", "b"], made, 4)
    assert side.length.tolist() == [4, 1, 1] and (side.cut, side.empty) == (1, 1)
    assert side.tokens.tolist()[2] == [int(made.inner.token_to_id("b")), 0, 0, 0]


def test_labelled_texts_are_split_before_tokens_are_learned():
    """A letter that the training split has not is unknown in the others."""
    texts = [f"{letter}{letter}" for letter in "abcdefghijklmnopqrst"]
    cfg = ShortTexts(name="texts", tokenizer="chars", test=0.2, valid=0.25)
    given = Texts("texts", {"train": Text(texts, torch.arange(20) % 2)}, ("p", "q"))
    dataset, (tokenizer,) = tokenized(cfg, given, None)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 12, "valid": 4, "test": 4}
    assert tokenizer.size == 13 and (dataset.splits["test"].tensors["x"] == tokenizer.unknown).all()
    assert "8 of them not in the vocabulary" in dataset.notes[0]


def test_pairs_have_tokens_of_their_own_or_the_same():
    pairs = Texts("pairs", {"train": Text(["a b", "b"] * 10, ["x", "y x y"] * 10)})
    dataset, tokenizers = tokenized(Pairs(name="pairs", tokenizer="blanks"), pairs, None)
    assert [each.size for each in tokenizers] == [3, 3] and dataset.about.vocabulary == (3, 3)
    assert dataset.about.shape == (2,) and dataset.about.answer == 3
    dataset, tokenizers = tokenized(Pairs(name="pairs", tokenizer="blanks", joint=True), pairs, None)
    assert len(tokenizers) == 1 and dataset.about.vocabulary == (5, 5)


def test_a_run_that_goes_on_has_its_own_tokens(tmp_path):
    _, (tokenizer,) = long()
    (tmp_path / "tokenizer.json").write_text(tokenizer.json)
    cfg = LongText(name="text", block=4, tokenizer="bpe")
    _, (again,) = tokenized(cfg, Texts("text", {"train": Text([WORDS])}), tmp_path)
    assert again.json == tokenizer.json
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ResumeError, match=r"the tokenizer of .* cannot be read: it is no tokenizer"):
        tokenized(cfg, Texts("text", {"train": Text([WORDS])}), tmp_path)


def test_tokens_are_learned_once(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    long()
    (file,) = (tmp_path / "tokenizers").glob("*.json")
    plain = json.loads(file.read_text())
    plain["model"]["vocab"]["t"], plain["model"]["vocab"]["h"] = (plain["model"]["vocab"][each] for each in "ht")
    file.write_text(json.dumps(plain))
    _, (found,) = long()
    assert found.json == Tokenizer.of(json.dumps(plain)).json


def test_a_text_shorter_than_a_block_is_refused():
    with pytest.raises(UsageError, match=r"the valid split has 10 tokens, and data.block=32 needs 33 at least"):
        long(block=32)


@pytest.mark.parametrize("args, said", [
    (("data=text",), "data.path is missing: name a text file"),
    (("data=text", "data.path=nowhere.txt"), "data.path=nowhere.txt: there is no such file or folder in"),
    (("data=text", "data.path=empty.txt"), "empty.txt holds no text"),
    (("data=text", "data.path=latin.txt"), "latin.txt, line 2: it is not UTF-8"),
    (("data=text", "data.path=short.txt"), "the train split has 4 tokens, and data.block=128 needs 129 at least"),
    (("data=text", "data.path=folder"), "folder has no file in it; expected texts"),
    (("data=text", "data.path=short.txt", "data.tokenizer=wrods"), "data.tokenizer=wrods is not known, and there is no "
     "such file or run folder. Did you mean 'words'?"),
    (("data=text", "data.path=short.txt", "data.tokenizer=short.txt"),
     "data.tokenizer=.*short.txt: it is no tokenizer"),
    (("data=digits",),
     "lm learns from long text, and data=digits is pictures; agents that learn from it: autoencoder"),
    (("data=docstrings",),
     "lm learns from long text, and data=docstrings is separate texts; agents that learn from it: text_classifier"),
    (("model.heads=3",), "model.heads=3 do not divide model.width=128"),
    (("model=bert",), "lm needs a model of role 'causal', came bert; add model=NAME, one of: gpt, gru_lm"),
])
def test_what_a_language_model_refuses(lab, tmp_path, args, said):
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "latin.txt").write_bytes("eins\nzwölf\n".encode("latin-1"))
    (tmp_path / "short.txt").write_text("abcd\n")
    (tmp_path / "folder").mkdir()
    code, _, err = lab("+agent=lm", *args)
    assert code == 2 and not (tmp_path / "runs").exists()
    assert re.search(said, err), err


@pytest.mark.parametrize("lines, other, said", [
    ("a\nb\nc\n", "x\ny\n", r"x.txt has 3 lines and .*y.txt 2; expected as many. .*x.txt, line 3 has no partner: 'c'"),
    ("a\n\nc\n", "x\ny\nz\n", "x.txt, line 2 is empty; expected a text"),
])
def test_pairs_that_do_not_belong_together_are_refused(lab, tmp_path, lines, other, said):
    (tmp_path / "x.txt").write_text(lines)
    (tmp_path / "y.txt").write_text(other)
    code, _, err = lab("+agent=seq2seq", "data=pairs", "data.path=x.txt", "data.path_y=y.txt")
    assert code == 2
    assert re.search(said, err), err


@pytest.mark.parametrize("given", ["x=german", "y=english", "separator=tab"])
def test_columns_of_two_files_are_refused(lab, tmp_path, given):
    for name in ("x.txt", "y.txt"):
        (tmp_path / name).write_text("a\nb\n")
    code, _, err = lab("+agent=seq2seq", "data=pairs", "data.path=x.txt", "data.path_y=y.txt", f"data.{given}")
    assert code == 2 and f"data.{given.split('=')[0]} is for a csv file, and data.path_y is a second file" in err


def test_a_class_that_was_never_seen_is_refused_with_its_line(lab, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "hot day,warm\nice age,cold\n" * 10)
    (tmp_path / "b.csv").write_text("text,label\nred hot,warm\nso so,mild\n")
    code, _, err = lab("+agent=text_classifier", "data=text_labels", "data.path=a.csv", "data.test_path=b.csv")
    assert code == 2 and "b.csv, line 3, column 'label': the class 'mild' is not in the training file" in err


@pytest.mark.parametrize("by, text, said", [
    ("jieba", "我来到北京清华大学", "我 来到 北京 清华大学"),
    ("janome", "すもももももももものうち", "すもも も もも も もも の うち"),
    ("fugashi", "すもももももももものうち", "すもも も もも も もも の うち")])
def test_languages_without_blanks_are_cut_into_words(by, text, said):
    assert segmented(f"{text}\n{text}", by) == f"{said}\n{said}"
    made = trained("blanks", 99, [text], segment=by)
    assert made.size == 1 + len(set(said.split())) and made.decode(made.encode([text])[0].tolist()) == text


def test_a_missing_segmenter_is_told_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", None)
    cutter.cache_clear()
    with pytest.raises(UsageError, match=r'needs the package jieba: pip install "pluglab\[chinese\]"'):
        segmented("x", "jieba")


def test_all_ways_to_speak_a_word_are_in_one_split():
    texts = host().load("data", "cmudict")(CMUdict(test=0.1, valid=0.1))
    words = {name: set(text.x) for name, text in texts.splits.items()}
    assert not words["train"] & words["test"] and not words["valid"] & words["test"]
    assert sum(map(len, words.values())) > 100_000 and ("tomato", "T AH0 M EY1 T OW2") in {
        pair for text in texts.splits.values() for pair in zip(text.x, text.y, strict=True)}


@pytest.mark.parametrize("task, made", [("copy", list), ("reverse", lambda row: row[::-1]), ("sort", sorted)])
def test_rows_of_symbols_are_held_back_whole_and_short_ones_are_learned_often(task, made):
    """Of 1,000 rows of 1 to 3 of 3 symbols a third has one symbol: 3 different ones, which are drawn 111 times each."""
    cfg = Symbols(name=task, symbols=3, longest=3, examples=1000, test=0.2, valid=0.2)
    splits = host().load("data", task)(cfg).splits
    drawn = {name: Counter(split.x) for name, split in splits.items()}
    assert sum(map(len, drawn.values())) == 3 + 9 + 27 and len(drawn["test"]) == 8 and len(drawn["valid"]) == 6
    assert {*drawn["test"].values(), *drawn["valid"].values()} == {1}
    assert not drawn["train"].keys() & (drawn["test"].keys() | drawn["valid"].keys())
    assert all(70 < times < 160 for row, times in drawn["train"].items() if " " not in row)
    assert all(y.split() == made(x.split()) for split in splits.values() for x, y in zip(split.x, split.y, strict=True))


def test_what_a_tokenizer_json_cuts_or_fills_up_is_left_alone():
    made = trained("words", 99, [WORDS])
    made.inner.enable_truncation(5)
    made.inner.enable_padding(length=8)
    assert [len(each) for each in Tokenizer.of(str(made.inner.to_str())).encode([WORDS, "cat"])] == [
        len(WORDS.split()), 1]


def test_batches_of_another_size_wait_for_the_next_epoch():
    held = Held(x=torch.zeros(20, 3), length=torch.full((20,), 3))
    stream = Alike(held, 5, COMPUTE)
    stream.next()
    with pytest.raises(ResumeError, match="this epoch began with batches of 5; they can be 4 when it is over"):
        Alike(held, 4, COMPUTE).load_state_dict(stream.state_dict())
    for _ in range(3):
        stream.next()
    other = Alike(held, 4, COMPUTE)
    other.load_state_dict(stream.state_dict())
    assert len(other.next()["x"]) == 4


def test_whether_tokens_keep_all_of_a_text_is_known():
    assert long()[0].splits["train"].bytes > 0 and long(tokenizer="words", block=2)[0].splits["train"].bytes == 0


def test_separators_have_names_as_those_of_tables_have():
    assert Aligned(path="a.csv", separator="tab").separator == Labelled(path="a.csv", separator="\\t").separator == "\t"
    with pytest.raises(UsageError, match=r"data\.separator is ''; expected one character, or tab, semicolon or space"):
        Labelled(path="a.csv", separator="")
