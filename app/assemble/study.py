"""Files of one study into stacks of images, other objects, and what cannot be read."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import structlog

from app.assemble.headers import plain_headers
from app.assemble.missing import signs_in_series, signs_in_study
from app.errors import Rejected
from app.study import BROKEN_OFF, Instance, Series, Study, Unreadable, revision_of, uid_hash
from bundles.common.elements import integer, text
from bundles.common.geometry import tilt_deg
from bundles.common.headers import (
    FRAME_KEYWORDS,
    Frame,
    Header,
    UnreadableImage,
    frames_of,
    read_header,
)
from bundles.common.stacks import FrameStack, stack_frames

MOST_SOURCES = 8
NOTABLE_TILT_DEG = 0.5
SPOOL_NAME = re.compile(r"[0-9a-f]{32}\.([0-9a-f]{16})\.dcm")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Parsed:
    header: Header
    study_uid: str
    instance: Instance
    frames: tuple[Frame, ...]


def assemble(
    files: Sequence[Path],
    *,
    interrupted: bool = False,
    notes: Sequence[str] = (),
    missing: Sequence[str] = (),
    run: int = 1,
) -> Study:
    """Make a study of the files that arrived for it. The order of `files` never matters.

    Images are grouped by series, orientation, rows, columns and pixel spacing, localizers apart and every radiograph by
    itself, and sorted along the slice normal; of several images at one position the lowest InstanceNumber stays, and a
    note tells. An image whose pixels are cut off stays in its stack and is named in `Series.damaged`. Within a series
    UID, stacks are numbered from the largest, radiographs by instance number; localizers come last.

    Args:
        files: One an instance.
        interrupted: Whether the sender broke off before it had finished.
        notes: What else was odd about the arrival, in words.
        missing: Signs, seen at the arrival, that images are missing.
        run: Which analysis of this set it is, see `app.study.revision_of`.

    Raises:
        Rejected: No file tells a StudyInstanceUID.
    """
    parsed, unreadable = _parse_all(files)
    if not parsed:
        raise Rejected(
            f"none of {len(files)} files tells its study: {unreadable[0].reason if unreadable else 'no files'}"
        )
    counts = Counter(each.study_uid for each in parsed)
    uid = max(sorted(counts), key=lambda each: counts[each])
    for each in parsed:
        if each.study_uid != uid:
            unreadable.append(Unreadable(each.instance.path, f"{each.instance.path.name}: of another study"))
    ours = [each for each in parsed if each.study_uid == uid]
    study = Study(
        uid=uid,
        revision=revision_of(files, interrupted=interrupted, run=run),
        series=_series(ours),
        others=tuple(each.instance for each in ours if not each.frames),
        unreadable=tuple(sorted(unreadable, key=lambda each: each.path.name)),
        interrupted=interrupted,
        notes=((BROKEN_OFF,) if interrupted else ()) + tuple(notes),
        missing=(*missing, *signs_in_study(unreadable)),
        sources=_sources(ours),
    )
    log.debug(
        "study_assembled",
        study=uid_hash(uid)[:12],
        revision=study.revision,
        stacks=len(study.series),
        images=sum(len(series.instances) for series in study.series),
        others=len(study.others),
        unreadable=len(study.unreadable),
    )
    return study


def _sources(parsed: Sequence[_Parsed]) -> tuple[str, ...]:
    titles = {text(each.header.dataset.file_meta, "SourceApplicationEntityTitle").strip() for each in parsed}
    return tuple(sorted(titles - {""})[:MOST_SOURCES])


def _parse_all(files: Sequence[Path]) -> tuple[list[_Parsed], list[Unreadable]]:
    parsed: list[_Parsed] = []
    unreadable: list[Unreadable] = []
    for path in sorted(set(files), key=lambda file: file.name):
        try:
            parsed.append(_parse(path))
        except UnreadableImage as error:
            unreadable.append(Unreadable(path, str(error)))
    return parsed, unreadable


def _parse(path: Path) -> _Parsed:
    header = read_header(path, FRAME_KEYWORDS)
    frames = frames_of(header)
    study_uid, sop_uid = text(header.dataset, "StudyInstanceUID"), text(header.dataset, "SOPInstanceUID")
    if not study_uid or not sop_uid:
        missing = "SOPInstanceUID" if study_uid else "StudyInstanceUID"
        raise UnreadableImage(f"{path.name}: {missing} is missing")
    instance = Instance(
        path=path,
        sop_instance_uid=sop_uid,
        sop_class_uid=text(header.dataset, "SOPClassUID"),
        transfer_syntax_uid=text(header.dataset.file_meta, "TransferSyntaxUID"),
        digest=_digest(path),
        frames=max(len(frames), 1),
        instance_number=integer(header.dataset, "InstanceNumber"),
    )
    return _Parsed(header, study_uid, instance, frames)


def _digest(path: Path) -> str:
    """Take the digest from the spool's name of the file; hash what came from elsewhere."""
    match = SPOOL_NAME.fullmatch(path.name)
    return match.group(1) if match else blake2b(path.read_bytes(), digest_size=8).hexdigest()


def _series(parsed: Sequence[_Parsed]) -> tuple[Series, ...]:
    by_path = {each.instance.path: each for each in parsed}
    instances: dict[str, list[Instance]] = defaultdict(list)
    for each in parsed:
        if each.frames:
            instances[each.frames[0].series_uid].append(each.instance)
    stacks = stack_frames(frame for each in parsed for frame in each.frames)
    by_uid: dict[str, list[FrameStack]] = defaultdict(list)
    for stack in stacks:
        by_uid[stack.frames[0].series_uid].append(stack)
    return tuple(
        replace(
            _one_series(stack, number, len(siblings), by_path),
            missing=signs_in_series(stack, siblings, instances[uid]),
        )
        for uid, siblings in sorted(by_uid.items())
        for number, stack in enumerate(siblings)
    )


def _one_series(stack: FrameStack, number: int, siblings: int, by_path: Mapping[Path, _Parsed]) -> Series:
    paths = list(dict.fromkeys(frame.path for frame in stack.frames))
    first = stack.frames[0]
    headers = plain_headers(read_header(first.path).dataset)
    notes = list(stack.notes)
    if siblings > 1 and not first.projection:
        kind = "a localizer" if first.localizer else f"stack {number + 1}"
        notes.append(f"the series holds {siblings} stacks of different orientation, size or kind; this is {kind}")
    expected = headers.get("ImagesInAcquisition")
    if isinstance(expected, int) and expected > len(paths) and not first.projection:
        notes.append(f"ImagesInAcquisition promises {expected} images, {len(paths)} arrived")
    if str(headers.get("BurnedInAnnotation", "")).upper() == "YES":
        notes.append("text is burned into the pixels (BurnedInAnnotation)")
    tilt = tilt_deg(stack.geometry) if stack.geometry else 0.0
    if tilt > NOTABLE_TILT_DEG:
        notes.append(f"the gantry was tilted by {tilt:.1f}°")
    return Series(
        uid=first.series_uid,
        stack=number,
        modality=first.modality,
        instances=tuple(by_path[path].instance for path in paths),
        headers=headers,
        geometry=stack.geometry,
        notes=tuple(notes),
        damaged=tuple(problem for path in paths if (problem := by_path[path].header.problem) is not None),
    )
