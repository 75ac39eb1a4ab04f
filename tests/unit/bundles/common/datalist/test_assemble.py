"""Records become splits: duplicates, patients in two splits, what is left out, and the file at the end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from bundles.common.datalist.assemble import Choices, Datalist, assemble
from bundles.common.datalist.command import make
from bundles.common.datalist.problems import Damaged, DatalistError, Kind, Place, Problems
from bundles.common.datalist.records import SPLITS, TEST, TRAINING, VALIDATION, Reading, Record
from bundles.common.datalist.splits import Shares
from bundles.common.datalist.writing import counts, write_datalist

CSV = Path("labels.csv")


def record(number: int, patient: str = "", **more: object) -> Record:
    values = {"labels": {"lesion": 0}, **more}
    image = f"{number}.png"
    return Record(image, image, patient or f"p{number}", Place(CSV, number), **values)  # type: ignore[arg-type]


def reading(*records: Record, files: tuple[Path, ...] = ()) -> Reading:
    return Reading("a set", ("lesion",), records, files)


def test_a_patient_stays_together_and_every_split_has_some() -> None:
    made = assemble(reading(*(record(n, f"p{n // 3}") for n in range(600))), Problems(), Choices())
    patients = {split: {r.patient for r in made.splits[split]} for split in SPLITS}
    assert sum(len(found) for found in patients.values()) == 200
    assert 140 < len(patients[TRAINING]) < 180
    assert min(len(found) for found in patients.values()) > 5


def test_the_hash_is_stable() -> None:
    assert [Shares().split_of(str(n)) for n in range(6, 9)] == [TRAINING, TEST, TRAINING]
    assert Shares().split_of("8", (TEST,)) == TEST


@given(st.text(max_size=12), st.sampled_from([(TRAINING, VALIDATION), (TRAINING, TEST), SPLITS]))
def test_a_patient_goes_where_the_pool_allows(patient: str, pool: tuple[str, ...]) -> None:
    assert Shares().split_of(patient, pool) in pool
    assert Shares(1, 0, 0).split_of(patient, pool) == TRAINING


def test_shares() -> None:
    assert Shares.parse("0.7, 0.2, 0.1") == Shares(0.7, 0.2, 0.1)
    for text in ("0.5,0.5", "a,b,c", "0.5,0.5,0.5", "1.5,-0.5,0"):
        with pytest.raises(DatalistError, match="shares"):
            Shares.parse(text)
    with pytest.raises(DatalistError, match="the shares of both are 0"):
        Shares(0, 0, 1).split_of("a", (TRAINING, VALIDATION))


@pytest.mark.parametrize("leave_out", [False, True])
def test_a_patient_in_two_splits_is_refused_by_name(leave_out: bool) -> None:
    both = (record(2, "p7", pool=(TRAINING,)), record(9, "p7", pool=(TEST,)), record(3, pool=(TEST,)))
    with pytest.raises(DatalistError) as caught:
        assemble(reading(*both), Problems(), Choices(leave_out=leave_out))
    assert "1 patient is in more than one split:" in str(caught.value)
    assert "patient 'p7' is in training (labels.csv:2) and test (labels.csv:9)" in str(caught.value)


def test_a_row_that_is_there_twice() -> None:
    twice = record(1)
    again = Record(twice.key, twice.image, twice.patient, Place(CSV, 5), labels=twice.labels)
    with pytest.raises(DatalistError, match=r"labels\.csv:5: image '1\.png' again, the same as in labels\.csv:1"):
        assemble(reading(twice, again), Problems(), Choices())
    made = assemble(reading(twice, again), Problems(), Choices(leave_out=True))
    assert sum(len(made.splits[split]) for split in SPLITS) == 1


def test_an_image_with_two_answers_is_left_out_whole() -> None:
    other = Record("1.png", "1.png", "p1", Place(CSV, 5), labels={"lesion": 1})
    with pytest.raises(DatalistError, match=r"again, with other labels than in labels\.csv:1"):
        assemble(reading(record(1), other, record(2)), Problems(), Choices())
    made = assemble(reading(record(1), other, record(2)), Problems(), Choices(leave_out=True))
    assert [r.image for split in SPLITS for r in made.splits[split]] == ["2.png"]
    assert made.notes == ("1 images were left out: missing or damaged",)


def test_many_problems_are_counted_and_twenty_shown(tmp_path: Path) -> None:
    problems = Problems()
    for line in range(2, 32):
        with problems.at(Place(CSV, line), str(line)):
            raise Damaged("not there", Kind.MISSING)
    with pytest.raises(DatalistError) as caught:
        problems.stop_unless(False)
    text = str(caught.value)
    assert text.startswith("30 images are listed but missing:\n  labels.csv:2: not there\n")
    assert "labels.csv:21:" in text
    assert "labels.csv:22:" not in text
    assert "… and 10 more" in text
    assert problems.write_report(tmp_path / "r.tsv")
    lines = (tmp_path / "r.tsv").read_text(encoding="utf-8").splitlines()
    assert (len(lines), lines[-1]) == (30, "missing\tlabels.csv:31: not there")
    problems.stop_unless(True)
    assert not Problems().write_report(tmp_path / "r.tsv")
    assert not (tmp_path / "r.tsv").exists()


def test_a_row_that_names_no_image_cannot_be_left_out() -> None:
    problems = Problems()
    problems.add(Kind.DAMAGED, Place(CSV, 2), "1 fields, expected 2")
    with pytest.raises(DatalistError, match=r"1 row cannot be read:\n  labels\.csv:2: 1 fields, expected 2$"):
        problems.stop_unless(True)


def test_only_boxed() -> None:
    records = (record(1), record(2, boxed=False, labels={"lesion": 1}))
    made = assemble(reading(*records), Problems(), Choices(only_boxed=True))
    assert [r.image for split in SPLITS for r in made.splits[split]] == ["1.png"]
    with pytest.raises(DatalistError, match=r"no image is left \(1 were listed\)"):
        assemble(reading(records[1]), Problems(), Choices(only_boxed=True))


def test_only_some_views() -> None:
    records = (record(1, view="AP"), record(2, view="LATERAL"), record(3, view=None))
    made = assemble(reading(*records), Problems(), Choices(views=("AP", "PA")))
    assert [r.image for split in SPLITS for r in made.splits[split]] == ["1.png"]
    assert made.notes == ("2 images of other views than AP, PA were left out",)


def labelled(tmp_path: Path) -> Datalist:
    labels = tmp_path / "labels.csv"
    labels.write_text("x", encoding="utf-8")
    records = (
        record(1, pool=(TRAINING,), boxes=((1, 2, 3, 4),), classes=(0,), labels={"lesion": 1}, view="PA"),
        record(2, pool=(TEST,), labels={"lesion": None}, boxed=False, more={"age": 4}),
    )
    return assemble(reading(*records, files=(labels,)), Problems(), Choices())


def test_the_file_is_a_datalist_of_monai(tmp_path: Path) -> None:
    from monai.data import load_decathlon_datalist

    write_datalist(labelled(tmp_path), tmp_path / "sub" / "d.json")
    content = json.loads((tmp_path / "sub" / "d.json").read_text(encoding="utf-8"))
    assert content["classes"] == {"0": "lesion"}
    assert content["label_files"]["labels.csv"].startswith("2d711642b726")
    items = load_decathlon_datalist(tmp_path / "sub" / "d.json", True, "training", base_dir=tmp_path)
    assert items == [
        {
            "image": str(tmp_path / "1.png"),
            "boxes": [[1, 2, 3, 4]],
            "classes": [0],
            "labels": {"lesion": 1},
            "patient": "p1",
            "view": "PA",
            "boxed": True,
        }
    ]
    assert content["test"][0]["age"] == 4
    assert content["validation"] == []


def test_counts(tmp_path: Path) -> None:
    table = dict(counts(labelled(tmp_path)))
    assert table["images"] == [1, 0, 1, 2]
    assert table["boxes of lesion"] == [1, 0, 0, 1]
    assert table["lesion present"] == [1, 0, 0, 1]
    assert table["lesion unknown"] == [0, 0, 1, 1]
    assert table["view PA"] == [1, 0, 0, 1]
    assert table["view unknown"] == [0, 0, 1, 1]
    assert table["unlabelled"] == [0, 0, 1, 1]


def run(read: Callable[[Problems], Reading], out: Path) -> int:
    try:
        make(read, out, "0.8,0.1,0.1", leave_out=False)
    except typer.Exit as stop:
        return stop.exit_code
    return 0


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def damaged(problems: Problems) -> Reading:
        problems.add(Kind.BOX, Place(CSV, 3), "box outside", "1.png")
        return reading(record(1))

    out = tmp_path / "d.json"
    assert run(damaged, out) == 1
    assert "labels.csv:3: box outside" in capsys.readouterr().err
    assert (tmp_path / "d.problems.tsv").read_text(encoding="utf-8") == "box\tlabels.csv:3: box outside\n"
    assert not out.exists()
    assert run(lambda _: reading(record(1)), out) == 0
    shown = capsys.readouterr().out
    assert "patients" in shown
    assert f"datalist: {out}" in shown
    assert not (tmp_path / "d.problems.tsv").exists()
