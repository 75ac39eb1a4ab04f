"""LIDC-IDRI's radiographs: `IdriReadMessage` files, one or several readers' outlines on CR and DX images.

Files with `LidcReadMessage` annotate the CT of the same patients and are refused. Points are pixels, so that an outline
from column 10 to 20 spans the edges 10…21; a single point is a mark without extent.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bundles.chest_radiograph.scripts.datasets.targets import CLASSES, LESION
from bundles.common.datalist.boxes import around, inside
from bundles.common.datalist.fusion import Mark, Merging, merge
from bundles.common.datalist.images import DICOM, Header, ImageFolder, read_dicom_header, watched
from bundles.common.datalist.marked_up import Element, read_xml
from bundles.common.datalist.problems import Damaged, DatalistError, Kind, Place, Problems
from bundles.common.datalist.records import Reading, Record

SPACE = "http://www.nih.gov/idri"
SERIES = ("CXRSeriesInstanceUid", "CXRSeriesInstanceUID", "SeriesInstanceUid", "SeriesInstanceUID")
RADIOGRAPHS = ("CR", "DX")


@dataclass(frozen=True, slots=True)
class _Image:
    """A radiograph on disk."""

    relative: str
    header: Header


@dataclass(slots=True)
class _Marks:
    """What readers drew on one image: outlines with the places of their elements, and points."""

    outlines: list[tuple[Place, str, list[tuple[float, float]]]] = field(default_factory=list)
    points: list[tuple[float, float]] = field(default_factory=list)


def read(xml: Path, images: ImageFolder, merging: Merging, problems: Problems) -> Reading:
    """Read the set.

    Args:
        xml: Folder with the XML files, in any folders.
        images: Folder with the DICOM files; CT images among them are passed over.
        merging: How boxes of several readers become one.
        problems: Receives what is wrong.

    Raises:
        DatalistError: No XML file, or one that is not well-formed.
    """
    files = sorted(path for path in xml.rglob("*") if path.suffix.lower() == ".xml")
    if not files:
        raise DatalistError(f"{xml}: no XML file in it")
    found = _radiographs(images, xml, problems)
    records: list[Record] = []
    for path in watched(files, "readings", len(files)):
        root = read_xml(path)
        with problems.at(root.place, str(path)):
            records += _records(root, found, merging, problems)
    read_images = {record.image for record in records}
    silent = sum(image.relative not in read_images for image in found)
    notes = (f"{silent} radiographs have no reading", "views other than frontal without a mark stay unlabelled")
    return Reading("LIDC-IDRI radiographs", CLASSES, tuple(records), tuple(files), notes)


def _radiographs(images: ImageFolder, xml: Path, problems: Problems) -> list[_Image]:
    found = []
    files = [relative for relative in images.files if Path(relative).suffix.lower() in DICOM]
    for relative in watched(files, "headers", len(files)):
        with problems.at(Place(images.root / relative, 1), relative):
            header = read_dicom_header(images.root / relative)
            if header.modality not in RADIOGRAPHS:
                continue
            if header.problem:
                raise Damaged(header.problem)
            found.append(_Image(relative, header))
    if not found:
        raise DatalistError(f"{images.root}: no CR or DX image in it; {xml} has readings of radiographs")
    return found


def _records(root: Element, found: Iterable[_Image], merging: Merging, problems: Problems) -> list[Record]:
    _check_kind(root)
    series = _series(root)
    marks: dict[str, _Marks] = defaultdict(_Marks)
    sessions = list(root.all("CXRreadingSession"))
    if not sessions:
        raise Damaged("no <CXRreadingSession>: nobody read the radiograph")
    for reader, session in enumerate(sessions, start=1):
        for nodule in session.all("unblindedRead"):
            _add(nodule, f"reader {reader}", marks)
    read_here = [image for image in found if image.header.uid in marks or image.header.series == series]
    for uid in set(marks) - {image.header.uid for image in read_here}:
        raise Damaged(f"the radiograph with SOP Instance UID {uid} is not among the images", Kind.MISSING)
    if not read_here:
        raise Damaged(f"the radiograph of series {series} is not among the images", Kind.MISSING)
    return [
        _record(root, image, marks, readers=len(sessions), merging=merging, problems=problems) for image in read_here
    ]


def _check_kind(root: Element) -> None:
    if root.name == "LidcReadMessage":
        raise Damaged("LidcReadMessage: this file annotates a CT; radiographs have IdriReadMessage. Leave it out")
    if root.name != "IdriReadMessage" or root.space != SPACE:
        raise Damaged(f"<{root.name}> of '{root.space}', expected <IdriReadMessage> of '{SPACE}'")


def _series(root: Element) -> str:
    header = root.one("ResponseHeader")
    for name in SERIES:
        if any(True for _ in header.all(name)):
            return header.word(name)
    raise Damaged(f"<ResponseHeader> names no series ({', '.join(SERIES)})")


def _add(nodule: Element, reader: str, marks: Mapping[str, _Marks]) -> None:
    for roi in nodule.all("roi"):
        points = [(point.number("xCoord"), point.number("yCoord")) for point in roi.all("edgeMap")]
        if not points:
            raise Damaged(f"line {roi.place.line}: <roi> without <edgeMap>")
        on_image = marks[roi.word("imageSOP_UID")]
        if len(points) == 1:
            on_image.points += points
        else:
            on_image.outlines.append((roi.place, reader, points))


def _record(
    root: Element, image: _Image, marks: Mapping[str, _Marks], *, readers: int, merging: Merging, problems: Problems
) -> Record:
    here = marks.get(image.header.uid, _Marks())
    boxes = []
    for place, reader, points in here.outlines:
        with problems.at(place, image.relative):
            x0, y0, x1, y1 = around(points)
            boxes.append(Mark(reader, inside((x0, y0, x1 + 1, y1 + 1), image.header.size)))
    fused = merge(boxes, readers, merging)
    marked = bool(here.outlines or here.points)
    frontal = image.header.view in ("", "AP", "PA")
    label = int(bool(fused or here.points)) if marked or frontal else None
    return Record(
        key=image.relative,
        image=image.relative,
        patient=image.header.patient or image.header.series,
        place=root.place,
        boxes=tuple(box.edges for box in fused),
        classes=(LESION,) * len(fused),
        labels={"lesion": label, "pneumothorax": None},
        view="LATERAL" if image.header.view in ("LL", "RL", "LATERAL") else image.header.view or None,
        boxed=label is not None and not here.points and bool(fused) == marked,
        more={
            "readers": readers,
            "shares": [box.share for box in fused],
            "points": [list(point) for point in here.points],
        },
    )
