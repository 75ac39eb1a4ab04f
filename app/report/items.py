"""Content items that several parts of the structured report share."""

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ContentItem,
    FindingSite,
    Measurement,
    RelationshipTypeValues,
    TextContentItem,
)

from app.codes import Code
from app.findings import Finding, FindingKind, Report
from app.report.words import fitted, percent, plain

MANUFACTURER = "Vigil"

FAMILY = Code("123110", "DCM", "Artificial Intelligence")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PERCENT = Code("%", "UCUM", "Percent")
COMMENT = Code("121106", "DCM", "Comment")


def concept(code: Code) -> CodedConcept:
    """Turn a code of ours into highdicom's."""
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=fitted(code.meaning))


def certainty(value: float | None) -> list[Measurement]:
    """How certain the algorithm is, in per cent; nothing where it does not say.

    Raises:
        ValueError: It is no probability.
    """
    if value is None:
        return []
    return [Measurement(name=concept(CERTAINTY), value=percent(value), unit=concept(PERCENT))]


def sites(kind: FindingKind) -> list[FindingSite] | None:
    """Where the finding is, for those whose code does not say it."""
    return [FindingSite(anatomic_location=concept(kind.site))] if kind.site else None


def algorithm(report: Report, finding: Finding | None = None) -> AlgorithmIdentification:
    """TID 4019; for a finding as a whole with what turned a number into an answer as parameters (111002)."""
    who = report.algorithm
    parameters = [f"status={who.status}", f"weights_sha256={who.weights_sha256}"]
    parameters.append(f"training_data={who.training_data}")
    if finding is not None and finding.threshold is not None:
        parameters.append(f"threshold_percent={percent(finding.threshold):g}")
        parameters.append(f"calibrated={'yes' if finding.calibrated else 'no'}")
    return AlgorithmIdentification(
        name=plain(who.name),
        version=plain(who.version),
        parameters=[plain(parameter) for parameter in parameters],
        family=concept(FAMILY),
        manufacturer=MANUFACTURER,
    )


def comment(text: str) -> ContentItem:
    """A text for people, in ASCII."""
    return TextContentItem(name=concept(COMMENT), value=plain(text), relationship_type=RelationshipTypeValues.CONTAINS)
