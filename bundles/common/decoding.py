"""Which of pydicom's decoders takes a compressed image: the fastest of those that give the same values.

JPEG-LS: CharLS (pyjpegls) takes a third of libjpeg's time. JPEG 2000: Pillow's OpenJPEG decodes in several threads,
which pays for radiographs; it is asked for what it gives unchanged, which is grey and unsigned. Whatever the preferred
decoder does not take goes to the others, in pydicom's order.
"""

import os
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.pixels.utils import get_j2k_parameters
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes

from bundles.common.elements import integer

LARGE = 1_000_000
"""Pixels; in a smaller image threads gain less than they cost."""
MOST_THREADS = 4

# OpenJPEG reads it whenever it makes a decoder. Whoever has set it keeps it.
os.environ.setdefault("OPJ_NUM_THREADS", str(min(MOST_THREADS, os.cpu_count() or 1)))


def decode_frame(dataset: Dataset, syntax: UID, index: int, codestream: bytes | None) -> NDArray[np.integer]:
    """Stored values (rows, columns) of one frame.

    Args:
        dataset: With its pixel data.
        syntax: Its transfer syntax.
        index: Frame, from 0.
        codestream: Of this frame; None where pixel data are not compressed.

    Raises:
        RuntimeError: No decoder takes it. Malformed elements raise as in `bundles.common.elements.PARSE_ERRORS`.
    """
    decoder = get_decoder(syntax)
    if codestream is not None and (plugin := _preferred(decoder, dataset, syntax, codestream)):
        with suppress(RuntimeError):
            return np.asarray(decoder.as_array(dataset, index=index, raw=True, decoding_plugin=plugin)[0])
    return np.asarray(decoder.as_array(dataset, index=index, raw=True)[0])


def _preferred(decoder: Decoder, dataset: Dataset, syntax: UID, codestream: bytes) -> str:
    """Name of a plugin, "" for pydicom's own order."""
    plugin = ""
    if syntax in JPEGLSTransferSyntaxes:
        plugin = "pyjpegls"
    elif syntax in JPEG2000TransferSyntaxes:
        large = (integer(dataset, "Rows") or 0) * (integer(dataset, "Columns") or 0) >= LARGE
        # Pillow shifts signed values by what the codestream says of them, which writers get wrong.
        unsigned = integer(dataset, "PixelRepresentation") == 0 and not get_j2k_parameters(codestream).get("is_signed")
        plugin = "pillow" if large and unsigned and integer(dataset, "SamplesPerPixel") == 1 else ""
    return plugin if plugin in decoder.available_plugins else ""
