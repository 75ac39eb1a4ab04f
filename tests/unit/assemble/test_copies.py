"""Of several copies of an instance the newest whole one counts."""

from pathlib import Path

import pytest
from pydicom.uid import BasicTextSRStorage

from app.assemble import Copies, choose_copies
from tests.unit.bundles.common.dicom import change, ct_slice, ct_stack, save

NOTE = "a damaged copy of instance number 1 was left out, a whole one is there"


def copy(path: Path, content: bytes) -> Path:
    made = path.with_name(f"copy-{path.name}")
    made.write_bytes(content)
    return made


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return save(tmp_path, [ct_slice()])[0]


def test_among_whole_copies_the_newest_counts(whole: Path) -> None:
    newer = copy(whole, whole.read_bytes())
    assert choose_copies([(newer, whole)]) == Copies((newer,))


@pytest.mark.parametrize("length", [-1, -60, 300, 10, 0])
def test_a_cut_off_copy_does_not_displace_a_whole_one(whole: Path, length: int) -> None:
    damaged = copy(whole, whole.read_bytes()[:length])
    assert choose_copies([(damaged, whole)]) == Copies((whole,), (NOTE,))


def test_a_copy_with_too_few_pixels_is_damaged_though_its_file_is_whole(tmp_path: Path) -> None:
    whole, damaged = save(tmp_path, [ct_slice(), ct_slice(PixelData=b"\0" * 40)])
    assert choose_copies([(damaged, whole)]) == Copies((whole,), (NOTE,))


def test_a_whole_copy_displaces_a_damaged_one(whole: Path) -> None:
    damaged = copy(whole, whole.read_bytes()[:-1])
    assert choose_copies([(whole, damaged)]) == Copies((whole,), (NOTE,))


def test_different_images_under_one_uid_are_a_sign_of_loss(tmp_path: Path) -> None:
    newer, older = save(tmp_path, [ct_slice(4, ImagePositionPatient=[-120, -110, 50]), ct_slice(3)])
    assert choose_copies([(newer, older)]) == Copies(
        (newer,),
        signs=("1 SOP Instance UIDs stand for several images each; the newest counts, the others are missing",),
    )


def test_a_corrected_image_under_its_uid_is_none(tmp_path: Path) -> None:
    newer, older = save(tmp_path, [ct_slice(4, InstanceNumber=9), ct_slice(4)])
    assert choose_copies([(newer, older)]) == Copies((newer,))


def test_where_none_is_whole_the_newest_counts(whole: Path) -> None:
    older, newer = copy(whole, whole.read_bytes()[:-1]), whole
    newer.write_bytes(newer.read_bytes()[:-2])
    assert choose_copies([(newer, older)]) == Copies((newer,))


def test_a_single_copy_is_not_even_opened(tmp_path: Path) -> None:
    assert choose_copies([(tmp_path / "missing",)]) == Copies((tmp_path / "missing",))


def test_an_object_without_pixels_can_be_whole(tmp_path: Path) -> None:
    report = change(ct_slice(), Rows=None, Columns=None, PixelData=None, SOPClassUID=BasicTextSRStorage)
    older = save(tmp_path, [report])[0]
    newer = copy(older, older.read_bytes())
    assert choose_copies([(newer, older)]) == Copies((newer,))


def test_many_damaged_copies_make_one_note(tmp_path: Path) -> None:
    slices = [*ct_stack(tuple(range(6))), ct_slice(7, InstanceNumber=None)]
    wholes = save(tmp_path, slices)
    pairs = [(copy(path, path.read_bytes()[:-1]), path) for path in wholes]
    assert choose_copies(pairs) == Copies(
        tuple(sorted(wholes)),
        (
            (
                "damaged copies of 7 images were left out, whole ones are there: instance number 1, instance number 2, "
                "instance number 3, instance number 4, instance number 5 and 2 more"
            ),
        ),
    )
