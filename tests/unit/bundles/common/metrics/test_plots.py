"""Pictures are written, hold ink of every curve, and boxes lie where they should."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles.common.metrics import (
    image_boxes,
    measure_froc,
    measure_robustness,
    precision_recall_curve,
    reliability_curve,
    roc_band,
    roc_curve,
)
from bundles.common.metrics.examples import Example, plot_examples
from bundles.common.metrics.plots import (
    BLUE,
    COLOURS,
    ORANGE,
    SKY,
    VERMILION,
    DrawnRoc,
    plot_froc,
    plot_precision_recall,
    plot_reliability,
    plot_robustness,
    plot_roc,
)


def shades(path: Path, colour: str) -> np.ndarray:
    """Where a colour is in a picture, (rows, columns)."""
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return np.abs(pixels - wanted).max(axis=2) < 12


def two_models(count: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = generator.random(count) < 0.4
    return truth, *(np.clip(generator.normal(0.4 + 0.2 * step * truth, 0.2), 0, 1) for step in (1, 2))


def test_curves_of_two_models_are_drawn_in_their_colours(tmp_path: Path) -> None:
    truth, first, second = two_models()
    found = {"first": first, "second": second}
    plot_roc(
        tmp_path / "roc.png",
        {name: DrawnRoc(roc_curve(p, truth), roc_band(p, truth, replicates=50)) for name, p in found.items()},
    )
    plot_precision_recall(tmp_path / "pr.png", {name: precision_recall_curve(p, truth) for name, p in found.items()})
    plot_reliability(tmp_path / "reliability.png", {name: reliability_curve(p, truth) for name, p in found.items()})
    for name in ("roc", "pr", "reliability"):
        for colour in (BLUE, VERMILION):
            assert shades(tmp_path / f"{name}.png", colour).sum() > 100, (name, colour)


def test_froc_is_drawn_from_the_first_to_the_last_rate(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    images = []
    for index in range(40):
        found = np.concatenate((generator.integers(0, 50, (3, 2)), generator.integers(60, 90, (3, 2))), axis=1)
        images.append(image_boxes(f"p{index}", found, generator.random(3), found[: index % 3]))
    plot_froc(tmp_path / "froc.png", {"lesion": measure_froc(images, replicates=0)})
    columns = np.flatnonzero(shades(tmp_path / "froc.png", BLUE).any(axis=0))
    width = Image.open(tmp_path / "froc.png").width
    assert columns[0] < 0.25 * width
    assert columns[-1] > 0.9 * width


def test_a_model_without_boxes_has_a_flat_froc(tmp_path: Path) -> None:
    nothing = measure_froc([image_boxes("p", [], [], [[0, 0, 1, 1]])], replicates=0)
    plot_froc(tmp_path / "froc.png", {"lesion": nothing})
    assert shades(tmp_path / "froc.png", BLUE).any()


def test_robustness_of_two_models(tmp_path: Path) -> None:
    images = [np.linspace(0, 1, 16).reshape(4, 4)]
    table = measure_robustness(lambda image: float(image.mean()), images, draws=5)
    plot_robustness(tmp_path / "robustness.png", {"first": table, "second": table})
    assert np.asarray(Image.open(tmp_path / "robustness.png")).std() > 5


def test_boxes_lie_on_the_edges_of_their_pixels(tmp_path: Path) -> None:
    """The true box covers the left half, the predicted one the right half."""
    example = Example(np.zeros((50, 50)), "x", [[5, 5, 25, 45]], [[25, 5, 45, 45]], [0.5])
    plot_examples(tmp_path / "examples.png", [example])
    path = tmp_path / "examples.png"
    solid, dashed = (np.flatnonzero(shades(path, colour).any(axis=0)) for colour in (SKY, ORANGE))
    assert solid[0] < solid[-1] <= dashed[0] + 25
    assert solid[-1] - solid[0] == pytest.approx(dashed[-1] - dashed[0], abs=25)


def test_heat_is_laid_over_the_image(tmp_path: Path) -> None:
    heat = np.zeros((20, 20))
    heat[5:10, 5:10] = 1
    image = np.tile(np.linspace(0, 1, 20), (20, 1))
    plot_examples(tmp_path / "plain.png", [Example(image)])
    plot_examples(tmp_path / "heat.png", [Example(image, heat=heat), *[Example(image)] * 4])
    plain = np.asarray(Image.open(tmp_path / "plain.png").convert("RGB")).astype(int)
    warm = np.asarray(Image.open(tmp_path / "heat.png").convert("RGB")).astype(int)
    assert np.ptp(plain, axis=2).max() == 0
    assert np.ptp(warm, axis=2).max() > 50


def test_colours_differ_for_everybody() -> None:
    assert len(set(COLOURS)) == len(COLOURS)


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    for plot in (plot_roc, plot_precision_recall, plot_froc, plot_reliability, plot_robustness):
        with pytest.raises(ValueError, match="to draw"):
            plot(tmp_path / "none.png", {})
    with pytest.raises(ValueError, match="expected images"):
        plot_examples(tmp_path / "none.png", [])
    with pytest.raises(ValueError, match="rows and columns"):
        plot_examples(tmp_path / "none.png", [Example(np.zeros(3))])
    with pytest.raises(ValueError, match="'a': heat of shape"):
        plot_examples(tmp_path / "none.png", [Example(np.zeros((3, 3)), "a", heat=np.zeros((2, 2)))])
    with pytest.raises(ValueError, match="score for each of 1"):
        plot_examples(tmp_path / "none.png", [Example(np.zeros((3, 3)), boxes=[[0, 0, 1, 1]])])
    assert not list(tmp_path.iterdir())
