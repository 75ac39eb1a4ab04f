"""What the picture of a radiograph shows, by the bundle that tells views apart; routing asks it."""

import math
from dataclasses import dataclass, field
from threading import Lock

import structlog
import torch

from app.errors import AppError, Failed, Rejected, location
from app.infer.catalogue import ViewBundle
from app.infer.edges import trim, unreadable
from app.infer.images import size_of
from app.infer.network import Network, build, first_of_batch
from app.settings import Inference
from app.study import Series, View
from bundles.common.views import UNCLEAR

log = structlog.get_logger()


@dataclass
class Viewer:
    """Looks at one picture at a time, whatever thread asks: so that memory stays bounded by the largest picture.

    Attributes:
        bundle: That tells views apart.
        settings: Device and the voxel budget.
        device: Where the network lies.
    """

    bundle: ViewBundle
    settings: Inference
    device: torch.device
    _network: Network | None = field(default=None, init=False)
    _one_at_a_time: Lock = field(default_factory=Lock, init=False)

    def warm(self) -> None:
        """Build the network now. One that cannot be built is logged, not raised: pictures will stay unlooked at."""
        try:
            with self._one_at_a_time:
                self._built()
        except Failed as error:
            log.warning("views_cannot_be_told", bundle=self.bundle.name, reason=str(error))

    def look(self, series: Series) -> View:
        """Say what the first image of a stack shows.

        Raises:
            Rejected: It is too large, has several frames, or cannot be read.
            Failed: The bundle cannot be built, broke, or said something that is no probability.
        """
        first = series.instances[0]
        rows, columns = size_of(series)
        if first.frames > 1:
            raise Rejected(f"it has {first.frames} frames, and a radiograph one")
        if rows * columns > self.settings.max_voxels:
            raise Rejected(f"{rows} x {columns} pixels are more than inference.max_voxels allows")
        with self._one_at_a_time:
            try:
                return self.view_of(str(first.path))
            except AppError:
                raise
            except Exception as error:
                if (problem := unreadable(error)) is not None:
                    raise Rejected(f"it cannot be read: {problem}") from error
                log.warning("bundle_broke", bundle=self.bundle.name, error=type(error).__name__, at=location(error))
                raise Failed(f"bundle '{self.bundle.name}' broke: {type(error).__name__}") from error
            finally:
                trim()

    def view_of(self, path: str) -> View:
        """What one image file shows, of any format that the reader knows; errors are those of whatever fails."""
        network, contract = self._built(), self.bundle.contract
        with torch.inference_mode():
            item = network.preprocessing({"image": [path]})
            inputs = item["image"][None].to(network.device)
            item["pred"] = first_of_batch(network.inferer(inputs=inputs, network=network.module))
            values = torch.as_tensor(network.postprocessing(item)[contract.probabilities]).flatten().tolist()
        if len(values) != len(contract.views) or not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
            raise Failed(f"bundle '{self.bundle.name}' gave no probability for each of {len(contract.views)} views")
        certainty = max(values)
        name = contract.views[values.index(certainty)] if certainty >= contract.least_certainty else UNCLEAR
        return View(name, certainty)

    def _built(self) -> Network:
        if self._network is None:
            self._network = build(self.bundle, self.device)
        return self._network
