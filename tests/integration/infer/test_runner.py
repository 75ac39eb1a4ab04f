"""Real MONAI bundles on real DICOM files."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydicom import dcmread

from app.assemble import assemble
from app.assignment import Assignment
from app.errors import Failed, Rejected, Retryable
from app.findings import Outcome, Presence
from app.infer.catalogue import Catalogue
from app.infer.network import Network
from app.infer.runner import Runner
from app.settings import Bundles, Inference
from app.study import BROKEN_OFF, Study
from tests.integration.workflow.tiny import ct_slices, write_bundle, write_files

CPU = Inference(device="cpu", threads=1)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    write_files(tmp_path / "study", ct_slices())
    return assemble(sorted((tmp_path / "study").iterdir()))


def assignment(study: Study, bundle: str = "brightness") -> Assignment:
    return Assignment(bundle, "rule", study.series[0].uid, 0, 1)


def runner(folder: Path, settings: Inference = CPU) -> Runner:
    return Runner(Catalogue.load(Bundles(folder=folder)), settings)


def test_a_bundle_says_what_its_network_computes(tmp_path: Path, study: Study) -> None:
    write_bundle(tmp_path / "bundles")
    report = runner(tmp_path / "bundles").analyse(study, assignment(study))
    (finding,) = report.findings
    expected = torch.sigmoid(torch.tensor([80.0, 60, 60, 60, 60]) * 4 / 100).tolist()
    assert [score.certainty for score in finding.slices] == pytest.approx(expected, abs=1e-6)
    assert [score.sop_instance_uid for score in finding.slices] == [
        dcmread(instance.path).SOPInstanceUID for instance in study.series[0].instances
    ]
    assert finding.certainty == pytest.approx(expected[0], abs=1e-6)
    assert finding.presence is Presence.PRESENT


@pytest.mark.parametrize(
    ("hu", "presence", "outcome"),
    [(60, Presence.PRESENT, Outcome.SUCCEEDED), (-60, Presence.UNDETERMINED, Outcome.PARTIAL)],
)
def test_a_study_whose_sender_broke_off_is_never_called_normal(
    tmp_path: Path, hu: int, presence: Presence, outcome: Outcome
) -> None:
    write_bundle(tmp_path / "bundles")
    write_files(tmp_path / "study", ct_slices(hu=hu))
    part = assemble(sorted((tmp_path / "study").iterdir()), interrupted=True)
    report = runner(tmp_path / "bundles").analyse(part, assignment(part))
    assert ([finding.presence for finding in report.findings], report.outcome) == ([presence], outcome)
    assert report.notes == (BROKEN_OFF,)
    assert report.reason == ("" if outcome is Outcome.SUCCEEDED else BROKEN_OFF)


def test_two_bundles_keep_their_own_scripts(tmp_path: Path, study: Study) -> None:
    write_bundle(tmp_path / "bundles", "positive")
    negative = write_bundle(tmp_path / "bundles", "negative") / "scripts" / "mean.py"
    negative.write_text(negative.read_text().replace("torch.sigmoid(", "torch.sigmoid(-"))
    both = runner(tmp_path / "bundles")
    both.warm()
    answers = [both.analyse(study, assignment(study, name)).findings[0].presence for name in ("positive", "negative")]
    assert answers == [Presence.PRESENT, Presence.ABSENT]


def test_a_zoo_bundle_may_name_its_scripts_relative_to_its_root(tmp_path: Path, study: Study) -> None:
    for name, sign in (("zoo_a", ""), ("zoo_b", "-")):
        root = write_bundle(tmp_path / "bundles", name)
        config = root / "configs" / "inference.json"
        config.write_text(config.read_text().replace(f"bundles.{name}.scripts", "scripts"))
        script = root / "scripts" / "mean.py"
        script.write_text(script.read_text().replace("torch.sigmoid(", f"torch.sigmoid({sign}"))
    both = runner(tmp_path / "bundles")
    answers = [both.analyse(study, assignment(study, name)).findings[0].presence for name in ("zoo_a", "zoo_b")]
    assert answers == [Presence.PRESENT, Presence.ABSENT]


def test_nan_is_a_failure(tmp_path: Path, study: Study) -> None:
    write_bundle(tmp_path / "bundles", broken=True)
    with pytest.raises(Failed, match="nan"):
        runner(tmp_path / "bundles").analyse(study, assignment(study))


def test_a_volume_over_the_budget_is_rejected_before_it_is_read(tmp_path: Path, study: Study) -> None:
    write_bundle(tmp_path / "bundles")
    for instance in study.series[0].instances:
        os.truncate(instance.path, 200)
    small = runner(tmp_path / "bundles", Inference(device="cpu", max_voxels=5 * 32 * 32 - 1))
    with pytest.raises(Rejected, match="5 slices of 32 x 32 pixels are 5120 voxels"):
        small.analyse(study, assignment(study))


def test_a_truncated_image_is_rejected_in_the_readers_words(tmp_path: Path, study: Study) -> None:
    write_bundle(tmp_path / "bundles")
    broken = study.series[0].instances[3].path
    os.truncate(broken, broken.stat().st_size - 100)
    with pytest.raises(Rejected, match=f"the series cannot be read: {broken.name}"):
        runner(tmp_path / "bundles").analyse(study, assignment(study))


def test_slices_in_another_order_than_the_series_are_a_failure(tmp_path: Path, study: Study) -> None:
    write_bundle(tmp_path / "bundles")
    (series,) = study.series
    turned = replace(study, series=(replace(series, instances=series.instances[::-1]),))
    with pytest.raises(Failed, match="sorted the slices otherwise"):
        runner(tmp_path / "bundles").analyse(turned, assignment(study))


def test_weights_that_do_not_fit_their_network_are_a_failure(tmp_path: Path, study: Study) -> None:
    root = write_bundle(tmp_path / "bundles", "misfit")
    script = root / "scripts" / "mean.py"
    script.write_text(script.read_text().replace("Linear(1, 1)", "Linear(2, 1)"))
    with pytest.raises(Failed, match="does not fit its network"):
        runner(tmp_path / "bundles").analyse(study, assignment(study, "misfit"))


def test_a_configuration_that_lacks_a_part_is_a_failure(tmp_path: Path, study: Study) -> None:
    root = write_bundle(tmp_path / "bundles")
    config = root / "configs" / "inference.json"
    config.write_text(config.read_text().replace('"inferer"', '"infererer"'))
    with pytest.raises(Failed, match="has no 'inferer'"):
        runner(tmp_path / "bundles").analyse(study, assignment(study))


def test_a_network_is_built_once(tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bundle(tmp_path / "bundles")
    warm = runner(tmp_path / "bundles")
    warm.warm()
    monkeypatch.setattr("app.infer.runner.build", lambda *_: pytest.fail("built again"))
    first, second = (warm.analyse(study, assignment(study)) for _ in range(2))
    assert replace(first, seconds=0) == replace(second, seconds=0)


def test_an_accelerator_out_of_memory_is_worth_another_try(tmp_path: Path, study: Study) -> None:
    """No accelerator at hand runs out of memory on demand; the error is torch's own."""
    write_bundle(tmp_path / "bundles")
    warm = runner(tmp_path / "bundles")
    warm.warm()
    (name, network), *_ = warm._networks.items()

    def run_out(**_: object) -> object:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    warm._networks[name] = Network(
        network.module, network.preprocessing, run_out, network.postprocessing, network.device
    )
    with pytest.raises(Retryable, match="out of memory"):
        warm.analyse(study, assignment(study))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_a_failure_with_advice(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundles")
    with pytest.raises(Failed, match="write 'auto' or 'cpu'"):
        runner(tmp_path / "bundles", Inference(device="cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_the_accelerator_says_the_same_as_the_processor(tmp_path: Path, study: Study) -> None:
    write_bundle(tmp_path / "bundles")
    on_cpu = runner(tmp_path / "bundles").analyse(study, assignment(study))
    on_gpu = runner(tmp_path / "bundles", Inference(device="cuda:0")).analyse(study, assignment(study))
    assert on_gpu.findings[0].certainty == pytest.approx(on_cpu.findings[0].certainty, abs=1e-5)
