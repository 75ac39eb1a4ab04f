"""The HTTP side over real outcomes on disk, a real database and a real listener."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app import __version__, outcomes
from app.assignment import Assignment, Decision, Declined
from app.documents import Document, DocumentKind, Receipt
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
from app.outcomes import Shipment, StudyOutcome
from app.receive.listener import running
from app.settings import Settings
from app.web.health import Pulse
from app.web.server import create_app
from app.workflow_database import Heartbeat, beats_of, open_engine
from app.workflow_migration import migrate

UID = "1.2.3.4"
UNWANTED = "f" * 32 + "-" + "2" * 16
ALGORITHM = Algorithm("head", "1.0", "0" * 64, "phantom heads", "research", "Bleeds")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "listener": {"host": "127.0.0.1", "port": 0},
            "spool": {"folder": tmp_path / "spool", "min_free_mb": 0},
            "results": tmp_path / "results",
            "run": tmp_path / "run",
            "worker": {"heartbeat_s": 0.05},
            "database": {"url": f"sqlite:///{tmp_path}/vigil.sqlite"},
        }
    )


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings, dict)) as client:
        yield client


def keep(settings: Settings, outcome: StudyOutcome) -> StudyOutcome:
    return outcomes.begin(settings.results, outcome)


def delivered(settings: Settings) -> StudyOutcome:
    key = f"{outcomes.uid_hash(UID)}-{'1' * 16}"
    slices = tuple(SliceScore(f"1.2.{index}", index, certainty) for index, certainty in enumerate((0.1, 0.9, 0.3)))
    main = Finding("intracranial_hemorrhage", Presence.PRESENT, 0.93, 0.5, slices=slices)
    report = Report(UID, "1" * 16, "1.2", 0, ALGORITHM, Outcome.SUCCEEDED, (main,), notes=("tilt corrected",))
    document = Document(DocumentKind.SR, "head", settings.results / key / "head-0.sr.dcm", "2.25.1", series_uid="1.2")
    return keep(
        settings,
        StudyOutcome(
            key,
            received_at=1000.0,
            finished_at=1002.5,
            files=("a", "b", "c"),
            study_uid=UID,
            decision=Decision((Assignment("head", "head/accepts", "1.2", 0, 1, ("Modality is CT",)),), ()),
            reports=(report,),
            documents=(document,),
            shipments=(Shipment("head-0.sr.dcm", "pacs"),),
            receipts=(Receipt("pacs", "head-0.sr.dcm", delivered=True, attempts=1, detail="0x0000 Success"),),
        ),
    )


def urgent(settings: Settings) -> StudyOutcome:
    """Two chest radiographs: no lesion, a pneumothorax on the second one at two places."""
    boxes = tuple(Region("1.7.2", (1.0, 2.0, 3.0, 4.0 + n), RegionKind.DETECTION, 0.8) for n in range(2))
    scores = (SliceScore("1.7.1", 0, 0.1), SliceScore("1.7.2", 1, 0.9))
    findings = (
        Finding("lung_lesion", Presence.ABSENT, 0.2, 0.5, slices=scores),
        Finding("pneumothorax", Presence.PRESENT, 0.9, 0.5, slices=scores, regions=boxes, urgent=True),
    )
    chest = replace(ALGORITHM, name="chest")
    report = Report("1.7", "3" * 16, "1.7.1", 0, chest, Outcome.SUCCEEDED, findings, more=(("1.7.2", 0),))
    decision = Decision((Assignment("chest", "chest/accepts", "1.7.1", 0, 1),), ())
    key = f"{outcomes.uid_hash('1.7')}-{'3' * 16}"
    return keep(settings, StudyOutcome(key, 2000.0, files=("p", "q"), decision=decision, reports=(report,)))


def unwanted(settings: Settings) -> StudyOutcome:
    declined = Declined("head/accepts", "head", "1.9", 0, ("Modality is <b>MR</b>, wanted CT",))
    return keep(settings, StudyOutcome(UNWANTED, received_at=900.0, files=("x",), decision=Decision((), (declined,))))


def test_lists_studies_without_uids(client: TestClient, settings: Settings) -> None:
    unwanted(settings)
    kept = delivered(settings)
    found = client.get("/api/v1/studies").json()["items"]
    assert [study["state"] for study in found] == ["delivered", "unwanted"]
    assert found[0] == {
        "key": kept.key,
        "state": "delivered",
        "received_at": "1970-01-01T00:16:40Z",
        "finished_at": "1970-01-01T00:16:42.500000Z",
        "seconds": 2.5,
        "images": 3,
        "findings": [
            {
                "bundle": "head",
                "kind": "intracranial_hemorrhage",
                "presence": "present",
                "certainty": 0.93,
                "threshold": 0.5,
                "slice": 2,
                "image": None,
                "regions": 0,
                "lesions": None,
                "volume_ml": None,
                "urgent": False,
            }
        ],
        "measured": [],
        "urgent": False,
        "research_only": True,
        "problem": "",
        "superseded_by": "",
        "supersedes": [],
    }


def test_marks_a_study_that_is_to_be_read_early(client: TestClient, settings: Settings) -> None:
    """Also where the main finding is not the urgent one; it is a mark of the order, not of what the patient has."""
    urgent(settings)
    delivered(settings)
    first, second = client.get("/api/v1/studies").json()["items"]
    assert (first["urgent"], second["urgent"]) == (True, False)
    told = [(each["kind"], each["image"], each["slice"], each["regions"], each["urgent"]) for each in first["findings"]]
    assert told == [("lung_lesion", 2, None, 0, False), ("pneumothorax", 2, None, 2, True)]


def test_tells_how_many_lesions_there_are(client: TestClient, settings: Settings) -> None:
    lesions = tuple(Lesion(n, 1500.0 * n, 14.0, (0.0, 1.0, 2.0), "1.7.1", 1, 0.9) for n in (1, 2))
    region = (replace(lesions[0], longest_diameter_mm=None, certainty=None, kind=LesionKind.REGION),)
    findings = (
        Finding("brain_metastasis", Presence.PRESENT, 0.9, 0.5, lesions=lesions),
        Finding("intracranial_hemorrhage", Presence.PRESENT, 0.9, 0.5, lesions=region),
    )
    report = Report("1.7", "3" * 16, "1.7.1", 0, ALGORITHM, Outcome.SUCCEEDED, findings)
    key = f"{outcomes.uid_hash('1.7')}-{'3' * 16}"
    kept = keep(settings, StudyOutcome(key, 2000.0, files=("p",), reports=(report,)))
    assert outcomes.read(settings.results / key) == kept
    (study,) = client.get("/api/v1/studies").json()["items"]
    assert [(each["lesions"], each["volume_ml"]) for each in study["findings"]] == [(2, 4.5), (None, 1.5)]


def test_shows_a_study_by_key_and_by_uid(client: TestClient, settings: Settings) -> None:
    kept = delivered(settings)
    by_key = client.get(f"/api/v1/studies/{kept.key}").json()
    assert by_key == client.get(f"/api/v1/studies/{UID}").json()
    assert by_key["study_uid"] == UID
    assert by_key["documents"] == [
        {"kind": "sr", "bundle": "head", "name": "head-0.sr.dcm", "problem": "", "superseded": False}
    ]
    assert by_key["receipts"][0]["detail"] == "0x0000 Success"


def test_shows_why_no_bundle_wanted_a_study(client: TestClient, settings: Settings) -> None:
    unwanted(settings)
    (declined,) = client.get(f"/api/v1/studies/{UNWANTED}").json()["declined"]
    assert declined["reasons"] == ["Modality is <b>MR</b>, wanted CT"]


def test_revisions_of_a_study_name_each_other(client: TestClient, settings: Settings) -> None:
    older = delivered(settings)
    newer = keep(
        settings,
        replace(older, key=f"{outcomes.uid_hash(UID)}-{'2' * 16}", received_at=2000.0, files=(*older.files, "late")),
    )
    listed = client.get("/api/v1/studies").json()["items"]
    assert [(each["key"], each["state"], each["superseded_by"], each["supersedes"]) for each in listed] == [
        (newer.key, "delivered", "", [older.key]),
        (older.key, "delivered", newer.key, []),
    ]
    assert [each["superseded_by"] for each in client.get("/api/v1/studies?limit=1").json()["items"]] == [""]
    shown = client.get(f"/api/v1/studies/{older.key}").json()
    assert (shown["superseded_by"], [each["superseded"] for each in shown["documents"]]) == (newer.key, [True])


def test_an_unknown_study_is_404_and_nonsense_is_422(client: TestClient) -> None:
    assert client.get(f"/api/v1/studies/{UNWANTED}").status_code == 404
    assert "/api/v1/studies lists" in client.get("/api/v1/studies/1.2.9").json()["detail"]
    assert client.get("/api/v1/studies/..%2Fetc").status_code in {404, 422}
    assert client.get("/api/v1/studies/Doe^Jane").status_code == 422
    assert client.get("/api/v1/studies?limit=0").status_code == 422


def test_a_damaged_outcome_is_told(client: TestClient, settings: Settings) -> None:
    kept = delivered(settings)
    (settings.results / kept.key / "outcome.json").write_text("{")
    answer = client.get(f"/api/v1/studies/{kept.key}")
    assert answer.status_code == 500
    assert "is damaged" in answer.json()["detail"]


def test_describes_itself(client: TestClient) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    assert all(path.startswith(("/api/v1/", "/dicom-web/")) for path in paths)
    deeds = {f"/api/v1/studies/{{key}}/{deed}" for deed in ("replay", "rerun")}
    assert deeds | {"/api/v1/studies", "/api/v1/bundles", "/api/v1/health"} <= set(paths)


def test_metrics_are_those_of_every_process(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess
    import sys

    folder = settings.run / "metrics"
    folder.mkdir(parents=True)
    code = "from app.receive.metrics import IMAGES; IMAGES.inc(7)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], env={"PROMETHEUS_MULTIPROC_DIR": str(folder)}, check=True)
    assert "vigil_receive_images_total 14.0" in client.get("/metrics").text


def test_says_what_is_not_well(client: TestClient) -> None:
    answer = client.get("/health")
    parts = answer.json()["parts"]
    assert answer.status_code == 503
    assert [name for name, part in parts.items() if not part["ok"]] == ["listener", "worker", "spool", "results"]
    assert "python -m app work" in parts["worker"]["detail"]


def test_is_well_with_a_listener_and_a_beating_worker(settings: Settings) -> None:
    settings.results.mkdir()
    migrate(settings.database)
    engine = open_engine(settings.database)
    heartbeat = Heartbeat(engine, "w1", 30)
    with running(settings) as port:
        listening = settings.model_copy(update={"listener": settings.listener.model_copy(update={"port": port})})
        with TestClient(create_app(listening, lambda: dict(beats_of(engine)))) as client:
            for _ in range(100):
                heartbeat.beat()
                answer = client.get("/health")
                if answer.status_code == 200:
                    break
    engine.dispose()
    assert (answer.status_code, answer.json()["version"]) == (200, __version__)
    assert answer.json()["parts"]["worker"]["detail"] == "alive: w1"


def test_only_a_count_that_goes_on_proves_life() -> None:
    now, counts = [0.0], {"w": 5}
    pulse = Pulse(lambda: counts, patience_s=30, clock=lambda: now[0])
    pulse.feel()
    pulse.feel()
    assert not pulse.worker().ok
    counts["w"] = 6
    pulse.feel()
    assert pulse.worker().ok
    now[0] = 31
    pulse.feel()
    assert not pulse.worker().ok
    counts["new"] = 1
    pulse.feel()
    assert pulse.worker().detail == "alive: new"
    counts.clear()
    pulse.feel()
    assert not pulse.worker().ok


def test_the_outcome_on_disk_is_what_is_shown(client: TestClient, settings: Settings) -> None:
    kept = delivered(settings)
    on_disk = json.loads((settings.results / kept.key / "outcome.json").read_text())
    assert (
        client.get(f"/api/v1/studies/{kept.key}").json()["reports"][0]["findings"] == on_disk["reports"][0]["findings"]
    )
