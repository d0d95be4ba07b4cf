"""Sequences of several lengths, a row for each step."""

import pytest
import torch

from lab.assembly import assemble
from lab.compose import composed
from lab.data.dataset import About, Column
from lab.errors import UsageError
from lab_data import sequences
from lab_data.plugin import Sequences

GOOD = "id,v,w,target\na,1,2,x\nb,3,4,y\na,5,6,x\nc,7,8,x\na,9,10,x\nb,11,12,y\n"


@pytest.fixture
def built(tmp_path):
    """built(TEXT, **settings) -> the dataset."""
    def build(text, test=None, **settings):
        (tmp_path / "a.csv").write_text(text)
        (tmp_path / "t.csv").write_text(test or "")
        more = {} if test is None else {"test_path": str(tmp_path / "t.csv")}
        return sequences.build(Sequences("sequences", path=str(tmp_path / "a.csv"), **more, **settings))

    return build


def test_steps_come_in_the_order_of_the_file(built):
    """a has three steps, b two and c one; their rows may stand apart."""
    found = built(GOOD)
    train = found.splits["train"].tensors
    assert found.about == About("sequence", (3, 2), ("x", "y"), columns=(Column("v"), Column("w")), ragged=True)
    assert train["x"].tolist() == [[[1, 2], [5, 6], [9, 10]], [[3, 4], [11, 12], [0, 0]], [[7, 8], [0, 0], [0, 0]]]
    assert train["length"].tolist() == [3, 2, 1] and train["length"].dtype == torch.int64
    assert train["y"].tolist() == [0, 1, 0] and train["x"].dtype == torch.float64


def test_many_steps_keep_their_order(built):
    rows = "".join(f"{'ab'[j % 2]},{j},{'xy'[j % 2]}\n" for j in range(100))
    train = built(f"id,v,target\n{rows}").splits["train"].tensors
    assert train["x"][:, :, 0].tolist() == [list(range(0, 100, 2)), list(range(1, 100, 2))]


def test_all_of_one_length(built):
    assert not built("id,v,target\na,1,x\na,2,x\nb,1,y\nb,2,y\n").about.ragged


def test_a_number_to_predict(built):
    found = built("name,v,score\na,1,0.5\na,2,0.5\nb,1,7\n", id="name", target="score")
    assert found.about.targets == ("score",) and found.splits["train"].tensors["y"].tolist() == [[0.5], [7]]


def test_a_test_file_may_be_longer(built):
    found = built(GOOD, test="id,w,v,target\nz,0,1,y\nz,0,2,y\nz,0,3,y\nz,0,4,y\n")
    assert found.about.shape == (4, 2) and found.splits["train"].tensors["x"].shape == (3, 4, 2)
    assert found.splits["test"].tensors["x"].tolist() == [[[1, 0], [2, 0], [3, 0], [4, 0]]]


def test_what_is_missing_is_filled_in_later(built):
    x = built("id,v,target\na,1,x\na,,x\nb,1,y\n", impute="mean").splits["train"].tensors["x"]
    assert x[0, 1].isnan().all() and x[1, 1].tolist() == [0]


@pytest.mark.parametrize("text, settings, message", [
    (GOOD, {"id": "ID"}, r"data.id=ID: .*a.csv has no such column. Did you mean 'id'\?"),
    (GOOD, {"target": "y"}, r"data.target=y: .*a.csv has no such column"),
    ("id,target\na,x\n", {}, "has no column but 'id' and 'target'; a step needs a number"),
    ("id,v,target\na,1,x\n,2,x\n", {}, "line 3, column 'id' is empty: it says of which sequence a row is"),
    ("id,v,target\na,1,x\nb,1,y\na,2,y\n", {}, "line 4, column 'target': 'y', and 'x' in line 2; all rows of id 'a'"),
    ("id,v,target\na,1,0.5\na,2,0.25\n", {}, "line 3, column 'target': '0.25', and '0.5' in line 2"),
    ("id,v,target\na,1,x\na,2,\n", {}, "line 3, column 'target': the target is missing"),
    ("id,v,target\na,1,x\na,,x\n", {}, "line 3, column 'v': the number is missing; data.impute=mean"),
    ("id,v,target\na,1,x\na,left,x\n", {}, "line 3, column 'v': 'left' is no number; where it is missing .* empty$"),
    ("id,v,target\na,1,x\na,2\n", {}, "line 3: 2 fields, and the header has 3")])
def test_mistakes(text, settings, message, built):
    with pytest.raises(UsageError, match=message):
        built(text, **settings)


def test_mistakes_in_the_config():
    with pytest.raises(UsageError, match=r"data\.id and data.target are both a; expected two columns"):
        Sequences("sequences", path="x", id="a", target="a")
    with pytest.raises(UsageError, match=r"data\.task=x is not known"):
        Sequences("sequences", path="x", task="x")


def written(tmp_path, ragged):
    rows = [f"s{i},{j},{i % 5},{'ab'[i % 2]}\n" for i in range(40) for j in range(1 + (i % 4 if ragged else 3))]
    (tmp_path / "s.csv").write_text("id,v,w,target\n" + "".join(rows))
    return ["+agent=classifier", "data=sequences", f"data.path={tmp_path / 's.csv'}", "agent.batch_size=8",
            "compute.device=cpu"]


def test_an_agent_learns_it(tmp_path):
    made = assemble(composed([*written(tmp_path, ragged=True), "model=gru"]))
    batch = made.experiment.stream.next()
    assert batch["x"].shape == (8, 4, 2) and batch["length"].shape == (8,)
    assert made.experiment.learner.update(batch)["loss/train"].isfinite()


def test_sequences_of_one_length_fit_other_networks(tmp_path):
    made = assemble(composed([*written(tmp_path, ragged=False), "model=mlp"]))
    assert made.experiment.learner.update(made.experiment.stream.next())["loss/train"].isfinite()
    with pytest.raises(UsageError, match="several lengths; use model=lstm, gru or rnn"):
        assemble(composed([*written(tmp_path, ragged=True), "model=mlp"]))


def test_from_the_command_line(tmp_path, lab):
    code, _, said = lab(*written(tmp_path, ragged=True), "model=gru", "budget.epochs=2", "hydra.run.dir=out")
    assert code == 0, said
    assert "sequence of 4 x 2 or shorter, 2 classes" in said
