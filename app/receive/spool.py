"""The spool: what arrived, one immutable file an instance, under names made of hashes.

    <spool>/studies/<hash of study UID>/<hash of SOP UID>.<digest>.dcm   durable instances
    <spool>/incoming/<association>-<n>.part                              being received
    <spool>/active/<hash of study UID>                                   studies with something new, see `Arrival`
    <spool>/associations/<association>                                   who is sending what, see `presence`
    <spool>/interrupted/<hash of study UID>                              whose sender broke off, see `interruptions`
    <spool>/pruned/<hash of study UID>                                   whose images were removed, see `pruning`

Needs no database, no numpy and no torch. Any number of processes may receive into it and read from it.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from app.receive import presence as presences
from app.receive.dataset import Buffer, Identity, file_header
from app.receive.folders import locked, sync_folder
from app.receive.incoming import Incoming, Stored, identity_of
from app.receive.interruptions import Interruptions
from app.receive.presence import Folders, Presence
from app.receive.pruning import Tombstones, digits
from app.study import Arrival, uid_hash

_MEGABYTE = 1 << 20
_SUFFIX = ".dcm"
PLACING_TRIES = 3


class Spool:
    """Received instances on disk.

    Args:
        folder: Made, with its sub-folders, where it does not exist.
        min_free_mb: Below that much free disk nothing is received any more.

    Raises:
        OSError: The folders cannot be made.
    """

    def __init__(self, folder: Path, min_free_mb: int) -> None:
        self._min_free = min_free_mb * _MEGABYTE
        self._studies = folder / "studies"
        self._incoming = folder / "incoming"
        self._active = folder / "active"
        self._associations = folder / "associations"
        interrupted = folder / "interrupted"
        pruned = folder / "pruned"
        for part in (self._studies, self._incoming, self._active, self._associations, interrupted, pruned):
            part.mkdir(parents=True, exist_ok=True)
        self._folders = Folders(self._associations, self._studies, self._incoming)
        self._interruptions = Interruptions(interrupted)
        self._tombstones = Tombstones(pruned)
        sync_folder(folder)
        sync_folder(folder.parent)
        self._numbers = count()
        self._synced: set[str] = set()

    # The listener's side

    def clean(self) -> int:
        """Remove what dead senders left half received, and mark their studies; the number of files.

        For a listener's start.

        Raises:
            OSError: The disk is full or broken.
        """
        presences.sweep(self._associations)
        left = self.discard_abandoned()
        self._mark_interrupted()
        return left

    def discard_abandoned(self) -> int:
        """Remove what dead senders left half received, and mark their studies; the number of files.

        Raises:
            OSError: The disk is full or broken.
        """
        left = 0
        for path in self._incoming.iterdir():
            if not presences.is_alive(self._associations, path.name.partition("-")[0]):
                found, heard = identity_of(path), _changed(path)
                if found is not None:
                    # It may be the first of its study in that association, whose presence does not name it then.
                    key, half = found.hashes
                    with self._interruptions.alone():
                        self._interruptions.mark(key, heard, [half])
                path.unlink(missing_ok=True)
                left += 1
        return left

    def attend(self) -> Presence:
        """Open a presence for an association; its studies are not complete while it lives.

        Raises:
            OSError: The disk is full or broken.
        """
        # First those that died before: what this one finishes later was interrupted earlier.
        self._mark_interrupted()
        return Presence(self._folders, self._interruptions)

    def leave(self, presence: Presence, *, released: bool) -> None:
        """End an association's presence; its studies are marked as interrupted unless it was released.

        Raises:
            OSError: The disk is broken.
        """
        presence.close(released=released)
        if not released:
            self._mark_interrupted()

    def has_room(self) -> bool:
        """Whether the disk has more than `min_free_mb` left for us."""
        disk = os.statvfs(self._incoming)
        return disk.f_bavail * disk.f_frsize > self._min_free

    def scratch(self, presence: Presence) -> Path:
        """A name for something half received; `clean` removes it where its sender died."""
        return self._incoming / f"{presence.id}-{next(self._numbers)}.part"

    def open(
        self,
        presence: Presence,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        calling_ae: str,
    ) -> Incoming:
        """Start to receive one instance.

        Args:
            presence: The association it comes from.
            sop_class_uid: Affected SOP Class UID of the command.
            sop_instance_uid: Affected SOP Instance UID of the command.
            transfer_syntax_uid: Of the presentation context; nothing is re-encoded.
            calling_ae: Becomes SourceApplicationEntityTitle (0002,0016).

        Raises:
            OSError: The disk is full or broken.
        """

        def place(path: Path, identity: Identity, digest: str, size: int) -> Stored:
            return self._place(presence, path, identity, digest, size)

        return Incoming(
            self.scratch(presence),
            file_header(sop_class_uid, sop_instance_uid, transfer_syntax_uid, calling_ae),
            sop_instance_uid,
            transfer_syntax_uid,
            place,
            hear=presence.hear,
        )

    def cut_off(self, presence: Presence, incoming: Incoming) -> None:
        """Note that an instance did not come to its end; it may be the first of its study in that association.

        Args:
            presence: The association it comes from.
            incoming: What has come of it, neither committed nor discarded.

        Raises:
            OSError: The disk is full or broken.
        """
        presence.hear(incoming.heard)
        found = incoming.identity()
        if found is not None:
            presence.cut_off(*found.hashes, incoming.heard)

    def store(
        self,
        data_set: Buffer,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        calling_ae: str,
    ) -> Stored:
        """Store one whole instance durably, as an association of its own.

        Raises:
            UnintelligibleError: It has no valid UIDs, or others than the arguments say.
            OSError: The disk is full or broken.
        """
        with self.attend() as presence:
            incoming = self.open(
                presence,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                calling_ae=calling_ae,
            )
            try:
                incoming.write(data_set)
                return incoming.commit()
            finally:
                incoming.discard()

    def _place(self, presence: Presence, path: Path, identity: Identity, digest: str, size: int) -> Stored:
        key = uid_hash(identity.study_instance_uid)
        target = self._studies / key / f"{uid_hash(identity.sop_instance_uid)}.{digest}{_SUFFIX}"
        presence.announce(key)
        for left in reversed(range(PLACING_TRIES)):
            self._make_study(key)
            try:
                return self._place_once(presence, path, target, key, size)
            except FileNotFoundError:
                # The folder was removed (`remove`) between making and locking it; it is not again: we are announced.
                if not left:
                    raise
        raise AssertionError

    def _place_once(self, presence: Presence, path: Path, target: Path, key: str, size: int) -> Stored:
        with locked(target.parent, fcntl.LOCK_SH) as folder:
            presence.sends(key, target.name)
            new = not target.exists()
            if new:
                path.rename(target)
            else:
                # The bytes are there; what counts is that they were sent last.
                os.utime(target)
            # Also for a known file: whoever renamed it may have died before this.
            os.fsync(folder)
            self._mark(key)
        return Stored(target, key, size, new)

    def _mark_interrupted(self) -> None:
        presences.living(self._folders, self._interruptions)

    def _make_study(self, key: str) -> None:
        folder = self._studies / key
        if key in self._synced and folder.is_dir():
            return
        folder.mkdir(exist_ok=True)
        # Even where another process made it: ours answers for it now.
        sync_folder(self._studies)
        self._synced.add(key)

    def _mark(self, key: str) -> None:
        """Note that something of the study has become durable now. The caller holds the study's shared lock."""
        marker = self._active / key
        now = time.time_ns()
        try:
            os.utime(marker, ns=(now, now))
        except FileNotFoundError:
            # Not fsynced: after a power cut `study_keys` finds the study without it.
            with marker.open("a") as file:
                file.write(f"{now}\n")
            os.utime(marker, ns=(now, now))

    # The worker's side

    def arrivals(self) -> tuple[Arrival, ...]:
        """Studies that have something new, sorted by key."""
        found = []
        for marker in sorted(self._active.iterdir()):
            # Another worker may have settled it by now.
            with contextlib.suppress(FileNotFoundError):
                found.append((marker.name, marker.read_text(), marker.stat().st_mtime))
        return self._arrivals(found)

    @contextlib.contextmanager
    def claim(self, key: str) -> Iterator[Arrival | None]:
        """Hold a study's marker, so that of several workers one begins the study; the lock dies with its process.

        Yields:
            What is known of the study now; None where another worker holds it or has settled it.
        """
        try:
            descriptor = os.open(self._active / key, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        try:
            yield self._held(descriptor, key)
        finally:
            os.close(descriptor)

    def _held(self, descriptor: int, key: str) -> Arrival | None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        state = os.fstat(descriptor)
        if state.st_nlink == 0:
            return None  # settled before the lock was free
        return self._arrivals([(key, os.read(descriptor, state.st_size).decode("ascii"), state.st_mtime)])[0]

    def _arrivals(self, markers: Iterable[tuple[str, str, float]]) -> tuple[Arrival, ...]:
        """From the markers' names, contents and times, which were read before this is called: an association that is
        not counted any more has nothing on its way.
        """
        sending = presences.living(self._folders, self._interruptions)
        found = []
        for key, content, last in markers:
            first = content.partition("\n")[0]
            # After the associations: one that broke off is marked before it stops counting.
            found.append(Arrival(key, int(first) / 1e9 if first else last, last, sending[key], self.interrupted(key)))
        return tuple(found)

    def interrupted(self, key: str) -> bool:
        """Whether the sender of a study broke off and has not come back to finish."""
        return key in self._interruptions

    def settle(self, arrival: Arrival) -> bool:
        """Drop a study's marker, unless something newer came since `arrival` was taken.

        Returns:
            Whether the marker is gone; False leaves it for the next round.
        """
        marker = self._active / arrival.key
        try:
            with locked(self._studies / arrival.key, fcntl.LOCK_EX | fcntl.LOCK_NB):
                if marker.stat().st_mtime != arrival.last_received:
                    return False
                marker.unlink()
        except BlockingIOError:
            return False  # an instance is being placed at this moment
        except FileNotFoundError:
            marker.unlink(missing_ok=True)
        return True

    def removed(self, key: str, left: Iterable[Path]) -> int:
        """How many images of a study were removed and have not come again among those that are `left`."""
        return len(self._tombstones.images(key) - digits(file.name for file in left))

    def remove(self, key: str, names: frozenset[str]) -> int | None:
        """Remove the images of a study, unless there are others than `names`, or one is on its way.

        Args:
            key: Of the study.
            names: Of all its files, as they were when somebody decided that they may go.

        Returns:
            How many bytes that freed; None where nothing was removed.

        Raises:
            OSError: The disk is broken; a tombstone says what may be gone.
        """
        study = self._studies / key
        try:
            with locked(study, fcntl.LOCK_EX | fcntl.LOCK_NB):
                files = list(study.iterdir())
                if {file.name for file in files} != names or self._is_arriving(key):
                    return None
                self._tombstones.add(key, names)
                freed = sum(file.stat().st_size for file in files)
                for file in files:
                    file.unlink()
                study.rmdir()
        except (BlockingIOError, FileNotFoundError):
            return None
        sync_folder(self._studies)
        return freed

    def holds(self, key: str) -> bool:
        """Whether there is anything of a study, or on its way."""
        return bool(self.versions(key)) or self._is_arriving(key)

    def _is_arriving(self, key: str) -> bool:
        # Associations first: one that is not counted any more has left its marker.
        sending = presences.living(self._folders, self._interruptions)
        return sending[key] > 0 or (self._active / key).exists()

    def study_keys(self) -> tuple[str, ...]:
        """Every study in the spool, sorted."""
        return tuple(sorted(path.name for path in self._studies.iterdir()))

    def files(self, key: str) -> tuple[Path, ...]:
        """The newest version of every instance of a study, sorted by name; () for an unknown study."""
        return tuple(sorted(newest for newest, *_ in self.versions(key)))

    def versions(self, key: str) -> tuple[tuple[Path, ...], ...]:
        """Every instance of a study with all that came under its UID, the newest first; () for an unknown study."""
        found: dict[str, list[tuple[int, Path]]] = {}
        with contextlib.suppress(FileNotFoundError), os.scandir(self._studies / key) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIX):
                    sop = entry.name.partition(".")[0]
                    found.setdefault(sop, []).append((entry.stat().st_mtime_ns, Path(entry.path)))
        return tuple(tuple(path for _, path in sorted(each, reverse=True)) for _, each in sorted(found.items()))


def _changed(path: Path) -> int | None:
    """When a file was written last, ns; None where it is gone."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return None
