"""A hospital's own table: one row an image, with a class, or with a column for each finding.

    image,patient,class,split                     image,patient,view,lung_lesion,pneumothorax
    a/1.dcm,P1,pleural_effusion,training          a/1.dcm,P1,PA,1,0

Columns of findings hold 1, 0, -1 (uncertain) or nothing (unknown). `split` (training, validation, test) and `view` may
be left out. CheSS's six classes are of such a table, confirmed by CT within a month.
"""

from collections.abc import Sequence
from pathlib import Path

from bundles.chest_classification.scripts.findings import FINDINGS, NORMAL, Uncertain
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Damaged, DatalistError, Problems
from bundles.common.datalist.records import SPLITS, Reading, Record
from bundles.common.datalist.tables import Row, read_rows
from bundles.common.radiograph.chexpert import BLANK, UNCERTAIN, VALUES
from bundles.common.strict import nearest

CLASS = "class"
NEEDED = ("image", "patient")
NAMES = (NORMAL, *FINDINGS)


def read(table: Path, images: ImageFolder, problems: Problems, *, uncertain: Uncertain = Uncertain.IGNORE) -> Reading:
    """Read the table.

    Args:
        table: CSV, fields between commas or semicolons.
        images: Below which the paths lie.
        problems: Receives what is wrong.
        uncertain: What -1 becomes.

    Raises:
        DatalistError: There is neither a column `class` nor one of a finding, or there are both.
    """
    rows = list(read_rows(table, NEEDED, problems, ",;"))
    columns = list(rows[0].values) if rows else []
    findings = [name for name in columns if name in NAMES]
    if (CLASS in columns) == bool(findings):
        raise DatalistError(
            f"{table}:1: expected a column '{CLASS}', or columns named as findings ({', '.join(NAMES[:4])}, …), "
            f"and not both; found {', '.join(columns) or 'no row'}"
        )
    classes = sorted({row[CLASS] for row in rows} & set(NAMES)) if CLASS in columns else []
    records = []
    for row in watched(rows, table.name):
        with problems.at(row.place, row["image"] or None):
            labels = _of_class(row, classes) if classes else _of_columns(row, findings, uncertain)
            records.append(_record(row, labels, images, columns))
    return Reading("own table", (), tuple(records), (table,), ())


def _of_class(row: Row, classes: Sequence[str]) -> dict[str, int | None]:
    found = row.needed(CLASS)
    if found not in NAMES:
        raise Damaged(f"no class is called '{found}'{nearest(found, list(NAMES))}")
    return {name: int(name == found) for name in dict.fromkeys((*classes, NORMAL))}


def _of_columns(row: Row, findings: Sequence[str], uncertain: Uncertain) -> dict[str, int | None]:
    values = {name: row.one_of(name, VALUES) for name in findings}
    known = {BLANK: None, UNCERTAIN: uncertain.label}
    return {name: known[value] if isinstance(value, str) else value for name, value in values.items()}


def _record(row: Row, labels: dict[str, int | None], images: ImageFolder, columns: Sequence[str]) -> Record:
    pool: tuple[str, ...] = SPLITS
    if "split" in columns:
        pool = (str(row.one_of("split", {name: name for name in SPLITS})),)
    return Record(
        key=row.needed("image"),
        image=images.find(row["image"]),
        patient=row.needed("patient"),
        place=row.place,
        labels=labels,
        view=(row["view"].upper() or None) if "view" in columns else None,
        boxed=False,
        pool=pool,
    )
