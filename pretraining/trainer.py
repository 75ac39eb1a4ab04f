"""The training loop: one optimiser step after the other, the same for every objective.

One iteration of the engine is one optimiser step: ``accumulate`` batches, views made on the device, objective,
backward pass, step. Everything else (checkpoints, curves, probes, export) is a handler.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import Trainer
from monai.inferers import Inferer, SimpleInferer
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from bundles.common.careful_convolutions import make_convolutions_careful
from pretraining import checkpoint
from pretraining.objectives.distributed import rank, sum_over_processes, world_size
from pretraining.objectives.objective import Objective, ObjectiveOutput
from pretraining.optim import Schedule, set_learning_rate
from pretraining.samples import RawBatch
from pretraining.steps import Feed, Step, StepRecord
from pretraining.views.pipeline import ViewPipeline

AMP = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}
NAMED_KEYS = 64


class PretrainingTrainer(Trainer):  # type: ignore[misc]  # MONAI is untyped
    """Trains an objective on an archive; goes on from its checkpoint by itself.

    With gradient accumulation each batch is compared within itself: the optimiser's batch grows, the set of negatives
    (or the batch that Sinkhorn shares out) does not.

    Args:
        device: Where views and networks are.
        max_epochs: To train.
        feed: The archive's batches.
        views: What the objective compares.
        objective: Already on the device; or its DistributedDataParallel wrapper.
        optimizer: Over the objective's parameters.
        schedule: Learning rate of every step.
        output_dir: Where the checkpoint lies.
        seed: Of the views; processes draw from different generators.
        amp: ``off`` (float32), ``bf16`` or ``fp16`` (with a scaled loss).
        checkpoint_every: Steps between checkpoints; one is always written after an epoch.
        channels_last: Lay 2-D crops and kernels out as GPUs like them.
        inferer: Calls the objective: ``inferer(crops, objective, groups, labels)``; MONAI's plain one where None.
        train_handlers: Ignite handlers; the engine's output is a `StepRecord`.

    Raises:
        ValueError: A setting that cannot work.
    """

    def __init__(
        self,
        *,
        device: torch.device | str,
        max_epochs: int,
        feed: Feed,
        views: ViewPipeline,
        objective: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        output_dir: Path | str,
        seed: int = 0,
        amp: str = "off",
        checkpoint_every: int = 500,
        channels_last: bool = False,
        inferer: Inferer | None = None,
        train_handlers: Sequence[Any] = (),
    ) -> None:
        if amp not in AMP:
            raise ValueError(f"amp must be one of {', '.join(AMP)}, not {amp!r}")
        if max_epochs < 1 or checkpoint_every < 1:
            raise ValueError(f"epochs and checkpoint_every must be 1 or more, not {max_epochs} and {checkpoint_every}")
        super().__init__(
            device=torch.device(device),
            max_epochs=max_epochs,
            data_loader=feed,
            epoch_length=feed.steps_per_epoch,
            handlers=None,
            decollate=False,
        )
        self.device, self.feed, self.views = torch.device(device), feed, views
        self.network, self.objective = objective, unwrapped(objective)
        self.inferer = SimpleInferer() if inferer is None else inferer
        self.optimizer, self.schedule = optimizer, schedule
        self.output_dir, self.seed = Path(output_dir), seed
        self.amp_kind, self.checkpoint_every = amp, checkpoint_every
        self.channels_last = channels_last and views.dimensions == 2
        if self.channels_last:
            self.objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.device.type == "cpu" and amp != "off":
            make_convolutions_careful(self.objective)
        self.grad_scaler = torch.amp.GradScaler(self.device.type, enabled=amp == "fp16")
        self.generator = torch.Generator().manual_seed(stream_seed(seed, rank()))
        self._ended = time.perf_counter()
        self._attach(train_handlers)

    @property
    def path(self) -> Path:
        """Of the checkpoint."""
        return self.output_dir / checkpoint.NAME

    @property
    def parts(self) -> checkpoint.Parts:
        """What a checkpoint holds."""
        return checkpoint.Parts(self.objective, self.optimizer, self.grad_scaler, self.feed.sampler, self.generator)

    @property
    def shape(self) -> checkpoint.RunShape:
        """What must not change on resume."""
        feed = self.feed
        crops = ", ".join(f"{spec.count} of {'x'.join(map(str, spec.size))}" for spec in self.views.specs)
        return checkpoint.RunShape(
            world_size(), feed.batch_size, feed.accumulate, feed.steps_per_epoch, self.amp_kind, feed.identity, crops
        )

    def run(self) -> None:
        """Train to the end, from the checkpoint where there is one; a finished training only runs its last handlers.

        Raises:
            CheckpointError: The checkpoint cannot be used, or one cannot be written.
            FloatingPointError: Loss or gradient is not finite; the message names the images.
        """
        done = checkpoint.load(self.path, self.parts, self.shape)
        if done is not None:
            self.load_state_dict(
                {
                    "iteration": done,
                    "epoch_length": self.state.epoch_length,
                    "max_epochs": max(self.state.max_epochs, -(-done // self.state.epoch_length)),
                }
            )
        self._ended = time.perf_counter()
        if done is not None and done >= self.state.max_epochs * self.state.epoch_length:
            # Ignite would start a finished run again from its first step.
            self._fire_event(Events.STARTED)
            self._fire_event(Events.COMPLETED)
            return
        super().run()

    def _attach(self, handlers: Sequence[Any]) -> None:
        self.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        for handler in handlers:
            if handler is not None:
                handler.attach(self)
        # Last, so that the curve on disk is never behind the checkpoint.
        self.add_event_handler(Events.ITERATION_COMPLETED, self._save_when_due)

    def _start_epoch(self) -> None:
        self.network.train()
        self.objective.start_epoch(self.state.epoch - 1)

    def _save_when_due(self) -> None:
        step = self.state.iteration
        if step % self.checkpoint_every == 0 or step % self.state.epoch_length == 0:
            checkpoint.save(self.path, step, self.parts, self.shape)

    def _iteration(self, engine: Engine, batchdata: Step) -> StepRecord:
        """One optimiser step."""
        step = engine.state.iteration - 1
        rate = set_learning_rate(self.optimizer, self.schedule, step)
        self.optimizer.zero_grad(set_to_none=True)
        try:
            outputs = [self._backward(batchdata.batches, index) for index in range(len(batchdata.batches))]
            norm = self._update(step)
        except FloatingPointError as error:
            raise FloatingPointError(f"step {step + 1}: {error}. {_names(batchdata)}") from error
        self.feed.sampler.load_state_dict(batchdata.position)
        return self._record(batchdata, outputs, rate, norm)

    def _backward(self, batches: tuple[RawBatch, ...], index: int) -> ObjectiveOutput:
        """Forward and backward pass of one batch; only the last one averages the gradients over processes."""
        batch = batches[index].to(self.device)
        crops = self.views(batch, self.generator).crops
        if self.channels_last:
            crops = tuple(crop.contiguous(memory_format=torch.channels_last) for crop in crops)
        with self._gradients_kept(last=index == len(batches) - 1):
            with self._autocast():
                output: ObjectiveOutput = self.inferer(crops, self.network, batch.groups, batch.labels or None)
            self.grad_scaler.scale(output.loss / len(batches)).backward()  # type: ignore[no-untyped-call]
        # The graph is freed; what the handlers need stays.
        return replace(output, loss=output.loss.detach(), features=None)

    def _update(self, step: int) -> float:
        """Make the step; returns the norm of the gradient."""
        self.grad_scaler.unscale_(self.optimizer)
        gradients = [param.grad for param in self.objective.parameters() if param.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        # A scaled loss may overflow: the scaler leaves that step out and lowers its scale.
        if not math.isfinite(norm) and not self.grad_scaler.is_enabled():
            raise FloatingPointError(
                f"the gradient's norm is {norm}; nothing was changed. Lower the learning rate or lengthen the warm-up"
                f"{'' if self.amp_kind == 'off' else ', or train without mixed precision (amp: off)'}, "
                "then start again: training goes on from the last checkpoint"
            )
        self.objective.before_optimizer_step(step)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()
        self.objective.after_optimizer_step(step)
        return norm

    def _record(self, data: Step, outputs: list[ObjectiveOutput], rate: float, norm: float) -> StepRecord:
        names = list(outputs[0].parts)
        rows = [torch.stack([out.loss, *(out.parts[name].to(out.loss) for name in names)]) for out in outputs]
        means = (sum_over_processes(torch.stack(rows).mean(dim=0)) / world_size()).tolist()
        now = time.perf_counter()
        seconds, self._ended = now - self._ended, now
        return StepRecord(
            step=self.state.iteration,
            epoch=self.state.epoch,
            loss=means[0],
            parts=dict(zip(names, means[1:], strict=True)),
            learning_rate=rate,
            gradient_norm=norm,
            images=sum(len(batch) for batch in data.batches) * world_size(),
            seconds=seconds,
            waited=data.waited,
            embeddings=torch.cat([out.embeddings for out in outputs]),
            groups=torch.cat([batch.groups for batch in data.batches]),
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = AMP[self.amp_kind]
        return nullcontext() if kind is None else torch.autocast(self.device.type, dtype=kind)

    def _gradients_kept(self, *, last: bool) -> AbstractContextManager[Any]:
        if last or not isinstance(self.network, DistributedDataParallel):
            return nullcontext()
        kept: AbstractContextManager[Any] = self.network.no_sync()
        return kept


def unwrapped(objective: nn.Module) -> Objective:
    """The objective below DistributedDataParallel.

    Raises:
        TypeError: It is no objective.
    """
    bare = objective.module if isinstance(objective, DistributedDataParallel) else objective
    if not isinstance(bare, Objective):
        raise TypeError(f"a trainer needs an Objective of pretraining.objectives, not {type(bare).__name__}")
    return bare


def distributed(objective: Objective, device: torch.device | str, *, sync_batch_norm: bool = True) -> nn.Module:
    """Wrap an objective for the processes of torchrun.

    Args:
        objective: On the device.
        device: Of this process.
        sync_batch_norm: On CUDA, take batch statistics over all processes. MoCo must not: its shuffle keeps queries and
            keys apart only where every process normalises on its own. On a CPU there is no such layer, and every
            process keeps its own statistics.
    """
    device = torch.device(device)
    module: nn.Module = objective
    if sync_batch_norm and device.type == "cuda":
        module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
    # Buffers are the same everywhere (queues) or matter to no loss (running statistics): copying a queue of 65 536
    # keys before every step would cost more than the step's gradients.
    return DistributedDataParallel(
        module, device_ids=[device] if device.type == "cuda" else None, broadcast_buffers=False
    )


def stream_seed(seed: int, process: int) -> int:
    """A seed for the views of one process, far from those of its neighbours and of other runs."""
    return int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(seed * 100_003 + process)))


def _names(data: Step) -> str:
    keys = [key for batch in data.batches for key in batch.keys]
    more = f" and {len(keys) - NAMED_KEYS} more" if len(keys) > NAMED_KEYS else ""
    return f"The step held the images {', '.join(keys[:NAMED_KEYS])}{more}"
