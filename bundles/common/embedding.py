"""Images to feature vectors with an exported encoder: what the bundles ssl_2d and ssl_3d do at inference.

An image is read by the one reader, brought into 0 to 1 as in its training (percentiles or a window), and fitted as a
whole into the encoder's size, proportions kept, on black.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from ignite.engine import Engine, Events
from monai.transforms import MapTransform
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bundles.common.encoder_weights import load_encoder
from bundles.common.headers import UnreadableImage
from bundles.common.outline import outline
from bundles.common.plain import is_nifti, is_picture
from bundles.common.reader import read_stack
from bundles.common.strict import ConfigurationError

log = structlog.get_logger()


def find_images(source: str, dimensions: int, limit: int = 0, *, unreadable: bool = False) -> list[dict[str, Any]]:
    """Images below a folder, of one file, or of a datalist.

    Args:
        source: A folder; one file; or a JSON file with a list of `{"image": path relative to it}`.
        dimensions: 2 lists every slice by itself; 3 lists NIfTI and multi-page files, and folders of DICOM files as one
            series each.
        limit: Take only so many; 0 takes all.
        unreadable: Also list files that claim to be images and cannot be read, so that reading them says why.

    Returns:
        Items `{"image": paths, "slice": index or None, "name": text}`, sorted by name.

    Raises:
        ConfigurationError: There is nothing to read.
    """
    root = Path(source)
    if not root.exists():
        raise ConfigurationError(f"{root} is missing; give --input FILE_OR_FOLDER")
    base, files = _listed(root)
    items: list[dict[str, Any]] = []
    series: dict[Path, list[Path]] = {}
    for path in files:
        name = str(path.relative_to(base)) if path.is_relative_to(base) else path.name
        try:
            found = outline(path)
        except UnreadableImage as error:
            items += _instead(path, name, error, unreadable=unreadable)
            continue
        if found is None:
            continue
        slices = found.shape[0]
        if dimensions == 2:
            items += [
                _item([path], k if slices > 1 else None, f"{name}#{k}" if slices > 1 else name) for k in range(slices)
            ]
        elif found.format == "dicom" and slices == 1:
            series.setdefault(path.parent, []).append(path)
        elif slices > 1:
            items.append(_item([path], None, name))
    for folder, paths in series.items():
        items.append(_item(paths, None, str(folder.relative_to(base)) if folder != base else folder.name))
    if not items:
        raise ConfigurationError(
            f"{root} holds no {dimensions}-D image: DICOM, NIfTI, PNG, TIFF or JPEG files were expected"
        )
    return sorted(items, key=lambda item: str(item["name"]))[: limit or None]


def _listed(root: Path) -> tuple[Path, list[Path]]:
    if root.is_dir():
        return root, sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    if root.suffix == ".json":
        entries = json.loads(root.read_text(encoding="utf-8"))
        return root.parent, [root.parent / entry["image"] for entry in entries]
    return root.parent, [root]


def _instead(path: Path, name: str, error: UnreadableImage, *, unreadable: bool) -> list[dict[str, Any]]:
    """What stands for a file that cannot be read: itself, so that reading it says why, or a line in the log."""
    if unreadable:
        return [_item([path], None, name)]
    log.warning("image_left_out", file=path.name, reason=str(error))
    return []


def _item(paths: list[Path], number: int | None, name: str) -> dict[str, Any]:
    return {"image": [str(path) for path in paths], "slice": number, "name": name}


class WholeImaged(MapTransform):  # type: ignore[misc]  # MONAI is untyped
    """Paths to a tensor (1, *size) of 0 to 1.

    Args:
        keys: Of the paths.
        size: (rows, columns) or (depth, rows, columns) in pixels.
        percentiles: Of the image that mean black and white.
        window: Values that mean black and white instead, in HU for CT.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        size: Sequence[int],
        percentiles: Sequence[float] = (1.0, 99.0),
        window: Sequence[float] | None = None,
    ) -> None:
        super().__init__(keys)
        self.size = tuple(int(side) for side in size)
        self.percentiles, self.window = tuple(percentiles), window
        self._last: tuple[tuple[str, ...], NDArray[np.float32]] | None = None

    def __call__(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Replace the paths by the image.

        Raises:
            UnreadableImage: The image cannot be read, or has the same value everywhere.
        """
        item = dict(data)
        for key in self.key_iterator(item):
            array = self._array(tuple(item[key]))
            number = item.get("slice")
            if len(self.size) == 2:
                array = array[0 if number is None else number]
            item[key] = fitted(torch.from_numpy(self._in_range(array, str(item["name"]))), self.size)
        item.pop("slice", None)
        return item

    def _array(self, paths: tuple[str, ...]) -> NDArray[np.float32]:
        # The slices of one file come one after the other: read it once.
        if self._last is None or self._last[0] != paths:
            first = Path(paths[0])
            single = len(paths) == 1 and (is_nifti(first) or is_picture(first))
            self._last = (paths, read_stack(first if single else [Path(path) for path in paths]).array)
        return self._last[1]

    def _in_range(self, array: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        black, white = self.window if self.window is not None else np.percentile(array, self.percentiles)
        if not black < white:
            black, white = float(array.min()), float(array.max())
        if not black < white:
            raise UnreadableImage(f"{name}: every pixel has the same value")
        scaled: NDArray[np.float32] = np.clip((array - black) / (white - black), 0, 1).astype(np.float32)
        return scaled


def fitted(image: Tensor, size: tuple[int, ...]) -> Tensor:
    """The whole image in the middle of a black one of this size, proportions kept.

    Args:
        image: (rows, columns) or (depth, rows, columns).
        size: As many axes.

    Returns:
        (1, *size).
    """
    factor = min(new / old for new, old in zip(size, image.shape, strict=True))
    inner = [min(new, max(1, round(old * factor))) for new, old in zip(size, image.shape, strict=True)]
    whole = image[None, None]
    if factor < 1:
        # Every source pixel counts: the mean over the area that becomes one pixel.
        scaled = functional.interpolate(whole, size=inner, mode="area")
    else:
        scaled = functional.interpolate(whole, size=inner, mode="bilinear" if len(size) == 2 else "trilinear")
    padding: list[int] = []
    for new, old in zip(reversed(size), reversed(inner), strict=True):
        before = (new - old) // 2
        padding += [before, new - old - before]
    return functional.pad(scaled[0], padding)


def load_complete(network: nn.Module, weights: str) -> None:
    """Fill the whole network with exported weights and switch to evaluation.

    Raises:
        ConfigurationError: The file is missing, damaged, or of another network.
    """
    load_encoder(network, Path(weights)).require_complete()
    network.eval()


def prepare_batch(
    batch: Mapping[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **_: Any
) -> tuple[Tensor, None]:
    """The image on the device; there is no label."""
    return batch["image"].to(device, non_blocking=non_blocking), None


class WriteEmbeddings:
    """One file with a vector for each image: `.npz` (`features` (images, features) float32, `names`) or `.parquet`.

    Args:
        path: Of the file; its ending decides.

    Raises:
        ConfigurationError: Another ending.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        if self.path.suffix not in {".npz", ".parquet"}:
            raise ConfigurationError(f"{path}: embeddings are written as .npz or .parquet")
        self.names: list[str] = []
        self.features: list[NDArray[np.float32]] = []

    def attach(self, engine: Engine) -> None:
        """Collect every batch; write at the end."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._take)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _take(self, engine: Engine) -> None:
        self.names += [str(name) for name in engine.state.batch["name"]]
        outputs = engine.state.output
        rows = [item["pred"] for item in outputs] if isinstance(outputs, list) else list(outputs["pred"])
        self.features += [row.detach().float().cpu().numpy() for row in rows]

    def _write(self, _engine: Engine) -> None:
        table = np.stack(self.features)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.suffix == ".npz":
            np.savez(self.path, features=table, names=np.array(self.names))
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.table({"name": self.names, "features": table.tolist()}), self.path)
        log.info("embeddings_written", file=str(self.path), images=len(table), features=table.shape[1])
