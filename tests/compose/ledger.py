"""Nothing lost, nothing twice: what was sent, held against the web side's answers and against the PACS."""

from collections.abc import Mapping
from typing import Any

from app.report.uids import derived_uid
from app.study import uid_hash
from tests.compose.scanner import Study
from tests.compose.stack import PATIENCE_S, Stack

FINAL = {"delivered", "superseded", "undelivered", "unwanted", "failed"}


class Ledger:
    """Studies that were sent to a stack.

    A study whose sender was cut off may have an unfinished revision before its whole one. Both are answered by SRs of
    their own UIDs, unless the whole one's stands for both.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.sent: dict[str, Study] = {}

    def add(self, study: Study) -> None:
        """Note that every image of a study was taken by the listener."""
        self.sent[study.uid] = study

    def await_all(self, patience_s: float = PATIENCE_S) -> None:
        """Wait until every revision has ended, and check all that was ever sent."""
        self.stack.until(lambda: not self._unfinished(), lambda: f"the end of {self._unfinished()}", patience_s)
        for study in self.sent.values():
            self.check(study)

    def revisions(self, study: Study) -> list[Mapping[str, Any]]:
        """What the web side says of each revision of a study, the newest first."""
        listed = (self.stack.ask("/api/v1/studies?limit=1000") or {"items": []})["items"]
        keys = [each["key"] for each in listed if each["key"].startswith(uid_hash(study.uid))]
        found = [self.stack.ask(f"/api/v1/studies/{key}") for key in keys]
        return [each for each in found if each]

    def _unfinished(self) -> dict[str, str]:
        """Studies whose whole revision has not ended, or that have a revision under way, and their states."""
        listed = (self.stack.ask("/api/v1/studies?limit=1000") or {"items": []})["items"]
        found = {}
        for study in self.sent.values():
            mine = [each for each in listed if each["key"].startswith(uid_hash(study.uid))]
            ended = bool(mine) and all(each["state"] in FINAL for each in mine)
            if not ended or max(each["images"] for each in mine) < len(study.files):
                found[uid_hash(study.uid)[:12]] = ", ".join(f"{each['state']} {each['images']}" for each in mine)
        return found

    def check(self, study: Study) -> None:
        """Assert that the study has exactly the SRs that it must have, under the UIDs that it must have."""
        revisions = self.revisions(study)
        whole = [each for each in revisions if each["images"] == len(study.files)]
        assert whole, f"no revision holds all {len(study.files)} images: {_told(revisions)}"
        assert whole[0]["state"] == "delivered", _told(revisions)
        assert whole[0]["reports"], _told(revisions)
        wanted = sorted(uid for each in revisions for uid in _delivered(each))
        kept = [str(each.SOPInstanceUID) for each in self.stack.pacs.instances(study.uid, "SR")]
        assert kept == wanted, _told(revisions)
        assert set(_uids(whole[0])) <= set(kept), _told(revisions)


def _uids(revision: Mapping[str, Any]) -> list[str]:
    """SOP Instance UIDs that the SRs of a revision must have, derived here once more from what they are about."""
    return [
        derived_uid(
            each["study_uid"], each["revision"], each["series_uid"], each["stack"],
            each["algorithm"]["name"], each["algorithm"]["version"], "sr",
        )
        for each in revision["reports"]
    ]  # fmt: skip


def _delivered(revision: Mapping[str, Any]) -> list[str]:
    """Those of a revision's SRs that the PACS was given, and not an answer of a newer revision in their place."""
    names = [each["name"] for each in revision["documents"] if each["kind"] == "sr"]
    assert len(names) == len(set(names)) == len(revision["reports"]), _told([revision])
    given = {each["document"] for each in revision["receipts"] if each["delivered"]}
    # Reports and their SRs have the same order: both were written down together.
    return [uid for name, uid in zip(names, _uids(revision), strict=True) if name in given]


def _told(revisions: list[Mapping[str, Any]]) -> str:
    told = [
        {name: each[name] for name in ("key", "state", "images", "problem", "documents", "receipts", "pending")}
        for each in revisions
    ]
    return f"revisions: {told}"
