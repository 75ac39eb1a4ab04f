"""Which images a report shows as key images, and what stands on and below them."""

from dataclasses import dataclass

from app.findings import Finding, LesionKind, Presence, Region, RegionKind, Report, SliceScore
from app.report.words import early, most_suspicious, named, shown_lesions, shown_regions, suspicious_slices
from app.words import percents

MOST_IMAGES = 6
PHANTOM_BANNER = "RESEARCH ONLY - PHANTOM WEIGHTS"
RESEARCH_BANNER = "RESEARCH ONLY - NOT FOR CLINICAL USE"
DETECTION_LEGEND = "Solid box: detected, with its score."
ATTENTION_LEGEND = "Dashed box: where the network looked, no detection."


@dataclass(frozen=True, slots=True)
class Mark:
    """A box on an image.

    Attributes:
        box: Left, upper, right, lower edge in pixels of the source.
        label: The finding, with the score of the box where it has one.
        kind: Tells how it is drawn.
    """

    box: tuple[float, float, float, float]
    label: str
    kind: RegionKind


@dataclass(frozen=True, slots=True)
class Shown:
    """One image to show.

    Attributes:
        sop_instance_uid: The source instance.
        number: Of the key image among those of its report, from 1.
        index: Position of the slice in the sorted series, from 0, where it is shown for its lesions; else None.
        place: The same of a slice that is shown for its score; None for lesions, and for images read by themselves.
    """

    sop_instance_uid: str
    number: int = 1
    index: int | None = None
    place: int | None = None

    @property
    def position(self) -> int | None:
        """Of the slice in the sorted series, from 0; None where the image is no slice of a volume."""
        return self.place if self.index is None else self.index


@dataclass(frozen=True, slots=True)
class Content:
    """What stands below an image and on it.

    Attributes:
        frame: Which one a region means, from 1; None for an instance that holds one image, and for slices of a
            volume, which `Shown.position` tells.
        lines: Below it.
        marks: On it.
    """

    frame: int | None
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]


def shown_images(report: Report) -> tuple[Shown, ...]:
    """Choose what to show, in the order of the images.

    Of a volume with lesions: the slices that show most of each, of the six most certain lesions. Of another volume: the
    most suspicious slice of the main finding, found or not. Of images that were read each by itself:
    every one with a finding, at most the six most certain; where none has one, the most suspicious of all.

    Nothing where nothing was determined, since a picture would look like an answer, and where the algorithm scores
    neither slices nor images and gives no region, since any choice would be ours.
    """
    if lesions := _lesion_slices(report):
        return lesions
    if _is_volume(report):
        main = report.findings[0]
        score = None if main.presence is Presence.UNDETERMINED else most_suspicious(main)
        return () if score is None else (Shown(score.sop_instance_uid, place=score.index),)
    certainties: dict[str, float] = {}
    for finding in report.findings:
        for uid, certainty in _evidence(finding):
            certainties[uid] = max(certainty, certainties.get(uid, 0.0))
    if not certainties:
        return _most_suspicious_image(report)
    places = _places(report)
    best = sorted(certainties, key=lambda uid: -certainties[uid])[:MOST_IMAGES]
    in_order = sorted(best, key=lambda uid: places.get(uid, len(places) + 1))
    return tuple(Shown(uid, number) for number, uid in enumerate(in_order, 1))


def content(report: Report, shown: Shown) -> Content:
    """Say in words and boxes what was found on an image.

    Raises:
        ValueError: A certainty is no probability.
    """
    uid = shown.sop_instance_uid
    here = [(finding, region) for finding in report.findings for region in shown_regions(finding)]
    here = [(finding, region) for finding, region in here if region.sop_instance_uid == uid]
    frame = here[0][1].frame if here else None
    marks = tuple(
        Mark(region.box, _label(finding, region), region.kind) for finding, region in here if region.frame == frame
    )
    if shown.index is not None:
        return Content(None, _below_lesions(report, shown.index), ())
    lines = _below_slice(report, shown) if _is_volume(report) else _below_image(report, uid)
    kinds = {mark.kind for mark in marks}
    legend = [DETECTION_LEGEND] if RegionKind.DETECTION in kinds else []
    legend += [ATTENTION_LEGEND] if RegionKind.ATTENTION in kinds else []
    return Content(frame, (*lines, *([" ".join(legend)] if legend else [])), marks)


def banner(report: Report) -> str:
    """What is burned in above the image; "" for a cleared algorithm."""
    if not report.algorithm.research_only:
        return ""
    return PHANTOM_BANNER if report.algorithm.trained_on_phantoms else RESEARCH_BANNER


def _is_volume(report: Report) -> bool:
    return not report.more and any(len(finding.slices) > 1 for finding in report.findings)


def _lesion_slices(report: Report) -> tuple[Shown, ...]:
    """The fullest slices of the most certain lesions, each slice once, in the order of the series."""
    lesions = [lesion for finding in report.findings for lesion in shown_lesions(finding)]
    lesions.sort(key=lambda lesion: -1.0 if lesion.certainty is None else -lesion.certainty)
    best = list(dict.fromkeys((lesion.index, lesion.sop_instance_uid) for lesion in lesions))[:MOST_IMAGES]
    return tuple(Shown(uid, number, index) for number, (index, uid) in enumerate(sorted(best), 1))


def _evidence(finding: Finding) -> list[tuple[str, float]]:
    """Images that a finding which is present rests on, each with a certainty."""
    scored = [(score.sop_instance_uid, score.certainty) for score in suspicious_slices(finding)]
    return scored + [(region.sop_instance_uid, region.certainty or 0.0) for region in shown_regions(finding)]


def _most_suspicious_image(report: Report) -> tuple[Shown, ...]:
    """The image closest to its threshold, since the findings of one bundle may have different ones."""
    tops = [
        (score, each.threshold or 1.0)
        for each in report.findings
        if each.presence is not Presence.UNDETERMINED and (score := most_suspicious(each)) is not None
    ]
    closest = max(tops, key=lambda pair: pair[0].certainty / pair[1], default=None)
    return () if closest is None else (Shown(closest[0].sop_instance_uid),)


def _below_slice(report: Report, shown: Shown) -> tuple[str, ...]:
    main = report.findings[0]
    # Slices of one file share its UID: only the position tells them apart.
    number = _places(report)[shown.sop_instance_uid] if shown.place is None else shown.place + 1
    return (f"{answer(main)}; most suspicious: slice {number} of {len(main.slices)}",)


def _below_lesions(report: Report, index: int) -> tuple[str, ...]:
    """Every finding that has lesions, what they amount to, and which slice this is."""
    told = [finding for finding in report.findings if shown_lesions(finding)]
    total = max(len(finding.slices) for finding in report.findings)
    place = f"slice {index + 1} of {total}" if total else f"slice {index + 1}"
    lines = [f"{answer(finding)}; {_amount(finding)}; {place}" for finding in told]
    return (*lines, early(report)) if report.urgent else tuple(lines)


def _amount(finding: Finding) -> str:
    volume = sum(lesion.volume_mm3 for lesion in finding.lesions) / 1000
    if finding.lesions[0].kind is LesionKind.REGION:
        return f"{volume:.1f} ml"
    count = len(finding.lesions)
    return f"{count} lesion{'' if count == 1 else 's'}, {volume:.1f} ml"


def _below_image(report: Report, uid: str) -> tuple[str, ...]:
    places = _places(report)
    several = len(places) > 1
    lines = [answer(finding, _score_of(finding, uid) if several else None) for finding in report.findings]
    flag = [early(report)] if report.urgent else []
    number = [f"Image {places[uid]} of {len(places)}"] if several and uid in places else []
    return (*lines, *flag, *number)


def _label(finding: Finding, region: Region) -> str:
    if region.kind is RegionKind.ATTENTION:
        return "network looked here"
    certainty = region.certainty
    score = "" if certainty is None else f" {percents(certainty, certainty, fewest_decimals=1)[0]} %"
    return named(finding.kind) + score


def answer(finding: Finding, here: SliceScore | None = None) -> str:
    """A finding, the answer, the number that gave it by its name, and the one it was held against.

    The number is a probability only where it was calibrated; it is that of the whole series or study.
    """
    name = named(finding.kind)
    if finding.presence is Presence.UNDETERMINED:
        return f"{name}: undetermined"
    found = "present" if finding.presence is Presence.PRESENT else "not found"
    if finding.certainty is None or finding.threshold is None:
        return f"{name}: {found} - no number"
    number, threshold = percents(finding.certainty, finding.threshold, fewest_decimals=1)
    kind = "probability" if finding.calibrated else "score"
    this = "" if here is None else f"; this image {percents(here.certainty, finding.threshold, fewest_decimals=1)[0]} %"
    return f"{name}: {found} - {kind} {number} %, threshold {threshold} %{this}"


def _score_of(finding: Finding, uid: str) -> SliceScore | None:
    return next((score for score in finding.slices if score.sop_instance_uid == uid), None)


def _places(report: Report) -> dict[str, int]:
    """Number of each scored image, from 1."""
    scored = max((finding.slices for finding in report.findings), key=len, default=())
    return {score.sop_instance_uid: number for number, score in enumerate(scored, 1)}
