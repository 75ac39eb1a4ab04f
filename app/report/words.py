"""What the documents say in words, and in numbers that people read. Shared by the SR, the key image and the JSON."""

import unicodedata
from decimal import ROUND_FLOOR, Decimal

from app.findings import Algorithm, Finding, Presence, SliceScore

TOP_SLICES = 3
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


def provenance(algorithm: Algorithm) -> str:
    """Say where an answer comes from."""
    return (
        f"Algorithm: {algorithm.name} {algorithm.version}; weights sha256 {algorithm.weights_sha256}; "
        f"training data: {algorithm.training_data}"
    )


def suspicious_slices(finding: Finding) -> tuple[SliceScore, ...]:
    """Choose the slices that an answer rests on, in the order of the series.

    Those whose certainty reaches the threshold; the three most certain where none does, since the volume as a whole
    may be present while no single slice is. None unless the finding is present.
    """
    if finding.presence is not Presence.PRESENT or finding.threshold is None:
        return ()
    reached = tuple(score for score in finding.slices if score.certainty >= finding.threshold)
    if reached:
        return reached
    top = sorted(finding.slices, key=lambda score: -score.certainty)[:TOP_SLICES]
    return tuple(sorted(top, key=lambda score: score.index))


def most_suspicious(finding: Finding) -> SliceScore | None:
    """Find the slice with the highest certainty, the first of equals; None where slices were not scored."""
    return max(finding.slices, key=lambda score: score.certainty, default=None)


def about_slices(finding: Finding) -> str:
    """Say which slices are referenced and why; slices are counted from 1, as people do."""
    top = most_suspicious(finding)
    if top is None:
        return "No certainty for single slices; the series as a whole was assessed."
    total = len(finding.slices)
    where = f"most suspicious: slice {top.index + 1} of {total} with {percent(top.certainty):.2f} %"
    if finding.presence is not Presence.PRESENT or finding.threshold is None:
        return f"All {total} slices were searched; none is referenced. {where.capitalize()}."
    chosen = suspicious_slices(finding)
    names = ", ".join(str(score.index + 1) for score in chosen)
    threshold = f"{percent(finding.threshold):.2f} %"
    if top.certainty >= finding.threshold:
        reason = f"certainty at or above the threshold of {threshold}"
    else:
        reason = f"the most certain ones, as no single slice reaches the threshold of {threshold}"
    return f"Referenced slices ({reason}): {names}; {where}."
