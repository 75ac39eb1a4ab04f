"""BHSD, the 192 volumes with masks: NIfTI images and masks with the numbers 1 to 5.

Wu et al., MLMI 2023. The set has no table; an image and its mask have the same name in two folders (`images`,
`ground truths`), or names that differ by `image_` and `label_`. From public code that reads the set:
1 epidural, 2 intraparenchymal, 3 intraventricular, 4 subarachnoid, 5 subdural.

The volumes are from the RSNA set; where a name starts like one of its pseudonyms (`ID_0219ef88_…`), that is the
patient, so that both sets put the person into the same split. Where not, each volume counts as a person. The volumes
that the set labels by slice alone are not read.
"""

import re
from pathlib import Path, PurePosixPath

from bundles.common.datalist.images import NIFTI, ImageFolder, watched
from bundles.common.datalist.problems import Damaged, Kind, Place, Problems
from bundles.common.datalist.records import Reading, VolumeRecord
from bundles.common.datalist.volumes import check_pair, read_labels, write_volume
from bundles.head_ct_hemorrhage.scripts.datasets.bleeds import Head, renumbered, slices_in, types_in

SUFFIXES = NIFTI
NUMBERS = {1: "epidural", 2: "intraparenchymal", 3: "intraventricular", 4: "subarachnoid", 5: "subdural"}
PREFIX = re.compile(r"^(?:image|label)_")
PATIENT = re.compile(r"^(?P<patient>ID_[0-9a-f]{8})(?:_|$)")


def read(images: ImageFolder, masks: ImageFolder, made: Path, problems: Problems) -> Reading:
    """Read the set.

    Args:
        images: The folder of the images; may be that of the masks, where names tell them apart.
        masks: The folder of the masks.
        made: Folder for the masks with our numbers of types.
        problems: Receives what is wrong.
    """
    pictures, labels = _named(images, "image_", problems), _named(masks, "label_", problems)
    records = []
    for name, image in watched(pictures.items(), "volumes"):
        place = Place(images.root / image, 0)
        with problems.at(place, name):
            if name not in labels:
                raise Damaged(f"the image has no mask below {masks.root}", Kind.MISSING)
            records.append(_record(name, images.root, image, masks.root / labels[name], made))
    for name in sorted(set(labels) - set(pictures)):
        place = Place(masks.root / labels[name], 0)
        problems.add(Kind.MISSING, place, f"the mask has no image below {images.root}", name)
    strangers = sum(PATIENT.match(record.key) is None for record in records)
    notes = [f"{strangers} volumes tell no patient; each counts as one"] if strangers else []
    return Reading("BHSD", (), tuple(records), (), tuple(notes), images.root)


def _named(folder: ImageFolder, prefix: str, problems: Problems) -> dict[str, str]:
    """Return paths by the name that an image and its mask share; where names have prefixes, those of `prefix`."""
    names = [(PurePosixPath(file).name, file) for file in folder.files]
    prefixed = any(PREFIX.match(name) for name, _ in names)
    found: dict[str, str] = {}
    for name, file in names:
        if prefixed and not name.startswith(prefix):
            continue
        shared = PREFIX.sub("", name).removesuffix(".gz").removesuffix(".nii")
        first = found.setdefault(shared, file)
        if first != file:
            words = f"'{shared}' is there twice: also {folder.root / first}; keep one"
            problems.add(Kind.DAMAGED, Place(folder.root / file, 0), words, shared)
    return found


def _record(name: str, root: Path, image: str, mask: Path, made: Path) -> VolumeRecord:
    grid = check_pair(root / image, mask)
    drawn, _ = read_labels(mask, NUMBERS)
    typed = renumbered(drawn, NUMBERS)
    types = types_in(typed)
    named = PATIENT.match(name)
    return Head(
        key=name,
        image=image,
        patient=named["patient"] if named else name,
        place=Place(root / image, 0),
        label=max(types),
        types=types,
        slices=slices_in(typed),
        mask=str(write_volume(made / f"{name}_mask.nii.gz", typed, grid.affine)),
    ).record
