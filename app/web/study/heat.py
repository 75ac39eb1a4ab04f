"""Where a network looked in the images of a series: which heat maps there are, and the picture of one."""

from collections.abc import Sequence
from pathlib import Path

from fastapi import HTTPException
from pydantic import BaseModel

from app.findings import Finding, Presence, Report
from app.heat import heat_file, heat_name
from app.outcomes import StudyOutcome
from app.slices import SlicePlace
from app.study import Series


class HeatMap(BaseModel):
    """Where a network looked for one finding, on one slice.

    Attributes:
        slice: Place in the series, from 0.
        bundle, finding: Whose it is; the finding is a kind of the code table.
        name: The last part of its address.
    """

    slice: int
    bundle: str
    finding: str
    name: str


def heat_maps(outcome: StudyOutcome, series: Series, places: Sequence[SlicePlace], folder: Path) -> list[HeatMap]:
    """The heat maps that were kept of one series, the main finding first.

    Args:
        outcome: The revision.
        series: One of its stacks.
        places: Where its slices lie.
        folder: Of the results of the revision.
    """
    # Bundles that give heat maps read single images: of several frames none is theirs.
    single = {place.sop_instance_uid: index for index, place in enumerate(places) if place.frame in {None, 1}}
    found = []
    for report in outcome.reports:
        if (series.uid, series.stack) not in report.stacks:
            continue
        for finding, uid in _present(report):
            name = heat_name(report.algorithm.name, finding.kind, uid)
            if uid in single and heat_file(folder, name).is_file():
                found.append(HeatMap(slice=single[uid], bundle=report.algorithm.name, finding=finding.kind, name=name))
    return found


def heat_picture(folder: Path, maps: Sequence[HeatMap], name: str) -> bytes:
    """A heat map as PNG, 8 bits of grey, 0 nothing to 255 most; it covers the whole image.

    Args:
        folder: Of the results of the revision.
        maps: What there is of the series.
        name: Which.

    Raises:
        HTTPException: 404, the series has none of that name; 410, it was there and is gone.
    """
    if all(each.name != name for each in maps):
        raise HTTPException(404, "this series has no heat map of that name; its page shows those that it has")
    try:
        return heat_file(folder, name).read_bytes()
    except OSError as error:
        raise HTTPException(410, "this heat map is not here any more; load the page of the study again") from error


def _present(report: Report) -> list[tuple[Finding, str]]:
    """Each finding with the images in which it was called present."""
    return [
        (finding, score.sop_instance_uid)
        for finding in report.findings
        if finding.presence is Presence.PRESENT and finding.threshold is not None
        for score in finding.slices
        if score.certainty >= finding.threshold
    ]
