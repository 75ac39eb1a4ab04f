"""Real and drawn MR heads through assembling, looking and routing with the bundle's own contract."""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from pydicom import Dataset

from app.assemble import assemble
from app.assignment import Assignment, Decision
from app.demo.phantoms.dicom_writer import write_series
from app.demo.phantoms.mr.phantom import make_mr_phantom
from app.demo.phantoms.mr.writer import SCANNERS, to_datasets
from app.infer.enhancement import ContrastViewer
from app.route.router import Router
from app.settings import Inference
from app.study import Study
from app.workflow_look import look_for_contrast, notes_of, with_looks
from app.workflow_plan import plan_of
from bundles.common.contract import GeometryLimits, Service, load_service
from tests.e2e.heads import from_nifti

NAME = "brain_metastasis"
SILENT = "t1_mpr_tra"
PLAIN, ENHANCED = "t1_mprage_tra_nativ", "t1_mprage_tra_KM"


@pytest.fixture(scope="module")
def service(root: Path) -> Service:
    return load_service(root / "bundles" / NAME)


@pytest.fixture(scope="module")
def router(service: Service) -> Router:
    return Router.load({NAME: service}, ())


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, list[Dataset]]:
    """A head before and after contrast agent; no header of it tells which."""
    made = {}
    for enhanced in (False, True):
        phantom = make_mr_phantom(11, enhanced=enhanced, diameters=(), spacing_mm=2.0, plane="axial")
        made[enhanced] = to_datasets(phantom, scanner=SCANNERS["siemens"])
    return made


def written(folder: Path, images: Iterable[Dataset], **headers: str) -> Study:
    """A study of copies of these images whose headers tell nothing but what is given."""
    copies = deepcopy(list(images))
    for copy in copies:
        for keyword in ("BodyPartExamined", "ContrastBolusAgent", "ProtocolName"):
            if keyword in copy:
                delattr(copy, keyword)
        copy.StudyDescription, copy.SeriesDescription = "MR", SILENT
        for keyword, value in headers.items():
            setattr(copy, keyword, value)
    write_series(copies, folder)
    return assemble(sorted(folder.iterdir()))


def looked_at(study: Study, router: Router) -> Study:
    looks = look_for_contrast(study, ContrastViewer(Inference(device="cpu")), router.asks_for_contrast, 120, Event())
    assert notes_of(looks) == ()
    return with_looks(study, looks)


def routed(study: Study, router: Router) -> Decision:
    return router.decide(looked_at(study, router))


def reasons(decision: Decision) -> str:
    assert decision.assignments == ()
    return "; ".join(reason for declined in decision.declined for reason in declined.reasons)


def problem(study: Study, router: Router, service: Service) -> str:
    """Why what was routed is not analysed; voxels of 2 mm, which save time here, are let pass."""
    assignment = replace(only(router.decide(study)), limits=GeometryLimits())
    return plan_of(study, assignment, service).problem


def only(decision: Decision) -> Assignment:
    assert len(decision.assignments) == 1, decision.declined
    return decision.assignments[0]


@pytest.mark.parametrize("enhanced", [True, False])
def test_where_every_header_is_silent_the_picture_decides(
    tmp_path: Path, router: Router, heads: dict[bool, list[Dataset]], enhanced: bool
) -> None:
    decision = routed(written(tmp_path, heads[enhanced]), router)
    if not enhanced:
        assert "the picture shows no contrast agent in vessels" in reasons(decision)
        return
    assert [each.partition(" (")[0] for each in only(decision).told] == ["head: picture", "contrast agent: picture"]
    assert only(decision).doubts == ()


def test_a_header_that_speaks_of_contrast_agent_counts_before_the_picture(
    tmp_path: Path, router: Router, heads: dict[bool, list[Dataset]]
) -> None:
    study = written(
        tmp_path, heads[True], SeriesDescription=ENHANCED, ContrastBolusAgent="GADOVIST", StudyDescription="MR Kopf"
    )
    assert only(routed(study, router)).told == ("head: StudyDescription", "contrast agent: ContrastBolusAgent")


def test_a_picture_without_the_contrast_agent_of_its_header_ends_undetermined(
    tmp_path: Path, router: Router, service: Service, heads: dict[bool, list[Dataset]]
) -> None:
    study = looked_at(written(tmp_path, heads[False], SeriesDescription=ENHANCED), router)
    assert problem(study, router, service).startswith(
        "the header speaks of contrast agent, but the picture shows none in the vessels; told by picture (0.0"
    )


def test_a_picture_with_contrast_agent_that_its_description_denies_ends_undetermined(
    tmp_path: Path, router: Router, service: Service, heads: dict[bool, list[Dataset]]
) -> None:
    study = looked_at(written(tmp_path, heads[True], SeriesDescription=PLAIN), router)
    assert problem(study, router, service).startswith(
        "the description says that there was no contrast agent, but the picture shows it"
    )


def test_a_series_that_says_it_is_without_and_is_so_is_refused(
    tmp_path: Path, router: Router, heads: dict[bool, list[Dataset]]
) -> None:
    assert f"SeriesDescription is {PLAIN}" in reasons(
        routed(written(tmp_path, heads[False], SeriesDescription=PLAIN), router)
    )


def test_where_nobody_could_look_the_study_still_ends_in_a_document(
    tmp_path: Path, router: Router, service: Service, heads: dict[bool, list[Dataset]]
) -> None:
    study = written(tmp_path, heads[True])
    assert problem(study, router, service) == (
        "no header speaks of contrast agent, and the picture gives no clear answer; told by picture (not looked at)"
    )


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BodyPartExamined", "KNEE"),
        ("SeriesDescription", "t1_vibe_LWS_sag_KM"),
        ("SeriesDescription", "t1 mprage C-Spine +C"),
        ("ProtocolName", "t1_vibe_mamma_dyn"),
        ("StudyDescription", "MRT Oberbauch / Leber mit KM"),
        ("SeriesDescription", "t1 space km"),
    ],
)
def test_other_parts_of_the_body_and_other_sequences_are_refused(
    tmp_path: Path, router: Router, heads: dict[bool, list[Dataset]], keyword: str, value: str
) -> None:
    more = {"ScanningSequence": "SE"} if "space" in value else {}
    text = reasons(router.decide(written(tmp_path, heads[True], **{keyword: value}, **more)))
    assert ("ScanningSequence is SE" if more else f"{keyword} is {value}") in text


def test_a_study_of_head_and_spine_is_told_apart_by_its_series(
    tmp_path: Path, router: Router, heads: dict[bool, list[Dataset]]
) -> None:
    study = written(tmp_path, heads[True], StudyDescription="MR brain and spine", SeriesDescription="t1 mprage +C")
    assert only(router.decide(study)).told == ("head: StudyDescription", "contrast agent: SeriesDescription")


def test_the_real_mprage_is_routed_by_its_picture(router: Router, service: Service, imaging_data: Path) -> None:
    study = looked_at(assemble(sorted((imaging_data / "dicom" / "mr_t1c_mprage").iterdir())), router)
    assignment = only(router.decide(study))
    agent = next(each for each in assignment.told if each.startswith("contrast agent"))
    assert assignment.told[0] == "head: RequestedProcedureDescription"
    assert 0.15 < float(agent.removeprefix("contrast agent: picture (").removesuffix(")")) < 0.25
    assert plan_of(study, assignment, service).problem == ""


@pytest.mark.parametrize(("name", "enhanced"), [("t1c", True), ("t1", False)])
def test_the_real_pair_of_one_patient_is_told_apart_by_the_picture(
    tmp_path: Path, router: Router, imaging_data: Path, name: str, enhanced: bool
) -> None:
    write_series(from_nifti(imaging_data / "mr_brain_metastasis" / f"{name}.nii.gz", SILENT), tmp_path)
    study = looked_at(assemble(sorted(tmp_path.iterdir())), router)
    if not enhanced:
        assert "the picture shows no contrast agent in vessels (0.0" in reasons(router.decide(study))
        return
    assert only(router.decide(study)).told == ("head: StudyDescription", "contrast agent: picture (0.52)")
