"""Keys and shapes of the published files, taken from the authors' modules and not from our code.

File sizes confirm the tables to the byte: they follow from keys, shapes and dtype.
"""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]

SD_WIDTHS = [320] * 2 + [640] * 2 + [1280] * 2 + [1280] * 3 + [640] * 3 + [320] * 3 + [1280]
SDXL_WIDTHS = [640] * 4 + [1280] * 50 + [640] * 6 + [1280] * 10
"""Width of each cross-attention layer in the order of the files' key numbers."""


def under(prefix: str, shapes: Mapping[str, tuple[int, ...]]) -> Shapes:
    return {prefix + key: shape for key, shape in shapes.items()}


def layers(widths: list[int], dim: int, prefix: str = "ip_adapter.", names: tuple[str, str] = ("to_k_ip", "to_v_ip")):
    return {f"{prefix}{2 * i + 1}.{name}.weight": (h, dim) for i, h in enumerate(widths) for name in names}


def built_in_lora(widths: list[int], dim: int) -> Shapes:
    made = {}
    for i, h in enumerate(widths):
        for number, context in ((2 * i, h), (2 * i + 1, dim)):
            for name, entering in (("q", h), ("k", context), ("v", context), ("out", h)):
                made[f"ip_adapter.{number}.to_{name}_lora.down.weight"] = (128, entering)
                made[f"ip_adapter.{number}.to_{name}_lora.up.weight"] = (h, 128)
    return made


def affine(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def linear(width: int, tokens: int, dim: int) -> Shapes:
    return affine("proj", tokens * dim, width) | affine("norm", dim)


def mlp(tokens: int, dim: int, width: int = 512, inner: int = 1024) -> Shapes:
    return affine("proj.0", inner, width) | affine("proj.2", tokens * dim, inner) | affine("norm", dim)


def full_face(dim: int) -> Shapes:
    return affine("proj.0", 1280, 1280) | affine("proj.2", dim, 1280) | affine("proj.3", dim)


def perceiver_layer(prefix: str, inner: int, heads: int) -> Shapes:
    attending = {"to_q": (heads * 64, inner), "to_kv": (2 * heads * 64, inner), "to_out": (inner, heads * 64)}
    return {
        **affine(f"{prefix}.0.norm1", inner),
        **affine(f"{prefix}.0.norm2", inner),
        **{f"{prefix}.0.{name}.weight": shape for name, shape in attending.items()},
        **affine(f"{prefix}.1.0", inner),
        f"{prefix}.1.1.weight": (4 * inner, inner),
        f"{prefix}.1.3.weight": (inner, 4 * inner),
    }


def perceiver(inner: int, width: int, dim: int, heads: int) -> Shapes:
    made = affine("proj_in", inner, width) | affine("proj_out", dim, inner) | affine("norm_out", dim)
    for i in range(4):
        made |= perceiver_layer(f"layers.{i}", inner, heads)
    return made


def resampler(inner: int, width: int, dim: int, heads: int, latents: int = 16) -> Shapes:
    return {"latents": (1, latents, inner)} | perceiver(inner, width, dim, heads)


def face_plus(tokens: int, dim: int, width: int = 1280) -> Shapes:
    return mlp(tokens, dim) | under("perceiver_resampler.", perceiver(dim, width, dim, dim // 64))


def deep_mlp(name: str, entering: int, leaving: int) -> Shapes:
    """PuLID's block: three linear layers with norms between them."""
    made = affine(f"{name}.0", 1024, entering) | affine(f"{name}.1", 1024)
    return made | affine(f"{name}.3", 1024, 1024) | affine(f"{name}.4", 1024) | affine(f"{name}.6", leaving, 1024)


def id_encoder() -> Shapes:
    made = deep_mlp("body", 1280, 5 * 2048)
    for i in range(5):
        made |= deep_mlp(f"mapping_{i}", 1024, 2048) | deep_mlp(f"mapping_patch_{i}", 1024, 2048)
    return made


def id_former() -> Shapes:
    made: Shapes = {"latents": (1, 32, 1024), "proj_out": (1024, 2048)}
    for i in range(10):
        made |= perceiver_layer(f"layers.{i}", 1024, 16)
    for i in range(5):
        made |= deep_mlp(f"mapping_{i}", 1024, 1024)
    return made | deep_mlp("id_embedding_mapping", 1280, 5 * 1024)


def pulid_flux_layers() -> Shapes:
    made: Shapes = {}
    for i in range(20):
        made |= affine(f"pulid_ca.{i}.norm1", 2048) | affine(f"pulid_ca.{i}.norm2", 3072)
        shapes = {"to_q": (2048, 3072), "to_kv": (4096, 2048), "to_out": (3072, 2048)}
        made |= {f"pulid_ca.{i}.{name}.weight": shape for name, shape in shapes.items()}
    return made


def xlabs(tokens: int) -> Shapes:
    made = under("ip_adapter_proj_model.", linear(768, tokens, 4096))
    for i in range(19):
        for name in "kv":
            made |= affine(f"double_blocks.{i}.processor.ip_adapter_double_stream_{name}_proj", 3072, 4096)
    return made


def sd35() -> Shapes:
    net = resampler(1280, 1152, 2432, 20, latents=64)
    net |= affine("time_embedding.linear_1", 1280, 320) | affine("time_embedding.linear_2", 1280, 1280)
    for i in range(4):
        net |= affine(f"layers.{i}.2.1", 5120, 1280)
    made = under("image_proj.", net)
    for i in range(38):
        made |= affine(f"ip_adapter.{i}.norm_ip.linear", 4864, 1280)
        made |= {f"ip_adapter.{i}.{name}_ip.weight": (2432, 2432) for name in ("to_k", "to_v")}
        made |= {f"ip_adapter.{i}.{name}.weight": (64,) for name in ("norm_q", "norm_k", "norm_ip_k")}
    return made


def flux_layers() -> Shapes:
    return {f"ip_adapter.{i}.{name}.weight": (3072, 4096) for i in range(57) for name in ("to_k_ip", "to_v_ip")}


@dataclass(frozen=True)
class Published:
    """A published file and the facts that must be recognised."""

    shapes: Shapes
    family: str
    base: str
    encoder: str
    tokens: int
    context_dim: int
    layers: int
    parameters: int
    lora: bool = False


def sd(net: Shapes, *facts: str | int) -> Published:
    family, encoder, tokens, parameters = facts
    shapes = under("image_proj.", net) | layers(SD_WIDTHS, 768)
    return Published(shapes, family, "SD1.x", encoder, tokens, 768, 16, parameters)


def sdxl(net: Shapes, *facts: str | int) -> Published:
    family, encoder, tokens, parameters = facts
    shapes = under("image_proj.", net) | layers(SDXL_WIDTHS, 2048)
    return Published(shapes, family, "SDXL", encoder, tokens, 2048, 70, parameters)


def with_lora(file: Published, total: int) -> Published:
    widths = SD_WIDTHS if file.layers == 16 else SDXL_WIDTHS
    facts = vars(file) | {"parameters": total, "lora": True}
    return Published(**facts | {"shapes": file.shapes | built_in_lora(widths, file.context_dim)})


def kolors(shapes: Shapes, *facts: str | int) -> Published:
    family, encoder, tokens, parameters = facts
    return Published(shapes, family, "Kolors", encoder, tokens, 2048, 70, parameters)


H, BIG_G, L, L336, SIGLIP = "ViT-H/14", "ViT-bigG/14", "ViT-L/14", "ViT-L/14-336", "SigLIP-so400m-14-384"
FACE, EVA = "insightface", "insightface + EVA02-CLIP-L-14-336"

PULID_LAYERS = layers(SDXL_WIDTHS, 2048, "id_adapter_attn_layers.", ("id_to_k", "id_to_v"))
KOLORS_FACE = under("image_proj.", face_plus(6, 4096, 1024)) | layers(SDXL_WIDTHS, 2048, "adapter_modules.")

PUBLISHED = {
    "ip-adapter_sd15": sd(linear(1024, 4, 768), "base", H, 4, 22_319_616),
    "ip-adapter_sd15_vit-G": sd(linear(1280, 4, 768), "base", BIG_G, 4, 23_106_048),
    "ip-adapter-plus_sd15": sd(resampler(768, 1280, 768, 12), "plus", H, 16, 49_087_488),
    "ip-adapter-full-face_sd15": sd(full_face(768), "full-face", H, 257, 21_794_304),
    "ip-adapter-faceid_sd15": with_lora(sd(mlp(4, 768), "faceid", FACE, 4, 0), 48_354_816),
    "ip-adapter-faceid-plusv2_sd15": with_lora(sd(face_plus(4, 768), "faceid-plus", f"{FACE} + {H}", 4, 0), 78_260_736),
    "ip-adapter-faceid-portrait_sd15": sd(mlp(16, 768), "portrait", FACE, 16, 32_291_328),
    "ip-adapter_sdxl": sdxl(linear(1280, 4, 2048), "base", BIG_G, 4, 351_285_248),
    "ip-adapter_sdxl_vit-h": sdxl(linear(1024, 4, 2048), "base", H, 4, 349_188_096),
    "ip-adapter-plus_sdxl_vit-h": sdxl(resampler(1280, 1280, 2048, 20), "plus", H, 16, 423_748_864),
    "ip-adapter-faceid_sdxl": with_lora(sdxl(mlp(4, 2048), "faceid", FACE, 4, 0), 535_507_968),
    "ip-adapter-faceid-plusv2_sdxl": with_lora(
        sdxl(face_plus(4, 2048), "faceid-plus", f"{FACE} + {H}", 4, 0), 743_707_648
    ),
    "ip-adapter-faceid-portrait_sdxl": sdxl(mlp(16, 2048), "portrait", FACE, 16, 374_903_808),
    "ip-adapter-faceid-portrait_sdxl_unnorm": sdxl(
        resampler(1280, 512, 2048, 20), "face-resampler", FACE, 16, 422_765_824
    ),
    "NOOB-IPA-MARK1": sdxl(resampler(1280, 1664, 2048, 20), "plus", BIG_G, 16, 424_240_384),
    "ip_adapter_plus_general": kolors(
        under("image_proj.", resampler(2048, 1024, 2048, 12)) | layers(SDXL_WIDTHS, 2048),
        "kolors-plus",
        L336,
        16,
        506_552_320,
    ),
    "ipa-faceid-plus": kolors(KOLORS_FACE, "kolors-faceid-plus", f"{FACE} + {L336}", 6, 1_192_903_680),
    "ip-adapter_pulid_sdxl_fp16": sdxl(id_encoder(), "pulid", EVA, 10, 395_673_600),
    "pulid_v1": Published(
        under("id_adapter.", id_encoder()) | PULID_LAYERS, "pulid", "SDXL", EVA, 10, 2048, 70, 395_673_600
    ),
    "pulid_v1.1": Published(
        under("id_adapter.", id_former()) | PULID_LAYERS, "pulid-v1.1", "SDXL", EVA, 32, 2048, 70, 492_185_600
    ),
    "pulid_flux_v0.9.1": Published(
        under("pulid_encoder.", id_former()) | pulid_flux_layers(), "pulid-flux", "FLUX", EVA, 32, 2048, 20, 571_033_600
    ),
    "xlabs-flux": Published(xlabs(4), "xlabs-flux", "FLUX", L, 4, 4096, 19, 490_874_880),
    "xlabs-flux-v2": Published(xlabs(16), "xlabs-flux", "FLUX", L, 16, 4096, 19, 528_672_768),
    "instantx-flux": Published(
        under("image_proj.", mlp(128, 4096, 1152, 2304)) | flux_layers(),
        "instantx-flux",
        "FLUX",
        SIGLIP,
        128,
        4096,
        57,
        2_645_600_512,
    ),
    "instantx-sd35": Published(sd35(), "instantx-sd35", "SD3.5", SIGLIP, 64, 2432, 38, 797_925_888),
    "SD2 (none is published)": Published(
        under("image_proj.", linear(1024, 4, 1024)) | layers(SD_WIDTHS, 1024),
        "base",
        "SD2.x",
        H,
        4,
        1024,
        16,
        25_559_040 + 1024 * 4096 + 4096 + 2048,
    ),
}
"""Plus Face and Composition have the shapes of Plus, FaceID Plus v1 those of v2, light those of the base adapter, and
InstantID those of unnorm, so each of these appears once."""

SD_BLOCKS = {"down_blocks.0": 320, "down_blocks.1": 640, "down_blocks.2": 1280, "mid_block": 1280}
SD_ATTENTIONS = [(f"{name}.attentions.{i}", 1, width) for name, width in SD_BLOCKS.items() for i in range(2)]
SD_ATTENTIONS = [each for each in SD_ATTENTIONS if each[0] != "mid_block.attentions.1"] + [
    (f"up_blocks.{block}.attentions.{i}", 1, width)
    for block, width in ((1, 1280), (2, 640), (3, 320))
    for i in range(3)
]
SDXL_ATTENTIONS = [
    *((f"down_blocks.1.attentions.{i}", 2, 640) for i in range(2)),
    *((f"down_blocks.2.attentions.{i}", 10, 1280) for i in range(2)),
    ("mid_block.attentions.0", 10, 1280),
    *((f"up_blocks.0.attentions.{i}", 10, 1280) for i in range(3)),
    *((f"up_blocks.1.attentions.{i}", 2, 640) for i in range(3)),
]
"""diffusers' name of each spatial transformer, its depth and its width."""


def separate_lora(attentions: list[tuple[str, int, int]], dim: int, alpha: bool) -> Shapes:
    made: Shapes = {}
    for path, depth, h in attentions:
        for t in range(depth):
            for number, context in ((1, h), (2, dim)):
                for name, entering in (("to_q", h), ("to_k", context), ("to_v", context), ("to_out_0", h)):
                    place = f"{path}.transformer_blocks.{t}.attn{number}".replace(".", "_")
                    made[f"lora_unet_{place}_{name}.lora_down.weight"] = (128, entering)
                    made[f"lora_unet_{place}_{name}.lora_up.weight"] = (h, 128)
                    made |= {f"lora_unet_{place}_{name}.alpha": ()} if alpha else {}
    return made


BYTES = {"F64": 8, "F32": 4, "I64": 8, "F16": 2, "BF16": 2}


def header(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F16", own: Mapping[str, str] | None = None) -> bytes:
    """Return the head of a safetensors file as the library writes it: wide dtypes first, then by name, padded to 8."""
    dtypes = {key: (own or {}).get(key, dtype) for key in shapes}
    described, end = {}, 0
    for key in sorted(shapes, key=lambda key: (-BYTES[dtypes[key]], key)):
        start, end = end, end + math.prod(shapes[key]) * BYTES[dtypes[key]]
        described[key] = {"dtype": dtypes[key], "shape": list(shapes[key]), "data_offsets": [start, end]}
    text = json.dumps(described, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def size(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F16", own: Mapping[str, str] | None = None) -> int:
    """Return the bytes of the safetensors file with these shapes."""
    parts = (math.prod(shape) * BYTES[(own or {}).get(key, dtype)] for key, shape in shapes.items())
    return len(header(shapes, dtype, own)) + sum(parts)


def sparse(path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: str = "F16") -> Path:
    """Write a sparse safetensors file of full length, which takes no disk space."""
    path.write_bytes(header(shapes, dtype))
    if sys.platform == "win32":  # elsewhere, files are sparse by themselves
        subprocess.run(["fsutil", "sparse", "setflag", str(path)], check=True, stdout=subprocess.DEVNULL)
    with path.open("r+b") as file:
        file.truncate(size(shapes, dtype))
    return path
