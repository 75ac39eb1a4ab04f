"""A minimal real MONAI bundle with real weights, and small CT studies, for tests of what lies around a network."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import torch
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from app.receive.spool import Spool

SCRIPT = '''
import os
import time
from pathlib import Path

import torch


class MeanNet(torch.nn.Module):
    """Brightness of each slice through one linear unit: (batch, 1, columns, rows, slices) -> (batch, 1 + slices)."""

    def __init__(self, delay_s=0.0, begun="", broken=False):
        super().__init__()
        self.unit = torch.nn.Linear(1, 1)
        self.delay_s, self.begun, self.broken = delay_s, begun, broken

    def forward(self, image):
        if self.begun:
            with open(self.begun, "a") as file:
                file.write(__name__.split(".")[1] + "\\n")
        time.sleep(self.delay_s)
        means = image.mean(dim=(1, 2, 3)) / 100
        slices = self.unit(means[..., None])[..., 0]
        scores = torch.cat([slices.max(dim=1, keepdim=True).values, slices], dim=1)
        return scores * float("nan") if self.broken else scores


class Answer:
    def __call__(self, item):
        scores = torch.sigmoid(torch.as_tensor(item["pred"]).float())
        return {**item, "presence": scores[:1], "in_slice": scores[1:]}
'''

SERVICE = """
title: Brightness
status: research
priority: {priority}
accepts: {{Modality: CT}}
geometry: {{min_slices: {min_slices}, max_slice_spacing_mm: 10}}
findings:
  - {{finding: intracranial_hemorrhage, probability: presence, threshold: 0.5, slices: in_slice}}
window: {{center: 40, width: 80}}
"""


def write_bundle(
    folder: Path,
    name: str = "brightness",
    *,
    delay_s: float = 0.0,
    begun: Path | None = None,
    broken: bool = False,
    min_slices: int = 2,
    priority: int = 3,
) -> Path:
    """Write a bundle that finds a study positive where its brightest slice is above 0 HU."""
    root = folder / name
    for part in ("configs", "models", "scripts", "docs"):
        (root / part).mkdir(parents=True)
    (root / "scripts" / "__init__.py").write_text("")
    (root / "scripts" / "mean.py").write_text(SCRIPT)
    module = f"bundles.{name}.scripts.mean"
    inference = {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "device": "$torch.device('cpu')",
        "network_def": {
            "_target_": f"{module}.MeanNet",
            "delay_s": delay_s,
            "begun": str(begun or ""),
            "broken": broken,
        },
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "LoadImaged",
                    "keys": "image",
                    "reader": "bundles.common.monai_reader.SeriesReader",
                    "ensure_channel_first": True,
                }
            ],
        },
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": f"{module}.Answer"},
    }
    (root / "configs" / "inference.json").write_text(json.dumps(inference, indent=1))
    metadata = {"version": "0.1.0", "changelog": {"0.1.0": "first"}, "task": "test", "description": "test"}
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (root / "configs" / "service.yaml").write_text(SERVICE.format(min_slices=min_slices, priority=priority))
    buffer = io.BytesIO()
    torch.save({"unit.weight": torch.tensor([[4.0]]), "unit.bias": torch.tensor([0.0])}, buffer)
    (root / "models" / "model.pt").write_bytes(buffer.getvalue())
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    (root / "models" / "manifest.json").write_text(json.dumps({"sha256": digest, "training_data": "phantom squares"}))
    return root


def ct_slices(study_uid: str = "", slices: int = 5, hu: int = 60, modality: str = "CT") -> list[Dataset]:
    """An axial CT study of 32 x 32 pixels; the first slice is brighter than the others."""
    study_uid, series_uid = study_uid or generate_uid(), generate_uid()
    made = []
    for index in range(slices):
        data = Dataset()
        data.SOPClassUID = CTImageStorage
        data.SOPInstanceUID = generate_uid()
        data.StudyInstanceUID = study_uid
        data.SeriesInstanceUID = series_uid
        data.FrameOfReferenceUID = f"{series_uid}.1"[:64]
        data.Modality = modality
        data.PatientName = "Test^Life"
        data.PatientID = "T1"
        data.PatientBirthDate = ""
        data.PatientSex = ""
        data.StudyDate = "20260101"
        data.StudyTime = "120000"
        data.StudyID = "1"
        data.AccessionNumber = ""
        data.ReferringPhysicianName = ""
        data.SeriesNumber = 1
        data.InstanceNumber = index + 1
        data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        data.ImagePositionPatient = [-16, -16, 5 * index]
        data.PixelSpacing = [1, 1]
        data.SliceThickness = 5
        data.Rows = data.Columns = 32
        data.SamplesPerPixel = 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.BitsAllocated = 16
        data.BitsStored = 16
        data.HighBit = 15
        data.PixelRepresentation = 1
        data.RescaleIntercept = -1024
        data.RescaleSlope = 1
        data.RescaleType = "HU"
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        value = 1024 + hu + (20 if index == 0 else 0)
        data.PixelData = np.full((32, 32), value, dtype="<i2").tobytes()
        made.append(data)
    return made


def send_to_spool(spool: Spool, data_sets: list[Dataset], *, released: bool = True) -> None:
    """Put a study into the spool as one association does, without the network; or as one that breaks off."""
    presence = spool.attend()
    for data in data_sets:
        incoming = spool.open(
            presence,
            sop_class_uid=data.SOPClassUID,
            sop_instance_uid=data.SOPInstanceUID,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            calling_ae="TEST",
        )
        incoming.write(encoded(data))
        incoming.commit()
    spool.leave(presence, released=released)


def encoded(data: Dataset) -> bytes:
    """The data set alone, as it goes over the wire."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, data)
    return buffer.getvalue()


def write_files(folder: Path, data_sets: list[Dataset]) -> None:
    """Write a study as DICOM files, for senders."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(data_sets):
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.save_as(folder / f"{index:03}.dcm", enforce_file_format=True)
