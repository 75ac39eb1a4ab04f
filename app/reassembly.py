"""A study revision from its outcome: the files that made it, read once more. Headers only."""

from pathlib import Path

from app.assemble import assemble
from app.errors import Rejected
from app.outcomes import StudyOutcome
from app.study import Study


def files_of(spool: Path, known: StudyOutcome) -> tuple[Path, ...]:
    """Where the images of a revision lie, or lay: retention removes them after delivery."""
    folder = spool / "studies" / known.key.partition("-")[0]
    return tuple(folder / name for name in sorted(known.files))


def reassemble(spool: Path, known: StudyOutcome) -> Study:
    """The study of a revision.

    Args:
        spool: Folder of the settings.
        known: The revision.

    Raises:
        Rejected: Its files are those of another study or revision now, or none of them tells its study.
    """
    study = assemble(
        files_of(spool, known),
        interrupted=known.interrupted,
        notes=known.arrival_notes,
        missing=known.arrival_signs,
        run=known.run,
    )
    if study.key != known.key:
        raise Rejected(f"study {known.key}: its files in the spool are of another study or revision now; send it again")
    return study
