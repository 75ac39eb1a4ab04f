"""What a radiograph's headers tell of it among the others of its study: a name, its view, whether it is raw."""

from app.study import Header, Instance, Series
from bundles.common.headers import PROJECTION_CLASSES, PROJECTION_MODALITIES

FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"
PLACE = (("BodyPartExamined", "AnatomicRegionSequence"), ("ImageLaterality", "Laterality"))
VIEW = ("ViewPosition", "ViewCodeSequence")


def is_radiograph(series: Series) -> bool:
    """Whether this is a projection radiograph, whatever it is stored as."""
    classes = {instance.sop_class_uid for instance in series.instances}
    return series.modality.upper() in PROJECTION_MODALITIES or bool(classes & PROJECTION_CLASSES)


def is_raw(series: Series) -> bool:
    """Whether the pixels are the detector's raw values (DX FOR PROCESSING, PS3.3 C.8.11.3), made for no eye."""
    raw_class = any(instance.sop_class_uid == FOR_PROCESSING for instance in series.instances)
    return raw_class or _text(series, "PresentationIntentType").upper() == "FOR PROCESSING"


def same_exposure(one: Series, other: Series) -> bool:
    """Whether two images show the same exposure as far as headers tell: one irradiation event, or one stated view.

    What is not said is not the same: two images without a view may be two views.
    """
    events = _text(one, "IrradiationEventUID"), _text(other, "IrradiationEventUID")
    if all(events):
        return events[0] == events[1]
    view = _first(one, VIEW)
    return bool(view) and _view(one) == _view(other)


def image_name(series: Series, instance: Instance | None = None) -> str:
    """An image for people, without patient data: "image 1 of series 2 (PA)".

    Args:
        series: Of the image.
        instance: Which; None takes the first.
    """
    chosen = instance or next(iter(series.instances), None)
    known = chosen is not None and chosen.instance_number is not None
    number = f"image {chosen.instance_number}" if chosen and known else "an image without a number"
    of = series.headers.get("SeriesNumber")
    where = f" of series {of}" if isinstance(of, int) else ""
    view = _first(series, VIEW)
    shown = "".join(letter for letter in view if letter.isprintable())[:32]
    return f"{number}{where}" + (f" ({shown})" if shown else "")


def _view(series: Series) -> tuple[str, ...]:
    return (*(_first(series, names).upper() for names in PLACE), _first(series, VIEW).upper())


def _first(series: Series, keywords: tuple[str, ...]) -> str:
    """The first of these elements that says something."""
    return next((value for keyword in keywords if (value := _text(series, keyword))), "")


def _text(series: Series, keyword: str) -> str:
    value: Header = series.headers.get(keyword, "")
    return str(value[0] if isinstance(value, tuple) and value else value or "").strip()
