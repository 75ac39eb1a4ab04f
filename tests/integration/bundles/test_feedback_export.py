"""What readers say becomes a datalist that the bundle's `train.yaml` trains on, and says nothing of the patients."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import sqlalchemy as sa
import torch
from pydicom import Dataset, dcmread

from app import outcomes
from app.assemble import assemble
from app.demo.phantoms.dicom_writer import to_datasets
from app.demo.phantoms.phantom import make_phantom
from app.demo.phantoms.radiographs.kinds import make_radiograph
from app.demo.phantoms.radiographs.writer import to_dataset
from app.errors import Rejected
from app.feedback import Answer, Feedback, Place, give
from app.feedback_export import KEY_FILE, Exported, export
from app.findings import Finding, Outcome, Presence, Region, RegionKind, Report, SliceScore
from app.infer.catalogue import Bundle, load_bundle
from app.outcomes import StudyOutcome
from app.receive.spool import Spool
from app.settings import Settings
from app.study import Study, uid_hash
from app.workflow_database import open_engine
from app.workflow_migration import migrate
from bundles.chest_radiograph.scripts.datalist import load_radiographs
from bundles.common.datalist.splits import Shares
from bundles.common.reader import read_stack
from bundles.head_ct_hemorrhage.scripts.training import load_cases
from bundles.wrist_fracture.scripts.datalist import load_wrists
from tests.integration.workflow.tiny import send_to_spool

HALVES = Shares(0.5, 0.5, 0.0)
Run = Callable[..., str]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With a key of pseudonyms that divides these patients evenly: splits go by pseudonym."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / KEY_FILE).write_bytes(bytes([26]) * 32)
    return Settings.model_validate(
        {
            "spool": {"folder": tmp_path / "spool", "min_free_mb": 0},
            "results": tmp_path / "results",
            "run": tmp_path / "run",
            "database": {"url": f"sqlite:///{tmp_path}/vigil.sqlite"},
        }
    )


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    migrate(settings.database)
    engine = open_engine(settings.database)
    yield engine
    engine.dispose()


def arrive(settings: Settings, images: Sequence[Dataset]) -> tuple[str, Study]:
    """Put a study into the spool; the key of its revision, and the study."""
    spool = Spool(settings.spool.folder, 0)
    send_to_spool(spool, list(images))
    folder = settings.spool.folder / "studies" / uid_hash(str(images[0].StudyInstanceUID))
    study = assemble(sorted(folder.glob("*.dcm")))
    return study.key, study


def reported(settings: Settings, study: Study, bundle: Bundle, findings: Sequence[Finding]) -> Report:
    """Leave the outcome of a study with one report on all its stacks."""
    first, *more = [(series.uid, series.stack) for series in study.series]
    report = Report(
        study.uid, study.revision, *first, bundle.algorithm, Outcome.SUCCEEDED, tuple(findings), more=tuple(more)
    )
    files = [each.path.name for series in study.series for each in series.instances]
    outcome = StudyOutcome(study.key, 1000.0, 1001.0, tuple(files), study_uid=study.uid, reports=(report,))
    outcomes.begin(settings.results, outcome)
    return report


def answer(engine: sa.Engine, key: str, report: Report, finding: str, said: Answer, **more: object) -> None:
    found = next(each for each in report.findings if each.kind == finding)
    who = report.algorithm
    about = (key, who.name, who.version, who.weights_sha256, report.series_uid, report.stack)
    values: dict[str, object] = {"id": uuid4().hex, "at": 1.0, "reader": "ada", **more}
    what = (finding, found.presence, found.certainty, said)
    head = (values.pop("id"), values.pop("at"), values.pop("reader"))
    given = Feedback(*head, *about, *what, **values)
    assert give(engine, given)


def wrist(root: Path) -> Bundle:
    return load_bundle(root / "bundles" / "wrist_fracture")


def six_wrists(settings: Settings, engine: sa.Engine, root: Path) -> tuple[Exported, dict[str, int]]:
    """Six patients; the report calls every wrist broken, and readers agree where the phantom is."""
    truths = {}
    for seed in range(1, 7):
        broken = seed % 2 == 1
        picture = make_radiograph("wrist", seed, 128)
        key, study = arrive(settings, [to_dataset(picture)])
        report = reported(settings, study, wrist(root), [Finding("wrist_fracture", Presence.PRESENT, 0.9, 0.5)])
        answer(engine, key, report, "wrist_fracture", Answer.AGREE if broken else Answer.DISAGREE)
        truths[key] = int(broken)
    return export(settings, engine, wrist(root), settings.results.parent / "out", HALVES), truths


def test_wrists_train_on_what_readers_said(
    settings: Settings, engine: sa.Engine, root: Path, tmp_path: Path, run_bundle: Run
) -> None:
    exported, truths = six_wrists(settings, engine, root)
    items = [item for part in ("training", "validation") for item in load_wrists(str(exported.path), part)]
    assert sorted(item["label"] for item in items) == sorted(map(float, truths.values()))
    run_bundle(
        "bundles/wrist_fracture/configs/train.yaml",
        *("--datalist", exported.path, "--image_dir", exported.path.parent, "--output_dir", tmp_path / "trained"),
        *("--size", 64, "--batch_size", 2, "--bfloat16", "false", "--head_epochs", 1, "--all_epochs", 0),
    )
    assert torch.load(tmp_path / "trained" / "checkpoint.pt", weights_only=True)["epoch"] == 1


def test_an_export_holds_the_same_pixels_and_nothing_of_the_patients(
    settings: Settings, engine: sa.Engine, root: Path
) -> None:
    exported, _ = six_wrists(settings, engine, root)
    out = exported.path.parent
    copies = sorted(out.rglob("*.dcm"))
    originals = sorted((settings.spool.folder / "studies").rglob("*.dcm"))
    pixels = {read_stack(path).array.tobytes() for path in originals}
    assert len(copies) == len(originals) == len(pixels)
    assert {read_stack(path).array.tobytes() for path in copies} == pixels
    told = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    told += b"".join(str(path.relative_to(out)).encode() for path in out.rglob("*"))
    for path in originals:
        image = dcmread(path)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "SeriesInstanceUID"):
            assert str(image[keyword].value).encode() not in told
        assert str(image.StudyDate).encode() not in told
    assert {dcmread(path).PatientIdentityRemoved for path in copies} == {"YES"}
    assert b"ada" not in exported.path.read_bytes()


def test_chests_take_boxes_that_readers_confirmed_and_no_others(
    settings: Settings, engine: sa.Engine, root: Path
) -> None:
    chest = load_bundle(root / "bundles" / "chest_radiograph")
    box = (20.0, 30.0, 60.0, 70.0)
    places = (Place.AS_SHOWN, Place.UNSAID)
    for seed, place in enumerate(places, 1):
        key, study = arrive(settings, [to_dataset(make_radiograph("chest", seed, 256))])
        (image,) = study.series[0].instances
        region = Region(image.sop_instance_uid, box, RegionKind.DETECTION, 0.9)
        lesion = Finding("lung_lesion", Presence.PRESENT, 0.9, 0.5, regions=(region,))
        report = reported(settings, study, chest, [lesion, Finding("pneumothorax", Presence.ABSENT, 0.1, 0.5)])
        answer(engine, key, report, "lung_lesion", Answer.AGREE, place=place)
        answer(engine, key, report, "pneumothorax", Answer.AGREE)
    exported = export(settings, engine, chest, settings.results.parent / "out", Shares(1.0, 0.0, 0.0))
    items = load_radiographs(str(exported.path), "training")
    told = sorted((item["boxes"], item["classes"], item["boxed"], item["labels"]) for item in items)
    assert told == [([], [], False, [1.0, 0.0]), ([list(box)], [0], True, [1.0, 0.0])]


def test_heads_become_cases_with_types_and_a_step_is_trained(
    settings: Settings, engine: sa.Engine, root: Path, tmp_path: Path, run_bundle: Run
) -> None:
    head = load_bundle(root / "bundles" / "head_ct_hemorrhage")
    kinds = [each.finding for each in head.service.findings]
    for seed in (501, 502, 503, 504):
        bleeds = seed % 2 == 1
        images = to_datasets(make_phantom(seed, 96, kinds=("subdural",) if bleeds else ()))
        key, study = arrive(settings, images)
        scores = tuple(SliceScore(each.sop_instance_uid, n, 0.1) for n, each in enumerate(study.series[0].instances))
        findings = [Finding(kind, Presence.ABSENT, 0.1, 0.5, slices=scores) for kind in kinds]
        report = reported(settings, study, head, findings)
        answer(engine, key, report, "intracranial_hemorrhage", Answer.DISAGREE if bleeds else Answer.AGREE)
        if bleeds:
            answer(engine, key, report, "subdural_hemorrhage", Answer.DISAGREE)
    exported = export(settings, engine, head, tmp_path / "out", HALVES)
    cases = [case for part in ("training", "validation") for case in load_cases(str(exported.path), part)]
    told = sorted((case["label"], case["types"]) for case in cases)
    assert told == [(0, [0] * 5)] * 2 + [(1, [None, 1, None, None, None])] * 2
    for case in cases:
        assert np.isfinite(read_stack(case["image"]).array).all()
    run_bundle(
        "bundles/head_ct_hemorrhage/configs/train.yaml",
        *("--datalist", exported.path, "--output_dir", tmp_path / "trained", "--epochs", 1, "--batch_size", 2),
        *("--box", "[40,64,64]", "--bfloat16", "false", "--workers", 0),
    )
    assert torch.load(tmp_path / "trained" / "checkpoint.pt", weights_only=True)["epoch"] == 1


def test_of_readers_who_differ_nothing_is_learned_and_it_is_told(
    settings: Settings, engine: sa.Engine, root: Path, tmp_path: Path
) -> None:
    key, study = arrive(settings, [to_dataset(make_radiograph("wrist", 1, 128))])
    report = reported(settings, study, wrist(root), [Finding("wrist_fracture", Presence.PRESENT, 0.9, 0.5)])
    answer(engine, key, report, "wrist_fracture", Answer.AGREE)
    answer(engine, key, report, "wrist_fracture", Answer.DISAGREE, reader="bob")
    with pytest.raises(Rejected, match="1: readers differ or are unsure of every finding"):
        export(settings, engine, wrist(root), tmp_path / "out")
    answer(engine, key, report, "wrist_fracture", Answer.DISAGREE, at=2.0)
    exported = export(settings, engine, wrist(root), tmp_path / "out")
    rows = [row for part in ("training", "validation", "test") for row in json.loads(exported.path.read_text())[part]]
    assert [(row["labels"], row["report"]["readers"]) for row in rows] == [({"fracture": 0}, 2)]


def test_what_is_elsewhere_is_there_and_what_contradicts_itself_is_unknown_and_counted(
    settings: Settings, engine: sa.Engine, root: Path, tmp_path: Path
) -> None:
    uids = []
    for seed in (1, 2):
        key, study = arrive(settings, [to_dataset(make_radiograph("wrist", seed, 128))])
        uid = study.series[0].instances[0].sop_instance_uid
        report = reported(settings, study, wrist(root), [Finding("wrist_fracture", Presence.PRESENT, 0.9, 0.5)])
        said = Answer.ELSEWHERE if seed == 1 else Answer.DISAGREE
        where = {"place": Place.POINT, "sop_instance_uid": uid, "column": 12.5, "row": 40.0}
        answer(engine, key, report, "wrist_fracture", said, **where)
        uids.append(uid)
    exported = export(settings, engine, wrist(root), tmp_path / "out")
    assert (exported.contradictory, exported.left_out) == (
        1,
        {"readers differ or are unsure of every finding": 1},
    )
    content = json.loads(exported.path.read_text())
    (row,) = [row for part in ("training", "validation", "test") for row in content[part]]
    assert row["labels"] == {"fracture": 1}
    (place,) = row["places"]
    assert place == {"finding": "fracture", "image": row["image"], "frame": 1, "column": 12.5, "row": 40.0}
    assert any("1 answer: says that a finding is not there, and where it is" in note for note in content["notes"])
    assert not any(uid in exported.path.read_text() for uid in uids)


def test_the_same_images_are_exported_once_with_what_each_reader_said_last(
    settings: Settings, engine: sa.Engine, root: Path, tmp_path: Path
) -> None:
    key, study = arrive(settings, [to_dataset(make_radiograph("wrist", 1, 128))])
    bundle = wrist(root)
    report = reported(settings, study, bundle, [Finding("wrist_fracture", Presence.PRESENT, 0.9, 0.5)])
    older = replace(report, algorithm=replace(report.algorithm, version="0.0.1"))
    answer(engine, key, older, "wrist_fracture", Answer.AGREE)
    answer(engine, key, report, "wrist_fracture", Answer.DISAGREE, at=2.0)
    exported = export(settings, engine, bundle, tmp_path / "out")
    rows = [row for part in ("training", "validation", "test") for row in json.loads(exported.path.read_text())[part]]
    assert [row["labels"] for row in rows] == [{"fracture": 0}]
    assert len(list(tmp_path.glob("out/images/*/*.dcm"))) == 1


def test_what_was_pruned_is_left_out_and_counted(
    settings: Settings, engine: sa.Engine, root: Path, tmp_path: Path
) -> None:
    for seed in (1, 2):
        key, study = arrive(settings, [to_dataset(make_radiograph("wrist", seed, 128))])
        report = reported(settings, study, wrist(root), [Finding("wrist_fracture", Presence.ABSENT, 0.1, 0.5)])
        answer(engine, key, report, "wrist_fracture", Answer.AGREE)
    study.series[0].instances[0].path.unlink()
    exported = export(settings, engine, wrist(root), tmp_path / "out")
    assert exported.left_out == {"its images or results were removed, or cannot be read": 1}
    assert len(list(tmp_path.glob("out/images/*/*.dcm"))) == 1


def test_nothing_is_written_over(settings: Settings, engine: sa.Engine, root: Path, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="nobody has given feedback yet"):
        export(settings, engine, wrist(root), tmp_path / "out")
    exported, _ = six_wrists(settings, engine, root)
    before = exported.path.read_bytes()
    with pytest.raises(Rejected, match="is not empty; give a new folder"):
        export(settings, engine, wrist(root), exported.path.parent)
    assert exported.path.read_bytes() == before
