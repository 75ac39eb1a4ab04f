"""Which series a Model Zoo bundle gets, from its metadata alone: modality, kind of image, and words for the body part.

Where the metadata name a part of the body, a series must name it too, in one of four headers. That is a guess from
words: a rule file with `replace: true` (docs/routing.md) says it better.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from bundles.common.contract import FindingOutput, GeometryLimits, Service
from bundles.common.model_zoo.declared import Declared

FEWEST_SLICES = 8
PRIORITY = 100
EVERYWHERE = re.compile(r"\bwhole[ -]?body\b", re.IGNORECASE)
EVIDENCE = ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName")

REGIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "head": (
            r"\b(head|brain|skull|cranial|intracranial|cerebr\w*|hippocamp\w*|glioma|brats)\b",
            r"\bhead|brain|skull|crane|crani|sch(ae|ä)del|\bkopf\b|cabeza|cerebr|cerveau|encef|encéf|hersen|neuro",
        ),
        "chest": (
            r"\b(chest|thorax|thoracic|lungs?|pulmonary|hearts?|cardiac|atrium|myocardi\w*|trachea|mediastin\w*)\b",
            r"chest|thora|lung|lunge|pulmo|poumon|tórax|torace|heart|herz|cardi|coeur|mediast|\bcap\b|\btap\b",
        ),
        "abdomen": (
            r"\b(abdom\w*|spleen|splenic|livers?|hepatic|kidneys?|renal|pancrea\w*|stomach|duodenum|adrenal\w*|colon|btcv)\b",
            r"abd|liver|leber|foie|hígado|fegato|spleen|milz|bazo|milza|kidney|niere|renal|pan[ck]rea|\bbauch|\bcap\b|\btap\b",
        ),
        "pelvis": (
            r"\b(pelvi\w*|prostat\w*|urinary bladder|uterus|rectum)\b",
            r"pelvi|becken|bassin|bacino|prostat|bladder|blase|vessie|uter|rect|\bcap\b|\btap\b|abd",
        ),
        "spine": (
            r"\b(spine|spinal|vertebra\w*)\b",
            r"spine|spinal|vertebr|wirbel|rachis|columna|colonna|\b[CTL]SP|lumb|cervical|thorac",
        ),
        "breast": (r"\b(breasts?|mammar\w*)\b", r"breast|mamm|brust|sein\b|seno\b"),
        "hand": (r"\b(hands?|wrists?)\b", r"hand|wrist|poignet|carp|main\b|polso|muñeca"),
        "knee": (r"\b(knees?)\b", r"knee|knie|genou|rodilla|ginocchio"),
    }
)


class DeclaredService(Service):
    """A contract made from metadata: what the bundle says is no finding of ours, and none is sought."""

    findings: tuple[FindingOutput, ...] = ()


def service_of(declared: Declared) -> DeclaredService:
    """Make the contract of a bundle that brought none. Its status is always research."""
    volumes = declared.dimensions == 3
    return DeclaredService(
        title=declared.title,
        status="research",
        priority=PRIORITY,
        accepts=_accepts(declared),
        geometry=GeometryLimits(min_slices=FEWEST_SLICES if volumes else 1),
        reads="stack" if volumes else "image",
    )


def regions_of(told: str) -> tuple[str, ...]:
    """Parts of the body that words name; () for none of those known here, and for the whole body."""
    if EVERYWHERE.search(told):
        return ()
    return tuple(name for name, (words, _) in REGIONS.items() if re.search(words, told, re.IGNORECASE))


def _accepts(declared: Declared) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = [{"Modality": {"in": list(declared.modalities)}}]
    if declared.dimensions == 3:
        conditions.append({"slices": {"min": FEWEST_SLICES}})
        conditions += [{"not": {"ImageType": {"regex": word}}} for word in ("LOCALIZER", "SCREEN SAVE")]
    if regions := regions_of(declared.told):
        pattern = "|".join(REGIONS[name][1] for name in regions)
        conditions.append({"any": [{keyword: {"regex": pattern}} for keyword in EVIDENCE]})
    return {"all": conditions}
