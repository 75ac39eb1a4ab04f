"""Readers' answers as a datalist that the `train.yaml` of their bundle reads, with copies of the images beside it.

    OUT/datalist.json        in the form of `bundles.common.datalist`, split by patient
    OUT/images/<pseudonym>/  one folder for each series, or one for each study of radiographs

The copies say nothing of the patient (`app.deidentify`), and nobody's words are in the datalist.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import structlog

from app import outcomes
from app.assemble import assemble
from app.deidentify import Pseudonyms, copy_image, patient_of
from app.errors import AppError, Rejected
from app.feedback import Feedback, of_bundle, standing
from app.feedback_labels import Judged, judge
from app.feedback_records import Case, classes_of, records_of
from app.findings import Report
from app.infer.catalogue import Bundle
from app.keys import installation_key
from app.outcomes import StudyOutcome
from app.settings import Settings
from app.study import Instance, Series, Study, uid_hash
from bundles.common.datalist.assemble import Choices, Datalist
from bundles.common.datalist.assemble import assemble as make_datalist
from bundles.common.datalist.problems import DatalistError, Problems
from bundles.common.datalist.records import Plain, Reading, Record
from bundles.common.datalist.splits import Shares
from bundles.common.datalist.writing import write_datalist

log = structlog.get_logger()

KEY_FILE = "feedback-export.key"
DATALIST = "datalist.json"
IMAGES = "images"
GONE = "its images or results were removed, or cannot be read"
UNKNOWN = "readers differ or are unsure of every finding"
CONTRADICTORY = "says that a finding is not there, and where it is; taken as unsure: ask the reader again"
ROOM = 1.1
"""Of the size of the images: what has to be free for their copies."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        path: The datalist.
        datalist: Its records by split.
        studies: Whose images were copied.
        left_out: Reports that readers answered and that are not in it, by reason.
        contradictory: Answers that say both that a finding is not there and where it is, taken as unsure.
    """

    path: Path
    datalist: Datalist
    studies: tuple[StudyOutcome, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    contradictory: int = 0


@dataclass(frozen=True, slots=True)
class _Found:
    """One answered report with its images in the spool."""

    judged: Judged
    identity: Feedback
    outcome: StudyOutcome
    series: tuple[Series, ...]


def export(settings: Settings, engine: sa.Engine, bundle: Bundle, out: Path, shares: Shares | None = None) -> Exported:
    """Write everything that readers said of a bundle's findings, as far as its images are there.

    Args:
        settings: Of the installation.
        engine: The workflow database.
        bundle: Whose findings.
        out: A new or empty folder.
        shares: Parts of the patients in each split; None is 0.8, 0.1 and 0.1.

    Raises:
        Rejected: Nothing can be exported, the folder is in use, or there is no room; says which.
        Retryable: The database does not answer.
    """
    given = standing(of_bundle(engine, bundle.name))
    contradictory = sum(each.contradicts for each in given)
    found, left_out = _find(settings, given)
    if not found:
        told = [f"{count}: {reason}" for reason, count in left_out.items()]
        reasons = "; ".join([*told, *([f"{contradictory}: {CONTRADICTORY}"] if contradictory else [])])
        raise Rejected(f"nothing to export of '{bundle.name}': {reasons or 'nobody has given feedback yet'}")
    _make_room(out, found)
    pseudonyms = Pseudonyms(installation_key(settings.run / KEY_FILE, "later exports give other pseudonyms and splits"))
    records = [record for each in found for record in _write(each, bundle, out, pseudonyms)]
    notes = tuple(f"{count} answered reports were left out: {reason}" for reason, count in left_out.items())
    if contradictory:
        notes += (f"{contradictory} {'answer' if contradictory == 1 else 'answers'}: {CONTRADICTORY}",)
    reading = Reading(f"feedback on {bundle.name}", classes_of(bundle), tuple(records), (), notes, out)
    try:
        datalist = make_datalist(reading, Problems(), Choices(shares=shares or Shares()))
    except DatalistError as error:
        raise Rejected(str(error)) from error
    write_datalist(datalist, out / DATALIST)
    log.info("feedback_exported", bundle=bundle.name, records=len(records), left_out=sum(left_out.values()))
    studies = {each.outcome.key: each.outcome for each in found}
    return Exported(out / DATALIST, datalist, tuple(studies.values()), left_out, contradictory)


def _find(settings: Settings, given: Sequence[Feedback]) -> tuple[list[_Found], Mapping[str, int]]:
    reports: dict[tuple[str, str, int], dict[tuple[str, str], Feedback]] = defaultdict(dict)
    for each in given:
        # One truth for the same images, whatever version or run said something of them: of each reader the newest.
        same = (each.study.partition("-")[0], each.series_uid, each.stack)
        reports[same][each.reader, each.finding] = each
    left_out: Counter[str] = Counter()
    found = []
    studies: dict[str, tuple[StudyOutcome, Study] | None] = {}
    for (_, series_uid, stack), newest in reports.items():
        answers = sorted(newest.values(), key=lambda each: each.at)
        key, judged = answers[-1].study, judge(answers)
        if all(label is None for label in judged.labels.values()):
            left_out[UNKNOWN] += 1
            continue
        if key not in studies:
            studies[key] = _study(settings, key)
        known = studies[key]
        series = None if known is None else _series(*known, answers[-1], series_uid, stack)
        if known is None or not series:
            left_out[GONE] += 1
            continue
        found.append(_Found(judged, answers[-1], known[0], series))
    return found, left_out


def _study(settings: Settings, key: str) -> tuple[StudyOutcome, Study] | None:
    """A revision with its images; None where either is gone."""
    try:
        outcome = outcomes.read(settings.results / key)
        if outcome is None or not outcome.files:
            return None
        folder = settings.spool.folder / "studies" / key.partition("-")[0]
        files = [folder / name for name in sorted(outcome.files)]
        if not all(file.is_file() for file in files):
            return None
        return outcome, assemble(files)
    except AppError as error:
        log.warning("feedback_left_out", study=key[:12], reason=type(error).__name__)
        return None


def _series(outcome: StudyOutcome, study: Study, answer: Feedback, series_uid: str, stack: int) -> tuple[Series, ...]:
    """What the report read: one stack, or all its radiographs."""
    asked = (answer.bundle, series_uid, stack)
    reports = [each for each in outcome.reports if (each.algorithm.name, each.series_uid, each.stack) == asked]
    wanted = reports[0].stacks if reports else ((series_uid, stack),)
    there = {(series.uid, series.stack): series for series in study.series}
    return tuple(there[each] for each in wanted if each in there and not there[each].damaged)


def _make_room(out: Path, found: Sequence[_Found]) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Rejected(f"{out} is not empty; give a new folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        space = os.statvfs(out)
    except OSError as error:
        raise Rejected(f"{out}: {error.strerror}; give a folder that can be written") from error
    needed = sum(each.path.stat().st_size for one in found for each in _instances(one)) * ROOM
    if needed > space.f_bavail * space.f_frsize:
        raise Rejected(
            f"{out}: the copies take {needed / 1e6:.0f} MB, and there is no room for them; give another folder"
        )


def _instances(found: _Found) -> list[Instance]:
    return [instance for series in found.series for instance in series.instances]


def _write(found: _Found, bundle: Bundle, out: Path, pseudonyms: Pseudonyms) -> Sequence[Record]:
    """Copy the images of one report, and make its records."""
    first = found.series[0].instances[0].path
    patient = pseudonyms.patient(patient_of(first) or f"study {found.outcome.study_uid}")
    # Of one stack of a series, not of the study: two bundles' reports never share a folder.
    where = f"{found.identity.study}/{found.series[0].uid}/{found.series[0].stack}"
    folder = Path(IMAGES) / str(pseudonyms.uid(where)).removeprefix("2.25.")
    (out / folder).mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for number, instance in enumerate(_instances(found), 1):
        path = folder / f"{number:05d}.dcm"
        copy_image(instance.path, out / path, pseudonyms, patient)
        files[instance.sop_instance_uid] = path.as_posix()
    report: dict[str, Plain] = {
        "study": uid_hash(found.identity.study),
        "version": found.identity.version,
        "weights_sha256": found.identity.weights_sha256,
        "readers": found.judged.readers,
    }
    case = Case(patient, folder.as_posix(), files, found.judged, _said(found), report)
    return records_of(bundle.service, case)


def _said(found: _Found) -> Report | None:
    """The report that is answered, where it still stands as it was answered."""
    who = found.identity
    for report in found.outcome.reports:
        algorithm = report.algorithm
        identity = (algorithm.name, algorithm.version, algorithm.weights_sha256, report.series_uid, report.stack)
        if identity == (who.bundle, who.version, who.weights_sha256, who.series_uid, who.stack):
            return report
    return None
