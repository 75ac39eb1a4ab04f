"""Where inference touches the machine: its device, its memory, and what MONAI wraps around the reader's errors."""

import ctypes

import structlog
import torch

from app.errors import Failed
from bundles.common.reader import UnreadableImage

log = structlog.get_logger()

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
REUSE = ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, 1 << 28), (M_TRIM_THRESHOLD, (1 << 31) - 1))
"""Options of glibc's mallopt(3). Tensors up to 256 MiB are kept; larger ones would leave holes."""


def device_of(wanted: str) -> torch.device:
    """The device that the settings name; "auto" takes CUDA where there is one.

    Raises:
        Failed: It is not there.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(wanted)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Failed(f"inference.device is '{wanted}', but torch sees no CUDA device; write 'auto' or 'cpu'")
    return device


def unreadable(error: BaseException | None) -> UnreadableImage | None:
    """Find the reader's own words below what MONAI wraps around them."""
    while error is not None and not isinstance(error, UnreadableImage):
        error = error.__cause__ or error.__context__
    return error


def trim() -> None:
    """Give freed volumes back to the system: glibc keeps them, and the next study would come on top."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        log.debug("malloc_trim_missing")


def reuse_memory() -> None:
    """Let freed memory serve the next layer of a network. For a worker's start, before it starts threads.

    As it comes, glibc maps every large tensor anew and gives it back at once, and gives each thread a heap that none
    of them fits into: the kernel then clears a million pages in one head MR, a quarter of the time that it takes. With
    one heap, and no piece of it given back before `trim`, that falls to a twelfth.
    """
    try:
        library = ctypes.CDLL("libc.so.6")
        taken = [library.mallopt(option, value) for option, value in REUSE]
    except (OSError, AttributeError):
        taken = [0]
    if not all(taken):
        log.debug("mallopt_missing")
