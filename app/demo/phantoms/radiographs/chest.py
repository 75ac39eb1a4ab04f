"""From a seed to a frontal chest radiograph with its truth."""

from dataclasses import asdict, replace

import numpy as np

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.chest_body import Chest, draw_torso, sample_chest
from app.demo.phantoms.radiographs.chest_bones import draw_bones
from app.demo.phantoms.radiographs.chest_devices import draw_devices
from app.demo.phantoms.radiographs.chest_findings import (
    Pneumothorax,
    draw_granulomas,
    draw_lesion,
    draw_pneumothorax,
    sample_findings,
    sample_lesions,
)
from app.demo.phantoms.radiographs.chest_opacities import FINDINGS, Opacities, draw_opacities, sample_opacities
from app.demo.phantoms.radiographs.chest_vessels import draw_vessels, vessel_attenuation
from app.demo.phantoms.radiographs.detector import expose, sample_exposure
from app.demo.phantoms.radiographs.framing import burn_text, collimate, lead_marker
from app.demo.phantoms.radiographs.plane import Array, Plane
from app.demo.phantoms.radiographs.radiograph import PNEUMOTHORAX, Mark, Radiograph

_PORTABLE_TEXTS = ("PORTABLE", "AP", "AP PORTABLE", "SUPINE AP", "ERECT", "SEMI-ERECT AP", "BED")


def chest_plane(chest: Chest, size: int) -> Plane:
    """A square picture around the lungs, as the radiographer placed it."""
    rng = stream(chest.seed, "placing")
    width = max(2 * (chest.half_width + 0.8 * chest.wall), chest.height + 60) * rng.uniform(1.06, 1.25)
    angle = rng.normal(0, 2.5 if chest.view == "AP" else 1.0)
    centre = (float(rng.normal(0, 6)), float(rng.uniform(-12, 18)))
    return Plane(size, size, float(width / size), float(angle), centre)


def _findings(  # noqa: PLR0917
    chest: Chest,
    plane: Plane,
    soft: Array,
    vessels: Array,
    lung: Array,
    field: Array,
    wanted: tuple[int, Pneumothorax | None],
) -> list[Mark]:
    count, air = wanted
    marks: list[Mark | None] = []
    if air is not None:
        marks.append(draw_pneumothorax(air, chest, plane, soft, vessels, lung, field))
    lesions = sample_lesions(chest, count, plane, lung)
    marks.extend(draw_lesion(lesion, plane, soft, chest.seed) for lesion in lesions)
    return [mark for mark in marks if mark is not None]


def make_chest(
    seed: int,
    size: int = 1024,
    *,
    findings: tuple[int, Pneumothorax | None] | None = None,
    opacities: Opacities | None = None,
) -> Radiograph:
    """Draw a frontal chest radiograph.

    Args:
        seed: Same seed and arguments, same picture.
        size: Rows and columns.
        findings: Number of lesions, and a pneumothorax or None; None lets the seed decide.
        opacities: Also what has no box, before the lesions of `findings` are put into the lung that is left.
    """
    chest = sample_chest(seed)
    plane = chest_plane(chest, size)
    torso = draw_torso(chest, plane)
    soft, vessels = torso.attenuation, vessel_attenuation(draw_vessels(chest, plane), torso.lung)
    if opacities is not None:
        draw_opacities(opacities, chest, plane, soft, torso.lung)
    wanted = sample_findings(chest) if findings is None else findings
    marks = _findings(chest, plane, soft, vessels, torso.lung, torso.field, wanted)
    attenuation = soft + vessels
    granulomas = draw_granulomas(chest, plane, attenuation, torso.lung)
    attenuation += draw_bones(chest, plane)
    devices = draw_devices(chest, plane, attenuation)
    picture, text = _picture(chest, plane, attenuation)
    found = {mark.index for mark in marks}
    return Radiograph(
        seed=seed,
        kind="chest",
        picture=picture,
        pitch_mm=plane.pitch_mm,
        view=chest.view,
        side="",
        age=chest.age,
        sex=chest.sex,
        body_part="CHEST",
        marks=tuple(marks),
        labels={"lesion": int(0 in found), "pneumothorax": int(PNEUMOTHORAX in found)},
        details={"devices": devices, "granulomas": granulomas, "burned_text": text, "chest": asdict(chest)},
    )


def make_chest_with_opacities(seed: int, size: int = 1024) -> Radiograph:
    """Draw a frontal chest that shows nothing, or some of `chest_opacities.FINDINGS`, which are its labels."""
    wanted = sample_opacities(sample_chest(seed))
    drawn = make_chest(seed, size, findings=(wanted.lesions, wanted.air), opacities=wanted)
    # Where there was no room for a lesion, or no lung before the air, none was drawn.
    told = {"lung_lesion": drawn.labels["lesion"], "pneumothorax": drawn.labels["pneumothorax"]}
    labels = {name: told.get(name, int(name in wanted.shown)) for name in FINDINGS}
    return replace(drawn, kind="chest-opacities", labels=labels)


def _picture(chest: Chest, plane: Plane, attenuation: Array) -> tuple[Array, str]:
    """Marker, exposure, borders and text; also the text that was burned in."""
    rng = stream(chest.seed, "picture")
    portable = chest.view == "AP"
    if rng.random() < 0.8:
        left = rng.random() < 0.6
        lead_marker(rng, plane, attenuation, "L" if left else "R", rng.uniform(11, 18), right=bool(left))
    picture = expose(attenuation, plane, sample_exposure(rng, portable=portable), chest.seed)
    if rng.random() < 0.5:
        collimate(rng, plane, picture, 0.04)
    text = str(rng.choice(_PORTABLE_TEXTS)) if portable and rng.random() < 0.6 else ""
    if text:
        burn_text(rng, picture, text)
    return np.clip(picture, 0, 1), text
