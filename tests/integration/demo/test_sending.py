"""The demonstration's sender on a machine that has no time: tried again, and an error that says where to look."""

from pathlib import Path

import pytest

from app.demo.demo import SEND_ATTEMPTS, send_study
from app.demo.pacs import Faults, Pacs
from app.errors import Failed
from tests.unit.report.factory import make_study


@pytest.mark.parametrize("faults", [Faults(abort=True, times=2), Faults(status=0xA700, times=2)])
def test_what_was_not_taken_is_sent_again_and_nothing_else(tmp_path: Path, faults: Faults) -> None:
    make_study(tmp_path / "in", slices=4)
    with Pacs(tmp_path / "pacs", ae_title="VIGIL", faults=faults) as service:
        send_study(tmp_path / "in", service.port, tmp_path / "service.log")
        assert len(service.arrived) == len({each.sop_instance_uid for each in service.arrived}) == 4


@pytest.mark.parametrize("faults", [Faults(abort=True), Faults(hang_s=30), Faults(reject="transient")])
def test_a_service_that_never_takes_it_is_given_up_and_its_log_named(tmp_path: Path, faults: Faults) -> None:
    make_study(tmp_path / "in", slices=1)
    log = tmp_path / "service.log"
    with Pacs(tmp_path / "pacs", ae_title="VIGIL", faults=faults) as service:
        with pytest.raises(Failed, match=f"not taken in {SEND_ATTEMPTS} attempts: .*; see {log}"):
            send_study(tmp_path / "in", service.port, log, timeout_s=0.5)
        assert service.arrived == ()
