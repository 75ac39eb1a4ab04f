"""Sets of phantom radiographs for training: pictures and a datalist with boxes and labels."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from PIL import Image

from app.demo.phantoms.radiographs.kinds import VIEW_CLASSES, kind_of, make_radiograph, view_class
from app.demo.phantoms.radiographs.radiograph import Radiograph, stored
from app.demo.phantoms.radiographs.writer import to_dataset
from app.demo.phantoms.training_set import DATALIST, case_seed, one_thread, progress_bar, split

FORMATS = ("png", "dicom")


def line_of(radiograph: Radiograph, image: str) -> dict[str, Any]:
    """A radiograph as a line of a datalist.

    Args:
        radiograph: What was drawn.
        image: Its path, relative to the datalist's folder.

    Returns:
        `boxes` are edges (x0, y0, x1, y1) in pixels of the written image, x to the right, y down; `classes` has one for
        each: 0 lesion and 1 pneumothorax in chests, 0 fracture in wrists. `labels` are of the whole image, 0 or 1.
    """
    return {
        "image": image,
        "boxes": radiograph.boxes,
        "classes": radiograph.classes,
        "labels": dict(radiograph.labels),
        "patient": f"PHANTOM-{radiograph.kind}-{radiograph.seed}",
        "seed": radiograph.seed,
        "kind": radiograph.kind,
        "view": radiograph.view,
        "view_class": view_class(radiograph.kind),
        "view_name": VIEW_CLASSES[view_class(radiograph.kind)],
        "side": radiograph.side,
        "age": radiograph.age,
        "sex": radiograph.sex,
        "findings": [mark.kind for mark in radiograph.marks],
        "sizes_mm": [mark.size_mm for mark in radiograph.marks],
        "pitch_mm": round(radiograph.pitch_mm, 5),
        "rows": int(radiograph.picture.shape[0]),
        "columns": int(radiograph.picture.shape[1]),
    }


def _save(radiograph: Radiograph, path: Path) -> None:
    """Write 16-bit PNG or DICOM by the name's end; the name appears when the file is whole."""
    partial_path = path.with_name(f".{path.name}")
    if path.suffix == ".png":
        Image.fromarray(stored(radiograph.picture, 16)).save(partial_path, format="PNG", compress_level=1)
    else:
        to_dataset(radiograph).save_as(partial_path, enforce_file_format=True)
    partial_path.replace(path)


def write_image(folder: Path, kind: str, seed: int, size: int, form: str) -> dict[str, Any]:
    """Write one radiograph into `folder/cases`, unless it is there already, and return its line.

    Raises:
        ValueError: The case is there in another size.
    """
    cases = folder / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    path = cases / f"{kind}-{seed}.{'png' if form == 'png' else 'dcm'}"
    note = cases / f"{path.name}.json"
    if note.exists() and path.exists():
        line: dict[str, Any] = json.loads(note.read_text())
        if line["rows"] != size:
            raise ValueError(f"{path} has {line['rows']} rows, not {size}: use another folder for another size")
        return line
    radiograph = make_radiograph(kind, seed, size)
    _save(radiograph, path)
    line = line_of(radiograph, str(path.relative_to(folder)))
    partial_note = note.with_name(f".{note.name}")
    partial_note.write_text(json.dumps(line))
    partial_note.replace(note)
    return line


def write_image_set(  # noqa: PLR0917
    folder: Path,
    kind: str,
    count: int,
    seed: int,
    workers: int = 2,
    size: int = 512,
    *,
    form: str = "png",
    held_out: bool = False,
) -> Path:
    """Write radiographs and their datalist; cases that are there already are kept.

    Args:
        folder: Receives `cases/` and `datalist.json`.
        kind: One of `kinds.KINDS`, or `views` for all in turns, or `other-views`.
        count: Images, split 35 : 4 : 6 into training, validation and test; each is a patient of its own.
        seed: Of the set; the same seed gives the same set.
        workers: Processes.
        size: Rows; chests and other views are square, wrists narrower.
        form: png (16 bits, bone bright) or dicom.
        held_out: Every case is a test case.

    Returns:
        Path of the datalist, lines as `line_of` says.

    Raises:
        ValueError: The kind or format is not known.
    """
    if form not in FORMATS:
        raise ValueError(f"no format {form}; choose one of {', '.join(FORMATS)}")
    folder.mkdir(parents=True, exist_ok=True)
    # Where kinds take turns, neighbours share a class with the split's places; a shift a round spreads them evenly.
    wanted = [(kind_of(kind, index + index // 45), case_seed(seed, index)) for index in range(count)]
    lines: dict[int, dict[str, Any]] = {}
    with one_thread(), progress_bar() as progress:
        task = progress.add_task("radiographs", total=count)
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(write_image, folder, name, number, size, form) for name, number in wanted]
            for future in as_completed(futures):
                line = future.result()
                lines[line["seed"]] = line
                progress.advance(task)
    lists = split([lines[number] for _, number in wanted], held_out=held_out)
    path = folder / DATALIST
    partial_path = path.with_name(f".{DATALIST}")
    partial_path.write_text(json.dumps(lists, indent=1))
    partial_path.replace(path)
    return path
