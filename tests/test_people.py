"""The world of people is the same for the same seed, each attribute is visible, and captions are correct."""

import random
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")
pytest.importorskip("torch")

import torch

from demo.checkpoint import signal_left
from demo.people import appearance, identity, mug, train_autoencoder
from demo.people.appearance import Appearance
from demo.people.attributes import ATTRIBUTES, numbers, shown
from demo.people.autoencoder import CONFIG as AUTOENCODER
from demo.people.autoencoder import FACTOR, NOISE, plain_autoencoder, wide_autoencoder, widened
from demo.people.captions import EVERYTHING, SUBJECT_ONLY, Chances, caption, words
from demo.people.clip import TextModel, VisionTower
from demo.people.faces import faces
from demo.people.identity import Identity
from demo.people.learning import Learner, pack
from demo.people.mug import Mug
from demo.people.noise import noised, velocity
from demo.people.pen import SIZE
from demo.people.scenes import SCENES
from demo.people.stages import Run
from demo.people.styles import STYLES
from demo.people.unet import CONFIG as UNET
from demo.people.unet import CONTEXT, UNet
from demo.people.words import write_files
from demo.people.world import Person, Picture, draw, picture
from demo.tokenizer import Tokenizer

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
def test_each_value_of_an_identity_changes_the_face_and_not_the_scene(part: str) -> None:
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
def test_what_varies_between_pictures_changes_its_own_rows(part: str, values: tuple[str, ...], rows: slice) -> None:
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


def test_styles_differ_in_the_whole_picture() -> None:
    shown = [replace(ALONE, style=style) for style in STYLES]
    for number, one in enumerate(shown):
        for other in shown[number + 1 :]:
            assert changed(one, other).mean() > 0.1


def test_framing_decides_a_faces_size_and_place_its_position() -> None:
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


def test_a_full_caption_names_everything_in_the_picture() -> None:
    who = Identity("bun", "ginger", "tan", "oval", "sleepy", "green", "thick", "square", "full", True)
    how = Appearance("hoodie", "orange", "sun hat", "blue", "laughing")
    shown = Picture((Person(who, how),), None, "night", "far", "left", "pixels")
    assert caption(shown, random.Random(0), EVERYTHING) == (
        "a person with ginger hair in a bun and tan skin and an oval face and sleepy green eyes and thick brows and "
        "square glasses and a full beard and freckles, wearing an orange hoodie and a sun hat with a blue band, "
        "laughing, at night, far away, on the left, pixel art"
    )


def test_a_caption_names_no_more_than_requested() -> None:
    dice = random.Random(0)
    said = {caption(picture(5, number), dice, SUBJECT_ONLY) for number in range(60)}
    assert said == {"a person", "two people", "a mug"}
    assert caption(ALONE, dice, replace(EVERYTHING, anything=0.0)) == ""


def test_captions_name_only_what_the_picture_shows() -> None:
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


def test_eyes_are_where_the_face_record_says() -> None:
    for flip, turn, tilt in ((False, 0.8, 6.0), (True, -0.7, -5.0), (True, 0.5, 7.0)):
        blue, brown = (with_person(eyes=eyes, flip=flip, turn=turn, tilt=tilt) for eyes in ("blue", "brown"))
        left, right = faces(blue)[0].points[:2]
        where = np.argwhere(changed(blue, brown))[:, ::-1]  # (pixels, xy)
        middle = (left + right)[0] / 2
        for eye, seen in ((left, where[where[:, 0] < middle]), (right, where[where[:, 0] >= middle])):
            np.testing.assert_allclose(seen.mean(0) + 0.5, eye, atol=1.5)


def test_a_mouth_is_where_the_face_record_says() -> None:
    calm, surprised = (with_person(expression=each, turn=0.6, flip=True) for each in ("calm", "sad"))
    where = np.argwhere(changed(calm, surprised))[:, ::-1]
    low = where[where[:, 1] > faces(calm)[0].points[2, 1]]
    np.testing.assert_allclose(low.mean(0), faces(calm)[0].points[3:].mean(0), atol=2.0)


def test_a_box_holds_the_skin_of_a_bald_face() -> None:
    pale, dark = (with_person(hair="bald", skin=skin, tilt=5.0) for skin in ("pale", "dark"))
    left, top, right, bottom = faces(pale)[0].box.round().astype(int)
    where = changed(pale, dark)
    assert where[top : bottom + 1, left : right + 1].mean() > 0.7
    assert not where[: top - 1].any()


def test_two_people_have_two_faces_from_left_to_right() -> None:
    pair = replace(ALONE, people=(Person(WHO, HOW), Person(replace(WHO, hair="long"), HOW)))
    found = faces(pair)
    assert [face.who.hair for face in found] == ["short", "long"]
    assert found[0].box[2] < found[1].box[0]
    assert faces(Picture(mug=MUG)) == []


def roughened(network: Any) -> Any:
    """Return a network without zero parameters."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval().requires_grad_(False)


def test_the_unet_equals_stable_diffusions() -> None:
    openaimodel = pytest.importorskip("ldm.modules.diffusionmodules.openaimodel")
    ours, theirs = roughened(UNet()), openaimodel.UNetModel(**UNET).eval()
    theirs.load_state_dict(ours.state_dict())
    latents, times, context = torch.randn(3, 4, 16, 16), torch.tensor([0, 400, 999]), torch.randn(3, 7, CONTEXT)
    torch.testing.assert_close(ours(latents, times, context), theirs(latents, times, context), atol=1e-4, rtol=1e-4)


def test_the_autoencoder_equals_stable_diffusions() -> None:
    model = pytest.importorskip("ldm.modules.diffusionmodules.model")
    ours = roughened(wide_autoencoder())
    encoder, decoder = model.Encoder(**AUTOENCODER).eval(), model.Decoder(**AUTOENCODER).eval()
    encoder.load_state_dict(ours.encoder.state_dict())
    decoder.load_state_dict(ours.decoder.state_dict())
    pixels, latents = torch.randn(2, 3, 32, 48), torch.randn(2, 4, 4, 6)
    torch.testing.assert_close(ours.encoder(pixels), encoder(pixels), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.decoder(latents), decoder(latents), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16])
def test_the_wide_autoencoder_equals_the_trained_narrow_one(stored: torch.dtype) -> None:
    narrow = roughened(plain_autoencoder())
    wide = widened(narrow).to(stored).float().eval()
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    latents = narrow.encode(pixels)[0]
    with torch.no_grad():
        torch.testing.assert_close(wide.encode(pixels)[0], latents, atol=1e-3, rtol=2e-3)
        torch.testing.assert_close(wide.decode(latents), narrow.decode(latents), atol=1e-3, rtol=2e-3)


def test_the_wide_autoencoder_is_as_sure_of_all_latents() -> None:
    wide = widened(roughened(plain_autoencoder())).eval()
    with torch.no_grad():
        log_variance = wide.encode(torch.rand(1, 3, 64, 64) * 2 - 1)[1]
    torch.testing.assert_close((0.5 * log_variance).exp(), torch.full((1, 4, 8, 8), NOISE), atol=1e-3, rtol=0)


def test_the_autoencoder_learns_from_parts_that_begin_where_a_latent_does(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.uint8)
    where = np.stack([rows, columns, rows], -1)
    monkeypatch.setattr(train_autoencoder, "pixels", lambda folder, number: where)
    run = Run(tmp_path, 0.0, torch.device("cpu"), 0, False)
    corners = ((train_autoencoder.parts(run, 3, 40)[:, :2, 0, 0] + 1) * 127.5).round()
    assert len(corners.unique(dim=0)) > 20
    assert not (corners % FACTOR).any()


def test_the_autoencoder_starts_with_the_mean_colours_of_its_cells() -> None:
    network = plain_autoencoder()
    pixels = torch.tensor([0.6, -0.2, 0.4]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    with torch.no_grad():
        shown = network.decode(network.encode(pixels)[0])
    torch.testing.assert_close(shown[..., 24:40, 24:40], pixels[..., 24:40, 24:40], atol=0.02, rtol=0)


def test_the_tokenizer_and_the_text_model_equal_transformers(tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers")
    write_files(tmp_path)
    ours, theirs = Tokenizer(tmp_path), transformers.CLIPTokenizer.from_pretrained(tmp_path)
    dice = random.Random(0)
    said = [caption(picture(2, number), dice, EVERYTHING) for number in range(20)]
    for text in [*said, "(a red:1.2) [crown], weird 12 héllo"]:
        assert ours.numbers(text) == theirs(text, add_special_tokens=False)["input_ids"]
    model = transformers.CLIPTextModel(transformers.CLIPTextConfig.from_pretrained(tmp_path)).eval()
    text = roughened(TextModel(len(ours.vocabulary)))
    getattr(model, "text_model", model).load_state_dict(text.state_dict(), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(text(ours(said)), model(ours(said)).last_hidden_state, atol=1e-4, rtol=1e-4)


def test_the_vision_tower_equals_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=SIZE,
        patch_size=16,
        projection_dim=128,
        hidden_act="gelu",
    )
    ours, theirs = roughened(VisionTower(SIZE)), transformers.CLIPVisionModelWithProjection(config).eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    pixels = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        seen = theirs(pixels, output_hidden_states=True)
    embeddings, hidden = ours(pixels)
    torch.testing.assert_close(embeddings, seen.image_embeds, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(hidden, seen.hidden_states[-2], atol=1e-4, rtol=1e-4)


def test_the_latents_follow_from_velocity_and_noisy_latents() -> None:
    latents, noise, left = torch.randn(5, 4, 3, 2), torch.randn(5, 4, 3, 2), signal_left()[[0, 250, 500, 750, 999]]
    left = left.view(-1, 1, 1, 1)
    said = velocity(latents, noise, left)
    clean = left.sqrt() * noised(latents, noise, left) - (1 - left).sqrt() * said
    torch.testing.assert_close(clean, latents)


def trained(path: Any, slices: tuple[int, ...]) -> Any:
    """Return a small network after slices of so many steps, each by a learner of its own."""
    for steps in slices:
        torch.manual_seed(0)
        network = torch.nn.Linear(3, 2)
        learner = Learner(network, path, 1e-2)
        for step in learner.steps(10.0):
            truth = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
            learner.learn(4, error=(network(truth) - 1).square().mean())
            if (step + 1) % steps == 0:
                break
        learner.save()
    return learner


def test_consecutive_slices_equal_one_training(tmp_path: Any) -> None:
    whole, sliced = trained(tmp_path / "whole.pt", (6,)), trained(tmp_path / "sliced.pt", (2, 2, 2))
    assert (sliced.step, sliced.seen) == (whole.step, whole.seen) == (6, 24)
    torch.testing.assert_close(sliced.network.weight, whole.network.weight, atol=0, rtol=0)
    torch.testing.assert_close(sliced.mean.weight, whole.mean.weight, atol=0, rtol=0)


def test_a_packed_state_continues_from_the_mean(tmp_path: Any) -> None:
    learner = trained(tmp_path / "whole.pt", (4,))
    pack(tmp_path / "whole.pt", tmp_path / "packed.pt")
    again = Learner(torch.nn.Linear(3, 2), tmp_path / "packed.pt", 1e-2)
    assert again.step == 4
    torch.testing.assert_close(again.network.weight, learner.mean.weight, atol=1e-3, rtol=1e-3)


def test_attributes_name_their_own_value_or_nothing() -> None:
    for number in range(60):
        each = picture(6, number)
        values, places = shown(each), numbers(each)
        for (name, options), place in zip(ATTRIBUTES.items(), places, strict=True):
            assert (options[place] == values[name]) if name in values else place == -1
