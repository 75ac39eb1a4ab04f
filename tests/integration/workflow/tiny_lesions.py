"""A minimal bundle that outlines what is bright, for tests of masks on their way to the PACS."""

from pathlib import Path

import numpy as np
from pydicom import Dataset

from tests.integration.workflow.tiny import ct_slices, write_bundle

ANSWER = '''

class Outline:
    """Two lesions: what is bright in the left half and what is in the right; and everything bright as a region."""

    def __call__(self, item):
        image = torch.as_tensor(item["image"])[0]
        bright = image > 150
        left = torch.zeros_like(bright)
        left[: image.shape[0] // 2] = True
        lesions = torch.where(bright & left, 1, torch.where(bright, 2, 0)).to(torch.int32)
        present = torch.tensor([0.875 if bool(bright.any()) else 0.125])
        scores = torch.tensor([0.75, 0.5])[: int(lesions.max())]
        return {**item, "presence": present, "lesions": lesions[:, :, :CROP], "lesion_scores": scores}
'''
SERVICE = """
title: Bright spots
status: research
priority: 3
accepts: {Modality: CT}
geometry: {min_slices: 2, max_slice_spacing_mm: 10}
findings:
  - {finding: brain_metastasis, probability: presence, threshold: 0.5, segmentation: {}}
  - finding: intracranial_hemorrhage
    probability: presence
    threshold: 0.5
    segmentation: {mask: lesions, kind: region, value: 2, scores: null}
window: {center: 40, width: 80}
"""
SPOTS = ((4, 6, 8, 12, 1, 4), (20, 21, 24, 29, 2, 3))
"""First and last row, column and slice of what is bright, the last not in it; the second is further right."""


def write_lesion_bundle(folder: Path, name: str = "spots", *, crop: int | None = None) -> Path:
    """Write it; `crop` loses the slices from there on, as a bundle does that inverts its transforms wrongly."""
    root = write_bundle(folder, name)
    script = root / "scripts" / "mean.py"
    script.write_text(script.read_text() + ANSWER.replace("CROP", str(crop)))
    inference = root / "configs" / "inference.json"
    inference.write_text(inference.read_text().replace("mean.Answer", "mean.Outline"))
    (root / "configs" / "service.yaml").write_text(SERVICE)
    return root


def spotted() -> list[Dataset]:
    """A CT study with two bright spots."""
    images = ct_slices(hu=0)
    for index, image in enumerate(images):
        pixels = np.frombuffer(image.PixelData, "<i2").reshape(32, 32).copy()
        for top, bottom, left, right, first, last in SPOTS:
            if first <= index < last:
                pixels[top:bottom, left:right] = 1024 + 300
        image.PixelData = pixels.tobytes()
    return images
