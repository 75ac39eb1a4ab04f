"""The feature pyramid: C3 to C5 become P3 to P7, all with the same number of channels.

Source: Lin et al., Feature Pyramid Networks, CVPR 2017; P6 and P7 come from P5 as in FCOS §3.2.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class Pyramid(nn.Module):
    """Top-down sums of the backbone's maps, and two coarser levels.

    Args:
        inputs: Channels of C3, C4 and C5.
        channels: Of every level.
    """

    def __init__(self, inputs: Sequence[int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in inputs)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in inputs)
        self.coarser = nn.ModuleList(nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(2))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """C3, C4, C5 → P3 to P7, each (batch, channels, rows, columns) at strides 8 to 128."""
        sums = [lateral(each) for lateral, each in zip(self.lateral, maps, strict=True)]
        for fine in reversed(range(len(sums) - 1)):
            above = functional.interpolate(sums[fine + 1], size=sums[fine].shape[-2:], mode="nearest")
            sums[fine] = sums[fine] + above
        levels = [smooth(each) for smooth, each in zip(self.smooth, sums, strict=True)]
        for index, convolution in enumerate(self.coarser):
            levels.append(convolution(levels[-1] if index == 0 else functional.relu(levels[-1])))
        return levels
