"""From a seed to a radiograph of a child's wrist with its truth."""

from dataclasses import asdict

import numpy as np

from app.demo.phantoms.fields import stream
from app.demo.phantoms.radiographs.detector import expose, sample_exposure
from app.demo.phantoms.radiographs.framing import collimate, lead_marker
from app.demo.phantoms.radiographs.long_bone import Fracture
from app.demo.phantoms.radiographs.plane import Array, Plane, add_ellipsoid, draw_tube, edge, smooth_noise
from app.demo.phantoms.radiographs.radiograph import FRACTURE, Mark, Radiograph
from app.demo.phantoms.radiographs.wrist_bones import Wrist, draw_bones

MU_SOFT = 0.023  # per mm, at 55 kV
KINDS = ("line", "torus", "greenstick")


def sample_wrist(seed: int, projection: str | None = None) -> Wrist:
    """Draw a child; None lets the seed decide the projection."""
    rng = stream(seed, "wrist")
    age = float(rng.uniform(2, 18))
    view = "PA" if rng.random() < 0.6 else "LATERAL"
    scale = (0.52 + 0.48 * (age - 2) / 16) * rng.normal(1, 0.05)
    return Wrist(
        seed, age, float(scale), projection or view, float(rng.uniform(15, 17.5)), float(rng.uniform(0.8, 1.15))
    )


def sample_fractures(wrist: Wrist, kind: str | None = None) -> dict[str, Fracture]:
    """Draw a fracture of the radius, and now and then one of the ulna; `kind` None draws it."""
    rng = stream(wrist.seed, "fracture")
    chance = [0.45, 0.35, 0.2] if wrist.age < 13 else [0.8, 0.1, 0.1]
    names = ["radius"] if rng.random() < 0.75 else ["radius", "ulna"] if rng.random() < 0.8 else ["ulna"]
    drawn = str(rng.choice(KINDS, p=chance)) if kind is None else kind
    breaks = {}
    for name in names:
        small = rng.random() < 0.6
        torus, green = drawn == "torus", drawn == "greenstick"
        step = (
            rng.uniform(0.7, 1.9)
            if torus
            else 0.0
            if green
            else rng.uniform(0.2, 0.8)
            if small
            else rng.uniform(0.8, 4.0)
        )
        breaks[name] = Fracture(
            kind=drawn,
            at_mm=float(rng.uniform(7, 30) * wrist.scale),
            slope=float(rng.normal(0, 0.22)),
            step_mm=float(step * wrist.scale * (1 if torus else rng.choice([-1, 1]))),
            angle_deg=float(rng.choice([-1, 1]) * (rng.uniform(6, 18) if green else 0 if torus else rng.uniform(0, 6))),
            width_mm=float(rng.uniform(0.28, 0.6)),
            depth=float(rng.uniform(0.18, 0.45) if small else rng.uniform(0.3, 0.6)),
            side=int(rng.choice([-1, 1]) if torus or green else 0),
        )
    return breaks


def wrist_plane(wrist: Wrist, size: int, side: str) -> Plane:
    """An upright picture of hand and forearm, turned by chance, its longer side `size` pixels."""
    rng = stream(wrist.seed, f"placing {wrist.projection}")
    height = wrist.scale * rng.uniform(125, 175)
    ratio = rng.uniform(0.55, 0.85)
    angle = rng.normal(0, 6) if rng.random() < 0.9 else rng.uniform(-45, 45)
    centre = (float(rng.normal(0, 4)) * wrist.scale, float(rng.uniform(0, 26)) * wrist.scale)
    return Plane(size, int(size * ratio), float(height / size), float(angle), centre, mirrored=side == "R")


def _soft_tissue(wrist: Wrist, plane: Plane) -> Array:
    """Length of rays in skin, fat and muscle of forearm, wrist and hand."""
    rng = stream(wrist.seed, "soft tissue")
    whole, g, lateral = plane.whole(), wrist.scale, wrist.projection == "LATERAL"
    fat = rng.uniform(0.9, 1.25)
    level = np.array([-130, -95, -60, -35, -10, 10, 60, 140]) * g
    width = np.array([40, 42, 42, 37, 30, 28, 34, 40] if not lateral else [14, 17, 20, 21, 20, 20, 24, 30]) * g * fat
    depth = np.array([10, 12, 14, 16, 17, 17, 20, 25] if not lateral else [34, 36, 36, 32, 27, 26, 28, 34]) * g * fat
    half = np.interp(whole.y, level, width).astype(np.float32)
    thick = np.interp(whole.y, level, depth).astype(np.float32)
    across = np.clip(np.abs(whole.x - np.float32(3 * g)) / half, 0, 1)
    length = 2 * thick * np.sqrt(1 - across**2.2)
    if not lateral:
        thumb = np.zeros(plane.shape, dtype=np.float32)
        draw_tube(plane, thumb, np.array([(20, -18), (46, -64), (60, -95)]) * g, np.array([14, 12, 10]) * g)
        np.maximum(length, thumb, out=length)
    muscle = smooth_noise(rng, plane, 9.0 * g)
    return np.asarray(length * (1 + 0.03 * muscle), dtype=np.float32)


def _cast(rng: np.random.Generator, wrist: Wrist, plane: Plane) -> Array:
    """Attenuation of a cast around the arm: layers with a weave, thicker at the sides where rays run along it."""
    whole, g = plane.whole(), wrist.scale
    reach = np.abs(whole.x - np.float32(3 * g)) / np.float32((40 if wrist.projection == "PA" else 30) * g)
    shell = np.where(reach < 1, 1 / np.sqrt(np.maximum(1 - reach**2, 0.06)), 0).astype(np.float32)
    weave = np.sin(whole.x * np.float32(rng.uniform(2.0, 3.5)) + whole.y) * np.sin(
        whole.y * np.float32(rng.uniform(2.0, 3.5))
    )
    bands = np.sin(whole.y / np.float32(rng.uniform(5, 11)) + 0.4 * whole.x / 10)
    texture = (
        1 + 0.05 * weave + 0.06 * bands + 0.05 * smooth_noise(rng, plane, 9.0) + 0.03 * smooth_noise(rng, plane, 1.2)
    )
    end = np.float32(rng.uniform(-75, -35) * g)
    return np.asarray(
        np.float32(rng.uniform(0.10, 0.32)) * shell * texture * edge(end - whole.y, 2.0), dtype=np.float32
    )


def _distract(rng: np.random.Generator, wrist: Wrist, plane: Plane, out: Array) -> list[str]:
    """What looks like a break and is none: nutrient canals and old callus, in place."""
    found, g = [], wrist.scale
    lateral = wrist.projection == "LATERAL"
    if rng.random() < 0.4:
        x, y = (0 if lateral else float(rng.choice([12, -14]))) * g + rng.uniform(-3, 3), rng.uniform(30, 70) * g
        slope = rng.choice([-1, 1]) * rng.uniform(0.25, 0.6)
        canal = np.zeros(plane.shape, dtype=np.float32)
        draw_tube(plane, canal, [(x, y), (x + slope * 9 * g, y + 9 * g)], 0.45)
        out -= np.float32(0.08) * np.minimum(canal, 1)
        found.append("nutrient canal")
    if rng.random() < 0.18:
        x, y = (0 if lateral else float(rng.choice([12, -14]))) * g, rng.uniform(22, 60) * g
        add_ellipsoid(
            plane, out, (x, y), (rng.uniform(6, 8) * g, rng.uniform(8, 15) * g, 4.5 * g), 0.016, rng.normal(0, 8)
        )
        found.append("old callus")
    return found


def make_wrist(
    seed: int, size: int = 1024, *, fracture: bool | None = None, kind: str | None = None, projection: str | None = None
) -> Radiograph:
    """Draw a radiograph of a child's wrist.

    Args:
        seed: Same seed and arguments, same picture; both projections of one seed show the same child and break.
        size: Rows.
        fracture: Whether there is one; None lets the seed decide.
        kind: line, torus or greenstick; None lets the seed decide.
        projection: PA or LATERAL; None lets the seed decide.
    """
    wrist = sample_wrist(seed, projection)
    rng = stream(seed, f"wrist picture {wrist.projection}")
    side = "L" if stream(seed, "side").random() < 0.5 else "R"
    broken = bool(stream(seed, "broken").random() < 0.5) if fracture is None else fracture
    breaks = sample_fractures(wrist, kind) if broken else {}
    plane = wrist_plane(wrist, size, side)
    length = _soft_tissue(wrist, plane)
    bones, boxes, distractors = draw_bones(wrist, plane, breaks)
    distractors += _distract(rng, wrist, plane, bones)
    attenuation = np.float32(MU_SOFT) * length + bones * (length > 0)
    cast = rng.random() < 0.22
    if cast:
        attenuation += _cast(rng, wrist, plane)
    if rng.random() < 0.9:
        lead_marker(rng, plane, attenuation, side, rng.uniform(9, 13), right=bool(rng.random() < 0.5))
    picture = expose(attenuation, plane, sample_exposure(rng, small_part=True), seed + (wrist.projection == "PA"))
    if rng.random() < 0.8:
        collimate(rng, plane, picture, 0.05, 2.0)
    marks = tuple(
        Mark(breaks[name].kind, FRACTURE, box, round(abs(breaks[name].step_mm), 1)) for name, box in boxes.items()
    )
    return Radiograph(
        seed=seed,
        kind="wrist",
        picture=np.clip(picture, 0, 1),
        pitch_mm=plane.pitch_mm,
        view=wrist.projection,
        side=side,
        age=int(wrist.age),
        sex=str(stream(seed, "sex").choice(["F", "M"])),
        body_part="WRIST",
        marks=marks,
        labels={"fracture": int(bool(marks))},
        details={"cast": cast, "distractors": distractors, "fractures": {k: asdict(v) for k, v in breaks.items()}},
    )
