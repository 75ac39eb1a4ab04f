"""What the accelerator says of itself: memory and how busy it is. Nothing where there is none."""

import structlog
import torch

from app.infer import metrics

log = structlog.get_logger()


def show_accelerator(device: torch.device) -> None:
    """Set the gauges of a CUDA device; on a CPU there are none.

    Memory is asked of the runtime and counts what every process holds; how busy it is, of the driver (NVML), which
    does not tell it of a part of a card (MIG). What cannot be told is left out, never shown as 0.
    """
    if device.type != "cuda":
        return
    index = torch.cuda.current_device() if device.index is None else device.index
    name = str(index)
    free, size = torch.cuda.mem_get_info(index)
    metrics.GPU_MEMORY_USED.labels(name).set(size - free)
    metrics.GPU_MEMORY.labels(name).set(size)
    try:
        busy = torch.cuda.utilization(index)
    except Exception as error:  # noqa: BLE001  NVML's errors have no class that can be named without its library
        _say_once(type(error).__name__)
    else:
        metrics.GPU_UTILIZATION.labels(name).set(busy / 100)


_said: set[str] = set()


def _say_once(problem: str) -> None:
    if problem not in _said:
        _said.add(problem)
        log.warning(
            "gpu_utilization_not_told", problem=problem, hint="part of a card (MIG), or nvidia-ml-py is missing"
        )
