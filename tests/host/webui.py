"""Start an installed web UI, talk to its API, and make files that fit its checkpoints."""

import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from makers import LEVEL, adapter_tensors, lora_tensors, picture, save, text_of
from PIL import Image

from demo.files import CHECKPOINT
from lib_ipadapter.engine.tokens import project
from lib_ipadapter.networks.unet_sites import SD, SDXL, sites
from lib_ipadapter.pictures.crops import resize_for
from lib_ipadapter.pictures.image_file import decode
from lib_ipadapter.pictures.preprocess import to_pixels
from lib_ipadapter.weights.adapter_file import open_adapter
from lib_ipadapter.weights.clip_vision import open_encoder, zero_pixels
from lib_ipadapter.weights.family import EMBED
from lib_ipadapter.weights.lora_layers import lora_layers
from lib_ipadapter.weights.tensor_file import read_shapes

REPOSITORY = Path(__file__).resolve().parents[2]
COMMON_FLAGS = "--skip-torch-cuda-test --skip-prepare-environment --skip-version-check --api"
SIZE = int(os.environ.get("IP_ADAPTER_HOST_SIZE", "256"))
"""Sides of the pictures in pixels, unless a test says otherwise."""
FEATURES, STATES = 104, 192
"""Widths of the test encoder's embedding and hidden states; no other encoder has them, not even the small model's."""


SETTINGS = {
    "live_previews_enable": False,
    "batch_cond_uncond": True,
    "pad_cond_uncond": False,
    "pad_cond_uncond_v0": False,
    "skip_early_cond": 0.0,
    "s_min_uncond": 0.0,
    "s_min_uncond_all": False,
    "token_merging_ratio": 0.0,
    "hypertile_enable_unet": False,
    "upcast_attn": False,
    "ipadapter_unconditional": "mean",
    "ipadapter_likeness": False,
    "ipadapter_likeness_log": "none",
    "VERSION_UID": "PY313",  # otherwise Forge Neo waits for a key press
}
"""Settings to start with. A1111 restores an overridden setting only if its settings file has it."""


@dataclass(frozen=True)
class Kind:
    """A web UI that the tests know, recognised from its files."""

    name: str
    marks: tuple[str, ...]
    """Files, each with a text in it; the first kind whose marks are all found is the right one."""
    flags: str
    asks: dict[str, Any] = field(default_factory=dict[str, Any])
    """What a request to its API needs for hires fix."""
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """Additional settings to start it with."""
    forge: bool = True
    """Whether it is of the Forge family: models load when they are needed, and the U-Net gets row kinds."""


FORGES_HIRES = {"hr_additional_modules": ["Use same choices"], "hr_cfg": 3}

KINDS = (
    Kind(
        "reForge",
        ("ldm_patched/modules/args_parser.py: --always-cpu", "k_diff: "),
        "--always-cpu",
        {"hr_cfg": 3},
        {"sd_checkpoints_limit": 2},  # otherwise it reads both again for each picture with a refiner
    ),
    Kind("Forge Classic", ("ldm_patched/modules/args_parser.py: --always-cpu", "modules_forge: "), "--always-cpu"),
    Kind("Forge", ("backend/args.py: --always-cpu", "modules_forge: "), "--always-cpu", FORGES_HIRES),
    Kind(
        "Forge Neo",
        ("backend/args.py: --cpu", "modules_forge: "),
        "--cpu --use-pytorch-cross-attention",  # what it takes on a CPU needs 18 GB for the largest picture here
        FORGES_HIRES | {"hr_upscaler": "None"},
    ),
    Kind(
        "AUTOMATIC1111",
        ("webui.py: ",),
        "--no-half --use-cpu all --no-download-sd-model --do-not-download-clip",
        forge=False,
    ),
)


def kind_of(folder: Path) -> Kind:
    """Return which web UI is in a folder."""

    def there(mark: str) -> bool:
        name, text = mark.split(": ")
        path = folder / name
        return path.exists() and (not text or text in path.read_text(encoding="utf-8"))

    return next(kind for kind in KINDS if all(map(there, kind.marks)))


NO_INSIGHTFACE = "insightface is not installed in the web UI"
"""Why tests with faces are left out."""

STARTED = "Startup time"
"""What every web UI logs when it has added its routes."""


class RefusedError(Exception):
    """The web UI answered with an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class WebUI:
    """A running web UI."""

    def __init__(
        self, folder: Path, python: str, flags: str, log: Path, variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder, self.kind = folder, kind_of(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        kind = f"{COMMON_FLAGS} {self.kind.flags} --port {self.port}"
        command = [python, "launch.py", *kind.split(), *flags.split()]
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
            **variables,
        }
        environment.pop("PYTHONPATH", None)
        self.log = log
        self.kept = log.parent / "named"
        """Folder of saved references and subjects; `started` passes it to the web UI."""
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log.open("wb"), stderr=subprocess.STDOUT
        )
        self.wait(1)

    def logged(self, text: str) -> int:
        """Return how often a text stands in its log."""
        return self.log.read_bytes().count(text.encode())

    def wait_until_logged(self, text: str, times: int, seconds: float = 900) -> None:
        end = time.monotonic() + seconds
        while self.logged(text) < times:
            if self.process.poll() is not None:
                raise RuntimeError(f"the web UI ended with {self.process.returncode}; see {self.log}")
            if time.monotonic() > end:
                raise RuntimeError(f'the web UI did not say "{text}" in {seconds} seconds; see {self.log}')
            time.sleep(0.2)

    def wait(self, starts: int, seconds: float = 900) -> None:
        """Wait until it has started this many times, including UI reloads, and answers."""
        self.wait_until_logged(STARTED, starts, seconds)  # a request while it adds its routes would stop it
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(OSError, RefusedError):
                self.call("/ip-adapter-oracle/hooks", timeout=60)  # added last; answers once the model is loaded
                return
            time.sleep(0.5)
        raise RuntimeError(f"the web UI did not answer in {seconds} seconds; see {self.log}")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def call(self, path: str, body: Any = None, timeout: float = 900) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise RefusedError(error.code, json.loads(text) if text.startswith("{") else text) from None

    def use(self, checkpoint: Path) -> None:
        """Load a checkpoint, unless it is already loaded."""
        loaded = self.call("/sdapi/v1/options")["sd_model_checkpoint"] or ""
        if loaded.split(" [")[0] != checkpoint.name:
            self.call("/sdapi/v1/options", {"sd_model_checkpoint": checkpoint.name})

    def checkpoints(self) -> dict[str, list[Path]]:
        """Return its checkpoints whose U-Net fits adapters, by layout, preferred ones first."""
        return by_layout(Path(model["filename"]) for model in self.call("/sdapi/v1/sd-models"))

    def use_smallest(self, layout: Any = SD) -> Path:
        """Load the smallest checkpoint of a layout that the web UI has, and return it."""
        fitting = self.checkpoints()[layout.name]
        if not fitting:
            pytest.skip(f"the web UI has no {layout.name} checkpoint")
        self.use(fitting[0])
        return fitting[0]

    def generate(
        self, *units: dict[str, Any], oracle: Path | None = None, mode: str = "txt2img", way: str = "", **more: Any
    ) -> "Made":
        """Return what the API makes with these units, or with the oracle's file.

        `way` is how the oracle's extension has the web UI call the U-Net: see there. AUTOMATIC1111 has a setting for
        "separate".
        """
        settings = {"samples_format": "png", **more.pop("settings", {})}
        if way == "separate" and not self.kind.forge:
            settings, way = {**settings, "batch_cond_uncond": False}, ""
        body = {
            "prompt": "a red cat",
            "negative_prompt": "blurry",
            "steps": 4,
            "width": SIZE,
            "height": SIZE,
            "seed": 1,
            "sampler_name": "Euler",
            "cfg_scale": 3,
            "override_settings": settings,
            **more,
            **(self.kind.asks if more.get("enable_hr") else {}),
        }
        scripts = {**body.pop("scripts", {})}
        if units:
            scripts["ip-adapter"] = {"args": list(units)}
        if oracle or way:
            scripts["ip-adapter oracle"] = {"args": [str(oracle or ""), -1, way]}
        return Made(self.call(f"/sdapi/v1/{mode}", body | {"alwayson_scripts": scripts}))

    def settle(self, **settings: Any) -> None:
        """Make a picture that does not count, before pictures from a picture are compared.

        Forge's autoencoder adds noise that it draws before the noise is seeded, from where the last request left off.
        How much that changes is up to the checkpoint.
        """
        self.generate(**settings)

    def plot_args(self, *axes: tuple[int, str]) -> list[Any]:
        """Return the X/Y/Z plot script's arguments; their order differs between web UIs."""
        info = next(info for info in self.call("/sdapi/v1/script-info") if info["name"] == "x/y/z plot")
        wanted = {
            "Draw legend": False,
            "Include Sub Images": True,
            "Use text inputs instead of dropdowns": True,
        }
        rest = [wanted.get(arg["label"], arg["value"]) for arg in info["args"][9:]]
        return [part for axis in (*axes, *[(0, "")] * (3 - len(axes))) for part in (*axis, [])] + rest

    def has_insightface(self) -> bool:
        """Return whether its Python has what reads faces; the models are another matter."""
        try:
            self.call("/ipadapter/faces", {"image": reference()})
        except RefusedError as error:
            return "needs insightface and onnxruntime" not in str(error)
        return True

    def hooks(self) -> int:
        """Return how many hooks and replaced forwards there are on the loaded checkpoint's modules."""
        return self.call("/ip-adapter-oracle/hooks")


class Made:
    """Pictures as arrays of levels 0..255, and the web UI's facts about them."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.info = json.loads(answer["info"])
        files = [base64.b64decode(image) for image in answer["images"]]
        self.files = files
        self.pictures = [np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int) for file in files]

    def __sub__(self, other: "Made") -> int:
        """Return the largest difference of any level in any picture."""
        assert len(self.pictures) == len(other.pictures)
        return max(int(np.abs(a - b).max()) for a, b in zip(self.pictures, other.pictures, strict=True))

    def mean_difference(self, other: "Made") -> float:
        return float(np.mean([np.abs(a - b).mean() for a, b in zip(self.pictures, other.pictures, strict=True)]))


def reference(seed: int = 1, width: int = 96, height: int = 96) -> str:
    return text_of(picture(width, height, seed))


class Files:
    """Random adapters and an encoder in their own folder, which fit whatever checkpoint the web UI has."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loras = folder / "loras"
        self.loras.mkdir(exist_ok=True)
        save_encoder(folder / "host-test-encoder.safetensors")

    def other_encoder(self) -> None:
        """Write an encoder that fits no adapter here."""
        save_encoder(self.folder / "other-encoder.safetensors", width=64, features=32)

    def adapter(self, checkpoint: Path, family: str = "base", seed: int = 0, strength: float = 0.5) -> str:
        """Write an adapter for the checkpoint's U-Net and return its name; `strength` multiplies its values."""
        layout, widths, context_dim = unet_sizes(checkpoint)
        tokens, width = {"base": (4, FEATURES), "plus": (16, STATES), "full-face": (17, STATES)}[family]
        name = f"host-{checkpoint.stem}-{family}-{seed}" + f"-{strength:g}" * (strength != 0.5)
        tensors = adapter_tensors(family, layout, widths, context_dim, width, tokens, seed)
        tensors = {key: tensor * (strength if "_v_ip" in key else 1.0) for key, tensor in tensors.items()}
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            save(tensors, path)
        return name

    def faceid(self, checkpoint: Path, family: str, name: str, lora: bool) -> str:
        """Write a FaceID adapter for the checkpoint's U-Net, with or without its LoRA, and return its name."""
        layout, widths, context_dim = unet_sizes(checkpoint)
        tokens = {"faceid": 4, "portrait": 16, "faceid-plus": 4}[family]
        family = family.replace("portrait", "faceid")
        tensors = adapter_tensors(family, layout, widths, context_dim, STATES, tokens)
        tensors = {key: tensor * (0.5 if "_v_ip" in key else 1.0) for key, tensor in tensors.items()}
        save(tensors | (self.lora(checkpoint) if lora else {}), self.folder / f"{name}.bin")
        return name

    def pulid(self, checkpoint: Path, family: str, width: int = STATES) -> str:
        """Write a PuLID adapter for the checkpoint's U-Net, for hidden states `width` wide, and return its name."""
        layout, widths, context_dim = unet_sizes(checkpoint)
        tensors = adapter_tensors(family, layout, widths, context_dim, width, 32)
        strength = {"pulid": 0.5, "pulid-v1.1": 1.0}[family]  # whose tokens are smaller
        tensors = {key: tensor * (strength if "_v_ip" in key else 1.0) for key, tensor in tensors.items()}
        return save(tensors, self.folder / f"host-{family}.safetensors").stem

    def pulid_features(self) -> Path:
        """Write a file with made features of one photo."""
        torch.manual_seed(9)
        embed, hidden = torch.randn(1, 768), [torch.randn(1, 17, STATES) for _ in range(5)]
        made = {"face": torch.randn(512), "embed": embed / embed.norm(), "hidden": hidden}
        torch.save(made, self.folder / "pulid.pth")
        return self.folder / "pulid.pth"

    def pulid_oracle(self, model: str, method: str, weight: float) -> Path:
        """Write the oracle's file for a unit with the features of `pulid_features`."""
        made = torch.load(self.folder / "pulid.pth", weights_only=True)
        parts = [made["face"][None], made["embed"], *made["hidden"]]
        adapter = open_adapter(self.folder / f"{model}.safetensors")
        tensors = adapter.tensors()
        tokens = project(adapter, tensors, *(torch.cat([each, torch.zeros_like(each)]) for each in parts))
        layout = SD if adapter.recognised.layers == 16 else SDXL
        layers = {
            site.path: tuple(tensors[f"ip_adapter.{site.key}.to_{part}_ip.weight"] for part in "kv")
            for site in sites(layout)
        }
        unit = {"tokens": tokens, "layers": layers, "weights": dict.fromkeys(layers, weight), "method": method}
        path = self.folder / f"oracle-{len(list(self.folder.glob('oracle-*')))}.pth"
        torch.save([unit | {"start": 0.0, "end": 2.0, "curve": [], "mask": None}], path)
        return path

    def lora(self, checkpoint: Path) -> dict[str, torch.Tensor]:
        """Return a random LoRA for the checkpoint's U-Net with a visible but moderate effect."""
        return {key: tensor * 0.5 for key, tensor in lora_tensors(*unet_sizes(checkpoint)).items()}

    def separate_lora(self, checkpoint: Path, name: str) -> str:
        """Write the same LoRA as a separate file among the web UI's LoRAs, and return its name."""
        tensors, layout = self.lora(checkpoint), unet_sizes(checkpoint)[0]
        named = {
            separate: tensors[key]
            for layer in lora_layers(layout)
            for key, separate in zip(layer.inside, layer.separate, strict=True)
        }
        save(named, self.loras / f"{name}.safetensors")
        return name

    def oracle(self, *units: dict[str, Any]) -> Path:
        """Write the file with which the oracle does the same as these units."""
        path = self.folder / f"oracle-{len(list(self.folder.glob('oracle-*')))}.pth"
        torch.save([self._oracle_unit(**unit) for unit in units], path)
        return path

    def _oracle_unit(
        self,
        model: str,
        images: list[str],
        weight: float = 1.0,
        start: float = 0.0,
        end: float = 2.0,
        of_layer: dict[int, float] | None = None,
        curve: tuple[tuple[float, float], ...] = (),
        mask: str | None = None,
    ) -> dict[str, Any]:
        """Return a unit for the oracle; `of_layer` holds a factor of the weight for each layer that takes part."""
        adapter = open_adapter(self.folder / f"{model}.safetensors")
        tensors = adapter.tensors()
        layout = SD if adapter.recognised.layers == 16 else SDXL
        layers = {
            site.path: tuple(tensors[f"ip_adapter.{site.key}.to_{part}_ip.weight"] for part in "kv")
            for site in sites(layout)
        }
        weights = {
            site.path: weight * (1.0 if of_layer is None else of_layer.get(site.layer, 0.0)) for site in sites(layout)
        }
        features = self._features(adapter.recognised.family.takes, images)
        uncond, *cond = project(adapter, tensors, features)
        return {
            "tokens": torch.stack([torch.cat(cond), uncond.repeat(len(cond), 1)]),
            "layers": layers,
            "weights": weights,
            "start": start,
            "end": end,
            "curve": list(curve),
            "mask": None if mask is None else mask_levels(mask),
        }

    def _features(self, takes: str, images: list[str]) -> torch.Tensor:
        """Return the features of the unconditional picture, then of each reference."""
        encoder = open_encoder(self.folder / "host-test-encoder.safetensors")
        pictures = [decode("image", base64.b64decode(image)) for image in images]
        pixels = [to_pixels(resize_for(each, encoder.image_size, "center")) for each in pictures]
        nothing, *made = encoder.encode([zero_pixels(encoder), *pixels], torch.device("cpu"), torch.float32)
        cond = torch.cat([each.of(takes) for each in made])
        return torch.cat([torch.zeros_like(cond[:1]) if takes == EMBED else nothing.of(takes), cond])


def mask_levels(mask: str) -> torch.Tensor:
    """Return a mask's brightness from 0 to 1: (height, width)."""
    picture = Image.open(io.BytesIO(base64.b64decode(mask))).convert("L")
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)


def save_encoder(path: Path, width: int = STATES, features: int = FEATURES) -> None:
    """Write a tiny random CLIP vision tower in open_clip's layout."""
    torch.manual_seed(7)
    patches, layers = 16, 3
    tensors = {
        "class_embedding": torch.randn(width),
        "positional_embedding": torch.randn(patches + 1, width) * 0.5,
        "conv1.weight": torch.randn(width, 3, 14, 14) * 0.06,
        "proj": torch.randn(width, features) * width**-0.5,
    }
    norms = ["ln_pre", "ln_post"]
    for block in range(layers):
        prefix = f"transformer.resblocks.{block}"
        norms += [f"{prefix}.ln_1", f"{prefix}.ln_2"]
        for name, rows, columns in (
            ("attn.in_proj_", 3 * width, width),
            ("attn.out_proj.", width, width),
            ("mlp.c_fc.", 4 * width, width),
            ("mlp.c_proj.", width, 4 * width),
        ):
            tensors[f"{prefix}.{name}weight"] = torch.randn(rows, columns) * columns**-0.5
            tensors[f"{prefix}.{name}bias"] = torch.zeros(rows)
    for norm in norms:
        tensors |= {f"{norm}.weight": torch.ones(width), f"{norm}.bias": torch.zeros(width)}
    save({f"visual.{key}": tensor for key, tensor in tensors.items()}, path)


UNET = "model.diffusion_model."
"""Prefix of a U-Net's keys in a checkpoint."""


def use_adapter(webui: WebUI, files: Files) -> str:
    """Load the smallest checkpoint, and return the name of a new adapter for it that the web UI knows."""
    name = files.adapter(webui.use_smallest())
    webui.call("/ipadapter/rescan", {})
    return name


def unet_sizes(checkpoint: Path) -> tuple[Any, tuple[int, ...], int]:
    """Return the layout, the widths of the levels with attention, and the context width of a checkpoint's U-Net."""
    shapes = read_shapes(checkpoint)
    layout = SD if f"{UNET}input_blocks.1.1.norm.weight" in shapes else SDXL
    to_k = {site: shapes[f"{UNET}{site.path}.to_k.weight"] for site in sites(layout)}
    levels = LEVEL[layout.name]["input"]
    widths = {levels[site.number]: shape[0] for site, shape in to_k.items() if site.block == "input"}
    _, context_dim = next(iter(to_k.values()))
    return layout, tuple(widths[level] for level in sorted(widths)), context_dim


def by_layout(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Return by layout the checkpoints whose U-Net has a site wherever an adapter has one.

    Smallest first, but the small model of demo/ last: it is trained to draw pictures of 64 pixels.
    """
    found: dict[str, list[Path]] = {SD.name: [], SDXL.name: []}
    for path in paths:
        if path.suffix == ".safetensors":
            with contextlib.suppress(KeyError):  # it lacks a site (the refiner does), or has no such U-Net
                found[unet_sizes(path)[0].name].append(path)
    return {
        name: sorted(each, key=lambda path: (path.name == CHECKPOINT, path.stat().st_size, path.name))
        for name, each in found.items()
    }


def smallest_in(folder: Path, layout: Any, context_dims: Collection[int] = (768, 2048)) -> Path:
    """Return the smallest checkpoint of a layout in a web UI's own folder, before it is started; skip without one."""
    fitting = by_layout((folder / "models" / "Stable-diffusion").glob("*.safetensors"))[layout.name]
    for path in fitting:
        if unet_sizes(path)[2] in context_dims:
            return path
    pytest.skip(f"the web UI has no {layout.name} checkpoint in models/Stable-diffusion")


LINK = "host-test-{}"
"""What an extension is called in the web UI's folder, by the name of its own folder."""

OURS = LINK.format(REPOSITORY.name)


def installed_beside(folder: Path, *sources: Path) -> list[str]:
    """Return the names of the other extensions in a web UI's folder."""
    wanted = {source.resolve() for source in sources}
    there = (folder / "extensions").iterdir()
    return sorted(path.name for path in there if path.is_dir() and path.resolve() not in wanted)


@contextlib.contextmanager
def linked(folder: Path, *sources: Path) -> Iterator[None]:
    """Link extensions into the web UI's folder for the duration of the context, unless they are already there."""
    made = []
    there = {path.resolve() for path in (folder / "extensions").iterdir()}
    for source in sources:
        if source.resolve() not in there:
            link = folder / "extensions" / LINK.format(source.name)
            link.symlink_to(source)
            made.append(link)
    try:
        yield
    finally:
        for link in made:
            link.unlink()
