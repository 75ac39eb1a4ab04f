"""Messages of `dciodvfy` (dicom3tools 1.00~20220618) that stand for no fault of ours, each with its reason.

A pattern is a regular expression for a whole line that starts with "Error". Keep it narrow: name the attribute.
"""

import re
import subprocess
from pathlib import Path

ALLOWED: tuple[tuple[str, str], ...] = ()


def errors(path: Path) -> list[str]:
    """What dciodvfy calls an error in a file and no reason here excuses."""
    done = subprocess.run(["dciodvfy", path], capture_output=True, timeout=60, check=False)
    lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    found = [line for line in lines if line.startswith("Error")]
    return [line for line in found if not any(re.fullmatch(pattern, line) for pattern, _ in ALLOWED)]
