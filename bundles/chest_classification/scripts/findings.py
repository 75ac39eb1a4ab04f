"""The one table of findings: what each is called in every source, in the service, and what uncertain means there.

Sources: CheXpert and MIMIC-CXR share their fourteen columns (Irvin et al., AAAI 2019; Johnson et al., arXiv
1901.07042); NIH ChestX-ray14 has fourteen findings (Wang et al., CVPR 2017); the six classes are those of CheSS (Cho et
al. 2023). A finding of ours is present where any of a source's words for it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from bundles.common.strict import nearest

NORMAL = "normal"


class Uncertain(StrEnum):
    """What a label "uncertain" becomes: Irvin et al., section "Uncertainty approaches"."""

    ONES = "ones"
    ZEROS = "zeros"
    IGNORE = "ignore"

    @property
    def label(self) -> int | None:
        """As in a datalist."""
        return {"ones": 1, "zeros": 0, "ignore": None}[self.value]


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table.

    Attributes:
        name: Ours, in datalists and configurations.
        chexpert: Column of CheXpert and MIMIC-CXR; "" where they have none.
        nih: Findings of ChestX-ray14; empty where it has none.
        service: Name in the service's code table; "" where that has none, so that it cannot be served.
        uncertain: What the paper's Table 3 favours among ones, zeros and ignore (validation AUROC: atelectasis ones
            0.858, cardiomegaly zeros 0.840, consolidation ignore 0.938, edema ones 0.941, effusion ones 0.934);
            findings that are not in it are ignored where uncertain. Written without that paper at hand. The thesis on
            CheXpert (seed 002, section 3.4.2) takes uncertain as present for all; CheSS (seed 004) does not say.
    """

    name: str
    chexpert: str = ""
    nih: tuple[str, ...] = ()
    service: str = ""
    uncertain: Uncertain = Uncertain.IGNORE


FINDINGS: Mapping[str, Finding] = MappingProxyType(
    {
        each.name: each
        for each in (
            Finding("atelectasis", "Atelectasis", ("Atelectasis",), "atelectasis", Uncertain.ONES),
            Finding("cardiomegaly", "Cardiomegaly", ("Cardiomegaly",), "cardiomegaly", Uncertain.ZEROS),
            Finding("consolidation", "Consolidation", ("Consolidation",), "lung_consolidation", Uncertain.IGNORE),
            Finding("edema", "Edema", ("Edema",), "pulmonary_edema", Uncertain.ONES),
            Finding("pleural_effusion", "Pleural Effusion", ("Effusion",), "pleural_effusion", Uncertain.ONES),
            Finding("lung_lesion", "Lung Lesion", ("Mass", "Nodule"), "lung_lesion"),
            Finding("pneumothorax", "Pneumothorax", ("Pneumothorax",), "pneumothorax"),
            # No source says "interstitial opacity"; fibrosis is the nearest that ChestX-ray14 has.
            Finding("interstitial_opacity", "", ("Fibrosis",), "interstitial_opacity"),
            Finding("pneumonia", "Pneumonia", ("Pneumonia",)),
            Finding("lung_opacity", "Lung Opacity"),
            Finding("infiltration", "", ("Infiltration",)),
            Finding("emphysema", "", ("Emphysema",)),
            Finding("fibrosis", "", ("Fibrosis",)),
            Finding("hernia", "", ("Hernia",)),
            Finding("pleural_thickening", "", ("Pleural_Thickening",)),
            Finding("pleural_other", "Pleural Other"),
            Finding("enlarged_cardiomediastinum", "Enlarged Cardiomediastinum"),
            Finding("fracture", "Fracture"),
            Finding("support_devices", "Support Devices"),
        )
    }
)

CHEXPERT_FIVE = ("atelectasis", "cardiomegaly", "consolidation", "edema", "pleural_effusion")
"""The five that CheXpert and CheSS are compared on."""
CHESS_SIX = (NORMAL, "lung_lesion", "consolidation", "interstitial_opacity", "pleural_effusion", "pneumothorax")
"""The six classes of CheSS, Table 1; its "nodule" includes masses, as our lung lesion does."""
PHANTOM_FIVE = CHESS_SIX[1:]
"""What phantoms show, beside nothing."""


def of_chexpert() -> tuple[Finding, ...]:
    """The findings with a column in CheXpert and MIMIC-CXR."""
    return tuple(each for each in FINDINGS.values() if each.chexpert)


def of_nih() -> tuple[Finding, ...]:
    """The findings that ChestX-ray14 has a word for."""
    return tuple(each for each in FINDINGS.values() if each.nih)


def checked_classes(classes: Sequence[str], *, multi_class: bool) -> tuple[str, ...]:
    """Classes of a configuration.

    Raises:
        ValueError: Fewer than two for one of them to be told, none at all, one twice, an unknown one (the nearest is
            named), or "normal" among findings of which several may be present.
    """
    known = [*FINDINGS, *([NORMAL] if multi_class else [])]
    least = 2 if multi_class else 1
    if len(classes) < least:
        raise ValueError(f"classes are {list(classes)}; expected at least {least}")
    for name in classes:
        if name == NORMAL and not multi_class:
            raise ValueError(
                "'normal' is a class of task multi_class; in multi_label it is the absence of all others: leave it out"
            )
        if name not in known:
            raise ValueError(f"no finding is called '{name}'{nearest(name, known)}")
    if len(set(classes)) < len(classes):
        raise ValueError(f"a class is named twice in {', '.join(classes)}")
    return tuple(classes)
