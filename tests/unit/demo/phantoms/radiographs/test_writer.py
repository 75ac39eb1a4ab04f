"""Headers of CR and DX: what they say is true, and stored values come back as the picture."""

import numpy as np
import pytest
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation

from app.demo.phantoms.radiographs.kinds import KINDS, VIEW_CLASSES, kind_of, make_radiograph, view_class
from app.demo.phantoms.radiographs.radiograph import Mark, Radiograph
from app.demo.phantoms.radiographs.writer import SYSTEMS, system_of, to_dataset


def ramp(body_part: str = "WRIST", view: str = "PA", side: str = "L", seed: int = 7) -> Radiograph:
    picture = np.linspace(0, 1, 30 * 20, dtype=np.float32).reshape(30, 20)
    marks = (Mark("line", 0, (2.0, 3.0, 9.0, 12.0), 1.0),)
    return Radiograph(seed, "wrist", picture, 0.2, view, side, 9, "F", body_part, marks, {"fracture": 1})


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_stored_values_come_back_as_the_picture(name: str) -> None:
    system, radiograph = SYSTEMS[name], ramp()
    image = to_dataset(radiograph, system=system)
    values = image.pixel_array.astype(float) / (2**system.bits - 1)
    if image.PhotometricInterpretation == "MONOCHROME1":
        values = 1 - values
    np.testing.assert_allclose(values, radiograph.picture, atol=1 / 2**system.bits)
    assert system.inverted == (image.PhotometricInterpretation == "MONOCHROME1")
    assert int(image.pixel_array.max()) == 2**system.bits - 1


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_headers_say_what_was_taken_or_nothing(name: str) -> None:
    system = SYSTEMS[name]
    image = to_dataset(ramp(), system=system)
    if system.silent:
        assert (image.BodyPartExamined, image.ViewPosition, image.Laterality) == ("", "", "")
        assert "PixelSpacing" not in image
        assert "ImagerPixelSpacing" not in image
        return
    assert (image.BodyPartExamined, image.ViewPosition, image.Modality) == ("WRIST", "PA", system.modality)
    assert [float(value) for value in image.ImagerPixelSpacing] == [0.2, 0.2]
    dx = system.modality == "DX"
    assert image.SOPClassUID == (DigitalXRayImageStorageForPresentation if dx else ComputedRadiographyImageStorage)
    assert (image.ImageLaterality if dx else image.Laterality) == "L"


def test_uids_come_from_the_seed_and_a_token_renews_them() -> None:
    first, again, later = (to_dataset(ramp(), token=token) for token in ("", "", "later"))
    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert first.SOPInstanceUID != later.SOPInstanceUID
    lateral = to_dataset(ramp(view="LATERAL"), number=2)
    assert lateral.StudyInstanceUID == first.StudyInstanceUID
    assert (
        len({first.SOPInstanceUID, lateral.SOPInstanceUID})
        == len({first.SeriesInstanceUID, lateral.SeriesInstanceUID})
        == 2
    )
    assert to_dataset(ramp("CHEST", side="")).StudyInstanceUID != first.StudyInstanceUID


def test_every_system_turns_up() -> None:
    assert {system_of(seed).model for seed in range(60)} == {system.model for system in SYSTEMS.values()}


def test_patients_are_named_as_phantoms() -> None:
    image = to_dataset(ramp())
    assert str(image.PatientName).startswith("Phantom^")
    assert image.PatientID == "PHANTOM-WRIST-7"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_drawn(kind: str) -> None:
    radiograph = make_radiograph(kind, 3, 64)
    assert radiograph.kind == kind
    assert radiograph.picture.shape[0] == 64
    assert np.isfinite(radiograph.picture).all()
    assert float(radiograph.picture.std()) > 0.05
    assert VIEW_CLASSES[view_class(kind)] in VIEW_CLASSES


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one of chest, wrist"):
        make_radiograph("ear", 1, 64)


def test_views_take_turns_evenly() -> None:
    classes = [view_class(kind_of("views", index)) for index in range(72)]
    assert [classes.count(number) for number in range(4)] == [18, 18, 18, 18]
    assert {kind_of("views", index) for index in range(36)} == set(KINDS) - {"chest-opacities"}
    assert kind_of("wrist", 5) == "wrist"
