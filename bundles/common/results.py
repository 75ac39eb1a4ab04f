"""Where results of inference go, JSON and masks, and what becomes of images that cannot be read."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import structlog
import torch
from ignite.engine import Engine, Events
from torch.utils.data import IterableDataset, get_worker_info

log = structlog.get_logger()


class WriteResults:
    """Writes one JSON an image or case, with `notes` where the reader found something odd.

    Args:
        folder: Receives `<name>.json`, folders of the input's names kept.
        as_plain: From a postprocessed item to what the JSON says of it.
    """

    def __init__(self, folder: str, as_plain: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self.folder, self.as_plain = Path(folder), as_plain

    def attach(self, engine: Engine) -> None:
        """Write after each batch."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        for item, given in zip(engine.state.output, engine.state.batch, strict=True):
            path = self.folder / f"{given['name']}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            result = {"image": given["name"], **self.as_plain(item), **_notes(given)}
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            log.info("image_analysed", result=str(path))


class WriteMasks:
    """Writes the mask of each volume as NIfTI, on the grid of its source: 0, or the number of the lesion.

    Its name ends in `_mask.nii.gz`, so that a listing of images leaves it out.

    Args:
        folder: Receives `<name>_mask.nii.gz`, folders of the input's names kept.
        key: Of the mask in a postprocessed item, (columns, rows, slices), whole numbers.
        affine: Of its affine in the item that went in, (4, 4), index (column, row, slice) to RAS millimetres.
    """

    def __init__(self, folder: str, key: str, affine: str = "source_affine") -> None:
        self.folder, self.key, self.affine = Path(folder), key, affine

    def attach(self, engine: Engine) -> None:
        """Write after each batch."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._write)

    def _write(self, engine: Engine) -> None:
        for item, given in zip(engine.state.output, engine.state.batch, strict=True):
            name = given["name"].removesuffix(".gz").removesuffix(".nii")
            path = self.folder / f"{name}_mask.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            # What came in with the batch stays there, what postprocessing added is in the output.
            labels, affine = (torch.as_tensor(each).cpu().numpy() for each in (item[self.key], given[self.affine]))
            image = nibabel.Nifti1Image(labels, affine.astype(np.float64))
            image.header.set_xyzt_units("mm")
            nibabel.save(image, path)
            log.info("mask_written", mask=str(path))


class EachReadable(IterableDataset[Any]):
    """Images after preprocessing; one that cannot be read or prepared is said and left out, and the others go on.

    Args:
        data: Items with `name`.
        transform: Preprocessing.
    """

    def __init__(self, data: Sequence[Mapping[str, Any]], transform: Callable[[Any], Any]) -> None:
        self.data, self.transform = data, transform
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Any]:
        """Prepare one after the other, in this process: others could not tell what they left out."""
        if get_worker_info() is not None:
            raise RuntimeError("num_workers must be 0 here")
        self.problems.clear()
        for item in self.data:
            try:
                prepared = self.transform(dict(item))
            except Exception as error:  # noqa: BLE001  # whatever is wrong with one image, the others are wanted
                why = _root(error).removeprefix(f"{item['name']}: ")
                self.problems.append(f"{item['name']}: {why}")
                log.warning("image_left_out", image=item["name"], why=why)
            else:
                yield prepared

    def finish(self) -> None:
        """End with an error where images were left out, so that nobody takes the results for complete.

        Raises:
            ValueError: Names them all.
        """
        if self.problems:
            count = f"{len(self.problems)} of {len(self.data)} images have no result"
            raise ValueError("\n".join((count, *self.problems)))


def _notes(given: Mapping[str, Any]) -> dict[str, list[str]]:
    """What the reader found odd about an image: a file of its series that could not be read, for one."""
    notes = getattr(given.get("image"), "meta", {}).get("notes") or ()
    return {"notes": [str(note) for note in notes]} if notes else {}


def _root(error: BaseException) -> str:
    """MONAI wraps what a transform raises, several times: the first cause, in its own words."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
