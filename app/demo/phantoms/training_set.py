"""Training sets of phantom head CTs: NIfTI volumes, label masks and a datalist."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import nibabel
import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.demo.phantoms.baseline import area_under_curve, threshold_baseline
from app.demo.phantoms.fields import stream
from app.demo.phantoms.phantom import Phantom, make_phantom

DATALIST = "datalist.json"
_CYCLE = 45
_TEST, _VALIDATION = frozenset({4, 9, 19, 24, 34, 39}), frozenset({7, 17, 29, 40})
Made = TypeVar("Made")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the datalist.

    Attributes:
        image, mask: Paths relative to the datalist's folder.
        seed: Draws the phantom again.
        label: 1 with any bleed.
        types: Flags in the order of `app.demo.phantoms.bleeds.KINDS`, None where withheld.
        slices: One flag for each slice along the image's third axis, None where withheld.
    """

    image: str
    mask: str
    seed: int
    label: int
    types: list[int] | None
    slices: list[int] | None


def nifti_affine(phantom: Phantom) -> NDArray[np.float64]:
    """(column, row, slice, 1) to RAS millimetres; sheared where the gantry was tilted."""
    return ras_affine(phantom.acquisition.affine_lps)


def ras_affine(affine_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """(slice, row, column, 1) to LPS as (column, row, slice, 1) to RAS, millimetres, 4×4."""
    return np.asarray(_LPS_TO_RAS @ affine_lps[:, [2, 1, 0, 3]])


def save_nifti(array: NDArray[Any], affine: NDArray[np.float64], path: Path) -> None:
    """Write (slices, rows, columns) as NIfTI (columns, rows, slices); the name appears when the file is whole."""
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
    image.set_qform(affine, code=0)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    partial_path = path.with_name(f".{path.name}")
    nibabel.save(image, partial_path)
    partial_path.replace(path)


def case_seed(seed: int, index: int) -> int:
    """Seed of one case of a set; never shared by two cases of one set."""
    return seed * 1_000_000 + index


def write_case(folder: Path, seed: int, size: int) -> Item:
    """Write one case into `folder/cases`, unless it is there already, and return its item."""
    cases = folder / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    note = cases / f"{seed}.json"
    if note.exists():
        return Item(**json.loads(note.read_text()))
    phantom = make_phantom(seed, size)
    affine = nifti_affine(phantom)
    image, mask = cases / f"{seed}.nii.gz", cases / f"{seed}_mask.nii.gz"
    save_nifti(phantom.volume_hu, affine, image)
    save_nifti(phantom.mask, affine, mask)
    truth = phantom.truth
    item = Item(
        image=str(image.relative_to(folder)),
        mask=str(mask.relative_to(folder)),
        seed=seed,
        label=int(truth.presence),
        types=[int(flag) for flag in truth.types],
        slices=[int(flag) for flag in truth.slices],
    )
    partial_note = note.with_name(f".{note.name}")
    partial_note.write_text(json.dumps(asdict(item)))
    partial_note.replace(note)
    return item


def withhold(item: Item, share: float) -> dict[str, Any]:
    """The item as it stands in the datalist, its type and slice labels withheld each with probability `share`."""
    line = asdict(item)
    rng = stream(item.seed, "withheld labels")
    for key in ("types", "slices"):
        if rng.random() < share:
            line[key] = None
    return line


def split(lines: list[dict[str, Any]], *, held_out: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Cut into training, validation and test, 35 : 4 : 6, or put everything into the test list.

    Each phantom is a patient of its own, so no patient is in two lists. A case stays in its list when the set grows.
    """
    lists: dict[str, list[dict[str, Any]]] = {"training": [], "validation": [], "test": []}
    if held_out:
        return {**lists, "test": lines}
    for index, line in enumerate(lines):
        place = index % _CYCLE
        lists["test" if place in _TEST else "validation" if place in _VALIDATION else "training"].append(line)
    return lists


@contextmanager
def one_thread() -> Iterator[None]:
    """Let child processes use one thread each: the cases run in parallel, the arithmetic within one need not."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def progress_bar() -> Progress:
    """The bar that shows how many cases are written."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )


def in_parallel(write: Callable[[int], Made], count: int, seed: int, workers: int) -> list[Made]:
    """Write the cases of a set in processes of one thread each, with a progress bar.

    Args:
        write: Makes the case of one seed; must be picklable.
        count: Cases.
        seed: Of the set.
        workers: Processes.

    Returns:
        What `write` returned, in the order of the set.
    """
    made: dict[int, Made] = {}
    with one_thread(), progress_bar() as progress:
        task = progress.add_task("phantoms", total=count)
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = {pool.submit(write, case_seed(seed, index)): index for index in range(count)}
            for future in as_completed(futures):
                made[futures[future]] = future.result()
                progress.advance(task)
    return [made[index] for index in range(count)]


def write_lists(folder: Path, lists: dict[str, list[dict[str, Any]]]) -> Path:
    """Write `folder/datalist.json`; the name appears when the file is whole."""
    path = folder / DATALIST
    partial_path = path.with_name(f".{DATALIST}")
    partial_path.write_text(json.dumps(lists, indent=1))
    partial_path.replace(path)
    return path


def write_training_set(
    folder: Path,
    count: int,
    seed: int,
    workers: int = 2,
    size: int = 256,
    *,
    withheld: float = 0.0,
    held_out: bool = False,
) -> Path:
    """Write phantoms as NIfTI with a datalist; cases that are there already are kept.

    Args:
        folder: Receives `cases/` and `datalist.json`.
        count: Cases, split 35 : 4 : 6 into training, validation and test (700 : 80 : 120 of 900).
        seed: Of the set; the same seed gives the same set.
        workers: Processes.
        size: Rows and columns.
        withheld: Share of the training items whose type, and whose slice, labels are null in the datalist.
        held_out: Every case is a test case: a set to measure finished weights on.

    Returns:
        Path of the datalist: `{"training": […], "validation": […], "test": […]}`, items as `Item` says.
    """
    items = in_parallel(partial(write_case, folder, size=size), count, seed, workers)
    lists = split([asdict(item) for item in items], held_out=held_out)
    lists["training"] = [withhold(Item(**line), withheld) for line in lists["training"]]
    return write_lists(folder, lists)


def join_training_sets(folder: Path, sets: Sequence[Path]) -> Path:
    """Put the lists of several training sets together, training to training and test to test; images stay in place.

    Raises:
        ValueError: A set has no datalist, or two sets were drawn from the same seed.
    """
    lists: dict[str, list[dict[str, Any]]] = {"training": [], "validation": [], "test": []}
    seen: set[str] = set()
    for one in sets:
        if not (one / DATALIST).is_file():
            raise ValueError(f"{one / DATALIST} is missing; make the set with `python -m app phantoms training-set`")
        for name, lines in json.loads((one / DATALIST).read_text()).items():
            for line in lines:
                case = str(line.get("patient", line["seed"]))
                if case in seen:
                    raise ValueError(f"{one} repeats the case of seed {line['seed']}: a case must not be in two lists")
                seen.add(case)
                files = {key: str((one / line[key]).resolve()) for key in ("image", "mask") if key in line}
                lists[name].append({**line, **files})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DATALIST
    path.write_text(json.dumps(lists, indent=1))
    return path


@dataclass(frozen=True, slots=True)
class BaselineScores:
    """AUC for presence of counting bright voxels: as they are, and after in-plane smoothing against the noise."""

    raw: float
    smoothed: float
    cases: int


def baseline_auc(datalist: Path, part: str = "test") -> BaselineScores:
    """AUC of `threshold_baseline` for presence over one list of a training set."""
    lines = json.loads(datalist.read_text())[part]
    raw, smoothed, labels = [], [], []
    for line in lines:
        image = nibabel.load(datalist.parent / line["image"])
        affine = image.affine
        pixel, step = float(np.linalg.norm(affine[:3, 0])), float(np.linalg.norm(affine[:3, 2]))
        volume = np.asarray(image.dataobj).transpose(2, 1, 0)
        raw.append(threshold_baseline(volume, pixel, step, smooth_mm=0.0))
        smoothed.append(threshold_baseline(volume, pixel, step))
        labels.append(bool(line["label"]))
    truth = np.array(labels)
    return BaselineScores(
        raw=area_under_curve(np.array(raw), truth),
        smoothed=area_under_curve(np.array(smoothed), truth),
        cases=len(labels),
    )
