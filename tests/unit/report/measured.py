"""What Model Zoo bundles measured, for the tests of documents."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.codes import code_of
from app.findings import Algorithm, Outcome, Report
from app.masks import LabelVolume, keep, mask_file
from app.structures import STRUCTURES, UNTESTED, ClassScore, Structure
from app.study import Study
from tests.unit.report.factory import instance_uid, make_report

SPLEEN = Algorithm("spleen_ct_segmentation", "0.5.9", "ef" * 32, "Task09_Spleen.tar", "research", "Spleen segmentation")


def structure(name: str, **measured: Any) -> Structure:
    return Structure(name, *code_of(name), **measured)


def structure_report(study: Study, folder: Path, **changes: Any) -> Report:
    """Two structures are outlined, one is not; the second has no code. The mask is kept in `folder`."""
    series = study.series[0]
    labels = np.zeros((4, 64, 64), np.uint8)
    labels[1:3, 20:30, 12:18] = 1
    labels[2, 40:44, 50:53] = 2
    values: dict[str, Any] = {
        "algorithm": SPLEEN,
        "findings": (),
        "study_uid": study.uid,
        "series_uid": series.uid,
        "notes": (UNTESTED,),
        "structures": (
            structure("spleen", segment=1, volume_mm3=7089.84, centre_mm=(-60.0, -25.5, 7.5), **_shown(1)),
            structure("Lésion\\ à côté", segment=2, volume_mm3=708.98, centre_mm=(65.0, 34.0, 10.0), **_shown(2)),
            structure("liver", volume_mm3=0.0),
        ),
    }
    report = make_report(**(values | changes))
    volume = LabelVolume(labels, (0, 0, 0), (4, 64, 64))
    keep(mask_file(folder, report.algorithm.name, report.series_uid, report.stack), {STRUCTURES: volume})
    return report


def class_report(study: Study, **changes: Any) -> Report:
    """Scores of a series as a whole."""
    classes = tuple(
        ClassScore(name, code_of(name)[0], score) for name, score in (("A", 0.125), ("nodule", 0.625), ("C", 0.25))
    )
    values: dict[str, Any] = {
        "algorithm": replace(SPLEEN, name="density", title="Density"),
        "findings": (),
        "study_uid": study.uid,
        "series_uid": study.series[0].uid,
        "notes": (UNTESTED,),
        "classes": classes,
    }
    return make_report(**(values | changes))


def failed_report(study: Study) -> Report:
    """Nothing could be said."""
    blank = (structure("spleen"), structure("liver"))
    return replace(
        class_report(study), outcome=Outcome.FAILED, reason="it broke", structures=blank, classes=(), notes=()
    )


def _shown(index: int) -> dict[str, Any]:
    return {"sop_instance_uid": instance_uid(index), "index": index}
