"""The Makefile for people and for pipes."""

import os
import pty
import subprocess
from pathlib import Path


def test_help_is_bold_on_a_terminal_and_plain_in_a_pipe(root: Path) -> None:
    piped = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True, timeout=30)
    assert "\033" not in piped.stdout + piped.stderr
    assert "  make demo         Start the service" in piped.stdout
    shown = on_terminal(root, "make", "help")
    assert "  \033[1mmake demo        \033[0m Start the service" in shown
    assert shown.replace("\033[1m", "").replace("\033[0m", "").replace("\r\n", "\n") == piped.stdout


def on_terminal(folder: Path, *command: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=folder, stdout=theirs) as process:
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 4096):
                written += chunk
        except OSError:  # how Linux tells that the other end was closed
            pass
        assert process.wait(30) == 0
    os.close(ours)
    return written.decode()
