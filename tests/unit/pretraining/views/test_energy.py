"""Energy bands sum to the image, and take on the energies wanted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from pretraining.views.energy import SIGMAS, EnergyReference, bands, energies, rescale_bands
from pretraining.views.intensity import EnergyBands, EnergyParams

SHAPES = [(3, 1, 60, 75), (2, 1, 20, 25, 30)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(shape, generator=generator(), dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_bands_sum_to_the_image(shape: tuple[int, ...], dtype: torch.dtype, tolerance: float) -> None:
    images = images_of(shape, dtype)
    parts = bands(images)
    assert len(parts) == 6
    torch.testing.assert_close(sum(parts), images, atol=tolerance, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_bands_are_a_cascade_of_scipys_filters(shape: tuple[int, ...]) -> None:
    images = images_of(shape)
    left = images[1, 0].numpy()
    found = bands(images)
    for sigma, band in zip(SIGMAS, found, strict=False):
        smooth = ndimage.gaussian_filter(left, sigma, mode="reflect", truncate=4.0)
        np.testing.assert_allclose(band[1, 0].numpy(), left - smooth, atol=1e-12)
        left = smooth
    np.testing.assert_allclose(found[-1][1, 0].numpy(), left, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_own_energies_give_the_image_itself(shape: tuple[int, ...]) -> None:
    images = images_of(shape)
    torch.testing.assert_close(rescale_bands(images, energies(bands(images))), images, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", SHAPES)
def test_bands_are_scaled_by_reference_over_own_energy(shape: tuple[int, ...]) -> None:
    """Eq. 8 of seed 001."""
    images = images_of(shape)
    parts = bands(images)
    own = energies(parts)
    wanted = own * torch.tensor([0.5, 2.0, 1.0, 3.0, 0.0], dtype=torch.float64)
    gains = wanted / torch.stack([part.flatten(1).std(dim=1, correction=0) for part in parts[:-1]], dim=1)
    expected = parts[-1].clone()
    for place, part in enumerate(parts[:-1]):
        expected += gains[:, place].view(-1, *[1] * (len(shape) - 1)) * part
    torch.testing.assert_close(rescale_bands(images, wanted), expected, atol=1e-12, rtol=0)


def test_plain_background_stays_plain() -> None:
    flat = torch.full((1, 1, 40, 40), 0.3)
    torch.testing.assert_close(rescale_bands(flat, torch.ones(1, 5)), flat, atol=1e-5, rtol=0)


def test_a_gain_is_limited() -> None:
    image = images_of((1, 1, 40, 40)) * 1e-3
    gained = rescale_bands(image, torch.ones(1, 5, dtype=torch.float64))
    assert float(gained.max()) < 5e-3


def test_a_reference_is_the_mean_and_deviation_of_energies() -> None:
    images = [torch.rand(1, 40 + n, 50, generator=generator(n)) * (0.5 + n / 10) for n in range(5)]
    reference = EnergyReference.fit(images)
    table = np.stack([energies(bands(image[None]))[0].numpy() for image in images])
    np.testing.assert_allclose(reference.mean, table.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(reference.deviation, table.std(axis=0, ddof=1), rtol=1e-4)
    assert reference.images == 5


def test_a_reference_comes_back_from_its_file(tmp_path: Path) -> None:
    reference = EnergyReference.fit([torch.rand(1, 30, 30, generator=generator(n)) for n in range(3)])
    reference.save(tmp_path / "energy.json")
    assert EnergyReference.load(tmp_path / "energy.json") == reference
    assert [path.name for path in tmp_path.iterdir()] == ["energy.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sigmas": [1], "mean": [1], "deviation": ["x"], "images": 3}'])
def test_another_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "energy.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"energy\.json is no energy reference"):
        EnergyReference.load(path)


def test_unequal_lists_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "energy.json"
    path.write_text(json.dumps({"sigmas": [1, 2], "mean": [1], "deviation": [1], "images": 3}))
    with pytest.raises(ValueError, match="every band"):
        EnergyReference.load(path)


def test_a_reference_needs_two_good_images() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        EnergyReference.fit([torch.rand(1, 30, 30)])
    with pytest.raises(ValueError, match="NaN"):
        EnergyReference.fit([torch.rand(1, 30, 30), torch.full((1, 30, 30), torch.nan)])


def test_two_institutes_look_alike_after_normalising() -> None:
    """One image as two devices would render it: sharpened with strong contrast, and smoothed with weak contrast."""
    scene = torch.rand(4, 1, 96, 96, generator=generator()).double()
    scene = torch.from_numpy(ndimage.gaussian_filter(scene.numpy(), (0, 0, 1, 1)))
    own = energies(bands(scene))
    hard = rescale_bands(scene, own * torch.tensor([1.8, 1.5, 1.2, 1.2, 1.1], dtype=torch.float64))
    soft = rescale_bands(scene, own * torch.tensor([0.5, 0.7, 0.8, 0.9, 0.9], dtype=torch.float64))
    reference = EnergyReference.fit(list(scene))
    before = float((hard - soft).abs().mean())
    after = float((reference.normalise(hard) - reference.normalise(soft)).abs().mean())
    assert after < before / 5


def test_draws_stay_within_one_deviation() -> None:
    reference = EnergyReference((1.0, 2.0), (0.5, 0.2), (0.1, 0.3), 1000)
    drawn = EnergyBands(reference).sample(5000, generator()).energy
    assert 0.4 <= float(drawn[:, 0].min()) < 0.405
    assert 0.595 < float(drawn[:, 0].max()) <= 0.6
    assert float(drawn[:, 0].mean()) == pytest.approx(0.5, abs=0.005)
    assert float(drawn[:, 1].min()) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_change_gives_what_was_drawn(shape: tuple[int, ...]) -> None:
    images = images_of(shape, torch.float32)
    reference = EnergyReference.fit(list(images))
    change = EnergyBands(reference)
    drawn = change.sample(len(images), generator())
    chosen = torch.zeros(len(images), dtype=torch.bool)
    chosen[1] = True
    changed = change.apply(images, EnergyParams(drawn.energy, chosen))
    assert torch.equal(changed[0], images[0])
    torch.testing.assert_close(changed[1:2], rescale_bands(images[1:2], drawn.energy[1:2]), atol=1e-5, rtol=0)
