"""What the picture of a T1-weighted head says of contrast agent: the words that rules use, and the margins."""

from types import MappingProxyType
from typing import Literal, get_args

ContrastName = Literal["enhanced", "plain", "unclear", "no_brain"]
CONTRASTS: tuple[ContrastName, ...] = get_args(ContrastName)
NO_BRAIN: ContrastName = "no_brain"
ENHANCED_FROM = 0.08
"""Share of bright places in the middle octant of the brain from which vessels count as enhanced."""
PLAIN_TO = 0.03
"""Share of bright places in the whole brain up to which they count as not enhanced."""
_WORDS: MappingProxyType[str, str] = MappingProxyType(
    {
        "enhanced": "vessels bright with contrast agent",
        "plain": "no contrast agent in vessels",
        "unclear": "no clear answer about contrast agent",
        NO_BRAIN: "no brain",
    }
)


def contrast_of(share: float, middle_share: float) -> ContrastName:
    """Read what `bundles.common.enhancement.bright_places` counted; between the margins nothing is said."""
    if middle_share >= ENHANCED_FROM:
        return "enhanced"
    return "plain" if share <= PLAIN_TO else "unclear"


def in_words(contrast: str) -> str:
    """A contrast as it stands behind "shows": "no contrast agent in vessels"."""
    return _WORDS[contrast]
