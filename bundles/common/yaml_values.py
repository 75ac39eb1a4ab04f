"""Change single values of a YAML or JSON file and leave everything else in it, comments too, as it is."""

from collections.abc import Mapping
from pathlib import Path

import yaml

Place = tuple[str | int, ...]


def set_values(path: Path, values: Mapping[Place, str]) -> None:
    """Replace scalars.

    Args:
        path: The file.
        values: The new text of each, by its place: keys and indices from the top, such as ("findings", 0, "threshold").

    Raises:
        ValueError: There is no such place, or what stands there is no scalar. Nothing is written then.
    """
    text = path.read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    spans = []
    for place, value in values.items():
        node = _at(root, place)
        if not isinstance(node, yaml.ScalarNode):
            words = f"{path}: expected a value at {'.'.join(map(str, place))}, to be replaced by {value}"
            raise ValueError(words)  # noqa: TRY004  # one kind of error for whatever is wrong with a file
        spans.append((node.start_mark.index, node.end_mark.index, value))
    for start, end, value in sorted(spans, reverse=True):
        text = f"{text[:start]}{value}{text[end:]}"
    path.write_text(text, encoding="utf-8")


def _at(node: yaml.Node | None, place: Place) -> yaml.Node | None:
    for key in place:
        if isinstance(node, yaml.MappingNode):
            node = next((value for name, value in node.value if name.value == str(key)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
        else:
            return None
    return node
