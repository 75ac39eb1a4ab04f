"""Lists of known views, the network's shape, and the table of what each was taken for."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from bundles.common.strict import ConfigurationError
from bundles.common.views import VIEWS, load_view_contract
from bundles.radiograph_view.scripts.datalist import load_views
from bundles.radiograph_view.scripts.evaluation import Told, confusion, said, table
from bundles.radiograph_view.scripts.network import ViewNet
from bundles.radiograph_view.scripts.postprocess import Viewsd


def write_list(folder: Path, views: list[object], first: int = 0) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, view in enumerate(views, first):
        Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(folder / f"{number}.png")
        rows.append({"image": f"{number}.png", "patient": f"p{number}", "view_class": view, "kind": "k"})
    path = folder / "datalist.json"
    path.write_text(json.dumps({"training": rows, "validation": [], "test": []}))
    return str(path)


def test_several_lists_are_one_and_the_limit_is_of_each_view(tmp_path: Path) -> None:
    lists = [write_list(tmp_path / "a", [0, 0, 0, 2]), write_list(tmp_path / "b", [1, 3, 3], first=10)]
    assert Counter(item["label"] for item in load_views(lists, "training")) == {0: 3, 1: 1, 2: 1, 3: 2}
    limited = load_views(lists, "training", limit=1)
    assert [item["name"] for item in limited] == ["0.png", "3.png", "10.png", "11.png"]
    assert all(Path(item["image"]).is_file() for item in limited)


@pytest.mark.parametrize("view", [4, -1, "wrist", None])
def test_a_view_that_there_is_not_is_refused_with_the_known_ones(tmp_path: Path, view: object) -> None:
    with pytest.raises(ValueError, match=r"0\.png: view_class is .*expected 0 to 3: frontal_chest"):
        load_views(write_list(tmp_path, [view]), "training")


def test_an_empty_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images in 'test'"):
        load_views(write_list(tmp_path, [0]), "test")


@pytest.mark.parametrize("size", [(128, 128), (32, 96)])
def test_the_network_gives_one_logit_a_view_for_any_size(size: tuple[int, int]) -> None:
    network = ViewNet().eval()
    assert network(torch.rand(2, 1, *size)).shape == (2, len(VIEWS))


def test_a_batch_is_learned_by_heart() -> None:
    torch.manual_seed(0)
    network, labels = ViewNet(dropout=0.0), torch.arange(8) % 4
    images = torch.rand(8, 1, 32, 32)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1


def test_probabilities_add_up_to_one() -> None:
    item = Viewsd()({"pred": torch.tensor([3.0, -1.0, 0.5, 0.0])})
    assert float(item["probabilities"].sum()) == pytest.approx(1.0)
    assert int(item["probabilities"].argmax()) == 0


def test_what_was_said_counts_by_truth_and_low_certainty_is_unclear() -> None:
    told = [
        Told("a", "a", "hip", 3, (0.1, 0.0, 0.0, 0.9)),
        Told("b", "b", "hip", 3, (0.7, 0.1, 0.1, 0.1)),
        Told("c", "c", "", 2, (0.05, 0.05, 0.9, 0.0)),
        Told("d", "d", "", 2, ()),
    ]
    counts = confusion(told, 0.8)
    assert counts == {"hip": {"other": 1, "unclear": 1}, "wrist": {"wrist": 1, "unreadable": 1}}
    assert table(counts).splitlines()[2:] == ["| hip | 0 | 0 | 0 | 1 | 1 | 0 |", "| wrist | 0 | 0 | 1 | 0 | 0 | 1 |"]
    assert said((0.8, 0.2, 0.0, 0.0), 0.8) == "frontal_chest"


def test_the_contract_names_what_the_network_gives(root: Path) -> None:
    contract = load_view_contract(root / "bundles" / "radiograph_view")
    assert contract.views == VIEWS
    assert 0.5 <= contract.least_certainty < 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("views: [wrist, elbow]\nleast_certainty: 0.8", "elbow"),
        ("views: [wrist, other]", "least_certainty"),
        ("views: [wrist, other]\nleast_certainty: 0.8\nsure: 1", "sure"),
    ],
)
def test_a_wrong_contract_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "view.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        load_view_contract(tmp_path)
