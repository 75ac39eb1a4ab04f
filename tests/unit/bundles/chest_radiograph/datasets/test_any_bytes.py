"""Whatever happens to the bytes of a label file, it is read or refused with words; nothing else ever comes out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.chest_radiograph.scripts.datasets import chestx_det, chexpert, lidc, nih, nih_joined, siim, vinbigdata
from bundles.chest_radiograph.scripts.datasets.targets import targets
from bundles.common.datalist.fusion import Merging
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import DatalistError, Problems
from bundles.common.datalist.records import Reading
from bundles.common.radiograph.chexpert import Unclear
from bundles.common.radiograph.nih import FINDINGS
from tests.unit.bundles.common.datalist.sets import datalist, picture, radiograph

NIH = targets(["Nodule", "Mass"], ["Pneumothorax"], FINDINGS)
IMAGE, JPEG = "00000012_000.png", "C/train/patient00001/study1/view1_frontal.jpg"
ENTRY = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,O[W,H],P[x,y]\n"

Read = Callable[[Path, ImageFolder, Problems], Reading]
SETS: dict[str, tuple[str, Read]] = {
    "vinbigdata": (
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\na,Nodule/Mass,8,R1,1,2,30,40\na,ILD,5,R2,1,2,30,40\n",
        lambda path, images, problems: vinbigdata.read(
            path, images, targets(["Nodule/Mass"], ["Pneumothorax"], vinbigdata.FINDINGS), Merging(), problems
        ),
    ),
    "siim": ("ImageId, EncodedPixels\na,3 4 50 6\nb,-1\n", siim.read),
    "nih": (
        f"{ENTRY}{IMAGE},Mass|Hernia,0,12,58,F,AP,9,9,0.1,0.1\n",
        lambda path, images, problems: nih.read(path, None, images, NIH, problems),
    ),
    "boxes of nih": (
        f"Image Index,Finding Label,Bbox [x,y,w,h],,,\n{IMAGE},Mass,1,2,3,4\n",
        lambda path, images, problems: nih.read(path.parent / "entries.csv", path, images, NIH, problems),
    ),
    "nih joined": (
        (
            "image,patient_id,age,sex,view,findings,google_pneumothorax,google_nodule_or_mass\n"
            f"{IMAGE},12,40,F,AP,Mass,NO,YES\n"
        ),
        lambda path, images, problems: nih_joined.read(path, None, images, NIH, problems),
    ),
    "chexpert": (
        f"Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Lung Lesion,Pneumothorax\n{JPEG},,50,Frontal,AP,,-1.0,1.0\n",
        lambda path, images, problems: chexpert.read(
            [path], images, problems, uncertain=Unclear.UNKNOWN, blank=Unclear.UNKNOWN, own_split=True
        ),
    ),
    "chestx-det": (
        f'[\n{{"file_name": "{IMAGE}", "syms": ["Mass"], "boxes": [[1, 2, 3, 4]], "polygons": [[[1, 2], [3, 4]]]}}]\n',
        lambda path, images, problems: chestx_det.read(
            path, None, images, targets(["Mass"], [], chestx_det.FINDINGS), problems, own_split=True
        ),
    ),
    "lidc": (
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n<IdriReadMessage xmlns="http://www.nih.gov/idri"><ResponseHeader>'
            "<CXRSeriesInstanceUid>1.9</CXRSeriesInstanceUid></ResponseHeader><CXRreadingSession><unblindedRead><roi>"
            "<imageSOP_UID>1.2.3</imageSOP_UID><edgeMap><xCoord>1</xCoord><yCoord>2</yCoord></edgeMap><edgeMap>"
            "<xCoord>3</xCoord><yCoord>4</yCoord></edgeMap></roi></unblindedRead></CXRreadingSession></IdriReadMessage>\n"
        ),
        lambda path, images, problems: lidc.read(path.parent, images, Merging(), problems),
    ),
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    folder = tmp_path_factory.mktemp("images")
    for name in ("a.png", "b.png", IMAGE, JPEG):
        picture(folder / name, 100, 100)
    radiograph(folder / "x.dcm", 100, 100, SOPInstanceUID="1.2.3", SeriesInstanceUID="1.9", Modality="DX")
    return ImageFolder(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    (folder / "entries.csv").write_text(SETS["nih"][0], encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", SETS)
def test_as_it_is(name: str, folder: Path, images: ImageFolder) -> None:
    text, read = SETS[name]
    path = folder / f"whole{'.xml' if name == 'lidc' else '.csv'}"
    path.write_text(text, encoding="utf-8")
    assert datalist(lambda problems: read(path, images, problems))
    path.unlink()


@pytest.mark.parametrize("name", SETS)
@given(data=st.data())
def test_read_or_refused(name: str, folder: Path, images: ImageFolder, data: st.DataObject) -> None:
    text, read = SETS[name]
    raw = text.encode()
    start = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 12)))
    piece = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from([b",", b"-", b"9" * 30, b'"', b"1e999", b"\n"])))
    path = folder / f"damaged{'.xml' if name == 'lidc' else '.csv'}"
    path.write_bytes(raw[:start] + piece + raw[end:])
    try:
        datalist(lambda problems: read(path, images, problems), leave_out=data.draw(st.booleans()))
    except DatalistError as error:
        assert str(error)
