"""What the documents say in words, and in numbers that people read. Shared by the SR, the key image and the JSON."""

import unicodedata
from collections.abc import Iterator
from decimal import ROUND_FLOOR, Decimal

from app.findings import (
    Algorithm,
    Finding,
    Lesion,
    LesionKind,
    Outcome,
    Presence,
    Region,
    RegionKind,
    Report,
    SliceScore,
)

TOP_SLICES = 3
ATTENTION = (
    "It is where the network looked for its answer on the whole image: no detection, no outline, no measurement."
)
NOT_OUTLINED = "The outlines could not be encoded: there is no segmentation to show where they are."
ASCII = str.maketrans(
    {"°": " deg", "≥": ">=", "≤": "<=", "×": "x", "±": "+/-", "µ": "u", "–": "-", "—": "-", "…": "...", "′": "'"}
    | dict.fromkeys("‘’", "'")
    | dict.fromkeys("“”„", '"')
)


def plain(text: str) -> str:
    """Write text in ASCII, so that it can be stored under whatever character set the study declares (PS3.5 §6.1)."""
    decomposed = unicodedata.normalize("NFKD", text.translate(ASCII))
    kept = "".join(character for character in decomposed if not unicodedata.combining(character))
    return kept.encode("ascii", "replace").decode("ascii")


def fitted(text: str, length: int = 64) -> str:
    """Write text as a DICOM long string (VR LO): ASCII, one value, at most `length` characters, never empty."""
    line = " ".join(plain(text).replace("\\", "/").split()) or "unknown"
    return line if len(line) <= length else line[: length - 3].rstrip() + "..."


def percent(certainty: float) -> float:
    """Give a certainty of 0 to 1 in per cent with two decimals, rounded down.

    Down and never up: a certainty just below its threshold must not be printed as the threshold.

    Raises:
        ValueError: The certainty is no probability.
    """
    if not 0 <= certainty <= 1:
        raise ValueError(f"a certainty lies between 0 and 1, not at {certainty}")
    return float((Decimal(repr(float(certainty))) * 100).quantize(Decimal("0.01"), rounding=ROUND_FLOOR))


def disclaimer(algorithm: Algorithm) -> str:
    """Say what a document must not be used for; "" for a cleared algorithm. At most 64 characters."""
    if not algorithm.research_only:
        return ""
    if algorithm.trained_on_phantoms:
        return "RESEARCH USE ONLY - trained on phantoms, not for clinical use"
    return "RESEARCH USE ONLY - not for clinical use"


def early(report: Report) -> str:
    """Say which findings put a study before others in the reading order; "" for a study that is not urgent."""
    names = [named(each.kind) for each in report.findings if each.urgent and each.presence is Presence.PRESENT]
    mark = "; RESEARCH USE ONLY" if report.algorithm.research_only else ""
    return f"Flagged for early reading because of: {', '.join(names)}{mark}" if names else ""


def series_description(report: Report) -> str:
    """What a list of series shows: the research mark where there is one, and whether to read it early."""
    algorithm = report.algorithm
    if not report.urgent:
        return disclaimer(algorithm) or fitted(algorithm.title or algorithm.name)
    if not algorithm.research_only:
        return fitted(f"FLAGGED FOR EARLY READING - {algorithm.title or algorithm.name}")
    why = "phantom weights" if algorithm.trained_on_phantoms else "no clinical use"
    return f"FLAGGED FOR EARLY READING - RESEARCH USE ONLY, {why}"


def named(kind: str) -> str:
    """A kind of finding for people: "Lung lesion"."""
    return kind.replace("_", " ").capitalize()


def provenance(algorithm: Algorithm) -> str:
    """Say where an answer comes from."""
    return (
        f"Algorithm: {algorithm.name} {algorithm.version}; weights sha256 {algorithm.weights_sha256}; "
        f"training data: {algorithm.training_data}"
    )


def remarks(report: Report) -> Iterator[str]:
    """What holds for a report as a whole, and what to know before believing it: a line for each."""
    if report.algorithm.research_only:
        yield disclaimer(report.algorithm)
    if report.urgent:
        yield early(report)
    if report.outcome is not Outcome.SUCCEEDED:
        yield ended(report)
    yield provenance(report.algorithm)
    for note in report.notes:
        yield f"Note: {note}"


def ended(report: Report) -> str:
    """Say how an analysis ended, and why."""
    return f"Analysis {report.outcome.value}: {report.reason or 'no reason was given'}"


def undetermined(report: Report) -> str:
    """Say why nothing was determined."""
    if report.outcome is not Outcome.SUCCEEDED:
        return ended(report)
    return " ".join(("Undetermined.", *(f"Note: {note}." for note in report.notes)))


def suspicious_slices(finding: Finding) -> tuple[SliceScore, ...]:
    """Choose the slices, or images, that an answer rests on, in their order.

    Those whose certainty reaches the threshold; the three most certain where none does, since the volume as a whole
    may be present while no single slice is. None unless the finding is present.
    """
    if finding.presence is not Presence.PRESENT or finding.threshold is None:
        return ()
    reached = tuple(score for score in finding.slices if score.certainty >= finding.threshold)
    if reached:
        return reached
    top = sorted(finding.slices, key=lambda score: -score.certainty)[:TOP_SLICES]
    return tuple(score for score in finding.slices if score in top)


def most_suspicious(finding: Finding) -> SliceScore | None:
    """Find the slice with the highest certainty, the first of equals; None where slices were not scored."""
    return max(finding.slices, key=lambda score: score.certainty, default=None)


def shown_regions(finding: Finding) -> tuple[Region, ...]:
    """The regions that a document tells of: those of a finding that is present, and no others."""
    return finding.regions if finding.presence is Presence.PRESENT else ()


def shown_lesions(finding: Finding) -> tuple[Lesion, ...]:
    """The lesions that a document tells of: those of a finding that is present, and no others."""
    return finding.lesions if finding.presence is Presence.PRESENT else ()


def lesion_name(finding: Finding, lesion: Lesion) -> str:
    """A lesion for people: "lesion 2 of 5", or "region" for all that a finding covers."""
    if lesion.kind is LesionKind.REGION:
        return "region"
    return f"lesion {lesion.number} of {len(finding.lesions)}"


def about_slices(finding: Finding, *, by_image: bool = False) -> str:
    """Say which slices are referenced and why; slices are counted from 1, as people do.

    Args:
        finding: With a score for each slice.
        by_image: Each "slice" is an image that was read by itself, as radiographs are.
    """
    noun, whole = ("image", "study") if by_image else ("slice", "series")
    top = most_suspicious(finding)
    if top is None:
        return f"No certainty for single {noun}s; the {whole} as a whole was assessed."
    total, first = len(finding.slices), finding.slices.index(top) + 1
    where = f"most suspicious: {noun} {first} of {total} with {percent(top.certainty):.2f} %"
    if finding.presence is not Presence.PRESENT or finding.threshold is None:
        searched = f"The one {noun} was searched; it" if total == 1 else f"All {total} {noun}s were searched; none"
        return f"{searched} is {'not ' if total == 1 else ''}referenced. {where.capitalize()}."
    chosen = {id(score) for score in suspicious_slices(finding)}
    names = ", ".join(str(number) for number, score in enumerate(finding.slices, 1) if id(score) in chosen)
    threshold = f"{percent(finding.threshold):.2f} %"
    if top.certainty >= finding.threshold:
        reason = f"certainty at or above the threshold of {threshold}"
    else:
        reason = f"the most certain ones, as no single {noun} reaches the threshold of {threshold}"
    return f"Referenced {noun}s ({reason}): {names}; {where}."


def about_regions(finding: Finding) -> str:
    """Say what regions follow; "" for none."""
    kinds = [region.kind for region in shown_regions(finding)]
    detections, looked = kinds.count(RegionKind.DETECTION), kinds.count(RegionKind.ATTENTION)
    words = []
    if detections:
        words.append(f"{_counted(detections, 'detected region')} in {_groups(detections)} after this one.")
    if looked:
        words.append(f"{_counted(looked, 'attention region')} in {_groups(looked)} after this one. {ATTENTION}")
    return " ".join(words)


def about_lesions(finding: Finding, *, outlined: bool) -> str:
    """Say what lesions follow, and whether a segmentation outlines them; "" for none.

    Args:
        finding: Its lesions are told of where it is present.
        outlined: Whether a segmentation of them was made.
    """
    lesions = shown_lesions(finding)
    if not lesions:
        return ""
    noun = "outlined region" if lesions[0].kind is LesionKind.REGION else "lesion"
    total = sum(lesion.volume_mm3 for lesion in lesions)
    words = f"{_counted(len(lesions), noun)} in {_groups(len(lesions))} after this one, {total:.0f} mm3 in all."
    return words if outlined else f"{words} {NOT_OUTLINED}"


def _groups(number: int) -> str:
    return "the group" if number == 1 else "groups of their own"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
