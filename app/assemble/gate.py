"""The geometry gate: whether a stack is what a bundle can cope with, and if not, which slice and what was expected."""

import math
from collections.abc import Sequence

import numpy as np

from app.radiographs import is_raw
from app.study import Series
from bundles.common.contract import GeometryLimits
from bundles.common.geometry import StackGeometry, affine, extent_mm, gaps_mm, tilt_deg
from bundles.common.spacing import name_slice, spacing_problem

DRIFT_MM = 1.0
"""How far a slice may lie beside the line from the first to the last one: less than any network sees, more than
rounding and table sag."""

TILT_TOLERANCE_DEG = 0.01
"""Rounding of ImageOrientationPatient with four decimals."""


def check_image(series: Series) -> str | None:
    """Say why a bundle that reads each image by itself cannot take this one; None where it can.

    In words without patient data. A radiograph has no place in the patient and needs none.

    Args:
        series: As `assemble` made it: one radiograph, or images that a rule takes for some.
    """
    if series.damaged:
        return _first_of(series.damaged)
    frames = max((instance.frames for instance in series.instances), default=0)
    if frames > 1:
        # Tomosynthesis, fluoroscopy or a cine loop: one frame of it is not the exposure that a network was trained on.
        return f"{frames} frames in one image: only single exposures are analysed, no cine loop or tomosynthesis"
    if is_raw(series):
        return "raw detector values (FOR PROCESSING), and no image FOR PRESENTATION of the same view came with them"
    return None


def check_geometry(series: Series, limits: GeometryLimits) -> str | None:
    """Say why a bundle cannot take a stack, in words without patient data; None where it can.

    Args:
        series: As `assemble` made it.
        limits: The bundle's.
    """
    if series.damaged:
        return _first_of(series.damaged)
    slices = sum(max(instance.frames, 1) for instance in series.instances)
    geometry = series.geometry
    if slices < limits.min_slices or slices > limits.max_slices:
        words = "slice" if slices == 1 else "slices"
        return f"{slices} {words}, expected {limits.min_slices} to {limits.max_slices}"
    if geometry is None:
        if limits.min_slices > 1:
            return "the images have no place in the patient: position, orientation or pixel spacing is missing"
        return None
    if slices != len(geometry.origins):
        return (
            f"{slices} frames in the files of this stack, {len(geometry.origins)} of them belong to it: "
            "several stacks or phases in one multi-frame image cannot be told apart"
        )
    return _check_stack(series, geometry, limits)


def _first_of(damaged: Sequence[str]) -> str:
    more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
    return damaged[0] + more


def _check_stack(series: Series, geometry: StackGeometry, limits: GeometryLimits) -> str | None:
    coarsest = max(geometry.pixel_spacing_mm)
    if coarsest > limits.max_in_plane_spacing_mm:
        return f"pixels are {coarsest:.2f} mm apart, expected at most {limits.max_in_plane_spacing_mm:.2f} mm"
    numbers = tuple(instance.instance_number for instance in series.instances)
    if len(numbers) != len(geometry.origins):
        numbers = ()
    # Spacing before tilt: a missing slice of a tilted stack is told as what it is.
    spacing = spacing_problem(geometry, limits.spacing_tolerance, limits.allow_variable_spacing, numbers)
    if spacing is not None:
        return spacing
    gaps = gaps_mm(geometry)
    if gaps.size and gaps.max() > limits.max_slice_spacing_mm:
        widest = int(np.argmax(gaps))
        return (
            f"{name_slice(widest + 1, geometry, numbers)} lies {gaps[widest]:.1f} mm from its neighbour, "
            f"expected at most {limits.max_slice_spacing_mm:.1f} mm"
        )
    extent = extent_mm(geometry)
    if extent < limits.min_extent_mm:
        # Rounded down: a stack that is too short must not be said to cover what is expected.
        return f"the stack covers {math.floor(extent)} mm, expected at least {limits.min_extent_mm:.0f} mm"
    tilt = tilt_deg(geometry)
    if tilt > limits.max_tilt_deg + TILT_TOLERANCE_DEG:
        return f"the slices are tilted by {tilt:.1f}° (gantry tilt), expected at most {limits.max_tilt_deg:.1f}°"
    return _drift(geometry, numbers)


def _drift(geometry: StackGeometry, numbers: tuple[int | None, ...]) -> str | None:
    """Find a slice that lies beside the line through the stack: a table that was moved, or two stacks in one."""
    if len(geometry.origins) < 3:
        return None
    origins = np.asarray(geometry.origins)
    direction = affine(geometry)[:3, 2]
    direction /= np.linalg.norm(direction)
    offsets = origins - origins[0]
    beside = np.linalg.norm(offsets - np.outer(offsets @ direction, direction), axis=1)
    worst = int(np.argmax(beside))
    if beside[worst] <= DRIFT_MM:
        return None
    return (
        f"{name_slice(worst, geometry, numbers)} lies {beside[worst]:.1f} mm beside the line through the stack, "
        f"expected at most {DRIFT_MM:.1f} mm: the table or the field of view moved"
    )
