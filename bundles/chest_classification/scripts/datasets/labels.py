"""What the columns that CheXpert and MIMIC-CXR share say of an image, and what becomes of "uncertain"."""

from collections.abc import Mapping, Sequence

from bundles.chest_classification.scripts.findings import FINDINGS, NORMAL, Uncertain, of_chexpert
from bundles.common.datalist.problems import Damaged, DatalistError
from bundles.common.datalist.tables import Row
from bundles.common.radiograph.chexpert import NO_FINDING, UNCERTAIN, VALUES, Unclear
from bundles.common.strict import nearest

PAPER = "paper"
COLUMNS = (NO_FINDING, *(each.chexpert for each in of_chexpert()))
# A pacemaker is no disease: the labeller calls such an image free of findings.
BESIDE_NO_FINDING = frozenset({"support_devices"})
Policy = Mapping[str, Uncertain]
Labels = dict[str, int | None]


def policy_of(general: str, own: Sequence[str]) -> Policy:
    """What uncertain becomes, finding by finding.

    Args:
        general: `paper` for the column `uncertain` of the table of findings, or `ones`, `zeros`, `ignore` for all.
        own: `edema=zeros` and the like, which stand over it.

    Raises:
        DatalistError: Another word, or an unknown finding.
    """
    words = (PAPER, *(each.value for each in Uncertain))
    if general not in words:
        raise DatalistError(f"uncertain labels become '{general}'; expected one of {', '.join(words)}")
    chosen = {each.name: each.uncertain if general == PAPER else Uncertain(general) for each in of_chexpert()}
    for text in own:
        name, _, word = text.partition("=")
        if name not in chosen:
            raise DatalistError(f"'{text}': no finding of the set is called '{name}'{nearest(name, list(chosen))}")
        if word not in set(Uncertain):
            raise DatalistError(f"'{text}': expected {name}=ones, {name}=zeros or {name}=ignore")
        chosen[name] = Uncertain(word)
    return chosen


def labels_of(row: Row, policy: Policy, blank: Unclear) -> tuple[Labels, list[str]]:
    """Labels of a row by our names, `normal` among them, and the findings that it calls uncertain.

    Args:
        row: With `COLUMNS`.
        policy: What uncertain becomes.
        blank: What is not mentioned becomes; beside No Finding it is absent.

    Raises:
        Damaged: A value that the sets do not have, or No Finding beside a disease.
    """
    values = {each.name: row.one_of(each.chexpert, VALUES) for each in of_chexpert()}
    nothing = row.one_of(NO_FINDING, VALUES) == 1
    present = [name for name, value in values.items() if value == 1 and name not in BESIDE_NO_FINDING]
    if nothing and present:
        raise Damaged(f"'{NO_FINDING}' is 1 beside {', '.join(FINDINGS[name].chexpert for name in present)}")
    unsure = [name for name, value in values.items() if value == UNCERTAIN]
    silent = Unclear.ABSENT if nothing else blank
    labels = {name: _label(value, policy[name], silent) for name, value in values.items()}
    return {**labels, NORMAL: int(nothing)}, unsure


def unknown_labels() -> Labels:
    """Of an image about which a set says nothing."""
    return {each.name: None for each in of_chexpert()}


def _label(value: str | int | None, uncertain: Uncertain, blank: Unclear) -> int | None:
    if isinstance(value, int):
        return value
    return uncertain.label if value == UNCERTAIN else blank.label
