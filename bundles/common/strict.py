"""Configuration for people: YAML into one typed, frozen class, unknown keys refused with the nearest known one."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class ConfigurationError(ValueError):
    """A configuration that cannot be used; the message names the file, the key, and what to write instead."""


class Strict(BaseModel):
    """Base of every configuration class: frozen, unknown keys forbidden."""

    model_config = ConfigDict(frozen=True, extra="forbid")


StrictModel = TypeVar("StrictModel", bound=BaseModel)


def read_mapping(path: Path, hint: str = "") -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping; an empty file is an empty mapping.

    Raises:
        ConfigurationError: The file is missing, is not YAML, or holds something else than a mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}{hint}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: not valid YAML: {error}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path}: expected a mapping, got {type(raw).__name__}")
    return raw


def validate(model: type[StrictModel], raw: dict[str, Any], where: str) -> StrictModel:
    """Turn a mapping into `model`.

    Raises:
        ConfigurationError: With every problem, each with its key and, for unknown keys, the nearest known one.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ConfigurationError(f"{where}: {_explain(error, model)}") from error


def nearest(word: str, known: list[str]) -> str:
    """Suggest the nearest known word: ", did you mean 'priority'?", or list what is known."""
    match = get_close_matches(word, known, n=1, cutoff=0.5)
    return f", did you mean '{match[0]}'?" if match else f"; known: {', '.join(sorted(known))}"


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    problems = []
    for item in error.errors():
        location = item["loc"]
        name = ".".join(str(part) for part in location)
        if item["type"] == "extra_forbidden":
            problems.append(f"unknown key '{name}'{nearest(str(location[-1]), _keys_at(location[:-1], model))}")
        else:
            problems.append(f"{name}: {item['msg']} (got {item['input']!r})")
    return "; ".join(problems)


def _keys_at(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    current = model
    for part in location:
        field = current.model_fields.get(str(part))
        if field is not None:
            current = _model_in(field.annotation) or current
    return list(current.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
