"""Five kinds of intracranial bleeds: drawn as numbers, then as shapes on the grid.

Shapes follow what radiology teaches: an epidural bleed is a lens against the skull, a subdural one a crescent over a
hemisphere or along the falx or tentorium, a subarachnoid one fills sulci and cisterns, an intraventricular one sinks
to the back of the ventricles of a patient who lies, and an intraparenchymal one is a lobulated clot with oedema.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from app.demo.phantoms import tissue as drawn
from app.demo.phantoms.anatomy import Frame, Head, ellipsoid, ellipsoid_distance
from app.demo.phantoms.fields import Array, cover, smooth_field, stream

KINDS = ("subarachnoid", "subdural", "epidural", "intraventricular", "intraparenchymal")
"""The order of type flags; a mask holds the index plus 1."""


@dataclass(frozen=True, slots=True)
class Bleed:
    """One bleed.

    Attributes:
        kind: One of `KINDS`.
        pattern: Where that kind of bleed lies; see the `_sample_…` functions.
        seed: Of its random fields.
        center_mm: (x, y, z): on the skull for epidural and subdural bleeds, else the middle.
        side: 1 left, -1 right.
        extent_mm: Radius along the skull (epidural), of the region (subarachnoid), of the clot (intraparenchymal);
            for a subdural bleed half its angle in degrees; for an intraventricular one the level along y.
        thickness_mm: Greatest thickness of epidural and subdural bleeds; width of the oedema of a clot.
        hu: Mean density. `layered_hu` is that of its front part where blood of two ages has settled.
        layered_hu: Equal to `hu` where there is one age only.
        push_mm: How far the brain is shifted away at the bleed.
    """

    kind: str
    pattern: str
    seed: int
    center_mm: tuple[float, float, float]
    side: int
    extent_mm: float
    thickness_mm: float
    hu: float
    layered_hu: float
    push_mm: float


def _on_skull(rng: np.random.Generator, head: Head, side: int) -> tuple[float, float, float]:
    """A point on the inner surface of the convexity."""
    azimuth, elevation = rng.uniform(-1.05, 1.0), rng.uniform(-0.05, 0.85)
    ray = np.array([side * np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    point = ray / np.linalg.norm(ray / np.array(head.axes_mm))
    return float(point[0]), float(point[1]), float(point[2])


def _sample_epidural(rng: np.random.Generator, head: Head, seed: int, side: int) -> Bleed:
    extent = float(rng.uniform(14, 35))
    thickness = float(np.clip(extent * rng.uniform(0.32, 0.6), 6, 22))
    hu = float(rng.uniform(60, 84))
    push = float(rng.uniform(0, 0.35) * thickness)
    return Bleed("epidural", "convexity", seed, _on_skull(rng, head, side), side, extent, thickness, hu, hu, push)


def _sample_subdural(rng: np.random.Generator, head: Head, seed: int, side: int) -> Bleed:
    pattern = str(rng.choice(["convexity", "falx", "tentorium"], p=[0.78, 0.14, 0.08]))
    hu = float(rng.uniform(58, 78))
    if pattern != "convexity":
        center = (0.0, float(rng.uniform(-45, 40)), 0.0)
        return Bleed("subdural", pattern, seed, center, side, 34.0, float(rng.uniform(3.5, 7)), hu, hu, 0.0)
    thickness = float(rng.uniform(3.2, 10))
    age = rng.choice(["acute", "mixed", "subacute"], p=[0.75, 0.15, 0.10])
    layered = hu
    if age == "mixed":
        layered, thickness = float(rng.uniform(22, 38)), max(thickness, 7.0)
    elif age == "subacute":
        hu = layered = float(rng.uniform(46, 54))
        thickness = max(thickness, 7.0)
    push = float(rng.uniform(0.1, 0.7) * thickness)
    extent = float(rng.uniform(32, 68))
    return Bleed("subdural", pattern, seed, _on_skull(rng, head, side), side, extent, thickness, hu, layered, push)


def _sample_subarachnoid(rng: np.random.Generator, head: Head, seed: int, side: int) -> Bleed:
    pattern = str(rng.choice(["basal", "sylvian", "convexity"], p=[0.4, 0.25, 0.35]))
    hu = float(rng.uniform(54, 74))
    center = {
        "basal": (float(rng.normal(0, 4)), -4.0, -18.0),
        "sylvian": (side * 42.0, -6.0, -2.0),
        "convexity": _on_skull(rng, head, side),
    }[pattern]
    extent = float(rng.uniform(22, 42))
    return Bleed("subarachnoid", pattern, seed, center, side, extent, 0.0, hu, hu, 0.0)


def _sample_intraventricular(rng: np.random.Generator, _: Head, seed: int, side: int) -> Bleed:
    pattern = str(rng.choice(["level", "cast", "fourth"], p=[0.5, 0.35, 0.15]))
    hu = float(rng.uniform(58, 80))
    level = float(rng.uniform(24, 40))
    return Bleed("intraventricular", pattern, seed, (0.0, 0.0, 0.0), side, level, 0.0, hu, hu, 0.0)


def _sample_intraparenchymal(rng: np.random.Generator, head: Head, seed: int, side: int) -> Bleed:
    pattern = str(rng.choice(["deep", "lobar", "cerebellum", "pons"], p=[0.42, 0.43, 0.1, 0.05]))
    radius = float(np.exp(rng.uniform(np.log(6), np.log(20))))
    if pattern == "deep":
        center = (side * rng.uniform(14, 28), rng.uniform(-12, 14), rng.uniform(-2, 12))
    elif pattern == "lobar":
        x, y, z = _on_skull(rng, head, side)
        inward = 1 - (radius * 0.9 + rng.uniform(5, 16)) / 72
        center = (x * inward, y * inward, z * inward + 6)
    else:
        radius = min(radius, 15.0 if pattern == "cerebellum" else 9.0)
        cerebellum = pattern == "cerebellum"
        center = (side * rng.uniform(10, 24), 50.0, -38.0) if cerebellum else (rng.normal(0, 2), 11.0, -36.0)
    where = (float(center[0]), float(center[1]), float(center[2]))
    push = float(rng.uniform(0, 0.3) * radius) if pattern in {"deep", "lobar"} else 0.0
    hu = float(rng.uniform(58, 82))
    return Bleed("intraparenchymal", pattern, seed, where, side, radius, float(rng.uniform(2, 7)), hu, hu, push)


_SAMPLERS: MappingProxyType[str, Callable[[np.random.Generator, Head, int, int], Bleed]] = MappingProxyType(
    {
        "epidural": _sample_epidural,
        "subdural": _sample_subdural,
        "subarachnoid": _sample_subarachnoid,
        "intraventricular": _sample_intraventricular,
        "intraparenchymal": _sample_intraparenchymal,
    }
)


def sample_bleeds(head: Head, kinds: tuple[str, ...]) -> tuple[Bleed, ...]:
    """Draw one bleed of each of these kinds for a head, on sides of their own."""
    bleeds = []
    for kind in kinds:
        rng = stream(head.seed, f"bleed {kind}")
        side, seed = int(rng.choice([-1, 1])), int(rng.integers(2**31))
        bleeds.append(_SAMPLERS[kind](rng, head, seed, side))
    return tuple(bleeds)


def sample_kinds(seed: int) -> tuple[str, ...]:
    """Draw which kinds of bleeds a positive study has: one to three of them, in the order of `KINDS`."""
    rng = stream(seed, "kinds")
    count = int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
    chosen = {str(kind) for kind in rng.choice(KINDS, size=count, replace=False)}
    return tuple(kind for kind in KINDS if kind in chosen)


def displaced(frame: Frame, bleeds: tuple[Bleed, ...]) -> Frame:
    """The frame of the brain after masses have pushed it towards the other side; the skull's depth stays."""
    x = frame.x
    for bleed in bleeds:
        if bleed.push_mm < 0.5:
            continue
        cx, cy, cz = (0.75 * value for value in bleed.center_mm)
        away = (frame.x - cx) ** 2 + (frame.y - cy) ** 2 + (frame.z - cz) ** 2
        x = x + np.float32(bleed.side * bleed.push_mm) * np.exp(-away / np.float32(2 * 38.0**2))
    return frame if x is frame.x else replace(frame, x=x)


def _epidural(bleed: Bleed, tissue: drawn.Tissue) -> Array:
    frame, axes = tissue.frame, tissue.head.axes_mm
    normal = np.array(bleed.center_mm) / np.array(axes) ** 2
    normal /= np.linalg.norm(normal)
    cx, cy, cz = bleed.center_mm
    along = (frame.x - cx) * normal[0] + (frame.y - cy) * normal[1] + (frame.z - cz) * normal[2]
    square = (frame.x - cx) ** 2 + (frame.y - cy) ** 2 + (frame.z - cz) ** 2 - along**2
    lens = bleed.thickness_mm * (1 - square / bleed.extent_mm**2)
    wobble = 0.6 * smooth_field(stream(bleed.seed, "edge"), frame.grid, 12.0)
    shape = np.maximum(frame.depth - lens - wobble, np.maximum(-frame.depth, -along - 0.75 * abs(cx)))
    return cover(np.maximum(shape, -lens), frame.grid.pitch_mm)


def _subdural(bleed: Bleed, tissue: drawn.Tissue) -> Array:
    frame, pitch = tissue.frame, tissue.frame.grid.pitch_mm
    wobble = 0.12 * bleed.thickness_mm * smooth_field(stream(bleed.seed, "edge"), frame.grid, 20.0)
    inside = -frame.depth
    if bleed.pattern == "convexity":
        ax, ay, az = tissue.head.axes_mm
        u, v, w = frame.x / ax, frame.y / ay, frame.z / az
        radius = np.sqrt(u * u + v * v + w * w) + np.float32(1e-3)
        cx, cy, cz = bleed.center_mm
        cosine = (u * cx / ax + v * cy / ay + w * cz / az) / radius
        angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
        crescent = bleed.thickness_mm * np.sqrt(np.clip(1 - (angle / bleed.extent_mm) ** 2, 0, 1)) - 0.5
        shape = np.maximum(frame.depth - crescent - wobble * (crescent > 0), inside)
        return cover(np.maximum(shape, np.maximum(2 - bleed.side * frame.x, -24 - frame.z)), pitch)
    if bleed.pattern == "falx":
        layer = np.abs(bleed.side * tissue.brain.x - 0.6 - bleed.thickness_mm / 2) - bleed.thickness_mm / 2 - wobble
        callosum = ellipsoid(tissue.brain, (0, 6, -6), (40, 54, 40))
        reach = np.abs(frame.y - bleed.center_mm[1]) - bleed.extent_mm
        shape = np.maximum(np.maximum(layer, reach), np.maximum(3 - callosum, -frame.z))
        return cover(np.maximum(shape, inside + 1), pitch)
    slope = -13 - 0.28 * np.abs(frame.x) - 0.12 * (frame.y - 30)
    layer = np.abs(frame.z - slope - bleed.thickness_mm / 2 - 0.7) - bleed.thickness_mm / 2 - wobble
    incisura = ellipsoid(tissue.brain, (0, 8, -14), (21, 26, 40))
    shape = np.maximum(np.maximum(layer, -incisura), np.maximum(5 - bleed.side * frame.x, 12 - frame.y))
    return cover(np.maximum(shape, inside + 1), pitch)


def _subarachnoid(bleed: Bleed, tissue: drawn.Tissue) -> Array:
    frame, head = tissue.frame, tissue.head
    wide = replace(head, atrophy=min(head.atrophy + 0.35, 1.1))
    space = drawn.fluid(wide, tissue.brain, frame.depth) * (1 - tissue.ventricles) * (frame.depth > 0)
    flat = 0.62 if bleed.pattern == "basal" else 1.0
    axes = (bleed.extent_mm * 1.1, bleed.extent_mm, bleed.extent_mm * flat)
    region = ellipsoid(frame, bleed.center_mm, axes) + 7 * smooth_field(stream(bleed.seed, "edge"), frame.grid, 14.0)
    return np.asarray(space * cover(region, 8.0), dtype=np.float32)


def _intraventricular(bleed: Bleed, tissue: drawn.Tissue) -> Array:
    frame, brain = tissue.frame, tissue.brain
    edge = 2.0 * smooth_field(stream(bleed.seed, "edge"), frame.grid, 10.0)
    upper = cover(-30 - brain.z, 4.0)
    if bleed.pattern == "level":
        return tissue.ventricles * upper * cover(bleed.extent_mm - frame.y + 0.3 * edge, 2.0)
    if bleed.pattern == "fourth":
        return tissue.ventricles * cover(np.minimum(brain.z + 24, np.abs(brain.x) - 5), 4.0)
    chosen = cover(-bleed.side * brain.x - 4 + edge, 4.0)
    sunk = cover(bleed.extent_mm + 6 - frame.y, 2.0)
    return np.asarray(tissue.ventricles * np.maximum(chosen * upper, sunk * upper), dtype=np.float32)


def _clot(bleed: Bleed, tissue: drawn.Tissue) -> Array:
    """Signed distance to an intraparenchymal clot."""
    frame = tissue.frame
    rng = stream(bleed.seed, "shape")
    ratio = np.exp(rng.normal(0, 0.16, 3))
    ratio /= np.prod(ratio) ** (1 / 3)
    axes = (float(bleed.extent_mm * ratio[0]), float(bleed.extent_mm * ratio[1]), float(bleed.extent_mm * ratio[2]))
    cx, cy, cz = bleed.center_mm
    ball = ellipsoid_distance(frame.x - cx, frame.y - cy, frame.z - cz, axes)
    lobes = smooth_field(rng, frame.grid, max(0.8 * bleed.extent_mm, 6.0))
    return np.asarray(np.maximum(ball + 0.2 * bleed.extent_mm * lobes, 2.5 - frame.depth), dtype=np.float32)


def _intraparenchymal(bleed: Bleed, tissue: drawn.Tissue) -> Array:
    clot = cover(_clot(bleed, tissue), tissue.frame.grid.pitch_mm)
    return np.asarray(clot * (1 - tissue.ventricles), dtype=np.float32)


_SHAPES: MappingProxyType[str, Callable[[Bleed, drawn.Tissue], Array]] = MappingProxyType(
    {
        "epidural": _epidural,
        "subdural": _subdural,
        "subarachnoid": _subarachnoid,
        "intraventricular": _intraventricular,
        "intraparenchymal": _intraparenchymal,
    }
)


def bleed_fraction(bleed: Bleed, tissue: drawn.Tissue) -> Array:
    """Fraction of blood of this bleed in each voxel of the grid, 0 to 1; nothing outside the cranial cavity."""
    fraction = _SHAPES[bleed.kind](bleed, tissue) * (tissue.frame.depth > 0) * (tissue.hu < 300)
    return np.asarray(fraction, dtype=np.float32)


def paint(bleed: Bleed, tissue: drawn.Tissue, fraction: Array, hu: Array) -> None:
    """Paint a bleed, and the oedema around a clot, into Hounsfield units in place."""
    frame = tissue.frame
    if bleed.kind == "intraparenchymal":
        rim = cover(_clot(bleed, tissue) - bleed.thickness_mm, 5.0) * (frame.depth > 0) * (hu > 15) * (hu < 45)
        hu += rim * 0.8 * (tissue.head.white_hu - 9 - hu)
    mottled = bleed.hu + 2.5 * smooth_field(stream(bleed.seed, "density"), frame.grid, 7.0)
    if bleed.layered_hu != bleed.hu:
        mottled += (bleed.layered_hu - bleed.hu) * cover(frame.y - 8, 30.0)
    hu += fraction * (mottled - hu)
