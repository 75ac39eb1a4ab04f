"""The stand-in PACS, asked through its REST interface."""

import json
import urllib.request
from dataclasses import dataclass
from io import BytesIO

from pydicom import Dataset, dcmread


@dataclass(frozen=True)
class Pacs:
    """An Orthanc in a container, on a port of the loopback."""

    port: int

    def instances(self, study_uid: str, modality: str) -> list[Dataset]:
        """What it keeps of a study in one modality, by SOP Instance UID."""
        query = {"Level": "Instance", "Query": {"StudyInstanceUID": study_uid, "Modality": modality}}
        names = json.loads(self._ask("/tools/find", json.dumps(query).encode()))
        found = [dcmread(BytesIO(self._ask(f"/instances/{name}/file"))) for name in names]
        return sorted(found, key=lambda each: str(each.SOPInstanceUID))

    def stored(self) -> int:
        """How many objects it has stored since it was made; one that comes again counts once."""
        return int(json.loads(self._ask("/statistics"))["CountInstances"])

    def _ask(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body)
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: bytes = answer.read()
            return content
