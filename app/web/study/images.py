"""Series and slices of a study: JSON for the viewer, pixels as raw numbers, heat maps, thumbnails."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Response

from app.outcomes import StudyOutcome
from app.web.login import CurrentVisitor
from app.web.sights import Sights
from app.web.study.heat import heat_maps, heat_picture
from app.web.study.known import Known, name_of
from app.web.study.overlays import Overlays, overlays
from app.web.study.pixels import Encoded, SliceCache, encode, thumbnail
from app.web.study.series import SeriesView, view_of, window_of
from bundles.common.reader import Slice, UnreadableImage, read_slice

Key = Annotated[str, Path(max_length=64, description="key of a study revision, or StudyInstanceUID")]
Number = Annotated[int, Path(ge=0, le=100_000, description="place of a series in the study, or of a slice, from 0")]
Name = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="of a heat map, as the series tells it")]
RAW, PNG = "application/octet-stream", "image/png"
MOST_VIEWS = 16


@dataclass
class Images:
    """Reads what is asked for.

    Attributes:
        known: The studies.
        cache: Of slices that were shown.
    """

    known: Known
    cache: SliceCache = field(default_factory=SliceCache)
    _views: dict[tuple[str, int], tuple[StudyOutcome, SeriesView]] = field(default_factory=dict, init=False)

    def series(self, outcome: StudyOutcome, number: int) -> SeriesView:
        """One series without its pixels; raises as `Known.places`. What was drawn of an outcome is drawn once."""
        before = self._views.get((outcome.key, number))
        if before is not None and before[0] is outcome:
            return before[1]
        series, places = self.known.series(outcome, number), self.known.places(outcome, number)
        drawn: Overlays = overlays(outcome, series, places)
        heats = heat_maps(outcome, series, places, self.known.folder(outcome))
        made = view_of(number, outcome, series, places, drawn, heats=heats)
        self._views[outcome.key, number] = (outcome, made)
        while len(self._views) > MOST_VIEWS:
            self._views.pop(next(iter(self._views)), None)
        return made

    def slice(self, outcome: StudyOutcome, number: int, index: int) -> Encoded:
        """One slice, ready to send.

        Raises:
            HTTPException: 404, there is no such slice; 410, its file was removed; 422, its pixels cannot be read.
        """
        return self.cache.get((name_of(outcome), number, index), lambda: encode(self.read(outcome, number, index)))

    def read(self, outcome: StudyOutcome, number: int, index: int) -> Slice:
        """One slice by the reader; raises as `slice`."""
        places = self.known.places(outcome, number)
        if not 0 <= index < len(places):
            raise HTTPException(404, f"this series has {len(places)} slices, counted from 0; there is none {index}")
        place = places[index]
        if not place.path.is_file():
            raise HTTPException(410, "this image was removed from this service (retention); send the study again")
        try:
            return read_slice(place.path, place.index)
        except UnreadableImage as error:
            raise HTTPException(422, f"this image cannot be shown: {error}") from error


def add_images(router: APIRouter, known: Known, sights: Sights) -> None:
    """Add the routes below /study/{key}/series."""
    images = Images(known)

    @router.get("/study/{key}/series/{number}")
    def show_series(key: Key, number: Number, visitor: CurrentVisitor) -> SeriesView:
        """One series for its viewer."""
        outcome = known.outcome(key)
        sights.saw(visitor, outcome)
        return images.series(outcome, number)

    @router.get("/study/{key}/series/{number}/slices/{index}")
    def show_slice(key: Key, number: Number, index: Number, visitor: CurrentVisitor) -> Response:
        """One slice as raw numbers; the headers `Vigil-…` say what they are."""
        outcome = known.outcome(key)
        sights.saw(visitor, outcome)
        found = images.slice(outcome, number, index)
        return Response(found.body, media_type=RAW, headers=found.headers)

    @router.get("/study/{key}/series/{number}/heat/{name}")
    def show_heat(key: Key, number: Number, name: Name, visitor: CurrentVisitor) -> Response:
        """Where a network looked in one image of a series, for one finding, as grey PNG."""
        outcome = known.outcome(key)
        sights.saw(visitor, outcome)
        maps = images.series(outcome, number).heats
        return Response(heat_picture(known.folder(outcome), maps, name), media_type=PNG)

    @router.get("/study/{key}/series/{number}/thumbnail")
    def show_thumbnail(key: Key, number: Number, visitor: CurrentVisitor) -> Response:
        """The slice in the middle, small, as PNG."""
        outcome = known.outcome(key)
        sights.saw(visitor, outcome)
        series = known.series(outcome, number)
        image = images.read(outcome, number, len(known.places(outcome, number)) // 2)
        window = None if image.inverted else window_of(series)
        return Response(thumbnail(image, window), media_type=PNG)
