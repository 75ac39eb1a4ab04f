"""XML as a small tree that knows its line numbers; no document types, so nothing expands or is fetched."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from bundles.common.datalist.problems import Damaged, DatalistError, Place


@dataclass(slots=True)
class Element:
    """An element: its name without the name space, the space, its place, its text, and what is inside it."""

    name: str
    space: str
    place: Place
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, name: str) -> Iterator["Element"]:
        """Give the children of a name."""
        return (child for child in self.children if child.name == name)

    def one(self, name: str) -> "Element":
        """Give the only child of a name.

        Raises:
            Damaged: There is none, or there are several.
        """
        found = list(self.all(name))
        if len(found) != 1:
            raise Damaged(f"<{self.name}> has {len(found)} <{name}>, expected one")
        return found[0]

    def word(self, name: str) -> str:
        """Give the text of the only child of a name, which must have one."""
        text = self.one(name).text.strip()
        if not text:
            raise Damaged(f"<{name}> is empty")
        return text

    def number(self, name: str) -> float:
        """Give the number in the only child of a name."""
        text = self.word(name)
        try:
            return float(text)
        except ValueError as error:
            raise Damaged(f"<{name}> is '{text}', expected a number") from error


def read_xml(path: Path) -> Element:
    """Read a file.

    Raises:
        DatalistError: It is missing, is no well-formed XML (with the line), or declares a document type.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    root = Element("", "", Place(path, 0))
    open_elements = [root]

    def start(tag: str, _attributes: dict[str, str]) -> None:
        space, _, name = tag.rpartition(" ")
        element = Element(name, space, Place(path, parser.CurrentLineNumber))
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_tag: str) -> None:
        open_elements.pop()

    def characters(text: str) -> None:
        open_elements[-1].text += text

    def refuse(*_declaration: object) -> NoReturn:
        raise DatalistError(f"{path}:{parser.CurrentLineNumber}: a document type; label files have none")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = characters, refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise DatalistError(f"{path}: {error.strerror}") from error
    except expat.ExpatError as error:
        raise DatalistError(f"{path}:{error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}") from error
    except DatalistError:
        raise
    except (ValueError, LookupError) as error:
        raise DatalistError(f"{path}:1: an encoding that cannot be read") from error
    return root.children[0]
