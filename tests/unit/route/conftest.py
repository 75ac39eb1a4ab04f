"""Series and bundle contracts for the tests of routing, without any file."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.study import Header, Instance, Series, Study
from bundles.common.contract import FindingOutput, Service, Window
from bundles.common.geometry import Plane, StackGeometry

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def make_series(
    modality: str = "CT",
    slices: int = 36,
    plane: Plane | None = "axial",
    *,
    uid: str = "1.2.3",
    stack: int = 0,
    frames: int = 1,
    **headers: Header,
) -> Series:
    instances = tuple(
        Instance(Path(f"{number}.dcm"), f"{uid}.{number}", CT_IMAGE, EXPLICIT_LITTLE_ENDIAN, "0" * 16, frames)
        for number in range(slices)
    )
    origins = tuple((0.0, 0.0, 5.0 * number) for number in range(slices))
    geometry = StackGeometry(512, 512, (1, 0, 0), (0, 1, 0), (0.5, 0.5), origins, plane) if plane else None
    return Series(uid, stack, modality, instances, {"Modality": modality, **headers}, geometry)


def make_study(*series: Series) -> Study:
    return Study("1.2", "0" * 16, tuple(series))


def make_service(accepts: dict[str, object] | None = None, **changes: object) -> Service:
    plain = Service(
        title="Something in something",
        accepts=accepts or {"Modality": "CT"},
        findings=(FindingOutput(finding="intracranial_hemorrhage", probability="p"),),
        window=Window(center=40, width=80),
    )
    return plain.model_copy(update=changes)


@pytest.fixture
def rule_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
