"""What the index of studies holds of each study revision, and how that follows from its outcome and its images."""

import json
import logging
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import structlog
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from app.arrivals import is_arrival
from app.documents import DICOM_KINDS
from app.findings import Finding, Presence, Report
from app.identity import Identity, PersonName, decoded, one_line
from app.outcomes import State, StudyOutcome
from app.revisions import Relation
from app.structures import MOST_SHOWN, in_words
from bundles.common.elements import PARSE_ERRORS, value_of

log = structlog.get_logger()

# pydicom quotes values that it doubts in warnings and in its log: patient data, where it must not be.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\.")

LONGEST = 256
LONGEST_PROBLEM = 400
NOT_BEGUN = "images have come; no worker has begun this study yet"
HEADER = (
    "SpecificCharacterSet",
    "StudyInstanceUID",
    "Modality",
    "PatientName",
    "PatientID",
    "AccessionNumber",
    "StudyDate",
    "StudyDescription",
)


@dataclass(frozen=True, slots=True)
class Names:
    """Whose study it is and what it was called, as far as its images tell; "" for what they do not.

    Attributes:
        patient_name: In components, as DICOM has it: "Doe^Jane", other scripts after "="; `listed_name` is for people.
        study_date: "YYYYMMDD".
        study_uid, modality, patient_id, accession, description: As in the header.
    """

    study_uid: str = ""
    modality: str = ""
    patient_name: str = ""
    patient_id: str = ""
    accession: str = ""
    study_date: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """One finding in a list: of which kind, the answer, and the two numbers behind it."""

    kind: str
    presence: str
    certainty: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a list shows of a study revision beside what it is searched by.

    Attributes:
        images: How many.
        told: The main finding of every bundle; a further one that is present where it is urgent or the main one is not.
        measured: What Model Zoo bundles measured, in words, the first lines.
        remark: In words, where something went wrong, or why nobody wants the study; "" else.
        research_only: Whether a bundle is not cleared, or was trained on phantoms.
    """

    images: int
    told: tuple[Told, ...] = ()
    measured: tuple[str, ...] = ()
    remark: str = ""
    research_only: bool = False

    def text(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Self:
        """Read what `text` wrote."""
        raw = json.loads(text)
        return cls(**raw | {"told": tuple(Told(**each) for each in raw["told"]), "measured": tuple(raw["measured"])})


@dataclass(frozen=True, slots=True)
class Row:
    """One study revision in the index.

    Attributes:
        key, study: Of the revision; the part before the dash, which all revisions of a study share.
        changed: When its outcome was last written: modification time of the file, nanoseconds.
        urgent: 1 where a finding flags it for early reading and no newer revision stands for it, else 0.
        received_at, finished_at: Unix times.
        state: Where it stands.
        superseded_by: Key of the newer revision that stands for it; "" for none.
        names: Whose it is.
        bundles: Names of those that it was routed to, sorted.
        findings: Kinds that are present, sorted.
        shown: What a list shows.
    """

    key: str
    changed: int
    urgent: int
    received_at: float
    state: str
    shown: Shown
    names: Names = Names()
    finished_at: float | None = None
    superseded_by: str = ""
    bundles: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def study(self) -> str:
        """Hash of the StudyInstanceUID."""
        return self.key.partition("-")[0]

    @property
    def words(self) -> str:
        """What a search finds it by: see `folded`."""
        kinds = [kind.replace("_", " ") for kind in self.findings]
        day = self.names.study_date
        dates = (day, f"{day[:4]}-{day[4:6]}-{day[6:]}") if day else ()
        names = self.names
        name = names.patient_name.replace("^", " ").replace("=", " ")
        parts = (name, names.patient_id, names.accession, names.description, names.modality)
        return folded("\n".join((*parts, *dates, *kinds, *self.findings)))


def folded(text: str) -> str:
    """Text as it is compared: compatible forms made one, without case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def row_of(outcome: StudyOutcome, relation: Relation, names: Names, changed: int) -> Row:
    """What the index holds of a study revision."""
    routed = outcome.decision.assignments if outcome.decision else ()
    found = [each for report in outcome.reports for each in report.findings if each.presence is Presence.PRESENT]
    urgent = any(report.urgent for report in outcome.reports) and not relation.superseded_by
    modality = "\\".join(outcome.modalities) or names.modality
    return Row(
        key=outcome.key,
        changed=changed,
        urgent=int(urgent),
        received_at=outcome.received_at,
        finished_at=outcome.finished_at,
        state=outcome.state,
        superseded_by=relation.superseded_by,
        names=replace(names, study_uid=_short(outcome.study_uid) or names.study_uid, modality=modality),
        bundles=tuple(sorted({each.bundle for each in routed})),
        findings=tuple(sorted({each.kind for each in found})),
        shown=_shown(outcome),
    )


def damaged_row(key: str, changed: int) -> Row:
    """In place of a study revision whose outcome cannot be read: it is not to be missing."""
    remark = "what is known of this study is damaged on disk; the log names the file and what to do"
    return Row(key, changed, 0, changed / 1e9, State.FAILED, Shown(0, remark=remark))


def names_of(spool: Path, results: Path, outcome: StudyOutcome) -> Names:
    """Read whose study it is from one of its images, or, where they are gone, from a document that we made of them.

    Args:
        spool: Folder of the spool.
        results: Folder of results.
        outcome: Of the study revision.
    """
    study = spool / "studies" / outcome.key.partition("-")[0]
    images = [study / name for name in sorted(outcome.files)[:3]]
    documents = [
        results / outcome.key / each.path.name
        for each in outcome.documents
        if each.kind in DICOM_KINDS and not each.problem
    ]
    for path in (*images, *documents):
        header = _header(path)
        if header is not None:
            return _names(header, path in documents)
    return Names()


def _header(path: Path) -> Dataset | None:
    try:
        return dcmread(path, specific_tags=list(HEADER), stop_before_pixels=True)
    except FileNotFoundError:
        return None
    except (OSError, InvalidDicomError, *PARSE_ERRORS) as error:
        log.warning("index_header_unreadable", file=path.name, error=type(error).__name__)
        return None


def _names(header: Dataset, is_document: bool) -> Names:
    try:
        identity = decoded(header)
    except PARSE_ERRORS as error:
        log.warning("index_header_odd", error=type(error).__name__)
        identity = Identity()
    modality = "" if is_document else str(value_of(header, "Modality") or "")
    return Names(
        study_uid=_short(str(value_of(header, "StudyInstanceUID") or "")),
        modality=_short(modality),
        patient_name=_short("=".join(map(_components, identity.names)).strip("=")),
        patient_id=_short(identity.patient_id),
        accession=_short(identity.accession_number),
        study_date=f"{identity.study_date:%Y%m%d}" if identity.study_date else "",
        description=_short(identity.study_description),
    )


def _components(name: PersonName) -> str:
    return "^".join((name.family, name.given, name.middle, name.prefix, name.suffix)).rstrip("^")


def listed_name(name: str) -> str:
    """A name of components as lists give it: "Doe, Jane"; other scripts after it, without the comma."""
    first, *others = name.split("=")
    family, _, rest = first.partition("^")
    given = " ".join(rest.split("^")[:2]).strip()
    told = (", ".join(filter(None, (family, given))), *(" ".join(each.replace("^", " ").split()) for each in others))
    return " / ".join(filter(None, told))


def _short(text: str) -> str:
    return one_line(text)[:LONGEST]


def _shown(outcome: StudyOutcome) -> Shown:
    measured = [line for report in outcome.reports for line in in_words(report.structures, report.classes)]
    more = len(measured) - MOST_SHOWN
    lines = (*measured[:MOST_SHOWN], *([f"{more} more"] if more > 0 else []))
    return Shown(
        images=len(outcome.files),
        told=tuple(_told(each) for each in _headline(outcome.reports)),
        measured=tuple(_short(line) for line in lines),
        remark=one_line(_remark(outcome))[:LONGEST_PROBLEM],
        research_only=any(report.algorithm.research_only for report in outcome.reports),
    )


def _told(finding: Finding) -> Told:
    return Told(finding.kind, finding.presence, finding.certainty, finding.threshold)


def _headline(reports: Sequence[Report]) -> Iterator[Finding]:
    mains: dict[str, Finding] = {}
    for report in reports:
        for finding in report.findings:
            main = mains.setdefault(report.algorithm.name, finding)
            present = finding.presence is Presence.PRESENT
            if finding is main or (present and (finding.urgent or main.presence is not Presence.PRESENT)):
                yield finding


def _remark(outcome: StudyOutcome) -> str:
    if is_arrival(outcome.key):
        return NOT_BEGUN
    problem = outcome.problem or "; ".join(report.reason for report in outcome.reports if report.reason)
    if problem or outcome.state is not State.UNWANTED or outcome.decision is None:
        return problem
    return outcome.decision.why_unwanted
