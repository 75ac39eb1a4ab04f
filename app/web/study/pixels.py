"""Slices on their way to a canvas: the reader's values as they are, in the shortest numbers that hold them exactly."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from threading import Lock
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bundles.common.pixels import Units
from bundles.common.reader import Slice

CACHE_BYTES: Final = 192 * 1024 * 1024
THUMBNAIL: Final = 144
FEWEST, MOST = 1.0, 99.0
"""Percentiles that become black and white where no window is known."""
Kind = Literal["int16", "uint16", "float32"]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One slice as bytes.

    Attributes:
        kind: Type of the numbers, little endian.
        rows, columns: Size; row after row.
        units: As the reader tells.
        inverted: As the reader tells.
        low, high: Of the values; percentiles 1 and 99.
        body: The numbers.
    """

    kind: Kind
    rows: int
    columns: int
    units: Units
    inverted: bool
    low: float
    high: float
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """For the answer: what the numbers are."""
        return {
            "Vigil-Kind": self.kind,
            "Vigil-Rows": str(self.rows),
            "Vigil-Columns": str(self.columns),
            "Vigil-Units": self.units,
            "Vigil-Inverted": "yes" if self.inverted else "no",
            "Vigil-Low": f"{self.low:g}",
            "Vigil-High": f"{self.high:g}",
        }


def encode(image: Slice) -> Encoded:
    """Encode a slice so that every number comes out of it exactly as the reader gave it.

    Whole numbers of 16 bits, as CT and most others have them, take two bytes; anything else stays float32.
    """
    values = image.array
    kind = _kind(values)
    low, high = _ends(values)
    rows, columns = values.shape
    body = values.astype(np.dtype(kind).newbyteorder("<")).tobytes()
    return Encoded(kind, rows, columns, image.units, image.inverted, low, high, body)


def thumbnail(image: Slice, window: tuple[float, float] | None) -> bytes:
    """A small picture of a slice as PNG, 8 bits of grey.

    Args:
        image: The slice.
        window: Centre and width in the reader's values; None takes what is there.
    """
    values = _shrunk(image.array)
    low, high = _ends(values) if window is None else (window[0] - window[1] / 2, window[0] + window[1] / 2)
    grey = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-6), 0, 1) * 255
    picture = Image.fromarray(np.rint(grey).astype(np.uint8), "L")
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    content = BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def _kind(values: NDArray[np.float32]) -> Kind:
    if not np.isfinite(values).all() or (values != np.rint(values)).any():
        return "float32"
    low, high = values.min(initial=0), values.max(initial=0)
    if low >= -32768 and high <= 32767:
        return "int16"
    return "uint16" if low >= 0 and high <= 65535 else "float32"


def _ends(values: NDArray[np.float32]) -> tuple[float, float]:
    """Percentiles of every so many pixels: all of two million would take longer than reading them."""
    sample = _shrunk(values, 128)
    finite = sample[np.isfinite(sample)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, (FEWEST, MOST))
    return float(low), float(high) if high > low else float(low) + 1.0


def _shrunk(values: NDArray[np.float32], side: int = 2 * THUMBNAIL) -> NDArray[np.float32]:
    step = max(max(values.shape) // side, 1)
    return values[::step, ::step]


@dataclass
class SliceCache:
    """Encoded slices, the latest ones, in bounded memory. Safe to use from several threads.

    Attributes:
        most_bytes: Of all bodies together; a slice that is larger is not kept.
    """

    most_bytes: int = CACHE_BYTES
    _kept: OrderedDict[tuple[str, int, int], Encoded] = field(default_factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def get(self, name: tuple[str, int, int], make: Callable[[], Encoded]) -> Encoded:
        """A slice by revision, series and place; made where it is not kept. What `make` raises comes through."""
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        made = make()
        with self._lock:
            before = self._kept.pop(name, None)
            self._bytes += len(made.body) - (len(before.body) if before else 0)
            self._kept[name] = made
            while self._bytes > self.most_bytes:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= len(gone.body)
        return made

    @property
    def bytes(self) -> int:
        """How many bytes are kept."""
        return self._bytes
