"""What a result depends on, as hashes: code, images, settings; and where it was made."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from bundles.common.manifest import sha256_of
from bundles.common.strict import ConfigurationError
from pretraining.experiments.spec import ROOT
from pretraining.export import present_commit

SHARED = ("bundles/common", "pretraining")
# The report, the plots and the runner itself decide nothing about a figure of a run; the statistics do.
NO_MATTER = ("pretraining/experiments", "pretraining/cli")
MATTERS = ("pretraining/experiments/statistics",)
ENDINGS = (".py", ".yaml", ".json")
CONTENT_LIMIT = 4 * 2**30
CHANGED = "+changes"


def digest(value: Any) -> str:
    """16 hexadecimal digits of what JSON can hold, whatever the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def code_digest(configs: Iterable[str], root: Path = ROOT) -> str:
    """Hash of all code that a run may load: what bundles share, pretraining, and the bundles of its configurations.

    The content counts and not the commit: another commit of the same code gives the same.

    Args:
        configs: Files, from the repository's root.
        root: Of the repository.

    Raises:
        ConfigurationError: A file is missing.
    """
    folders = set(SHARED)
    files: set[Path] = set()
    for config in configs:
        path = root / config
        if not path.is_file():
            raise ConfigurationError(f"{config}: no such configuration; paths begin at the repository's root")
        files.add(path)
        parts = Path(config).parts
        if parts[0] == "bundles":
            folders.add("/".join(parts[:2]))
    for folder in folders:
        files |= {path for path in (root / folder).rglob("*") if path.suffix in ENDINGS and path.is_file()}
    named = {str(path.relative_to(root)) if path.is_relative_to(root) else str(path): path for path in files}
    chosen = set(configs)
    kept = {
        name: path
        for name, path in named.items()
        if name in chosen or name.startswith(MATTERS) or not name.startswith(NO_MATTER)
    }
    # Weights' manifests and cards are results, not code.
    kept = {name: path for name, path in kept.items() if "/models/" not in name and "/docs/" not in name}
    return digest({name: sha256_of(path) for name, path in sorted(kept.items())})


def files_digest(names: Iterable[str], root: Path = ROOT) -> str:
    """Hash of the content of single files, by their paths from the repository's root."""
    return digest({name: sha256_of(root / name) for name in names})


def data_digest(folder: Path, names: Iterable[str], datalist: Mapping[str, Any]) -> str:
    """Hash of a datalist and its images: of their content, or beyond 4 GiB of their sizes, which it says: "sizes-…"."""
    paths = {name: folder / name for name in names}
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    if sum(sizes.values()) > CONTENT_LIMIT:
        return f"sizes-{digest([datalist, sizes])}"
    return digest([datalist, {name: sha256_of(path) for name, path in paths.items()}])


def commit_beside(table: Path, root: Path = ROOT) -> str:
    """`present_commit`; the table of results and its page, which grow while experiments run, are no changes of code."""
    commit = present_commit()
    own = [f":(exclude){path.resolve()}" for path in (table, table.with_suffix(".md")) if _below(path, root)]
    if not commit.endswith(CHANGED) or not own:
        return commit
    command = ["git", "status", "--porcelain", "--untracked-files=no", "--", ".", *own]
    changed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()
    return commit if changed else commit.removesuffix(CHANGED)


def _below(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def machine() -> str:
    """Where something ran, without its name: processor, cores of this process, accelerator, torch."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{_processor()}, {cores()} cores{gpu}, torch {torch.__version__}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
