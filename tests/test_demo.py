"""The small model's files are what their names say, and its networks compute the same as the originals."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ldm", reason="stable-diffusion-sdkit has the U-Net")
pytest.importorskip("omegaconf")

from safetensors.torch import load_file

from demo.files import ADAPTERS, CHECKPOINT, CONFIG, MODEL, TOKENIZER, TOWER, copy_to
from demo.model import PARTS, demo_host
from demo.networks import Autoencoder, TextModel, VisionTower, make_unet, plain_autoencoder, widened
from demo.tokenizer import Tokenizer
from demo.train import for_clip, to_tensor
from demo.world import CAPTIONS, SIZE, Scene, draw, scenes
from lib_ipadapter.networks.unet_modules import find_attentions
from lib_ipadapter.pictures.crops import resize_for
from lib_ipadapter.pictures.preprocess import to_pixels
from lib_ipadapter.weights.adapter_file import open_adapter
from lib_ipadapter.weights.clip_vision import open_encoder

ODD = ("(a red:1.2) [circle], weird 12 héllo", "GREEN grey on, on", "a\tred  cross!?", "it's a_b")


def test_the_world_is_the_same_for_a_seed() -> None:
    first, second = scenes(3), scenes(3)
    assert [next(first) for _ in range(50)] == [next(second) for _ in range(50)]


@pytest.mark.parametrize("text", [*CAPTIONS[::7], *ODD])
def test_the_tokenizer_equals_transformers(text: str) -> None:
    from transformers import CLIPTokenizer

    theirs = CLIPTokenizer.from_pretrained(MODEL / TOKENIZER)
    assert Tokenizer(MODEL / TOKENIZER).numbers(text) == theirs(text, add_special_tokens=False)["input_ids"]


def test_each_word_of_the_world_is_one_token() -> None:
    tokenize = Tokenizer(MODEL / TOKENIZER)
    assert all(len(tokenize.numbers(text)) == len(text.split()) for text in CAPTIONS)


def test_the_text_tower_equals_transformers() -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    theirs = CLIPTextModel(CLIPTextConfig.from_pretrained(MODEL / TOKENIZER)).eval()
    tensors = {k: v.float() for k, v in _part("text").items()}
    inside = getattr(theirs, "text_model", theirs)  # transformers 5 has no such level any more
    inside.load_state_dict(tensors, strict=False)
    tokens = Tokenizer(MODEL / TOKENIZER)(CAPTIONS[::20])
    ours = TextModel(len(Tokenizer(MODEL / TOKENIZER).vocabulary))
    ours.load_state_dict(tensors)
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(tokens).last_hidden_state, atol=1e-4, rtol=1e-4)


def test_the_vision_tower_equals_the_librarys_loader() -> None:
    encoder = open_encoder(MODEL / TOWER)
    picture = draw(Scene("cross", "cyan", "brown"))
    pixels = to_pixels(resize_for(picture, encoder.image_size, "center"))
    (theirs,) = encoder.encode([pixels], torch.device("cpu"), torch.float32)
    tower = VisionTower(SIZE)
    tower.load_state_dict({key: tensor.float() for key, tensor in load_file(MODEL / TOWER).items()})
    with torch.no_grad():
        embed, hidden = tower(for_clip(to_tensor(picture)[None]))
    torch.testing.assert_close(embed, theirs.embed, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(hidden, theirs.hidden, atol=1e-4, rtol=1e-4)


def _part(name: str) -> dict:
    prefix = PARTS[name]
    return {k.removeprefix(prefix): v for k, v in load_file(MODEL / CHECKPOINT).items() if k.startswith(prefix)}


@pytest.mark.parametrize(("name", "make"), [("unet", make_unet), ("autoencoder", Autoencoder)])
def test_the_checkpoint_has_ldms_own_keys(name: str, make) -> None:
    assert set(_part(name)) == set(make().state_dict())


@pytest.mark.parametrize("family", ["base", "plus"])
def test_an_adapter_is_recognised_and_fits_every_site(family: str) -> None:
    found = open_adapter(MODEL / ADAPTERS[family]).recognised
    attentions = find_attentions(demo_host().model.unet)
    assert (found.family.name, found.layers, len(attentions)) == (family, 16, 16)


def test_all_weights_are_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in MODEL.rglob("*") if path.is_file()) < 16 << 20


def test_one_command_copies_the_files_into_a_web_ui(tmp_path: Path) -> None:
    (tmp_path / "models" / "Stable-diffusion").mkdir(parents=True)
    written = copy_to(tmp_path)
    config = json.loads((tmp_path / "models" / "Stable-diffusion" / CONFIG).read_text(encoding="utf-8"))
    words = Path(config["model"]["params"]["cond_stage_config"]["params"]["version"])
    assert words.is_absolute()
    assert (words / "vocab.json").is_file()
    assert all(path.exists() for path in written)


def test_a_folder_that_is_no_web_ui_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        copy_to(tmp_path)
    assert ended.value.code == 2
    assert "is not a web UI's folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_wide_autoencoder_equals_the_narrow_one() -> None:
    torch.manual_seed(0)
    plain = plain_autoencoder()
    for name, parameter in plain.named_parameters():
        if name.endswith("conv2.weight"):
            torch.nn.init.normal_(parameter, std=0.05)
    wide = widened(plain)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        mean, log_variance = plain.encode(pixels)
        torch.testing.assert_close(wide.encode(pixels), (mean, log_variance), atol=3e-3, rtol=3e-3)
        torch.testing.assert_close(wide.decode(mean), plain.decode(mean), atol=3e-3, rtol=3e-3)


def test_the_autoencoder_starts_as_the_mean_of_each_cell() -> None:
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        mean, _ = plain_autoencoder().encode(pixels)
    torch.testing.assert_close(mean[:, :3], torch.nn.functional.avg_pool2d(pixels, 8), atol=0.15, rtol=0)
