"""Tables in csv files: what is read, and what a mistake in the file gets, with its line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lab.assembly import assemble
from lab.compose import composed
from lab.data import csv_file
from lab.data.csv_file import CsvFile
from lab.data.dataset import About, Column
from lab.data.table import table, target_of
from lab.errors import UsageError
from lab_data import tables
from lab_data.plugin import Csv

GOOD = "age,colour,species\n1,red,cat\n2.5,blue,dog\n-3,red,cat\n"


@pytest.fixture
def write(tmp_path):
    """write(TEXT) -> path of a csv file."""
    def written(text, name="a.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(tmp_path / name)

    return written


@pytest.fixture
def built(write):
    """built(TEXT, **settings) -> the dataset."""
    def build(text, test=None, **settings):
        more = {} if test is None else {"test_path": write(test, "test.csv")}
        return tables.build(Csv("csv", path=write(text), **{"target": "species", **more, **settings}))

    return build


# --- what is read ---

def test_a_table(built):
    found = built(GOOD)
    train = found.splits["train"].tensors
    assert found.about == About("table", (2,), classes=("cat", "dog"),
                                columns=(Column("age"), Column("colour", ("blue", "red"))))
    assert train["x"].tolist() == [[1, 1], [2.5, 0], [-3, 1]] and train["x"].dtype == torch.float64
    assert train["y"].tolist() == [0, 1, 0] and train["y"].dtype == torch.int64
    assert found.notes == ("'species' has 2 classes to tell apart; data.task=numbers predicts a number",
                           "predicted from 1 columns of numbers (age) and 1 of categories: colour (2)")


def test_numbers_to_predict(built):
    found = built(GOOD, target="age")
    assert found.about.targets == ("age",) and found.about.classes == ()
    assert found.splits["train"].tensors["y"].tolist() == [[1], [2.5], [-3]]
    assert "'age' is a number to predict; data.task=classes" in found.notes[0]


@pytest.mark.parametrize("fields, task, classes", [
    (["3", "10", "3.0"], "auto", ("3", "10")), (["0", "1", "0"], "auto", ("0", "1")),
    (["a", "b", "a"], "auto", ("a", "b")),
    (["0.5", "1", "1"], "auto", ()), (["0.5", "1", "1"], "classes", ("0.5", "1")), (["0", "1", "1"], "numbers", ()),
    (["1", "b", "b"], "classes", ("1", "b")), (["-2", "7", "7"], "auto", ("-2", "7"))])
def test_what_is_a_class(fields, task, classes):
    found = CsvFile("f", ("a", "y"), [["0", field] for field in fields], [2, 3, 4])
    target = target_of(found, "y", task)
    assert target.classes == classes
    expected = [classes.index(str(int(float(f))) if target.whole else f) for f in fields] if classes else [
        [float(f)] for f in fields]
    assert target.read(found).tolist() == expected


@pytest.mark.parametrize("values, classes", [(20, 20), (21, 0)])
def test_few_whole_numbers_are_classes(values, classes):
    found = CsvFile("f", ("y",), [[str(i)] for i in range(values)], list(range(values)))
    assert len(target_of(found, "y", "auto").classes) == classes


@pytest.mark.parametrize("text", [
    GOOD, "\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n\n", GOOD.replace(",", ", "), GOOD.rstrip("\n"),
    GOOD.replace("red", '"red"')])
def test_one_table_however_it_is_written(text, built):
    assert built(text).splits["train"].tensors["x"].tolist() == built(GOOD).splits["train"].tensors["x"].tolist()
    assert built(text).about == built(GOOD).about


@pytest.mark.parametrize("given, between", [(";", ";"), ("semicolon", ";"), ("tab", "\t"), ("\\t", "\t"),
                                            ("|", "|")])
def test_separators(given, between, built):
    assert built(GOOD.replace(",", between), separator=given).about == built(GOOD).about


def test_a_field_may_be_long(built):
    """Python's own limit is 131,072 letters."""
    assert built(f"age,colour,species\n1,{'x' * 200_000},cat\n2,y,dog\n").about.columns[1].categories == (
        "x" * 200_000, "y")


def test_quoted_fields_hold_anything(built):
    found = built('age,species\n1,"a, ""b"""\n2,"two\nlines"\n')
    assert found.about.classes == ('a, "b"', "two\nlines")


def test_chosen_columns_in_their_order(built):
    found = built("a,b,c,species\n1,2,3,x\n4,5,6,y\n", columns=["c", "a"], categorical=["a"])
    assert found.about.columns == (Column("c"), Column("a", ("1", "4")))
    assert found.splits["train"].tensors["x"].tolist() == [[3, 0], [6, 1]]


@pytest.mark.parametrize("empty", ["", " ", "nan", "NaN"])
def test_what_is_missing_is_filled_in_later(empty, built):
    found = built(f"age,species\n1,x\n{empty},y\n", impute="mean")
    assert np.isnan(found.splits["train"].tensors["x"][1, 0]) and found.about.columns == (Column("age"),)


def test_a_missing_category_is_one_of_its_own(built):
    found = built("colour,species\nred,x\n,y\n", impute="zero")
    assert found.about.columns == (Column("colour", ("", "red")),)
    assert found.splits["train"].tensors["x"].tolist() == [[1], [0]]


# --- a second file ---

def test_a_test_file(built):
    found = built(GOOD, test="species,extra,colour,age\ndog,0,blue,7\n")
    assert found.splits["test"].tensors["x"].tolist() == [[7, 0]] and found.splits["test"].tensors["y"].tolist() == [1]


def test_a_category_of_the_test_file_alone(built):
    with pytest.raises(UsageError, match=r"test\.csv, line 3, column 'colour': the training data has no category "
                                         r"'green'; trained with data\.unseen=other"):
        built(GOOD, test="age,colour,species\n7,blue,dog\n7,green,dog\n")


def test_it_may_be_none_of_those_that_are_known(write):
    test = write("age,colour,species\n7,green,dog\n", "t.csv")
    path = write(GOOD + "1,red,cat\n2,blue,dog\n" * 9)
    made = assemble(composed(["+agent=classifier", "data=csv", f"data.path={path}", "data.target=species",
                              f"data.test_path={test}", "data.unseen=other", "data.prepare=none", "data.valid=0",
                              "compute.device=cpu"]))
    front = made.experiment.learner.net.front
    assert front(torch.tensor([[7.0, 2.0]])).tolist() == [[7, 0, 0]] and front.sizes == [2]
    closer, = [judge for name, judge in made.experiment.closing.items() if name == "test"]
    assert closer.data.splits["test"].tensors["x"].tolist() == [[7, 2]]


def test_a_class_of_the_test_file_alone(built):
    with pytest.raises(UsageError, match=r"test\.csv, line 2, column 'species': the training data has no class 'cow'"):
        built(GOOD, test="age,colour,species\n7,blue,cow\n")


def test_the_rows_of_another_file_by_the_columns_of_a_run(write, built):
    """What `lab predict` needs: the description of the data as a run keeps it, and any file with those columns."""
    about = About.of(json.loads(json.dumps(built(GOOD).about.plain())))
    new = csv_file.read(Path(write("colour,name,age\ngreen,a,4\nred,b,\n", "new.csv")))
    assert table(new, about.columns, may_miss=True, unseen="other")[0].tolist() == [4, 2]
    assert np.isnan(table(new, about.columns, True, "other")[1, 0])
    with pytest.raises(UsageError, match=r"new\.csv, line 2, column 'colour': the training data has no category"):
        table(new, about.columns, may_miss=True)
    with pytest.raises(UsageError, match=r"new\.csv, line 3, column 'age': the number is missing; data.impute=mean"):
        table(new, about.columns, may_miss=False, unseen="other")
    with pytest.raises(UsageError, match=r"data.columns=age: .* has no such column"):
        table(csv_file.read(Path(write("colour\nred\n"))), about.columns, True)


# --- mistakes ---

@pytest.mark.parametrize("text, settings, message", [
    ("", {}, "a.csv is empty; expected a line with the names of the columns"),
    ("\n\n", {}, "a.csv is empty"),
    ("age,species\n", {}, "a.csv has a header and no row"),
    (GOOD, {"target": "specis"}, r"data.target=specis: .*a.csv has no such column. Did you mean 'species'\?"),
    (GOOD, {"columns": ["agee"]}, r"data.columns=agee: .* has no such column. Did you mean 'age'\?"),
    (GOOD, {"columns": ["age", "species"]}, "data.columns has 'species', which is the target"),
    (GOOD, {"columns": ["age", "age"]}, "data.columns names a column twice: age, age"),
    (GOOD, {"categorical": ["color"]}, r"data.categorical=color: .* Did you mean 'colour'\?"),
    (GOOD, {"separator": ";"}, r"data.target=species: .*is data.separator right\? The whole header is 'age,colour"),
    ("species\na\nb\n", {}, r"has no column but the target 'species'; is data\.separator right\?"),
    ("age,age,species\n1,2,a\n", {}, "the header names the column 'age' twice"),
    (",age,species\n1,2,a\n", {}, "column 1 has no name in the header; give it one"),
    ("age,species\n1,a\n2\n", {}, r"a.csv, line 3: 1 fields, and the header has 2; a field that holds ',' stands"),
    ("age,species\n1,a\n2,b,c\n", {}, "line 3: 3 fields, and the header has 2"),
    ("age,species\n1,a\n\n2,b\n", {}, "a.csv, line 3 is empty; remove it"),
    ('age,species\n1,"a\nb"\n2\n', {}, "line 4: 1 fields"),
    ('age,species\n1,a\n2,"b\n', {}, "line 3: unexpected end of data"),
    ('age,species\n1,"a"b\n', {}, "line 2: ',' expected after"),
    ("age,species\n1,a\n2,\n", {}, "line 3, column 'species': the target is missing; fill it in, or leave the row out"),
    ("age,species\n1,a\n,b\n", {}, r"line 3, column 'age': the number is missing; data\.impute=mean, median or zero"),
    ("age,species\n1,a\nnan,b\n", {}, "line 3, column 'age': the number is missing"),
    ("c,species\nu,a\n,b\n", {}, r"line 3, column 'c': the category is missing; data\.impute=mean, median or zero"),
    ("age,species\n1,a\nold,b\n", {}, r"line 3, column 'age': 'old' is no number, and .*data\.categorical=\[age\]"),
    ("age,species\nNA,a\n4,b\n", {}, r"line 2, column 'age': 'NA' is no number, and others .*leave the field empty"),
    ("age,species\n1_0,a\n4,b\n", {}, "line 2, column 'age': '1_0' is no number"),
    ("age,species\n1,a\ninf,b\n", {}, "line 3, column 'age': inf is infinite as a 32-bit number"),
    ("age,species\n1,a\n1e39,b\n", {}, "line 3, column 'age': 1e39 is infinite as a 32-bit number"),
    ("age,y\n1,1\n2,high\n", {"target": "y"}, "line 3, column 'y': the target 'high' is no number, and others are; "
                                              "use data.task=classes"),
    ("age,y\n1,1\n2,high\n", {"target": "y", "task": "numbers"}, "column 'y': 'high' is no number; .*data.task"),
    (b"age,species\n1,a\n2,\xff\n", {}, "a.csv, line 3: it is not UTF-8")])
def test_mistakes_in_a_file(text, settings, message, built):
    with pytest.raises(UsageError, match=message):
        built(text, **settings)


def test_the_first_of_several_mistakes_is_told(built):
    with pytest.raises(UsageError, match="line 2, column 'age'"):
        built("age,species\n,a\n,b\n")


def test_files_that_are_not_there(tmp_path, write):
    with pytest.raises(UsageError, match=r"data\.path=no\.csv: there is no such file or folder in /"):
        tables.build(Csv("csv", path="no.csv", target="y"))
    with pytest.raises(UsageError, match="is a folder; expected a file"):
        tables.build(Csv("csv", path=str(tmp_path), target="y"))
    with pytest.raises(UsageError, match=r"data\.test_path=/no\.csv: there is no such file or folder$"):
        tables.build(Csv("csv", path=write(GOOD), target="species", test_path="/no.csv"))


@pytest.mark.parametrize("settings, message", [
    ({"path": "", "target": "y"}, "data.path is missing"),
    ({"target": "y", "task": "class"}, r"data.task=class is not known. Did you mean 'classes'\?"),
    ({"target": "y", "separator": ",,"}, "data.separator is ',,'; expected one character, or tab, semicolon"),
    ({"target": "y", "separator": '"'}, "data.separator is '\"'")])
def test_mistakes_in_the_config(settings, message):
    with pytest.raises(UsageError, match=message):
        Csv("csv", **{"path": "a.csv", **settings})


# --- end to end ---

@pytest.mark.parametrize("agent", ["vae", "kmeans"])
def test_without_a_target_all_columns_are_learned(agent, write):
    path = write("a,b\n" + "".join(f"{i / 7},{'uvw'[i % 3]}\n" for i in range(40)))
    model = [] if agent == "kmeans" else ["model=vae_mlp"]
    made = assemble(composed([f"+agent={agent}", "data=csv", f"data.path={path}", *model]))
    assert [column.name for column in made.data.about.columns] == ["a", "b"] and made.data.about.outputs == 0
    made.experiment.learner.update(made.experiment.stream.next())


@pytest.mark.parametrize("agent", ["classifier", "regressor", "logistic_regression"])
def test_who_needs_a_target_says_so(agent, write):
    path = write("a,b\n" + "".join(f"{i / 7},{i % 3}\n" for i in range(40)))
    with pytest.raises(UsageError, match=f"data.target is missing: name the column that {agent} is to predict"):
        assemble(composed([f"+agent={agent}", "data=csv", f"data.path={path}"]))


def test_one_class_is_none(write):
    path = write("a,y\n" + "".join(f"{i / 7},cat\n" for i in range(40)))
    with pytest.raises(UsageError, match="the classifier tells classes apart, and data=csv has only 'cat'"):
        assemble(composed(["+agent=classifier", "data=csv", f"data.path={path}", "data.target=y"]))


@pytest.mark.parametrize("target, agent", [("y", "classifier"), ("a", "regressor")])
def test_an_agent_learns_it(target, agent, write):
    path = write("a,b,y\n" + "".join(f"{i / 7},{'uvw'[i % 3]},{i % 2}\n" for i in range(40)))
    made = assemble(composed([f"+agent={agent}", "data=csv", f"data.path={path}", f"data.target={target}",
                              "agent.batch_size=8", "compute.device=cpu"]))
    batch = made.experiment.stream.next()
    assert batch["x"].shape == (8, 2)
    assert made.experiment.learner.update(batch)["loss/train"].isfinite()
    assert made.experiment.learner.net(batch["x"]).shape == (8, 2 if agent == "classifier" else 1)


def test_from_the_command_line(write, lab):
    path = write("a;b;y\n" + "".join(f"{i};{'uvw'[i % 3]};{'no' if i % 2 else 'yes'}\n" for i in range(60)))
    command = ["+agent=classifier", "data=csv", f"data.path={path}", "data.separator=semicolon"]
    code, _, said = lab(*command, "data.target=y", "budget.epochs=2", "agent.batch_size=8", "compute.device=cpu",
                   "hydra.run.dir=out")
    assert code == 0, said
    assert "'y' has 2 classes to tell apart" in said and "b (3)" in said
    code, _, said = lab(*command, "data.target=z")
    assert code == 2 and "data.target=z" in said and "Traceback" not in said
