"""A minimal host with ldm's real U-Net, and tiny files that fit it."""

import contextlib
import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from makers import adapter_tensors, picture, save, text_of
from torch import Tensor, nn

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.networks.unet_sites import SDXL
from lib_ipadapter.port import (
    COND,
    UNCOND,
    CacheLimits,
    Folders,
    GeneratedPicture,
    PassInfo,
    ReferenceStoreConfig,
    ReportSettings,
    Row,
)
from lib_ipadapter.unit.unit import Unit
from lib_ipadapter.web.panel_requests import panel_answer

CONTEXT, FEATURES, STATES = 24, 40, 64
WIDTHS = (32, 64, 128)
ROWS = (Row(COND, 0), Row(UNCOND, 0))


def save_tower(path: Path) -> Path:
    """Write a tiny vision tower: 28 pixels, patches of 14, two layers."""
    torch.manual_seed(0)
    made = {
        "class_embedding": torch.randn(STATES),
        "positional_embedding": torch.randn(5, STATES),
        "conv1.weight": torch.randn(STATES, 3, 14, 14) * 0.06,
        "proj": torch.randn(STATES, FEATURES) * STATES**-0.5,
    }
    for block in range(2):
        prefix = f"transformer.resblocks.{block}"
        for name, rows, columns in (
            ("attn.in_proj_", 3 * STATES, STATES),
            ("attn.out_proj.", STATES, STATES),
            ("mlp.c_fc.", 2 * STATES, STATES),
            ("mlp.c_proj.", STATES, 2 * STATES),
        ):
            made |= {
                f"{prefix}.{name}weight": torch.randn(rows, columns) * 0.1,
                f"{prefix}.{name}bias": torch.zeros(rows),
            }
        for name in ("ln_1", "ln_2"):
            made |= {f"{prefix}.{name}.weight": torch.ones(STATES), f"{prefix}.{name}.bias": torch.zeros(STATES)}
    for name in ("ln_pre", "ln_post"):
        made |= {f"{name}.weight": torch.ones(STATES), f"{name}.bias": torch.zeros(STATES)}
    return save({f"visual.{name}": tensor for name, tensor in made.items()}, path)


def save_files(folder: Path) -> None:
    """Write a tower and adapters that fit it: base and plus for the small U-Net, and one for SDXL."""
    save_tower(folder / "tower.safetensors")
    size = {"widths": WIDTHS, "context_dim": CONTEXT}
    save(adapter_tensors("base", width=FEATURES, **size), folder / "base.safetensors")
    save(adapter_tensors("plus", width=STATES, tokens=8, **size), folder / "plus.bin")
    save(adapter_tensors("base", SDXL, (64, 128), 32, FEATURES), folder / "sdxl.safetensors")


class SmallHost:
    """The minimum that satisfies `port.Host`."""

    def __init__(self, folder: Path, unet: nn.Module) -> None:
        self.folder, self.unet = folder, unet
        self.refused: list[str] = []
        self.checked: tuple[set[str], list[str]] = set(), []
        self.comments: list[str] = []
        self.run: Any = None
        self.convention = "mean"
        self.facts = PassInfo()
        self.kept: ReferenceStoreConfig | None = None
        self.limits = CacheLimits()
        self.progress: list[tuple[str, int, int]] = []
        self.interrupted_at = 0
        self.no_downloads = ""
        self.leaves_out = False
        self.checkpoint = ""
        self.metadata: dict[str, Any] = {}
        self.to_load: Path | None = None

    def about(self) -> str:
        return "small host 1.0"

    def folders(self) -> Folders:
        own = self.folder
        one = {name: (own / name,) for name in ("saved", "faces", "facexlib", "loras", "subjects", "controlnets")}
        return Folders((own,), (own,), presets=own / "presets.json", **one)

    def compute_device(self) -> torch.device:
        return torch.device("cpu")

    def compute_dtype(self) -> torch.dtype:
        return torch.float32

    def face_device(self) -> torch.device:
        return self.compute_device()

    def free_memory(self, needed: int) -> None: ...

    def unconditional(self) -> str:
        return self.convention

    def cache_limits(self) -> CacheLimits:
        return self.limits

    def reference_store(self) -> ReferenceStoreConfig | None:
        return self.kept

    def pass_info(self, p: Any) -> PassInfo:
        return self.facts

    def sampling_unet(self, p: Any) -> nn.Module:
        return self.unet

    def checkpoint_to_load(self) -> Path | None:
        return self.to_load

    def checkpoint_name(self) -> str:
        return self.checkpoint

    def checkpoint_metadata(self) -> dict[str, Any]:
        return self.metadata

    def loaded_unet(self) -> nn.Module | None:
        return self.unet

    def downloads_refused(self) -> str:
        return self.no_downloads

    def exclusive(self, task: str = "") -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def report_progress(self, what: str, done: int, total: int) -> None:
        self.progress.append((what, done, total))
        if len(self.progress) == self.interrupted_at:
            raise IPAdapterError("Interrupted.")

    def http_error(self, error: IPAdapterError) -> Exception:
        from fastapi import HTTPException

        return HTTPException(error.status, str(error))

    @contextlib.contextmanager
    def stop_on_error(self, p: Any, unit: int | None = None) -> Iterator[None]:
        try:
            yield
        except IPAdapterError as error:
            error.unit = error.unit or unit
            self.refused.append(str(error))

    def comment(self, p: Any, text: str) -> None:
        self.comments.append(text)

    def check_other_extensions(self, p: Any, adapters: Collection[str], units: Collection[Unit]) -> None:
        self.checked = set(adapters), [unit.inner for unit in units]

    def inner_left_out(self) -> bool:
        return self.leaves_out

    def join_inner(self) -> dict[str, str]:
        self.leaves_out = False
        return {"ad_script_names": "dynamic_thresholding,ip_adapter"}

    def expect_passes(self, p: Any) -> None: ...

    def while_sampling(self, p: Any, run: Any) -> None:
        self.run = run

    def before_process(self, p: Any, feeds_controlnet: bool) -> None: ...

    def on_cfg_denoiser(self, params: Any) -> None: ...

    def report_settings(self, p: Any) -> ReportSettings:
        return ReportSettings(False, "none", self.folder)

    def generated_picture(self, p: Any) -> GeneratedPicture:
        return GeneratedPicture(0, 0, 1, 0)

    def route_guards(self, app: Any) -> Sequence[Any]:
        return ()

    def answer_refusals(self, app: Any) -> None: ...

    def show_refusals(self) -> None: ...


class Processing:
    def __init__(self) -> None:
        self.extra_generation_params: dict[str, str] = {}


def photo(seed: int = 1, width: int = 50, height: int = 40) -> str:
    return text_of(picture(width, height, seed))


def unit(**more: Any) -> dict[str, Any]:
    return {"model": "base", "images": [photo()], **more}


def ask(session: Session, do: str, **more: Any) -> dict[str, Any]:
    """Return the session's answer to a request of the panel."""
    answer = json.loads(panel_answer(session, json.dumps({"do": do, "id": 7, **more})))
    assert answer.pop("id") == 7
    return answer


def call(
    host: SmallHost,
    session: Session,
    args: list[Any],
    rows: Sequence[Row] = ROWS,
    progress: float = 0.0,
    size: tuple[int, int] = (8, 8),
    watch: str = "",
) -> Tensor:
    """Return the U-Net's output for some rows that differ only in their roles, with the units of `args` applied.

    With `watch`, the path of an output projection, return what goes into that instead.
    """
    host.run = None
    session.before_sampling(Processing(), args)
    assert not host.refused, host.refused
    if host.run:
        host.run.inject(host.unet)
        host.run.begin_call(rows, progress, size)
    seen: list[Tensor] = []
    watched = host.unet.get_submodule(watch).register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    torch.manual_seed(5)
    latents, text = torch.randn(1, 4, *size), torch.randn(1, 7, CONTEXT)
    count = len(rows)
    try:
        made = host.unet(latents.expand(count, -1, -1, -1), torch.full((count,), 9), text.expand(count, -1, -1))
        return seen[0] if watch else made
    finally:
        watched.remove()
        if host.run:
            host.run.eject()
