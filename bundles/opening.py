"""How the checks open a bundle: its files, its configurations unbuilt, its modules, and no noise from MONAI."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

import bundles


class Problem(Exception):
    """What a bundle lacks, and what to do about it."""


def unbuilt(bundle: Path, kind: str) -> Any:
    """A bundle's workflow whose properties are looked up, not built: no data are needed to check a configuration."""
    from monai.bundle import ConfigWorkflow

    class Unbuilt(ConfigWorkflow):  # type: ignore[misc]
        def _get_property(self, name: str, property: dict[str, Any]) -> Any:  # noqa: A002
            try:
                found = self._get_prop_id(name, property)
            except KeyError as error:
                raise AttributeError(name) from error
            return None if found is None else self.parser[found]

    return Unbuilt(
        config_file=str(bundle / f"configs/{kind}.yaml"),
        meta_file=str(bundle / "configs/metadata.json"),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(bundle),
    )


def read_metadata(bundle: Path) -> dict[str, Any]:
    """`configs/metadata.json`."""
    try:
        raw = json.loads((bundle / "configs/metadata.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise Problem(f"configs/metadata.json: {error.strerror}") from error
    except ValueError as error:
        raise Problem(f"configs/metadata.json is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise Problem("configs/metadata.json holds no object")
    return raw


def optional_yaml(path: Path) -> dict[str, Any]:
    """A mapping from a YAML file; {} where there is no file."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if not isinstance(raw, dict):
        raise Problem(f"{path.name} holds no mapping")
    return raw


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MONAI's logs, prints and warnings away from the table."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


@contextmanager
def importable(bundle: Path) -> Iterator[None]:
    """Let `bundles.<name>.scripts` be found wherever the folder lies."""
    folder = str(bundle.resolve().parent)
    added = folder not in bundles.__path__
    if added:
        bundles.__path__.append(folder)
    try:
        yield
    finally:
        if added:
            bundles.__path__.remove(folder)
