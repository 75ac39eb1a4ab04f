"""QIDO-RS: which studies, series and instances fit a query, and what is told of each (PS3.18 section 10.6)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from app.study import uid_hash
from app.web.dicomweb.attributes import ANSWERED, MATCHED, OPTIONAL, Level
from app.web.dicomweb.holdings import Held, Holdings
from app.web.dicomweb.model import UTF8, Json, attribute_json, tag_of, value_json
from app.web.dicomweb.query import Query
from bundles.common.elements import text, value_of

MORE = "The number of results exceeded the maximum supported by the server. Additional results can be requested."
ROOT = "/dicom-web"


@dataclass(frozen=True, slots=True)
class Scope:
    """What an address names: nothing, a study, a series of it, or an instance of that."""

    study: str = ""
    series: str = ""
    instance: str = ""


def search(holdings: Holdings, level: Level, scope: Scope, query: Query, base: str) -> tuple[list[Json], bool]:
    """Find what fits.

    Args:
        holdings: What there is.
        level: What to find.
        scope: Of the address.
        query: What it has to fit.
        base: Address of the service, for the addresses of what is found.

    Returns:
        One page, and whether more follows.
    """
    found = _found(holdings, level, scope, query, base)
    page = list(islice(found, query.offset, query.offset + query.limit))
    return page, query.limit > 0 and next(found, None) is not None


def _found(holdings: Holdings, level: Level, scope: Scope, query: Query, base: str) -> Iterator[Json]:
    for study in _studies(holdings, scope, query):
        if level is Level.STUDY:
            modalities = sorted({text(each.header, "Modality") for each in study} - {""})
            if _fits(study[0].header, query, {"ModalitiesInStudy": modalities}, Level.STUDY):
                yield _study(study, modalities, query, base)
            continue
        if not _study_fits(study, query):
            continue
        for series in _series(study, scope):
            if not _fits(series[0].header, query, {}, Level.SERIES):
                continue
            if level is Level.SERIES:
                yield _told_series(study, series, scope, query, base)
                continue
            for held in series:
                if _fits(held.header, query, {}, Level.INSTANCE):
                    yield _told_instance(study, held, scope, query, base)


def _studies(holdings: Holdings, scope: Scope, query: Query) -> Iterator[Sequence[Held]]:
    """Candidates, the newest first; each is looked at as a whole only where what all its instances share fits."""
    named = (scope.study,) if scope.study else tuple(dict.fromkeys(query.studies))
    for key in map(uid_hash, named) if named else holdings.keys():
        first = holdings.first_of_key(key)
        if first is None or (scope.study and first.study_uid != scope.study):
            continue
        if _fits(first.header, query, None, Level.STUDY):
            held = tuple(each for each in holdings.of_key(key) if each.study_uid == first.study_uid)
            if held:
                yield held


def _study_fits(study: Sequence[Held], query: Query) -> bool:
    modalities = sorted({text(each.header, "Modality") for each in study} - {""})
    return _fits(study[0].header, query, {"ModalitiesInStudy": modalities}, Level.STUDY)


def _series(study: Sequence[Held], scope: Scope) -> Iterable[Sequence[Held]]:
    found: dict[str, list[Held]] = defaultdict(list)
    for each in study:
        found[each.series_uid].append(each)
    if scope.series:
        return [found[scope.series]] if scope.series in found else []
    return found.values()


def _fits(header: Dataset, query: Query, counted: Mapping[str, Sequence[str]] | None, level: Level) -> bool:
    """Whether the keys of one level fit; `counted` are values that no header holds, None leaves those out."""
    for keyword, match in query.keys.items():
        if _level_of(keyword) is not level:
            continue
        if keyword == "ModalitiesInStudy":
            if counted is not None and not any(map(match, counted[keyword])):
                return False
        elif not any(map(match, _values(header, keyword))):
            return False
    return True


def _level_of(keyword: str) -> Level:
    return next(level for level in Level if keyword in MATCHED[level])


def _values(header: Dataset, keyword: str) -> list[str]:
    name, dot, inner = keyword.partition(".")
    value = value_of(header, name)
    if dot:
        return [each for item in value or () for each in _values(item, inner)]
    if value is None:
        return [""]
    parts = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    return [str(part).strip(" \0") for part in parts] or [""]


def _study(study: Sequence[Held], modalities: Sequence[str], query: Query, base: str) -> Json:
    return _sorted(
        _level(study[0].header, Level.STUDY, query)
        | value_json("ModalitiesInStudy", *modalities)
        | value_json("InstanceAvailability", "ONLINE")
        | value_json("NumberOfStudyRelatedSeries", len({each.series_uid for each in study}))
        | value_json("NumberOfStudyRelatedInstances", len(study))
        | value_json("RetrieveURL", f"{base}{ROOT}/studies/{study[0].study_uid}")
    )


def _told_series(study: Sequence[Held], series: Sequence[Held], scope: Scope, query: Query, base: str) -> Json:
    first = series[0]
    above = {} if scope.study else _level(study[0].header, Level.STUDY, query)
    return _sorted(
        above
        | _level(first.header, Level.SERIES, query)
        | value_json("StudyInstanceUID", first.study_uid)
        | value_json("NumberOfSeriesRelatedInstances", len(series))
        | value_json("RetrieveURL", f"{base}{ROOT}/studies/{first.study_uid}/series/{first.series_uid}")
    )


def _told_instance(study: Sequence[Held], held: Held, scope: Scope, query: Query, base: str) -> Json:
    above: Json = {} if scope.study else _level(study[0].header, Level.STUDY, query)
    above |= {} if scope.series else _level(held.header, Level.SERIES, query)
    address = f"{base}{ROOT}/studies/{held.study_uid}/series/{held.series_uid}/instances/{held.sop_uid}"
    return _sorted(
        above
        | _level(held.header, Level.INSTANCE, query)
        | value_json("StudyInstanceUID", held.study_uid)
        | value_json("SeriesInstanceUID", held.series_uid)
        | value_json("InstanceAvailability", "ONLINE")
        | value_json("AvailableTransferSyntaxUID", held.transfer_syntax_uid)
        | value_json("RetrieveURL", address)
    )


def _level(header: Dataset, level: Level, query: Query) -> Json:
    """What is told of one level: what the standard asks for, and what was asked for beyond it."""
    asked = [name for name in OPTIONAL[level] if query.include is None or name in query.include]
    wanted = (*ANSWERED[level], *(name for name in asked if name in header))
    told = {f"{tag_of(name):08X}": attribute_json(header, name) for name in wanted}
    return {"00080005": UTF8} | told


def _sorted(told: Mapping[str, Json]) -> Json:
    return dict(sorted(told.items()))
