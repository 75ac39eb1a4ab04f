"""SIIM-ACR's run lengths: pairs of (gap since the end of the last run, length), down the columns, from 0.

Not Kaggle's usual code: starts are relative, and the first pixel is 0.
"""

import numpy as np
from numpy.typing import NDArray

from bundles.common.datalist.boxes import Edges, Size
from bundles.common.datalist.problems import Damaged, Kind

Mask = NDArray[np.bool_]


def decode(text: str, size: Size) -> Mask:
    """Turn run lengths into a mask.

    Args:
        text: Numbers with spaces between them.
        size: Columns and rows of the image.

    Returns:
        (rows, columns), true inside.

    Raises:
        Damaged: No pairs of whole numbers, a run of no length, or runs that end behind the last pixel.
    """
    columns, rows = size
    try:
        numbers = np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise Damaged("run lengths that are no whole numbers") from error
    if not len(numbers) or len(numbers) % 2:
        raise Damaged(f"{len(numbers)} numbers of run lengths, expected pairs; the row is cut off")
    gaps, lengths = numbers[0::2], numbers[1::2]
    if gaps.min() < 0 or lengths.min() < 1 or max(gaps.max(), lengths.max()) > rows * columns:
        raise Damaged(f"run lengths out of range for an image of {columns}×{rows} pixels", Kind.BOX)
    ends = np.cumsum(gaps + lengths)
    if ends[-1] > rows * columns:
        raise Damaged(
            f"run lengths end at pixel {ends[-1]} of {rows * columns} ({columns}×{rows}); are the starts absolute, or "
            "is the image another size?",
            Kind.BOX,
        )
    edges = np.zeros(rows * columns + 1, dtype=np.int8)
    np.add.at(edges, ends - lengths, 1)
    np.add.at(edges, ends, -1)
    return np.cumsum(edges[:-1], dtype=np.int8).astype(bool).reshape(columns, rows).T


def encode(mask: Mask) -> str:
    """Turn a mask (rows, columns) into run lengths; the empty text for an empty mask."""
    flat = np.concatenate([[0], mask.T.reshape(-1).astype(np.int8), [0]])
    changes = np.flatnonzero(np.diff(flat))
    starts, ends = changes[0::2], changes[1::2]
    gaps = starts - np.concatenate([[0], ends[:-1]])[: len(starts)]
    return " ".join(f"{gap} {length}" for gap, length in zip(gaps, ends - starts, strict=True))


def box_of(mask: Mask) -> Edges:
    """Return the edges around a mask (rows, columns): the pixel of column c spans c…c + 1.

    Raises:
        Damaged: The mask is empty.
    """
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        raise Damaged("an empty mask has no box", Kind.BOX)
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
