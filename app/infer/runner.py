"""The warm runner: every network built once, one study at a time through a bundle's own steps."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import structlog
import torch

from app.assignment import Assignment
from app.errors import AppError, Failed, OutOfMemory, Rejected, location
from app.findings import Finding, Outcome, Report
from app.infer import metrics
from app.infer.accelerator import show_accelerator
from app.infer.catalogue import Bundle, Catalogue
from app.infer.edges import device_of, trim, unreadable
from app.infer.heat import heats_in, keep_heats
from app.infer.images import Image, images_of, shared, size_of, together
from app.infer.lesions import with_lesions
from app.infer.measuring import Measured, measure, score
from app.infer.network import Item, Network, build, bytes_of, first_of_batch
from app.infer.results import (
    Numbers,
    contradictions,
    find_stacks,
    signs_of_missing,
    sources,
    to_findings,
    to_image_findings,
    unfinished,
)
from app.masks import LabelVolume, keep, mask_file
from app.settings import Inference
from app.structures import STRUCTURES, UNTESTED, ClassScore, Structure
from app.study import Instance, Series, Study
from app.warmth import BundleState
from bundles.common.contract import Service

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, what was odd, in words, and what a Model Zoo bundle measured."""

    findings: tuple[Finding, ...]
    notes: Sequence[str]
    structures: tuple[Structure, ...] = ()
    classes: tuple[ClassScore, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Outputs:
    """What a bundle's postprocessing gave: numbers flattened, masks and heat maps as they are, and what the reader
    found odd; of a Model Zoo bundle "pred" as it is.
    """

    numbers: Numbers
    masks: Mapping[str, Any]
    notes: Sequence[str]
    pred: Any = None
    heats: Mapping[str, Any] = field(default_factory=dict)


NO_ROOM = "the outlines of the findings could not be kept, and so are in no document: there is no room in the results"
OUT_OF_MEMORY = "the accelerator ran out of memory"


@dataclass
class Runner:
    """Runs bundles on series. Safe to call from several threads; each bundle is built once.

    Attributes:
        catalogue: What can be run.
        settings: Device, threads and the voxel budget.
    """

    catalogue: Catalogue
    settings: Inference
    _networks: dict[str, Network] = field(default_factory=dict, init=False)
    _building: Lock = field(default_factory=Lock, init=False)
    _states: dict[str, BundleState] = field(default_factory=dict, init=False)
    _counting: Lock = field(default_factory=Lock, init=False)

    def __post_init__(self) -> None:
        if self.settings.threads:
            torch.set_num_threads(self.settings.threads)
        self.device = device_of(self.settings.device)
        for name, bundle in self.catalogue.bundles.items():
            who = bundle.algorithm
            self._states[name] = BundleState(name, who.version, who.weights_sha256, str(self.device))

    def warm(self) -> None:
        """Build every network now instead of at its first study. One that cannot be built is logged, not raised: its
        studies will end undetermined with the reason.
        """
        for name in self.catalogue.bundles:
            try:
                self._network(self.catalogue.get(name))
            except Failed as error:
                metrics.MODEL_READY.labels(name).set(0)
                self._note(name, problem=str(error))
                log.warning("bundle_cannot_be_built", bundle=name, reason=str(error))
        trim()

    def show_accelerator(self) -> None:
        """Set the gauges of the accelerator, where there is one."""
        show_accelerator(self.device)

    def states(self) -> tuple[BundleState, ...]:
        """What the bundles are like: warm or cold, and since when."""
        with self._counting:
            return tuple(self._states.values())

    def analyse(self, study: Study, assignment: Assignment, folder: Path | None = None) -> Report:
        """Run a bundle on the assigned series, or on each assigned image by itself, as its contract says.

        Args:
            study: What came in.
            assignment: Which bundle, and what of the study.
            folder: Where masks are kept for the documents, see `app.masks`, and heat maps for the page, see
                `app.heat`; None keeps none.

        Returns:
            The report, outcome `SUCCEEDED`; `PARTIAL` where nothing was found and images may be missing, or some of
            several could not be analysed.

        Raises:
            Rejected: The series, or every image, is larger than the voxel budget or cannot be read.
            OutOfMemory: CUDA ran out of memory; the cache was emptied, once more may work.
            Failed: The bundle is not served, broke, or said something that is no probability or no box.
        """
        started = time.perf_counter()
        bundle = self.catalogue.get(assignment.bundle)
        stacks = find_stacks(study, assignment)
        try:
            if bundle.service.reads == "image":
                answer, unread = self._each_image(bundle, images_of(stacks, assignment), folder)
            else:
                answer, unread = self._one_stack(bundle, stacks[0], folder), ()
        finally:
            trim()
        self._note(bundle.name, more=1, analysed_at=time.time())
        report = Report(
            study_uid=study.uid,
            revision=study.revision,
            series_uid=assignment.series_uid,
            stack=assignment.stack,
            algorithm=bundle.algorithm,
            outcome=Outcome.SUCCEEDED,
            findings=answer.findings,
            notes=tuple(dict.fromkeys((*study.notes, *assignment.notes, *answer.notes))),
            seconds=round(time.perf_counter() - started, 3),
            more=assignment.more,
            structures=answer.structures,
            classes=answer.classes,
        )
        signs = (*signs_of_missing(study, stacks), *unread)
        return unfinished(report, signs) if signs else report

    def _one_stack(self, bundle: Bundle, series: Series, folder: Path | None) -> Answer:
        _check_budget(series, series.instances, self.settings.max_voxels)
        outputs = self._run(bundle, series.instances, "series")
        if bundle.model_zoo is not None:
            return self._measured(bundle, measure(bundle.model_zoo, outputs.pred, series), series, outputs, folder)
        findings = to_findings(bundle.service, outputs.numbers, series)
        found = with_lesions(bundle.service, findings, outputs.numbers, outputs.masks, series)
        notes = (*series.notes, *outputs.notes, *found.notes, *contradictions(found.findings))
        if folder is None or not found.volumes or _kept(folder, bundle, series, found.volumes):
            return Answer(found.findings, notes)
        return Answer(found.findings, (*notes, NO_ROOM))

    def _measured(
        self, bundle: Bundle, found: Measured, series: Series, outputs: _Outputs, folder: Path | None
    ) -> Answer:
        notes = (UNTESTED, *series.notes, *outputs.notes, *found.notes)
        if folder is not None and found.volume is not None:
            notes = notes if _kept(folder, bundle, series, {STRUCTURES: found.volume}) else (*notes, NO_ROOM)
        return Answer((), notes, found.structures, found.classes)

    def _each_image(
        self, bundle: Bundle, images: Sequence[Image], folder: Path | None
    ) -> tuple[Answer, tuple[str, ...]]:
        """What the images show together, and in words which of them could not be analysed.

        Raises:
            Rejected, Failed: None of them could.
        """
        self._network(bundle)  # what is wrong with the bundle is no fault of an image
        answers: list[tuple[Image, Answer]] = []
        problems: list[tuple[Image, AppError]] = []
        for image in images:
            try:
                answers.append((image, self._one_image(bundle, image, folder, several=len(images) > 1)))
            except (Rejected, Failed) as error:
                problems.append((image, error))
        if not answers and len(images) == 1:
            raise problems[0][1]
        unread = tuple(f"{image.name}: {error}" for image, error in problems)
        if not answers:
            kind = Failed if any(isinstance(error, Failed) for _, error in problems) else Rejected
            raise kind("; ".join(unread))
        told = [(image.name, answer.notes) for image, answer in answers]
        classes = tuple(each for _, answer in answers for each in answer.classes)
        return Answer(together([answer.findings for _, answer in answers]), shared(told), classes=classes), unread

    def _one_image(self, bundle: Bundle, image: Image, folder: Path | None, *, several: bool) -> Answer:
        if image.problem:
            raise Rejected(image.problem)
        _check_budget(image.series, (image.instance,), self.settings.max_voxels)
        outputs = self._run(bundle, (image.instance,), "image")
        notes = (*image.series.notes, *outputs.notes)
        if bundle.model_zoo is not None:
            found = score(bundle.model_zoo, outputs.pred, image, several=several)
            return Answer((), (UNTESTED, *notes, *found.notes), classes=found.classes)
        findings = to_image_findings(bundle.service, outputs.numbers, image)
        if folder is not None:
            uid = image.instance.sop_instance_uid
            keep_heats(folder, bundle.name, bundle.service, findings, heats=outputs.heats, sop_instance_uid=uid)
        return Answer(findings, notes)

    def _run(self, bundle: Bundle, instances: Sequence[Instance], what: str) -> _Outputs:
        network = self._network(bundle)
        try:
            with torch.inference_mode():
                paths = [str(instance.path) for instance in instances]
                with metrics.MODEL_SECONDS.labels(bundle.name, "read").time():
                    item = network.preprocessing({"image": paths, "name": f"this {what}"})
                notes = _read_notes(item["image"], instances)
                answer = _forward(bundle.name, network, item)
                if bundle.model_zoo is not None:
                    return _Outputs({}, {}, notes, answer.get("pred"))
                numbers, masks = _numbers(bundle.service, answer), _masks(bundle.service, answer)
                return _Outputs(numbers, masks, notes, heats=heats_in(bundle.service, answer))
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            metrics.OUT_OF_MEMORY.inc()
            raise OutOfMemory(OUT_OF_MEMORY) from error
        except AppError:
            raise
        except Exception as error:
            if (problem := unreadable(error)) is not None:
                raise Rejected(f"the {what} cannot be read: {problem}") from error
            log.warning("bundle_broke", bundle=bundle.name, error=type(error).__name__, at=location(error))
            raise Failed(f"bundle '{bundle.name}' broke: {type(error).__name__}") from error

    def _network(self, bundle: Bundle) -> Network:
        with self._building:
            if bundle.name not in self._networks:
                started = time.perf_counter()
                network = build(bundle, self.device)
                _warm_up(bundle, network)
                self._networks[bundle.name] = network
                seconds = round(time.perf_counter() - started, 2)
                metrics.MODEL_READY.labels(bundle.name).set(1)
                metrics.MODEL_WARM_SECONDS.labels(bundle.name).set(seconds)
                held = bytes_of(network.module)
                self._note(bundle.name, problem="", warmed_at=time.time(), warm_s=seconds, weights_bytes=held)
                log.info("bundle_ready", bundle=bundle.name, device=str(self.device), seconds=seconds)
            return self._networks[bundle.name]

    def _note(self, name: str, more: int = 0, **changes: Any) -> None:
        """Change what is told of a bundle; `more` analyses were done."""
        with self._counting:
            state = self._states[name]
            self._states[name] = replace(state, analyses=state.analyses + more, **changes)


def _forward(bundle: str, network: Network, item: Item) -> Item:
    with metrics.MODEL_SECONDS.labels(bundle, "forward").time():  # the copy to the host waits for the accelerator
        inputs = item["image"][None].to(network.device)
        item["pred"] = first_of_batch(network.inferer(inputs=inputs, network=network.module))
    with metrics.MODEL_SECONDS.labels(bundle, "post").time():
        return network.postprocessing(item)


def _read_notes(image: Any, instances: Sequence[Instance]) -> Sequence[str]:
    """What the reader found odd.

    Raises:
        Failed: It sorted the slices otherwise than the series, so that their scores would name other images.
    """
    meta = getattr(image, "meta", {})
    if "source_uids" in meta and tuple(meta["source_uids"]) != sources(instances):
        raise Failed("the reader sorted the slices otherwise than the series; report this study's geometry")
    return tuple(meta.get("notes", ()))


def _numbers(contract: Service, item: Mapping[str, Any]) -> Numbers:
    wanted = {key for output in contract.findings for key in (output.probability, output.slices) if key}
    regions = [output.regions for output in contract.findings if output.regions is not None]
    wanted |= {key for each in regions for key in (each.boxes, each.scores, each.classes)}
    wanted |= {each.segmentation.scores for each in contract.findings if each.segmentation and each.segmentation.scores}
    return {key: torch.as_tensor(item[key]).flatten().tolist() for key in sorted(wanted) if key in item}


def _masks(contract: Service, item: Mapping[str, Any]) -> dict[str, Any]:
    wanted = {each.segmentation.mask for each in contract.findings if each.segmentation}
    return {key: torch.as_tensor(item[key]).cpu().numpy() for key in sorted(wanted) if key in item}


def _kept(folder: Path, bundle: Bundle, series: Series, volumes: Mapping[str, LabelVolume]) -> bool:
    """Keep masks for the documents. The answer does not depend on it: without room it is given in words and numbers."""
    try:
        keep(mask_file(folder, bundle.name, series.uid, series.stack), volumes)
    except OSError as error:
        log.warning("masks_not_kept", bundle=bundle.name, error=type(error).__name__)
        return False
    return True


def _warm_up(bundle: Bundle, network: Network) -> None:
    """Run the network once on zeros of its documented input shape, so that the first study pays for no set-up."""
    shape = bundle.input_shape
    if not shape:
        return
    with torch.inference_mode():
        network.module(torch.zeros((1, *shape), device=network.device))


def _check_budget(series: Series, instances: Sequence[Instance], max_voxels: int) -> None:
    """Compare with the headers' word before a single pixel is read.

    Raises:
        Rejected: There are more voxels than allowed.
    """
    rows, columns = size_of(series)
    voxels = rows * columns * sum(max(instance.frames, 1) for instance in instances)
    if voxels > max_voxels:
        words = "1 slice of" if len(instances) == 1 else f"{len(instances)} slices of"
        are = "is" if len(instances) == 1 else "are"
        raise Rejected(
            f"{words} {rows} x {columns} pixels {are} {voxels} voxels; inference.max_voxels allows {max_voxels}"
        )
