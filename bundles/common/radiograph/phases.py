"""A head first and then everything, in one run, and what makes an interrupted run the same as an undisturbed one.

Thorat et al. 2024 (seed 000): "The classification head was trained for 40 epochs. The entire model was then trained
from epoch 40 to 50."
"""

import math
from collections.abc import Callable

import structlog
from ignite.engine import Engine, Events

from bundles.common.radiograph.classifier import RadiographClassifier

log = structlog.get_logger()

LAST_SHARE = 0.1


class Phases:
    """Holds the encoder during the first epochs and frees it afterwards, also in a run that was resumed between.

    Args:
        network: Whose encoder.
        head_epochs: So many epochs train the head alone; 0 trains everything from the start.
    """

    def __init__(self, network: RadiographClassifier, head_epochs: int) -> None:
        if head_epochs < 0:
            raise ValueError(f"head_epochs is {head_epochs}, expected 0 or more")
        self.network, self.head_epochs = network, head_epochs
        self._entered: bool | None = None

    def attach(self, engine: Engine) -> None:
        """Decide at the start of each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._enter)

    def _enter(self, engine: Engine) -> None:
        frozen = engine.state.epoch <= self.head_epochs
        if frozen is self._entered:
            return
        self._entered = frozen
        self.network.freeze_encoder(frozen=frozen)
        trained = sum(parameter.numel() for parameter in self.network.parameters() if parameter.requires_grad)
        log.info("phase_started", epoch=engine.state.epoch, trains="head" if frozen else "everything", numbers=trained)


def falling_rate(head_rate: float, rate: float, head_steps: int, steps: int) -> Callable[[int], float]:
    """The learning rate at every step: in each phase a cosine from its own rate down to a tenth of it.

    The paper's "0.001 0.01" without more is taken as these two ends. Only one phase moves at a time, so that all
    parameters share the rate.

    Args:
        head_rate: First rate of the head's phase.
        rate: First rate of the whole network's.
        head_steps: Length of the first phase.
        steps: Length of the second.

    Returns:
        A plain function for `LambdaLR` over an optimiser whose own rate is 1. Schedulers do not save functions: a
        resumed run with other lengths follows its own.
    """

    def at(step: int) -> float:
        if step < head_steps:
            return head_rate * _cosine(step / head_steps)
        return rate * _cosine(min((step - head_steps) / max(1, steps), 1.0))

    return at


def _cosine(share: float) -> float:
    return LAST_SHARE + (1 - LAST_SHARE) * (1 + math.cos(math.pi * share)) / 2
