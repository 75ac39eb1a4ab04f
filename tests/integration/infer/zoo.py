"""Bundles as MONAI's Model Zoo writes them, not by our template: JSON, its own loader and writer, random weights.

The configurations follow `spleen_ct_segmentation` and the zoo's classifiers in their keys and their order.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import DenseNet121, UNet

HU_THRESHOLD = 0.5
"""Of `write_exact`, in scaled intensity: -1000 to 1000 HU become 0 to 1, so 0 HU."""
UNET: dict[str, Any] = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 3,
    "channels": [4, 8],
    "strides": [2],
    "num_res_units": 1,
    "norm": "batch",
}
LABELS = ("background", "brain", "left-over tissue")
CLASSES = ("A", "B", "C")
RAS = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
SPACING = {"_target_": "Spacingd", "keys": "image", "pixdim": [6.0, 6.0, 7.5], "mode": "bilinear"}
INVERT = {
    "_target_": "Invertd",
    "keys": "pred",
    "transform": "@preprocessing",
    "orig_keys": "image",
    "nearest_interp": False,
    "to_tensor": True,
}
SAVE = {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_ext": "@output_ext"}
SOFTMAX = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
ARGMAX = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}


def metadata(task: str, modality: str, shape: list[Any], pred: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """`metadata.json`; the keys of `changes` replace its own."""
    image = {
        "type": "image",
        "format": "hounsfield",
        "modality": modality,
        "num_channels": 1,
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": True,
        "channel_def": {"0": "image"},
    }
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20220324.json",
        "version": "0.5.1",
        "changelog": {"0.5.1": "first"},
        "monai_version": "1.4.0",
        "pytorch_version": "2.4.0",
        "numpy_version": "1.24.4",
        "required_packages_version": {"nibabel": "5.2.1", "pytorch-ignite": "0.4.11"},
        "task": task,
        "description": f"A test of {task}",
        "authors": "nobody",
        "copyright": "nobody",
        "data_source": "random weights",
        "intended_use": "This is an example, not to be used for diagnostic purposes",
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": dict(pred)}},
    } | changes


def outlines(labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """The output of a segmentation."""
    return {
        "type": "image",
        "format": "segmentation",
        "num_channels": len(labels),
        "spatial_shape": [96, 96, 96],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": True,
        "channel_def": {str(number): name for number, name in enumerate(labels)},
    }


def shares(classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    """The output of a classification."""
    return {
        "type": "probabilities",
        "format": "classes",
        "num_channels": len(classes),
        "spatial_shape": [1, len(classes)],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {str(number): name for number, name in enumerate(classes)},
    }


def inference(
    network_def: Mapping[str, Any],
    before: list[Any],
    inferer: Mapping[str, Any],
    after: list[Any],
) -> dict[str, Any]:
    """`inference.json`, with everything about data that the service has no use for."""
    load = [{"_target_": "LoadImaged", "keys": "image"}, {"_target_": "EnsureChannelFirstd", "keys": "image"}]
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/eval'",
        "output_ext": ".nii.gz",
        "dataset_dir": "/workspace/data/Task09_Spleen",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": dict(network_def),
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [*load, *before, {"_target_": "EnsureTyped", "keys": "image"}],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 4},
        "inferer": dict(inferer),
        "postprocessing": {"_target_": "Compose", "transforms": after},
        "handlers": [{"_target_": "StatsHandler", "iteration_log": False}],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": True,
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$monai.utils.set_determinism(seed=123)", "$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
    }


def window(low: float, high: float) -> dict[str, Any]:
    """Hounsfield units to 0 to 1."""
    return {
        "_target_": "ScaleIntensityRanged",
        "keys": "image",
        "a_min": low,
        "a_max": high,
        "b_min": 0,
        "b_max": 1,
        "clip": True,
    }


def sliding(size: int = 32) -> dict[str, Any]:
    """The zoo's usual inferer."""
    return {"_target_": "SlidingWindowInferer", "roi_size": [size] * 3, "sw_batch_size": 4, "overlap": 0.5}


def write(root: Path, meta: Mapping[str, Any], config: Mapping[str, Any], weights: Any) -> Path:
    """A bundle folder; no weights where they are None."""
    for part in ("configs", "models", "docs"):
        (root / part).mkdir(parents=True)
    (root / "configs/metadata.json").write_text(json.dumps(meta, indent=4))
    (root / "configs/inference.json").write_text(json.dumps(config, indent=4))
    (root / "docs/README.md").write_text("# A bundle\n")
    (root / "LICENSE").write_text("Apache License 2.0\n")
    if weights is not None:
        torch.save(weights, root / "models/model.pt")
    return root


def write_segmentation(folder: Path, name: str = "head_ct_structures", **changes: Any) -> Path:
    """A MONAI UNet with random weights, after `spleen_ct_segmentation`."""
    torch.manual_seed(7)
    meta = metadata("brain segmentation in CT", "CT", [96, 96, 96], outlines(), **changes)
    config = inference(
        {"_target_": "UNet", **UNET},
        [RAS, SPACING, window(-57, 164)],
        sliding(),
        [SOFTMAX, INVERT, ARGMAX, SAVE],
    )
    return write(folder / name, meta, config, UNet(**UNET).state_dict())


def write_exact(folder: Path, name: str = "exact", *, after: list[Any] | None = None, labels: Any = None) -> Path:
    """One linear unit a voxel: channel 1 wins above 0 HU, on the source grid to the voxel, since nothing resamples."""
    conv = {"_target_": "torch.nn.Conv3d", "in_channels": 1, "out_channels": 2, "kernel_size": 1}
    weights = {
        "weight": torch.tensor([[[[[0.0]]]], [[[[1.0]]]]]),
        "bias": torch.tensor([HU_THRESHOLD, 0.0]),
    }
    meta = metadata("brain segmentation", "CT", [96, 96, 96], outlines(labels or ("background", "brain")))
    steps = [SOFTMAX, INVERT, ARGMAX, SAVE] if after is None else after
    config = inference(conv, [RAS, window(-1000, 1000)], {"_target_": "SimpleInferer"}, steps)
    return write(folder / name, meta, config, {"model": weights})


def write_classification(folder: Path, name: str = "head_ct_classes", *, after: list[Any] | None = None) -> Path:
    """A DenseNet121 of volumes with random weights, whose postprocessing names one class."""
    torch.manual_seed(7)
    about = {"spatial_dims": 3, "in_channels": 1, "out_channels": len(CLASSES)}
    resized = {"_target_": "Resized", "keys": "image", "spatial_size": [32, 32, 32]}
    steps = [SOFTMAX, {"_target_": "AsDiscreted", "keys": "pred", "argmax": True, "to_onehot": 3}]
    config = inference(
        {"_target_": "DenseNet121", **about},
        [resized, window(-57, 164)],
        {"_target_": "SimpleInferer"},
        steps if after is None else after,
    )
    meta = metadata("head CT quality classification", "CT", [32, 32, 32], shares())
    return write(folder / name, meta, config, DenseNet121(**about).state_dict())


def write_radiograph_classification(folder: Path, name: str = "chest_classes") -> Path:
    """A DenseNet121 of single images with random weights."""
    torch.manual_seed(7)
    about = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
    before = [
        {"_target_": "ScaleIntensityd", "keys": "image", "minv": 0.0, "maxv": 1.0},
        {"_target_": "Resized", "keys": "image", "spatial_size": [64, 64]},
    ]
    config = inference(
        {"_target_": "DenseNet121", **about},
        before,
        {"_target_": "SimpleInferer"},
        [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}],
    )
    meta = metadata("chest X-ray classification", "X-ray", [64, 64], shares(("frontal", "lateral")))
    return write(folder / name, meta, config, DenseNet121(**about).state_dict())
