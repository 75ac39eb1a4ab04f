"""Which commit this is: written into the image when it is built, else asked of git."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILE = Path(__file__).with_name("COMMIT")
"""Made by the build of an image (`echo $COMMIT > app/COMMIT`); not in the repository."""
LENGTH = 12


@cache
def commit() -> str:
    """The commit's first digits; "unknown" where neither the image nor git tells."""
    if FILE.is_file():
        return FILE.read_text(encoding="ascii").strip()[:LENGTH] or "unknown"
    if not (ROOT / ".git").exists():
        return "unknown"
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", f"--short={LENGTH}", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return found.stdout.strip()
