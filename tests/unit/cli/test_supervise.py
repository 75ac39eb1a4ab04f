"""Real process trees of tiny children: restart, order of stopping, refusal, death of the parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import Failed
from app.supervise import Patience, alone, fresh_metrics_folder

pytestmark = pytest.mark.timeout(60)

TREE = """
import sys
from app.supervise import Command, Patience, Tree
from pathlib import Path

folder = Path(sys.argv[1])
commands = [Command(name, (sys.executable, "-c", code, str(folder))) for name, code in {children!r}.items()]
patience = Patience(first_pause_s=0.05, stop_s={stop_s}, poll_s=0.02)
ready = lambda: all((folder / f"{{command.name}}.started").exists() for command in commands)
tell = lambda: (folder / "ready").touch()
sys.exit(Tree(commands, {{"COLOUR": "red"}}, patience, ready, tell).run())
"""
CHILD = """
import os, signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
def stop(*_):
    with open(folder / "stops", "a") as file:
        file.write("{name} ")
    sys.exit(0)
signal.signal(signal.SIGTERM, {handler})
from app.ready import tell_ready
with open(folder / "{name}.started", "a") as file:
    file.write(f"{{os.getpid()}} {{os.environ['COLOUR']}}\\n")
{then}
{tell}
while True:
    time.sleep(0.05)
"""


def child(name: str, then: str = "", handler: str = "stop", tell: str = "tell_ready()") -> str:
    return CHILD.format(name=name, then=then, handler=handler, tell=tell)


class Running:
    def __init__(self, folder: Path, children: dict[str, str], stop_s: float = 5) -> None:
        self.folder = folder
        code = TREE.format(children=children, stop_s=stop_s)
        self.process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stderr=subprocess.DEVNULL)

    def lines(self, name: str) -> list[str]:
        path = self.folder / f"{name}.started"
        return path.read_text().splitlines() if path.exists() else []

    def pids(self, name: str) -> list[int]:
        return [int(line.split()[0]) for line in self.lines(name)]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_in_order_and_says_so(tmp_path: Path, number: int) -> None:
    tree = Running(tmp_path, {name: child(name) for name in ("listener", "worker", "web")})
    until((tmp_path / "ready").exists)
    assert tree.end(number) == 0
    assert (tmp_path / "stops").read_text() == "listener worker web "
    assert tree.lines("web")[0].endswith(" red")


def test_restarts_a_crashed_child_alone(tmp_path: Path) -> None:
    tree = Running(tmp_path, {"a": child("a"), "b": child("b")})
    until((tmp_path / "ready").exists)
    os.kill(tree.pids("a")[0], signal.SIGKILL)
    until(lambda: len(tree.pids("a")) == 2)
    assert len(tree.pids("b")) == 1
    assert tree.end() == 0


def test_gives_up_where_a_child_refuses_to_start(tmp_path: Path) -> None:
    tree = Running(tmp_path, {"a": child("a"), "b": child("b", "time.sleep(0.3); sys.exit(2)")})
    assert tree.process.wait(20) == 2
    assert len(tree.pids("b")) == 1
    until(lambda: not is_alive(tree.pids("a")[0]))


def test_kills_a_child_that_does_not_stop(tmp_path: Path) -> None:
    tree = Running(tmp_path, {"deaf": child("deaf", handler="signal.SIG_IGN")}, stop_s=0.3)
    until((tmp_path / "ready").exists)
    assert tree.end() == 1
    assert not is_alive(tree.pids("deaf")[0])


def test_children_die_with_a_killed_parent(tmp_path: Path) -> None:
    tree = Running(tmp_path, {"a": child("a"), "b": child("b")})
    until((tmp_path / "ready").exists)
    tree.end(signal.SIGKILL)
    until(lambda: not is_alive(tree.pids("a")[0]) and not is_alive(tree.pids("b")[0]))


@pytest.mark.parametrize("tell", ["", "os.close(int(os.environ['SUPERVISOR_READY_FD']))"])
def test_is_not_ready_before_every_child_has_told_so(tmp_path: Path, tell: str) -> None:
    """Whatever somebody else answers: here the question of the tree is always answered with yes."""
    (tmp_path / "silent.started").touch()
    tree = Running(tmp_path, {"a": child("a"), "silent": child("silent", tell=tell)})
    until(lambda: tree.lines("a") and tree.lines("silent"))
    time.sleep(0.5)
    assert not (tmp_path / "ready").exists()
    assert tree.end() == 0


def test_a_child_that_died_after_it_told_does_not_count(tmp_path: Path) -> None:
    """The first dies once the other is there; only its second life, with `again` on disk, makes the tree ready."""
    dies = "if not (folder / 'again').exists(): tell_ready(); (folder / 'again').touch(); sys.exit(1)"
    waits = "while not (folder / 'go').exists(): time.sleep(0.02)"
    tree = Running(tmp_path, {"a": child("a", dies), "b": child("b", waits)})
    until(lambda: len(tree.lines("a")) == 2)
    assert not (tmp_path / "ready").exists()
    (tmp_path / "go").touch()
    until((tmp_path / "ready").exists)
    assert tree.end() == 0


def test_a_second_tree_of_one_installation_is_refused(tmp_path: Path) -> None:
    refusal = pytest.raises(Failed, match=r"runs already on these settings .*serve.lock")
    with alone(tmp_path), refusal, alone(tmp_path):
        pytest.fail("two at once")
    with alone(tmp_path):
        pass


def test_waits_longer_after_each_crash() -> None:
    patience = Patience(first_pause_s=0.5, longest_pause_s=30)
    assert [patience.pause_s(crashes) for crashes in (1, 2, 3, 7, 100)] == [0.5, 1, 2, 30, 30]


def test_metrics_folder_starts_empty(tmp_path: Path) -> None:
    stale = fresh_metrics_folder(tmp_path) / "counter_1.db"
    stale.touch()
    assert list(fresh_metrics_folder(tmp_path).iterdir()) == []
