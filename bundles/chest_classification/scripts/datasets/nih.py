"""NIH ChestX-ray14: `Data_Entry_2017.csv` (or v2020) and `test_list.txt`. What is not named is absent."""

from pathlib import Path

from bundles.chest_classification.scripts.findings import NORMAL, of_nih
from bundles.common.datalist.images import ImageFolder, watched
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading, Record
from bundles.common.datalist.tables import Row, read_rows
from bundles.common.radiograph import nih as table


def read(entries: Path, images: ImageFolder, problems: Problems, *, test_list: Path | None = None) -> Reading:
    """Read the set.

    Args:
        entries: `Data_Entry_2017.csv`.
        images: The PNG files.
        problems: Receives what is wrong.
        test_list: `test_list.txt`: those images are test, the others training or validation by hash of the patient.
            None splits all patients by hash.
    """
    test = table.read_test_list(test_list)
    rows, records = list(read_rows(entries, table.ENTRY, problems)), []
    for row in watched(rows, "images", len(rows)):
        with problems.at(row.place, row["Image Index"] or None):
            records.append(_record(row, images, table.pool_of(row["Image Index"], test)))
    table.note_unlisted({row["Image Index"]: row.place for row in rows}, test, test_list, problems)
    files = tuple(file for file in (entries, test_list) if file is not None)
    return Reading("NIH ChestX-ray14", (), tuple(records), files, ("labels are mined from reports",))


def _record(row: Row, images: ImageFolder, pool: tuple[str, ...]) -> Record:
    patient, found = table.entry_patient(row), table.findings_of(row["Finding Labels"])
    labels: dict[str, int | None] = {each.name: int(bool(set(each.nih) & set(found))) for each in of_nih()}
    return Record(
        key=row["Image Index"],
        image=images.find(row["Image Index"]),
        patient=patient,
        place=row.place,
        labels={**labels, NORMAL: int(not found)},
        view=str(row.one_of("View Position", table.VIEWS)),
        boxed=False,
        pool=pool,
        more={"findings": list(found), "sex": row["Patient Gender"], "age": table.entry_age(row)},
    )
