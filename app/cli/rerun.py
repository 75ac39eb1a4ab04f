"""The command `rerun`: ask for another analysis of a study, and say what comes of it."""

from rich.console import Console
from rich.text import Text

from app import outcomes, reruns
from app.audit.deliveries import tell_asked_again
from app.errors import Rejected
from app.settings import Settings


def rerun_with_line(settings: Settings, key_or_uid: str) -> None:
    """Ask for another run, and print the key of the new revision.

    Raises:
        Rejected: There is no such study, or it cannot be analysed again; the reason says what to do.
        Retryable: Not at this moment.
    """
    known = outcomes.study(settings, key_or_uid)
    if known is None:
        raise Rejected("no study of that key or StudyInstanceUID; `python -m app studies` lists what is known")
    asked = reruns.ask(settings, known.key)
    tell_asked_again(settings, known)
    words = f"{asked.key}: run {asked.run} of {known.key}; a worker begins it within moments"
    Console(highlight=False).print(Text(words), soft_wrap=True)
