"""The rate falls in each phase, the encoder is freed when its time has come, and epochs are seeded by their number."""

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import Dataset, DistributedSampler
from monai.transforms import Compose, RandGaussianNoised
from structlog.testing import capture_logs

from bundles.common.radiograph.phases import Phases, falling_rate
from bundles.common.training import SeedEveryEpoch
from bundles.wrist_fracture.scripts.network import WristFractureNet


def test_the_rate_falls_to_a_tenth_in_each_phase() -> None:
    rate = falling_rate(0.01, 0.004, 40, 10)
    values = [rate(step) for step in range(55)]
    assert values[0] == pytest.approx(0.01)
    assert values[:40] == sorted(values[:40], reverse=True)
    assert values[20] == pytest.approx(0.0055)
    assert values[40] == pytest.approx(0.004)
    assert values[40:51] == sorted(values[40:51], reverse=True)
    assert values[50] == values[54] == pytest.approx(0.0004)


def test_either_phase_may_be_missing() -> None:
    assert falling_rate(0.01, 0.004, 0, 10)(0) == pytest.approx(0.004)
    assert falling_rate(0.01, 0.004, 10, 0)(9) > 0.001


@pytest.mark.parametrize(("head_epochs", "frozen"), [(2, [True, True, False, False]), (0, [False] * 4)])
def test_the_encoder_is_held_during_the_first_epochs(head_epochs: int, frozen: list[bool]) -> None:
    network, seen = WristFractureNet(), []
    engine = Engine(lambda *_: seen.append(network.encoder_is_frozen))
    Phases(network, head_epochs).attach(engine)
    with capture_logs() as logs:
        engine.run([0], max_epochs=4)
    assert seen == frozen
    everything = sum(parameter.numel() for parameter in network.parameters())
    phases = [(log["epoch"], log["trains"], log["numbers"]) for log in logs]
    freed = (head_epochs + 1, "everything", everything)
    assert phases == ([(1, "head", 513), freed] if head_epochs else [freed])


def test_less_than_no_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="head_epochs is -1"):
        Phases(WristFractureNet(), -1)


def test_an_epoch_draws_the_same_whatever_came_before() -> None:
    def epochs(first: int) -> dict[int, tuple]:
        dataset = Dataset([{"image": torch.zeros(1, 2, 2)}] * 4, Compose([RandGaussianNoised("image", prob=1.0)]))
        sampler = DistributedSampler(dataset, num_replicas=1, rank=0, shuffle=True, seed=3)
        drawn = {}

        def look(engine: Engine, _: object) -> None:
            drawn[engine.state.epoch] = (list(sampler), dataset[0]["image"].tolist(), torch.rand(2).tolist())

        engine = Engine(look)
        SeedEveryEpoch(3, sampler, dataset).attach(engine)
        engine.add_event_handler(Events.STARTED, lambda: setattr(engine.state, "epoch", first - 1))
        engine.run([0], max_epochs=3)
        return drawn

    whole = epochs(1)
    assert epochs(3)[3] == whole[3]
    assert all(whole[1][part] != whole[2][part] for part in (1, 2))
