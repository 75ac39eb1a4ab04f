"""The table of findings agrees with its sources and with the service."""

from pathlib import Path

import pytest
import yaml

from app.findings import FINDING_KINDS
from bundles.chest_classification.scripts.findings import (
    CHESS_SIX,
    CHEXPERT_FIVE,
    FINDINGS,
    NORMAL,
    PHANTOM_FIVE,
    Uncertain,
    checked_classes,
    of_chexpert,
    of_nih,
)
from bundles.common.radiograph.nih import FINDINGS as NIH

CHEXPERT = (
    "Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,"
    "Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


def test_every_word_of_the_sources_is_in_it() -> None:
    assert sorted(each.chexpert for each in of_chexpert()) == sorted(CHEXPERT.split(","))
    assert {word for each in of_nih() for word in each.nih} == set(NIH)


def test_what_has_a_name_in_the_service_is_in_its_code_table() -> None:
    named = [each.service for each in FINDINGS.values() if each.service]
    assert set(named) <= set(FINDING_KINDS)
    assert len(set(named)) == len(named)


def test_uncertain_becomes_what_the_papers_table_favours() -> None:
    chosen = {name: FINDINGS[name].uncertain for name in CHEXPERT_FIVE}
    assert chosen == {
        "atelectasis": Uncertain.ONES,
        "cardiomegaly": Uncertain.ZEROS,
        "consolidation": Uncertain.IGNORE,
        "edema": Uncertain.ONES,
        "pleural_effusion": Uncertain.ONES,
    }
    assert {each.label for each in Uncertain} == {1, 0, None}


def test_classes_of_configurations_are_known(root: Path) -> None:
    assert checked_classes(CHESS_SIX, multi_class=True) == CHESS_SIX
    for name in ("train", "evaluate", "inference", "multi_label", "multi_class"):
        content = yaml.safe_load((root / f"bundles/chest_classification/configs/{name}.yaml").read_text())
        six = name == "multi_class"
        expected = CHESS_SIX if six else CHEXPERT_FIVE if name == "multi_label" else PHANTOM_FIVE
        assert checked_classes(content["classes"], multi_class=six) == expected


@pytest.mark.parametrize(
    ("classes", "multi_class", "words"),
    [
        (("pneumothorx",), False, "did you mean 'pneumothorax'"),
        ((NORMAL, "edema"), False, "leave it out"),
        (("edema",), True, "at least 2"),
        ((), False, "at least 1"),
        (("edema", "edema"), False, "named twice"),
    ],
)
def test_other_classes_are_refused(classes: tuple[str, ...], multi_class: bool, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked_classes(classes, multi_class=multi_class)
