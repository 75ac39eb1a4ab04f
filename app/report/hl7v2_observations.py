"""The OBX segments of a report (HL7 v2.5.1 chapter 7, section 7.4.2): answers as codes, everything measured as numbers.

OBX-4 keeps together what belongs together: 2 is all of the second finding, 2.1 its first region or lesion.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from app.codes import CALIBRATED, PRIVATE, THRESHOLD, Code
from app.findings import (
    FINDING_KINDS,
    OUTCOME_CODES,
    PRESENCE_CODES,
    Finding,
    Lesion,
    Presence,
    Region,
    RegionKind,
    Report,
)
from app.report.hl7v2_values import coded, number, text
from app.report.items import CERTAINTY, PERCENT
from app.report.lesions import CUBIC_MILLIMETER, LONG_AXIS, MILLIMETER, VOLUME
from app.report.regions import GRAD_CAM, VISUAL_EXPLANATION
from app.report.source import Source
from app.report.sr import STATUS
from app.report.structures import NO_OPERATING_POINT
from app.report.uids import lesion_tracking_uid, report_uid
from app.report.words import (
    ATTENTION,
    about_slices,
    lesion_name,
    most_suspicious,
    named,
    percent,
    shown_lesions,
    shown_regions,
    undetermined,
)
from app.structures import UNTESTED, ClassScore, Structure

TRACKING_NAME = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
SITE = Code("363698007", "SCT", "Finding Site")
SOURCE_IMAGE = Code("121112", "DCM", "Source of Measurement")
REGION = Code("111030", "DCM", "Image Region")
YES_NO = {True: Code("Y", "HL70136", "Yes"), False: Code("N", "HL70136", "No")}
PRELIMINARY, NOT_OBTAINED = "P", "X"
"""Table 0085, Observation result status."""


@dataclass(frozen=True, slots=True)
class Obx:
    """One observation, escaped.

    Attributes:
        type: OBX-2.
        name: OBX-3.
        value: OBX-5; "" where there is none.
        group: OBX-4.
        unit: OBX-6.
        flag: OBX-8, table 0078: "A" abnormal, "AA" abnormal and to be read before others.
        status: OBX-11.
        notes: What follows in NTE segments, not escaped.
        of_algorithm: Whether it is an answer of the algorithm, which OBX-18 then names.
    """

    type: str
    name: str
    value: str
    group: str = ""
    unit: str = ""
    flag: str = ""
    status: str = PRELIMINARY
    notes: tuple[str, ...] = ()
    of_algorithm: bool = False

    @property
    def fields(self) -> dict[int, str]:
        """By number, from 2."""
        return {
            2: self.type,
            3: self.name,
            4: self.group,
            5: self.value,
            6: self.unit,
            8: self.flag,
            11: self.status,
        }


def observations(report: Report, source: Source) -> Iterator[Obx]:
    """How the analysis ended, then each finding sought with what belongs to it, in the order of the report.

    Raises:
        ValueError: A certainty is no probability.
        KeyError: A finding is not in the code table.
    """
    yield Obx("CWE", coded(STATUS), coded(OUTCOME_CODES[report.outcome]), of_algorithm=True)
    for place, finding in enumerate(report.findings, 1):
        yield from _finding(report, finding, source, str(place))
        regions, lesions = shown_regions(finding), shown_lesions(finding)
        for part, region in enumerate(regions, 1):
            name = f"region {part} of {len(regions)}"
            yield from _region(report, finding, region, name, f"{place}.{part}")
        for part, lesion in enumerate(lesions, len(regions) + 1):
            yield from _lesion(report, finding, lesion, f"{place}.{part}")
    for place, structure in enumerate(report.structures, len(report.findings) + 1):
        yield _structure(report, structure, str(place))
    for place, each in enumerate(report.classes, len(report.findings) + len(report.structures) + 1):
        yield _class(report, each, str(place))


def _finding(report: Report, finding: Finding, source: Source, group: str) -> list[Obx]:
    kind = FINDING_KINDS[finding.kind]
    present, answered = finding.presence is Presence.PRESENT, finding.presence is not Presence.UNDETERMINED
    notes = (about_slices(finding, by_image=source.by_image),) if finding.slices else ()
    told = [
        Obx(
            "CWE",
            coded(kind.code, Code(kind.name, PRIVATE, named(kind.name))),
            coded(PRESENCE_CODES[finding.presence]),
            group,
            flag=("AA" if finding.urgent else "A") if present else "",
            status=PRELIMINARY if answered else NOT_OBTAINED,
            notes=notes if answered else (undetermined(report), *notes),
            of_algorithm=True,
        )
    ]
    if kind.site is not None:
        told.append(Obx("CWE", coded(SITE), coded(kind.site), group))
    told += _percent(CERTAINTY, finding.certainty, group)
    if finding.threshold is not None:
        told += _percent(THRESHOLD, finding.threshold, group)
        told.append(Obx("CWE", coded(CALIBRATED), coded(YES_NO[finding.calibrated]), group))
    # One image: a note tells which others there are, and an OBX for each slice of a volume helps no reader.
    top = most_suspicious(finding) if present else None
    return told if top is None else [*told, _words(SOURCE_IMAGE, top.sop_instance_uid, group)]


def _region(report: Report, finding: Finding, region: Region, name: str, group: str) -> list[Obx]:
    """A place: one that the algorithm calls the finding, or where it looked, which is no finding and has no number."""
    uid = report_uid(report, "tracking", finding.kind, name)
    where = [
        _words(REGION, " ".join(f"{edge:g}" for edge in region.box), group),
        _words(SOURCE_IMAGE, region.sop_instance_uid, group),
    ]
    if region.kind is RegionKind.ATTENTION:
        looked = Obx("CWE", coded(VISUAL_EXPLANATION), coded(GRAD_CAM), group, notes=(ATTENTION,))
        return [*_tracking(f"Where the network looked for: {named(finding.kind)}", uid, group), looked, *where]
    certainty = _percent(CERTAINTY, region.certainty, group)
    return [*_tracking(f"{named(finding.kind)}, {name}", uid, group), *certainty, *where]


def _lesion(report: Report, finding: Finding, lesion: Lesion, group: str) -> list[Obx]:
    name = f"{named(finding.kind)}, {lesion_name(finding, lesion)}"
    return [
        *_tracking(name, lesion_tracking_uid(report, finding, lesion), group),
        *_number(VOLUME, lesion.volume_mm3, CUBIC_MILLIMETER, group),
        *_number(LONG_AXIS, lesion.longest_diameter_mm, MILLIMETER, group),
        *_percent(CERTAINTY, lesion.certainty, group),
        _words(SOURCE_IMAGE, lesion.sop_instance_uid, group),
    ]


def _structure(report: Report, structure: Structure, group: str) -> Obx:
    """A volume. The second code says what the number is, since the first one names the structure alone."""
    words = f"Segmentation of {structure.words}. {UNTESTED}"
    what = Code(structure.name, PRIVATE, f"Volume of {structure.name}")
    return _result(report, group, coded(structure.code, what), (structure.volume_mm3, CUBIC_MILLIMETER), words)


def _class(report: Report, each: ClassScore, group: str) -> Obx:
    """A score, which is no presence: the words say so."""
    words = f"{each.words[0].upper()}{each.words[1:]}. {NO_OPERATING_POINT}"
    image = "" if each.image is None else f", image {each.image}"
    what = Code(each.name, PRIVATE, f"Score of class {each.name}{image}")
    score = None if each.score is None else percent(each.score)
    return _result(report, group, coded(each.code, what), (score, PERCENT), words)


def _result(report: Report, group: str, name: str, measured: tuple[float | None, Code], words: str) -> Obx:
    """A number of a Model Zoo bundle, or that there is none."""
    value, unit = measured
    answered = value is not None
    return Obx(
        "NM",
        name,
        "" if value is None else number(value),
        group,
        coded(unit) if answered else "",
        status=PRELIMINARY if answered else NOT_OBTAINED,
        notes=(words,) if answered else (undetermined(report), words),
        of_algorithm=True,
    )


def _tracking(name: str, uid: str, group: str) -> list[Obx]:
    return [_words(TRACKING_NAME, name, group), _words(TRACKING_UID, uid, group)]


def _words(name: Code, value: str, group: str) -> Obx:
    return Obx("ST", coded(name), text(value), group)


def _number(name: Code, value: float | None, unit: Code, group: str) -> list[Obx]:
    return [] if value is None else [Obx("NM", coded(name), number(value), group, coded(unit))]


def _percent(name: Code, value: float | None, group: str) -> list[Obx]:
    return _number(name, None if value is None else percent(value), PERCENT, group)
