"""A study as it lies on disk after it was received, read and delivered: spool, results, documents, outcome."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app import outcomes
from app.assignment import Assignment, Decision, Declined
from app.documents import Document, DocumentKind, Receipt, Waiting
from app.findings import Report
from app.outcomes import Shipment, StudyOutcome, Timing
from app.reassembly import reassemble
from app.report import encode
from app.settings import Settings
from app.study import Study, revision_of, uid_hash
from app.tokens import make
from app.web.server import create_app
from bundles.common.elements import text
from bundles.common.headers import read_header

ROLES = ("viewer", "operator", "admin")


def settings_in(folder: Path, **more: Any) -> Settings:
    return Settings.model_validate(
        {
            "listener": {"host": "127.0.0.1", "port": 0},
            "spool": {"folder": folder / "spool", "min_free_mb": 0},
            "results": folder / "results",
            "run": folder / "run",
            "database": {"url": f"sqlite:///{folder}/vigil.sqlite"},
            **more,
        }
    )


def spooled(settings: Settings, files: Iterable[Path]) -> tuple[Path, ...]:
    """Put files into the spool under the names that the listener gives them."""
    found = []
    for path in files:
        header = read_header(path).dataset
        study, instance = uid_hash(text(header, "StudyInstanceUID")), uid_hash(text(header, "SOPInstanceUID"))
        target = settings.spool.folder / "studies" / study / f"{instance}.{len(found):016x}.dcm"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        found.append(target)
    return tuple(found)


def begun(settings: Settings, files: Sequence[Path], **changes: Any) -> tuple[StudyOutcome, Study]:
    """A revision of these spooled files, and its study; the files are left where they are."""
    names = tuple(sorted(file.name for file in files))
    key = f"{files[0].parent.name}-{revision_of(files)}"
    outcome = outcomes.begin(settings.results, StudyOutcome(key, **({"received_at": 1000.0, "files": names} | changes)))
    return outcome, reassemble(settings.spool.folder, outcome)


def finished(
    settings: Settings,
    outcome: StudyOutcome,
    study: Study,
    report: Report,
    *,
    kinds: Sequence[DocumentKind] = tuple(DocumentKind),
    declined: Sequence[Declined] = (),
    waiting: Sequence[Waiting] = (),
) -> StudyOutcome:
    """The same with a report, its documents, and a receipt for each at the destination "pacs"."""
    folder = settings.results / outcome.key
    report = replace(report, revision=study.revision)
    documents = encode(report, study, folder, kinds=kinds)
    ways = tuple(Shipment(each.path.name, "pacs") for each in documents if not each.problem)
    late = {each.document for each in waiting}
    receipts = tuple(
        Receipt("pacs", way.document, delivered=True, attempts=1, detail="0x0000 Success", committed=True)
        for way in ways
        if way.document not in late
    )
    chosen = Assignment(
        report.algorithm.name,
        f"{report.algorithm.name}/accepts",
        report.series_uid,
        report.stack,
        1,
        ("Modality is CT",),
        more=report.more,
    )

    def change(known: StudyOutcome) -> StudyOutcome:
        return replace(
            known,
            study_uid=study.uid,
            decision=Decision((chosen,), tuple(declined)),
            reports=(report,),
            documents=documents,
            shipments=ways,
            receipts=receipts,
            waiting=tuple(waiting),
            timings=(Timing("assemble", "", 0.01), Timing("infer", report.algorithm.name, 0.5)),
        )

    return outcomes.record(folder, change)


def document_of(outcome: StudyOutcome, kind: DocumentKind) -> Document:
    return next(each for each in outcome.documents if each.kind is kind)


@dataclass
class Site:
    """An HTTP side with a token of each role."""

    settings: Settings
    secrets: dict[str, str]

    @classmethod
    def of(cls, folder: Path, **more: Any) -> "Site":
        made = {role: make(f"the-{role}", role) for role in ROLES}  # type: ignore[arg-type]
        tokens = folder / "tokens"
        tokens.write_text("".join(token.line() for _, token in made.values()))
        http = {"access": {"tokens_file": tokens}}
        return cls(settings_in(folder, http=http, **more), {role: secret for role, (secret, _) in made.items()})

    def client(self, role: str = "viewer") -> TestClient:
        """Somebody of a role, by token; "" for nobody."""
        headers = {"Authorization": f"Bearer {self.secrets[role]}"} if role else {}
        return TestClient(
            create_app(self.settings, dict), client=("192.0.2.7", 4000), headers=headers, follow_redirects=False
        )
