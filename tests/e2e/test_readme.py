"""The README is true: its commands run, in its order, as they stand there."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from app.cli.serve import free_port

READY_S = 120
SHRUNK = {
    "--count 720": "--count 9 --size 64",
    "--count 3000": "--count 12 --size 160",
    "--count 2400": "--count 12 --size 160",
    "hemorrhage/configs/train.yaml": "hemorrhage/configs/train.yaml --epochs 1 --limit 4 --batch_size 2",
    "wrist_fracture/configs/train.yaml": (
        "wrist_fracture/configs/train.yaml --head_epochs 1 --all_epochs 1 --limit 4 --batch_size 2 --size 64"
    ),
    "chest_radiograph/configs/train.yaml": (
        "chest_radiograph/configs/train.yaml --epochs 1 --limit 4 --batch_size 2 --size 64"
    ),
    "evaluate.yaml": "evaluate.yaml --limit 4 --replicates 10",
    "inference.yaml": "inference.yaml --limit 1",
}
"""What makes the research commands small; what they do stays the same."""


def blocks(readme: str) -> list[list[str]]:
    """Commands of every `sh` block, in order."""
    found = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    return [[line for line in block.splitlines() if line.strip()] for block in found]


@pytest.fixture(scope="module")
def readme(root: Path) -> list[list[str]]:
    return blocks((root / "README.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of the test's own and free ports, so that a service that runs here already is left alone."""
    folder = tmp_path_factory.mktemp("readme")
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "VIGIL_LISTENER__PORT": str(free_port("127.0.0.1")),
        "VIGIL_LISTENER__HOST": "127.0.0.1",
        "VIGIL_HTTP__PORT": str(free_port("127.0.0.1")),
        "VIGIL_SPOOL__FOLDER": str(folder / "spool"),
        "VIGIL_SPOOL__MIN_FREE_MB": "1",
        "VIGIL_RESULTS": str(folder / "results"),
        "VIGIL_RUN": str(folder / "run"),
        "VIGIL_DATABASE__URL": f"sqlite:///{folder}/vigil.sqlite",
        "README_FOLDER": str(folder),
    }


def command(line: str, environment: dict[str, str]) -> list[str]:
    """The line as it is run here: this interpreter, this test's folders and ports."""
    line = line.replace("var/", f"{environment['README_FOLDER']}/")
    if " send " in line:
        line += f" --port {environment['VIGIL_LISTENER__PORT']}"
    for long, short in SHRUNK.items():
        line = line.replace(long, short)
    if "monai.bundle" in line:
        kind = next((kind for kind in ("wrist", "chest") if kind in line), "")
        line += f" --dataset_dir {environment['README_FOLDER']}/phantoms{kind and '_' + kind}"
        line += f" --output_dir {environment['README_FOLDER']}/bundle{kind}"
    return [sys.executable if word == ".venv/bin/python" else word for word in shlex.split(line)]


def run(line: str, environment: dict[str, str], root: Path) -> str:
    done = subprocess.run(
        command(line, environment), cwd=root, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def service(readme: list[list[str]], environment: dict[str, str], root: Path) -> Iterator[None]:
    """What the reader starts in the first terminal."""
    (line,) = [line for block in readme for line in block if " serve --config" in line]
    process = subprocess.Popen(
        command(line, environment), cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + READY_S
    url = f"http://127.0.0.1:{environment['VIGIL_HTTP__PORT']}/health"
    try:
        while True:
            try:
                with urlopen(url) as answer:
                    if answer.status == 200:
                        break
            except (URLError, ConnectionError):
                assert process.poll() is None, "the service of the README ended"
                assert time.monotonic() < deadline, "the service of the README never became healthy"
                time.sleep(0.5)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_every_make_verb_of_the_readme_exists(readme: list[list[str]], root: Path) -> None:
    verbs = [line for block in readme for line in block if line.startswith("make ")]
    assert "make demo" in verbs
    for line in verbs:
        assert subprocess.run([*line.split(), "--dry-run"], cwd=root, capture_output=True, check=False).returncode == 0


@pytest.mark.usefixtures("service")
def test_the_commands_of_the_second_terminal(readme: list[list[str]], environment: dict[str, str], root: Path) -> None:
    (block,) = [block for block in readme if any(" send " in line for line in block)]
    outputs = [run(line, environment, root) for line in block]
    assert "2" in outputs[1]
    assert outputs[2].strip()


def research(readme: list[list[str]], about: str) -> list[str]:
    """The only block of `monai.bundle` commands about one kind of images."""
    (block,) = [block for block in readme if any("monai.bundle" in line and about in line for line in block)]
    return block


def test_the_commands_for_heads(readme: list[list[str]], environment: dict[str, str], root: Path) -> None:
    for line in research(readme, "head_ct"):
        run(line, environment, root)
    assert (Path(environment["README_FOLDER"]) / "bundle" / "evaluation.json").is_file()


def test_the_commands_for_radiographs(readme: list[list[str]], environment: dict[str, str], root: Path) -> None:
    for line in research(readme, "wrist_fracture"):
        run(line, environment, root)
    for kind in ("wrist", "chest"):
        assert (Path(environment["README_FOLDER"]) / f"bundle{kind}" / "checkpoint.pt").is_file()


def test_the_links_of_the_readme_lead_somewhere(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (root / link).exists()] == []


def rows(page: str) -> set[tuple[str, ...]]:
    """What was measured, and its bound, in the rows of the table of benchmarks."""
    table = page.partition("| What | Measured | Bound |")[2].partition("\n\n")[0].splitlines()[2:]
    return {tuple(cell.strip() for cell in line.strip("|").split(" | "))[1:] for line in table}


def test_the_measurements_of_the_readme_are_those_of_the_whole_table(root: Path) -> None:
    short, whole = ((root / name).read_text(encoding="utf-8") for name in ("README.md", "docs/measurements.md"))
    assert len(rows(short)) == 5
    assert rows(short) <= rows(whole)
    of_a_run = re.compile(r"2 cores of an AMD EPYC, without a GPU, [\d-]+, [\d:]+ UTC")
    assert of_a_run.findall(short) == of_a_run.findall(whole) != []


def test_the_packages_can_be_given_to_apt_as_they_stand(root: Path) -> None:
    """By xargs, as the README says, and by .ci/run, which takes every line for a package: no comments, no blanks."""
    lines = (root / ".ci" / "packages").read_text().splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", line)] == []
