"""CheXpert: `train.csv` and `valid.csv`, all findings; what uncertain becomes is chosen by finding.

Irvin et al., AAAI 2019. Its Table 1 counts what is not mentioned as negative.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from bundles.chest_classification.scripts.datasets.labels import COLUMNS, Policy, labels_of
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import SPLITS, Reading, Record
from bundles.common.datalist.tables import Row, read_rows
from bundles.common.radiograph import chexpert as table
from bundles.common.radiograph.chexpert import Unclear


def read(
    tables: list[Path],
    images: ImageFolder,
    problems: Problems,
    *,
    policy: Policy,
    blank: Unclear,
    own_split: bool,
    valid_is_test: bool = False,
) -> Reading:
    """Read the set.

    Args:
        tables: `train.csv`, `valid.csv`.
        images: The folder that holds `CheXpert-v1.0-small`, or that folder itself.
        problems: Receives what is wrong.
        policy: What -1 becomes, by finding.
        blank: What a blank becomes; beside No Finding it is absent.
        own_split: train, valid and test are training, validation and test; otherwise patients are split by hash.
        valid_is_test: valid is tested on, and the patients of train are training or validation by hash.
    """
    pools = table.VALID_IS_TEST if valid_is_test else table.OWN if own_split else dict.fromkeys(table.OWN, SPLITS)

    records, unsure = [], Counter[str]()
    for path in tables:
        for row in watched(list(read_rows(path, (*table.COLUMNS, *COLUMNS), problems)), path.name):
            with problems.at(row.place, row["Path"] or None):
                records.append(_record(row, images, policy, blank, unsure, pools))
    return Reading("CheXpert", (), tuple(records), tuple(tables), notes_of(policy, blank, unsure))


def notes_of(policy: Policy, blank: Unclear, unsure: Counter[str]) -> tuple[str, ...]:
    """Sentences about what became of uncertain and blank labels."""
    shown = [f"{name} {policy[name].value} ({unsure[name]})" for name in policy if unsure[name]]
    return (
        f"uncertain labels became: {', '.join(shown) or 'none was uncertain'}",
        f"what is not mentioned became {blank.value}",
        "labels are mined from reports",
    )


def _record(  # noqa: PLR0917
    row: Row,
    images: ImageFolder,
    policy: Policy,
    blank: Unclear,
    unsure: Counter[str],
    pools: Mapping[str, tuple[str, ...]],
) -> Record:
    path, parts = row.needed("Path"), table.parts_of(row)
    labels, uncertain = labels_of(row, policy, blank)
    image = images.find_path(path)
    unsure.update(uncertain)
    return Record(
        key=path,
        image=image,
        patient=parts["patient"],
        place=row.place,
        labels=labels,
        view=table.view_of(row),
        boxed=False,
        pool=pools[parts["split"]],
        more={"study": parts["study"], "uncertain": [*uncertain], **table.about_person(row)},
    )
