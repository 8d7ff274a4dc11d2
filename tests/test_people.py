"""The world of people is the same for a seed, each of its attributes can be seen, and captions are true."""

import random
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")

from demo.people import appearance, identity, mug
from demo.people.appearance import Appearance
from demo.people.captions import EVERYTHING, SUBJECT_ONLY, Chances, caption, words
from demo.people.identity import Identity
from demo.people.mug import Mug
from demo.people.pen import SIZE
from demo.people.scenes import SCENES
from demo.people.styles import STYLES
from demo.people.world import Person, Picture, draw, picture

WHO = Identity("short", "black", "light", "oval", "wide", "brown", "thin", "", "", False)
HOW = Appearance("shirt", "blue", "", "red", "calm")
MUG = Mug("red", "dots", "white", "table")
ALONE = Picture((Person(WHO, HOW),), scene="room", seed=3)

OTHERS: dict[str, tuple[Any, ...]] = {
    "hair": identity.STYLES,
    "hair_colour": tuple(identity.HAIR),
    "skin": tuple(identity.SKIN),
    "face": identity.FACES,
    "lids": identity.LIDS,
    "eyes": tuple(identity.EYES),
    "brows": identity.BROWS,
    "glasses": identity.GLASSES,
    "beard": identity.BEARDS,
    "freckles": (False, True),
}
"""All values of each part of an identity."""


def pixels(picture: Picture) -> np.ndarray:
    return np.asarray(draw(picture), dtype=np.int16)


def changed(one: Picture, other: Picture) -> np.ndarray:
    """Return which pixels of two pictures differ clearly: (rows, columns)."""
    return np.abs(pixels(one) - pixels(other)).max(-1) > 24


def with_person(**looks: Any) -> Picture:
    who = {name: value for name, value in looks.items() if name in OTHERS}
    how = {name: value for name, value in looks.items() if name not in OTHERS}
    return replace(ALONE, people=(Person(replace(WHO, **who), replace(HOW, **how)),))


@pytest.mark.parametrize("number", range(8))
def test_a_picture_is_the_same_for_a_seed_and_a_number(number: int) -> None:
    assert picture(3, number) == picture(3, number)
    assert draw(picture(3, number)).tobytes() == draw(picture(3, number)).tobytes()


def test_other_seeds_and_numbers_give_other_pictures() -> None:
    assert len({picture(seed, number) for seed in (1, 2) for number in range(20)}) == 40


@pytest.mark.parametrize("style", STYLES)
def test_a_picture_is_128_pixels_of_colour_in_every_style(style: str) -> None:
    drawn = draw(replace(ALONE, style=style))
    assert (drawn.size, drawn.mode) == ((SIZE, SIZE), "RGB")


def test_every_part_of_an_identity_is_tested_here() -> None:
    assert set(OTHERS) == {field.name for field in fields(Identity)}


@pytest.mark.parametrize("part", OTHERS)
def test_each_value_of_an_identity_shows_in_the_face_and_leaves_the_scene(part: str) -> None:
    shown = [with_person(**{part: value}) for value in OTHERS[part]]
    for number, one in enumerate(shown):
        for other in shown[number + 1 :]:
            where = changed(one, other)
            assert where.sum() >= 12
            assert not where[:, :16].any()
            assert not where[:, -16:].any()


@pytest.mark.parametrize("skin", identity.SKIN)
def test_glasses_show_on_every_skin(skin: str) -> None:
    assert changed(with_person(skin=skin), with_person(skin=skin, glasses="round")).sum() >= 60


@pytest.mark.parametrize("hat", appearance.HATS[1:])
@pytest.mark.parametrize("hair", identity.STYLES)
def test_a_hat_covers_the_top_of_the_head(hat: str, hair: str) -> None:
    bare, covered = with_person(hair=hair), with_person(hair=hair, hat=hat)
    assert changed(bare, covered)[: SIZE // 2].sum() >= 200


@pytest.mark.parametrize(
    ("part", "values", "rows"),
    [
        ("clothes", appearance.CLOTHES, slice(SIZE // 2, None)),
        ("clothes_colour", tuple(appearance.COLOURS), slice(SIZE // 2, None)),
        ("expression", appearance.EXPRESSIONS, slice(SIZE // 4, 3 * SIZE // 4 + 8)),
    ],
)
def test_what_changes_from_picture_to_picture_shows_where_it_belongs(
    part: str, values: tuple[str, ...], rows: slice
) -> None:
    shown = [with_person(**{part: value}) for value in values]
    for number, one in enumerate(shown):
        for other in shown[number + 1 :]:
            where = changed(one, other)
            assert where[rows].sum() >= 12
            assert where.sum() == where[rows].sum()


def test_scenes_differ_around_the_same_person() -> None:
    shown = [pixels(replace(ALONE, scene=scene)) for scene in SCENES]
    for number, one in enumerate(shown):
        for other in shown[number + 1 :]:
            assert np.abs(one[:40, :30] - other[:40, :30]).mean() > 10
            assert np.abs(one[56:72, 56:72] - other[56:72, 56:72]).mean() < 1


def test_styles_differ_all_over() -> None:
    shown = [replace(ALONE, style=style) for style in STYLES]
    for number, one in enumerate(shown):
        for other in shown[number + 1 :]:
            assert changed(one, other).mean() > 0.1


def test_a_framing_decides_how_large_a_face_is_and_a_place_where() -> None:
    bald = with_person(hair="bald", skin="pale")
    other = with_person(hair="bald", skin="dark")
    area = {f: changed(replace(bald, framing=f), replace(other, framing=f)) for f in ("far", "", "close")}
    assert area["far"].sum() * 1.8 < area[""].sum() < area["close"].sum() / 1.5
    middle = {
        place: np.argwhere(changed(replace(bald, place=place), replace(other, place=place)))[:, 1].mean()
        for place in ("left", "", "right")
    }
    assert middle["left"] + 15 < middle[""] < middle["right"] - 15


def test_two_people_stand_side_by_side() -> None:
    pair = replace(ALONE, people=(Person(WHO, HOW), Person(WHO, HOW)))
    left = replace(pair, people=(Person(replace(WHO, skin="dark"), HOW), Person(WHO, HOW)))
    right = replace(pair, people=(Person(WHO, HOW), Person(replace(WHO, skin="dark"), HOW)))
    assert not changed(pair, left)[:, SIZE // 2 :].any()
    assert not changed(pair, right)[:, : SIZE // 2].any()


@pytest.mark.parametrize("part", ["colour", "pattern", "pattern_colour", "ground"])
def test_each_part_of_a_mug_shows(part: str) -> None:
    values = {"pattern": mug.PATTERNS, "ground": mug.GROUNDS}.get(part, tuple(appearance.COLOURS))
    shown = [Picture(mug=replace(MUG, **{part: value})) for value in values if value not in (MUG.colour, "white")]
    for number, one in enumerate(shown):
        for other in shown[number + 1 :]:
            assert changed(one, other).sum() >= 40


def test_a_full_caption_names_all_that_is_there() -> None:
    who = Identity("bun", "ginger", "tan", "oval", "sleepy", "green", "thick", "square", "full", True)
    how = Appearance("hoodie", "orange", "sun hat", "blue", "laughing")
    shown = Picture((Person(who, how),), None, "night", "far", "left", "pixels")
    assert caption(shown, random.Random(0), EVERYTHING) == (
        "a person with ginger hair in a bun and tan skin and an oval face and sleepy green eyes and thick brows and "
        "square glasses and a full beard and freckles, wearing an orange hoodie and a sun hat with a blue band, "
        "laughing, at night, far away, on the left, pixel art"
    )


def test_a_caption_names_no_more_than_it_is_asked_to() -> None:
    dice = random.Random(0)
    said = {caption(picture(5, number), dice, SUBJECT_ONLY) for number in range(60)}
    assert said == {"a person", "two people", "a mug"}
    assert caption(ALONE, dice, replace(EVERYTHING, anything=0.0)) == ""


def test_captions_name_only_what_is_there() -> None:
    dice = random.Random(2)
    for number in range(200):
        shown = picture(9, number)
        said = caption(shown, dice, Chances())
        if shown.people and not any(person.who.glasses for person in shown.people):
            assert "glasses" not in said
        if "beach" in said:
            assert shown.scene == "beach"
        if "watercolour" in said:
            assert shown.style == "watercolour"
        assert said.startswith("two people") == (len(shown.people) == 2 and said != "")


def test_the_longest_caption_fits_the_text_tower() -> None:
    dice = random.Random(0)
    longest = max(len(caption(picture(1, n), dice, EVERYTHING).replace(",", " ,").split()) for n in range(300))
    assert longest < 70


def test_two_seeds_use_the_same_words() -> None:
    dice = random.Random(4)
    known = words()
    assert all(set(caption(picture(11, n), dice).replace(",", " ,").split()) <= known for n in range(300))
