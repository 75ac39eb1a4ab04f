"""What the worker asks of the C library, in processes of their own: it cannot be taken back."""

import subprocess
import sys
from pathlib import Path

WORK = """
import resource, sys, threading
import torch
from app.infer.edges import reuse_memory, trim

def layers():
    for _ in range(40):
        torch.ones(40_000_000).add_(1)

if sys.argv[1] == "reuse":
    reuse_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=layers)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
trim()
print(next(line for line in open("/proc/self/status") if line.startswith("VmRSS:")).split()[1])
"""
PAGES = 40_000_000 * 4 // 4096


def run(root: Path, how: str) -> tuple[int, int]:
    """Page faults of forty layers, and megabytes held after `trim`."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, how], cwd=root, capture_output=True, text=True, timeout=240, check=True
    )
    faults, kilobytes = done.stdout.split()
    return int(faults), int(kilobytes) // 1024


def test_layers_of_a_network_share_their_memory_and_trim_gives_it_back(root: Path) -> None:
    usual, held_usually = run(root, "as it comes")
    assert usual > 39 * PAGES
    reused, held = run(root, "reuse")
    assert reused < 13 * PAGES
    assert held < held_usually + 100
