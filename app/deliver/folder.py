"""Send a folder of DICOM files as a scanner would, each in its own transfer syntax."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pynetdicom import build_context
from pynetdicom.association import Association

from app.deliver.association import Peer, accepts, associate, close
from app.deliver.dimse import store, syntaxes
from app.deliver.statuses import Verdict, in_words, meaning
from app.errors import AppError
from app.tls.settings import Tls

MAX_CONTEXTS = 128  # PS3.8 9.3.2.2: context identifiers are the odd numbers to 255
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file.

    Attributes:
        path: The file.
        delivered: Whether the peer said that it has it.
        detail: Its status in words, or why the file was not sent.
        dicom: Whether the file is a DICOM file at all.
    """

    path: Path
    delivered: bool
    detail: str
    dicom: bool = True


def send_folder(  # noqa: PLR0917  an address and two names are always given in this order
    paths: Sequence[Path],
    host: str,
    port: int,
    called: str,
    calling: str,
    on_progress: Callable[[Sent], None] = lambda _: None,
    timeout_s: float = TIMEOUT_S,
    *,
    tls: Tls | None = None,
) -> tuple[Sent, ...]:
    """C-STORE files, and the files in folders, in the order of their names.

    One association carries everything, or one for each 128 combinations of SOP class and transfer syntax. One failure
    does not stop the rest, unless nobody answers: then everything left fails with the same words.

    Args:
        paths: Files and folders.
        host: Where the peer listens.
        port: Where the peer listens.
        called: The peer's AE title.
        calling: Our AE title.
        on_progress: Called after each file.
        timeout_s: For the connection and for each answer.
        tls: None speaks DICOM without TLS.

    Returns:
        What became of every file, in the order they were tried.
    """
    results: list[Sent] = []

    def note(result: Sent) -> None:
        results.append(result)
        on_progress(result)

    combinations: dict[tuple[str, str], list[Path]] = {}
    for path in _files(paths):
        try:
            combinations.setdefault(syntaxes(path), []).append(path)
        except AppError as error:
            note(Sent(path, delivered=False, detail=str(error), dicom=False))
    keys = list(combinations)
    for start in range(0, len(keys), MAX_CONTEXTS):
        batch = {key: combinations[key] for key in keys[start : start + MAX_CONTEXTS]}
        _send_batch(batch, Peer(host, port, called, calling, timeout_s, tls), note)
    return tuple(results)


def _send_batch(batch: dict[tuple[str, str], list[Path]], peer: Peer, note: Callable[[Sent], None]) -> None:
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in batch]
    pairs = sorted(((path, key) for key, paths in batch.items() for path in paths), key=lambda pair: pair[0])
    association: Association | None = None
    for position, (path, key) in enumerate(pairs):
        try:
            if association is None or not association.is_established:
                association = associate(peer, contexts)
        except AppError as error:
            for unsent, _ in pairs[position:]:
                note(Sent(unsent, delivered=False, detail=str(error)))
            return
        note(_send(association, path, key))
    if association is not None:
        close(association)


def _send(association: Association, path: Path, key: tuple[str, str]) -> Sent:
    if not accepts(association, *key):
        return Sent(path, delivered=False, detail=f"SOP class {key[0]} in transfer syntax {key[1]} was not accepted")
    try:
        status = store(association, path)
    except AppError as error:
        return Sent(path, delivered=False, detail=str(error))
    return Sent(path, meaning(status).verdict is Verdict.DELIVERED, in_words(status))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        else:
            yield path
