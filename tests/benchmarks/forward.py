"""Forward times of every backbone: `python -m tests.benchmarks.forward`.

Batch 1, evaluation, random weights, the size that the bundles take. In float32 on the CPU, beside the sum of the
network's parts timed by themselves in the same rounds: for the radiographs the trunk is a plain ResNet of MONAI of the
same design, so that what our wrappers add is seen. Where there is a CUDA device, also bfloat16 autocast, channels last
and `torch.compile` on it.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from monai.networks.nets import ResNet
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from bundles.chest_radiograph.scripts.network import ChestDetector
from bundles.common.radiograph.encoder import DESIGNS, STAGE_CHANNELS
from bundles.head_ct_hemorrhage.scripts.network import HemorrhageNet
from bundles.radiograph_view.scripts.network import ViewNet
from bundles.wrist_fracture.scripts.network import WristFractureNet
from tests.benchmarks.ingest import Bound
from tests.integration.receive.dcmtk import ROOT

SIDE, VIEW_SIDE, HEAD = 512, 128, (40, 224, 192)
ROUNDS = 7
CUDA_ROUNDS = 30
LEAST_S = 0.1
"""A round of a small network repeats its passes for so long."""
LIMIT = 1.1
Part = Callable[[], object]


@dataclass(frozen=True)
class Subject:
    """A network, what it takes, and its parts as actions of their own.

    Attributes:
        name: For the table.
        network: In evaluation.
        image: (1, 1, …).
        parts: Each computes what it gets from the part before, which was computed once.
    """

    name: str
    network: nn.Module
    image: Tensor
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Times:
    """Seconds, one entry a round.

    Attributes:
        name: Of the network.
        parameters: How many.
        whole_s: Of a forward pass.
        parts_s: Sum of the parts.
        cuda_s: Median of a forward pass on a CUDA device; None without one.
    """

    name: str
    parameters: int
    whole_s: tuple[float, ...]
    parts_s: tuple[float, ...]
    cuda_s: float | None

    @property
    def bound(self) -> Bound:
        """What is promised: the median of the rounds' ratios."""
        ratio = statistics.median(whole / parts for whole, parts in zip(self.whole_s, self.parts_s, strict=True))
        return Bound(f"{self.name}: forward / sum of its parts", ratio, LIMIT, at_least=False)


class Trunk(nn.Module):
    """A plain ResNet of MONAI up to its last maps, called without anything of ours.

    Args:
        name: One of `DESIGNS`.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        block, layers, width, _ = DESIGNS[name]
        self.resnet = ResNet(
            block=block,
            layers=list(layers),
            block_inplanes=list(STAGE_CHANNELS),
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_stride=2,
            shortcut_type="B",
            bias_downsample=False,
            widen_factor=width,
            feed_forward=False,
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(batch, 1, rows, columns) → C3, C4, C5."""
        net, maps = self.resnet, []
        x = net.layer1(net.maxpool(net.act(net.bn1(net.conv1(x)))))
        for stage in (net.layer2, net.layer3, net.layer4):
            x = stage(x)
            maps.append(x)
        return maps


def wrist(backbone: str) -> Subject:
    """The classifier: the plain ResNet with its pooling, and the head."""
    network, plain = WristFractureNet(backbone).eval(), Trunk(backbone).eval().resnet
    image = torch.rand(1, 1, SIDE, SIDE)
    features = plain(image)
    return Subject(f"wrist, {backbone}", network, image, (lambda: plain(image), lambda: network.head(features)))


def chest(backbone: str) -> Subject:
    """The detector: the plain trunk, the pyramid, the heads."""
    network, trunk = ChestDetector(backbone).eval(), Trunk(backbone).eval()
    image = torch.rand(1, 1, SIDE, SIDE)
    maps = trunk(image)
    levels = network.pyramid(maps)
    classes = network.heads(levels)["classes"]
    parts: tuple[Part, ...] = (
        lambda: trunk(image),
        lambda: network.pyramid(maps),
        lambda: network.heads(levels),
        lambda: network.image(maps[-1], classes),
    )
    return Subject(f"chest, {backbone}", network, image, parts)


def view() -> Subject:
    """The classifier of views: its convolutions, its head."""
    network, image = ViewNet().eval(), torch.rand(1, 1, VIEW_SIDE, VIEW_SIDE)
    maps = network.stages(image)
    pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
    return Subject("views", network, image, (lambda: network.stages(image), lambda: network.head(pooled)))


def head_ct() -> Subject:
    """The dense network for volumes: its blocks, its heads."""
    network, image = HemorrhageNet().eval(), torch.rand(1, 1, *HEAD)
    blocks = network.encoder.blocks_of(image)
    parts = (lambda: network.encoder.blocks_of(image), lambda: network.heads(blocks, HEAD[0]))
    return Subject("head CT, dense", network, image, parts)


SUBJECTS: tuple[Callable[[], Subject], ...] = (
    lambda: wrist("resnet18"),
    lambda: wrist("resnet50"),
    lambda: chest("resnet18"),
    lambda: chest("resnet50"),
    lambda: chest("resnet50w2"),
    view,
    head_ct,
)


def measure(make: Callable[[], Subject], rounds: int = ROUNDS) -> Times:
    """Time one network and its parts in turn; a first pass warms up and tells how often to repeat in a round."""
    with torch.inference_mode():
        subject = make()
        whole: tuple[Part, ...] = (lambda: subject.network(subject.image),)
        _seconds(whole, 1)
        repeats = max(1, round(LEAST_S / max(_seconds(whole, 1), 1e-6)))
        _seconds(subject.parts, repeats)
        seconds = [(_seconds(whole, repeats), _seconds(subject.parts, repeats)) for _ in range(rounds)]
    ours, parts = zip(*seconds, strict=True)
    parameters = sum(each.numel() for each in subject.network.parameters())
    return Times(subject.name, parameters, ours, parts, _on_cuda(subject) if torch.cuda.is_available() else None)


def _seconds(actions: Sequence[Part], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        for action in actions:
            action()
    return (time.perf_counter() - start) / repeats


def _on_cuda(subject: Subject) -> float:
    layout = torch.channels_last if subject.image.ndim == 4 else torch.channels_last_3d
    network = torch.compile(subject.network.to("cuda", memory_format=layout))
    image = subject.image.clone().to("cuda", memory_format=layout)
    seconds = []
    with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
        for _ in range(CUDA_ROUNDS + 3):
            torch.cuda.synchronize()
            start = time.perf_counter()
            network(image)
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[3:])


def show(times: Sequence[Times], console: Console) -> None:
    """Print what was measured and what was promised."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no CUDA device"
    table = Table(title=f"Forward pass of one image, milliseconds; {torch.get_num_threads()} threads; {device}")
    for heading in ("network", "parameters", "CPU float32", "sum of parts", "ratio", "holds", "CUDA bf16, compiled"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for each in times:
        table.add_row(
            each.name,
            f"{each.parameters / 1e6:.1f} M",
            f"{1000 * statistics.median(each.whole_s):.1f}",
            f"{1000 * statistics.median(each.parts_s):.1f}",
            f"{each.bound.value:.2f} ≤ {LIMIT:g}",
            "yes" if each.bound.holds else "NO",
            "" if each.cuda_s is None else f"{1000 * each.cuda_s:.2f}",
        )
    console.print(table)


def bench() -> tuple[Times, ...]:
    """Measure every backbone, show and keep the numbers."""
    times = tuple(measure(make) for make in SUBJECTS)
    show(times, Console())
    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    told = [{**asdict(each), "bound": {**asdict(each.bound), "holds": each.bound.holds}} for each in times]
    (folder / "forward.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return times


if __name__ == "__main__":
    raise SystemExit(0 if all(each.bound.holds for each in bench()) else 1)
