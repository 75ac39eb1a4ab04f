"""Structured logs, for people (`console`) or machines (`json`), on standard error, without patient data.

Two nets below the rule that nothing of a patient is logged in the first place: fields whose name belongs to a patient
are withheld, and whatever looks like the UID of a study, series or instance is replaced by its hash. Libraries that
log what they receive are silenced below their warnings.
"""

import logging
import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from app.settings import Log
from app.study import uid_hash

WITHHELD = "(withheld)"
PATIENT_FIELDS = frozenset(
    {
        "accessionnumber",
        "birthdate",
        "dataset",
        "issuerofpatientid",
        "operatorsname",
        "otherpatientids",
        "patient",
        "patientaddress",
        "patientbirthdate",
        "patientid",
        "patientname",
        "patientsname",
        "referringphysicianname",
        "seriesinstanceuid",
        "sopinstanceuid",
        "studyid",
        "studyinstanceuid",
    }
)
UID = re.compile(r"(?<![\w.])[0-2](?:\.\d+){4,}(?![\w.]*\d)")
STANDARD_UIDS = "1.2.840.10008."

LIBRARY_LEVELS: Mapping[str, int] = MappingProxyType(
    {
        "alembic": logging.WARNING,
        "dbos": logging.WARNING,
        "httpx": logging.WARNING,
        "monai": logging.ERROR,
        "py.warnings": logging.ERROR,  # pydicom warns with the offending value
        "pydicom": logging.ERROR,
        "pynetdicom": logging.CRITICAL,  # AE titles and identifiers; the listener passes on errors without the words
        "sqlalchemy": logging.WARNING,
        "uvicorn": logging.WARNING,
        "uvicorn.access": logging.WARNING,  # paths hold study keys
    }
)


def withhold_patient_data(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: withhold fields named after a patient, hash whatever looks like an instance UID."""
    for key, value in event.items():
        if re.sub(r"[^a-z]", "", key.lower()) in PATIENT_FIELDS:
            event[key] = WITHHELD
        elif isinstance(value, str):
            event[key] = UID.sub(_hashed, value)
        elif isinstance(value, list | tuple):
            event[key] = [UID.sub(_hashed, item) if isinstance(item, str) else item for item in value]
    return event


def configure(settings: Log, role: str = "") -> None:
    """Send every log record of this process, ours and the libraries', to standard error.

    Args:
        settings: Level and format.
        role: Of the process ("listener", "worker", "web"), added to every record.
    """

    def add_role(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {"role": role, **event} if role else event

    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_role,  # not by contextvars: threads that libraries start would lack it
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(settings),
            ],
        )
    )
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name, level in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(level)


def _renderers(settings: Log) -> list[Processor]:
    if settings.format == "json":
        return [structlog.processors.format_exc_info, withhold_patient_data, structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,  # the rich one shows local variables
    )
    return [structlog.processors.format_exc_info, withhold_patient_data, console]


def _hashed(match: re.Match[str]) -> str:
    uid: Any = match[0]
    return uid if uid.startswith(STANDARD_UIDS) else f"uid:{uid_hash(uid)[:12]}"
