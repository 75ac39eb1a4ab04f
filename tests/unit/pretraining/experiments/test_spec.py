"""What a file of an experiment may say, and what it is told where it may not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bundles.common.strict import ConfigurationError
from pretraining.experiments.plan import check_overrides, chosen, evaluation, make_plan
from pretraining.experiments.spec import VARIANTS, Step, Variant, all_files, find, read_experiment

PROBE = {
    "label": "probe",
    "evaluate": {
        "configs": ["bundles/ssl_2d/configs/evaluate.yaml", "pretraining/experiments/probe.yaml"],
        "set": {"weights": "{encoder}", "datalist": "{datalist}", "output_dir": "{run}", "seed": "{seed}"},
    },
}
TRAIN = {"configs": ["bundles/ssl_2d/configs/train.yaml"], "set": {"output_dir": "{run}", "seed": "{seed}"}}


def raw(**changes: Any) -> dict[str, Any]:
    """An experiment that is in order, changed."""
    return {
        "name": "tried",
        "title": "A try",
        "question": "Does it?",
        "source": "nobody",
        "data": {"name": "phantom squares", "prepare": [["some.module", "{folder}"]], "metadata": ["view"]},
        "encoders": {"simclr": {"label": "SimCLR", "step": TRAIN}},
        "tasks": {"probe": PROBE},
        "initialisations": ["random", "simclr", "metadata"],
        "variants": {"small": {"seeds": [0, 1]}, "full": {"fractions": [1.0, 0.5]}},
        **changes,
    }


def written(tmp: Path, **changes: Any) -> Path:
    """That experiment as a file."""
    path = tmp / "experiment.yaml"
    path.write_text(yaml.safe_dump(raw(**changes)))
    return path


def test_a_variant_lies_over_what_both_share(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert [read_experiment(path, variant).seeds for variant in VARIANTS] == [(0, 1), (0,)]
    assert [read_experiment(path, variant).fractions for variant in VARIANTS] == [(1.0,), (1.0, 0.5)]
    deep = {"small": {"tasks": {"probe": {"evaluate": {"set": {"image_size": 32}}}}}, "full": {}}
    tasks = read_experiment(written(tmp_path, variants=deep), "small").tasks
    assert tasks["probe"].evaluate.set == {**PROBE["evaluate"]["set"], "image_size": 32}  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"seed": [1]}, "unknown key 'seed', did you mean 'seeds'?"),
        ({"variants": {"small": {"fraction": [1]}, "full": {}}}, "unknown key 'fraction', did you mean 'fractions'?"),
        ({"variants": {"small": {}}}, "expected 'variants' with 'small' and 'full'"),
        ({"initialisations": ["random", "simclr"]}, "every table has its baselines: add metadata to initialisations"),
        ({"initialisations": ["simclr", "metadata"]}, "every table has its baselines: add random to initialisations"),
        ({"initialisations": ["random", "metadata", "simclrr"]}, "no initialisation is called 'simclrr', did you mean"),
        ({"data": {"name": "x", "prepare": [["a"]]}}, "the metadata baseline needs data.metadata"),
        ({"fractions": [0.0, 1.0]}, "fractions.0"),
        ({"fractions": [0.5, 0.5]}, "fractions: one of them is there twice"),
        ({"encoders": {"simclr": {"label": "SimCLR"}}}, "an encoder is either trained (step) or read (file)"),
        ({"statistics": {"reference": "moco"}}, "no initialisation is called 'moco'"),
        (
            {"encoders": {"simclr": {"label": "S", "first": TRAIN, "file": "a.pt"}}},
            "'first' is a training before 'step'",
        ),
        (
            {"encoders": {"simclr": {"label": "S", "step": TRAIN, "evaluate": {"store_dir": "{stor}_bands"}}}},
            "nothing is called '{stor}', did you mean 'store'?",
        ),
        ({"tasks": {"probe": {**PROBE, "panels": TRAIN}}}, "panels show what was trained"),
        (
            {"encoders": {"simclr": {"label": "S", "step": {**TRAIN, "set": {"seed": "{sed}"}}}}},
            "nothing is called '{sed}', did you mean 'seed'?",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_with_what_to_write(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_experiment(written(tmp_path, **changes), "small")
    assert told in str(refused.value)


def test_an_override_that_no_configuration_has_is_refused_with_the_nearest() -> None:
    step = Step(configs=("bundles/ssl_2d/configs/train.yaml",), set={"epochs": 1, "train::feed::batch_size": 2})
    check_overrides(step, "here")
    for key, told in (("epoch", "did you mean 'epochs'?"), ("train::feeds", "has the key 'train::feeds'")):
        with pytest.raises(ConfigurationError) as refused:
            check_overrides(step.model_copy(update={"set": {key: 1}}), "here")
        assert told in str(refused.value)
    with pytest.raises(ConfigurationError, match="No such file"):
        check_overrides(Step(configs=("bundles/nothing.yaml",)), "here")


def test_every_run_is_planned_once_and_an_encoder_serves_all_seeds(tmp_path: Path) -> None:
    experiment = read_experiment(written(tmp_path), "small")
    plan = make_plan(experiment, "small", "images")
    assert len(plan.encoders) == 1
    assert [(run.initialisation, run.seed) for run in plan.runs] == [
        (start, seed) for start in ("random", "simclr", "metadata") for seed in (0, 1)
    ]
    assert len({run.key for run in plan.runs}) == 6
    each = {"simclr": {"label": "S", "step": TRAIN, "each_seed": True}}
    assert len(make_plan(read_experiment(written(tmp_path, encoders=each), "small"), "small", "images").encoders) == 2


def test_a_key_follows_from_images_and_settings(tmp_path: Path) -> None:
    experiment = read_experiment(written(tmp_path), "small")
    keys = [run.key for run in make_plan(experiment, "small", "images").runs]
    assert keys == [run.key for run in make_plan(experiment, "small", "images").runs]
    assert not set(keys) & {run.key for run in make_plan(experiment, "small", "others").runs}
    longer = {**TRAIN, "set": {**TRAIN["set"], "epochs": 3}}  # type: ignore[dict-item]
    changed = read_experiment(written(tmp_path, encoders={"simclr": {"label": "S", "step": longer}}), "small")
    other = [run.key for run in make_plan(changed, "small", "images").runs]
    assert [one == two for one, two in zip(keys, other, strict=True)] == [True, True, False, False, True, True]


def test_only_narrows_by_kind_and_names_what_it_does_not_know(tmp_path: Path) -> None:
    runs = make_plan(read_experiment(written(tmp_path), "small"), "small", "images").runs
    found = list(chosen(runs, ["random", "simclr", "seed=1"]))
    assert [(run.initialisation, run.seed) for run in found] == [("random", 1), ("simclr", 1)]
    assert list(chosen(runs, [])) == list(runs)
    with pytest.raises(ConfigurationError, match="--only simcl: no run has it, did you mean 'simclr'"):
        list(chosen(runs, ["simcl"]))


def test_two_experiments_of_one_name_are_refused_and_a_misspelt_one_gets_the_nearest(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder)
    with pytest.raises(ConfigurationError, match="are both called 'tried'"):
        all_files(tmp_path)
    (tmp_path / "other" / "experiment.yaml").unlink()
    assert find("tried", tmp_path) == tmp_path / "one" / "experiment.yaml"
    with pytest.raises(ConfigurationError, match="no experiment is called 'tryed', did you mean 'tried'"):
        find("tryed", tmp_path)


def test_an_encoder_file_without_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "encoder.pt").write_bytes(b"")
    encoders = {"simclr": {"label": "S", "file": str(tmp_path / "encoder.pt")}}
    with pytest.raises(ConfigurationError, match=r"encoder\.json: No such file"):
        make_plan(read_experiment(written(tmp_path, encoders=encoders), "small"), "small", "images")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_experiment_of_the_repository_can_be_planned(variant: Any) -> None:
    for name, path in all_files().items():
        experiment = read_experiment(path, variant)
        assert experiment.name == name == path.parent.name
        assert len(make_plan(experiment, variant, "images").runs) > 2


ROBUST = {
    "tasks": {
        "plain": {"label": "plain", "trained": "fine", "evaluate": PROBE["evaluate"]},
        "dark": {
            "label": "dark", "trained": "fine", "evaluate": PROBE["evaluate"], "change": {"kind": "gamma", "value": 2}
        },
    },
}  # fmt: skip


def robust(tmp: Path, base: Path, **changes: Any) -> Path:
    """An experiment on the networks of another one."""
    path = tmp / "robust.yaml"
    content = raw(name="robust", after=str(base), **ROBUST, variants={"small": {}, "full": {}})
    content = {key: value for key, value in content.items() if key not in {"data", "encoders", "initialisations"}}
    path.write_text(yaml.safe_dump(content | changes))
    return path


def test_networks_of_another_experiment_are_measured_with_its_starts_and_seeds(tmp_path: Path) -> None:
    base = written(tmp_path, tasks={"fine": {**PROBE, "train": TRAIN}})
    plan = make_plan(read_experiment(robust(tmp_path, base), "small"), "small", "data")
    trained = {run.key: run for run in make_plan(read_experiment(base, "small"), "small", "data").runs}
    assert len(plan.runs) == 2 * 4 + 2
    for run in plan.runs:
        if run.initialisation == "metadata":
            assert (run.task, run.base) == ("plain", None)
            continue
        assert run.base is not None
        same = trained[run.base.key]
        assert (same.task, same.initialisation, same.seed) == ("fine", run.initialisation, run.seed)
        assert run.encoder == same.encoder
    assert len({run.key for run in plan.runs} | set(trained)) == len(plan.runs) + len(trained)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"encoders": {}}, "encoders come from"),
        ({"after": None}, "'after' and each task's 'trained' go together"),
        ({"tasks": {"plain": {**PROBE, "trained": "fine", "train": TRAIN}}}, "one of both"),
        ({"tasks": {"dark": ROBUST["tasks"]["dark"]}}, "exactly one task is without 'change'"),
        ({"tasks": {"plain": {**PROBE, "change": {"kind": "gamma", "value": 2}}}}, "add trained"),
    ],
)
def test_what_does_not_fit_another_experiment_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    base = written(tmp_path, tasks={"fine": {**PROBE, "train": TRAIN}})
    path = robust(tmp_path, base, **changes)
    if changes.get("after", "") is None:
        path.write_text(yaml.safe_dump(raw(**ROBUST)))
    with pytest.raises(ConfigurationError, match=told):
        read_experiment(path, "small")


def test_a_task_that_the_other_experiment_does_not_train_is_refused(tmp_path: Path) -> None:
    experiment = read_experiment(robust(tmp_path, written(tmp_path)), "small")
    with pytest.raises(ConfigurationError, match="task dark: 'tried' trains no 'fine'"):
        make_plan(experiment, "small", "data")


@pytest.mark.parametrize("value", [None, "{encoder}"])
def test_a_null_that_monai_would_leave_out_is_refused(value: str | None) -> None:
    configs = ("bundles/head_ct_hemorrhage/configs/train.yaml",)
    check_overrides(Step(configs=configs, set={"encoder_weights": value}), "here")
    overlaid = (*configs, "bundles/head_ct_hemorrhage/configs/ablation_segmentation.yaml")
    with pytest.raises(ConfigurationError, match="here: 'encoder_weights' can become null, which MONAI leaves out"):
        check_overrides(Step(configs=overlaid, set={"encoder_weights": value}), "here")


def test_what_belongs_to_a_start_is_part_of_its_runs_alone(tmp_path: Path) -> None:
    def keys(**own: Any) -> dict[str, str]:
        encoders = {"simclr": {"label": "SimCLR", "step": TRAIN, **own}}
        plan = make_plan(read_experiment(written(tmp_path, encoders=encoders), "full"), "full", "data")
        return {run.initialisation: run.key for run in plan.runs if run.fraction == 1.0}

    plain, looked = keys(), keys(evaluate={"store_dir": "{store}_bands"})
    assert [plain[start] == looked[start] for start in ("random", "metadata", "simclr")] == [True, True, False]
    staged = keys(first=TRAIN)
    assert [plain[start] == staged[start] for start in ("random", "metadata", "simclr")] == [True, True, False]
    with pytest.raises(ConfigurationError, match=r"'simclr', evaluate: no configuration of .* has the key 'stor_dir'"):
        keys(evaluate={"stor_dir": "{store}_bands"})


def test_random_weights_can_be_measured_on_other_images(tmp_path: Path) -> None:
    other = {"simclr": {"label": "random weights, bands alike", "evaluate": {"dataset_dir": "{folder}/bands"}}}
    plan = make_plan(read_experiment(written(tmp_path, encoders=other), "full"), "full", "data")
    (encoder,) = plan.encoders
    assert (encoder.spec.step, encoder.spec.file) == (None, None)
    measured = evaluation(plan.experiment.tasks["probe"], encoder)
    assert measured.set == {**PROBE["evaluate"]["set"], "dataset_dir": "{folder}/bands"}  # type: ignore[index]
    assert evaluation(plan.experiment.tasks["probe"], None) is plan.experiment.tasks["probe"].evaluate


def test_where_the_set_tells_the_finding_sets_are_measured_apart() -> None:
    for name in ("cxr_labels", "cxr_views"):
        for variant in VARIANTS:
            assert read_experiment(find(name), variant).data.within == ("view", "small")


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_asked_at_last_is_one_of_the_attempts_to_the_letter(variant: Variant) -> None:
    last, tried = (read_experiment(find(name), variant) for name in ("cxr_held_out", "cxr_attempts"))
    chosen = last.encoders["chosen"]
    (winner,) = [one for one in tried.encoders.values() if one.step == chosen.step]
    assert winner.evaluate == chosen.evaluate
    assert winner.label == chosen.label
    assert last.tasks == tried.tasks
    assert chosen.each_seed
    assert "once chosen by cross-validation" in last.data.notes


def test_nearly_equal_pictures_are_allowed_of_phantoms_alone() -> None:
    for path in all_files().values():
        for variant in VARIANTS:
            data = read_experiment(path, variant).data
            assert data.name.startswith("phantom") or not data.allow_near, f"{path} ({variant})"


def test_a_metadata_baseline_depends_on_its_own_code_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = read_experiment(written(tmp_path), "small")
    before = make_plan(experiment, "small", "images").runs
    monkeypatch.setattr("pretraining.experiments.plan.files_digest", lambda names: f"changed{len(names)}")
    after = make_plan(experiment, "small", "images").runs
    for one, other in zip(before, after, strict=True):
        assert (one.key != other.key) == (one.initialisation == "metadata")
        assert (other.code == "changed3") == (other.initialisation == "metadata")
