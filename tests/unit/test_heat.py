"""Heat maps on disk: small, grey, whole or not there, under names that tell nothing."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.heat import LONGEST, heat_file, heat_name, keep_heat


@pytest.mark.parametrize(
    ("shape", "size"),
    [((3, 2), (2, 3)), ((1024, 512), (256, 512)), ((512, 513), (512, 511)), ((1, 5000), (512, 1)), ((512, 512), None)],
)
def test_the_longer_side_has_at_most_so_many_pixels(
    shape: tuple[int, int], size: tuple[int, int] | None, tmp_path: Path
) -> None:
    path = heat_file(tmp_path / "results", "0" * 32)
    keep_heat(path, np.full(shape, 7, np.uint8))
    picture = Image.open(path)
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", size or (LONGEST, LONGEST))
    assert set(np.asarray(picture).ravel().tolist()) == {7}


def test_a_larger_map_is_averaged(tmp_path: Path) -> None:
    heat = np.random.default_rng(1).integers(0, 256, (1024, 1024)).astype(np.uint8)
    path = heat_file(tmp_path, "1" * 32)
    keep_heat(path, heat)
    expected = heat.reshape(512, 2, 512, 2).mean(axis=(1, 3))
    assert np.abs(np.asarray(Image.open(path)) - expected).max() <= 1  # rounded along rows, then columns


def test_what_is_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = heat_file(tmp_path, "2" * 32)
    for shade in (1, 2):
        keep_heat(path, np.full((4, 4), shade, np.uint8))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert np.asarray(Image.open(path)).max() == 2


def test_a_folder_that_cannot_be_written_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    path = heat_file(tmp_path, "3" * 32)
    path.mkdir()
    with pytest.raises(OSError, match=r"."):
        keep_heat(path, np.zeros((4, 4), np.uint8))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@given(st.lists(st.tuples(*[st.text("ab1.:", max_size=4)] * 3), min_size=2, max_size=8, unique=True))
def test_every_bundle_finding_and_image_has_a_name_of_its_own(parts: list[tuple[str, str, str]]) -> None:
    names = [heat_name(*each) for each in parts]
    assert len(set(names)) == len(parts)
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)


def test_parts_of_a_name_do_not_run_into_each_other() -> None:
    words = ("a", "aa", "a:a", "1:a", "")
    names = {heat_name(*each) for each in product(words, repeat=3)}
    assert len(names) == len(words) ** 3
