"""What a configuration may name, found without importing it: MONAI and torch take seconds, and run code."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

DEFINED = re.compile(r"^(?:class|def) (\w+)", re.MULTILINE)
ALIASED = re.compile(r"^((?:\w+ = )+)\w+", re.MULTILINE)


@cache
def known_to_monai() -> frozenset[str]:
    """Names that MONAI's source defines at the top of a module: what a `_target_` without dots may be.

    A name more than MONAI's own lookup finds does no harm here: building the bundle tells the rest.
    """
    names: set[str] = set()
    spec = find_spec("monai")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in Path(folder).rglob("*.py"):
            source = path.read_text(encoding="utf-8", errors="replace")
            names.update(DEFINED.findall(source))
            for aliases in ALIASED.findall(source):
                names.update(aliases.replace(" = ", " ").split())
    return frozenset(names)


def is_installed(module: str, root: Path) -> bool:
    """Whether a module can be imported by its first name: from the environment, or from a bundle's own folder."""
    first = module.partition(".")[0]
    if not first or (root / first).is_dir() or (root / f"{first}.py").is_file():
        return True
    try:
        return find_spec(first) is not None
    except (ImportError, ValueError):
        return False
