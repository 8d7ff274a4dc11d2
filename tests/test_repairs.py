"""What is offered for each answer to "What is wrong with it?"."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from makers import file_of, picture, text_of
from PIL import Image
from repairs_page import PAGE, page
from small_host import CONTEXT, SmallHost, ask, save_files
from unets import ldm_unet

from lib_ipadapter.engine.session import Session
from lib_ipadapter.review.repairs import ANSWERS, BACKGROUND, BURNT, FACE, MOST, NOTHING, POSE, ROWS, STRONG, Case
from lib_ipadapter.review.repairs import repairs_of as offered
from lib_ipadapter.unit.picture_fields import Picture
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.unit import FIELDS, Unit
from lib_ipadapter.unit.weight_types import WEIGHT_TYPES

WHOLE = (Picture("a"),)
PLUS = {"family": "plus", "uses": ("general",)}
PLUS_FACE = {"family": "plus", "uses": ("face",)}
FACEID = {
    "family": "faceid-plus",
    "uses": ("likeness",),
    "fields": ("variant", "face", "structure_weight", "lora_weight"),
}
PULID = {"family": "pulid-v1.1", "uses": ("likeness",), "fields": ("face", "method")}
KINDS: tuple[dict[str, Any], ...] = (PLUS, PLUS_FACE, FACEID, PULID, {})


def case(kind: dict[str, Any] = PLUS, place: float | None = None, **fields: Any) -> Case:
    more = {name: fields.pop(name) for name in ("cfg_scale", "denoising", "steps", "black_region") if name in fields}
    return Case(Unit(**{"model": "m", "images": WHOLE, **fields}), place=place, **kind, **more)


def short(repair: Any) -> Any:
    """Return what a repair does without its kind and reason."""
    return next(repair[name] for name in ("fields", "place", "title", "do") if name in repair)


def repairs(answer: str, *given: Any, **fields: Any) -> list[Any]:
    return [short(repair) for repair in offered(answer, case(*given, **fields))]


def first(answer: str, *given: Any, **fields: Any) -> list[Any]:
    return repairs(answer, *given, **fields)[:MOST]


def cases() -> Iterator[Case]:
    """Yield all kinds of units."""
    ranges = ((0.0, 1.0), (0.2, 0.8), (0.5, 0.5), (0.9, 1.0))
    for kind, place, kept, (start, end) in product(KINDS, (None, 0, 1, 1.5, 4), WEIGHT_TYPES, ranges):
        for weight, steps in ((0.0, (1,)), (0.8, (20, 10)), (1.5, ())):
            fields = {"weight": weight, "start": start, "end": end, "weight_type": kept}
            yield case(kind, place, steps=steps, cfg_scale=7, **fields)


def test_no_repair_changes_nothing_or_makes_a_unit_invalid() -> None:
    seen = 0
    for each in cases():
        for answer in ANSWERS:
            for repair in offered(answer, each):
                seen += 1
                assert repair["why"].endswith(".")
                if repair["do"] == "set":
                    before = {name: getattr(each.unit, FIELDS[name].attribute) for name in repair["fields"]}
                    assert before != repair["fields"]
                    given = {"model": "m", "images": ["aGk="], "start": each.unit.start, "end": each.unit.end}
                    read_unit({**given, **repair["fields"]})
                elif repair["do"] == "strength":
                    assert each.place != repair["place"]
                    assert 1 <= repair["place"] <= 4
    assert seen > 1000


def test_every_row_is_offered_in_some_case() -> None:
    others = [
        case(images=(Picture("a", enabled=False),)),
        case(passes="hires", steps=(20,)),
        case(inner="inner only"),
        case(curve="0:0", steps=(20,)),
        case(layers="6:0"),
        case(black_region=True, mask="m"),
        case(denoising=0.1),
        case(FACEID, lora_weight=0.2, structure_weight=0.4),
        case(PULID, method="neutral", start=0.2),
        case(style_boost=1.0, weight_type="style transfer precise", cfg_scale=7, scaling="K+V"),
        case(weight_type="composition precise", composition_boost=1.0),
        case(enabled=False),
    ]
    reasons = {
        (answer, repair["why"])
        for each in (*cases(), *others)
        for answer in ANSWERS
        for repair in offered(answer, each)
    }
    assert reasons == {(row.answer, row.why) for row in ROWS}


def test_too_strong_lowers_the_strength_by_a_mark_then_leaves_steps_to_the_prompt() -> None:
    assert first(STRONG, PLUS, 2, weight=0.8, start=0.2, end=0.8) == [1, {"end": 0.6}]
    assert first(STRONG, PLUS, 2.25, weight=0.8) == [2, {"end": 0.8}]
    assert first(STRONG, PLUS, 1, start=0.2, end=0.6) == [{"start": 0.4}], "light is not made lighter"
    assert first(STRONG, PLUS, weight=0.8) == [{"weight": 0.6}, {"end": 0.8}]
    assert first(STRONG, PULID, 2)[1] == {"method": "style"}


def test_a_background_is_cut_off_or_left_to_the_prompt() -> None:
    assert first(BACKGROUND) == ["Crop the reference…", {"weight_type": "style transfer"}]
    cropped = (Picture("a", box=(0.1, 0.1, 0.9, 0.9)),)
    assert first(BACKGROUND, images=cropped) == [{"weight_type": "style transfer"}, "Draw a region…"]
    assert first(BACKGROUND, FACEID) == [{"structure_weight": 0.7}, "Draw a region…"]
    styled = {"weight_type": "style transfer", "images": cropped}
    assert first(BACKGROUND, **styled)[0] == {"weight_type": "style transfer precise"}
    assert first(BACKGROUND, **styled, cfg_scale=1) == ["Draw a region…", {"start": 0.2}], "precise needs guidance"


def test_a_pose_is_left_to_the_prompt_without_losing_the_subject() -> None:
    assert first(POSE) == [{"weight_type": "strong style transfer"}, {"start": 0.2}]
    assert first(POSE, weight_type="style and composition")[0] == {"weight_type": "style transfer"}
    assert first(POSE, FACEID, 2, start=0.2) == [{"start": 0.4}, 1]
    assert first(POSE, layers="6:1")[0] == {"start": 0.2}, "single layers stay"


def test_a_face_gets_the_right_adapter_then_its_settings_then_photos() -> None:
    assert first(FACE)[0] == "Use a face adapter"
    assert first(FACE, PLUS_FACE, 2) == ["Crop the reference…", 3]
    assert first(FACE, FACEID, lora_weight=0.0)[0] == {"lora_weight": 1.0}
    assert first(FACE, FACEID, 4, weight=1.2) == ["Add photos…", {"structure_weight": 1.5}]
    assert first(FACE, PULID, method="neutral", start=0.2) == [{"method": "fidelity"}, {"start": 0.0}]
    assert first(FACE, PULID, weight=0.8) == ["Check references"]


@pytest.mark.parametrize(
    ("fields", "repair"),
    [
        ({"enabled": False, "weight": 0.0}, {"enabled": True}),
        ({"images": (Picture("a", enabled=False),)}, "references on"),
        ({"weight": 0.0}, {"weight": 0.8}),
        ({"start": 0.2, "end": 0.8, "steps": (1,)}, {"start": 0.0}),
        ({"start": 0.3, "end": 0.3, "steps": (20,)}, {"start": 0.0}),
        ({"start": 0.0, "end": 0.0, "steps": (20,)}, {"start": 0.0, "end": 1.0}),
        ({"passes": "hires", "steps": (20,)}, {"pass": "both"}),
        ({"inner": "inner only"}, {"inner": "all"}),
        ({"curve": "0:0, 1:0", "steps": (20,)}, {"curve": ""}),
        ({"layers": "6:0"}, {"layers": ""}),
        ({"mask": "m", "black_region": True}, {"mask": None}),
    ],
)
def test_the_whole_reason_why_nothing_changed_is_named_alone(fields: dict[str, Any], repair: Any) -> None:
    assert repairs(NOTHING, **fields) == [repair]


def test_little_effect_has_several_possible_reasons() -> None:
    assert first(NOTHING, denoising=0.1, place=2) == [{"denoising_strength": 0.6}, 3]
    assert first(NOTHING, PLUS, 2, start=0.4) == [{"start": 0.0}, 3]
    assert repairs(NOTHING, PLUS, 4, weight_type="style transfer")[0] == {"weight_type": "strong style transfer"}
    assert repairs(NOTHING, PLUS, 4) == [], "nothing is to be found in the settings"


def test_burnt_pictures_get_less_of_what_adds_up() -> None:
    assert first(BURNT, PLUS, 2, cfg_scale=7) == [1, {"cfg_scale": 5}]
    assert first(BURNT, FACEID, 2, cfg_scale=5) == [{"lora_weight": 0.6}, 1]
    assert first(BURNT, PLUS, 1, weight=0.4, cfg_scale=5)[0] == {"cfg_scale": 3.5}
    assert first(BURNT, weight=0.2, scaling="K+V", cfg_scale=2)[0] == {"scaling": "V only"}


def test_the_page_is_up_to_date() -> None:
    """If this fails, run `python tests/repairs_page.py`."""
    assert PAGE.read_text(encoding="utf-8") == page()


# The panel's request


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder: Path = tmp_path_factory.mktemp("models")
    save_files(folder)
    return Session(SmallHost(folder, ldm_unet(context_dim=CONTEXT)))


UNIT = {"model": "plus", "images": [{"image": "picture:9:x"}], "weight": 0.8}


def asked(session: Session, answer: str = NOTHING, /, **more: Any) -> Any:
    return ask(session, "repairs", **{"unit": UNIT, "answer": answer, "cfg_scale": 7, "steps": [20], **more})


def test_the_server_knows_the_adapter(session: Session) -> None:
    assert [short(each) for each in asked(session, FACE)["repairs"]] == ["Use a face adapter", {"weight": 1.0}]


def test_what_stops_a_unit_is_the_reason(session: Session) -> None:
    (only,) = asked(session, unit={**UNIT, "model": "sdxl"})["repairs"]
    assert only["do"] == "finding"
    assert "context width" in only["finding"]["sentence"]
    assert [short(each) for each in asked(session, unit={**UNIT, "model": "sdxl", "enabled": False})["repairs"]] == [
        {"enabled": True}
    ]


def test_a_region_that_is_black_is_the_reason(session: Session) -> None:
    for level, expected in ((0, [{"mask": None}]), (255, [{"weight": 1.0}])):
        mask = text_of(Image.new("L", (8, 8), level))
        session.preparation.pictures.reference("mask", mask)
        assert [short(each) for each in asked(session, unit={**UNIT, "mask": mask})["repairs"]] == expected


@pytest.mark.parametrize(
    "wrong",
    [{"answer": "Too small"}, {"unit": 3}, {"steps": "many"}, {"steps": [0]}, {"place": 9}, {"cfg_scale": "high"}],
)
def test_an_invalid_question_is_answered_with_a_reason(session: Session, wrong: dict[str, Any]) -> None:
    assert asked(session, **wrong)["message"]


def test_pictures_are_not_needed(session: Session) -> None:
    whole = text_of(picture(40, 30, 1))
    assert file_of(picture(40, 30, 1))
    assert asked(session, unit={**UNIT, "images": [whole]}) == asked(session)
