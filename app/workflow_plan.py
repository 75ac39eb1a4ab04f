"""Whether what was assigned can be analysed at all: the geometry of a stack, or each of several images."""

from dataclasses import dataclass, replace

from app.assemble import check_geometry, check_image
from app.assignment import Assignment, Unfit
from app.infer.results import find_stacks
from app.radiographs import image_name
from app.study import Series, Study, picture_in_words
from bundles.common.contract import Service
from bundles.common.views import UNCLEAR, in_words


@dataclass(frozen=True, slots=True)
class Plan:
    """An assignment, and in words why nothing of it can be analysed (empty where something can)."""

    assignment: Assignment
    problem: str


def plan_of(study: Study, assignment: Assignment, service: Service) -> Plan:
    """Look at what was assigned, by its headers.

    Of several images, those that cannot be analysed are named in `Assignment.unfit`; the others are, for the same
    report. Where none can, the plan's problem tells why of each.

    Raises:
        Failed: The study lacks an assigned stack.
    """
    stacks = find_stacks(study, assignment)
    if service.reads == "stack":
        return Plan(assignment, check_geometry(stacks[0], assignment.limits) or "; ".join(assignment.doubts))
    reasons = [(series, reason) for series in stacks if (reason := _image_problem(series, service))]
    if len(reasons) < len(stacks):
        unfit = tuple(Unfit(series.uid, series.stack, reason) for series, reason in reasons)
        return Plan(replace(assignment, unfit=unfit), "")
    if len(reasons) == 1:
        return Plan(assignment, reasons[0][1])
    return Plan(assignment, "; ".join(f"{image_name(series)}: {reason}" for series, reason in reasons))


def _image_problem(series: Series, service: Service) -> str | None:
    """Why one image cannot be analysed: it is no proper image, or clearly shows what the bundle does not read."""
    return check_image(series) or _contradiction(series, service)


def _contradiction(series: Series, service: Service) -> str | None:
    """Where the header asked for an analysis and the picture is clearly of something else."""
    if service.view is None or series.view is None or series.view.name in {service.view, UNCLEAR}:
        return None
    return f"{picture_in_words(series.view)}, but its header asks for what reads {in_words(service.view)}"
