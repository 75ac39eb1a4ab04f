"""A Model Zoo bundle's `configs/inference.*`, looked at without running any of it, and fitted to the service.

A configuration is code: what stands behind `$` is evaluated when it is built. Here it is only read.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from bundles.common.model_zoo.declared import INFERENCE, METADATA, Declared
from bundles.common.model_zoo.names import is_installed, known_to_monai
from bundles.common.strict import ConfigurationError, nearest, read_mapping

WEIGHTS = Path("models/model.pt")
TORCHSCRIPT = Path("models/model.ts")
LARGE_FILES = ("large_files.yml", "large_files.yaml", "large_files.json")
USED = ("network_def", "preprocessing", "inferer", "postprocessing")
READER = "bundles.common.monai_reader.SeriesReader"
REFERENCE = re.compile(r"[@%](\w+)")
DEEPEST = 40

LOADERS = frozenset({"LoadImaged", "LoadImageD", "LoadImageDict"})
WRITERS = frozenset(
    f"{name}{end}" for name in ("SaveImage", "SaveClassification", "WriteFileMapping") for end in ("d", "D", "Dict")
)
DISCRETE = frozenset({"AsDiscreted", "AsDiscreteD", "AsDiscreteDict"})
ACTIVATIONS = frozenset({"Activationsd", "ActivationsD", "ActivationsDict"})
INVERSE = frozenset({"Invertd", "InvertD", "InvertDict"})

NEEDING_SKIMAGE = re.compile(r"^(KeepLargestConnectedComponent|RemoveSmallObjects)(d|D|Dict)?$")
"""MONAI asks for scikit-image only when these run: in the middle of a study."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is built of a bundle.

    Attributes:
        content: Its configuration with our reader in place of its own, and nothing that writes files.
        weights: A state dict (`model.pt`) or TorchScript (`model.ts`).
        inverts: Whether its postprocessing brings the output back to the grid of the image.
        scores: What numbers a classification gives: `given` by an activation of its own; `likeliest`, where it only
            picks the largest of its raw outputs; else `unknown`.
    """

    content: Mapping[str, Any]
    weights: Path
    inverts: bool
    scores: Literal["given", "likeliest", "unknown"]


def read_configuration(root: Path, declared: Declared) -> Configuration:
    """Read and fit a configuration.

    Raises:
        ConfigurationError: It lacks a part, names what is not installed, or has no weights.
    """
    content = deepcopy(_content(root))
    weights = _weights(root)
    _check_version(root)
    wanted = [key for key in USED[:3] if key not in content and (key, weights.suffix) != ("network_def", ".ts")]
    if wanted:
        raise _refused(root, f"configs/inference.* has no '{wanted[0]}'")
    _check_imports(root, content)
    reachable = _reachable(content)
    for component in _components({key: content[key] for key in reachable}):
        if problem := _problem_of(root, component["_target_"]):
            raise _refused(root, problem)
    if not any(_name(each) in LOADERS for each in _components(content["preprocessing"], content)):
        raise _refused(root, "its preprocessing has no LoadImaged, so the service cannot give it an image")
    after = list(_components(content.get("postprocessing"), content))
    fitted = {key: _fitted(value, declared) for key, value in content.items()}
    return Configuration(fitted, weights, any(_name(each) in INVERSE for each in after), _scores(after))


def _scores(after: Sequence[Mapping[str, Any]]) -> Literal["given", "likeliest", "unknown"]:
    if any(_name(each) in ACTIVATIONS for each in after):
        return "given"
    picks = any(_name(each) in DISCRETE and each.get("argmax") is True for each in after)
    return "likeliest" if picks else "unknown"


def _content(root: Path) -> dict[str, Any]:
    path = next((root / each for each in INFERENCE if (root / each).is_file()), None)
    if path is None:
        raise _refused(root, "configs/inference.json (or .yaml) is missing")
    if path.suffix != ".json":
        return read_mapping(path)
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path}: expected a JSON object, got {type(raw).__name__}")
    return raw


def _weights(root: Path) -> Path:
    for path in (WEIGHTS, TORCHSCRIPT):
        if (root / path).is_file():
            return path
    if any((root / name).is_file() for name in LARGE_FILES):
        hint = f"fetch them: python -m monai.bundle download_large_files --bundle_path {root}"
        raise _refused(root, f"{WEIGHTS} is missing; its large_files list names what to load: {hint}")
    raise _refused(root, f"{WEIGHTS} (or {TORCHSCRIPT}) is missing; put the weights there")


def _check_version(root: Path) -> None:
    """A bundle of a newer MONAI may use what this one has not, or has otherwise."""
    metadata = json.loads((root / METADATA).read_text(encoding="utf-8"))
    wanted, here = str(metadata.get("monai_version", "")), version("monai")
    if _release(wanted) > _release(here):
        raise _refused(root, f"it was made for MONAI {wanted}, and {here} is installed")
    required = metadata.get("required_packages_version") or {}
    for package in required if isinstance(required, Mapping) else ():
        try:
            version(str(package))
        except PackageNotFoundError:
            raise _refused(root, f"it requires the package '{package}', which is not installed") from None


def _release(text: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else ()


def _check_imports(root: Path, content: Mapping[str, Any]) -> None:
    lines = content.get("imports", content.get("import", ()))
    for line in lines if isinstance(lines, list) else ():
        try:
            tree = ast.parse(str(line).lstrip("$"))
        except (SyntaxError, ValueError):
            raise _refused(root, f"'imports' holds a line that is no import: {line!r}") from None
        for node in ast.walk(tree):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            missing = [name for name in names if not is_installed(name, root)]
            if missing:
                raise _refused(root, f"it imports '{missing[0]}', which is not installed")


def _reachable(content: Mapping[str, Any]) -> list[str]:
    """Keys of all that is built when the used parts are; a reference is `@key` or `%key`."""
    found: list[str] = []
    waiting = [key for key in USED if key in content]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.append(key)
            waiting += [name for text in _texts(content[key]) for name in REFERENCE.findall(text) if name in content]
    return found


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth < DEEPEST:
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
        for part in parts:
            yield from _texts(part, depth + 1)


def _components(value: Any, content: Mapping[str, Any] | None = None, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Everything with a `_target_` that is not disabled; with all the `content`, also behind references to its keys."""
    if depth >= DEEPEST:
        return
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str) and value.get("_disabled_") is not True:
            yield value
        for part in value.values():
            yield from _components(part, content, depth + 1)
    elif isinstance(value, list):
        for part in value:
            yield from _components(part, content, depth + 1)
    elif isinstance(value, str) and content is not None:
        for name in REFERENCE.findall(value):
            if name in content and name not in USED:
                yield from _components(content[name], content, depth + 1)


def _problem_of(root: Path, target: str) -> str:
    """Why a `_target_` cannot be found, in words; "" where it seems to be there."""
    first, _, rest = target.partition(".")
    if target.startswith(("$", "@", "%")):
        return ""
    if not rest or first == "monai":
        names = known_to_monai()
        name = target.rpartition(".")[2]
        if NEEDING_SKIMAGE.match(name) and not is_installed("skimage", root):
            return f"'{target}' needs scikit-image, which is not installed"
        return "" if name in names else f"'{target}' is unknown to MONAI {version('monai')}{_near(name, names)}"
    return "" if is_installed(first, root) else f"'{target}' is not installed"


def _near(name: str, names: frozenset[str]) -> str:
    hint = nearest(name, sorted(names))
    return hint if "did you mean" in hint else ""


def _fitted(value: Any, declared: Declared) -> Any:
    """Give images by our reader, write no file, and leave classes their numbers."""
    if isinstance(value, Mapping):
        if _name(value) in LOADERS:
            return _loader(value, declared)
        return {key: _fitted(part, declared) for key, part in value.items()}
    if isinstance(value, list):
        kept = [part for part in value if not _left_out(part, declared)]
        return [_fitted(part, declared) for part in _decided(kept)]
    return value


def _decided(steps: Sequence[Any]) -> list[Any]:
    """Bring labels back by nearest neighbour: some bundles interpolate their numbers, and between 0 and 2 lies 1."""
    fitted, labels = [], False
    for step in steps:
        name = _name(step) if isinstance(step, Mapping) else ""
        labels = labels or name in DISCRETE
        fitted.append({**step, "nearest_interp": True} if labels and name in INVERSE else step)
    return fitted


def _left_out(part: Any, declared: Declared) -> bool:
    name = _name(part) if isinstance(part, Mapping) else ""
    return name in WRITERS or (declared.task == "classification" and name in DISCRETE)


def _loader(value: Mapping[str, Any], declared: Declared) -> dict[str, Any]:
    """One transform that reads as theirs would: a volume as (columns, rows, slices), an image as (columns, rows)."""
    kept = {key: value[key] for key in ("keys", "_disabled_") if key in value}
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "reader": READER, "image_only": True, "keys": kept.get("keys", "image")}
    ]
    if declared.modalities == ("CT",):
        steps[0]["units"] = "HU"
    if declared.dimensions == 2:
        steps.append({"_target_": "SqueezeDimd", "dim": -1, "keys": steps[0]["keys"]})
    if value.get("ensure_channel_first"):
        steps.append({"_target_": "EnsureChannelFirstd", "keys": steps[0]["keys"]})
    return {"_target_": "Compose", "transforms": steps, **{key: kept[key] for key in ("_disabled_",) if key in kept}}


def _name(component: Mapping[str, Any]) -> str:
    """The class of a component, without its module; "" where there is none."""
    target = component.get("_target_")
    return target.rpartition(".")[2] if isinstance(target, str) else ""


def _refused(root: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"Model Zoo bundle '{root.name}' cannot be served: {reason}")
