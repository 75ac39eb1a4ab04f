import subprocess
import sys
from pathlib import Path


def test_the_first_report_finds_everything_loaded(root: Path) -> None:
    """In a process of its own: what is loaded stays loaded."""
    program = (
        "import time\n"
        "from app.report import warm_up\n"
        "def seconds():\n"
        "    started = time.perf_counter(); warm_up(); return time.perf_counter() - started\n"
        "first, second = seconds(), seconds()\n"
        "assert second < first / 3, (first, second)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, cwd=root)
