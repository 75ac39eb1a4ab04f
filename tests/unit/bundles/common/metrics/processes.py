"""What one process of several does in ``test_handlers``: an epoch of an evaluator over its share of the cases."""

import json
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine
from torch import distributed as dist

from bundles.common.metrics.handlers import ClassificationFigure, DetectionFigure

CASES = 31
BATCH = 4
FIGURES = ("auroc", "average_precision", "accuracy", "sensitivity", "specificity", "precision", "recall", "f1")


def cases() -> list[dict]:
    """One probability and some boxes for each case."""
    generator = np.random.default_rng(0)
    made = []
    for index in range(CASES):
        truth = generator.integers(0, 40, (index % 3, 2)).astype(float)
        truth = np.concatenate((truth, truth + 20), axis=1)
        found = np.concatenate((truth + generator.normal(0, 2, truth.shape), [[60, 60, 80, 80]]))
        made.append(
            {
                "name": f"case {index}",
                "pred": torch.tensor([generator.random()]),
                "label": torch.tensor([float(generator.random() < 0.4)]),
                "found": {
                    "box": torch.from_numpy(found),
                    "label": torch.zeros(len(found)),
                    "label_scores": torch.from_numpy(generator.random(len(found)).round(1)),
                },
                "truth": {"box": torch.from_numpy(truth), "label": torch.zeros(len(truth))},
            }
        )
    return made


def measure(own: list[dict]) -> dict[str, float]:
    """Figures of one epoch over some cases, as an engine gives them."""
    engine = Engine(lambda _, batch: batch)

    def named(output: list[dict]) -> tuple[list, list, list]:
        return [o["pred"] for o in output], [o["label"] for o in output], [o["name"] for o in output]

    def boxes(output: list[dict]) -> tuple[list, list, list]:
        return [o["found"] for o in output], [o["truth"] for o in output], [o["name"] for o in output]

    for figure in FIGURES:
        ClassificationFigure(figure, output_transform=named).attach(engine, figure)
    DetectionFigure(output_transform=boxes).attach(engine, "froc")
    DetectionFigure(figure="average_precision", output_transform=boxes).attach(engine, "map")
    engine.run([own[start : start + BATCH] for start in range(0, len(own), BATCH)])
    return {name: float(value) for name, value in engine.state.metrics.items()}


def run(rank: int, world: int, folder: str) -> None:
    """One process with gloo; the last process repeats a case of the first, as a distributed sampler does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    every = cases()
    own = every[rank::world] + ([every[0]] if rank == world - 1 else [])
    (Path(folder) / f"{rank}.json").write_text(json.dumps(measure(own)))
    dist.destroy_process_group()
