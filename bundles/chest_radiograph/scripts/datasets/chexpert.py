"""CheXpert: `train.csv` and `valid.csv`; 1 present, 0 absent, -1 uncertain, blank not mentioned. No boxes.

Irvin et al., AAAI 2019.
"""

from pathlib import Path

from bundles.chest_radiograph.scripts.datasets.targets import CLASSES
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Damaged, Problems
from bundles.common.datalist.records import SPLITS, Reading, Record
from bundles.common.datalist.tables import Row, read_rows
from bundles.common.radiograph import chexpert as table
from bundles.common.radiograph.chexpert import NO_FINDING, VALUES, Unclear

LABELS = {"lesion": "Lung Lesion", "pneumothorax": "Pneumothorax"}
COLUMNS = (*table.COLUMNS, NO_FINDING, *LABELS.values())


def read(
    tables: list[Path], images: ImageFolder, problems: Problems, *, uncertain: Unclear, blank: Unclear, own_split: bool
) -> Reading:
    """Read the set.

    Args:
        tables: `train.csv`, `valid.csv`.
        images: The folder that holds `CheXpert-v1.0-small`, or that folder itself.
        problems: Receives what is wrong.
        uncertain: What -1 becomes.
        blank: What a blank becomes; where the image has No Finding it is absent in any case.
        own_split: train and valid are training and validation; otherwise patients are split by hash.
    """
    records = []
    for path in tables:
        for row in read_rows(path, COLUMNS, problems):
            with problems.at(row.place, row["Path"] or None):
                records.append(_record(row, images, uncertain, blank, own_split))
    return Reading("CheXpert", CLASSES, tuple(records), tuple(tables), ("the set has no boxes",))


def _record(row: Row, images: ImageFolder, uncertain: Unclear, blank: Unclear, own_split: bool) -> Record:
    path, parts = row.needed("Path"), table.parts_of(row)
    nothing = row.one_of(NO_FINDING, VALUES) == 1
    labels = {
        name: table.label_of(row.one_of(column, VALUES), uncertain, Unclear.ABSENT if nothing else blank)
        for name, column in LABELS.items()
    }
    if nothing and 1 in labels.values():
        raise Damaged("'No Finding' is 1 beside a finding")
    return Record(
        key=path,
        image=images.find_path(path),
        patient=parts["patient"],
        place=row.place,
        labels=labels,
        view=table.view_of(row),
        boxed=set(labels.values()) == {0},
        pool=table.OWN[parts["split"]] if own_split else SPLITS,
        more={"study": parts["study"], **table.about_person(row)},
    )
