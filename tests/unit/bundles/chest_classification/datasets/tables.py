"""Label files of the sets in miniature, with the headers that the sets have, and images for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.unit.bundles.common.datalist.sets import picture

FINDINGS = (
    "Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,Lung Opacity,"
    "No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
FOURTEEN = tuple(FINDINGS.split(","))
CHEXPERT = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *FOURTEEN]
MIMIC = ["subject_id", "study_id", *FOURTEEN]
SPLIT = ["dicom_id", "study_id", "subject_id", "split"]
METADATA = ["dicom_id", "subject_id", "study_id", "PerformedProcedureStepDescription", "ViewPosition", "Rows"]


def table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Path:
    lines = [",".join(columns), *(",".join(row.get(name, "") for name in columns) for row in rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def chexpert_row(path: str, **labels: str) -> dict[str, str]:
    """Labels with `_` for blanks."""
    named = {name.replace("_", " "): value for name, value in labels.items()}
    return {"Path": path, "Sex": "Female", "Age": "68", "Frontal/Lateral": "Frontal", "AP/PA": "AP", **named}


def with_images(folder: Path, paths: Sequence[str]) -> Path:
    for path in paths:
        picture(folder / path, 16, 16)
    return folder
