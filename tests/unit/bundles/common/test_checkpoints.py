"""A run goes on after its last stored epoch, the best weights are kept, and what cannot be compared is said."""

import json
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer
from structlog.testing import capture_logs
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from bundles.common.checkpoints import KeepBest, Resume, load_weights, read_validation

NAN = float("nan")


def counting(network: nn.Module, seen: list[int]) -> Engine:
    def step(engine: Engine, _: object) -> None:
        seen.append(engine.state.epoch)
        with torch.no_grad():
            network.weight += 1

    return Engine(step)


@pytest.mark.parametrize(("interval", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [1, 2, 3, 3, 4, 5])])
def test_a_run_goes_on_after_its_last_stored_epoch(tmp_path: Path, interval: int, epochs: list[int]) -> None:
    seen: list[int] = []
    for length in (3, 5):
        engine = counting(network := nn.Linear(1, 1), seen)
        Resume(str(tmp_path), {"network": network}, interval=interval).attach(engine)
        engine.run([0], max_epochs=length)
    assert seen == epochs
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_weights_that_a_run_that_goes_on_does_not_use_are_said(tmp_path: Path) -> None:
    def not_used(start: list[str | None]) -> list[list[str]]:
        with capture_logs() as logs:
            engine = counting(network := nn.Linear(1, 1), [])
            Resume(str(tmp_path), {"network": network}, start=start).attach(engine)
            engine.run([0], max_epochs=2)
        return [entry["files"] for entry in logs if entry["event"] == "weights_not_used"]

    assert not_used(["encoder.pt", None]) == []
    assert not_used(["encoder.pt", None]) == [["encoder.pt"]]
    assert not_used([None, None]) == []


def test_processes_that_do_not_write_still_load(tmp_path: Path) -> None:
    engine = counting(network := nn.Linear(1, 1), [])
    Resume(str(tmp_path), {"network": network}, save=False).attach(engine)
    engine.run([0], max_epochs=1)
    assert not list(tmp_path.iterdir())


def trainer(images: int, batch: int, *handlers: object) -> SupervisedTrainer:
    network = nn.Linear(1, 1)
    loader = DataLoader(TensorDataset(torch.zeros(images, 1)), batch_size=batch, drop_last=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return SupervisedTrainer(torch.device("cpu"), 1, loader, network, optimizer, nn.MSELoss(), train_handlers=handlers)


def test_a_training_with_fewer_images_than_a_batch_is_refused_before_it_begins(tmp_path: Path) -> None:
    resume = Resume(str(tmp_path), {"network": nn.Linear(1, 1)})
    with pytest.raises(
        ValueError, match=r"no batch: there are 3 images, and a batch of 4; give a smaller --batch_size"
    ):
        trainer(3, 4, resume)
    assert trainer(4, 4, resume).state.epoch_length == 1
    assert not list(tmp_path.iterdir())


def test_only_a_better_epoch_replaces_the_best_and_nan_is_said(tmp_path: Path) -> None:
    network = nn.Linear(1, 1)
    with capture_logs() as logs:
        for epoch, (value, best) in enumerate(((0.5, 0.5), (0.9, 0.9), (0.7, 0.9), (NAN, 0.9)), start=1):
            engine = Engine(lambda *_: None)
            KeepBest(network, str(tmp_path), metric="auroc", epoch=lambda epoch=epoch: epoch).attach(engine)
            engine.state.metrics = {"auroc": value}
            engine.run([0])
            assert json.loads((tmp_path / "best.json").read_text())["auroc"] == best
    assert logs == [{"event": "epoch_cannot_be_compared", "metric": "auroc", "epoch": 4, "log_level": "warning"}]
    assert json.loads((tmp_path / "best.json").read_text())["epoch"] == 2


def test_the_figures_of_every_epoch_are_kept_and_a_repeated_one_counts_once(tmp_path: Path) -> None:
    assert read_validation(tmp_path) == []
    for epoch, value in ((1, 0.5), (2, 0.25), (2, 0.75)):
        engine = Engine(lambda _engine, _item: None)
        KeepBest(nn.Linear(1, 1), str(tmp_path), metric="auroc", epoch=lambda epoch=epoch: epoch).attach(engine)
        engine.state.metrics = {"auroc": value}
        engine.run([0])
    with (tmp_path / "validation.jsonl").open("a") as file:
        file.write('{"epoch": 3, "au')
    assert read_validation(tmp_path) == [{"epoch": 1, "auroc": 0.5}, {"epoch": 2, "auroc": 0.75}]


def test_weights_in_half_precision_become_the_network_s_own(tmp_path: Path) -> None:
    network, other = nn.Linear(3, 2), nn.Linear(3, 2)
    torch.save({name: value.half() for name, value in network.state_dict().items()}, tmp_path / "half.pt")
    load_weights(other, str(tmp_path / "half.pt"))
    assert other.weight.dtype == torch.float32
    assert torch.equal(other.weight, network.weight.half().float())
    assert not other.training
    with pytest.raises(ValueError, match=r"none\.pt is missing; train first"):
        load_weights(other, str(tmp_path / "none.pt"))


def test_the_last_network_of_a_run_loads_from_its_checkpoint(tmp_path: Path) -> None:
    engine = counting(network := nn.Linear(2, 1), [])
    Resume(str(tmp_path), {"network": network}).attach(engine)
    engine.run([0], max_epochs=2)
    load_weights(other := nn.Linear(2, 1), str(tmp_path / "checkpoint.pt"))
    assert torch.equal(other.weight, network.weight)


def test_a_part_that_the_file_lacks_as_a_whole_keeps_its_start(tmp_path: Path) -> None:
    def network(*, head: bool) -> nn.Module:
        parts = {"trunk": nn.Linear(2, 2), **({"head": nn.Linear(2, 1)} if head else {})}
        return nn.ModuleDict(parts)

    given, filled = network(head=False), network(head=True)
    path = str(tmp_path / "trunk.pt")
    torch.save(given.state_dict(), path)
    with pytest.raises(RuntimeError, match=r"head\.weight"):
        load_weights(filled, path)
    start = filled["head"].weight.clone()
    with capture_logs() as logs:
        load_weights(filled, path, may_lack=["head"])
    assert torch.equal(filled["head"].weight, start)
    assert torch.equal(filled["trunk"].weight, given["trunk"].weight)
    assert [(line["event"], line["part"]) for line in logs] == [("part_not_in_weights", "head")]
    # Half a part is no part: whoever wrote that file meant another network.
    torch.save({**given.state_dict(), "head.weight": start}, path)
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        load_weights(filled, path, may_lack=["head"])
