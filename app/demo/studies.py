"""What the demonstration sends: phantom studies, with the truth about everything that is sought in them."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from types import MappingProxyType

from app.demo.phantoms.mr.scan import Plane
from app.demo.phantoms.radiographs.radiograph import Radiograph

HEAD, MR, CHEST, WRIST = "head CT", "head MR", "chest", "wrist"
MAIN_FINDING: Mapping[str, str] = MappingProxyType(
    {
        HEAD: "intracranial_hemorrhage",
        MR: "brain_metastasis",
        CHEST: "lung_lesion",
        WRIST: "wrist_fracture",
    }
)
"""An exam is sent where some bundle seeks this."""
HEAD_SIZE, CHEST_SIZE, WRIST_SIZE = 512, 2000, 1400
"""Rows, as such images have them."""


@dataclass(frozen=True, slots=True)
class Case:
    """A study that is to be drawn.

    Attributes:
        exam: `HEAD`, `MR`, `CHEST` or `WRIST`.
        shows: bleed, metastases, lesions, pneumothorax, fracture, or "" for nothing.
        beside: Whether a series that no bundle reads lies in the same study: a lateral chest, a head before contrast
            agent.
        scan: Of a head MR: the maker and the plane, as `app.demo.phantoms.mr` names them.
    """

    exam: str
    shows: str = ""
    beside: bool = False
    scan: tuple[str, Plane] = ("siemens", "sagittal")


ROUND = (
    Case(HEAD, "bleed"),
    Case(CHEST, "pneumothorax"),
    Case(WRIST, "fracture"),
    Case(MR, "metastases", scan=("siemens", "sagittal")),
    Case(CHEST, "lesions", beside=True),
    Case(HEAD),
    Case(WRIST),
    Case(MR, beside=True, scan=("ge", "axial")),
    Case(CHEST, beside=True),
    Case(WRIST, "fracture"),
    Case(HEAD, "bleed"),
    Case(MR, "metastases", scan=("philips", "coronal")),
    Case(CHEST, "lesions"),
    Case(HEAD),
    Case(WRIST),
    Case(MR, scan=("siemens", "axial")),
)
"""Half of the heads and wrists show nothing, and one of four chests."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A study that was drawn and written.

    Attributes:
        exam: Which.
        uid: StudyInstanceUID.
        truth: For each finding that bundles may seek in it, whether it is there.
        words: The truth for people: "subdural", "pneumothorax of 23 mm", "nothing".
        unread: What no bundle is for, in words, by SeriesInstanceUID.
    """

    exam: str
    uid: str
    truth: Mapping[str, bool]
    words: str
    unread: Mapping[str, str] = field(default_factory=dict)


def choose(sought: Set[str], count: int | None) -> tuple[Case, ...]:
    """Choose what to send.

    Args:
        sought: Findings that the bundles seek; an exam in which they seek nothing is not sent.
        count: Studies, of rounds that are repeated; None is one round.
    """
    served = [case for case in ROUND if MAIN_FINDING[case.exam] in sought]
    return tuple(served if count is None or not served else islice(cycle(served), count))


def draw(case: Case, seed: int, folder: Path, token: str) -> Drawn:
    """Draw a study and write it as DICOM.

    Args:
        case: What to draw.
        seed: Same seed and case, same pictures.
        folder: Gets the files.
        token: Of this run: another token gives other UIDs.
    """
    if case.exam == HEAD:
        return _draw_head(case, seed, folder, token)
    if case.exam == MR:
        return _draw_mr(case, seed, folder, token)
    return _draw_radiographs(case, seed, folder, token)


def _draw_head(case: Case, seed: int, folder: Path, token: str) -> Drawn:
    from app.demo.phantoms.bleeds import KINDS, sample_kinds
    from app.demo.phantoms.dicom_writer import to_datasets, write_series
    from app.demo.phantoms.phantom import make_phantom

    phantom = make_phantom(seed, HEAD_SIZE, kinds=sample_kinds(seed) if case.shows else ())
    images = to_datasets(phantom, token=token)
    write_series(images, folder)
    types = dict(zip(KINDS, phantom.truth.types, strict=True))
    truth = {f"{kind}_hemorrhage": there for kind, there in types.items()}
    return Drawn(
        exam=case.exam,
        uid=str(images[0].StudyInstanceUID),
        truth={MAIN_FINDING[HEAD]: phantom.truth.presence, **truth},
        words=", ".join(kind for kind, there in types.items() if there) or "no bleed",
    )


def _draw_mr(case: Case, seed: int, folder: Path, token: str) -> Drawn:
    from app.demo.phantoms.dicom_writer import write_series
    from app.demo.phantoms.mr.phantom import make_mr_phantom
    from app.demo.phantoms.mr.scan import sample_scan
    from app.demo.phantoms.mr.studies import demo_diameters
    from app.demo.phantoms.mr.writer import SCANNERS, to_datasets

    maker, plane = case.scan
    scan, scanner = sample_scan(seed, plane), SCANNERS[maker]
    phantom = make_mr_phantom(seed, diameters=demo_diameters(0 if case.shows else 1, seed), scan=scan)
    images = to_datasets(phantom, scanner=scanner, token=token, number=5)
    for image in images:
        # Of the phantoms' headers one in eight says nowhere that contrast agent was given.
        image.ContrastBolusAgent = "Gadovist"
    write_series(images, folder / "enhanced")
    unread = {}
    if case.beside:
        before = make_mr_phantom(seed, diameters=(), enhanced=False, scan=scan)
        plain = to_datasets(before, scanner=scanner, token=token, number=3)
        write_series(plain, folder / "plain")
        unread[str(plain[0].SeriesInstanceUID)] = "head before contrast agent"
    return Drawn(
        exam=case.exam,
        uid=str(images[0].StudyInstanceUID),
        truth={MAIN_FINDING[MR]: bool(phantom.lesions)},
        words=_sizes([lesion.diameter_mm for lesion in phantom.lesions]),
        unread=unread,
    )


def _sizes(diameters_mm: list[float]) -> str:
    if not diameters_mm:
        return "no metastasis"
    if len(diameters_mm) == 1:
        return f"one metastasis of {diameters_mm[0]:.0f} mm"
    return f"{len(diameters_mm)} metastases of {min(diameters_mm):.0f} to {max(diameters_mm):.0f} mm"


def _draw_radiographs(case: Case, seed: int, folder: Path, token: str) -> Drawn:
    from app.demo.phantoms.dicom_writer import write_series
    from app.demo.phantoms.radiographs.writer import system_of, to_dataset

    pictures = _chests(case, seed) if case.exam == CHEST else _wrists(case, seed)
    # One system took them all, whatever else the seed of a picture would draw.
    images = [
        to_dataset(one, system=system_of(seed), token=token, number=number) for number, one in enumerate(pictures, 1)
    ]
    write_series(images, folder)
    return Drawn(
        exam=case.exam,
        uid=str(images[0].StudyInstanceUID),
        truth=_truth(pictures),
        words=_words(pictures),
        unread={
            str(image.SeriesInstanceUID): "lateral chest"
            for image, picture in zip(images, pictures, strict=True)
            if picture.kind == "chest-lateral"
        },
    )


def _chests(case: Case, seed: int) -> list[Radiograph]:
    from app.demo.phantoms.fields import stream
    from app.demo.phantoms.radiographs.chest import make_chest
    from app.demo.phantoms.radiographs.chest_body import sample_chest
    from app.demo.phantoms.radiographs.chest_findings import sample_pneumothorax
    from app.demo.phantoms.radiographs.kinds import make_radiograph

    air = sample_pneumothorax(sample_chest(seed)) if case.shows == "pneumothorax" else None
    lesions = 1 + int(stream(seed, "demo lesions").integers(3)) if case.shows == "lesions" else 0
    frontal = make_chest(seed, CHEST_SIZE, findings=(lesions, air))
    if not case.beside:
        return [frontal]
    return [frontal, replace(make_radiograph("chest-lateral", seed, CHEST_SIZE), age=frontal.age, sex=frontal.sex)]


def _wrists(case: Case, seed: int) -> list[Radiograph]:
    from app.demo.phantoms.radiographs.wrist import make_wrist

    broken = case.shows == "fracture"
    return [make_wrist(seed, WRIST_SIZE, fracture=broken, projection=view) for view in ("PA", "LATERAL")]


_FINDINGS = MappingProxyType({"lesion": "lung_lesion", "pneumothorax": "pneumothorax", "fracture": "wrist_fracture"})
"""What the service calls the labels of the phantoms."""


def _truth(pictures: list[Radiograph]) -> dict[str, bool]:
    truth: dict[str, bool] = {}
    for picture in pictures:
        for label, value in picture.labels.items():
            truth[_FINDINGS[label]] = truth.get(_FINDINGS[label], False) or bool(value)
    return truth


def _words(pictures: list[Radiograph]) -> str:
    marks = [mark for picture in pictures for mark in picture.marks]
    kinds = dict.fromkeys(mark.kind for mark in marks)
    if pictures[0].kind == "wrist":
        return f"{' and '.join(kinds)} fracture" if kinds else "no fracture"
    sizes = [f"{mark.kind} of {mark.size_mm:.0f} mm" for mark in marks]
    return ", ".join(sizes) or "neither"
