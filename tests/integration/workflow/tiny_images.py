"""A minimal real MONAI bundle that reads each image by itself, and small radiographs, for tests around a network."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

LESION, NOTHING, PNEUMOTHORAX = 0.8, 0.3, 0.1
"""Bright parts of an image: what the network calls a lesion, nothing, or a pneumothorax."""
SIDE = 80

SCRIPT = '''
import time

import torch

from bundles.common.radiograph.placement import Placement


class BrightNet(torch.nn.Module):
    """Two logits from the brightness of an image: bright is a lesion, dark a pneumothorax."""

    def __init__(self, delay_s=0.0):
        super().__init__()
        self.unit = torch.nn.Linear(1, 2)
        self.delay_s = delay_s

    def forward(self, image):
        time.sleep(self.delay_s)
        return self.unit(image.mean(dim=(2, 3)))


class Answer:
    """One box a class around what is bright, in pixels of the source, and a heat map a class: there, and elsewhere."""

    def __init__(self, spoil="", spoilt_columns=0):
        self.spoil, self.spoilt_columns = spoil, spoilt_columns

    def __call__(self, item):
        probabilities = torch.as_tensor(item["pred"]).float().sigmoid()
        rows, columns = torch.nonzero(torch.as_tensor(item["image"])[0] > 0.5, as_tuple=True)
        box = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).float()
        placement = Placement.from_tensor(item["placement"])
        boxes = placement.to_source(box[None]).repeat(2, 1)
        if placement.source[1] == self.spoilt_columns:
            if self.spoil == "nan":
                boxes[1, 2] = float("nan")
            if self.spoil == "outside":
                boxes[1, 2] += 1000
            if self.spoil == "break":
                raise RuntimeError("broken")
        bright = (torch.as_tensor(item["image"])[0] > 0.5).float()[: placement.scaled[0], : placement.scaled[1]]
        looked = {"looked": self.spoilt(torch.stack([bright, 1 - bright]))} if self.spoil != "heat missing" else {}
        return {
            **item,
            **looked,
            "boxes": boxes,
            "scores": probabilities,
            "classes": torch.arange(2),
            "both": probabilities,
        }

    def spoilt(self, heat):
        if self.spoil == "heat nan":
            heat[:, 0, 0] = float("nan")
        if self.spoil == "heat beyond":
            heat *= 255
        if self.spoil == "heat flat":
            return heat.flatten()
        if self.spoil == "heat one class":
            return heat[:1]
        if self.spoil == "heat words":
            return "hot"
        if self.spoil == "heat cold":
            return heat * 0
        return heat
'''

SERVICE = """
title: Bright and dark
status: research
priority: {priority}
accepts: {{Modality: {{in: [CR, DX]}}}}
reads: image
findings:
  - {{finding: lung_lesion, probability: both, index: 0, threshold: 0.5, regions: {{index: 0, threshold: 0.3}}}}
  - finding: pneumothorax
    probability: both
    index: 1
    urgent: true
    regions: {{index: 1, kind: attention, heat: looked}}
"""


def write_image_bundle(
    folder: Path,
    name: str = "bright",
    *,
    delay_s: float = 0.0,
    spoil: str = "",
    spoilt_columns: int = SIDE,
    priority: int = 3,
) -> Path:
    """Write the bundle; `spoil` ("nan", "outside", "break") spoils its answer on images of `spoilt_columns` columns, or
    its heat maps ("heat …") on all.
    """
    root = folder / name
    for part in ("configs", "models", "scripts", "docs"):
        (root / part).mkdir(parents=True)
    (root / "scripts" / "__init__.py").write_text("")
    (root / "scripts" / "bright.py").write_text(SCRIPT)
    module = f"bundles.{name}.scripts.bright"
    load = {
        "_target_": "LoadImaged",
        "keys": "image",
        "reader": "bundles.common.monai_reader.SeriesReader",
        "image_only": True,
    }
    scale = {"_target_": "bundles.common.radiograph.scaling.Radiographd", "keys": "image", "size": SIDE}
    inference = {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cpu')",
        "network_def": {"_target_": f"{module}.BrightNet", "delay_s": delay_s},
        "preprocessing": {"_target_": "Compose", "transforms": [load, scale]},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": f"{module}.Answer", "spoil": spoil, "spoilt_columns": spoilt_columns},
    }
    (root / "configs" / "inference.json").write_text(json.dumps(inference, indent=1))
    metadata = {"version": "0.1.0", "changelog": {"0.1.0": "first"}, "task": "test", "description": "test"}
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (root / "configs" / "service.yaml").write_text(SERVICE.format(priority=priority))
    buffer = io.BytesIO()
    torch.save({"unit.weight": torch.tensor([[8.0], [-8.0]]), "unit.bias": torch.tensor([-4.0, 2.0])}, buffer)
    (root / "models" / "model.pt").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    (root / "models" / "manifest.json").write_text(json.dumps({"sha256": digest, "training_data": "phantom squares"}))
    return root


def radiograph(share: float, number: int = 1, *, study: str, series: str, **changes: Any) -> Dataset:
    """A computed radiograph of 80 x 80 pixels whose left part is bright; `changes` sets elements, None deletes."""
    data = Dataset()
    data.SOPClassUID = ComputedRadiographyImageStorage
    data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = study, series
    data.Modality, data.BodyPartExamined = "CR", "CHEST"
    data.PatientName, data.PatientID = "Test^Images", "T2"
    data.PatientBirthDate = data.PatientSex = data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.StudyDate, data.StudyTime = "20260101", "120000"
    data.SeriesNumber, data.InstanceNumber = 1, number
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    _pixels(data, bright_part(share))
    for keyword, value in changes.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    return data


def bright_part(share: float, rows: int = SIDE, columns: int = SIDE, dtype: str = "<u2") -> np.ndarray:
    """(rows, columns): the left `share` of the columns is bright."""
    top = np.iinfo(np.dtype(dtype)).max // 8
    pixels = np.full((rows, columns), top // 8, dtype=dtype)
    pixels[:, : round(share * columns)] = top
    return pixels


def with_pixels(data: Dataset, pixels: np.ndarray) -> Dataset:
    """The same radiograph with other pixels."""
    _pixels(data, pixels)
    return data


def _pixels(data: Dataset, pixels: np.ndarray) -> None:
    bits = pixels.dtype.itemsize * 8
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, 0
    data.PixelData = pixels.tobytes()


def two_views(shares: tuple[float, float], *, one_series: bool = True, **changes: Any) -> list[Dataset]:
    """PA and lateral of one study, in one series or in two."""
    study, series = generate_uid(), generate_uid()
    lateral = series if one_series else generate_uid()
    second = {"SeriesNumber": 1 if one_series else 2, "ViewPosition": "LL", **changes}
    return [
        radiograph(shares[0], 1, study=study, series=series, ViewPosition="PA"),
        radiograph(shares[1], 2, study=study, series=lateral, **second),
    ]
