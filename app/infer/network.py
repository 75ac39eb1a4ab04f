"""One bundle, built: its network with weights, and its own preprocessing, inferer and postprocessing."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

import bundles
from app.errors import Failed
from app.infer.catalogue import WEIGHTS, Bundle, ViewBundle

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Network:
    """What inference needs of a bundle, ready to run.

    Attributes:
        module: In evaluation mode, on its device.
        preprocessing: {"image": [paths]} → item with "image" (channel, …).
        inferer: (inputs (batch, channel, …), network) → outputs.
        postprocessing: Item with "pred" → item with the outputs that the contract names.
        device: Where `module` lies.
    """

    module: torch.nn.Module
    preprocessing: Callable[[Item], Item]
    inferer: Callable[..., Any]
    postprocessing: Callable[[Item], Item]
    device: torch.device


def build(bundle: Bundle | ViewBundle, device: torch.device) -> Network:
    """Build a bundle's network from `configs/inference.*` and load its weights (`weights_only=True`).

    Raises:
        Failed: The configuration lacks an id, cannot be instantiated, or the weights do not fit the network.
    """
    with _importable(bundle.root):
        parser = _parse(bundle.root)
        parser["bundle_root"] = str(bundle.root)
        parser["device"] = device
        parts = {name: _instantiate(parser, name, bundle) for name in ("network_def", "preprocessing", "inferer")}
        postprocessing = _instantiate(parser, "postprocessing", bundle)
    module = parts["network_def"]
    try:
        state = torch.load(bundle.root / WEIGHTS, map_location="cpu", weights_only=True)
        module.load_state_dict(state)
    except (RuntimeError, TypeError, KeyError, OSError) as error:
        raise Failed(f"bundle '{bundle.name}': {WEIGHTS} does not fit its network: {_first_line(error)}") from error
    module.to(device).eval().requires_grad_(requires_grad=False)
    return Network(module, parts["preprocessing"], parts["inferer"], postprocessing, device)


def first_of_batch(value: Any) -> Any:
    """Take the only item of a batch of one out of a network's output: a tensor, or a mapping or sequence of them."""
    if isinstance(value, torch.Tensor):
        return value[0].cpu()
    if isinstance(value, Mapping):
        return {key: first_of_batch(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(first_of_batch(each) for each in value)
    return value


def _parse(root: Path) -> ConfigParser:
    for suffix in (".yaml", ".yml", ".json"):
        path = root / "configs" / f"inference{suffix}"
        if path.is_file():
            parser = ConfigParser()
            parser.read_config(str(path))
            return parser
    raise Failed(f"bundle '{root.name}': configs/inference.yaml (or .json) is missing")


def _instantiate(parser: ConfigParser, name: str, bundle: Bundle | ViewBundle) -> Any:
    if name not in parser:
        raise Failed(f"bundle '{bundle.name}': configs/inference.* has no '{name}'")
    try:  # a bundle is foreign code: whatever it raises means that it cannot be served
        return parser.get_parsed_content(name)
    except Exception as error:
        raise Failed(f"bundle '{bundle.name}': '{name}' cannot be built: {_first_line(error)}") from error


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Let a bundle's configuration find its code, without letting two bundles share a `scripts` package.

    Our own bundles name `bundles.<name>.scripts`, wherever their folder lies; Model Zoo bundles name `scripts`
    relative to their root. The latter modules leave `sys.modules` afterwards; what was built keeps them alive.
    """
    folder, inside = str(root.parent.resolve()), str(root.resolve())
    if folder not in bundles.__path__:
        bundles.__path__.append(folder)
    sys.path.insert(0, inside)
    try:
        yield
    finally:
        sys.path.remove(inside)
        for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
            del sys.modules[name]


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
