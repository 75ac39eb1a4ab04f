"""The image library is what highdicom would write, made in a shorter way."""

from pathlib import Path

from highdicom.sr import CodedConcept, ImageContentItem, RelationshipTypeValues

from app.report.library import image_library
from app.report.source import read_source
from tests.unit.report.factory import make_study
from tests.unit.report.volumes import lesion_report


def test_every_image_is_named_as_highdicom_names_one(tmp_path: Path) -> None:
    study = make_study(tmp_path / "study")
    source = read_source(lesion_report(study, tmp_path / "out"), study)
    (group,) = image_library(source).ContentSequence
    images = [item for item in group.ContentSequence if item.ValueType == "IMAGE"]
    expected = [
        ImageContentItem(
            name=CodedConcept(value="260753009", scheme_designator="SCT", meaning="Source"),
            referenced_sop_class_uid=instance.sop_class_uid,
            referenced_sop_instance_uid=instance.sop_instance_uid,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
        for instance in source.stacks[0].series.instances
    ]
    assert [image.to_json_dict() for image in images] == [image.to_json_dict() for image in expected]
