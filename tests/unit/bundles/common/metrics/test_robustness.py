"""Changes do what they say, and the table holds their effect."""

import numpy as np
import pytest

from bundles.common.metrics import Change, Ranges, changed, measure_robustness, spread


def test_nothing_is_changed_by_default() -> None:
    image = np.random.default_rng(0).integers(0, 4096, (7, 5)).astype(np.uint16)
    assert changed(image, Change()).tolist() == image.tolist()


def test_gamma_keeps_the_ends_and_the_number_type() -> None:
    image = np.array([[100, 200], [150, 125]], dtype=np.uint16)
    result = changed(image, Change(gamma=2.0))
    assert result.dtype == np.uint16
    assert result.tolist() == [[100, 200], [125, 106]]


def test_a_quarter_turn_is_that_of_numpy() -> None:
    image = np.arange(25.0).reshape(5, 5)
    assert changed(image, Change(rotation_deg=90)) == pytest.approx(np.rot90(image))


def test_enlarging_doubles_distances_from_the_centre() -> None:
    image = np.zeros((9, 9))
    image[4, 6] = 1.0
    result = changed(image, Change(scale=2.0))
    assert np.unravel_index(result.argmax(), result.shape) == (4, 8)


def test_what_comes_in_from_outside_is_the_minimum() -> None:
    image = np.full((8, 8), 50.0)
    image[4, 4] = 20.0
    assert changed(image, Change(scale=0.5))[0, 0] == 20


def test_the_table_holds_every_draw_and_its_effect() -> None:
    """A predictor that reads the mean falls under gamma above 1, and stays under a turn of a flat image."""
    images = [np.linspace(0, 1, 64).reshape(8, 8), np.tile(np.linspace(0.2, 0.8, 8), (8, 1))]
    kinds = {"gamma": Ranges(gamma=(1.8, 2.6)), "none": Ranges()}
    table = measure_robustness(lambda image: float(image.mean()), images, kinds=kinds, draws=20)
    assert len(table) == 2 * 2 * 20
    assert all(1.8 <= row.change.gamma <= 2.6 for row in table if row.kind == "gamma")
    summary = spread(table)
    assert summary["none"].mean_absolute == 0
    assert summary["gamma"].rows == 40
    assert summary["gamma"].high < 0
    relative = [row.relative for row in table if row.kind == "gamma"]
    assert summary["gamma"].median == pytest.approx(np.median(relative))
    assert (summary["gamma"].quartile_low, summary["gamma"].quartile_high) == pytest.approx(
        tuple(np.quantile(relative, (0.25, 0.75)))
    )


def test_draws_are_the_same_for_every_model() -> None:
    images = [np.eye(4)]
    first, second = (measure_robustness(lambda _, p=p: p, images, draws=2) for p in (0.2, 0.4))
    assert [row.change for row in first] == [row.change for row in second]


def test_a_probability_of_zero_has_no_relative_deviation() -> None:
    table = measure_robustness(lambda _: 0.0, [np.eye(4)], draws=2, kinds={"gamma": Ranges(gamma=(2, 2))})
    assert np.isnan(table[0].relative)
    assert spread(table)["gamma"].rows == 0
    assert np.isnan(spread(table)["gamma"].median)


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match="expected images"):
        measure_robustness(lambda _: 0.5, [])
    with pytest.raises(ValueError, match="image 1: expected a probability"):
        measure_robustness(lambda image: float(image[0, 0]), [np.zeros((2, 2)), np.full((2, 2), 3.0)], draws=1)
    with pytest.raises(ValueError, match="finite image"):
        changed(np.array([[np.nan]]), Change())
    with pytest.raises(ValueError, match="rows and columns"):
        changed(np.zeros((0, 3)), Change())
