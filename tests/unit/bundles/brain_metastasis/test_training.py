"""The training configuration: steps, resumption, and eight heads by heart, through inference and evaluation."""

import json

import pytest
import torch
from ignite.engine import Engine

from bundles.brain_metastasis.scripts.datalist import load_heads
from bundles.brain_metastasis.scripts.network import BrainMetastasisNet
from bundles.brain_metastasis.scripts.slices import EverySliced, RandSlicesd
from bundles.brain_metastasis.scripts.training import EpochFigure, Steps, prepare_batch

SMALL = {"widths": [8, 8, 8, 16, 16, 8], "batch_size": 4, "slices_per_head": 4}


def where(folder, datalist):
    return {"datalist": str(datalist), "image_dir": str(datalist.parent), "output_dir": str(folder)}


def state_of(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)["network"]


def test_eight_heads_are_learned_by_heart_and_their_metastases_found(tmp_path, make_datalist, run_config):
    datalist = make_datalist(tmp_path / "heads")
    run = tmp_path / "run"
    lengths = {"segmenter_epochs": 4, "joint_epochs": 16, "val_interval": 20, "save_interval": 20}
    plain = {"train::random_transforms": "$[@train::drawn]", "learning_rate": 0.005, "validate::slice_step": 1}
    drawn = {"_target_": "bundles.brain_metastasis.scripts.slices.RandSlicesd", "count": "@slices_per_head"}
    run_config("train", **where(run, datalist), **SMALL, **lengths, **plain, **{"train::drawn": drawn})
    best = json.loads((run / "best.json").read_text())
    assert best["slices"] > 0.95
    assert best["dice"] > 0.6

    out = tmp_path / "out"
    given = {
        "weights": str(run / "best.pt"),
        "widths": SMALL["widths"],
        "bundle_root": str(tmp_path / "none"),
        "min_certainty": 0.5,
    }
    run_config("inference", **given, input=str(tmp_path / "heads"), output_dir=str(out))
    rows = json.loads(datalist.read_text())["test"]
    for row in rows:
        result = json.loads((out / f"{row['image']}.json").read_text())
        assert len(result["slices"]) == 38
        assert len(result["lesions"]) == row["label"]
        if row["label"]:
            assert result["lesions"][0]["volume_mm3"] == pytest.approx(4 / 3 * 3.1416 * 10**3, rel=0.5)

    measured = tmp_path / "measured"
    run_config("evaluate", **given, **where(measured, datalist), replicates=20)
    report = json.loads((measured / "evaluation.json").read_text())
    assert report["data"].startswith("phantom")
    assert report["extra"]["lesions"]["sensitivity"]["value"] == 1.0
    assert report["extra"]["lesions"]["dice"]["value"] > 0.6
    assert report["classification"]["metastasis in a slice"]["auroc"]["value"] > 0.95
    assert "sensitivity 80 %" in report["classification"]["metastasis in a slice"]["points"]


def test_two_steps_train_one_part_each(tmp_path, make_datalist, configured, run_config):
    places = where(tmp_path / "run", make_datalist(tmp_path))
    fresh = configured("train", **places, **SMALL)
    fresh.get_parsed_content("initialize")
    start = {name: value.clone() for name, value in fresh.get_parsed_content("network").state_dict().items()}
    lengths = {"val_interval": 9, "joint_epochs": 0}
    run_config("train", **places, **SMALL, **lengths, segmenter_epochs=1)
    first = state_of(tmp_path / "run")
    assert {name.partition(".")[0] for name in first if not first[name].equal(start[name])} == {"segmenter"}
    run_config("train", **places, **SMALL, **lengths, segmenter_epochs=1, classifier_epochs=1)
    second = state_of(tmp_path / "run")
    changed = {name.partition(".")[0] for name in second if not second[name].equal(first[name])}
    assert changed == {"compress", "encoder", "head"}


def test_a_killed_run_ends_as_one_that_was_not(tmp_path, make_datalist, run_config):
    datalist = make_datalist(tmp_path)
    lengths = {"val_interval": 9, "segmenter_epochs": 1, "joint_epochs": 1, "epochs": 2}
    run_config("train", **where(tmp_path / "whole", datalist), **SMALL, **lengths)
    cut = where(tmp_path / "cut", datalist)
    run_config("train", **cut, **SMALL, **lengths, **{"train::trainer::max_epochs": 1})
    run_config("train", **cut, **SMALL, **lengths)
    whole, again = state_of(tmp_path / "whole"), state_of(tmp_path / "cut")
    assert [name for name in whole if not whole[name].equal(again[name])] == []


@pytest.mark.parametrize(
    ("lengths", "steps"),
    [
        ((2, 1), ["segmenter", "segmenter", "classifier", "joint"]),
        ((0, 0), ["joint"] * 4),
        ((0, 2), ["classifier", "classifier", "joint", "joint"]),
    ],
)
def test_epochs_have_their_step(lengths, steps):
    network = BrainMetastasisNet(widths=(8,) * 6)
    handler = Steps(network, *lengths)
    engine, entered = Engine(lambda _engine, _batch: entered.append(network.step)), []
    handler.attach(engine)
    engine.run([0], max_epochs=4)
    assert entered == steps == [handler.step_of(epoch) for epoch in range(1, 5)]
    with pytest.raises(ValueError, match="0 epochs or more"):
        Steps(network, -1)


def head(positive):
    slices = torch.zeros(12)
    slices[positive] = 1.0
    volume = torch.arange(12, dtype=torch.uint8)[:, None, None].expand(12, 32, 32)
    mask = (slices[:, None, None].expand(12, 32, 32) > 0).to(torch.uint8)
    return {"image": volume[None], "mask": mask, "slices": slices, "mask_known": torch.ones(1), "label": 1}


def test_half_of_the_drawn_slices_have_metastases():
    draw = RandSlicesd(count=6, positive_share=0.5)
    draw.set_random_state(1)
    drawn = draw(head([4, 5]))
    assert drawn["image"].shape == (30, 32, 32)
    assert drawn["slices"][:3].tolist() == [1, 1, 1]
    middles = (drawn["image"].unflatten(0, (6, 5))[:, 2, 0, 0] * 255).round().int().tolist()
    assert set(middles[:3]) <= {4, 5}
    assert torch.equal(drawn["mask"].flatten(1).amax(dim=1), drawn["slices"])
    assert not RandSlicesd(count=6)(head([]))["slices"].any()


def test_batches_are_taken_apart_as_they_were_put_together():
    items = [EverySliced(4)(head([2])), EverySliced(4)(head([6]))]
    batch = {key: torch.stack([item[key] for item in items]) for key in items[0]}
    image, targets = prepare_batch(batch, "cpu")
    assert image.shape == (6, 5, 32, 32)
    assert (image[:, :, 0, 0] * 255).round().int().tolist() == 2 * [
        [0, 1, 2, 3, 4],
        [4, 5, 6, 7, 8],
        [8, 9, 10, 11, 11],
    ]
    assert targets["slices"].flatten().tolist() == [1, 0, 0, 0, 1, 0]
    assert targets["mask"].shape == (6, 1, 32, 32)
    assert torch.equal(targets["mask"].flatten(1).amax(dim=1, keepdim=True), targets["slices"])
    assert targets["mask_known"].tolist() == [[1]] * 6


def test_figures_of_an_epoch_are_over_all_known_slices():
    logits = {"mask": torch.tensor([[[[9.0, 9.0]]], [[[-9.0, 9.0]]], [[[9.0, 9.0]]]])}
    logits["slices"] = torch.tensor([[2.0], [1.0], [9.0]])
    targets = {"mask": torch.tensor([[[[1.0, 0.0]]], [[[0.0, 1.0]]], [[[0.0, 0.0]]]])}
    targets |= {"slices": torch.tensor([[0.0], [1.0], [torch.nan]]), "mask_known": torch.tensor([[1.0], [1.0], [0.0]])}
    found = {}
    for name in ("slices", "dice", "score"):
        figure = EpochFigure(name)
        figure.reset()
        figure.update((logits, targets))
        found[name] = figure.compute()
    assert found == {"slices": 0.0, "dice": pytest.approx(4 / 5), "score": pytest.approx(2 / 5)}
    with pytest.raises(ValueError, match="no figure"):
        EpochFigure("auc")


def rewritten(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return str(path)


def test_heads_of_a_datalist(tmp_path, make_datalist):
    path = make_datalist(tmp_path)
    items = load_heads(str(path), "training")
    assert [("mask" in item, item["label"]) for item in items[:4]] == [(True, 1), (True, 0), (True, 1), (False, 0)]
    assert load_heads(str(path), "training", limit=2) == items[:2]

    def undrawn(content):
        content["training"][0]["mask"] = None
        content["training"][3]["label"] = None

    assert len(load_heads(rewritten(path, undrawn), "training")) == 6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["training"][0].update(image="gone.nii.gz"), "gone.nii.gz is not below"),
        (lambda c: c["training"][0].update(mask="gone.nii.gz"), "its mask gone.nii.gz"),
        (lambda c: c["training"][0].update(label=2), "label is 2"),
        (lambda c: c["training"][0].pop("patient"), "lacks 'patient'"),
        (lambda c: c["test"][0].update(patient=c["training"][0]["patient"]), "must not know whom"),
        (lambda c: c.update(training=[]), "no images in 'training'"),
        (lambda c: [row.update(label=None, mask=None) for row in c["training"]], "of no head"),
    ],
)
def test_wrong_datalists_are_refused(tmp_path, make_datalist, change, words):
    with pytest.raises(ValueError, match=words):
        load_heads(rewritten(make_datalist(tmp_path), change), "training")


def test_masks_on_another_grid_are_named_before_training(tmp_path, make_datalist):
    import nibabel
    import numpy as np

    path = make_datalist(tmp_path)
    mask = nibabel.load(tmp_path / "0_mask.nii.gz")
    values = np.asarray(mask.dataobj)
    nibabel.save(nibabel.Nifti1Image(values[:, :, :-1], mask.affine), tmp_path / "0_mask.nii.gz")
    moved = mask.affine.copy()
    moved[0, 3] += 1.5
    nibabel.save(nibabel.Nifti1Image(values, moved), tmp_path / "2_mask.nii.gz")
    with pytest.raises(ValueError, match=r"2 problems\n.*mask has shape \(40, 48, 37\)[\s\S]*up to 1\.5 mm beside"):
        load_heads(str(path), "training")
