"""Cases, tables and datalists made in code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundles.common.metrics.cases import Case, case_id, patient_id


def cases(count: int, seed: int, *, signal: float = 1.0, finding: str = "mass", patients: int = 0) -> list[Case]:
    """Scores of one run; the truth of a case depends on its number alone, so that runs can be compared."""
    random = np.random.default_rng(seed)
    scores = random.normal(size=count) + signal * (np.arange(count) % 3 == 0)
    people = patients or count
    return [
        Case(finding, case_id(f"{n}.png"), patient_id(f"P{n % people}"), n % 3 == 0, float(scores[n]))
        for n in range(count)
    ]


def rows(count: int, *, first: int = 0, having: Sequence[int] = (), **more: Any) -> list[dict[str, Any]]:
    """Rows of a datalist, two images a patient; those of `having` show a mass."""
    return [
        {
            "image": f"{n}.png",
            "patient": f"P{n // 2}",
            "labels": {"mass": int(n in having)},
            "metadata": {"view": "AP" if n % 2 else "PA", "age": 40 + n},
            **more,
        }
        for n in range(first, first + count)
    ]


def datalist(folder: Path, **sections: Any) -> Path:
    """Write `datalist.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "datalist.json"
    path.write_text(json.dumps(sections))
    return path
