"""The lists of a study: its page shows the beginning of each, pages of their own hold the whole."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from app.web.study.views import StudyPage

LISTED: Final = 50
"""Of each list on the page of a study."""
PAGE: Final = 100
"""On a page of one list alone."""


class Part(StrEnum):
    """A list."""

    FINDINGS = "findings"
    SERIES = "series"
    ANALYSES = "analyses"
    RULES = "rules"
    DOCUMENTS = "documents"
    DELIVERIES = "deliveries"


COLUMNS: Final[Mapping[Part, tuple[str, ...]]] = MappingProxyType(
    {
        Part.FINDINGS: ("Bundle", "Finding", "What", "Score", "Volume", "Longest", "Where"),
        Part.SERIES: (),
        Part.ANALYSES: ("Bundle", "Series", "Rule, and what matched", "Ended"),
        Part.RULES: ("Rule", "Bundle", "Series", "Reasons"),
        Part.DOCUMENTS: ("Kind", "Bundle", "File", "Size", "Open"),
        Part.DELIVERIES: ("Document", "Destination", "State", "Attempts", "Storage commitment", "Detail"),
    }
)


def list_of(study: StudyPage, part: Part) -> Sequence[object]:
    """All of one list."""
    found: Mapping[Part, Sequence[object]] = {
        Part.FINDINGS: study.items,
        Part.SERIES: study.series,
        Part.ANALYSES: study.all_bundles,
        Part.RULES: study.declined,
        Part.DOCUMENTS: study.documents,
        Part.DELIVERIES: study.deliveries,
    }
    return found[part]
