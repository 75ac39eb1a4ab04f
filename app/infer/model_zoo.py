"""A Model Zoo bundle as the catalogue holds it: what it says of itself, and what it will measure. Imports no torch."""

from dataclasses import dataclass
from pathlib import Path

from app.codes import code_of
from app.errors import Failed
from app.findings import Algorithm
from app.structures import ClassScore, Structure
from bundles.common.contract import Service
from bundles.common.manifest import sha256_of
from bundles.common.model_zoo.configuration import Configuration, read_configuration
from bundles.common.model_zoo.declared import Declared, read_declared
from bundles.common.model_zoo.routing import service_of
from bundles.common.strict import ConfigurationError


@dataclass(frozen=True, slots=True)
class ModelZoo:
    """What is known of a Model Zoo bundle before it is built.

    Attributes:
        declared: Its metadata.
        configuration: Its configuration, fitted to the service.
        service: The contract that stands for the one it did not bring.
        algorithm: Who will have said what it says: research, whatever its metadata claim.
    """

    declared: Declared
    configuration: Configuration
    service: Service
    algorithm: Algorithm

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What it is to outline, not measured yet."""
        if self.declared.task != "segmentation":
            return ()
        return tuple(Structure(label.name, *code_of(label.name)) for label in self.declared.labels)

    @property
    def classes(self) -> tuple[ClassScore, ...]:
        """What it is to tell apart, not scored yet."""
        if self.declared.task != "classification":
            return ()
        return tuple(ClassScore(label.name, code_of(label.name)[0]) for label in self.declared.labels)


def load_model_zoo(root: Path) -> ModelZoo:
    """Read a bundle folder, and hash its weights.

    Raises:
        Failed: It cannot be served; the sentence says why.
    """
    try:
        declared = read_declared(root)
        configuration = read_configuration(root, declared)
        service = service_of(declared)
        sha256 = sha256_of(root / configuration.weights)
    except ConfigurationError as error:
        raise Failed(str(error)) from error
    except OSError as error:
        raise Failed(f"{root}: {error.strerror}") from error
    algorithm = Algorithm(
        name=root.name,
        version=declared.version,
        weights_sha256=sha256,
        training_data=declared.training_data,
        status="research",
        title=declared.title,
    )
    return ModelZoo(declared, configuration, service, algorithm)
