"""What `configs/service.yaml` accepts, judged by the service's own router on real and drawn headers."""

from pathlib import Path

import pytest

from app.assemble.study import assemble
from app.route.router import Router
from app.study import Study
from bundles.common.contract import load_service

NAME = "head_ct_hemorrhage"


@pytest.fixture(scope="module")
def router() -> Router:
    bundle = Path(__file__).resolve().parents[3] / "bundles" / NAME
    return Router.load({NAME: load_service(bundle)}, ())


def study_of(folder: Path) -> Study:
    return assemble(sorted(path for path in folder.iterdir() if path.is_file()))


def test_a_real_tilted_head_of_variable_spacing_is_accepted(router: Router, imaging_data: Path) -> None:
    decision = router.decide(study_of(imaging_data / "dicom" / "ct_head_ge"))
    assert [assignment.bundle for assignment in decision.assignments] == [NAME]


@pytest.mark.parametrize("folder", ["mr_t1c_mprage", "cr", "ct_head_slice"])
def test_other_studies_are_declined_with_reasons(router: Router, imaging_data: Path, folder: str) -> None:
    decision = router.decide(study_of(imaging_data / "dicom" / folder))
    assert decision.assignments == ()
