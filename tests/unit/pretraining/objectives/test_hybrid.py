"""α·L_ss + β·L_sup: values against formulas, and nothing at all from samples without labels."""

import math

import pytest
import torch
from torch import Tensor, nn

from pretraining.objectives.heads import linear_head
from pretraining.objectives.hybrid import Hybrid
from pretraining.objectives.moco import MoCo
from pretraining.objectives.objective import Objective
from pretraining.objectives.simclr import SimCLR
from pretraining.objectives.supervised import ClassHead, MaskHead, MultiLabelHead, SupervisedHead
from pretraining.objectives.swav import SwAV
from tests.unit.pretraining.objectives.networks import FEATURES, TinyEncoder, random_crops

NAN = torch.nan
BATCH = 4
LABELLED = [True, False, True, False]


def feature_maps(encoder: nn.Module, images: Tensor) -> list[Tensor]:
    assert isinstance(encoder, TinyEncoder)
    fine = encoder.maps(images)
    pool = nn.functional.avg_pool2d if images.ndim == 4 else nn.functional.avg_pool3d
    return [fine, pool(fine, 2)]


def head_and_labels(kind: str, dimensions: int, spatial: torch.Size) -> tuple[SupervisedHead, Tensor]:
    """A head, and labels for samples 0 and 2."""
    if kind == "classes":
        return ClassHead(FEATURES, 3), torch.tensor([2.0, NAN, 0.0, NAN])
    if kind == "findings":
        return MultiLabelHead(FEATURES, 2), torch.tensor([[1.0, NAN], [NAN, NAN], [0.0, 1.0], [NAN, NAN]])
    masks = torch.full((BATCH, 1, *spatial), NAN)
    masks[0], masks[2] = 1.0, 0.0
    masks[2, ..., 0] = NAN  # a part that nobody drew
    return MaskHead([4, 4], 1, dimensions, width=3), masks


def make_objective(name: str, dimensions: int) -> Objective:
    encoder, head = TinyEncoder(dimensions), linear_head(FEATURES, 5)
    if name == "simclr":
        return SimCLR(encoder, FEATURES, head=head)
    if name == "moco":
        return MoCo(encoder, FEATURES, head=head, queue_length=8)
    return SwAV(encoder, FEATURES, head=head, prototypes=4)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("kind", ["classes", "findings", "masks"])
@pytest.mark.parametrize("name", ["simclr", "moco", "swav"])
def test_unlabelled_samples_get_exactly_zero(name: str, kind: str, dimensions: int) -> None:
    torch.manual_seed(0)
    crops = random_crops(dimensions, BATCH, (6, 6), seed=0, dtype=torch.float32)
    head, labels = head_and_labels(kind, dimensions, crops[0].shape[2:])
    hybrid = Hybrid(make_objective(name, dimensions), {"label": head}, 0.0, 2.0, feature_maps=feature_maps)
    images = crops[0].requires_grad_()
    hybrid([images, crops[1]], labels={"label": labels}).loss.backward()
    assert images.grad is not None
    assert [bool(gradient.abs().max() > 0) for gradient in images.grad] == LABELLED


@pytest.mark.parametrize("kind", ["classes", "findings", "masks"])
def test_a_batch_without_labels_trains_as_without_heads(kind: str) -> None:
    torch.manual_seed(0)
    objective = make_objective("simclr", 2)
    crops = random_crops(2, BATCH, (6, 6), seed=0, dtype=torch.float32)
    head, labels = head_and_labels(kind, 2, crops[0].shape[2:])
    hybrid = Hybrid(objective, {"label": head}, 1.0, 5.0, feature_maps=feature_maps)
    expected = torch.autograd.grad(objective(crops).loss, tuple(objective.parameters()))
    for given in ({"label": torch.full_like(labels, NAN)}, None):
        output = hybrid(crops, labels=given)
        gradients = torch.autograd.grad(output.loss, (*objective.parameters(), *head.parameters()), allow_unused=False)
        assert all(torch.equal(one, other) for one, other in zip(expected, gradients, strict=False))
        assert all(not gradient.any() for gradient in gradients[len(expected) :])
        assert output.parts["supervised"] == 0
        assert output.parts["labelled/label"] == 0


def test_the_sum_is_equation_7() -> None:
    """Divided by all samples, labelled or not; every term computed by hand."""
    torch.manual_seed(0)
    objective = make_objective("simclr", 2)
    classes, findings = ClassHead(FEATURES, 3), MultiLabelHead(FEATURES, 2)
    hybrid = Hybrid(objective, {"kind": classes, "findings": findings}, 0.5, 3.0).double()
    crops = random_crops(2, BATCH, (6, 6), seed=0)
    labels = {
        "kind": torch.tensor([NAN, 2.0, 0.0, NAN]),
        "findings": torch.tensor([[NAN, NAN], [1.0, 0.0], [NAN, NAN], [NAN, 1.0]]),
    }
    features = hybrid.encoder(crops[0])
    logs = classes(features).log_softmax(1)
    present = findings(features).sigmoid()
    cross_entropies = -(logs[1, 2] + logs[2, 0])
    binary = -(present[1, 0].log() + (1 - present[1, 1]).log()) / 2 - present[3, 1].log()
    expected = 0.5 * objective(crops).loss + 3.0 * (cross_entropies + binary) / 4
    output = hybrid(crops, labels=labels)
    assert output.loss.item() == pytest.approx(expected.item(), abs=1e-9)
    assert output.parts["supervised/kind"].item() == pytest.approx(cross_entropies.item() / 2)
    assert output.parts["supervised/findings"].item() == pytest.approx(binary.item() / 2)
    assert output.parts["self_supervised"].item() == pytest.approx(objective(crops).loss.item())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_mask_loss_is_the_mean_over_known_elements(dimensions: int) -> None:
    head = MaskHead([4, 4], 1, dimensions, width=3)
    with torch.no_grad():
        head.output.weight.zero_()
        head.output.bias.fill_(0.7)
    maps = [torch.rand(2, 4, *[4] * dimensions), torch.rand(2, 4, *[2] * dimensions)]
    labels = torch.full((2, 1, *[8] * dimensions), NAN)
    labels[0, ..., 0] = 1.0
    labels[0, ..., 1] = 0.0
    losses, known = head.sample_losses(head(maps), labels)
    present = 1 / (1 + math.exp(-0.7))
    assert losses[0].item() == pytest.approx(-(math.log(present) + math.log(1 - present)) / 2, abs=1e-6)
    assert losses[1] == 0
    assert known.tolist() == [True, False]


def test_the_encoder_stands_once_in_the_state_dict_and_hooks_pass_through() -> None:
    objective = SwAV(
        TinyEncoder(2), FEATURES, head=linear_head(FEATURES), prototypes=4, queue_length=8, queue_start_epoch=2
    )
    hybrid = Hybrid(objective, {"label": ClassHead(FEATURES, 2)})
    assert hybrid.encoder is objective.encoder
    assert {name.split(".")[0] for name in hybrid.state_dict()} == {"objective", "heads"}
    assert hybrid.collapse_value == pytest.approx(math.log(4))
    hybrid.start_epoch(2)
    assert bool(objective.queues.running)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"other": torch.zeros(4)}, r"head 'label' found no labels of that name; the batch has \['other'\]"),
        ({"label": torch.zeros(4, 2)}, r"needs labels of shape \(4,\), found \(4, 2\)"),
        ({"label": torch.tensor([0.0, 3.0, NAN, NAN])}, "3 classes got labels up to 3"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: dict[str, Tensor], message: str) -> None:
    hybrid = Hybrid(make_objective("simclr", 2), {"label": ClassHead(FEATURES, 3)})
    with pytest.raises(ValueError, match=message):
        hybrid(random_crops(2, BATCH, (6, 6), seed=0, dtype=torch.float32), labels=labels)


def test_masks_need_feature_maps() -> None:
    with pytest.raises(ValueError, match="feature_maps for heads on intermediate features"):
        Hybrid(make_objective("simclr", 2), {"mask": MaskHead([4], 1, 2)})
