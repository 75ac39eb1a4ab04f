"""A study that a bundle has read, and visitors of its pages."""

import json
from html import unescape

from fastapi.testclient import TestClient

from app import outcomes
from app.assignment import Assignment, Decision
from app.documents import Document, DocumentKind, Receipt
from app.findings import Algorithm, Finding, Outcome, Presence, Report, SliceScore
from app.outcomes import Shipment, StudyOutcome
from app.settings import Settings

EVIL = "<script>alert(1)</script>"
UID = "1.2.840.99.1"
KEY = f"{outcomes.uid_hash(UID)}-{'a' * 16}"
CSRF = "csrf"


def algorithm(settings: Settings) -> Algorithm:
    manifest = json.loads((settings.bundles.folder / "brightness" / "models" / "manifest.json").read_text())
    return Algorithm("brightness", "0.1.0", manifest["sha256"], manifest["training_data"], "research", "Brightness")


def read(settings: Settings, *, delivered: bool = True) -> Report:
    """A study that the bundle has read, present at 0.93."""
    scores = tuple(SliceScore(f"1.9.{n}", n, 0.9) for n in range(3))
    findings = (
        Finding("intracranial_hemorrhage", Presence.PRESENT, 0.93, 0.5, slices=scores),
        Finding("subdural_hemorrhage", Presence.UNDETERMINED),
    )
    report = Report(UID, "a" * 16, "1.5", 0, algorithm(settings), Outcome.SUCCEEDED, findings, seconds=0.5)
    document = Document(
        DocumentKind.SR, "brightness", settings.results / KEY / "b-0.sr.dcm", "2.25.1", series_uid="1.5"
    )
    outcome = StudyOutcome(
        KEY,
        1000.0,
        1002.0,
        files=("a", "b"),
        study_uid=UID,
        decision=Decision((Assignment("brightness", "brightness/accepts", "1.5", 0, 3),), ()),
        reports=(report,),
        documents=(document,),
        shipments=(Shipment("b-0.sr.dcm", "pacs"),),
        receipts=(Receipt("pacs", "b-0.sr.dcm", delivered=delivered, attempts=3, detail=f"refused {EVIL}"),),
    )
    outcomes.begin(settings.results, outcome)
    return report


def logged_in(client: TestClient, secret: str) -> str:
    """Log in by the form; what forms then carry."""
    page = client.get("/login").text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    assert client.post("/login", data={"csrf": token, "token": secret}, follow_redirects=False).status_code == 303
    return unescape(client.get("/feedback").text.split('name="csrf" content="')[1].split('"')[0])


def form(report: Report, **more: str) -> dict[str, str]:
    who = report.algorithm
    return {
        "bundle": who.name,
        "version": who.version,
        "series_uid": report.series_uid,
        "stack": str(report.stack),
        "finding": "intracranial_hemorrhage",
        "answer": "agree",
        **more,
    }


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}", "Accept": "text/html"}
