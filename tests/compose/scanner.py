"""Studies, and a scanner that sends them: what was not taken it sends again, as scanners do."""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid

from app.demo.studies import Case, draw
from tests.integration.receive.dcmtk import Sent, send

SCANNER = "SCANNER"
PAUSE_S = 1.0
PATIENCE_S = 420.0
ATTEMPT_S = 120.0


@dataclass(frozen=True)
class Study:
    """DICOM files of one study."""

    uid: str
    files: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path) -> "Study":
        """The study that lies in a folder."""
        files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
        (uid,) = {str(dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID) for path in files}
        return cls(uid, files)

    def again(self, folder: Path, token: str) -> "Study":
        """The same images as another study: new UIDs of study, series and images, the same for the same token."""
        folder.mkdir(parents=True)
        for number, path in enumerate(self.files):
            image = dcmread(path)
            for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
                if name in image:
                    image[name].value = generate_uid(entropy_srcs=[token, str(image[name].value)])
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            image.save_as(folder / f"{number:04}.dcm", enforce_file_format=True)
        return Study.of(folder)


def draw_all(cases: Sequence[Case], folder: Path, seed: int) -> list[Study]:
    """Draw phantom studies on every core, in the order of the cases."""
    # Spawned: a fork of a process with threads may hang.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        drawn = [
            pool.submit(draw, case, seed + number, folder / str(number), "compose") for number, case in enumerate(cases)
        ]
        for each in drawn:
            each.result()
    return [Study.of(folder / str(number)) for number in range(len(cases))]


@dataclass
class Scanner:
    """Sends by dcmtk's storescu.

    Attributes:
        port: Of the listener, on the loopback.
        attempts: What every association brought.
    """

    port: int
    attempts: list[Sent] = field(default_factory=list)

    def once(self, files: Sequence[Path]) -> list[Path]:
        """Send in one association; the files that were not taken."""
        sent = send(self.port, files, calling_ae=SCANNER, timeout=ATTEMPT_S)
        self.attempts.append(sent)
        taken = {answer.file for answer in sent.answers if answer.status == 0}
        return [path for path in files if path not in taken]

    def send(self, study: Study, patience_s: float = PATIENCE_S) -> None:
        """Send until every image was taken."""
        deadline = time.monotonic() + patience_s
        left = self.once(study.files)
        while left:
            assert time.monotonic() < deadline, f"{len(left)} images were not taken: {self.attempts[-1].log[-2000:]}"
            time.sleep(PAUSE_S)
            left = self.once(left)

    @property
    def statuses(self) -> set[int | None]:
        """Every answer that it ever had; None stands for an image without one."""
        return {status for sent in self.attempts for status in sent.statuses}
