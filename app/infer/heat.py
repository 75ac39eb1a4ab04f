"""From the heat map of a network to what the page of a study shows of it.

A heat map decides nothing and is in no document, so that one that is unsound, or for which there is no room, is left
out with a line in the log, and the answer stands. Boxes and masks are told as findings; those have to be sound.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
import torch

from app.errors import Failed
from app.findings import Finding, Presence
from app.heat import Grey, heat_file, heat_name, keep_heat
from bundles.common.contract import RegionOutput, Service

ROUNDING: Final = 1e-3
"""How far a value may lie beyond 0 or 1."""

log = structlog.get_logger()


def heats_in(contract: Service, item: Mapping[str, Any]) -> dict[str, Any]:
    """Every heat map that a contract names, by key, as the postprocessing gave it."""
    wanted = {each.regions.heat for each in contract.findings if each.regions and each.regions.heat}
    return {key: item[key] for key in sorted(wanted) if key in item}


def keep_heats(
    folder: Path,
    bundle: str,
    contract: Service,
    findings: Sequence[Finding],
    *,
    heats: Mapping[str, Any],
    sop_instance_uid: str,
) -> None:
    """Keep the heat map of each finding that is present in one image. Nothing that is wrong with one is raised.

    Args:
        folder: Of the results of the study.
        bundle: Its name.
        contract: Says which heat map is of which finding.
        findings: Of `contract`, in its order, in this image.
        heats: See `heats_in`.
        sop_instance_uid: Of the image.
    """
    for output, finding in zip(contract.findings, findings, strict=True):
        if output.regions is None or output.regions.heat is None:
            continue
        path = heat_file(folder, heat_name(bundle, finding.kind, sop_instance_uid))
        try:
            path.unlink(missing_ok=True)  # of an analysis that was killed before it had answered
            if finding.presence is Presence.PRESENT and (heat := heat_of(output.regions, heats)).any():
                keep_heat(path, heat)
        except Failed as error:
            log.warning("heat_map_left_out", bundle=bundle, finding=finding.kind, reason=str(error))
        except OSError as error:
            log.warning("heat_map_left_out", bundle=bundle, finding=finding.kind, reason=type(error).__name__)


def heat_of(output: RegionOutput, heats: Mapping[str, Any]) -> Grey:
    """The heat map of one finding, (rows, columns), 0 to 255.

    Args:
        output: Names it, and says which class the finding is.
        heats: See `heats_in`.

    Raises:
        Failed: It is missing, is none of this finding, or holds something else than numbers from 0 to 1.
    """
    key = output.heat or ""
    if key not in heats:
        raise Failed(f"the bundle's postprocessing gave no '{key}', its heat map")
    try:
        array = torch.as_tensor(heats[key]).detach().float().cpu().numpy()
    except (TypeError, ValueError, RuntimeError) as error:
        raise Failed(f"output '{key}' is no heat map: {type(error).__name__}") from error
    if array.ndim == 3 and output.index < len(array):
        array = array[output.index]
    if array.ndim != 2 or not array.size:
        raise Failed(
            f"output '{key}' has the shape {tuple(array.shape)}, expected (rows, columns) or (classes, rows, columns) "
            f"with a class {output.index}"
        )
    low, high = float(array.min()), float(array.max())  # NaN, where there is one
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise Failed(f"output '{key}' holds values from {low:g} to {high:g}, expected 0 to 1")
    heat: Grey = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return heat
