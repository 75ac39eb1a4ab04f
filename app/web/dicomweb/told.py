"""What a search tells of a study as a whole: from the headers of its instances, or as it was kept of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from app.web.dicomweb.attributes import ANSWERED, MATCHED, OPTIONAL, Level
from app.web.dicomweb.holdings import Held
from app.web.dicomweb.model import UTF8, Json, attribute_json, tag_of
from bundles.common.elements import text, value_of


@dataclass(frozen=True, slots=True)
class Told:
    """A study as a search tells it.

    Attributes:
        uid: StudyInstanceUID.
        attributes: Everything of its level that may be answered, in the DICOM JSON model.
        values: Everything of its level that may be matched, by keyword.
        series, instances: How many.
    """

    uid: str
    attributes: Json
    values: Mapping[str, Sequence[str]]
    series: int
    instances: int

    @classmethod
    def of(cls, study: Sequence[Held]) -> Self:
        """Of the instances of a study, one at least."""
        first = study[0].header
        modalities = sorted({text(each.header, "Modality") for each in study} - {""})
        matched = {
            keyword: values_of(first, keyword) for keyword in sorted(MATCHED[Level.STUDY] - {"ModalitiesInStudy"})
        }
        return cls(
            uid=study[0].study_uid,
            attributes=level_json(first, Level.STUDY, None),
            values=matched | {"ModalitiesInStudy": modalities},
            series=len({each.series_uid for each in study}),
            instances=len(study),
        )

    def asked(self, include: frozenset[str] | None) -> Json:
        """The attributes that are answered where these are asked for beyond what the standard has; None: all."""
        left_out = () if include is None else (name for name in OPTIONAL[Level.STUDY] if name not in include)
        unwanted = {f"{tag_of(name):08X}" for name in left_out}
        return {tag: value for tag, value in self.attributes.items() if tag not in unwanted}

    def to_text(self) -> str:
        """To be kept."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_text(cls, kept: str) -> Self:
        """As `to_text` wrote it."""
        return cls(**json.loads(kept))


def level_json(header: Dataset, level: Level, include: frozenset[str] | None) -> Json:
    """What is told of one level: what the standard asks for, and what was asked for beyond it."""
    asked = [name for name in OPTIONAL[level] if include is None or name in include]
    wanted = (*ANSWERED[level], *(name for name in asked if name in header))
    told = {f"{tag_of(name):08X}": attribute_json(header, name) for name in wanted}
    return {"00080005": UTF8} | told


def values_of(header: Dataset, keyword: str) -> list[str]:
    """The values of an attribute as they are matched; a dot leads into the items of a sequence."""
    name, dot, inner = keyword.partition(".")
    value = value_of(header, name)
    if dot:
        return [each for item in value or () for each in values_of(item, inner)]
    if value is None:
        return [""]
    parts = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    return [str(part).strip(" \0") for part in parts] or [""]
