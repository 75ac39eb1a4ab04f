"""Where inference touches the machine: its device, its memory, and what MONAI wraps around the reader's errors."""

import ctypes

import structlog
import torch

from app.errors import Failed
from bundles.common.reader import UnreadableImage

log = structlog.get_logger()


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
