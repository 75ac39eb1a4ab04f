"""QIDO-RS: which studies, series and instances fit a query, and what is told of each (PS3.18 section 10.6)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from pydicom.dataset import Dataset

from app.study import uid_hash
from app.web.dicomweb.attributes import MATCHED, Level
from app.web.dicomweb.holdings import Held
from app.web.dicomweb.listed import Listed
from app.web.dicomweb.model import Json, value_json
from app.web.dicomweb.query import Query
from app.web.dicomweb.told import Told, level_json, values_of
from bundles.common.elements import text

MORE = "The number of results exceeded the maximum supported by the server. Additional results can be requested."
ROOT = "/dicom-web"


@dataclass(frozen=True, slots=True)
class Scope:
    """What an address names: nothing, a study, a series of it, or an instance of that."""

    study: str = ""
    series: str = ""
    instance: str = ""


def search(listed: Listed, level: Level, scope: Scope, query: Query, base: str) -> tuple[list[Json], bool]:
    """Find what fits.

    Args:
        listed: What there is.
        level: What to find.
        scope: Of the address.
        query: What it has to fit.
        base: Address of the service, for the addresses of what is found.

    Returns:
        One page, and whether more follows.

    Raises:
        Retryable: The index of studies broke off in the midst of it.
    """
    if level is Level.STUDY:
        found = _found_studies(listed, scope, query, base)
    else:
        found = _found_within(listed, level, scope, query, base)
    page = list(islice(found, query.offset, query.offset + query.limit))
    return page, query.limit > 0 and next(found, None) is not None


def _found_studies(listed: Listed, scope: Scope, query: Query, base: str) -> Iterator[Json]:
    for told in _told(listed, scope, query):
        if all(any(map(match, told.values[keyword])) for keyword, match in query.keys.items()):
            yield _study(told, query, base)


def _told(listed: Listed, scope: Scope, query: Query) -> Iterator[Told]:
    if scope.study or query.studies:
        return (Told.of(study) for study in _studies(listed, scope, query))
    return listed.studies(query.sought, lambda header: _fits(header, query, None, Level.STUDY))


def _found_within(listed: Listed, level: Level, scope: Scope, query: Query, base: str) -> Iterator[Json]:
    for study in _studies(listed, scope, query):
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


def _studies(listed: Listed, scope: Scope, query: Query) -> Iterator[Sequence[Held]]:
    """Candidates, the newest first; each is looked at as a whole only where what all its instances share fits."""
    named = (scope.study,) if scope.study else tuple(dict.fromkeys(query.studies))
    for key in map(uid_hash, named) if named else listed.holdings.keys():
        held = listed.instances(key, lambda header: _fits(header, query, None, Level.STUDY))
        if held and (not scope.study or held[0].study_uid == scope.study):
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
        elif not any(map(match, values_of(header, keyword))):
            return False
    return True


def _level_of(keyword: str) -> Level:
    return next(level for level in Level if keyword in MATCHED[level])


def _study(told: Told, query: Query, base: str) -> Json:
    return _sorted(
        told.asked(query.include)
        | value_json("ModalitiesInStudy", *told.values["ModalitiesInStudy"])
        | value_json("InstanceAvailability", "ONLINE")
        | value_json("NumberOfStudyRelatedSeries", told.series)
        | value_json("NumberOfStudyRelatedInstances", told.instances)
        | value_json("RetrieveURL", f"{base}{ROOT}/studies/{told.uid}")
    )


def _told_series(study: Sequence[Held], series: Sequence[Held], scope: Scope, query: Query, base: str) -> Json:
    first = series[0]
    above = {} if scope.study else level_json(study[0].header, Level.STUDY, query.include)
    return _sorted(
        above
        | level_json(first.header, Level.SERIES, query.include)
        | value_json("StudyInstanceUID", first.study_uid)
        | value_json("NumberOfSeriesRelatedInstances", len(series))
        | value_json("RetrieveURL", f"{base}{ROOT}/studies/{first.study_uid}/series/{first.series_uid}")
    )


def _told_instance(study: Sequence[Held], held: Held, scope: Scope, query: Query, base: str) -> Json:
    above: Json = {} if scope.study else level_json(study[0].header, Level.STUDY, query.include)
    above |= {} if scope.series else level_json(held.header, Level.SERIES, query.include)
    address = f"{base}{ROOT}/studies/{held.study_uid}/series/{held.series_uid}/instances/{held.sop_uid}"
    return _sorted(
        above
        | level_json(held.header, Level.INSTANCE, query.include)
        | value_json("StudyInstanceUID", held.study_uid)
        | value_json("SeriesInstanceUID", held.series_uid)
        | value_json("InstanceAvailability", "ONLINE")
        | value_json("AvailableTransferSyntaxUID", held.transfer_syntax_uid)
        | value_json("RetrieveURL", address)
    )


def _sorted(told: Mapping[str, Json]) -> Json:
    return dict(sorted(told.items()))
