"""FHIR R4 Observations of a report: how the analysis ended, each finding sought, and what was measured of it.

What can be is laid out as HL7's guide "DICOM SR to FHIR Resource Mapping" has it; it is of FHIR R5, and
docs/conformance.md tells where R4 or a finding that is absent made a difference.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from app.codes import CALIBRATED, THRESHOLD, Code
from app.findings import (
    FINDING_KINDS,
    OUTCOME_CODES,
    PRESENCE_CODES,
    Finding,
    Lesion,
    Outcome,
    Presence,
    Region,
    RegionKind,
    Report,
)
from app.report.fhir_values import (
    DICOM_UID,
    Resource,
    certainty,
    concept,
    measured,
    notes,
    of_terminology,
    oid,
    told,
    uuid_url,
)
from app.report.items import PERCENT
from app.report.lesions import CUBIC_MILLIMETER, DECIMALS, LONG_AXIS, MILLIMETER, VOLUME
from app.report.regions import GRAD_CAM, VISUAL_EXPLANATION
from app.report.segmentation import segmentation_uid
from app.report.source import Source
from app.report.sr import STATUS
from app.report.structures import NO_OPERATING_POINT, structure_segmentation_uid
from app.report.uids import lesion_tracking_uid, report_uid, structure_tracking_uid
from app.report.words import (
    ATTENTION,
    about_slices,
    disclaimer,
    lesion_name,
    named,
    percent,
    remarks,
    shown_lesions,
    shown_regions,
    suspicious_slices,
    undetermined,
)
from app.structures import STRUCTURES, UNTESTED, ClassScore, Structure

GROUP = Code("125007", "DCM", "Measurement Group")
SOURCE_IMAGE = Code("121112", "DCM", "Source of Measurement")
REGION = Code("111030", "DCM", "Image Region")
SEGMENT = Code("121191", "DCM", "Referenced Segment")
EDGES = "left, upper, right, lower edge in pixels of the stored image"
# https://hl7.org/fhir/R4/valueset-data-absent-reason.html
WHY_ABSENT = {
    Outcome.SUCCEEDED: ("unknown", "Unknown"),
    Outcome.PARTIAL: ("error", "Error"),
    Outcome.FAILED: ("error", "Error"),
    Outcome.NOT_ATTEMPTED: ("not-performed", "Not Performed"),
}
MEANS = {
    Presence.PRESENT: ("POS", "Positive"),
    Presence.ABSENT: ("NEG", "Negative"),
    Presence.UNDETERMINED: ("IND", "Indeterminate"),
}


@dataclass(frozen=True, slots=True)
class Observed:
    """One Observation.

    Attributes:
        uid: What it is named by, in its identifier and in the bundle.
        resource: All of it.
        member: Whether it belongs to another Observation, and not to the report itself.
    """

    uid: str
    resource: Resource
    member: bool = False


class Observations:
    """Makes the Observations of one report.

    Args:
        report: What one bundle said.
        source: The analysed images.
        common: What all of them have: status, subject, device, times, and what they are based on.
        outlined: Kinds of the findings of which a segmentation was made.
    """

    def __init__(
        self, report: Report, source: Source, common: Mapping[str, object], outlined: Collection[str] = ()
    ) -> None:
        self._report, self._source, self._common, self._outlined = report, source, common, outlined

    def all(self) -> list[Observed]:
        """How the analysis ended first, then in the order of the report; members follow what they belong to.

        Raises:
            ValueError: A certainty is no probability.
            KeyError: A finding is not in the code table.
        """
        made = [self._ended()]
        for finding in self._report.findings:
            members = [*self._regions(finding), *(self._lesion(finding, each) for each in shown_lesions(finding))]
            made += [self._finding(finding, members), *members]
        made += map(self._structure, self._report.structures)
        made += map(self._class, self._report.classes)
        return made

    def _observation(
        self, uid: str, code: Resource, *, member: bool = False, words: Iterable[str] = (), **content: object
    ) -> Observed:
        """One Observation, which may be shown by itself: the disclaimer stands in each."""
        resource = {
            "resourceType": "Observation",
            "meta": self._common.get("meta"),
            "identifier": [{"system": DICOM_UID, "value": oid(uid)}],
            "category": [{"coding": [of_terminology("observation-category", "imaging", "Imaging")]}, concept(GROUP)],
            "code": code,
            **content,
            "note": notes(dict.fromkeys((disclaimer(self._report.algorithm), *words))),
            **{key: value for key, value in self._common.items() if key != "meta"},
        }
        return Observed(uid, resource, member)

    def _ended(self) -> Observed:
        return self._observation(
            report_uid(self._report, "outcome"),
            concept(STATUS),
            valueCodeableConcept=concept(OUTCOME_CODES[self._report.outcome]),
            words=remarks(self._report),
        )

    def _finding(self, finding: Finding, members: list[Observed]) -> Observed:
        kind = FINDING_KINDS[finding.kind]
        images = dict.fromkeys(score.sop_instance_uid for score in suspicious_slices(finding))
        components = certainty(finding.certainty)
        if finding.threshold is not None:
            components += measured(THRESHOLD, percent(finding.threshold), PERCENT)
            components.append({"code": concept(CALIBRATED), "valueBoolean": finding.calibrated})
        flagged = finding.urgent and finding.presence is Presence.PRESENT
        means = [MEANS[finding.presence], *([("AA", "Critical abnormal")] if flagged else [])]
        return self._observation(
            report_uid(self._report, "tracking", kind.name),
            concept(kind.code, text=named(kind.name)),
            **self._answer(finding.presence),
            interpretation=[{"coding": [of_terminology("v3-ObservationInterpretation", *each)]} for each in means],
            words=[about_slices(finding, by_image=self._source.by_image)] if finding.slices else [],
            bodySite=None if kind.site is None else concept(kind.site),
            hasMember=[{"reference": uuid_url(member.uid), "type": "Observation"} for member in members],
            component=components + [told(SOURCE_IMAGE, oid(uid)) for uid in images],
        )

    def _answer(self, presence: Presence) -> Resource:
        """CID 240. An Observation has a value, or says why it has none, and never both (FHIR R4, obs-6)."""
        if presence is Presence.UNDETERMINED:
            return self._no_answer()
        return {"valueCodeableConcept": concept(PRESENCE_CODES[presence])}

    def _no_answer(self) -> Resource:
        why = concept(PRESENCE_CODES[Presence.UNDETERMINED], text=undetermined(self._report))
        why["coding"].insert(0, of_terminology("data-absent-reason", *WHY_ABSENT[self._report.outcome]))
        return {"dataAbsentReason": why}

    def _regions(self, finding: Finding) -> list[Observed]:
        regions = shown_regions(finding)
        return [
            self._region(finding, region, f"region {number} of {len(regions)}")
            for number, region in enumerate(regions, 1)
        ]

    def _region(self, finding: Finding, region: Region, name: str) -> Observed:
        """A place: one that the algorithm calls the finding, or where it looked, which is no finding."""
        kind = FINDING_KINDS[finding.kind]
        where = told(REGION, " ".join(f"{edge:g}" for edge in region.box))
        where["code"]["text"] = f"{REGION.meaning}: {EDGES}"
        image = told(SOURCE_IMAGE, oid(region.sop_instance_uid) + f", frame {region.frame}" * (region.frame > 1))
        uid = report_uid(self._report, "tracking", finding.kind, name)
        if region.kind is RegionKind.ATTENTION:
            return self._observation(
                uid,
                concept(VISUAL_EXPLANATION, text=f"Where the network looked for: {named(kind.name)}, {name}"),
                member=True,
                valueCodeableConcept=concept(GRAD_CAM),
                words=[ATTENTION],
                component=[where, image],
            )
        return self._observation(
            uid,
            concept(kind.code, text=f"{named(kind.name)}, {name}"),
            member=True,
            bodySite=None if kind.site is None else concept(kind.site),
            component=[*certainty(region.certainty), where, image],
        )

    def _lesion(self, finding: Finding, lesion: Lesion) -> Observed:
        kind = FINDING_KINDS[finding.kind]
        diameter = lesion.longest_diameter_mm
        segment = segmentation_uid(self._report, finding) if finding.kind in self._outlined else ""
        return self._observation(
            lesion_tracking_uid(self._report, finding, lesion),
            concept(kind.code, text=f"{named(kind.name)}, {lesion_name(finding, lesion)}"),
            member=True,
            bodySite=None if kind.site is None else concept(kind.site),
            component=[
                *measured(VOLUME, round(lesion.volume_mm3, DECIMALS), CUBIC_MILLIMETER),
                *measured(LONG_AXIS, None if diameter is None else round(diameter, DECIMALS), MILLIMETER),
                *certainty(lesion.certainty),
                told(SOURCE_IMAGE, oid(lesion.sop_instance_uid)),
                *_segment(segment, lesion.number),
            ],
        )

    def _structure(self, structure: Structure) -> Observed:
        volume = structure.volume_mm3
        seen = [told(SOURCE_IMAGE, oid(structure.sop_instance_uid))] if structure.sop_instance_uid else []
        outlined = structure.segment and STRUCTURES in self._outlined
        return self._observation(
            structure_tracking_uid(self._report, structure),
            concept(structure.code, text=structure.name),
            **(self._no_answer() if volume is None else {}),
            words=[f"Segmentation of {structure.words}. {UNTESTED}"],
            component=[
                *measured(VOLUME, None if volume is None else round(volume, DECIMALS), CUBIC_MILLIMETER),
                *seen,
                *_segment(structure_segmentation_uid(self._report) if outlined else "", structure.segment),
            ],
        )

    def _class(self, each: ClassScore) -> Observed:
        image = [told(SOURCE_IMAGE, oid(each.sop_instance_uid))] if each.sop_instance_uid else []
        return self._observation(
            report_uid(self._report, "tracking", "class", each.name, each.sop_instance_uid),
            concept(each.code, text=f"Class {each.name}"),
            **(self._no_answer() if each.score is None else {}),
            words=[f"{each.words[0].upper()}{each.words[1:]}. {NO_OPERATING_POINT}"],
            component=[*certainty(each.score), *image],
        )


def _segment(uid: str, number: int) -> list[Resource]:
    """Which segment of which segmentation; nothing where none could be made."""
    return [told(SEGMENT, f"{oid(uid)}, segment {number}")] if uid else []
