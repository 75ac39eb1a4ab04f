"""Shares of the labels, patients and pictures on both sides, and the metadata alone."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bundles.common.metrics.cases import case_id, read_cases, slice_id
from pretraining.data.errors import ArchiveError
from pretraining.experiments.baseline import write_baseline
from pretraining.experiments.datalists import read, share, write_share
from pretraining.experiments.layout import Names, label_volumes, link_more, link_unlabelled
from pretraining.experiments.leaks import look, refuse
from tests.unit.pretraining.experiments.made import datalist, rows


@settings(max_examples=60)
@given(st.integers(8, 60), st.integers(0, 5), st.data())
def test_a_smaller_share_lies_in_every_larger_and_keeps_patients_whole(
    count: int, seed: int, data: st.DataObject
) -> None:
    having = data.draw(st.sets(st.integers(0, count - 1), max_size=count))
    every = rows(count, having=sorted(having))
    before: list[str] = []
    for fraction in (0.1, 0.25, 0.5, 0.75, 1.0):
        try:
            chosen = share(every, ["mass"], fraction, seed)
        except ArchiveError:
            assert not before, "a larger share of one seed cannot lack what a smaller has"
            continue
        names = [row["image"] for row in chosen]
        assert set(before) <= set(names)
        people = {row["patient"] for row in chosen}
        assert names == [row["image"] for row in every if row["patient"] in people]
        assert {row["labels"]["mass"] for row in chosen} == {0, 1}
        before = names


def test_a_share_that_leaves_a_class_empty_is_refused_with_the_count() -> None:
    with pytest.raises(ArchiveError) as refused:
        share(rows(40, having=[0]), ["mass"], 0.02, 0)
    assert "2 % of the labels (0 patients, 0 images) leave a class empty: no image shows mass" in str(refused.value)


def test_only_the_training_section_is_shared_out(tmp_path: Path) -> None:
    path = datalist(tmp_path, training=rows(40, having=range(20)), test=rows(4, first=40), name="squares")
    smaller = read(write_share(read(path), (), 0.5, 0, tmp_path / "share.json"))
    assert (len(smaller.sections["training"]), len(smaller.sections["test"]), smaller.content["name"]) == (
        20,
        4,
        "squares",
    )


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"training": rows(4), "test": rows(2, first=3)}, "a patient is in training and test"),
        ({"training": [*rows(2), *rows(2)], "test": rows(2, first=4)}, "an image is there twice"),
        ({"training": rows(2)}, "no image in test"),
        ({"training": [{"image": "a.png"}], "test": rows(2)}, "no datalist of rows with image and patient: 'patient'"),
    ],
)
def test_a_datalist_that_cannot_be_trusted_is_refused_without_telling_a_patient(
    tmp_path: Path, sections: dict[str, object], told: str
) -> None:
    with pytest.raises(ArchiveError) as refused:
        read(datalist(tmp_path, **sections))
    assert told in str(refused.value)
    assert "P1" not in str(refused.value)


def pictures(folder: Path, count: int) -> None:
    """Noise, no two alike."""
    (folder / "images").mkdir(parents=True)
    for n in range(count):
        pixels = np.random.default_rng(n).integers(0, 256, (48, 48)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{n}.png")


def test_an_equal_and_a_nearly_equal_picture_on_both_sides_are_found(tmp_path: Path) -> None:
    pictures(tmp_path, 8)
    found = read(datalist(tmp_path, training=rows(4), test=rows(4, first=4)))
    clean = look(found, 0.995)
    assert (clean.same, clean.near) == ((), ())
    assert clean.highest < 0.9
    refuse(found, clean, allow_near=False)
    first = np.asarray(Image.open(tmp_path / "images" / "0.png")).astype(int)
    Image.fromarray(first.astype(np.uint8)).save(tmp_path / "images" / "4.png")
    Image.fromarray((first // 2 + 40).astype(np.uint8)).save(tmp_path / "images" / "6.png")
    leaks = look(found, 0.995)
    assert (len(leaks.same), len(leaks.near)) == (1, 1)
    with pytest.raises(ArchiveError, match="1 pairs of images to learn from and to test on are equal"):
        refuse(found, leaks, allow_near=True)


def test_near_duplicates_are_refused_unless_allowed(tmp_path: Path) -> None:
    pictures(tmp_path, 6)
    first = np.asarray(Image.open(tmp_path / "images" / "0.png")).astype(int)
    Image.fromarray((first // 2 + 40).astype(np.uint8)).save(tmp_path / "images" / "5.png")
    found = read(datalist(tmp_path, training=rows(4), test=rows(2, first=4)))
    leaks = look(found, 0.995)
    assert (len(leaks.same), len(leaks.near)) == (0, 1)
    refuse(found, leaks, allow_near=True)
    with pytest.raises(ArchiveError, match="1 pairs of images to learn from and to test on are nearly equal"):
        refuse(found, leaks, allow_near=False)


def test_an_encoder_gets_the_training_images_alone(tmp_path: Path) -> None:
    pictures(tmp_path, 8)
    datalist(tmp_path, training=rows(4), test=rows(4, first=4))
    assert [link_unlabelled(tmp_path) for _ in range(2)] == [4, 4]
    named = {f"{case_id(f'{n}.png')}.png": f"{n}.png" for n in range(4)}
    assert {path.name: path.resolve().name for path in (tmp_path / "pretrain").iterdir()} == named


def test_the_metadata_baseline_knows_what_the_view_gives_away(tmp_path: Path) -> None:
    path = datalist(
        tmp_path, training=rows(80, having=range(0, 80, 2)), test=rows(20, first=80, having=range(80, 100, 2))
    )
    assert write_baseline(path, ["view"], tmp_path / "cases.csv") == 20
    found = read_cases(tmp_path / "cases.csv")
    assert min(case.score for case in found if case.truth) > max(case.score for case in found if not case.truth)
    with pytest.raises(ArchiveError, match="no image has the metadata 'sex'"):
        write_baseline(path, ["sex"], tmp_path / "cases.csv")
    one = datalist(tmp_path / "one", training=rows(8, having=[0]), test=rows(4, first=8))
    with pytest.raises(ArchiveError, match=r"metadata baseline of 'mass': .*at least two patients"):
        write_baseline(one, ["view"], tmp_path / "cases.csv")


def test_the_metadata_baseline_learns_from_the_training_section_alone(tmp_path: Path) -> None:
    views = {"AP": [n for n in range(80) if n % 2], "PA": [n for n in range(80, 240) if n % 2 == 0]}
    path = datalist(
        tmp_path,
        training=rows(80, having=views["AP"]),
        validation=rows(160, first=80, having=views["PA"]),  # says the opposite, and twice as often
        test=rows(20, first=240, having=range(241, 260, 2)),
    )
    write_baseline(path, ["view"], tmp_path / "cases.csv")
    found = read_cases(tmp_path / "cases.csv")
    assert min(case.score for case in found if case.truth) > max(case.score for case in found if not case.truth)


NAMES = Names("blood", ("left", "right"), "blood in a slice")


def heads(folder: Path, **more: object) -> Path:
    """Two volumes as the phantoms' datalist has them."""
    (folder / "cases").mkdir(parents=True)
    for name in ("1", "2"):
        affine = np.diag([-0.5, -0.5, 4.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(np.zeros((6, 5, 3), np.int16), affine), folder / "cases" / f"{name}.nii.gz")
    row = {"image": "cases/1.nii.gz", "seed": 7, "label": 1, "types": [0, 1], "slices": [0, 1, 0], **more}
    mask = np.zeros((6, 5, 3), np.uint8)
    mask[2, 2, 1:] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.diag([-0.5, -0.5, 4.0, 1.0])), folder / "cases" / "2_mask.nii.gz")
    other = {"image": "cases/2.nii.gz", "mask": "cases/2_mask.nii.gz", "patient": "P8", "label": 0, "types": None}
    return datalist(folder, training=[row], validation=[], test=[other])


def test_volumes_get_names_of_labels_patients_and_what_headers_say(tmp_path: Path) -> None:
    path = heads(tmp_path)
    for _ in range(2):
        assert label_volumes(tmp_path, NAMES) == 2
    row, other = read(path).rows()
    assert row["labels"] == {"blood": 1, "left": 0, "right": 1}
    assert other["labels"] == {"blood": 0, "left": None, "right": None}
    assert (row["patient"], other["patient"], row["slices"]) == ("7", "P8", [0, 1, 0])
    assert [one["slice_labels"]["blood in a slice"] for one in (row, other)] == [[0, 1, 0], [0, 1, 1]]
    assert row["metadata"] == {"slice_count": 3, "slice_mm": 4.0, "pixel_mm": 0.5}
    link_unlabelled(tmp_path)
    assert [link.name for link in (tmp_path / "pretrain").iterdir()] == [f"{case_id('cases/1.nii.gz')}.nii.gz"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"image": ["a.dcm", "b.dcm"]}, "take volumes as NIfTI files"),
        ({"seed": None}, "lacks its patient or label"),
        ({"types": [1]}, "tells 1 types, and 2 names were given"),
        ({"image": "cases/3.nii.gz"}, "cannot be read"),
        ({"slices": [0, 1]}, "labels of 2 slices, and has 3"),
        ({"slices": None}, "no labels of slices and no mask"),
    ],
)
def test_volumes_that_cannot_be_named_are_refused(tmp_path: Path, more: dict[str, object], told: str) -> None:
    path = heads(tmp_path, **more)
    before = path.read_bytes()
    with pytest.raises(ArchiveError, match=told):
        label_volumes(tmp_path, NAMES)
    assert path.read_bytes() == before


def test_the_baseline_of_slices_knows_where_in_the_stack_a_finding_is(tmp_path: Path) -> None:
    flags = [0, 0, 1, 1, 0, 0]
    sections = [rows(count, first=first, slice_labels={"blood": flags}) for first, count in ((0, 12), (12, 4))]
    path = datalist(tmp_path, training=sections[0], test=sections[1])
    assert write_baseline(path, ["age"], tmp_path / "cases.csv", ["blood"]) == 24
    found = read_cases(tmp_path / "cases.csv")
    assert {case.case for case in found if case.truth} == {
        slice_id(f"{n}.png", number) for n in range(12, 16) for number in (2, 3)
    }
    assert min(case.score for case in found if case.truth) > max(case.score for case in found if not case.truth)


def test_images_of_further_sources_are_added_once_and_nothing_is_overwritten(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for place in ("laid_out", "one", "two"):
        (tmp_path / place).mkdir()
        for n in range(6):
            pixels = rng.integers(0, 256, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / place / f"{n}.png")
    folder = tmp_path / "laid_out"
    datalist(folder, training=rows(2), validation=rows(2, first=2), test=rows(2, first=4))
    assert link_unlabelled(folder) == 2
    with pytest.raises(ArchiveError, match="no image of a further source was found"):
        link_more(folder, [])
    sources = [*(tmp_path / "one").iterdir(), *(tmp_path / "two").iterdir()]
    for _ in range(2):  # a second time does no harm
        assert link_more(folder, [*sources, sources[0]]) == 14
    targets = {path.resolve() for path in (folder / "pretrain_more").iterdir()}
    assert targets == {path.resolve() for path in (*sources, folder / "0.png", folder / "1.png")}
    link = next((folder / "pretrain_more").iterdir())
    link.unlink()
    link.write_text("mine")
    with pytest.raises(ArchiveError, match="is there and is no link to its image"):
        link_more(folder, sources)
    assert link.read_text() == "mine"
