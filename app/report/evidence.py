"""What a structured report speaks about: every analysed image, and the segmentations made of them (PS3.3 C.17.2).

Written here and not by highdicom, which makes and searches a data set for each image three times over: of 300 slices
that is a tenth of a second of each report.
"""

from collections.abc import Collection, Mapping

from pydicom import Dataset

from app.findings import Report
from app.report.segmentation import SOP_CLASS_UID, segmentation_series_uid, segmentation_uid
from app.report.source import Source
from app.report.structures import structure_segmentation_uid
from app.structures import STRUCTURES


def evidence(report: Report, source: Source, outlined: Collection[str]) -> list[Dataset]:
    """The items of the Current Requested Procedure Evidence Sequence: one study, its series, their instances.

    Args:
        report: What one bundle said.
        source: The analysed images.
        outlined: Kinds of the findings of which a segmentation was made, and `STRUCTURES`.
    """
    series: dict[str, dict[str, str]] = {}
    for stack in source.stacks:
        instances = series.setdefault(stack.series.uid, {})
        for instance in stack.series.instances:
            instances.setdefault(instance.sop_instance_uid, instance.sop_class_uid)
    made = [segmentation_uid(report, finding) for finding in report.findings if finding.kind in outlined]
    made += [structure_segmentation_uid(report)] if STRUCTURES in outlined else []
    if made:
        series.setdefault(segmentation_series_uid(report), {}).update(dict.fromkeys(made, SOP_CLASS_UID))
    study = Dataset()
    study.StudyInstanceUID = report.study_uid
    study.ReferencedSeriesSequence = [_series(uid, instances) for uid, instances in series.items()]
    return [study]


def _series(uid: str, instances: Mapping[str, str]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedSOPSequence = [_instance(*each) for each in instances.items()]
    return item


def _instance(uid: str, sop_class: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item
