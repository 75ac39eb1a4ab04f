"""From the numbers of a network to a `Report` in clinical terms, and the report of an analysis that did not happen."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.assignment import Assignment
from app.errors import Failed
from app.findings import FINDING_KINDS, Finding, Outcome, Presence, Region, Report, SliceScore
from app.infer.catalogue import Bundle
from app.infer.images import Image
from app.infer.regions import Boxes, regions_of
from app.study import BROKEN_OFF, Instance, Series, Study
from bundles.common.contract import FindingOutput, Service

Numbers = Mapping[str, Sequence[float]]


def undetermined(study: Study, assignment: Assignment, bundle: Bundle, outcome: Outcome, reason: str) -> Report:
    """Say that nothing can be said: every finding that was sought is undetermined, with the reason in words."""
    return Report(
        study_uid=study.uid,
        revision=study.revision,
        series_uid=assignment.series_uid,
        stack=assignment.stack,
        algorithm=bundle.algorithm,
        outcome=outcome,
        findings=tuple(Finding(output.finding, Presence.UNDETERMINED) for output in bundle.service.findings),
        reason=reason,
        notes=(*study.notes, *assignment.notes),
        more=assignment.more,
        structures=bundle.structures,
        classes=bundle.classes,
    )


def signs_of_missing(study: Study, analysed: Sequence[Series]) -> tuple[str, ...]:
    """Why the analysed stacks may not be all that was acquired, in words; () where nothing says so."""
    ours = tuple(dict.fromkeys(sign for series in analysed for sign in series.missing))
    return ((BROKEN_OFF,) if study.interrupted else ()) + study.missing + ours


def unfinished(report: Report, signs: Sequence[str]) -> Report:
    """Read the answers on a stack that may not be whole: what is not seen in a part is not absent.

    What was found stays found. What was not found is undetermined; where that is all, the analysis has succeeded only
    in part, and the reason tells.

    Args:
        report: Outcome `SUCCEEDED`.
        signs: Why images may be missing, in words; at least one.
    """
    findings = tuple(
        Finding(finding.kind, Presence.UNDETERMINED) if finding.presence is Presence.ABSENT else finding
        for finding in report.findings
    )
    notes = tuple(dict.fromkeys((*signs, *report.notes)))
    if report.structures or report.classes:  # a volume of a part, or a class seen in a part, says nothing of the whole
        return replace(report.unmeasured(), notes=notes, outcome=Outcome.PARTIAL, reason="; ".join(signs))
    if any(finding.presence is Presence.PRESENT for finding in findings):
        return replace(report, findings=findings, notes=notes)
    return replace(report, findings=findings, notes=notes, outcome=Outcome.PARTIAL, reason="; ".join(signs))


def find_stacks(study: Study, assignment: Assignment) -> tuple[Series, ...]:
    """Every stack that an assignment names, in its order: one, but for bundles that read images.

    Raises:
        Failed: The study lacks one of them.
    """
    known = {(series.uid, series.stack): series for series in study.series}
    for name in assignment.stacks:
        if name not in known:
            raise Failed(f"study {study.key} has no stack {name[1]} of the assigned series; send the study again")
    return tuple(known[name] for name in assignment.stacks)


def sources(instances: Sequence[Instance]) -> tuple[str, ...]:
    """SOPInstanceUID of every slice in order, repeated for the frames of a multi-frame instance."""
    return tuple(each.sop_instance_uid for each in instances for _ in range(max(each.frames, 1)))


def to_findings(contract: Service, numbers: Numbers, series: Series) -> tuple[Finding, ...]:
    """Read a bundle's outputs as its contract explains them.

    Args:
        contract: Says which output means what.
        numbers: Every output that the contract names, flattened: key → probabilities.
        series: What was analysed, for the source of each slice score.

    Raises:
        Failed: An output is missing, too short, not finite, outside of 0 to 1, or has another number of slices than
            the series.
    """
    return tuple(
        replace(
            _finding(output, numbers),
            slices=() if output.slices is None else _slice_scores(output.slices, numbers, series),
        )
        for output in contract.findings
    )


def contradictions(findings: Sequence[Finding]) -> tuple[str, ...]:
    """In words, where a type of a finding is called present and the finding itself absent: each stands at a threshold
    of its own, and a reader must not take either for the whole answer.
    """
    absent = {each.kind for each in findings if each.presence is Presence.ABSENT}
    told = []
    for whole in (each.kind for each in findings if each.kind in absent):
        types = [
            each.kind.replace("_", " ")
            for each in findings
            if each.presence is Presence.PRESENT and FINDING_KINDS[each.kind].part_of == whole
        ]
        if types:
            told.append(
                f"the answers contradict each other: {whole.replace('_', ' ')} is called absent, and of its types "
                f"{' and '.join(types)} present; each has a threshold of its own, so look at the images"
            )
    return tuple(told)


def to_image_findings(contract: Service, numbers: Numbers, image: Image) -> tuple[Finding, ...]:
    """Read what a bundle says of one image that it read by itself.

    Args:
        contract: Says which output means what.
        numbers: Every output that the contract names, flattened.
        image: Which; its score is the certainty of the whole image.

    Returns:
        Findings with one score each, and with regions where the finding is present.

    Raises:
        Failed: An output is missing, too short, not finite or out of range; a box is none of this image.
    """
    return tuple(_image_finding(output, numbers, image) for output in contract.findings)


def _image_finding(output: FindingOutput, numbers: Numbers, image: Image) -> Finding:
    finding = _finding(output, numbers)
    regions: tuple[Region, ...] = ()
    if output.regions is not None:
        wanted = output.regions
        boxes = Boxes(*(output_of(numbers, key) for key in (wanted.boxes, wanted.scores, wanted.classes)))
        # Read in any case: a network that gives no sound boxes is not believed in its other answers either.
        regions = regions_of(wanted, boxes, image.instance.sop_instance_uid, image.rows, image.columns)
    return replace(
        finding,
        slices=(SliceScore(image.instance.sop_instance_uid, image.index, finding.certainty or 0.0),),
        regions=regions if finding.presence is Presence.PRESENT else (),
    )


def _finding(output: FindingOutput, numbers: Numbers) -> Finding:
    values = output_of(numbers, output.probability)
    if output.index >= len(values):
        raise Failed(f"output '{output.probability}' has {len(values)} values, the contract wants index {output.index}")
    certainty = probability(values[output.index], output.probability)
    return Finding(
        kind=output.finding,
        presence=Presence.PRESENT if certainty >= output.threshold else Presence.ABSENT,
        certainty=certainty,
        threshold=output.threshold,
        calibrated=output.calibrated,
        urgent=output.urgent,
    )


def _slice_scores(key: str, numbers: Numbers, series: Series) -> tuple[SliceScore, ...]:
    values, uids = output_of(numbers, key), sources(series.instances)
    if len(values) != len(uids):
        raise Failed(f"output '{key}' scores {len(values)} slices, the series has {len(uids)}")
    return tuple(
        SliceScore(uid, index, probability(value, key))
        for index, (uid, value) in enumerate(zip(uids, values, strict=True))
    )


def output_of(numbers: Numbers, key: str) -> Sequence[float]:
    """The numbers of one output.

    Raises:
        Failed: The postprocessing gave none of that name.
    """
    if key not in numbers:
        raise Failed(f"the bundle's postprocessing gave no '{key}'; it gave: {', '.join(sorted(numbers)) or 'nothing'}")
    return numbers[key]


def probability(value: float, key: str) -> float:
    """Pass a number on that is a probability.

    Raises:
        Failed: It is none.
    """
    if not math.isfinite(value) or not 0 <= value <= 1:
        raise Failed(f"output '{key}' holds {value}, expected a probability from 0 to 1")
    return value
