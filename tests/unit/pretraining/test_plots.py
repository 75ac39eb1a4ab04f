"""Pictures are PNG files that hold what they were given."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pretraining.plots import plot_embedding, plot_training, principal_plane, running_mean


def colours(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or []}


def test_a_training_is_drawn_with_its_collapse_value(tmp_path: Path) -> None:
    steps = list(range(100))
    losses, rates = [5 - step / 50 for step in steps], [0.1] * 100
    plot_training(tmp_path / "plain.png", steps, losses, rates)
    plot_training(tmp_path / "new" / "collapse.png", steps, losses, rates, collapse_value=4.14)
    assert any(red > 190 and blue < 120 for red, _, blue in colours(tmp_path / "new" / "collapse.png"))
    assert not any(red > 190 and blue < 120 for red, _, blue in colours(tmp_path / "plain.png"))


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_groups_get_colours_of_their_own(tmp_path: Path, method: str) -> None:
    features = np.random.default_rng(0).normal(size=(30, 8))
    path = tmp_path / "embedding.png"
    plot_embedding(path, features, ["CT"] * 15 + ["MR"] * 15, method=method, title="test")
    found = np.array(sorted(colours(path)))
    assert ((found[:, 2] > 200) & (found[:, 0] < 120)).any()
    assert ((found[:, 0] > 230) & (found[:, 2] < 120)).any()


@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=20), window=st.integers(1, 25))
def test_the_running_mean_is_the_mean_of_the_last_values(values: list[float], window: int) -> None:
    expected = [np.mean(values[max(0, place + 1 - window) : place + 1]) for place in range(len(values))]
    np.testing.assert_allclose(running_mean(values, window), expected, atol=1e-9)


def test_the_plane_holds_the_two_largest_variances() -> None:
    rng = np.random.default_rng(1)
    flat = rng.normal(size=(500, 3)) * (5, 2, 0.1)
    points, shares = principal_plane(flat)
    centred = flat - flat.mean(axis=0)
    variance = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    np.testing.assert_allclose((points**2).sum(axis=0), variance[:2])
    np.testing.assert_allclose(shares, variance[:2] / variance.sum())


def test_images_that_are_all_alike_make_one_point() -> None:
    points, shares = principal_plane(np.ones((5, 3)))
    assert not points.any()
    assert shares == (0, 0)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 steps"):
        plot_training(tmp_path / "x.png", [], [], [])
    with pytest.raises(ValueError, match="three images"):
        plot_embedding(tmp_path / "x.png", np.zeros((2, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="choose pca or tsne"):
        plot_embedding(tmp_path / "x.png", np.zeros((3, 2)), ["a", "b", "c"], method="umap")
    with pytest.raises(ValueError, match="at least 1 value"):
        running_mean([1.0], 0)
