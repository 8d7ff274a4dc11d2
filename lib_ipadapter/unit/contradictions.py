"""Settings of a unit that contradict each other: one small function each, which returns the error or None."""

from collections.abc import Callable, Iterator, Sequence

from ..base.errors import UnitError
from .combine import CONCAT
from .region_text import read_places
from .unit import PICTURE_FIELDS, Unit


def refuse_contradictions(unit: Unit) -> None:
    """Raise `UnitError` for settings that contradict each other."""
    for wrong in _found(unit):
        raise wrong


def _found(unit: Unit) -> Iterator[UnitError]:
    of_unit = (check(unit) for check in OF_UNIT)
    of_pictures = (check(unit, name) for name in PICTURE_FIELDS for check in OF_PICTURES[name])
    return (wrong for checks in (of_unit, of_pictures) for wrong in checks if wrong)


def _two_sources(unit: Unit) -> UnitError | None:
    images = unit.pictures_on("images")
    others = "images" if images else "subject"
    both = unit.embeds and (images or unit.subject)
    why = f"replaces {others}; use only one of them."
    return UnitError("embeds", unit.embeds, why) if both else None


def _noise_without_type(unit: Unit) -> UnitError | None:
    wrong = unit.noise and unit.noise_type == "none"
    return UnitError("noise", unit.noise, "needs a noise_type other than none.") if wrong else None


def _noise_without_pictures(unit: Unit) -> UnitError | None:
    wrong = unit.noise and unit.embeds and not unit.pictures_on("negative_images")
    why = "is made from pictures, which a saved reference does not have. Add negative_images, or set noise to 0."
    return UnitError("noise", unit.noise, why) if wrong else None


def _tiles_and_unfold(unit: Unit) -> UnitError | None:
    wrong = unit.tiles and unit.unfold
    return UnitError("tiles", True, "cannot be combined with unfold. Turn one of them off.") if wrong else None


def _all_faces_and_unfold(unit: Unit) -> UnitError | None:
    wrong = unit.face == "all" and unit.unfold
    why = "cannot be combined with unfold: pictures may differ in number of faces. Choose one face, or turn unfold off."
    return UnitError("face", "all", why) if wrong else None


DIVIDED = "gives each reference its own region"


def _divided_and_merged(unit: Unit) -> UnitError | None:
    wrong = read_places(unit.region).divide and unit.combine != CONCAT
    return UnitError("region", unit.region, f"{DIVIDED}: set combine to concat.") if wrong else None


def _divided_and_unfold(unit: Unit) -> UnitError | None:
    wrong = read_places(unit.region).divide and unit.unfold
    why = f"{DIVIDED}, which cannot be combined with unfold. Give one region, or turn unfold off."
    return UnitError("region", unit.region, why) if wrong else None


OF_UNIT: Sequence[Callable[[Unit], UnitError | None]] = (
    _two_sources,
    _noise_without_type,
    _noise_without_pictures,
    _tiles_and_unfold,
    _all_faces_and_unfold,
    _divided_and_merged,
    _divided_and_unfold,
)


def _no_weight(unit: Unit, name: str) -> UnitError | None:
    given = unit.pictures_on(name).values()
    idle = given and not any(picture.weight for picture in given)
    why = "all have weight 0; give one of them a weight."
    return UnitError(name, f"{len(given)} pictures", why) if idle else None


def _masked_negative(unit: Unit, name: str) -> UnitError | None:
    masked = _masked(unit, name)
    why = "has no effect: negative references apply to the whole picture."
    return UnitError(masked, "a picture", why) if masked else None


def _tiles_and_merged(unit: Unit, name: str) -> UnitError | None:
    wrong = unit.tiles and _merged(unit, name)
    why = "cannot be used when references are merged: set combine to concat."
    return UnitError("tiles", True, why) if wrong else None


def _masked_and_merged(unit: Unit, name: str) -> UnitError | None:
    masked = _masked(unit, name)
    why = "cannot be used when references are merged: set combine to concat."
    return UnitError(masked, "a picture", why) if masked and _merged(unit, name) else None


def _masked_and_unfold(unit: Unit, name: str) -> UnitError | None:
    masked = _masked(unit, name)
    why = "cannot be combined with unfold: each reference has its own picture. Remove the mask, or turn unfold off."
    return UnitError(masked, "a picture", why) if masked and unit.unfold else None


REFERENCES = (_no_weight, _tiles_and_merged, _masked_and_merged, _masked_and_unfold)
OF_PICTURES: dict[str, Sequence[Callable[[Unit, str], UnitError | None]]] = {
    "images": REFERENCES,
    "composition_images": REFERENCES,
    "negative_images": (_no_weight, _masked_negative),
}


def _masked(unit: Unit, name: str) -> str:
    """Return the field of the first picture with its own mask, or ""."""
    return next((f"{field}.mask" for field, each in unit.pictures_on(name).items() if each.mask is not None), "")


def _merged(unit: Unit, name: str) -> bool:
    """Return whether several pictures of a field are merged."""
    counted = sum(picture.weight != 0 for picture in unit.pictures_on(name).values())
    return unit.combine != CONCAT and not unit.unfold and counted > 1
