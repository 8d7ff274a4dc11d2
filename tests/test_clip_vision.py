"""The encoders against transformers' own towers and golden values, in every layout that users have files in."""

import copy
import dataclasses
import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import open_clip
import pytest
import torch
from golden import checksum, stream, weights
from makers import adapter_tensors, picture, save
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

from lib_ipadapter.base.errors import IPAdapterError, UnrecognisedError
from lib_ipadapter.pictures.crops import resize_for
from lib_ipadapter.pictures.preprocess import to_pixels
from lib_ipadapter.weights import clip_vision as encoders
from lib_ipadapter.weights.clip_vision import EncoderFile, open_encoder, zero_pixels
from lib_ipadapter.weights.family import EMBED, HIDDEN

Tensors = dict[str, Tensor]

TINY = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "projection_dim": 32,
    "patch_size": 14,
    "image_size": 28,
}
TINY_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "projection_dim": 32,
    "vocab_size": 11,
    "max_position_embeddings": 7,
}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _two_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoders.HEADS, 64, 2)


@functools.cache
def vision_model(activation: str = "gelu") -> CLIPVisionModelWithProjection:
    """Return transformers' tower of the golden values, in float64; tests must not change it."""
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(hidden_act=activation, **TINY)).double().eval()
    shapes = {name: tuple(t.shape) for name, t in model.state_dict().items() if not name.endswith("position_ids")}
    model.load_state_dict(weights(shapes), strict=False)
    return model


def hf_tensors(model: torch.nn.Module) -> Tensors:
    return {name: t for name, t in model.state_dict().items() if not name.endswith("position_ids")}


def as_open_clip(tensors: Tensors) -> Tensors:
    """Yield a tower's tensors with open_clip's names and shapes."""
    given = {name.removeprefix("vision_model."): tensor for name, tensor in tensors.items()}
    made = {
        "class_embedding": given["embeddings.class_embedding"],
        "conv1.weight": given["embeddings.patch_embedding.weight"],
        "positional_embedding": given["embeddings.position_embedding.weight"],
        "proj": given["visual_projection.weight"].T,
    }
    for kind in ("weight", "bias"):
        made[f"ln_pre.{kind}"] = given[f"pre_layrnorm.{kind}"]
        made[f"ln_post.{kind}"] = given[f"post_layernorm.{kind}"]
        for layer in range(TINY["num_hidden_layers"]):
            theirs, ours = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
            made[f"{ours}attn.in_proj_{kind}"] = torch.cat(
                [given[f"{theirs}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            )
            made[f"{ours}attn.out_proj.{kind}"] = given[f"{theirs}self_attn.out_proj.{kind}"]
            made[f"{ours}ln_1.{kind}"] = given[f"{theirs}layer_norm1.{kind}"]
            made[f"{ours}ln_2.{kind}"] = given[f"{theirs}layer_norm2.{kind}"]
            made[f"{ours}mlp.c_fc.{kind}"] = given[f"{theirs}mlp.fc1.{kind}"]
            made[f"{ours}mlp.c_proj.{kind}"] = given[f"{theirs}mlp.fc2.{kind}"]
    return made


def visual(tensors: Tensors) -> Tensors:
    return {f"visual.{name}": tensor for name, tensor in as_open_clip(tensors).items()}


@functools.cache
def whole_model() -> CLIPModel:
    return CLIPModel(CLIPConfig(text_config=TINY_TEXT, vision_config=TINY, projection_dim=32)).double()


def whole_hf(tensors: Tensors) -> Tensors:
    """Return transformers' whole CLIP, with the position ids that its older versions saved."""
    both = hf_tensors(whole_model())
    assert {"logit_scale", "text_projection.weight"} < both.keys()
    numbers = {"text_model": torch.arange(7)[None], "vision_model": torch.arange(5)[None]}
    return both | tensors | {f"{tower}.embeddings.position_ids": ids for tower, ids in numbers.items()}


def whole_open_clip(tensors: Tensors) -> Tensors:
    """Return open_clip's whole CLIP, whose text tower has the names of a separate vision tower."""
    sizes = {"width": 64, "layers": 3, "head_width": 32, "patch_size": 14, "image_size": 28, "mlp_ratio": 2.0}
    text = {"width": 16, "layers": 4, "heads": 2, "vocab_size": 11, "context_length": 7}
    both = {name: t.double() for name, t in open_clip.CLIP(32, sizes, text).state_dict().items()}
    assert {"logit_scale", "positional_embedding", "transformer.resblocks.3.ln_1.weight"} < both.keys()
    assert {name for name in both if name.startswith("visual.")} == visual(tensors).keys()
    return both | visual(tensors)


LAYOUTS: dict[str, Callable[[Tensors], Tensors]] = {
    "transformers": dict,
    "transformers, whole": whole_hf,
    "open_clip": visual,
    "open_clip, whole": whole_open_clip,
    "open_clip, bare": as_open_clip,
}


def write(tensors: Tensors, path: Path, dtype: torch.dtype = torch.float64) -> Path:
    """Save a flat file, as safetensors if it has that extension and otherwise in torch's format."""
    cast = {name: (t.to(dtype) if t.is_floating_point() else t).contiguous() for name, t in tensors.items()}
    if path.suffix == ".safetensors":
        save_file(cast, str(path))
    else:
        torch.save(cast, path)
    return path


def theirs(model: torch.nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return transformers' image embedding and its second last hidden states."""
    with torch.no_grad():
        made = model(pixels[None].to(next(model.parameters()).dtype), output_hidden_states=True)
    return made.image_embeds.float(), made.hidden_states[-2].float()


def close(made: Tensor, expected: Tensor, tolerance: float = 1e-5) -> bool:
    return made.shape == expected.shape and bool((made - expected).abs().max() <= tolerance * expected.abs().max())


@pytest.fixture
def gelu() -> CLIPVisionModelWithProjection:
    return vision_model()


@pytest.fixture
def tower(gelu: CLIPVisionModelWithProjection, tmp_path: Path) -> EncoderFile:
    """A tower in a file like those that IP-Adapter's authors publish."""
    return open_encoder(write(hf_tensors(gelu), tmp_path / "tower.safetensors"))


# What a tower returns


@pytest.mark.parametrize("extension", [".safetensors", ".bin", ".pth"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_features_equal_transformers_from_every_layout(
    gelu: CLIPVisionModelWithProjection, tmp_path: Path, layout: str, dtype: torch.dtype, extension: str
) -> None:
    encoder = open_encoder(write(LAYOUTS[layout](hf_tensors(gelu)), tmp_path / f"tower{extension}", dtype))
    sizes = (encoder.width, encoder.layers, encoder.mlp, encoder.patch, encoder.states, encoder.projection)
    assert sizes == (64, 3, 128, 14, 5, 32)
    assert encoder.image_size == 28
    pixels = stream(1000, 3, 28, 28).float()
    embed, hidden = theirs(copy.deepcopy(gelu).to(dtype).float(), pixels)
    (features,) = encoder.encode([pixels], CPU, torch.float32)
    assert features.embed.dtype == features.hidden.dtype == torch.float32
    assert close(features.embed, embed)
    assert close(features.hidden, hidden)


def test_a_tower_saved_by_transformers_itself_is_read(gelu: CLIPVisionModelWithProjection, tmp_path: Path) -> None:
    copy.deepcopy(gelu).float().save_pretrained(tmp_path)
    (path,) = (path for path in tmp_path.iterdir() if path.suffix != ".json")  # older versions save a .bin file
    pixels = stream(1000, 3, 28, 28).float()
    (features,) = open_encoder(path).encode([pixels], CPU, torch.float32)
    assert close(features.embed, theirs(gelu, pixels)[0])


def cubic(distance: float) -> float:
    """Return the weight of a neighbour at a distance, by the usual cubic convolution with a = -0.75."""
    a, x = -0.75, abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def along(new: int, old: int) -> Tensor:
    """Return the matrix that resamples `old` places at `new` places, the first and last of which coincide."""
    made = torch.zeros(new, old, dtype=torch.float64)
    for place in range(new):
        at = place * (old - 1) / (new - 1)
        for neighbour in range(int(at) - 1, int(at) + 3):
            made[place, min(max(neighbour, 0), old - 1)] += cubic(at - neighbour)
    return made


@pytest.mark.parametrize(("old", "new"), [(2, 4), (16, 32), (4, 3)])
def test_positions_are_resampled_corner_to_corner_and_the_class_row_stays(old: int, new: int) -> None:
    table = stream(7, 1 + old * old, 6)
    made = encoders.resized_positions(table, 1 + new * new)
    assert torch.equal(made[0], table[0])
    grid, matrix = table[1:].reshape(old, old, 6), along(new, old)
    expected = torch.einsum("ai,bj,ijc->abc", matrix, matrix, grid)
    assert torch.allclose(made[1:].reshape(new, new, 6), expected, atol=1e-9)
    assert torch.allclose(made[1], table[1])
    assert torch.allclose(made[-1], table[-1])
    assert encoders.resized_positions(table, 1 + old * old) is table


def test_a_tower_at_another_size_is_transformers_with_resampled_positions(
    gelu: CLIPVisionModelWithProjection, tower: EncoderFile
) -> None:
    larger = tower.at_size(56)
    assert (larger.image_size, larger.states) == (56, 17)
    assert larger.identity != tower.identity
    assert tower.at_size(28) is tower
    tensors = hf_tensors(gelu)
    name = "vision_model.embeddings.position_embedding.weight"
    table = tensors[name]
    matrix = along(4, 2)
    grid = torch.einsum("ai,bj,ijc->abc", matrix, matrix, table[1:].reshape(2, 2, -1)).reshape(16, -1)
    config = CLIPVisionConfig(hidden_act="gelu", **(TINY | {"image_size": 56}))
    model = CLIPVisionModelWithProjection(config).double().eval()
    model.load_state_dict(tensors | {name: torch.cat([table[:1], grid])}, strict=False)
    pixels = 2 * stream(1000, 3, 56, 56)
    embed, hidden = theirs(model, pixels)
    (made,) = larger.encode([pixels], CPU, torch.float64)
    assert made.hidden.shape == (1, 17, 64)
    assert close(made.embed, embed)
    assert close(made.hidden, hidden)


def test_features_equal_transformers_with_quick_gelu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = vision_model("quick_gelu")
    encoder = open_encoder(write(hf_tensors(model), tmp_path / "tower.safetensors"))
    pixels = 2 * stream(1000, 3, 28, 28)
    embed, hidden = theirs(model, pixels)
    (plain,) = encoder.encode([pixels], CPU, torch.float64)
    monkeypatch.setattr(encoders, "QUICK_GELU", {(64, 3)})
    (quick,) = encoder.encode([pixels], CPU, torch.float64)
    assert close(quick.embed, embed)
    assert close(quick.hidden, hidden)
    assert not close(plain.embed, embed, 1e-4)
    assert not close(plain.hidden, hidden, 1e-4)


BLACK = to_pixels(Image.new("RGB", (28, 28)))
GOLDEN = {
    "image_embeds": (
        2 * stream(1000, 3, 28, 28),
        EMBED,
        (+0.557215, +0.440685, -0.766038),
        (+0.051210, +0.006349, -0.472385),
        0.297393,
        +0.787722,
    ),
    "hidden[-2]": (
        2 * stream(1000, 3, 28, 28),
        HIDDEN,
        (+0.016290, +1.767657, +0.089617),
        (+0.810708, +1.539857, -0.127918),
        0.856776,
        -11.397106,
    ),
    "black-image hidden[-2]": (
        BLACK,
        HIDDEN,
        (-0.234011, +1.288279, -0.021522),
        (-1.370650, +1.623697, -1.316089),
        0.866655,
        -1.062338,
    ),
}


@pytest.mark.parametrize("case", GOLDEN)
@pytest.mark.parametrize("layout", ["transformers", "open_clip"])
def test_features_equal_the_golden_values(
    gelu: CLIPVisionModelWithProjection, tmp_path: Path, case: str, layout: str
) -> None:
    pixels, takes, first, last, mean_abs, total = GOLDEN[case]
    encoder = open_encoder(write(LAYOUTS[layout](hf_tensors(gelu)), tmp_path / "tower.safetensors"))
    made = encoder.encode([pixels], CPU, torch.float64)[0].of(takes)
    assert made.shape == {EMBED: (1, 32), HIDDEN: (1, 5, 64)}[takes]
    # The values have six digits, and features come in float32.
    assert made.flatten()[:3].tolist() == pytest.approx(first, abs=1.5e-6)
    assert made.flatten()[-3:].tolist() == pytest.approx(last, abs=1.5e-6)
    assert made.abs().mean().item() == pytest.approx(mean_abs, abs=1.5e-6)
    assert checksum(made) == pytest.approx(total, abs=2e-5)


def test_the_unconditional_picture_is_zero_after_normalisation(
    gelu: CLIPVisionModelWithProjection, tower: EncoderFile
) -> None:
    nothing = zero_pixels(tower)
    assert nothing.shape == (3, 28, 28)
    assert not nothing.any()
    (features,) = tower.encode([nothing], CPU, torch.float32)
    assert close(features.hidden, theirs(gelu, torch.zeros(3, 28, 28))[1])


def test_a_picture_has_the_same_features_in_any_batch(tower: EncoderFile) -> None:
    pixels = [to_pixels(resize_for(picture(40, 30, seed), 28, "center")) for seed in range(3)]
    together = tower.encode(pixels, CPU, torch.float32)
    assert len(together) == 3
    for one, features in zip(pixels, together, strict=True):
        (alone,) = tower.encode([one], CPU, torch.float32)
        assert torch.equal(alone.embed, features.embed)
        assert torch.equal(alone.hidden, features.hidden)
    assert not close(together[0].hidden, together[1].hidden, 1e-3)


def test_the_size_of_features_is_that_of_their_tensors(tower: EncoderFile) -> None:
    (features,) = tower.encode([zero_pixels(tower)], CPU, torch.float32)
    assert features.bytes == 4 * (32 + 5 * 64)


def test_features_keep_neither_gradients_nor_the_tower_alive(tower: EncoderFile) -> None:
    (features,) = tower.encode([zero_pixels(tower)], CPU, torch.float32)
    assert not features.hidden.requires_grad
    assert features.hidden.untyped_storage().nbytes() == 4 * 5 * 64


def test_reading_does_not_change_the_file(tower: EncoderFile) -> None:
    before = tower.path.read_bytes()
    tower.encode([zero_pixels(tower)], CPU, torch.float64)
    assert tower.path.read_bytes() == before


def test_a_changed_file_has_another_identity(gelu: CLIPVisionModelWithProjection, tower: EncoderFile) -> None:
    assert open_encoder(tower.path).identity == tower.identity
    write(hf_tensors(gelu), tower.path, torch.float32)
    assert open_encoder(tower.path).identity != tower.identity


# The published towers, by shapes only. Sizes: config.json of each repository; parameters: counted in the files.


@dataclasses.dataclass(frozen=True)
class Published:
    config: dict[str, int | str]
    name: str
    parameters: int

    @property
    def size(self) -> int:
        return int(self.config["image_size"])


def published(
    name: str, parameters: int, width: int, mlp: int, layers: int, projection: int, **rest: object
) -> Published:
    config = {"hidden_size": width, "intermediate_size": mlp, "num_hidden_layers": layers, "projection_dim": projection}
    defaults = {"num_attention_heads": 16, "patch_size": 14, "image_size": 224, "hidden_act": "gelu"}
    return Published(config | defaults | rest, name, parameters)


TOWERS = [
    published("ViT-H/14", 632_076_800, 1280, 5120, 32, 1024),
    published("ViT-bigG/14", 1_844_907_264, 1664, 8192, 48, 1280),
    published("ViT-L/14", 303_966_208, 1024, 4096, 24, 768, hidden_act="quick_gelu"),
    published("ViT-L/14-336", 304_293_888, 1024, 4096, 24, 768, hidden_act="quick_gelu", image_size=336),
]


@pytest.fixture(scope="module", params=TOWERS, ids=lambda tower: tower.name)
def of_full_size(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    """A published tower as transformers builds it, and a sparse file of its size, if the disk supports that."""
    path = tmp_path_factory.mktemp("full") / "model.safetensors"
    with torch.device("meta"):
        model = CLIPVisionModelWithProjection(CLIPVisionConfig(**request.param.config))
    header, end = {}, 0
    for name, tensor in hf_tensors(model).items():
        start, end = end, end + 2 * tensor.numel()
        header[name] = {"dtype": "F16", "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    yield request.param, model, open_encoder(path)
    path.unlink()


def test_a_published_tower_is_recognised_by_its_shapes(of_full_size: tuple) -> None:
    tower, _, encoder = of_full_size
    assert encoder.name == tower.name
    assert encoder.image_size == tower.size
    assert encoder.states == (tower.size // 14) ** 2 + 1
    assert encoder.layers == tower.config["num_hidden_layers"]
    assert encoder.width_of(EMBED) == tower.config["projection_dim"]
    assert encoder.width_of(HIDDEN) == tower.config["hidden_size"]
    assert zero_pixels(encoder).shape == (3, tower.size, tower.size)


def test_a_published_tower_is_built_as_it_was_trained(of_full_size: tuple) -> None:
    tower, model, encoder = of_full_size
    with torch.device("meta"):
        built = encoders._build(encoder)
    assert len(built.transformer.resblocks) == len(model.vision_model.encoder.layers)
    assert sum(p.numel() for p in built.parameters()) == sum(p.numel() for p in model.parameters()) == tower.parameters
    activation = {"gelu": torch.nn.GELU, "quick_gelu": open_clip.transformer.QuickGELU}[tower.config["hidden_act"]]
    for block, theirs in zip(built.transformer.resblocks, model.vision_model.encoder.layers, strict=True):
        assert block.attn.num_heads == theirs.self_attn.num_heads == 16
        assert block.mlp.c_fc.weight.shape == theirs.mlp.fc1.weight.shape
        assert type(block.mlp.gelu) is activation
        assert getattr(block.mlp.gelu, "approximate", "none") == "none"
        assert block.ln_1.eps == theirs.layer_norm1.eps


@pytest.mark.parametrize(
    ("width", "mlp"), [(1664, 8192), (1408, 6144), (1152, 4304), (1280, 5120), (64, 1), (192, 191)]
)
def test_a_blocks_inner_width_is_exact_where_open_clip_would_round_it(width: int, mlp: int) -> None:
    with torch.device("meta"):
        built = encoders._build(EncoderFile(Path("tower"), width, 14, 5, 8, 0, (), 2, mlp))
    assert built.transformer.resblocks[0].mlp.c_fc.weight.shape == (mlp, width)


@pytest.mark.parametrize(("width", "heads"), [(768, 12), (1408, 16), (192, 3)])
def test_other_towers_have_their_authors_number_of_heads(width: int, heads: int) -> None:
    """ViT-B (OpenAI), ViT-g (LAION) and ViT-Ti, in open_clip's model_configs."""
    with torch.device("meta"):
        built = encoders._build(EncoderFile(Path("tower"), width, 14, 5, 8, 0, (), 2, 4 * width))
    assert built.transformer.resblocks[0].attn.num_heads == heads


# Files that are not towers, and damaged towers


KEYS = tuple(hf_tensors(vision_model()))


@functools.cache
def open_clip_names() -> dict[str, str]:
    """Return open_clip's name of each of transformers' tensors, or of the one that it is part of."""
    marked = {key: torch.full_like(t, i) for i, (key, t) in enumerate(hf_tensors(vision_model()).items())}
    return {KEYS[int(i)]: name for name, tensor in as_open_clip(marked).items() for i in tensor.unique()}


KINDS = sorted({re.sub(r"layers\.\d", "layers.*", key) for key in KEYS})
DAMAGED = [kind.replace("*", str(i % 3)) for i, kind in enumerate(KINDS)]
"""Each kind of tensor once; tensors of blocks in one of the three blocks."""


def refused(tensors: Tensors, path: Path) -> IPAdapterError:
    with pytest.raises(IPAdapterError) as caught:
        open_encoder(write(tensors, path)).encode([torch.zeros(3, 28, 28)], CPU, torch.float32)
    assert path.name in caught.value.sentence
    return caught.value


def names(sentence: str, key: str) -> bool:
    return key in sentence or f"{open_clip_names()[key]} " in sentence


@pytest.mark.parametrize("key", DAMAGED)
def test_a_missing_tensor_is_named(gelu: CLIPVisionModelWithProjection, tmp_path: Path, key: str) -> None:
    tensors = hf_tensors(gelu)
    del tensors[key]
    sentence = refused(tensors, tmp_path / "tower.safetensors").sentence
    assert "missing" in sentence
    assert names(sentence, key)


MISSHAPEN = [(key, change) for key in DAMAGED for change in ("longer", "flat", "deeper")]
MISSHAPEN.remove(("visual_projection.weight", "longer"))  # otherwise a valid tower with an embedding wider by one


@pytest.mark.parametrize(("key", "change"), MISSHAPEN)
def test_a_misshapen_tensor_is_named(
    gelu: CLIPVisionModelWithProjection, tmp_path: Path, key: str, change: str
) -> None:
    tensors = hf_tensors(gelu)
    tensor = tensors[key]
    longer = torch.cat([tensor, tensor[:1]])
    tensors[key] = {"longer": longer, "flat": longer.flatten(), "deeper": tensor[None]}[change]
    sentence = refused(tensors, tmp_path / "tower.safetensors").sentence
    if change == "longer" and key == "vision_model.embeddings.patch_embedding.weight":
        assert "where (65,) is expected" in sentence  # the tower's width is read from this tensor
    elif change == "longer" and key == "vision_model.encoder.layers.0.mlp.fc1.weight":
        assert "mlp.c_fc.bias has shape (128,) where (129,) is expected" in sentence  # the inner width from this
    else:
        assert names(sentence, key)


@pytest.mark.parametrize("key", DAMAGED)
def test_a_tensor_with_nan_or_infinity_is_named(gelu: CLIPVisionModelWithProjection, tmp_path: Path, key: str) -> None:
    for value in (float("nan"), float("inf")):
        tensors = {name: tensor.clone() for name, tensor in hf_tensors(gelu).items()}
        tensors[key].view(-1)[-1] = value
        sentence = refused(tensors, tmp_path / "tower.safetensors").sentence
        assert key in sentence
        assert "NaN" in sentence


def test_damage_in_the_text_tower_does_not_matter(gelu: CLIPVisionModelWithProjection, tmp_path: Path) -> None:
    tensors = whole_hf(hf_tensors(gelu))
    tensors["text_model.final_layer_norm.weight"] = torch.full((16,), float("nan"))
    encoder = open_encoder(write(tensors, tmp_path / "tower.safetensors"))
    assert encoder.encode([zero_pixels(encoder)], CPU, torch.float32)


@pytest.mark.parametrize("layout", ["open_clip", "open_clip, bare", "open_clip, whole"])
def test_a_damaged_tensor_of_open_clip_is_named_too(
    gelu: CLIPVisionModelWithProjection, tmp_path: Path, layout: str
) -> None:
    name = "transformer.resblocks.2.ln_1.weight"
    tensors = LAYOUTS[layout](hf_tensors(gelu))
    key = name if layout == "open_clip, bare" else f"visual.{name}"
    assert f"{name} is missing" in refused({k: t for k, t in tensors.items() if k != key}, tmp_path / "a.bin").sentence
    bad = {k: t * float("nan") if k == key else t for k, t in tensors.items()}
    assert f"{name} (NaN or infinity)" in refused(bad, tmp_path / "b.safetensors").sentence


def test_a_tensor_of_integers_is_named(gelu: CLIPVisionModelWithProjection, tmp_path: Path) -> None:
    key = "vision_model.encoder.layers.1.self_attn.k_proj.weight"
    tensors = hf_tensors(gelu) | {key: torch.ones(64, 64, dtype=torch.int8)}
    assert f"{key} (int8)" in refused(tensors, tmp_path / "tower.safetensors").sentence


def test_a_tower_with_an_extra_tensor_is_refused(gelu: CLIPVisionModelWithProjection, tmp_path: Path) -> None:
    tensors = hf_tensors(gelu) | {"vision_model.encoder.layers.0.gate": torch.ones(2)}
    assert "vision_model.encoder.layers.0.gate is not expected" in refused(tensors, tmp_path / "tower.bin").sentence


def controlnet(_: Tensors) -> Tensors:
    return {
        "control_model.input_blocks.0.0.weight": torch.ones(4, 4, 3, 3),
        "control_model.input_hint_block.0.weight": torch.ones(4, 3, 3, 3),
        "control_model.zero_convs.0.0.bias": torch.ones(4),
    }


def resnet(_: Tensors) -> Tensors:
    """Return tensors that identify OpenAI's other kind of CLIP, whose image encoder is a ResNet."""
    return {
        "visual.conv1.weight": torch.ones(4, 3, 3, 3),
        "visual.attnpool.positional_embedding": torch.ones(50, 8),
        "visual.layer1.0.conv1.weight": torch.ones(4, 4, 1, 1),
    }


def siglip(tensors: Tensors) -> Tensors:
    without = {k: t for k, t in tensors.items() if "class_embedding" not in k and "visual_projection" not in k}
    return without | {"vision_model.head.probe": torch.ones(1, 1, 64)}


def one_layer(tensors: Tensors) -> Tensors:
    return {k: t for k, t in tensors.items() if "layers." not in k or "layers.0." in k}


NO_TOWERS: dict[str, Callable[[Tensors], Tensors]] = {
    "a ControlNet": controlnet,
    "an adapter": lambda _: adapter_tensors(widths=(8, 8, 8), context_dim=8),
    "a plus adapter": lambda _: adapter_tensors("plus", widths=(8, 8, 8), context_dim=8),
    "a text encoder": lambda tensors: {k: t for k, t in whole_hf(tensors).items() if k.startswith("text_model.")},
    "a ResNet": resnet,
    "SigLIP": siglip,
    "a tower without a projection": lambda tensors: {k: t for k, t in tensors.items() if "projection" not in k},
    "a tower of one layer": one_layer,
    "nothing": lambda _: {},
}


@pytest.mark.parametrize("kind", NO_TOWERS)
@pytest.mark.parametrize("extension", [".safetensors", ".pth"])
def test_files_that_are_not_towers_are_not_recognised(
    gelu: CLIPVisionModelWithProjection, tmp_path: Path, kind: str, extension: str
) -> None:
    path = write(NO_TOWERS[kind](hf_tensors(gelu)), tmp_path / f"model{extension}")
    with pytest.raises(UnrecognisedError) as caught:
        open_encoder(path)
    assert caught.value.sentence.startswith(path.name)


def test_an_adapter_in_the_authors_nested_form_is_not_recognised(tmp_path: Path) -> None:
    path = save(adapter_tensors(widths=(8, 8, 8), context_dim=8), tmp_path / "ip-adapter.bin")
    with pytest.raises(UnrecognisedError):
        open_encoder(path)


def test_a_tower_with_an_unknown_number_of_heads_is_not_recognised(tmp_path: Path) -> None:
    sizes = {**TINY, "hidden_size": 200, "num_attention_heads": 5}
    path = write(hf_tensors(CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes))), tmp_path / "tower.bin")
    with pytest.raises(UnrecognisedError, match="width 200"):
        open_encoder(path)


def test_empty_tensors_are_not_recognised(gelu: CLIPVisionModelWithProjection, tmp_path: Path) -> None:
    for key in ("embeddings.position_embedding.weight", "embeddings.patch_embedding.weight"):
        tensors = hf_tensors(gelu)
        tensors[f"vision_model.{key}"] = tensors[f"vision_model.{key}"][:0]
        with pytest.raises(UnrecognisedError):
            open_encoder(write(tensors, tmp_path / "tower.safetensors"))
