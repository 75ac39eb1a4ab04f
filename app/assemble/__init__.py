"""From files to a study: when it is complete, which images belong together, and whether their geometry is sound."""

from app.assemble.completeness import is_complete
from app.assemble.copies import Copies, choose_copies
from app.assemble.gate import check_geometry, check_image
from app.assemble.study import assemble

__all__ = ["Copies", "assemble", "check_geometry", "check_image", "choose_copies", "is_complete"]
