"""From labels to records of a datalist, as `docs/feedback.md` says for bundles that read stacks, and images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.feedback_labels import Judged, Labels
from app.findings import RegionKind, Report
from app.infer.catalogue import Bundle
from bundles.common.contract import FindingOutput, Service
from bundles.common.datalist.problems import Place
from bundles.common.datalist.records import Plain, Record, VolumeRecord

PLACE = Place(Path("feedback"), 0)


@dataclass(frozen=True, slots=True)
class Case:
    """One answered report with its copied images.

    Attributes:
        patient: Pseudonym.
        folder: Of the copies, relative to the datalist.
        files: Path of each copy by the SOP Instance UID of its source.
        judged: What readers say.
        report: That they say it of; None where it was made anew since.
        identity: Of the report, for the datalist.
    """

    patient: str
    folder: str
    files: Mapping[str, str]
    judged: Judged
    report: Report | None
    identity: Mapping[str, Plain]


def classes_of(bundle: Bundle) -> tuple[str, ...]:
    """Names of the classes of boxes by their number; () for bundles that give none."""
    numbered = {
        each.regions.index: name_of(each) for each in bundle.service.findings if _detects(each) and each.regions
    }
    return tuple(numbered.get(number, "") for number in range(max(numbered, default=-1) + 1))


def name_of(output: FindingOutput) -> str:
    """What datalists of the bundle call a finding."""
    return output.label or output.finding


def records_of(service: Service, case: Case) -> tuple[Record, ...]:
    """One record for a stack; one for each radiograph of which something is known."""
    if service.reads == "stack":
        return (_stack(service, case),)
    rows = tuple(_image(service, case, uid) for uid in case.files)
    return tuple(row for row in rows if not row.unlabelled)


def _stack(service: Service, case: Case) -> VolumeRecord:
    labels = case.judged.labels
    main, *others = service.findings
    return VolumeRecord(
        key=case.folder,
        image=case.folder,
        patient=case.patient,
        place=PLACE,
        labels={name_of(each): _number(labels.get(each.finding)) for each in service.findings},
        label=_number(labels.get(main.finding)),
        more={**_lists(main, others, labels), "report": case.identity, **_places(service, case, tuple(case.files))},
    )


def _lists(main: FindingOutput, others: list[FindingOutput], labels: Labels) -> dict[str, Plain]:
    """Labels that a bundle learns as one list, under the name and in the order of its output: `types` of bleeds."""
    found: dict[str, list[Plain]] = {}
    for name in dict.fromkeys(each.probability for each in others if each.probability != main.probability):
        of_list = {each.index: _number(labels.get(each.finding)) for each in others if each.probability == name}
        found[name] = [of_list.get(index) for index in range(max(of_list) + 1)]
    return {name: values for name, values in found.items() if any(value is not None for value in values)}


def _image(service: Service, case: Case, uid: str) -> Record:
    labels: dict[str, int | None] = {}
    boxes: list[tuple[float, float, float, float]] = []
    classes: list[int] = []
    boxed = True
    for output in service.findings:
        there = _on_image(case, output.finding, uid)
        labels[name_of(output)] = _number(there)
        if not _detects(output) or output.regions is None:
            continue
        drawn = _boxes(case, output.finding, uid) if there else []
        boxes += drawn
        classes += [output.regions.index] * len(drawn)
        # Of a finding that is there, or may be, without a box nobody may learn that the rest is free of it.
        boxed = boxed and (there is False or bool(drawn))
    return Record(
        key=case.files[uid],
        image=case.files[uid],
        patient=case.patient,
        place=PLACE,
        boxes=tuple(boxes),
        classes=tuple(classes),
        labels=labels,
        boxed=boxed,
        more={"report": case.identity, **_places(service, case, (uid,))},
    )


def _places(service: Service, case: Case, uids: tuple[str, ...]) -> dict[str, Plain]:
    """Where readers say that a finding is, in pixels of the copies; None where they name the image alone."""
    names = {output.finding: name_of(output) for output in service.findings}
    found: list[Plain] = [
        {
            "finding": names[each.finding],
            "image": case.files[each.sop_instance_uid],
            "frame": each.frame,
            "column": each.column,
            "row": each.row,
        }
        for each in case.judged.places
        if each.sop_instance_uid in uids and each.finding in names
    ]
    return {"places": found} if found else {}


def _on_image(case: Case, finding: str, uid: str) -> bool | None:
    """Whether a finding that readers see in a study is on one of its images.

    In a study without it, it is on none. Of several images it is where somebody marked it, or agreed with the boxes; of
    the others nobody said anything.
    """
    truth = case.judged.labels.get(finding)
    if truth is not True or len(case.files) == 1:
        return truth
    marked = uid in case.judged.points.get(finding, ())
    return True if marked or _boxes(case, finding, uid) else None


def _boxes(case: Case, finding: str, uid: str) -> list[tuple[float, float, float, float]]:
    """Detections on an image that readers confirmed."""
    if case.report is None or finding not in case.judged.confirmed:
        return []
    regions = [region for each in case.report.findings if each.kind == finding for region in each.regions]
    return [each.box for each in regions if each.kind is RegionKind.DETECTION and each.sop_instance_uid == uid]


def _detects(output: FindingOutput) -> bool:
    return output.regions is not None and output.regions.kind == "detection"


def _number(label: bool | None) -> int | None:
    return None if label is None else int(label)
