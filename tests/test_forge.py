"""The Forge family as a host, with stubs of the modules that the host reads.

What real web UIs do is checked in tests/host; these are the host's own arithmetic, its hooks and its refusals.
"""

import contextlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_a1111 import forget_hosts
from torch import Tensor

fastapi = pytest.importorskip("fastapi")

from lib_ipadapter.base.errors import IPAdapterError, UnitError  # noqa: E402
from lib_ipadapter.port import COND, UNCOND  # noqa: E402


class UNet(torch.nn.Module):
    """The U-Net that Forge calls, which keeps each call's options after the hooks."""

    def forward(self, x: Tensor, timesteps: Any = None, context: Any = None, transformer_options: Any = None) -> Tensor:
        self.seen = transformer_options
        return x


def checkpoint(unet: torch.nn.Module) -> Any:
    patcher = SimpleNamespace(model=SimpleNamespace(diffusion_model=unet))
    return SimpleNamespace(forge_objects=SimpleNamespace(unet=patcher))


class Memory(types.ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.device, self.freed = torch.device("cpu"), []

    def get_torch_device(self) -> torch.device:
        return self.device

    def minimum_inference_memory(self) -> int:
        return 1000

    def free_memory(self, needed: int, device: torch.device) -> None:
        self.freed.append((needed, device))


@pytest.fixture(params=["backend.memory_management", "ldm_patched.modules.model_management"])
def modules(request, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Any]:
    """The web UI's package, reduced to what the host uses."""
    options: dict[str, Any] = {}
    modules = types.ModuleType("modules")
    parts = {
        "call_queue": SimpleNamespace(queue_lock=contextlib.nullcontext("the lock")),
        "progress": SimpleNamespace(),
        "devices": SimpleNamespace(dtype=torch.float16),
        "paths_internal": SimpleNamespace(models_path=str(tmp_path / "models"), extensions_dir=str(tmp_path / "ext")),
        "sd_models": SimpleNamespace(model_data=SimpleNamespace(sd_model=SimpleNamespace()), checkpoint_aliases={}),
        "shared": SimpleNamespace(
            opts=SimpleNamespace(data=options),
            cmd_opts=SimpleNamespace(api_auth=None),
            data_path=str(tmp_path),
            sd_model=checkpoint(UNet()),
        ),
    }
    for name, part in parts.items():
        setattr(modules, name, part)
    monkeypatch.setitem(sys.modules, "modules", modules)
    name = ""
    for part in request.param.split("."):
        name = f"{name}.{part}".removeprefix(".")
        module = Memory(name)
        module.__spec__ = SimpleNamespace()
        module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
    modules.memory = sys.modules[request.param]
    forget_hosts()
    yield modules
    forget_hosts()


@pytest.fixture
def forge(modules) -> Any:
    from lib_ipadapter.hosts.forge import Forge

    return Forge()


@pytest.fixture
def rows(forge) -> Any:
    """The module that finds the row kinds of a call."""
    return sys.modules["lib_ipadapter.hosts.forge_pass"]


def options(chunks: list[int], pictures: int, **more: Any) -> dict[str, Any]:
    return {"cond_or_uncond": chunks, "sigmas": torch.ones(pictures), **more}


@pytest.mark.parametrize(
    ("chunks", "pictures", "expected"),
    [
        ([1, 0], 1, [(UNCOND, 5), (COND, 5)]),
        ([0], 1, [(COND, 5)]),
        ([1], 2, [(UNCOND, 5), (UNCOND, 6)]),
        ([1, 0], 2, [(UNCOND, 5), (UNCOND, 6), (COND, 5), (COND, 6)]),
        ([0, 0, 1], 2, [(COND, 5), (COND, 6), (COND, 5), (COND, 6), (UNCOND, 5), (UNCOND, 6)]),
    ],
)
def test_each_chunk_has_one_row_per_picture(rows, chunks, pictures, expected) -> None:
    assert rows.rows_of(options(chunks, pictures), 5) == expected


@pytest.mark.parametrize("missing", ["cond_or_uncond", "sigmas"])
def test_rows_without_marks_are_an_error(rows, missing) -> None:
    given = options([1, 0], 1)
    del given[missing]
    with pytest.raises(IPAdapterError, match="which rows of the U-Net's batch belong to the prompt"):
        rows.rows_of(given, 0)


RED, BLURRY = torch.ones(1, 7, 5), torch.zeros(1, 7, 5)


@pytest.mark.parametrize(
    ("chunks", "texts", "expected"),
    [
        ([0], [BLURRY], [UNCOND]),
        ([0, 0], [BLURRY, RED], [UNCOND, COND]),
        ([0], [BLURRY.repeat(1, 2, 1)], [UNCOND]),
        ([0], [RED], [COND]),
        ([0], [RED * 5], [COND]),
        ([1, 0], [RED, BLURRY], [UNCOND, COND]),
    ],
)
def test_the_negative_prompt_alone_is_unconditional_whatever_its_mark(rows, chunks, texts, expected) -> None:
    """Self-attention guidance does this. If the marks distinguish both, or for another text, the marks count."""
    params = SimpleNamespace(text_cond=RED, text_uncond=BLURRY)
    rows = rows.corrected_by_text(rows.rows_of(options(chunks, 1), 0), params, torch.cat(texts))
    assert [row.role for row in rows] == expected


def test_the_device_is_waited_for_twice_however_many_rows_are_compared(rows, monkeypatch) -> None:
    """Once for all prompts and once for all negative prompts, where each comparison of two rows would wait."""
    waits: list[torch.Size] = []
    to_list = torch.Tensor.tolist

    def waiting(tensor: torch.Tensor) -> Any:
        waits.append(tensor.shape)
        return to_list(tensor)

    monkeypatch.setattr(torch.Tensor, "tolist", waiting)
    monkeypatch.setattr(torch.Tensor, "__bool__", None)
    monkeypatch.setattr(torch, "equal", None)
    params = SimpleNamespace(text_cond=RED.repeat(2, 1, 1), text_uncond=BLURRY.repeat(2, 1, 1))
    text = torch.cat([RED, RED, BLURRY, BLURRY, RED, RED, BLURRY, BLURRY])
    corrected = rows.corrected_by_text(rows.rows_of(options([0, 0, 0, 0], 2), 3), params, text)
    assert corrected == [(role, picture) for role in (COND, UNCOND, COND, UNCOND) for picture in (3, 4)]
    assert waits == [(4, 2), (4, 2)], "one comparison of a chunk with each text"


def test_marks_count_if_both_prompts_are_equal_or_there_is_one(rows) -> None:
    for negative in (RED, None):
        params = SimpleNamespace(text_cond=RED, text_uncond=negative)
        assert rows.corrected_by_text(rows.rows_of(options([0], 1), 0), params, RED) == [(COND, 0)]


class Run:
    """Records its calls in order."""

    bypassed = feeds_controlnet = False

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def inject(self, unet: Any) -> None:
        if ("inject", unet) not in self.calls:
            self.calls.append(("inject", unet))

    def eject(self) -> None:
        self.calls.append("eject")

    def begin_call(self, rows: Any, progress: float, size: Any) -> None:
        assert size == (2, 2)
        self.calls.append(("begin_call", tuple(rows), progress))

    def end_call(self) -> None:
        self.calls.append("end_call")

    def face_tokens(self, number: int, rows: int) -> Tensor:
        self.calls.append(("face_tokens", number, rows))
        return torch.ones(rows, 3, 5)

    def enter(self, path: str, hidden: Tensor) -> None:
        self.calls.append(("enter", path, len(hidden)))

    def leave(self, path: str, output: Tensor) -> Tensor:
        self.calls.append(("leave", path, len(output)))
        return output + 1


class Processing:
    """One generation with a sampler that has a denoiser and calls `func` while it samples, like Forge's."""

    def __init__(self) -> None:
        sampler = SimpleNamespace(launch_sampling=lambda steps, func: func())
        sampler.model_wrap_cfg = SimpleNamespace(step=3, total_steps=12)
        self.sampler: Any = sampler
        self.iteration, self.batch_size = 2, 1
        self.scripts: Any = None
        self.script_args: list[Any] = []
        self.sd_model: Any = None
        self.comments: list[str] = []

    def comment(self, text: str) -> None:
        self.comments.append(text)

    def params(self) -> Any:
        return SimpleNamespace(
            denoiser=self.sampler.model_wrap_cfg, x=torch.zeros(1, 4, 2, 2), text_cond=RED, text_uncond=BLURRY
        )


def unet_of(modules) -> UNet:
    return modules.shared.sd_model.forge_objects.unet.model.diffusion_model


def call(unet: UNet, chunks: list[int], **more: Any) -> None:
    text = torch.full((len(chunks), 7, 5), 2.0)
    unet(torch.zeros(len(chunks), 4, 2, 2), 1, text, transformer_options=options(chunks, 1, **more))


def hooks(module: torch.nn.Module) -> int:
    return len(module._forward_hooks) + len(module._forward_pre_hooks)


def test_the_run_begins_each_call_of_the_unet_and_is_ejected_after_the_pass(forge, modules) -> None:
    p, run, unet = Processing(), Run(), unet_of(modules)
    forge.while_sampling(p, run)
    assert hooks(unet) == 0

    def work() -> None:
        for chunks in ([1, 0], [0]):
            forge.on_cfg_denoiser(p.params())
            call(unet, chunks)

    p.sampler.launch_sampling(1, work)
    both, cond = ("begin_call", ((UNCOND, 2), (COND, 2)), 0.25), ("begin_call", ((COND, 2),), 0.25)
    assert run.calls == [("inject", unet), both, "end_call", cond, "end_call", "eject"]
    assert hooks(unet) == 0
    call(unet, [0])
    assert run.calls[-1] == "eject"


def test_the_later_of_two_calls_before_a_pass_counts(forge, modules) -> None:
    """Forge calls scripts twice before the second pass of hires fix."""
    p, first, second, unet = Processing(), Run(), Run(), unet_of(modules)
    for run in (first, second):
        forge.while_sampling(p, run)

    def work() -> None:
        forge.on_cfg_denoiser(p.params())
        call(unet, [1, 0])

    p.sampler.launch_sampling(1, work)
    assert first.calls == []
    assert [each for each in second.calls if each[0] == "begin_call"]
    assert second.calls[-1] == "eject"
    assert hooks(unet) == 0


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_run_is_ejected_however_the_pass_ends(forge, modules, error) -> None:
    p, run, unet = Processing(), Run(), unet_of(modules)
    forge.while_sampling(p, run)

    def work() -> None:
        forge.on_cfg_denoiser(p.params())
        raise error

    with pytest.raises(error):
        p.sampler.launch_sampling(1, work)
    assert run.calls == [("inject", unet), "eject"]
    assert hooks(unet) == 0


def test_the_unet_after_the_refiners_switch_is_followed(forge, modules) -> None:
    p, run, first, second = Processing(), Run(), unet_of(modules), UNet()
    forge.while_sampling(p, run)

    def work() -> None:
        forge.on_cfg_denoiser(p.params())
        call(first, [1, 0])
        modules.shared.sd_model = checkpoint(second)
        forge.on_cfg_denoiser(p.params())
        assert hooks(first) == 0
        call(second, [1, 0])

    p.sampler.launch_sampling(1, work)
    assert [each[1] for each in run.calls if each[0] == "inject"] == [first, second]
    assert len([each for each in run.calls if each[0] == "begin_call"]) == 2


@pytest.mark.parametrize("seen", [True, False], ids=["blocks compiled", "whole U-Net compiled"])
def test_a_pass_that_did_not_use_the_unet_is_refused(forge, modules, seen) -> None:
    p, run, unet = Processing(), Run(), unet_of(modules)
    run.bypassed = seen  # its cross-attentions were not called
    forge.while_sampling(p, run)

    def work() -> str:
        forge.on_cfg_denoiser(p.params())
        if seen:
            call(unet, [1, 0])
        return "latents"

    with pytest.raises(fastapi.HTTPException, match="something replaced it"):
        p.sampler.launch_sampling(1, work)
    assert run.calls[-1] == "eject"
    assert hooks(unet) == 0
    modules.shared.opts.data["ipadapter_warn_only"] = True
    assert p.sampler.launch_sampling(1, work) == "latents"
    assert "something replaced it" in p.comments[0]


def test_an_interrupt_before_the_first_call_is_no_refusal(forge) -> None:
    p = Processing()
    forge.while_sampling(p, Run())
    assert p.sampler.launch_sampling(1, lambda: "latents") == "latents"


def test_rows_without_marks_stop_the_generation(forge, modules) -> None:
    p, run, unet = Processing(), Run(), unet_of(modules)
    forge.while_sampling(p, run)

    def work() -> None:
        forge.on_cfg_denoiser(p.params())
        unet(torch.zeros(1, 4, 2, 2))

    with pytest.raises(fastapi.HTTPException, match="another extension calls the U-Net without these marks"):
        p.sampler.launch_sampling(1, work)
    assert hooks(unet) == 0


def test_other_patches_around_attn2_run_between_ours_unchanged(forge, modules) -> None:
    p, run, unet = Processing(), Run(), unet_of(modules)
    forge.while_sampling(p, run)

    def widen(n: Tensor, context: Tensor, value: Tensor, _options: Any) -> tuple[Tensor, Tensor, Tensor]:
        return torch.cat([n, n]), torch.cat([context, context]), torch.cat([value, value])

    def narrow(n: Tensor, _options: Any) -> Tensor:
        return n[: len(n) // 2]

    patches = {"attn2_patch": [widen], "attn2_output_patch": [narrow], "middle_patch": []}
    given = options([1, 0], 1, patches=patches)

    def work() -> None:
        forge.on_cfg_denoiser(p.params())
        unet(torch.zeros(2, 4, 2, 2), 1, torch.cat([BLURRY, RED]), transformer_options=given)

    p.sampler.launch_sampling(1, work)
    assert given["patches"] is patches
    assert patches == {"attn2_patch": [widen], "attn2_output_patch": [narrow], "middle_patch": []}
    n, at = torch.zeros(2, 5, 8), {"block": ("output", 4), "block_index": 1}
    context = value = n
    for patch in unet.seen["patches"]["attn2_patch"]:
        n, context, value = patch(n, context, value, at)
    assert len(n) == 4
    for patch in unet.seen["patches"]["attn2_output_patch"]:
        n = patch(n, at)
    assert torch.equal(n, torch.ones(2, 5, 8))
    path = "output_blocks.4.1.transformer_blocks.1.attn2"
    assert run.calls[-2:] == [("enter", path, 2), ("leave", path, 2)]


def test_without_other_patches_the_call_is_not_changed(forge, modules) -> None:
    p, unet = Processing(), unet_of(modules)
    forge.while_sampling(p, Run())
    given = options([1, 0], 1, patches={"attn2_output_patch": []})

    def work() -> None:
        forge.on_cfg_denoiser(p.params())
        unet(torch.zeros(2, 4, 2, 2), 1, torch.cat([BLURRY, RED]), transformer_options=given)

    p.sampler.launch_sampling(1, work)
    assert unet.seen is given


@pytest.mark.parametrize(
    ("block", "path"),
    [(("input", 7), "input_blocks.7.1"), (("middle", 0), "middle_block.1"), (("output", 0), "output_blocks.0.1")],
)
def test_blocks_have_the_unets_paths(rows, block, path) -> None:
    assert rows._path({"block": block, "block_index": 3}) == f"{path}.transformer_blocks.3.attn2"


def test_the_loaded_network_is_found_after_it_was_loaded(forge, modules) -> None:
    assert forge.loaded_unet() is None
    unet = UNet()
    modules.sd_models.model_data.sd_model = checkpoint(unet)
    assert forge.loaded_unet() is unet
    assert forge.sampling_unet(SimpleNamespace(sd_model=checkpoint(unet))) is unet


def test_the_chosen_checkpoint_is_known_before_it_is_loaded(forge, modules) -> None:
    assert forge.checkpoint_to_load() is None
    modules.shared.opts.data["sd_model_checkpoint"] = "xl.safetensors [31e35c80fc]"
    assert forge.checkpoint_to_load() is None
    modules.sd_models.checkpoint_aliases["xl.safetensors [31e35c80fc]"] = SimpleNamespace(
        filename="/models/xl.safetensors"
    )
    assert forge.checkpoint_to_load() == Path("/models/xl.safetensors")
    assert forge.checkpoint_name() == "xl.safetensors [31e35c80fc]"


def test_the_chosen_checkpoints_metadata_are_those_that_the_web_ui_read(forge, modules) -> None:
    assert forge.checkpoint_metadata() == {}
    modules.shared.opts.data["sd_model_checkpoint"] = "xl.safetensors"
    modules.sd_models.checkpoint_aliases["xl.safetensors"] = SimpleNamespace(metadata={"modelspec.title": "XL"})
    assert forge.checkpoint_metadata() == {"modelspec.title": "XL"}


def test_encoders_use_forges_device_and_dtype(forge, modules) -> None:
    assert (forge.compute_device(), forge.compute_dtype()) == (torch.device("cpu"), torch.float32)
    forge.free_memory(5)
    assert modules.memory.freed == []
    modules.memory.device = torch.device("cuda", 1)
    assert (forge.compute_device(), forge.compute_dtype()) == (torch.device("cuda", 1), torch.float16)
    assert forge.face_device() == torch.device("cuda", 1)
    modules.shared.opts.data["ipadapter_face_device"] = "CPU"
    assert forge.face_device() == torch.device("cpu")
    forge.free_memory(5)
    assert modules.memory.freed == [(1005, torch.device("cuda", 1))]


class Task:
    """reForge's task (modules_forge/main_thread.py), whose errors are printed and lost."""

    def __init__(self, func: Any) -> None:
        self.func, self.result = func, None

    def work(self) -> None:
        self.result = self.func()


def test_the_panel_shows_a_refusal_if_the_web_ui_loses_errors(forge, modules, monkeypatch) -> None:
    from lib_ipadapter.hosts.refusal import Refusal

    kind = type("Task", (Task,), {"work": Task.work})
    monkeypatch.setitem(sys.modules, "modules_forge", types.ModuleType("modules_forge"))
    monkeypatch.setitem(sys.modules, "modules_forge.main_thread", SimpleNamespace(Task=kind))
    forge.show_refusals()
    work = kind.work
    forge.show_refusals()  # after a reload of the UI
    assert kind.work is work

    def ended(error: Exception) -> Any:
        def fail() -> None:
            raise error

        task = kind(fail)
        task.work()
        return task

    refused = ended(Refusal(UnitError("images", [], "is required: the pictures.")))
    with pytest.raises(Refusal, match="images is required"):
        list(refused.result)
    with pytest.raises(ZeroDivisionError):
        ended(ZeroDivisionError())
    made = kind(lambda: ["a picture"])
    made.work()
    assert made.result == ["a picture"]


def test_a_refusal_is_answered_with_field_and_value_once_the_app_runs(forge) -> None:
    pytest.importorskip("httpx")
    from fastapi.testclient import TestClient

    from lib_ipadapter.hosts.refusal import Refusal

    app = fastapi.FastAPI()

    @app.get("/refused")
    def refused() -> None:
        raise Refusal(UnitError("weight", 9, "must be smaller."))

    client = TestClient(app)
    assert client.get("/refused").json() == {"detail": "IP-Adapter: weight must be smaller."}
    forge.answer_refusals(app)
    answer = client.get("/refused")
    assert answer.status_code == 422
    assert answer.json()["body"].items() >= {"field": "weight", "value": 9, "status": 422}.items()
    assert answer.json()["detail"] == "IP-Adapter: weight must be smaller."


def test_loras_are_found_in_all_of_forge_neos_folders(forge, modules, tmp_path) -> None:
    assert tmp_path / "models" / "Lora" in forge.folders().loras
    modules.shared.cmd_opts.lora_dirs = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert {tmp_path / "a", tmp_path / "b"} <= set(forge.folders().loras)


LONE = {
    "its ControlNet alone": (["control_instant_id_sdxl [ab12]"], True),
    "under another name": (["InstantID.safetensors", "canny"], True),
    "Forge's own pair": (["ip-adapter_instant_id_sdxl", "control_instant_id_sdxl"], False),
    "its adapter alone": (["ip-adapter_instant_id_sdxl"], False),
    "another ControlNet": (["canny"], False),
    "nothing": ([], False),
}


def beside(*models: str) -> Any:
    """Return ControlNet's script with units that have these models, and their args."""
    networks = {number: torch.nn.Identity() for number in range(len(models))}
    params = {n: SimpleNamespace(model=SimpleNamespace(model_patcher=ControlNet(net))) for n, net in networks.items()}
    units = [SimpleNamespace(model=model, enabled=True) for model in models]
    script = SimpleNamespace(title=lambda: "ControlNet", args_from=0, args_to=len(models) + 1, current_params=params)
    script.get_enabled_units = lambda args: [unit for unit in args if unit.enabled]
    return script, [*units, SimpleNamespace(model="control_instant_id_sdxl", enabled=False)]


class ControlNet:
    """Like the web UI's, but it keeps its input."""

    def __init__(self, network: Any) -> None:
        self.control_model, self.seen = network, []

    def get_control(self, x: Tensor, timestep: Any, cond: dict[str, Any], batched_number: int) -> None:
        self.seen.append(cond["c_crossattn"])


@pytest.mark.parametrize("case", LONE)
def test_instantids_controlnet_gets_the_face_where_it_would_get_the_text(forge, case: str) -> None:
    models, fed = LONE[case]
    p = Processing()
    script, p.script_args = beside(*models)
    p.scripts = SimpleNamespace(alwayson_scripts=[script])
    assert forge.pass_info(p).feeds_controlnet == fed
    assert forge.before_process(p, True) is None


@pytest.mark.parametrize("ends", ["well", "with an error", "with a refusal"])
@pytest.mark.parametrize("feeds", [True, False])
def test_instantids_controlnet_gets_its_input_before_the_unet_is_called(forge, modules, feeds: bool, ends: str) -> None:
    p, run, unet = Processing(), Run(), unet_of(modules)
    script, p.script_args = beside("control_instant_id_sdxl")
    p.scripts = SimpleNamespace(alwayson_scripts=[script])
    run.feeds_controlnet = feeds
    controlnet = script.current_params[0].model.model_patcher
    modules.shared.sd_model.forge_objects.unet.list_controlnets = lambda: [controlnet]
    text, before = torch.zeros(2, 3, 5, dtype=torch.float16), sorted(vars(controlnet))
    forge.while_sampling(p, run)

    def work() -> None:
        forge.on_cfg_denoiser(p.params())
        cond = {"c_crossattn": text, "transformer_options": options([1, 0], 1)}
        controlnet.get_control(torch.zeros(2, 4, 2, 2), 1, cond, 2)
        call(unet, [1, 0])
        if ends == "with an error":
            raise ArithmeticError
        if ends == "with a refusal":
            controlnet.get_control(torch.zeros(2, 4, 2, 2), 1, {"c_crossattn": text, "transformer_options": {}}, 2)

    expected = {"well": (), "with an error": ArithmeticError, "with a refusal": fastapi.HTTPException}[ends]
    if ends == "well" or (ends == "with a refusal" and not feeds):
        p.sampler.launch_sampling(1, work)
    else:
        with pytest.raises(expected):
            p.sampler.launch_sampling(1, work)
    both = ("begin_call", ((UNCOND, 2), (COND, 2)), 0.25)
    own = [both, ("face_tokens", 0, 2)] if feeds else []
    assert run.calls[:-1] == [("inject", unet), *own, both, "end_call"]
    assert controlnet.seen[0].tolist() == (text + 1 if feeds else text).tolist()
    assert controlnet.seen[0].dtype == torch.float16
    assert sorted(vars(controlnet)) == before
    assert hooks(unet) == 0


def test_a_controlnet_unit_with_another_kind_of_model_of_that_name_stops_the_generation(forge) -> None:
    p, run = Processing(), Run()
    script, p.script_args = beside("control_instant_id_sdxl")
    script.current_params[0].model = SimpleNamespace()
    p.scripts = SimpleNamespace(alwayson_scripts=[script])
    run.feeds_controlnet = True
    forge.while_sampling(p, run)
    with pytest.raises(fastapi.HTTPException, match="to be InstantID's ControlNet, by its name"):
        p.sampler.launch_sampling(1, lambda: None)
