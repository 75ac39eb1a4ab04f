"""From answers to labels: what readers agree on, what follows from it, and what nobody knows; copies without names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, RLELossless, generate_uid

from app.deidentify import KEPT, Pseudonyms, copy_image, patient_of
from app.errors import Rejected
from app.feedback import Answer, Feedback, Place, standing
from app.feedback_labels import imply, judge
from app.feedback_words import answer_in_words, answers_to
from app.findings import FINDING_KINDS, INTRACRANIAL
from bundles.common.reader import read_stack
from tests.integration.workflow.tiny import ct_slices

TYPES = sorted(kind.name for kind in FINDING_KINDS.values() if kind.part_of == INTRACRANIAL)
LABEL = st.sampled_from([True, False, None])
NAMES = Pseudonyms(b"k" * 32)


def said(
    answer: Answer, *, reader: str = "ada", finding: str = INTRACRANIAL, at: float = 1.0, **more: object
) -> Feedback:
    about = ("s", "head", "1", "0" * 64, "1.2", 0)
    values = {"presence": "present", "certainty": 0.9, **more}
    return Feedback("0" * 32, at, reader, *about, finding, answer=answer, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("presence", "answer", "truth"),
    [
        ("present", Answer.AGREE, True),
        ("present", Answer.DISAGREE, False),
        ("absent", Answer.AGREE, False),
        ("absent", Answer.DISAGREE, True),
        ("present", Answer.UNSURE, None),
        ("absent", Answer.UNSURE, None),
    ],
)
def test_the_truth_is_what_the_reader_says_of_what_the_report_said(presence: str, answer: Answer, truth: bool) -> None:
    assert said(answer, presence=presence).truth is truth


POINT = {"place": Place.POINT, "sop_instance_uid": "1.9", "column": 1.0, "row": 2.0}


def test_what_is_elsewhere_is_there_at_the_place_of_the_reader() -> None:
    moved = said(Answer.ELSEWHERE, finding="lung_lesion", **POINT)
    assert (moved.truth, moved.contradicts) == (True, False)
    judged = judge([moved, said(Answer.AGREE, finding="lung_lesion", reader="bob", place=Place.AS_SHOWN)])
    assert judged.labels["lung_lesion"] is True
    assert judged.confirmed == frozenset()
    assert judged.points == {"lung_lesion": {"1.9"}}
    assert judged.places == (moved,)


@pytest.mark.parametrize(
    ("presence", "answer", "more"),
    [
        ("present", Answer.DISAGREE, POINT),
        ("present", Answer.DISAGREE, {"place": Place.AS_SHOWN}),
        ("absent", Answer.AGREE, POINT),
        ("absent", Answer.ELSEWHERE, POINT),
        ("present", Answer.ELSEWHERE, {"place": Place.AS_SHOWN}),
        ("present", Answer.ELSEWHERE, {}),
    ],
)
def test_who_says_that_it_is_not_there_and_where_it_is_says_nothing(
    presence: str, answer: Answer, more: Mapping[str, object]
) -> None:
    odd = said(answer, presence=presence, **more)
    assert (odd.contradicts, odd.truth) == (True, None)
    judged = judge([odd])
    assert (judged.labels, judged.points, judged.places) == ({INTRACRANIAL: None}, {}, ())
    assert judge([odd, said(Answer.AGREE, reader="bob")]).labels == {INTRACRANIAL: True}


@pytest.mark.parametrize("presence", ["present", "absent"])
def test_every_answer_that_is_offered_has_words_and_can_be_meant(presence: str) -> None:
    for answer in answers_to(presence):
        given = said(answer, presence=presence, **(POINT if answer is Answer.ELSEWHERE else {}))
        assert not given.contradicts
        assert answer_in_words(presence, answer)
    assert (Answer.ELSEWHERE in answers_to(presence)) == (presence == "present")


def test_of_each_reader_the_newest_answer_counts() -> None:
    first, second, other = said(Answer.AGREE), said(Answer.DISAGREE, at=2.0), said(Answer.AGREE, reader="bob")
    assert standing([first, other, second]) == (second, other)


def test_readers_who_differ_leave_it_unknown_and_one_who_is_unsure_does_not_count() -> None:
    differ = judge([said(Answer.AGREE), said(Answer.DISAGREE, reader="bob")])
    assert (differ.labels, differ.differ, differ.readers) == ({INTRACRANIAL: None}, (INTRACRANIAL,), 2)
    unsure = judge([said(Answer.AGREE), said(Answer.UNSURE, reader="bob")])
    assert (unsure.labels, unsure.differ) == ({INTRACRANIAL: True}, ())


def test_places_are_confirmed_by_one_who_agrees_and_spoilt_by_one_who_points_elsewhere() -> None:
    shown = said(Answer.AGREE, finding="lung_lesion", place=Place.AS_SHOWN)
    point = said(Answer.AGREE, finding="lung_lesion", reader="bob", place=Place.POINT, sop_instance_uid="1.9")
    assert judge([shown]).confirmed == {"lung_lesion"}
    assert judge([shown, point]).confirmed == frozenset()
    assert judge([shown, point]).points == {"lung_lesion": {"1.9"}}
    wrong = said(Answer.DISAGREE, finding="lung_lesion", place=Place.AS_SHOWN)
    assert judge([wrong]).confirmed == frozenset()


@given(st.dictionaries(st.sampled_from([INTRACRANIAL, *TYPES]), LABEL))
def test_what_follows_never_contradicts_itself_and_invents_nothing(labels: Mapping[str, bool | None]) -> None:
    known = imply(labels)
    assert imply(known) == known
    if known.get(INTRACRANIAL) is False:
        assert not any(known.get(name) for name in TYPES)
    if any(known.get(name) for name in TYPES):
        assert known[INTRACRANIAL] is True
    for name, label in known.items():
        if label is True:
            assert labels.get(name) is True or any(labels.get(each) for each in TYPES)
        if label is False:
            assert labels.get(name) is False or labels.get(INTRACRANIAL) is False


def test_pseudonyms_are_the_same_each_time_and_others_with_another_key() -> None:
    assert NAMES.patient("|P1") == NAMES.patient("|P1") != NAMES.patient("|P2")
    assert Pseudonyms(b"x" * 32).patient("|P1") != NAMES.patient("|P1")
    assert len(NAMES.uid("1.2.3")) <= 64
    assert NAMES.uid("1.2.3").is_valid


def written(folder: Path, image: Dataset) -> Path:
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / "source.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


def test_a_copy_has_the_same_pixels_and_no_element_that_nobody_asked_for(tmp_path: Path) -> None:
    image = ct_slices(slices=1)[0]
    image.PatientName, image.InstitutionName, image.SeriesDescription = "Secret^Name", "Secret Clinic", "Secret words"
    image.add_new(0x00091001, "LO", "Secret private")
    image.add_new(0x60003000, "OW", b"Secret overlay..")
    item = Dataset()
    item.PatientComments, item.RescaleSlope = "Secret comment", "1"
    image.RealWorldValueMappingSequence = Sequence([item])
    image.PixelMeasuresSequence = Sequence([item])
    source = written(tmp_path, image)
    copy_image(source, tmp_path / "copy.dcm", NAMES, "pseudonym")
    raw, copy = (tmp_path / "copy.dcm").read_bytes(), dcmread(tmp_path / "copy.dcm")
    assert b"Secret" not in raw
    assert str(image.StudyInstanceUID).encode() not in raw
    allowed = KEPT | {"PatientID", "PatientName", "PatientIdentityRemoved", "DeidentificationMethod"}
    assert {element.keyword for element in copy.iterall()} <= allowed
    before, after = read_stack(source), read_stack(tmp_path / "copy.dcm")
    assert np.array_equal(before.array, after.array)
    assert np.array_equal(before.affine, after.affine)
    assert (before.units, before.notes) == (after.units, after.notes)


def test_compressed_pixels_stay_as_they_are(tmp_path: Path) -> None:
    image = ct_slices(slices=1)[0]
    source = written(tmp_path, image)
    compressed = dcmread(source)
    compressed.compress(RLELossless)
    compressed.save_as(source)
    copy_image(source, tmp_path / "copy.dcm", NAMES, "pseudonym")
    copy = dcmread(tmp_path / "copy.dcm")
    assert (copy.file_meta.TransferSyntaxUID, copy.PixelData) == (RLELossless, compressed.PixelData)
    assert np.array_equal(read_stack(source).array, read_stack(tmp_path / "copy.dcm").array)


def test_a_patient_is_told_by_issuer_and_number_and_a_broken_file_by_name(tmp_path: Path) -> None:
    image = ct_slices(slices=1)[0]
    image.PatientID, image.IssuerOfPatientID = " 17 ", "clinic"
    assert patient_of(written(tmp_path, image)) == "clinic|17"
    image.PatientID = ""
    assert patient_of(written(tmp_path, image)) == ""
    (tmp_path / "source.dcm").write_bytes(generate_uid().encode())
    with pytest.raises(Rejected, match=r"source\.dcm: cannot be read as DICOM"):
        patient_of(tmp_path / "source.dcm")
