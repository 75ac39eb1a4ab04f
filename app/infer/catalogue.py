"""The bundles on disk: which can be served, and why the others cannot. Imports no torch."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from app.errors import Failed
from app.findings import FINDING_KINDS, Algorithm
from app.infer.model_zoo import ModelZoo, load_model_zoo
from app.settings import Bundles
from app.structures import ClassScore, Structure
from bundles.common.contract import Service, load_service
from bundles.common.model_zoo.declared import is_model_zoo
from bundles.common.strict import ConfigurationError, nearest
from bundles.common.views import ViewContract, load_view_contract

CONTRACT = Path("configs/service.yaml")
METADATA = Path("configs/metadata.json")
WEIGHTS = Path("models/model.pt")
MANIFEST = Path("models/manifest.json")
# What `"kind"` in the metadata says of bundles that are not made to be served, and why.
VIEW = "view"
NOT_SERVED: Mapping[str, str] = MappingProxyType(
    {
        "pretraining": "for pretraining: it makes encoders for other bundles and finds nothing itself",
        VIEW: "for routing: it says what the picture of a radiograph shows and finds nothing itself",
    }
)


OPT_IN = (
    "for those who ask for it (opt_in in its configs/service.yaml): name it in bundles.enabled, with all others that "
    "shall be served"
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """One servable bundle.

    Attributes:
        name: Of its folder.
        root: The folder.
        service: Its contract with the service.
        algorithm: Who will have said what it says.
        input_shape: (channel, …) of the network's input as the metadata document it; empty where any size goes.
        model_zoo: What it says of itself, where it was written for MONAI's Model Zoo and not for this service.
    """

    name: str
    root: Path
    service: Service
    algorithm: Algorithm
    input_shape: tuple[int, ...] = ()
    model_zoo: ModelZoo | None = None

    @property
    def structures(self) -> tuple[Structure, ...]:
        """What a Model Zoo bundle is to outline; () for all others."""
        return () if self.model_zoo is None else self.model_zoo.structures

    @property
    def classes(self) -> tuple[ClassScore, ...]:
        """What a Model Zoo bundle is to tell apart; () for all others."""
        return () if self.model_zoo is None else self.model_zoo.classes


@dataclass(frozen=True, slots=True)
class ViewBundle:
    """The bundle that tells the views of radiographs apart.

    Attributes:
        name: Of its folder.
        root: The folder.
        contract: What its output means.
    """

    name: str
    root: Path
    contract: ViewContract


@dataclass(frozen=True, slots=True)
class Refused:
    """A bundle that is not served, with the reason in words."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every bundle of one installation.

    Attributes:
        bundles: The servable ones by name.
        refused: The others, kept to be shown.
        not_served: Those that say themselves that they are not made to be served; no error.
        views: The first by name that tells views apart; None where there is none.
    """

    bundles: Mapping[str, Bundle]
    refused: tuple[Refused, ...] = ()
    not_served: tuple[Refused, ...] = ()
    views: ViewBundle | None = None

    @classmethod
    def load(cls, settings: Bundles) -> "Catalogue":
        """Read every bundle folder that has the service's contract and metadata, or that is laid out as the Model Zoo's
        are, and check its weights.

        A bundle that is named in `enabled` and is missing counts as refused (the nearest known name is told), as does
        one whose files do not fit, one whose name an earlier folder has, and a further folder that is missing.
        """
        served: dict[str, Bundle] = {}
        refused: list[Refused] = []
        roots = _roots(settings, refused)
        there = [name for name, root in roots.items() if _is_candidate(root)]
        waiting = [] if settings.enabled else [name for name in there if _is_opt_in(roots[name])]
        for name in settings.enabled or [name for name in there if name not in waiting]:
            try:
                served[name] = load_bundle(_expected(settings, name, roots, there))
            except Failed as error:
                refused.append(Refused(name, str(error)))
        views = _find_views(roots.values(), refused)
        not_served = (*_declared_not_served(roots.values()), *(Refused(name, OPT_IN) for name in waiting))
        return cls(MappingProxyType(served), tuple(refused), not_served, views)

    @property
    def services(self) -> Mapping[str, Service]:
        """The contracts by bundle name, as routing takes them."""
        return MappingProxyType({name: bundle.service for name, bundle in self.bundles.items()})

    def get(self, name: str) -> Bundle:
        """Find a servable bundle.

        Raises:
            Failed: There is none of that name; the message tells why.
        """
        if name in self.bundles:
            return self.bundles[name]
        reasons = [refusal.reason for refusal in self.refused if refusal.name == name]
        raise Failed(f"bundle '{name}' is not served: {reasons[0] if reasons else 'no such folder'}")


def load_bundle(root: Path) -> Bundle:
    """Read one bundle folder and check that its weights are those of its manifest.

    Raises:
        Failed: A file is missing or wrong, a finding is unknown, the hash of the weights differs, or the bundle is not
            made to be served.
    """
    if reason := _reason_not_to_serve(root):
        raise Failed(f"bundle '{root.name}' is {reason}; take it out of bundles.enabled")
    if is_model_zoo(root):
        found = load_model_zoo(root)
        return Bundle(root.name, root, found.service, found.algorithm, model_zoo=found)
    try:
        service = load_service(root)
    except ConfigurationError as error:
        raise Failed(str(error)) from error
    for output in service.findings:
        if output.finding not in FINDING_KINDS:
            known = nearest(output.finding, list(FINDING_KINDS))
            raise Failed(f"{root / CONTRACT}: unknown finding '{output.finding}'{known}")
    metadata = _mapping(root / METADATA)
    manifest = _mapping(root / MANIFEST)
    algorithm = Algorithm(
        name=root.name,
        version=_text(metadata, "version", root / METADATA),
        weights_sha256=_checked_hash(root, _text(manifest, "sha256", root / MANIFEST)),
        training_data=_text(manifest, "training_data", root / MANIFEST),
        status=service.status,
        title=service.title,
    )
    return Bundle(root.name, root, service, algorithm, _input_shape(metadata))


def load_view_bundle(root: Path) -> ViewBundle:
    """Read a view bundle's contract, and check that its weights are those of its manifest.

    Raises:
        Failed: A file is missing or wrong, or the hash of the weights differs.
    """
    try:
        contract = load_view_contract(root)
    except ConfigurationError as error:
        raise Failed(str(error)) from error
    _checked_hash(root, _text(_mapping(root / MANIFEST), "sha256", root / MANIFEST))
    return ViewBundle(root.name, root, contract)


def _roots(settings: Bundles, refused: list[Refused]) -> dict[str, Path]:
    """Every folder that may be a bundle, by name in order; what cannot be meant is added to `refused`."""
    found: dict[str, Path] = {}
    for folder in (settings.folder, *settings.also):
        if not folder.is_dir():
            if folder != settings.folder:
                refused.append(Refused(folder.name, f"bundles.also: no folder {folder}; make it, or take it out"))
            continue
        for root in folder.iterdir():
            if not root.is_dir() or found.setdefault(root.name, root) == root:
                continue
            if _is_candidate(root) or _kind_of(root):
                words = f"{root}: another bundle of this name lies in {found[root.name].parent}; rename the folder"
                refused.append(Refused(root.name, words))
    return dict(sorted(found.items()))


def _find_views(roots: Iterable[Path], refused: list[Refused]) -> ViewBundle | None:
    """The first by name that can be used; those before it that cannot are added to `refused`."""
    for root in roots:
        if _kind_of(root) != VIEW:
            continue
        try:
            return load_view_bundle(root)
        except Failed as error:
            refused.append(Refused(root.name, str(error)))
    return None


def _is_candidate(root: Path) -> bool:
    """Whether a folder is laid out as a bundle that is made to be served."""
    return (
        (root / METADATA).is_file()
        and ((root / CONTRACT).is_file() or is_model_zoo(root))
        and not _reason_not_to_serve(root)
    )


def _is_opt_in(root: Path) -> bool:
    """Whether a bundle's contract says that it waits to be asked for; one whose contract is wrong is refused later."""
    if not (root / CONTRACT).is_file():
        return False
    try:
        return load_service(root).opt_in
    except ConfigurationError:
        return False


def _declared_not_served(roots: Iterable[Path]) -> tuple[Refused, ...]:
    return tuple(Refused(root.name, reason) for root in roots if (reason := _reason_not_to_serve(root)))


def _reason_not_to_serve(root: Path) -> str:
    """Why a bundle says that it is not made to be served; "" where it says nothing, or nothing legible."""
    return NOT_SERVED.get(_kind_of(root), "")


def _kind_of(root: Path) -> str:
    """`"kind"` of a bundle's metadata; "" where it says nothing, or nothing legible."""
    if not (root / METADATA).is_file():
        return ""
    try:
        return str(_mapping(root / METADATA).get("kind", ""))
    except Failed:
        return ""


def _expected(settings: Bundles, name: str, roots: Mapping[str, Path], there: list[str]) -> Path:
    if name not in roots:
        folders = " or ".join(str(folder) for folder in (settings.folder, *settings.also))
        known = nearest(name, there) if there else f"; no bundle lies in {folders}, set bundles.folder"
        raise Failed(f"bundles.enabled: no bundle '{name}' in {folders}{known}")
    return roots[name]


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise Failed(f"{path}: not valid JSON: {error}") from error
    if not isinstance(raw, dict):
        raise Failed(f"{path}: expected a JSON object, got {type(raw).__name__}")
    return raw


def _text(raw: Mapping[str, Any], key: str, path: Path) -> str:
    value = raw.get(key)
    if value is None or not str(value).strip():
        raise Failed(f"{path}: '{key}' is missing")
    return str(value)


def _input_shape(metadata: Mapping[str, Any]) -> tuple[int, ...]:
    """(channel, …) of `network_data_format.inputs.image`; empty where a size is open ("*", "16*n") or not given."""
    image = metadata.get("network_data_format", {}).get("inputs", {}).get("image", {})
    shape = (image.get("num_channels"), *image.get("spatial_shape", ()))
    return shape if len(shape) > 1 and all(isinstance(size, int) and size > 0 for size in shape) else ()


def _checked_hash(root: Path, expected: str) -> str:
    path = root / WEIGHTS
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from error
    if found != expected.lower():
        raise Failed(
            f"{path}: sha256 is {found[:12]}…, {MANIFEST} says {expected[:12]}…; "
            "take weights and manifest from the same commit"
        )
    return found
