"""What `python -m bundles.verify` asks of a Model Zoo bundle: whether the service can serve it, part by part."""

from pathlib import Path

import torch

from bundles.common.model_zoo.building import Parts, build, own_scripts
from bundles.common.model_zoo.configuration import Configuration, read_configuration
from bundles.common.model_zoo.declared import Declared, read_declared
from bundles.common.model_zoo.routing import regions_of
from bundles.common.strict import ConfigurationError

CPU = torch.device("cpu")
LARGEST_TRIAL = 160**3
"""Voxels of a trial pass: more takes minutes."""


def check_declared(bundle: Path) -> str:
    """Its metadata say what it reads and what its output means."""
    declared = read_declared(bundle)
    words = f"{declared.task} of {len(declared.labels)} in {'/'.join(declared.modalities)}"
    regions = regions_of(declared.told)
    return f"{words}; routed by {'words for ' + ', '.join(regions) if regions else 'modality alone'}"


def check_configuration(bundle: Path) -> str:
    """Its configuration has the parts that are used, names only what is installed, and there are weights."""
    configuration = read_configuration(bundle, read_declared(bundle))
    grid = "undone by itself" if configuration.inverts else "undone by the service"
    return f"weights {configuration.weights}; changes of the grid are {grid}"


def check_building(bundle: Path) -> str:
    """Network, preprocessing, inferer and postprocessing are built, and the weights fit."""
    _, _, parts = _built(bundle)
    return f"{sum(parameter.numel() for parameter in parts.module.parameters()):,} parameters"


def check_trial(bundle: Path) -> str:
    """Zeros of the documented size go through the network, and come out with the documented channels.

    Raises:
        ConfigurationError: They have others.
    """
    declared, _, parts = _built(bundle)
    sizes = [side for side in declared.patch if isinstance(side, int)]
    if len(sizes) < len(declared.patch) or int(torch.tensor(sizes).prod()) > LARGEST_TRIAL:
        return "not tried: the documented size is open, or large"
    with torch.inference_mode():
        output = parts.inferer(torch.zeros(1, 1, *sizes), parts.module)
    if output.shape[1] != declared.channels:
        raise ConfigurationError(f"the network gives {output.shape[1]} channels, the metadata say {declared.channels}")
    return f"{' x '.join(map(str, sizes))} in, {' x '.join(str(side) for side in output.shape[1:])} out"


CHECKS = (check_declared, check_configuration, check_building, check_trial)


def _built(bundle: Path) -> tuple[Declared, Configuration, Parts]:
    declared = read_declared(bundle)
    configuration = read_configuration(bundle, declared)
    with own_scripts(bundle):
        return declared, configuration, build(bundle, declared, configuration, CPU)
