"""Probes against slow loops; patients are never on both sides; baselines are honest."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bundles.common.metrics import area_under_roc, bootstrap_auc
from pretraining.embedding import Embedded, centre_view, embed
from pretraining.evaluation import with_products
from pretraining.probe import (
    Labelled,
    knn_scores,
    labelled,
    linear_scores,
    metadata_features,
    patient_folds,
    probe,
    random_encoder,
)
from pretraining.probe_report import against_random, plot_results, results_json, results_table, write_results
from pretraining.samples import RawBatch


def slow_knn(train, truth, query, k, temperature):
    cosines = [float(row @ query / (np.linalg.norm(row) * np.linalg.norm(query))) for row in train]
    order = sorted(range(len(train)), key=lambda index: -cosines[index])[:k]
    weights = [math.exp(cosines[index] / temperature) for index in order]
    return sum(weight for weight, index in zip(weights, order, strict=True) if truth[index]) / sum(weights)


def cases(count: int, strength: float, seed: int, offset: int = 0, width: int = 8) -> Labelled:
    """Two images a patient; the first feature tells the class as clearly as `strength` says."""
    rng = np.random.default_rng(seed)
    patients = np.arange(count) // 2 + offset
    truth = rng.random(count) < 0.5
    features = rng.normal(size=(count, width))
    features[:, 0] += strength * truth
    return Labelled(features, truth, patients.astype(str))


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 30), k=st.integers(1, 40), temperature=st.floats(0.02, 1))
def test_nearest_neighbours_are_weighted_as_in_the_paper(seed: int, count: int, k: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    train = Labelled(rng.normal(size=(count, 5)), rng.random(count) < 0.5, np.arange(count).astype(str))
    queries = rng.normal(size=(3, 5))
    found = knn_scores(train, queries, neighbours=k, temperature=temperature)
    expected = [slow_knn(train.features, train.truth, query, k, temperature) for query in queries]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_a_tiny_temperature_does_not_overflow() -> None:
    train = Labelled(np.eye(3), np.array([True, False, False]), np.array(["a", "b", "c"]))
    assert knn_scores(train, np.eye(3), temperature=1e-4).tolist() == [1.0, 0.0, 0.0]


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0, got 0"):
        knn_scores(cases(4, 1, 0), np.zeros((1, 8)), neighbours=0)
    with pytest.raises(ValueError, match="3 features, 2 labels"):
        Labelled(np.zeros((3, 1)), np.zeros(2, dtype=bool), np.array(["a"] * 3))


def test_a_clear_feature_is_found_by_both_probes() -> None:
    knn, linear = probe("clear", cases(300, 4, 0), cases(200, 4, 1, offset=1000), replicates=100)
    assert (knn.method, linear.method) == ("kNN", "linear")
    assert knn.auc.value > 0.95
    assert linear.auc.value > 0.98
    assert linear.auc.low < linear.auc.value < linear.auc.high
    assert knn.patients == 100


def test_noise_is_not_found() -> None:
    results = probe("noise", cases(300, 0, 2), cases(300, 0, 3, offset=1000), replicates=200)
    assert all(result.auc.low < 0.5 < result.auc.high for result in results)


def test_the_interval_draws_patients() -> None:
    train, test = cases(200, 1, 4), cases(120, 1, 5, offset=1000)
    (knn, _) = probe("x", train, test, replicates=300, seed=7)
    ids = np.unique(test.patients, return_inverse=True)[1]
    assert knn.auc == bootstrap_auc(knn_scores(train, test.features), test.truth, ids, 300, 7)


def test_a_patient_on_both_sides_is_refused() -> None:
    with pytest.raises(ValueError, match="50 patients are in training and test"):
        probe("x", cases(100, 1, 0), cases(100, 1, 1))


def test_folds_keep_a_patients_images_together() -> None:
    train = cases(60, 1, 0)
    parts = patient_folds(train, 5, seed=0)
    assert sorted(np.concatenate([outside for _, outside in parts]).tolist()) == list(range(60))
    for inside, outside in parts:
        assert not set(train.patients[inside]) & set(train.patients[outside])


def test_noise_in_many_dimensions_gets_a_stronger_regularisation_than_a_clear_feature() -> None:
    clear = cases(80, 8, 1, width=1)
    noisy = cases(80, 1, 1, width=300)
    assert linear_scores(noisy, noisy.features)[1] < linear_scores(clear, clear.features, strengths=(1e-1, 1.0))[1]


def test_a_scale_of_features_does_not_matter_to_the_linear_probe() -> None:
    train, test = cases(100, 1, 6), cases(60, 1, 7, offset=1000)
    scale = 10.0 ** np.arange(-4, 4)
    scaled = Labelled(train.features * scale, train.truth, train.patients)
    np.testing.assert_allclose(
        linear_scores(train, test.features)[0], linear_scores(scaled, test.features * scale)[0], atol=1e-4
    )


def test_too_few_patients_are_refused() -> None:
    few = Labelled(np.zeros((4, 2)), np.array([True, True, False, False]), np.array(["a", "a", "b", "c"]))
    with pytest.raises(ValueError, match="two patients with and two without"):
        linear_scores(few, np.zeros((1, 2)))


def test_strata_are_measured_by_themselves() -> None:
    train, test = cases(200, 2, 8), cases(100, 2, 9, offset=1000)
    strata = {"PA": np.arange(100) < 60, "AP": np.arange(100) >= 60, "LL": np.zeros(100, dtype=bool)}
    results = probe("x", train, test, strata=strata, replicates=20)
    lines = {(result.method, result.stratum): result for result in results}
    assert len(lines) == 8
    scores = knn_scores(train, test.features)
    assert lines["kNN", "PA"].auc.value == area_under_roc(scores[:60], test.truth[:60])
    assert lines["kNN", "AP"].patients == 20
    assert math.isnan(lines["linear", "LL"].auc.value)
    assert lines["linear", "LL"].patients == 0


def test_metadata_become_numbers_flags_and_words() -> None:
    rows = [{"age": "30", "view": "PA"}, {"age": "", "view": "AP"}, {"age": "50", "view": "PA"}]
    expected = [[30, 0, 0, 1], [40, 1, 1, 0], [50, 0, 0, 1]]
    assert metadata_features(rows, ["age", "view"]).tolist() == expected
    with pytest.raises(ValueError, match="no column 'sex' in the list; there are: age, view"):
        metadata_features(rows, ["sex"])


def test_products_show_a_linear_probe_what_two_columns_tell_together() -> None:
    rng = np.random.default_rng(0)
    flags = rng.integers(0, 2, (400, 2)).astype(float)
    truth, patients = flags[:, 0] != flags[:, 1], np.arange(400).astype(str)

    def linear(features: np.ndarray) -> float:
        everything = Labelled(features, truth, patients)
        return probe("m", everything.part(np.arange(200)), everything.part(np.arange(200, 400)), replicates=5)[
            1
        ].auc.value

    assert linear(flags) < 0.7
    assert linear(with_products(flags)) == 1.0
    constant = with_products(np.ones((4, 2)))
    assert constant.tolist() == [[0, 0, 0]] * 4


def test_random_weights_are_those_of_their_seed_and_leave_the_generator() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = random_encoder("resnet18", 1), random_encoder("resnet18", 1), random_encoder("resnet18", 2)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(one.state_dict()["conv1.weight"], same.state_dict()["conv1.weight"])
    assert not torch.equal(one.state_dict()["conv1.weight"], other.state_dict()["conv1.weight"])


def test_the_table_has_a_line_for_each_result() -> None:
    results = probe("SimCLR", cases(60, 3, 1), cases(60, 3, 2, offset=100), replicates=20)
    lines = results_table(results).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith(f"| SimCLR | kNN | all | {results[0].auc.value:.3f} | {results[0].auc.low:.3f} to ")


def test_better_features_lie_above_random_weights_and_equal_ones_do_not() -> None:
    learn, test = cases(200, 4, 1), cases(120, 4, 2, offset=300)
    blind = [Labelled(part.features[:, 1:], part.truth, part.patients) for part in (learn, test)]
    results = [
        *probe("good", learn, test, replicates=20),
        *probe("same", *blind, replicates=20),
        *probe("random weights, seed 0", *blind, replicates=20),
    ]
    good, same, base = (against_random(results[place], results) for place in (1, 3, 5))
    assert good is not None
    assert good.low > 0.1
    assert good.value == pytest.approx(results[1].auc.value - results[5].auc.value)
    assert same is not None
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert base is None


def test_results_of_other_images_are_not_compared() -> None:
    one = probe("good", cases(60, 3, 1), cases(60, 3, 2, offset=100), replicates=5)
    other = probe("random weights", cases(60, 3, 1), cases(64, 3, 2, offset=100), replicates=5)
    assert against_random(one[0], [*one, *other]) is None


def test_what_is_written_is_a_table_figures_and_a_picture(tmp_path) -> None:
    test = cases(60, 3, 2, offset=100)
    strata = {"AP": np.arange(60) < 30, "none": np.zeros(60, dtype=bool)}
    results = probe("SimCLR", cases(60, 3, 1), test, strata=strata, replicates=20)
    write_results(tmp_path / "out" / "table.md", results, "a title")
    assert (tmp_path / "out" / "table.md").read_text() == results_table(results) + "\n"
    rows = json.loads((tmp_path / "out" / "table.json").read_text())
    assert rows == json.loads(results_json(results))
    assert [row["auroc"]["value"] for row in rows if row["stratum"] == "none"] == [None, None]
    assert Image.open(tmp_path / "out" / "table.png").size[0] > 500
    with pytest.raises(ValueError, match="no result"):
        plot_results(tmp_path / "none.png", [])


def raw(sizes: list[tuple[int, ...]], start: int = 0) -> RawBatch:
    generator = torch.Generator().manual_seed(start)
    return RawBatch(
        images=tuple(torch.randint(0, 256, (1, *size), generator=generator, dtype=torch.uint8) for size in sizes),
        ranges=torch.tensor([[0.0, 255.0]] * len(sizes)),
        groups=torch.arange(len(sizes)),
        keys=tuple(f"k{start + index}" for index in range(len(sizes))),
        labels={"sick": torch.tensor([float(index % 2) for index in range(len(sizes))])},
    )


@pytest.mark.parametrize(
    ("backbone", "size", "images"),
    [("resnet18", (32, 32), [(40, 50), (32, 32), (20, 64)]), ("dense3d", (8, 32, 32), [(9, 40, 30), (8, 32, 32)])],
)
def test_embedding_gives_a_vector_for_every_image(backbone, size, images) -> None:
    encoder = random_encoder(backbone).train()
    statistics = {name: value.clone() for name, value in encoder.state_dict().items()}
    found = embed(encoder, [raw(images), raw(images[:1], 10)], size)
    assert found.features.shape == (len(images) + 1, encoder.features)
    assert found.keys == (*(f"k{index}" for index in range(len(images))), "k10")
    assert found.labels["sick"].tolist()[:2] == [0, 1]
    assert encoder.training
    assert all(torch.equal(value, statistics[name]) for name, value in encoder.state_dict().items())


def test_an_image_is_embedded_alike_in_any_batch() -> None:
    encoder = random_encoder("resnet18")
    batch = raw([(40, 50), (32, 32)])
    second = RawBatch(batch.images[1:], batch.ranges[1:], batch.groups[1:], batch.keys[1:])
    together, alone = embed(encoder, [batch], (32, 32)), embed(encoder, [second], (32, 32))
    np.testing.assert_allclose(together.features[1], alone.features[0], rtol=1e-4, atol=1e-5)


def test_an_image_of_the_views_size_is_seen_as_it_is() -> None:
    batch = raw([(32, 32)])
    view = centre_view((32, 32))(batch, torch.Generator()).crops[0]
    torch.testing.assert_close(view[0], batch.images[0].float() / 255, atol=1e-5, rtol=0)


def test_embedding_nothing_or_the_wrong_size_is_refused() -> None:
    encoder = random_encoder("resnet18")
    with pytest.raises(ValueError, match="no image to embed"):
        embed(encoder, [], (32, 32))
    with pytest.raises(ValueError, match="takes 2 axes"):
        embed(encoder, [], (8, 32, 32))


def test_broken_weights_are_told_with_the_key() -> None:
    encoder = random_encoder("resnet18")
    with torch.no_grad():
        encoder.state_dict()["conv1.weight"].fill_(torch.nan)
    with pytest.raises(ValueError, match="the features of k0 are not finite"):
        embed(encoder, [raw([(32, 32)])], (32, 32))


def embedded(values: list[float]) -> Embedded:
    count = len(values)
    keys = tuple("abcdef"[:count])
    return Embedded(np.eye(count, dtype=np.float32), keys, np.zeros(count, dtype=np.int64), {"sick": np.array(values)})


def test_unknown_labels_are_left_out() -> None:
    found = labelled(embedded([1, np.nan, 0]), "sick", {"a": "p", "c": "q"})
    assert found.truth.tolist() == [True, False]
    assert found.patients.tolist() == ["p", "q"]
    assert found.features.tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("values", "label", "match"),
    [
        ([1, 0], "ill", "no label 'ill'; there are: sick"),
        ([1, 2], "sick", "other values than 0 and 1"),
        ([np.nan, np.nan], "sick", "no image has a value"),
        ([1, 0], "sick", "1 images have no patient, the first is b"),
    ],
)
def test_a_list_that_cannot_be_probed_is_refused(values: list[float], label: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        labelled(embedded(values), label, {"a": "p"})
