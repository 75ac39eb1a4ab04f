from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from app.report.uids import derived_uid, device_uid, report_uid
from tests.unit.report.factory import PHANTOM, make_report


@given(st.lists(st.text() | st.integers()))
def test_is_a_valid_uid_under_the_root_for_uuids(parts: list[str | int]) -> None:
    uid = UID(derived_uid(*parts))
    assert (uid.is_valid, uid.startswith("2.25."), len(uid) <= 64) == (True, True, True)


@given(st.lists(st.text()), st.lists(st.text()))
def test_different_parts_make_different_uids_however_they_are_cut(one: list[str], other: list[str]) -> None:
    assert (derived_uid(*one) == derived_uid(*other)) == (one == other)


def test_stays_the_same_for_ever() -> None:
    assert derived_uid("study", 0, "sr") == "2.25.28977348349054436150930235288657993622"


def test_everything_that_makes_a_result_another_one_changes_its_uid() -> None:
    report = make_report()
    variants = [
        report,
        replace(report, study_uid="1.2"),
        replace(report, revision="f" * 16),
        replace(report, series_uid="1.3"),
        replace(report, stack=1),
        replace(report, algorithm=replace(PHANTOM, name="other")),
        replace(report, algorithm=replace(PHANTOM, version="0.2.0")),
    ]
    uids = [report_uid(variant, kind) for variant in variants for kind in ("sr", "key_image")]
    assert len(set(uids)) == len(uids)


def test_the_observer_keeps_its_uid_over_versions_and_studies() -> None:
    report = make_report()
    other = replace(report, study_uid="1.2", algorithm=replace(PHANTOM, version="9"))
    assert device_uid(other) == device_uid(report)
