"""What the first report would wait for is there before it: in a process of its own, as what is loaded stays loaded."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, sys
from pathlib import Path

opened = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)

from app.report import encode, warm_up
from tests.unit.report.factory import make_report, make_study

folder = Path(sys.argv[1])
report, study = make_report(), make_study(folder / "study")


def loaded():
    found = {"tables": sorted({path for path in opened if "highdicom" in path and path.endswith(".json")})}
    opened.clear()
    return {**found, "modules": sorted(sys.modules)}


opened.clear()
warm_up()
before = loaded()
assert not [document.problem for document in encode(report, study, folder / "out") if document.problem]
after = loaded()
print(json.dumps([before["tables"], after["tables"], sorted(set(after["modules"]) - set(before["modules"]))]))
"""


def test_the_first_report_finds_everything_loaded(root: Path, tmp_path: Path) -> None:
    """highdicom's tables of the standard, and every module of ours, of pydicom and of highdicom."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], check=True, timeout=120, cwd=root, stdout=subprocess.PIPE
    )
    before, after, modules = json.loads(done.stdout.splitlines()[-1])
    assert len(before) >= 3
    assert after == []
    assert [name for name in modules if name.partition(".")[0] in {"app", "highdicom", "pydicom"}] == []
