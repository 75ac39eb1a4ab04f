"""What pictures show, by a real MONAI bundle on real DICOM radiographs, and what routing makes of it."""

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from pydicom.uid import MRImageStorage, generate_uid

from app.assemble import assemble
from app.errors import Failed, Rejected
from app.infer.catalogue import Catalogue
from app.infer.views import Viewer
from app.route.router import Router
from app.settings import Bundles, Inference
from app.study import Look, Study, View
from app.workflow_look import MOST_PICTURES, look_at, notes_of, with_looks
from app.workflow_plan import plan_of
from tests.integration.workflow.tiny import write_files
from tests.integration.workflow.tiny_images import SIDE, bright_part, radiograph, with_pixels, write_image_bundle
from tests.integration.workflow.tiny_views import CHEST, UNSURE, WRIST, write_view_bundle

CPU = Inference(device="cpu", threads=1)
SILENT_OR_CHEST = """
accepts:
  all:
  - Modality: CR
  - any:
    - BodyPartExamined: CHEST
    - all:
      - not: {BodyPartExamined: {regex: "[a-z]"}}
      - view: frontal_chest
view: frontal_chest
"""


def study_of(folder: Path, *shares: float, **changes: Any) -> Study:
    uid = generate_uid()
    images = [
        radiograph(share, number, study=uid, series=generate_uid(), **changes) for number, share in enumerate(shares, 1)
    ]
    write_files(folder / "study", images)
    return assemble(sorted((folder / "study").iterdir()))


def viewer_of(folder: Path, settings: Inference = CPU, **bundle: Any) -> Viewer:
    write_view_bundle(folder / "bundles", **bundle)
    catalogue = Catalogue.load(Bundles(folder=folder / "bundles"))
    assert catalogue.views is not None
    return Viewer(catalogue.views, settings, torch.device("cpu"))


def seen(folder: Path, study: Study) -> Study:
    return with_looks(study, look_at(study, viewer_of(folder), 60, Event()))


def service_of(folder: Path) -> Catalogue:
    """The bright bundle, which takes chests and pictures of chests with a silent header."""
    root = write_image_bundle(folder / "bundles")
    contract = root / "configs" / "service.yaml"
    lines = [line for line in contract.read_text().splitlines() if not line.startswith("accepts")]
    contract.write_text("\n".join(lines) + SILENT_OR_CHEST)
    catalogue = Catalogue.load(Bundles(folder=folder / "bundles"))
    assert catalogue.refused == ()
    return catalogue


@pytest.mark.parametrize(("share", "name"), [(CHEST, "frontal_chest"), (WRIST, "wrist"), (UNSURE, "unclear")])
def test_a_picture_is_named_where_the_network_is_certain(tmp_path: Path, share: float, name: str) -> None:
    (series,) = study_of(tmp_path, share).series
    view = viewer_of(tmp_path).look(series)
    assert view.name == name
    assert (view.certainty >= 0.8) == (name != "unclear")


def test_a_picture_beyond_the_budget_is_not_read(tmp_path: Path) -> None:
    (series,) = study_of(tmp_path, CHEST).series
    with pytest.raises(Rejected, match=f"{SIDE} x {SIDE} pixels are more than inference.max_voxels allows"):
        viewer_of(tmp_path, Inference(device="cpu", max_voxels=100)).look(series)


def test_what_cannot_be_read_is_said_in_the_readers_words(tmp_path: Path) -> None:
    image = with_pixels(radiograph(CHEST, study=generate_uid(), series=generate_uid()), bright_part(CHEST, 1, 300))
    write_files(tmp_path / "study", [image])
    (series,) = assemble(sorted((tmp_path / "study").iterdir())).series
    with pytest.raises(Rejected, match=r"it cannot be read: .*at least"):
        viewer_of(tmp_path).look(series)


def test_a_broken_classifier_leaves_a_note_and_no_view(tmp_path: Path) -> None:
    study = study_of(tmp_path, CHEST)
    looks = look_at(study, viewer_of(tmp_path, broken_columns=SIDE), 60, Event())
    words = "image 1 of series 1: what the picture shows could not be told: bundle 'views' broke: RuntimeError"
    assert looks == (Look(study.series[0].uid, 0, None, words),)
    assert notes_of(looks) == (words,)
    assert with_looks(study, looks).series[0].notes == (words,)
    assert with_looks(with_looks(study, looks), looks).series[0].notes == (words,)


def test_a_network_that_does_not_fit_its_weights_blocks_nothing(tmp_path: Path) -> None:
    viewer = viewer_of(tmp_path, name="unfit")
    script = tmp_path / "bundles" / "unfit" / "scripts" / "mean.py"
    script.write_text(script.read_text().replace("Linear(1, 4)", "Linear(1, 3)"))
    viewer.warm()
    (series,) = study_of(tmp_path, CHEST).series
    with pytest.raises(Failed, match="does not fit its network"):
        viewer.look(series)


def test_only_radiographs_are_looked_at_and_not_hundreds(tmp_path: Path) -> None:
    few = study_of(tmp_path, CHEST, Modality="MR", SOPClassUID=MRImageStorage)
    assert look_at(few, viewer_of(tmp_path), 60, Event()) == ()
    many = study_of(tmp_path / "many", *np.full(MOST_PICTURES + 1, CHEST))
    looks = look_at(many, viewer_of(tmp_path / "many"), 60, Event())
    assert [look.view is not None for look in looks] == [True] * MOST_PICTURES + [False]
    assert f"more than {MOST_PICTURES} radiographs" in looks[-1].note


def test_a_silent_header_lets_the_picture_decide(tmp_path: Path) -> None:
    catalogue = service_of(tmp_path)
    router = Router.load(catalogue.services, ())
    assert router.looks_at_pictures
    study = study_of(tmp_path, CHEST, BodyPartExamined="")
    assert router.decide(study).assignments == ()
    (assignment,) = router.decide(seen(tmp_path, study)).assignments
    assert assignment.evidence[-1] == "the picture looks like a frontal chest (99 %)"
    wrist = seen(tmp_path / "other", study_of(tmp_path / "other", WRIST, BodyPartExamined=""))
    (declined,) = router.decide(wrist).declined
    assert "the picture looks like a wrist (99 %), wanted a frontal chest" in declined.reasons[0]


def test_a_header_that_the_picture_contradicts_ends_undetermined(tmp_path: Path) -> None:
    catalogue = service_of(tmp_path)
    service = catalogue.get("bright").service
    study = seen(tmp_path, study_of(tmp_path, WRIST))
    (assignment,) = Router.load(catalogue.services, ()).decide(study).assignments
    assert plan_of(study, assignment, service).problem == (
        "the picture looks like a wrist (99 %), but its header asks for what reads a frontal chest"
    )


@pytest.mark.parametrize("share", [CHEST, UNSURE])
def test_a_header_that_the_picture_does_not_contradict_goes_on(tmp_path: Path, share: float) -> None:
    catalogue = service_of(tmp_path)
    study = seen(tmp_path, study_of(tmp_path, share))
    (assignment,) = Router.load(catalogue.services, ()).decide(study).assignments
    plan = plan_of(study, assignment, catalogue.get("bright").service)
    assert (plan.problem, plan.assignment.unfit) == ("", ())


def test_one_contradiction_among_several_images_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    catalogue = service_of(tmp_path)
    study = seen(tmp_path, study_of(tmp_path, CHEST, WRIST))
    (assignment,) = Router.load(catalogue.services, ()).decide(study).assignments
    plan = plan_of(study, assignment, catalogue.get("bright").service)
    (unfit,) = plan.assignment.unfit
    assert plan.problem == ""
    (odd,) = [series for series in study.series if series.uid == unfit.series_uid]
    assert odd.view == View("wrist", odd.view.certainty if odd.view else 0)
    assert unfit.reason.startswith("the picture looks like a wrist")
