"""LIDC-IDRI's readings of radiographs."""

from pathlib import Path

import pytest

from bundles.chest_radiograph.scripts.datasets import lidc
from bundles.common.datalist.fusion import Merging, Method
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from tests.unit.bundles.common.datalist.sets import radiograph, records, refusal

SQUARE = [(10, 20), (30, 20), (30, 40), (10, 40)]


def roi(points: list, uid: str = "1.2.3") -> str:
    edges = "\n".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
    return (
        f"<unblindedRead><noduleID>1</noduleID>\n<roi><imageSOP_UID>{uid}</imageSOP_UID>\n{edges}</roi></unblindedRead>"
    )


def message(*sessions: str, root: str = "IdriReadMessage", space: str = "http://www.nih.gov/idri") -> str:
    read = "".join(f"<CXRreadingSession>{session}</CXRreadingSession>\n" for session in sessions)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} uid="1.1" xmlns="{space}">\n<ResponseHeader>'
        f"<CXRSeriesInstanceUid>1.9</CXRSeriesInstanceUid></ResponseHeader>\n{read}</{root}>\n"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, uid, series, modality, view in (
        ("pa", "1.2.3", "1.9", "DX", "PA"),
        ("ll", "1.2.4", "1.9", "DX", "LL"),
        ("ct", "1.2.5", "1.8", "CT", ""),
    ):
        radiograph(
            tmp_path / "a" / f"{name}.dcm",
            80,
            100,
            SOPInstanceUID=uid,
            SeriesInstanceUID=series,
            Modality=modality,
            ViewPosition=view,
            PatientID="LIDC-IDRI-0001",
        )
    return tmp_path


def reader(folder: Path, text: str, merging: Merging | None = None):
    (folder / "xml").mkdir(exist_ok=True)
    (folder / "xml" / "068.xml").write_text(text, encoding="utf-8")

    def read(problems: Problems) -> Reading:
        return lidc.read(folder / "xml", ImageFolder(folder), merging or Merging(), problems)

    return read


def test_outlines_of_two_readers(folder: Path) -> None:
    shifted = [(x + 2, y) for x, y in SQUARE]
    found = records(reader(folder, message(roi(SQUARE), roi(shifted), "")))
    frontal, lateral = found["a/pa.dcm"], found["a/ll.dcm"]
    assert frontal.boxes == ((11, 20, 32, 41),)
    assert (frontal.labels, frontal.boxed) == ({"lesion": 1, "pneumothorax": None}, True)
    assert (frontal.patient, frontal.view) == ("LIDC-IDRI-0001", "PA")
    assert frontal.more == {"readers": 3, "shares": [2 / 3], "points": []}
    assert (lateral.labels["lesion"], lateral.view, lateral.boxed) == (None, "LATERAL", False)
    voted = records(reader(folder, message(roi(SQUARE), "", ""), Merging(Method.VOTE)))["a/pa.dcm"]
    assert (voted.boxes, voted.boxed) == ((), False)


def test_nothing_seen_is_absent_and_a_point_is_a_lesion_without_a_box(folder: Path) -> None:
    assert records(reader(folder, message("")))["a/pa.dcm"].labels["lesion"] == 0
    point = records(reader(folder, message(roi([(5, 6)]))))["a/pa.dcm"]
    assert (point.labels["lesion"], point.boxes, point.boxed) == (1, (), False)
    assert point.more["points"] == [[5.0, 6.0]]


def test_a_ct_reading_is_refused_with_a_clear_word(folder: Path) -> None:
    text = message(roi(SQUARE), root="LidcReadMessage", space="http://www.nih.gov")
    assert "068.xml:2: LidcReadMessage: this file annotates a CT; radiographs have IdriReadMessage" in refusal(
        reader(folder, text)
    )
    (folder / "xml" / "069.xml").write_text(message(""), encoding="utf-8")
    assert records(reader(folder, text), leave_out=True).keys() == {"a/pa.dcm", "a/ll.dcm"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (message(roi([(10, 20), (90, 30)])), "068.xml:5: box (10, 20, 91, 31) lies outside of its image of 80×100"),
        (message(roi([(10, "x"), (9, 3)])), "068.xml:2: <yCoord> is 'x', expected a number"),
        (message(roi([])), "068.xml:2: line 5: <roi> without <edgeMap>"),
        (message(roi(SQUARE, "1.2.9")), "068.xml:2: the radiograph with SOP Instance UID 1.2.9 is not among"),
        (message("").replace(">1.9<", ">1.7<"), "068.xml:2: the radiograph of series 1.7 is not among"),
        (message(), "no <CXRreadingSession>"),
        (message("").replace("CXRSeries", "CTSeries"), "names no series"),
        (message("", space="urn:x"), "expected <IdriReadMessage> of 'http://www.nih.gov/idri'"),
        (message("")[:-10], "not well-formed XML"),
    ],
)
def test_damaged(folder: Path, text: str, words: str) -> None:
    assert words in refusal(reader(folder, text))


def test_folders_without_what_is_needed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    read = reader(folder, message(""))
    (folder / "xml" / "068.xml").unlink()
    assert "no XML file in it" in refusal(read)
    empty = tmp_path_factory.mktemp("empty")
    assert "no CR or DX image in it" in refusal(reader(empty, message("")))


def test_a_radiograph_cut_off_is_named_and_a_ct_image_cut_off_is_not(folder: Path) -> None:
    for name in ("ct", "ll"):
        path = folder / "a" / f"{name}.dcm"
        path.write_bytes(path.read_bytes()[:-100])
    text = refusal(reader(folder, message(roi(SQUARE))))
    assert f"{folder / 'a' / 'll.dcm'}:1: " in text
    assert "truncated" in text
    assert "ct.dcm" not in text
