"""What the HTTP side tells the audit trail."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fastapi import HTTPException, Request

from app.audit.messages import StudyObject
from app.audit.patients import patient_id_of
from app.audit.trail import Trail
from app.documents import Receipt
from app.errors import Failed
from app.outcomes import StudyOutcome
from app.receive.storage import Brought
from app.receive.witness import tell_received
from app.settings import Settings
from app.web.guard import Guard, Visitor
from app.web.reader import Reader

ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Witness:
    """Tells who saw, sent, came and was refused.

    Attributes:
        settings: Of the installation.
        guard: Knows addresses, and signs forms.
    """

    settings: Settings
    guard: Guard
    trail: Trail = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "trail", Trail(self.settings.audit))

    def saw(self, visitor: Visitor, outcome: StudyOutcome) -> None:
        """Somebody looks at a study.

        Raises:
            HTTPException: 503, that cannot be written down, and has to be.
        """
        if self.settings.audit.is_on:
            self.saw_study(visitor, _object(outcome))

    def saw_study(self, visitor: Visitor, study: StudyObject) -> None:
        """Somebody looks at images or results of a study; raises as `saw`."""
        if self.settings.audit.is_on:
            try:
                self.trail.accessed(visitor.name or ANONYMOUS, visitor.address, study)
            except Failed as error:
                raise HTTPException(503, str(error)) from error

    def listed(self, visitor: Visitor, address: str) -> None:
        """Somebody is shown a list of studies, by the words of its address.

        Raises:
            HTTPException: See `saw`.
        """
        if self.settings.audit.is_on:
            try:
                self.trail.queried(visitor.name or ANONYMOUS, visitor.address, address)
            except Failed as error:
                raise HTTPException(503, str(error)) from error

    def sent(self, visitor: Visitor, outcome: StudyOutcome, receipts: Sequence[Receipt]) -> None:
        """Somebody has sent documents of a study again."""
        if not self.settings.audit.is_on:
            return
        failed = Counter(receipt.destination for receipt in receipts if not receipt.delivered)
        for destination in dict.fromkeys(receipt.destination for receipt in receipts):
            problem = f"{failed[destination]} documents were not taken" if failed[destination] else ""
            who, address = visitor.name or ANONYMOUS, visitor.address
            self.trail.sent(destination, _object(outcome), problem=problem, user=who, address=address)

    def answered(self, visitor: Visitor, outcome: StudyOutcome) -> None:
        """Somebody has given feedback on a study."""
        if self.settings.audit.is_on:
            self.trail.answered(visitor.name or ANONYMOUS, visitor.address, _object(outcome))

    def exported(self, visitor: Visitor, outcome: StudyOutcome) -> None:
        """Copies of a study's images have gone to somebody, for training."""
        if self.settings.audit.is_on:
            self.trail.exported(visitor.name or ANONYMOUS, visitor.address, _object(outcome))

    def configured(self, visitor: Visitor, words: str) -> None:
        """Somebody has changed what the installation does, in words: "bundle head switched off: new scanner"."""
        self.trail.configured(visitor.name or ANONYMOUS, visitor.address, words)

    def asked_again(self, visitor: Visitor, outcome: StudyOutcome) -> None:
        """Somebody wants a study analysed once more."""
        if self.settings.audit.is_on:
            self.trail.analysed_again(visitor.name or ANONYMOUS, visitor.address, _object(outcome))

    def received(self, visitor: Visitor, brought: Iterable[Brought], *, whole: bool) -> None:
        """Somebody has uploaded images; `whole` where they said that this was all."""
        tell_received(self.trail, visitor.name or ANONYMOUS, visitor.address, brought, whole=whole)

    def authenticated(self, visitor: Visitor, what: str) -> None:
        """Somebody logged in ("login") or out ("logout")."""
        self.trail.login(visitor.name, visitor.address, logout=what == "logout")

    def refused(self, request: Request, name: str, reason: str) -> None:
        """Somebody was refused."""
        self.trail.refused(reason, name, self.guard.address(request))

    def reader(self, visitor: Visitor) -> Reader:
        """For whom a page is made."""
        return self.guard.reader(visitor)


def _object(outcome: StudyOutcome) -> StudyObject:
    return StudyObject(outcome.study_uid, patient_id_of(outcome))
