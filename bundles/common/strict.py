"""Configuration for people: YAML into one typed, frozen class, unknown keys refused with the nearest known one."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Tag, ValidationError


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
        name, holder = _walk(item["loc"], model)
        match item["type"]:
            case "extra_forbidden":
                problems.append(f"unknown key '{name}'{nearest(str(item['loc'][-1]), list(holder.model_fields))}")
            case "union_tag_invalid":
                key = item["ctx"]["discriminator"].strip("_()'")
                known = [each.strip("' ") for each in item["ctx"]["expected_tags"].split(",")]
                problems.append(f"{name}.{key}: unknown '{item['ctx']['tag']}'{nearest(item['ctx']['tag'], known)}")
            case "missing":
                problems.append(f"{name}: {item['msg']}")
            case "value_error":
                problems.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
            case _:
                problems.append(f"{name}: {item['msg']} (got {item['input']!r})")
    return "; ".join(problems)


def _walk(location: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, type[BaseModel]]:
    """Give the name that the user wrote, without pydantic's tags of unions, and the class that holds the last key."""
    holder, choices, name = model, dict[str, type[BaseModel]](), list[str]()
    for part in map(str, location):
        if part in choices:
            holder, choices = choices[part], {}
            continue
        name.append(part)
        field = holder.model_fields.get(part)
        if field is not None:
            choices = _models_in(field.annotation)
            holder = next(iter(choices.values()), holder)
    return ".".join(name), holder


def _models_in(annotation: object, tag: str = "") -> dict[str, type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {tag: annotation}
    parts = get_args(annotation)
    tag = next((part.tag for part in parts if isinstance(part, Tag)), tag)
    return {key: found for part in parts for key, found in _models_in(part, tag).items()}
