"""Indexing and sharding: files/s beside a bare loop over the same files, and memory that does not grow with them."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from pretraining.data.index import build_index
from pretraining.data.shards import build_store
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import radiograph

FEW, MANY = 10_000, 100_000
GROWTH_MIB = 32
MEASURE = """
import resource, sys
from pathlib import Path
from pretraining.data.index import build_index
from pretraining.data.shards import build_store
folder = Path(sys.argv[1])
index = folder.parent / "index.parquet"
build_index(folder, index)
build_store(folder, index, folder.parent / "store")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(name: str, files: int, index_s: float, shard_s: float, bare_s: float) -> None:
    print(
        f"\n{name}: {files / index_s:.0f} files/s indexed, {files / shard_s:.0f} files/s sharded, "
        f"{files / bare_s:.0f} files/s bare decoding, all in one process"
    )


@pytest.mark.bench
@pytest.mark.parametrize("kind", ["DICOM 1024²", "PNG 1024²"])
def test_sharding_costs_a_small_multiple_of_bare_decoding(tmp_path: Path, kind: str) -> None:
    """One process each; both read 16-bit files that the page cache holds."""
    folder, index = tmp_path / "in", tmp_path / "index.parquet"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 4096, (40, 1024, 1024), dtype=np.uint16)
    if kind.startswith("DICOM"):
        images = [radiograph(str(number)) for number in range(40)]
        for image, values in zip(images, pixels, strict=True):
            image.Rows, image.Columns, image.PixelData = 1024, 1024, values.tobytes()
        files = save(folder, images)
    else:
        files = [folder / f"{number}.png" for number in range(40)]
        for path, values in zip(files, pixels, strict=True):
            Image.fromarray(values).save(path)

    def bare() -> int:
        decode = (lambda path: pydicom.dcmread(path).pixel_array) if kind.startswith("DICOM") else Image.open
        return sum(int(np.asarray(decode(path)).max()) for path in files)

    bare()
    bare_s = _seconds(bare)
    index_s = _seconds(lambda: build_index(folder, index))
    shard_s = _seconds(lambda: build_store(folder, index, tmp_path / "store"))
    _report(kind, len(files), index_s, shard_s, bare_s)
    # Percentiles, float32 and an fsync for each shard come on top of decoding. The bound was chosen, not derived.
    assert shard_s < 15 * bare_s
    assert index_s < shard_s


@pytest.mark.bench
@pytest.mark.timeout(1500)
def test_memory_is_flat_from_ten_to_a_hundred_thousand_files(tmp_path: Path) -> None:
    """Pictures of 8 × 8 pixels: what is measured is the keeping of books. Each size in a process of its own."""
    peaks = {}
    for count in (FEW, MANY):
        folder = tmp_path / str(count) / "in"
        folder.mkdir(parents=True)
        image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
        for number in range(count):
            if number % 1000 == 0:
                (folder / f"{number // 1000:03d}").mkdir()
            image.save(folder / f"{number // 1000:03d}" / f"p{number}.png")
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", MEASURE, folder], capture_output=True, text=True, check=True)
        seconds = time.perf_counter() - start
        peaks[count] = float(done.stdout)
        print(f"\n{count} files: {count / seconds:.0f} files/s indexed and sharded, peak {peaks[count]:.0f} MiB")
    assert peaks[MANY] - peaks[FEW] < GROWTH_MIB
