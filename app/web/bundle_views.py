"""What the page of the bundles shows: plain values for its template."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from app.findings import Finding, Presence, Report
from app.infer.catalogue import MANIFEST, Bundle, Catalogue
from app.switches import Switch
from app.warmth import BundleState

BINS = 20
WIDTH, HEIGHT, GAP = 240, 60, 1


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram, in the units of its drawing."""

    x: float
    y: float
    width: float
    height: float
    over: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """How certain a bundle was of its main finding lately.

    Attributes:
        bars: From certainty 0 to 1; `over` from the threshold on.
        threshold: Where it lies in the drawing, from the left; None where reports had none.
        count, present: How many reports, and in how many of them the finding was present.
        words: The same for those who do not see it.
    """

    bars: tuple[Bar, ...]
    threshold: float | None
    count: int
    present: int
    words: str
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class InWorker:
    """A bundle in one worker, and whether that lives."""

    worker: str
    alive: bool
    state: BundleState


@dataclass(frozen=True, slots=True)
class BundleView:
    """One bundle that can be served.

    Attributes:
        bundle: It, as its files are now.
        manifest: Where its weights come from.
        off: Who switched it off, when and why; None where it is on.
        workers: Those that have it, the living first.
        reports: How many of the newest studies it answered.
        failed: Of these without an answer.
        median_s: Of its analyses; None without any.
        histogram: None without any report that had a certainty.
        restart: Whether a living worker has other weights than lie here: it began before they were exchanged.
    """

    bundle: Bundle
    manifest: Mapping[str, str]
    off: Switch | None
    workers: tuple[InWorker, ...]
    reports: int = 0
    failed: int = 0
    median_s: float | None = None
    histogram: Histogram | None = None
    restart: bool = field(default=False)

    @property
    def warm(self) -> int:
        """How many living workers have it warm."""
        return sum(each.alive and each.state.warmed_at is not None for each in self.workers)


def bundle_views(
    catalogue: Catalogue,
    off: Mapping[str, Switch],
    told: Mapping[str, Sequence[BundleState]],
    alive: Sequence[str],
    said: Mapping[str, Sequence[Report]],
) -> tuple[BundleView, ...]:
    """Bring together what files, database, workers and reports say.

    Args:
        catalogue: The bundles on disk.
        off: What is switched off, by bundle.
        told: What workers said of their bundles, by worker.
        alive: Workers whose hearts beat.
        said: Newest reports by bundle.
    """
    found = []
    for name, bundle in catalogue.bundles.items():
        workers = [
            InWorker(who, who in alive, each) for who, states in told.items() for each in states if each.bundle == name
        ]
        reports = said.get(name, ())
        times = [report.seconds for report in reports if report.seconds > 0]
        found.append(
            BundleView(
                bundle=bundle,
                manifest=_manifest(bundle),
                off=off.get(name),
                workers=tuple(sorted(workers, key=lambda each: (not each.alive, each.worker))),
                reports=len(reports),
                failed=sum(not report.determined for report in reports),
                median_s=median(times) if times else None,
                histogram=histogram(reports),
                restart=any(
                    each.alive and each.state.weights_sha256 != bundle.algorithm.weights_sha256 for each in workers
                ),
            )
        )
    return tuple(found)


def histogram(reports: Sequence[Report]) -> Histogram | None:
    """How certain the main findings of reports are; None where none has a certainty."""
    found = [report.findings[0] for report in reports if report.findings]
    mains: list[tuple[float, Finding]] = [(each.certainty, each) for each in found if each.certainty is not None]
    if not mains:
        return None
    counts = [0] * BINS
    for certainty, _ in mains:
        counts[min(int(certainty * BINS), BINS - 1)] += 1
    threshold = next((main.threshold for _, main in mains if main.threshold is not None), None)
    present = sum(main.presence is Presence.PRESENT for _, main in mains)
    step = WIDTH / BINS
    bars = tuple(
        Bar(
            x=round(number * step + GAP / 2, 2),
            y=round(HEIGHT - HEIGHT * count / max(counts), 2),
            width=step - GAP,
            height=round(HEIGHT * count / max(counts), 2),
            over=threshold is not None and (number + 0.5) / BINS >= threshold,
        )
        for number, count in enumerate(counts)
    )
    of = "1 report" if len(mains) == 1 else f"{len(mains)} reports"
    low, high = min(certainty for certainty, _ in mains), max(certainty for certainty, _ in mains)
    words = f"Certainty of the main finding in {of}: from {low:.2f} to {high:.2f}; present in {present}"
    return Histogram(bars, None if threshold is None else round(threshold * WIDTH, 2), len(mains), present, words)


def _manifest(bundle: Bundle) -> Mapping[str, str]:
    """What a manifest says of where weights come from, as far as it is text."""
    try:
        raw = json.loads((bundle.root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    wanted = ("trained", "commit", "parent_weights")
    return {key: str(raw[key]) for key in wanted if isinstance(raw, dict) and isinstance(raw.get(key), str)}
