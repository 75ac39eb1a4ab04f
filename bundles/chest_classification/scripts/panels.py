"""Grad-CAM of one or several networks beside each other, as CheSS shows them (Cho et al. 2023, Fig. 3): a page.

A row is an image and one class that it shows; its columns are the image and, for each network, where it looked for that
class, with the probability that it gave.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from monai.transforms import Transform
from torch import nn

from bundles.chest_classification.scripts.postprocess import Classesd
from bundles.common.checkpoints import load_weights
from bundles.common.gradcam import GradCamInferer
from bundles.common.metrics.examples import Example, plot_examples
from bundles.common.metrics.writing import About
from bundles.common.radiograph.placement import Placement

log = structlog.get_logger()

PICTURE, PAGE = "grad_cam.png", "grad_cam.md"
Item = Mapping[str, Any]
Networks = Mapping[str, tuple[nn.Module, Transform]]


def networks_of(
    network: nn.Module, models: Mapping[str, str], device: torch.device, postprocessing: Callable[[str], Transform]
) -> dict[str, tuple[nn.Module, Transform]]:
    """Copies of a network with other weights each, and the postprocessing that belongs to them.

    Args:
        network: Of the configuration.
        models: Name for people to file of weights.
        device: Where they run.
        postprocessing: From the file to a `Classesd` that keeps heat.

    Raises:
        ValueError: No model, or weights that do not fit.
    """
    if not models:
        raise ValueError("expected models to show, such as --models \"{'scratch': 'a.pt', 'pretrained': 'b.pt'}\"")
    loaded = {}
    for name, weights in models.items():
        own = copy.deepcopy(network)
        load_weights(own, weights)
        loaded[name] = (own.to(device).eval(), postprocessing(weights))
    return loaded


def explained(classes: Sequence[str], task: str, scale: Mapping[str, tuple[float, float]]) -> Transform:
    """Postprocessing that keeps heat."""
    return Classesd(classes, task, scale, heat=True)


def chosen_items(items: Sequence[Item], classes: Sequence[str], each: int) -> list[tuple[Item, int]]:
    """The first images of every class, each with the class that it is shown for; no image twice for one class.

    Raises:
        ValueError: No image shows any of the classes.
    """
    found = [
        (item, place)
        for place in range(len(classes))
        for item in [one for one in items if one["labels"][place] == 1][:each]
    ]
    if not found:
        raise ValueError(f"no image shows any of {', '.join(classes)}: there is nothing to look at")
    return found


def panels(  # noqa: PLR0917
    networks: Networks,
    inferer: GradCamInferer,
    chosen: Sequence[tuple[Item, int]],
    preprocessing: Callable[[Item], Item],
    classes: Sequence[str],
    device: torch.device,
) -> list[Example]:
    """Pictures of a sheet, row after row; see the module.

    Args:
        networks: Of `networks_of`.
        inferer: Explains every class (`class_index` None).
        chosen: Of `chosen_items`.
        preprocessing: As in inference.
        classes: Names.
        device: Of the networks.
    """
    shown = []
    for given, place in chosen:
        item = preprocessing(dict(given))
        rows, columns = Placement.from_tensor(item["placement"]).scaled
        image = item["image"].as_tensor()[0, :rows, :columns].numpy()
        shown.append(Example(image=image, title=_words(classes[place])))
        for name, (network, postprocessing) in networks.items():
            with torch.inference_mode():
                found = inferer(inputs=item["image"][None].to(device), network=network)
            told = postprocessing({**item, "pred": {key: value[0] for key, value in found.items()}})
            heat = told["heat"][place, :rows, :columns].numpy()
            title = f"{name}: {float(told['probabilities'][place]):.2f}"
            shown.append(Example(image=image, title=title, heat=np.asarray(heat)))
    return shown


def write_page(folder: str, shown: Sequence[Example], models: Sequence[str], about: About) -> None:
    """Write the sheet and a page around it.

    Args:
        folder: Is made.
        shown: Of `panels`.
        models: Names of the networks, in the order of the columns.
        about: What was looked at.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    plot_examples(place / PICTURE, shown, columns=1 + len(models))
    drawn = about.data.lower().startswith("phantom")
    warning = "**Phantoms:** nothing here says where a network looks in patients.\n\n" if drawn else ""
    (place / PAGE).write_text(
        f"# Where the network looked\n\n{warning}"
        f"{about.bundle}, {about.data}, {about.created}. Every row is a radiograph and a class that it shows; beside "
        f"it stands where {', '.join(models)} looked for that class (Grad-CAM, Selvaraju et al. 2017), with the "
        "probability that was given. Heat shows what moved the output, which need not be the finding; it is scaled to "
        "its hottest place in each image, and the images are the first of each class, not chosen.\n\n"
        f"![Radiographs and heat maps]({PICTURE})\n",
        encoding="utf-8",
    )
    log.info("panels_written", page=str(place / PAGE), images=len(shown) // (1 + len(models)))


def _words(name: str) -> str:
    return name.replace("_", " ")
