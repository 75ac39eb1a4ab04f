"""Print what a stage of the image installs, from pyproject.toml: `requirements.py service` or `requirements.py train`.

torch and itk are left out: the Dockerfile chooses which build of torch and which parts of itk.
"""

# ruff: noqa: INP001  a script of the build, no module of ours

import re
import sys
import tomllib
from pathlib import Path

CHOSEN_BY_THE_DOCKERFILE = {"torch", "itk"}


def requirements(project: Path, stage: str) -> list[str]:
    """The requirements of a stage.

    Args:
        project: A pyproject.toml.
        stage: `service`: what the project depends on. `train`: its extra of that name.
    """
    declared = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    wanted = declared["dependencies"] if stage == "service" else declared["optional-dependencies"][stage]
    return [each for each in wanted if re.split(r"[^A-Za-z0-9_.-]", each)[0].lower() not in CHOSEN_BY_THE_DOCKERFILE]


if __name__ == "__main__":
    sys.stdout.writelines(f"{each}\n" for each in requirements(Path("pyproject.toml"), sys.argv[1]))
