"""Further parts of the body that no detector is for: leg, knee, foot, elbow, shoulder, abdomen, skull. Rough shapes,
only for telling views apart. Each gives the attenuation in the body's frame, x to the right, y down, mm.
"""

import numpy as np

from app.demo.phantoms.radiographs.chest_bones import bone_tube
from app.demo.phantoms.radiographs.long_bone import LongBone, draw_block, draw_long, grain, tapered
from app.demo.phantoms.radiographs.plane import (
    Array,
    Plane,
    add_ellipsoid,
    curve,
    draw_tube,
    edge,
    ellipsoid,
    smooth_noise,
)

MU_SOFT = 0.021


def _long(  # noqa: PLR0917
    plane: Plane,
    out: Array,
    tile: Array,
    end: tuple[float, float],
    turn: float,
    length: float,
    thick: tuple[float, float, float],
) -> None:
    """A tubular bone from its end: half widths at that end, in the middle and at the other end, mm."""
    near, middle, far = thick
    points = [
        (0.0, near, 0.8),
        (0.14 * length, 0.5 * (near + middle), 1.8),
        (0.45 * length, middle, 0.32 * middle),
        (0.8 * length, 0.45 * far + 0.55 * middle, 2.0),
        (length, far, 0.8),
    ]
    levels, halves, cortex = tapered(points)
    draw_long(LongBone(end, turn, levels, halves, cortex, 0.9, 1.0, arch=0.15 * near), plane, out, tile)


def _empty(plane: Plane) -> tuple[Array, Array]:
    return np.zeros(plane.shape, dtype=np.float32), np.zeros(plane.shape, dtype=np.float32)


def leg(rng: np.random.Generator, plane: Plane) -> Array:
    """Tibia and fibula with the ankle below; the knee mostly outside of the picture."""
    tile, (soft, bones) = grain(rng), _empty(plane)
    low = rng.uniform(40, 150)
    lateral = rng.random() < 0.4
    calf, ankle = rng.uniform(45, 65), rng.uniform(30, 38)
    draw_tube(plane, soft, [(0, -260), (4, -80), (0, low), (0, low + 20)], [calf * 0.8, calf, ankle, ankle])
    _long(plane, bones, tile, (-4, low), 180 + rng.normal(0, 2), 370, (22, 11, 30))
    gap = rng.uniform(5, 14) if lateral else rng.uniform(22, 28)
    _long(plane, bones, tile, (gap, low + 12), 180 + rng.normal(0, 2), 350, (11, 6, 11))
    draw_block(plane, bones, tile, (0, low + 14), (20, 14, 17), 0, rng.normal(0, 0.03, (3, 2)), 1.0)
    if lateral:
        draw_tube(plane, soft, [(20, low + 30), (-130, low + 65)], [40, 22])
        draw_block(plane, bones, tile, (26, low + 38), (36, 19, 18), 25, rng.normal(0, 0.04, (3, 2)), 1.2)
        for place in ((-24, low + 30), (-46, low + 40)):
            draw_block(plane, bones, tile, place, (15, 12, 13), 30, rng.normal(0, 0.04, (3, 2)), 1.0)
        return np.asarray(np.float32(MU_SOFT) * soft + bones, dtype=np.float32)
    draw_tube(plane, soft, [(0, low + 20), (0, low + 60)], [ankle, ankle * 0.9])
    draw_block(plane, bones, tile, (4, low + 46), (17, 20, 22), 0, rng.normal(0, 0.04, (3, 2)), 1.2)
    return np.asarray(np.float32(MU_SOFT) * soft + bones, dtype=np.float32)


def knee(rng: np.random.Generator, plane: Plane) -> Array:
    """Femur and tibia with the gap of the joint, kneecap and head of the fibula."""
    tile, (soft, bones) = grain(rng), _empty(plane)
    bend = rng.uniform(0, 35) if rng.random() < 0.5 else 0.0
    thigh = rng.uniform(60, 80)
    unit = np.array([np.sin(np.deg2rad(bend)), -np.cos(np.deg2rad(bend))])
    draw_tube(plane, soft, np.array([unit * 200, (0, 0), (0, 60), (0, 220)]), [thigh, 58, 55, 48])
    for side in (-17, 17):
        add_ellipsoid(plane, bones, (side, -18), (22, 21, 25), 0.012)
    _long(plane, bones, tile, (0, -8), 180 + bend, 260, (36, 15, 18))
    _long(plane, bones, tile, (0, 6), rng.normal(0, 2), 260, (36, 13, 15))
    _long(plane, bones, tile, (30, 22), rng.normal(0, 2), 250, (11, 6, 6))
    patella = (0, -28) if not bend else (-38, -18)
    add_ellipsoid(plane, bones, patella, (20 if not bend else 11, 22, 9), 0.014)
    return np.asarray(np.float32(MU_SOFT) * soft + bones, dtype=np.float32)


def foot(rng: np.random.Generator, plane: Plane) -> Array:
    """Five rays of a foot from above, with the bones of its root."""
    tile, (soft, bones) = grain(rng), _empty(plane)
    add_ellipsoid(plane, soft, (0, 0), (44, 95, 20), 1.0)
    draw_tube(plane, soft, [(0, 40), (0, 130)], 34.0)
    for number in range(5):
        at = np.array([-24.0 + 12.5 * number, 36.0 + 3 * number])
        big = 1.45 if number == 0 else 1.0
        for step, length in enumerate((62 - 2 * number, 26 * big**0.5, 12 if number else 24)):
            turn = np.deg2rad(-5 + 5 * number + rng.normal(0, 3))
            unit = np.array([np.sin(turn), -np.cos(turn)])
            tip, thick = at + unit * length, (5.5 - 1.1 * step) * big
            _long(
                plane, bones, tile, (tip[0], tip[1]), float(np.rad2deg(turn)), length - 1, (thick, 0.6 * thick, thick)
            )
            draw_tube(plane, soft, [at, tip + unit * 6], [10 * big**0.5, 8 * big**0.5])
            at = tip + unit * 1.5
    for centre, axes in (((-17, 50), (11, 13, 12)), ((0, 52), (9, 12, 12)), ((17, 62), (13, 14, 14))):
        draw_block(plane, bones, tile, centre, axes, 0, rng.normal(0, 0.04, (3, 2)), 1.0)
    draw_block(plane, bones, tile, (-8, 72), (20, 12, 16), 0, rng.normal(0, 0.04, (3, 2)), 1.0)
    draw_block(plane, bones, tile, (6, 100), (17, 28, 20), 0, rng.normal(0, 0.04, (3, 2)), 1.2)
    return np.asarray(np.float32(MU_SOFT) * soft + bones, dtype=np.float32)


def elbow(rng: np.random.Generator, plane: Plane) -> Array:
    """Upper arm above, radius and ulna below, bent or straight."""
    tile, (soft, bones) = grain(rng), _empty(plane)
    bend = rng.uniform(60, 100) if rng.random() < 0.5 else rng.uniform(0, 12)
    arm = np.array([np.sin(np.deg2rad(bend)), -np.cos(np.deg2rad(bend))])
    draw_tube(plane, soft, np.array([arm * 200, (0, 0), (0, 200)]), [44, 40, 32])
    _long(plane, bones, tile, (0, -3), 180 + bend, 230, (27, 9, 11))
    add_ellipsoid(plane, bones, (8, -3), (11, 9, 10), 0.014)
    add_ellipsoid(plane, bones, (-8, -3), (12, 10, 11), 0.014)
    _long(plane, bones, tile, (12, 6), rng.normal(0, 3), 220, (10, 6.5, 8))
    _long(plane, bones, tile, (-9, -14 if bend > 20 else 2), rng.normal(0, 3), 230, (13, 7, 6))
    return np.asarray(np.float32(MU_SOFT) * soft + bones, dtype=np.float32)


def shoulder(rng: np.random.Generator, plane: Plane) -> Array:
    """Head of the humerus, blade, collar bone and the ribs beside them."""
    whole, tile, (soft, bones) = plane.whole(), grain(rng), _empty(plane)
    slope = np.float32(-55) + np.float32(0.28) * whole.x
    trunk = 170 * edge(slope - whole.y, 30.0) * edge(whole.x - 62, 45.0)
    draw_tube(plane, soft, [(40, 0), (62, 160)], [52, 46])
    air = 95 * edge(np.sqrt(((whole.x + 120) / 85) ** 2 + ((whole.y - 90) / 130) ** 2) * 60 - 60, 8.0)
    out = np.float32(0.017) * np.maximum(np.maximum(trunk, 1.2 * soft) - air, 0)
    add_ellipsoid(plane, bones, (38, -8), (25, 25, 24), 0.013)
    _long(plane, bones, tile, (42, -14), rng.normal(-8, 8), 240, (23, 12, 13))
    blade = curve([(8, -10), (-5, 60), (-40, 120), (-70, 20), (-55, -30), (8, -10)], 40)
    bone_tube(plane, bones, blade, np.full(40, 5.0), 1.8, 0.8)
    bone_tube(plane, bones, curve([(-55, -15), (0, -42), (35, -40)], 20), np.full(20, 8.0), 2.0, 0.8)
    bone_tube(plane, bones, curve([(-170, -20), (-80, -52), (10, -48)], 24), np.full(24, 6.5), 2.0, 0.9)
    for index in range(6):
        top = -20 + 30 * index
        line = curve([(-190, top - 15), (-110, top - 12), (-55, top + 25), (-60, top + 55)], 24)
        bone_tube(plane, bones, line, np.full(24, 5.0), 1.3, 0.6)
    return np.asarray(out + bones, dtype=np.float32)


def abdomen(rng: np.random.Generator, plane: Plane) -> Array:
    """Spine, wings of the pelvis, lowest ribs, and gas in the bowels."""
    whole = plane.whole()
    x, y = whole.x, whole.y
    wide = rng.uniform(140, 190)
    body = 230 * np.sqrt(np.maximum(1 - np.clip(np.abs(x) / np.float32(wide), 0, 1) ** 2.6, 0))
    gas = np.zeros(plane.shape, dtype=np.float32)
    for _ in range(int(rng.integers(4, 16))):
        around = rng.uniform(0, 2 * np.pi)
        centre = (0.72 * wide * np.cos(around) * rng.uniform(0.2, 1), 105 * np.sin(around) + 10)
        axes = (rng.uniform(8, 38), rng.uniform(7, 20), rng.uniform(8, 20))
        gas = np.maximum(gas, ellipsoid(x, y, centre, axes, float(rng.uniform(0, 180))))
    out = np.float32(0.019) * np.maximum(body - gas, 0).astype(np.float32)
    bones = np.zeros(plane.shape, dtype=np.float32)
    for index in range(8):
        top = -190 + 36 * index
        box = np.maximum(np.abs(x) - (22 + index), np.abs(y - np.float32(top)) - 15)
        bones += np.float32(0.45) * edge(box, 4.0)
        line = curve([(-44, top + 2), (0, top), (44, top + 2)], 12)
        bone_tube(plane, bones, line, np.full(12, 4.0), 1.2, 0.5)
    for sign in (-1, 1):
        wing = curve([(sign * px, py) for px, py in ((28, 95), (70, 70), (125, 90), (130, 130), (85, 190))], 30)
        bone_tube(plane, bones, wing, np.full(30, 6.0), 2.0, 0.9)
        add_ellipsoid(plane, bones, (sign * 85, 150), (46, 60, 8), 0.012)
        for index in range(3):
            rib = curve(
                [(sign * 24, -170 + 34 * index), (sign * 100, -150 + 36 * index), (sign * 135, -95 + 25 * index)], 20
            )
            bone_tube(plane, bones, rib, np.full(20, 5.0), 1.2, 0.6)
    return np.asarray(out + bones * (1 + 0.1 * smooth_noise(rng, plane, 1.8)), dtype=np.float32)


def skull(rng: np.random.Generator, plane: Plane) -> Array:
    """A shell of bone with the denser base and face below; from the front or the side."""
    whole = plane.whole()
    x, y, side = whole.x, whole.y, rng.random() < 0.5
    wide = 95.0 if side else 76.0
    outer = ellipsoid(x, y, (0, -25), (wide, 88, 80))
    inner = ellipsoid(x, y, (0, -25), (wide - 6, 82, 74))
    out = np.float32(0.034) * np.maximum(outer - inner, 0) + np.float32(0.019) * inner
    face = (-45.0, 62.0) if side else (0.0, 62.0)
    out += np.float32(0.021) * ellipsoid(x, y, face, (52, 62, 60))
    base = edge(np.abs(y - np.float32(48) - np.float32(0.3) * x * side) - 13, 12.0) * (np.abs(x) < wide * 0.85)
    bones = np.float32(0.7) * base.astype(np.float32)
    for sign in (-1, 1) if not side else (1,):
        hole = face if side else (sign * 33.0, 40.0)
        rim = curve(
            [(hole[0] + 19 * np.cos(a), hole[1] - 12 * side + 18 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 9)], 40
        )
        bone_tube(plane, bones, rim, np.full(40, 2.5), 1.5, 1.0)
    jaw = [(-30, 120), (-78, 118), (-85, 95)] if side else [(-48, 80), (0, 122), (48, 80)]
    bone_tube(plane, bones, curve(jaw, 24), np.full(24, 8.0), 2.5, 1.0)
    for index in range(6):
        neck = (18.0 if side else 0.0, 95.0 + 20 * index)
        box = np.maximum(np.abs(x - np.float32(neck[0])) - 14, np.abs(y - np.float32(neck[1])) - 7)
        bones += np.float32(0.4) * edge(box, 3.0)
    out += np.float32(0.019) * 90 * edge(np.abs(x - np.float32(15 * side)) - 55, 8.0) * edge(70 - y, 20.0)
    return np.asarray(out + bones * (1 + 0.1 * smooth_noise(rng, plane, 1.8)), dtype=np.float32)
