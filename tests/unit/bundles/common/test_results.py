"""What is written beside an answer: the reader's notes come through loader and batch."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, MetaTensor, decollate_batch

from bundles.common.results import WriteResults


@pytest.mark.parametrize("notes", [(), ("I9.dcm: truncated in its pixel data; left out",), ("one", "another")])
def test_the_notes_of_the_reader_stand_beside_the_answer(notes: tuple[str, ...], tmp_path: Path) -> None:
    image = MetaTensor(torch.zeros(1, 4, 4), meta={"notes": notes})
    loader = DataLoader([{"image": image, "name": "head"}], batch_size=1, num_workers=0)
    engine = Engine(_answering)
    WriteResults(str(tmp_path), lambda item: {"answer": item["answer"]}).attach(engine)
    engine.run(loader)
    told = json.loads((tmp_path / "head.json").read_text(encoding="utf-8"))
    assert told == {"image": "head", "answer": 0.5} | ({"notes": list(notes)} if notes else {})


def _answering(engine: Engine, batch: Any) -> list[dict[str, float]]:
    """As MONAI's evaluators, which take batches apart before handlers see them."""
    engine.state.batch = decollate_batch(batch)
    return [{"answer": 0.5}]
