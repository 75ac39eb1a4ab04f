"""What each answer to a finding means, in words: the form, the history and the refusals say the same."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.feedback import Answer
from app.findings import Presence

_TO_PRESENT: Final[Mapping[Answer, str]] = MappingProxyType(
    {
        Answer.AGREE: "agree: it is there",
        Answer.DISAGREE: "disagree: it is not there",
        Answer.ELSEWHERE: "disagree: it is there, but elsewhere",
        Answer.UNSURE: "unsure",
    }
)
_TO_ABSENT: Final[Mapping[Answer, str]] = MappingProxyType(
    {
        Answer.AGREE: "agree: it is not there",
        Answer.DISAGREE: "disagree: it is there",
        Answer.UNSURE: "unsure",
    }
)


def answers_to(presence: str) -> Mapping[Answer, str]:
    """What can be answered to a finding that is reported present or absent, with what it means."""
    return _TO_PRESENT if presence == Presence.PRESENT else _TO_ABSENT


def answer_in_words(presence: str, answer: Answer) -> str:
    """What an answer means to a finding that is reported present or absent."""
    return answers_to(presence).get(answer, answer.value)
