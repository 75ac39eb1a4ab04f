"""Work spread over processes: its order, and what is set in them stays in them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from pretraining.archive import ArchiveSettings, prepare
from pretraining.data.decode import Recipe
from pretraining.data.files import in_order
from pretraining.data.index import build_index
from pretraining.data.shards import StoreSettings, build_store, one_thread
from tests.unit.pretraining.data.archive import ramp, save_picture

THREADS = 3


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def _seen(number: int) -> tuple[int, int, bool]:
    return number, torch.get_num_threads(), os.getpid() == int(os.environ["STARTED_BY"])


@pytest.mark.parametrize("workers", [0, 2])
def test_only_started_processes_are_set_to_one_thread(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setenv("STARTED_BY", str(os.getpid()))
    expected = [(number, 1 if workers else THREADS, not workers) for number in range(8)]
    assert list(in_order(_seen, range(8), workers, at_start=one_thread)) == expected
    assert torch.get_num_threads() == THREADS


def test_making_a_store_leaves_the_callers_threads_alone(tmp_path: Path) -> None:
    save_picture(tmp_path / "in" / "a.png", ramp())
    build_index(tmp_path / "in", tmp_path / "index.parquet")
    build_store(tmp_path / "in", tmp_path / "index.parquet", tmp_path / "store", StoreSettings(Recipe(max_side=8)))
    assert torch.get_num_threads() == THREADS
    prepare(tmp_path / "in", tmp_path / "other", ArchiveSettings(max_side=8))
    assert torch.get_num_threads() == THREADS
