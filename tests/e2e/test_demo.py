"""The demonstration from end to end, with a quick bundle in the place of the real one."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from PIL import Image
from pydicom import dcmread

from app.demo.demo import COMPREHENSIVE_3D_SR, demonstrate
from app.errors import Rejected
from tests.integration.workflow.tiny import write_bundle

pytestmark = pytest.mark.timeout(280)


def test_every_study_comes_back_and_nothing_stays_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(tmp_path / "bundles")
    out = tmp_path / "demo"
    pages = []

    def look(address: str) -> None:
        pages.append(httpx.get(address).text)

    assert demonstrate(out, studies=2, seed=1, bundles=tmp_path / "bundles", keep=look) == 0
    assert [page.count("PHANTOM-") for page in pages] == [2]
    shown = capsys.readouterr().out
    assert "What came back" in shown
    assert "research only" in shown
    assert "1 of 2 answers are right; listed as wrong or without an answer:" in shown
    assert "study 1, head CT: intracranial hemorrhage called absent at" in shown
    for number in (1, 2):
        folder = out / f"study-{number}"
        assert dcmread(folder / "report.sr.dcm").SOPClassUID == COMPREHENSIVE_3D_SR
        assert {path.name for path in folder.iterdir()} == {
            "report.sr.dcm",
            "report.json",
            "key_image.dcm",
            "key_image.png",
        }
    with Image.open(out / "summary.png") as picture:
        assert picture.size == (2 * 372 + 12, 360 + 30 + 22 + 24 + 24)
    running = subprocess.run(["pgrep", "-f", str(out)], capture_output=True, text=True, check=False, timeout=10)
    assert running.stdout == ""


def test_refuses_to_clear_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Rejected, match="holds something else"):
        demonstrate(tmp_path, studies=1, seed=1)
    assert (tmp_path / "thesis.txt").exists()


def test_says_where_the_log_is_when_the_service_does_not_start(tmp_path: Path) -> None:
    contract = write_bundle(tmp_path / "bundles") / "configs" / "service.yaml"
    contract.write_text(contract.read_text().replace("Modality", "Modalty"))
    code = (
        "import sys; from pathlib import Path; from app.demo.demo import demonstrate; "
        "demonstrate(Path(sys.argv[1]), 1, 1, Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out"), str(tmp_path / "bundles")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "service.log" in done.stderr
    assert "did you mean 'Modality'" in (tmp_path / "out" / "service.log").read_text()
