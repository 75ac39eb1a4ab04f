"""ChestX-ray14, a hospital's own table, the commands, and files of any bytes."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bundles.chest_classification.scripts.datalist import load_chests
from bundles.chest_classification.scripts.datasets import chexpert, mimic, nih, own_table
from bundles.chest_classification.scripts.datasets.__main__ import app
from bundles.chest_classification.scripts.datasets.labels import policy_of
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import DatalistError, Problems
from bundles.common.datalist.records import TEST, TRAINING, VALIDATION, Reading
from bundles.common.radiograph.chexpert import Unclear
from bundles.common.radiograph.nih import ENTRY
from tests.unit.bundles.chest_classification.datasets.tables import table, with_images
from tests.unit.bundles.common.datalist.sets import records, refusal

NIH = {"Patient Age": "58", "Patient Gender": "F", "View Position": "PA"}
ROWS = [
    {**NIH, "Image Index": "00000001_000.png", "Finding Labels": "Mass|Effusion", "Patient ID": "1"},
    {**NIH, "Image Index": "00000002_000.png", "Finding Labels": "No Finding", "Patient ID": "2"},
    {**NIH, "Image Index": "00000003_000.png", "Finding Labels": "Fibrosis", "Patient ID": "3"},
]
SIX = ["normal", "lung_lesion", "consolidation", "interstitial_opacity", "pleural_effusion", "pneumothorax"]


def nih_reader(folder: Path, rows: list[dict[str, str]], test: tuple[str, ...] = ()):
    images = with_images(folder / "images", [row["Image Index"] for row in rows])
    entries = table(folder / "Data_Entry_2017.csv", ENTRY, rows)
    listed = folder / "test_list.txt"
    listed.write_text("\n".join(test) + "\n")
    return lambda problems: nih.read(entries, ImageFolder(images), problems, test_list=listed if test else None)


def test_findings_of_chestx_ray14_become_ours(tmp_path: Path) -> None:
    found = records(nih_reader(tmp_path, ROWS, ("00000002_000.png",)))
    shown = {name: {label for label, value in record.labels.items() if value} for name, record in found.items()}
    assert shown == {
        "00000001_000.png": {"lung_lesion", "pleural_effusion"},
        "00000002_000.png": {"normal"},
        "00000003_000.png": {"fibrosis", "interstitial_opacity"},
    }
    assert (found["00000002_000.png"].pool, found["00000001_000.png"].pool) == ((TEST,), (TRAINING, VALIDATION))


def test_what_is_wrong_in_chestx_ray14_is_named(tmp_path: Path) -> None:
    assert "the image's name says 1" in refusal(nih_reader(tmp_path / "a", [{**ROWS[0], "Patient ID": "2"}]))
    words = refusal(nih_reader(tmp_path / "b", [{**ROWS[0], "Finding Labels": "Masses"}]))
    assert "unknown finding 'Masses', did you mean 'Mass'" in words
    assert "has no row among the labels" in refusal(nih_reader(tmp_path / "c", ROWS, ("00000009_000.png",)))


def own_reader(folder: Path, text: str):
    images = with_images(folder / "images", ["a/1.png", "2.png"])
    path = folder / "own.csv"
    path.write_text(text)
    return lambda problems: own_table.read(path, ImageFolder(images), problems)


def test_an_own_table_has_classes(tmp_path: Path) -> None:
    text = "image;patient;class;split\na/1.png;P1;pleural_effusion;training\n2.png;P2;normal;test\n"
    found = records(own_reader(tmp_path, text))
    assert found["a/1.png"].labels == {"normal": 0, "pleural_effusion": 1}
    assert (found["2.png"].labels["normal"], found["2.png"].pool) == (1, (TEST,))


def test_or_a_column_for_each_finding(tmp_path: Path) -> None:
    text = "image,patient,view,edema,pneumothorax\na/1.png,P1,pa,1,\n2.png,P1,,-1,0\n"
    found = records(own_reader(tmp_path, text))
    assert found["a/1.png"].labels == {"edema": 1, "pneumothorax": None}
    assert (found["a/1.png"].view, found["2.png"].view) == ("PA", None)
    assert found["2.png"].labels == {"edema": None, "pneumothorax": 0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,patient,claas\n2.png,P,normal\n", "expected a column 'class'"),
        ("image,patient,class,edema\n2.png,P,normal,1\n", "and not both"),
        ("image,patient,class\n2.png,P,norml\na/1.png,P,normal\n", "did you mean 'normal'"),
        ("image,class\n2.png,normal\n", "no column 'patient'"),
        ("image,patient,class\n3.png,P,normal\n", "image '3.png' is not below"),
        ("image,patient,class,split\n2.png,P,normal,dev\n", "'split' is 'dev'"),
        ("image,patient,class\n", "found no row"),
    ],
)
def test_another_own_table_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(own_reader(tmp_path, text))


def test_the_command_writes_what_training_reads(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(120)]
    images = with_images(tmp_path / "images", names)
    rows = [{"image": name, "patient": f"P{place}", "class": SIX[place % 6]} for place, name in enumerate(names)]
    own = table(tmp_path / "own.csv", ["image", "patient", "class"], rows)
    out = tmp_path / "datalist.json"
    arguments = ["table", "--csv", own, "--images", images, "--out", out, "--shares", "0.6,0.2,0.2"]
    result = CliRunner().invoke(app, [str(word) for word in arguments])
    assert result.exit_code == 0, result.output
    for section in ("training", "validation", "test"):
        items = load_chests(str(out), section, SIX, "multi_class", str(images))
        assert len(items) == len(json.loads(out.read_text())[section])


def test_the_command_refuses_with_words(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    arguments = ["mimic", "--labels", "no.csv", "--split-table", "no.csv", "--metadata", "no.csv"]
    arguments += ["--images", str(tmp_path / "images"), "--out", str(tmp_path / "out.json")]
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, "no.csv: No such file" in result.output) == (1, True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=300), st.sampled_from(["chexpert", "nih", "mimic", "own"]), st.booleans())
def test_files_of_any_bytes_give_words(tmp_path: Path, content: bytes, which: str, packed: bool) -> None:
    path = tmp_path / ("labels.csv.gz" if packed else "labels.csv")
    path.write_bytes(content)
    folder, problems, policy = ImageFolder(tmp_path), Problems(), policy_of("paper", ())
    try:
        if which == "chexpert":
            reading: Reading = chexpert.read(
                [path], folder, problems, policy=policy, blank=Unclear.ABSENT, own_split=True
            )
        elif which == "nih":
            reading = nih.read(path, folder, problems)
        elif which == "mimic":
            reading = mimic.read(
                [path], path, path, folder, problems, policy=policy, blank=Unclear.ABSENT, own_split=True
            )
        else:
            reading = own_table.read(path, folder, problems)
    except DatalistError as error:
        assert str(path) in str(error)
    else:
        assert reading.records == ()
