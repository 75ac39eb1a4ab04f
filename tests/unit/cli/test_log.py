"""What reaches the log: structure, and no patient data."""

import json
import logging
import warnings

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.log import WITHHELD, configure, withhold_patient_data
from app.settings import Log
from app.study import uid_hash

UID = "1.2.826.0.1.3680043.8.498.12345678901234567890"


@pytest.fixture(autouse=True)
def _restore():
    yield
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.basicConfig(handlers=[], force=True)


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_writes_json_with_event_level_role_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="json"), "worker")
    structlog.get_logger().info("study_begun", instances=3)
    (record,) = records(capsys)
    assert set(record) == {"event", "level", "role", "timestamp", "instances"}
    assert (record["event"], record["level"], record["role"]) == ("study_begun", "info", "worker")


def test_follows_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(level="warning", format="json"))
    structlog.get_logger().info("quiet")
    logging.getLogger("some.library").info("quiet too")
    logging.getLogger("some.library").warning("loud")
    assert [record["event"] for record in records(capsys)] == ["loud"]


@pytest.mark.parametrize("name", ["PatientName", "patient_name", "patient_id", "StudyInstanceUID", "dataset"])
def test_withholds_fields_of_the_patient(name: str) -> None:
    assert withhold_patient_data(None, "info", {"event": "x", name: "Doe^Jane"}) == {"event": "x", name: WITHHELD}


def test_hashes_instance_uids_and_keeps_those_of_the_standard() -> None:
    event = {"event": f"study {UID} broke", "uids": [UID], "sop_class": "1.2.840.10008.5.1.4.1.1.2", "version": "3.0.4"}
    hashed = f"uid:{uid_hash(UID)[:12]}"
    assert withhold_patient_data(None, "info", event) == {
        "event": f"study {hashed} broke",
        "uids": [hashed],
        "sop_class": "1.2.840.10008.5.1.4.1.1.2",
        "version": "3.0.4",
    }


@given(st.lists(st.integers(0, 10**12), min_size=5, max_size=9), st.text("abc (),:'\"", max_size=9))
def test_no_instance_uid_survives(parts: list[int], around: str) -> None:
    uid = "2." + ".".join(map(str, parts))
    event = withhold_patient_data(None, "info", {"event": f"{around} {uid} {around}"})
    assert uid not in event["event"]


def test_silences_what_libraries_say_of_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(level="debug", format="json"))
    for name in ("pynetdicom.acse", "uvicorn.access", "dbos"):
        logging.getLogger(name).info("received Doe^Jane")
    logging.getLogger("pydicom").warning("invalid value Doe^Jane")
    warnings.warn("Invalid value for VR UI: '1.2.3'", UserWarning, stacklevel=1)
    assert records(capsys) == []


def test_a_traceback_shows_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Log(format="console"))
    patient = "Doe^Jane"
    try:
        {}[len(patient)]
    except KeyError:
        structlog.get_logger().exception("broke")
    shown = capsys.readouterr().err
    assert "KeyError: 8" in shown
    assert "Doe^Jane" not in shown
