"""AUTOMATIC1111's web UI as a host, with stubs of the modules that the host reads.

What the real web UI does is checked in tests/host; these are the host's own arithmetic and its refusals.
"""

import contextlib
import itertools
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

fastapi = pytest.importorskip("fastapi")

from lib_ipadapter.base.errors import IPAdapterError, UnitError  # noqa: E402
from lib_ipadapter.port import COND, UNCOND  # noqa: E402
from lib_ipadapter.unit.read_args import read_unit  # noqa: E402
from lib_ipadapter.unit.unit import Unit  # noqa: E402


class State:
    """The web UI's state of its current job (modules/shared_state.py)."""

    interrupted = stopping_generation = False
    job, job_count, sampling_step, sampling_steps, textinfo = "", 0, 3, 20, None

    def begin(self, job: str) -> None:
        self.job, self.job_count, self.interrupted = job, -1, False

    def end(self) -> None:
        self.job, self.job_count = "", 0


class Tasks:
    """The tasks that the browser's progress bar polls (modules/progress.py)."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []

    def add_task_to_queue(self, task: str) -> None:
        self.steps.append(("queued", task))

    def start_task(self, task: str) -> None:
        self.steps.append(("started", task))

    def finish_task(self, task: str) -> None:
        self.steps.append(("finished", task))


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Any]:
    """The web UI's package, reduced to what the host uses."""
    options: dict[str, Any] = {}
    shared = SimpleNamespace(
        opts=SimpleNamespace(data=options),
        cmd_opts=SimpleNamespace(use_cpu=["all"], api_auth=None),
        data_path=str(tmp_path),
        sd_model=None,
        state=State(),
    )
    modules = types.ModuleType("modules")
    parts = {
        "call_queue": SimpleNamespace(queue_lock=threading.Lock()),
        "progress": Tasks(),
        "devices": SimpleNamespace(cpu=torch.device("cpu")),
        "lowvram": SimpleNamespace(),
        "paths_internal": SimpleNamespace(models_path=str(tmp_path / "models"), extensions_dir=str(tmp_path / "ext")),
        "sd_models": SimpleNamespace(model_data=SimpleNamespace(sd_model=None)),
        "sd_unet": SimpleNamespace(current_unet=None),
        "shared": shared,
    }
    for name, part in parts.items():
        setattr(modules, name, part)
    monkeypatch.setitem(sys.modules, "modules", modules)
    forget_hosts()
    yield modules
    forget_hosts()


def forget_hosts() -> None:
    """Make the library's hosts be imported again, with the modules present then."""
    for name in [name for name in sys.modules if name.startswith("lib_ipadapter.hosts.")]:
        del sys.modules[name]


@pytest.fixture
def a1111(modules) -> Any:
    from lib_ipadapter.hosts.a1111 import A1111

    return A1111()


@pytest.fixture
def rows(a1111) -> Any:
    """The module that finds the row kinds of a call."""
    return sys.modules["lib_ipadapter.hosts.a1111_pass"]


def batch(prompts: tuple[int, ...], unconds: int = 1) -> Any:
    """Return what a denoiser passes to its callbacks, for pictures with these numbers of prompts joined by AND."""
    rows = sum(prompts) + unconds * len(prompts)
    cond = SimpleNamespace(batch=[[None] * count for count in prompts])
    sampler = SimpleNamespace(sampler_extra_args={"cond": cond})
    denoiser = SimpleNamespace(p=SimpleNamespace(), sampler=sampler, step=3, total_steps=12)
    return SimpleNamespace(x=torch.randn(rows, 4, 2, 2), denoiser=denoiser)


@pytest.mark.parametrize("prompts", [(1,), (1, 1, 1), (2, 1), (3, 3)])
@pytest.mark.parametrize("unconds", [1, 2])
def test_row_kinds_are_known_for_every_slice_of_the_batch(rows, prompts, unconds) -> None:
    params = batch(prompts, unconds)
    table = rows.row_table(params)
    assert [row.role for row in table] == [COND] * sum(prompts) + [UNCOND] * unconds * len(prompts)
    pictures = list(range(len(prompts)))
    assert [row.picture for row in table[: sum(prompts)]] == [i for i in pictures for _ in range(prompts[i])]
    assert [row.picture for row in table[sum(prompts) :]] == pictures * unconds
    assert [row.picture for row in rows.row_table(params, 10)] == [row.picture + 10 for row in table]
    for first, last in itertools.combinations(range(len(table) + 1), 2):
        assert list(rows.rows_by_place(table, params.x, params.x[first:last])) == table[first:last]


def test_row_kinds_are_known_for_a_slice_of_a_slice(rows) -> None:
    params = batch((1, 1))
    params.x = torch.randn(9, 4, 2, 2)[3:7]
    assert list(rows.rows_by_place(rows.row_table(params), params.x, params.x[1:3])) == [(COND, 1), (UNCOND, 0)]


SHAPES = [
    pytest.param(lambda text: text, id="tensor"),
    pytest.param(lambda text: {"c_crossattn": [text], "c_concat": [None]}, id="SD"),
    pytest.param(lambda text: {"crossattn": text, "vector": None}, id="SDXL"),
]


@pytest.mark.parametrize("given", SHAPES)
@pytest.mark.parametrize("padding", [0, 3])
def test_a_batch_of_another_extension_is_recognised_by_its_text(rows, given, padding) -> None:
    """Self-attention guidance does this: it calls the model again with the negative prompt alone."""
    params = batch((1, 2))
    table = rows.row_table(params, 4)
    params.text_cond, params.text_uncond = torch.randn(3, 7, 5), torch.randn(1, 6, 5).repeat(2, 1, 1)
    assert rows.rows_by_place(table, params.x, params.x[-2:].clone()) is None
    unconds = torch.cat([params.text_uncond, torch.zeros(2, padding, 5)], dim=1)
    assert rows.rows_by_text(table, params, given(unconds)) == [(UNCOND, 4), (UNCOND, 5)]
    backwards = params.text_cond[[2, 0]]
    assert rows.rows_by_text(table, params, given(backwards)) == [(COND, 5), (COND, 4)]


def test_a_batch_that_its_text_does_not_identify_is_an_error(rows) -> None:
    params = batch((1,))
    params.text_cond = params.text_uncond = torch.randn(1, 7, 5)
    for text in (params.text_cond, torch.randn(1, 7, 5)):
        with pytest.raises(IPAdapterError, match="its own batch of 1 rows"):
            rows.rows_by_text(rows.row_table(params), params, text)


@pytest.mark.parametrize(("step", "steps", "expected"), [(0, 10, 0.0), (5, 10, 0.5), (17, 10, 1.0)])
def test_progress_is_a_fraction_of_the_calls(rows, step, steps, expected) -> None:
    assert rows.progress(SimpleNamespace(step=step, total_steps=steps)) == expected


class Processing:
    scripts = None

    def __init__(self) -> None:
        self.sampler = SimpleNamespace(launch_sampling=lambda steps, func: func())
        self.comments: list[str] = []
        self.iteration, self.batch_size = 2, 1

    def sample(self) -> str:
        return "sampled"

    def comment(self, text: str) -> None:
        self.comments.append(text)


def test_a_refusal_stops_the_generation_with_its_message_and_status(a1111) -> None:
    p = Processing()
    with a1111.stop_on_error(p, 2):
        raise UnitError("weight", 9, "must be smaller.")
    for call in (p.sample, lambda: p.sampler.launch_sampling(1, lambda: None)):
        with pytest.raises(fastapi.HTTPException) as refused:
            call()
        assert refused.value.status_code == 422
        assert str(refused.value) == refused.value.detail == "IP-Adapter unit 2: weight must be smaller."
        assert refused.value.body.items() >= {"field": "weight", "value": 9, "unit": 2, "status": 422}.items()
        assert refused.value.body["detail"] == refused.value.detail
    assert Processing().sample() == "sampled", "only this one generation"


def test_what_is_reported_is_a_setting_and_nothing_is_of_inner_generations(a1111, modules, tmp_path) -> None:
    p = Processing()
    assert a1111.report_settings(p) == (False, "none", tmp_path / "log" / "ipadapter-likeness")
    modules.shared.opts.data.update(ipadapter_likeness=True, ipadapter_likeness_log="CSV")
    assert a1111.report_settings(p)[:2] == (True, "CSV")
    p._ad_inner = True
    assert not a1111.report_settings(p).likeness
    a1111.comment(p, "Picture 1")
    assert p.comments == ["Picture 1"]


def test_a_picture_that_was_made_has_its_number_its_place_and_its_seed(a1111) -> None:
    p = Processing()
    p.iteration, p.batch_size, p.batch_index, p.seeds = 2, 3, 1, [16, 17, 18]
    assert a1111.generated_picture(p) == (7, 1, 3, 17)


def test_work_between_generations_holds_the_web_uis_lock_and_moves_its_progress_bar(a1111, modules) -> None:
    lock, state, tasks = modules.call_queue.queue_lock, modules.shared.state, modules.progress
    state.interrupted = True  # of the generation before, which is no reason to end this work
    with a1111.exclusive("task(1)"):
        assert lock.locked()
        assert (state.job, tasks.steps) == ("task(1)", [("queued", "task(1)"), ("started", "task(1)")])
        a1111.report_progress("encoding", 2, 8)
        assert (state.job_count, state.sampling_step, state.sampling_steps) == (1, 2, 8)
        assert state.textinfo == "IP-Adapter: encoding, 2 of 8"
        a1111.report_progress("encoding", 8, 8)
        assert (state.sampling_step, state.textinfo) == (0, None)
    assert not lock.locked()
    assert (state.job, tasks.steps[-1]) == ("", ("finished", "task(1)"))


@pytest.mark.parametrize("how", ["interrupted", "stopping_generation"])
def test_work_ends_where_the_web_ui_is_interrupted(a1111, modules, how: str) -> None:
    def work() -> None:
        with a1111.exclusive():
            a1111.report_progress("encoding", 0, 3)
            setattr(modules.shared.state, how, True)
            a1111.report_progress("encoding", 1, 3)

    with pytest.raises(IPAdapterError, match="Interrupted while encoding, with 1 of 3 done"):
        work()
    assert not modules.call_queue.queue_lock.locked()
    assert modules.shared.state.job == ""


def test_an_unforeseen_error_stops_the_generation_and_is_logged(a1111, caplog) -> None:
    p = Processing()
    with a1111.stop_on_error(p):
        raise ZeroDivisionError("oops")
    assert "Traceback" in caplog.text
    with pytest.raises(fastapi.HTTPException, match="ZeroDivisionError: oops"):
        p.sample()


def test_the_setting_turns_a_refusal_into_a_warning(a1111, modules) -> None:
    p = Processing()
    modules.shared.opts.data["ipadapter_warn_only"] = True
    with a1111.stop_on_error(p, 1):
        raise IPAdapterError("does not fit.")
    assert p.sample() == "sampled"
    assert p.comments == ["IP-Adapter unit 1: does not fit. The picture was generated without it."]


class Run:
    bypassed = unfolds = False

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def inject(self, unet: Any) -> None:
        self.calls.append(("inject", unet))

    def eject(self) -> None:
        self.calls.append("eject")

    def begin_call(self, rows: Any, progress: float, size: Any, text_rows: Any) -> None:
        assert size == (2, 2)
        self.calls.append(("begin_call", tuple(rows), progress))

    def end_call(self) -> None:
        self.calls.append("end_call")


class Inner(torch.nn.Module):
    """The model inside the denoiser, which can be made to fail."""

    fails = False

    def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        if self.fails:
            raise RuntimeError("in the model")
        return x


def sampling(a1111, modules, run: Run, inner: Inner, work: Any) -> Any:
    """Return `p` with a sampler that does `work` while it samples."""
    p, params = Processing(), batch((1,))
    params.denoiser.inner_model = inner
    p.sampler.model_wrap_cfg = params.denoiser
    modules.shared.sd_model = SimpleNamespace(model=SimpleNamespace(diffusion_model="the U-Net"))
    a1111.while_sampling(p, run)
    return p.sampler.launch_sampling(1, lambda: work(params))


def test_the_run_begins_each_call_of_the_model_and_is_ejected_after_the_pass(a1111, rows, modules) -> None:
    run, inner = Run(), Inner()

    def work(params: Any) -> None:
        for rows in (params.x, params.x[1:]):
            a1111.on_cfg_denoiser(params)
            inner(rows)

    sampling(a1111, modules, run, inner, work)
    both, uncond = ("begin_call", ((COND, 2), (UNCOND, 2)), 0.25), ("begin_call", ((UNCOND, 2),), 0.25)
    injected = ("inject", "the U-Net")
    assert run.calls == [injected, both, "end_call", injected, uncond, "end_call", "eject"]
    assert not inner._forward_hooks
    assert not inner._forward_pre_hooks


def test_a_refusal_that_the_web_ui_swallows_is_raised_after_the_pass(a1111, rows, modules) -> None:
    """The web UI reports a callback's errors and continues; self-attention guidance calls the model there."""
    inner = Inner()

    def work(params: Any) -> None:
        params.text_cond, params.text_uncond = torch.randn(2, 1, 7, 5)
        a1111.on_cfg_denoiser(params)
        inner(params.x, 1, cond=params.text_cond)
        with contextlib.suppress(fastapi.HTTPException):
            inner(torch.zeros(1, 4, 2, 2), 1, cond=torch.zeros(1, 7, 5))

    with pytest.raises(fastapi.HTTPException, match="own batch of"):
        sampling(a1111, modules, Run(), inner, work)


def test_an_error_of_a_hook_inside_the_model_is_a_refusal(rows, a1111, modules) -> None:
    def work(_params: Any) -> None:
        raise IPAdapterError("not so many rows.")

    with pytest.raises(fastapi.HTTPException, match="not so many rows"):
        sampling(a1111, modules, Run(), Inner(), work)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_run_is_ejected_however_the_pass_ends(a1111, modules, error) -> None:
    run, inner = Run(), Inner()

    def work(params: Any) -> None:
        a1111.on_cfg_denoiser(params)
        raise error

    with pytest.raises(error):
        sampling(a1111, modules, run, inner, work)
    assert run.calls == ["eject"]
    assert not inner._forward_pre_hooks


def test_the_model_after_the_refiners_switch_is_followed(a1111, modules) -> None:
    run, first, second = Run(), Inner(), Inner()

    def work(params: Any) -> None:
        for params.denoiser.inner_model in (first, second):
            a1111.on_cfg_denoiser(params)
            params.denoiser.inner_model(params.x)

    sampling(a1111, modules, run, first, work)
    assert [call for call in run.calls if call[0] == "begin_call"] == [
        ("begin_call", ((COND, 2), (UNCOND, 2)), 0.25)
    ] * 2
    assert not first._forward_hooks


def test_denoisers_of_other_generations_are_left_alone(a1111) -> None:
    params = batch((1,))
    a1111.on_cfg_denoiser(params)
    assert vars(params.denoiser).keys() == {"p", "sampler", "step", "total_steps"}


def unannounced(a1111, p: Processing) -> Any:
    """Return a sampler of `p` that calls no scripts, as DemoFusion's does."""
    params, inner = batch((1,)), Inner()
    params.denoiser.p, params.denoiser.inner_model = p, inner

    def sample() -> torch.Tensor:
        with contextlib.suppress(RuntimeError):  # the web UI reports a callback's error and continues
            a1111.on_cfg_denoiser(params)
        return inner(params.x)

    return sample


def test_a_sampler_that_was_not_announced_is_refused_when_it_calls_the_model(a1111) -> None:
    p = Processing()
    sample = unannounced(a1111, p)
    sample()  # no pass is expected
    a1111.expect_passes(p)
    with pytest.raises(fastapi.HTTPException, match="does its own sampling, as DemoFusion"):
        sample()
    a1111.before_process(p, False)
    sample()  # of the next generation


def test_a_refusal_holds_if_another_extension_replaces_the_sampling_function(a1111) -> None:
    p = Processing()
    with a1111.stop_on_error(p, 1):
        raise IPAdapterError("does not fit.")
    a1111.expect_passes(p)  # for the other units
    p.sample = unannounced(a1111, p)
    with pytest.raises(fastapi.HTTPException, match=r"IP-Adapter unit 1: does not fit\."):
        p.sample()


def test_a_sampler_that_was_not_announced_is_a_warning_if_the_setting_says_so(a1111, modules) -> None:
    p = Processing()
    modules.shared.opts.data["ipadapter_warn_only"] = True
    a1111.expect_passes(p)
    sample = unannounced(a1111, p)
    for _ in range(2):
        sample()
    (comment,) = p.comments
    assert comment.endswith("The picture was generated without it.")


def test_a_reused_sampler_is_left_alone_if_no_unit_applies(a1111, modules) -> None:
    """Tiled diffusion uses one sampler for all passes."""
    run = Run()
    p, params, inner = Processing(), batch((1,)), Inner()
    p.sampler.sampler_extra_args = params.denoiser.sampler.sampler_extra_args
    params.denoiser.inner_model, params.denoiser.sampler, p.sampler.model_wrap_cfg = inner, p.sampler, params.denoiser
    modules.shared.sd_model = SimpleNamespace(model=SimpleNamespace(diffusion_model="the U-Net"))
    a1111.expect_passes(p)

    def work() -> None:
        a1111.on_cfg_denoiser(params)
        inner(params.x)

    for acting in (None, run, None, run):
        a1111.while_sampling(p, acting)
        p.sampler.launch_sampling(1, work)
    assert [call[0] for call in run.calls if call[0] == "begin_call"] == ["begin_call", "begin_call"]


def test_files_are_looked_for_where_users_keep_them(a1111, modules, tmp_path) -> None:
    (tmp_path / "ext" / "sd-webui-controlnet").mkdir(parents=True)
    modules.shared.opts.data["control_net_models_path"] = "elsewhere"
    modules.shared.cmd_opts.controlnet_dir = "/absolute"
    found = a1111.folders()
    models, extension = tmp_path / "models", tmp_path / "ext" / "sd-webui-controlnet"
    assert {models / "ipadapter", models / "ControlNet", extension / "models"} <= set(found.adapters)
    assert tmp_path / "elsewhere" in found.adapters
    assert any(path.as_posix().endswith("/absolute") for path in found.adapters)
    assert {models / "clip_vision", models / "ControlNetPreprocessor"} <= set(found.encoders)
    assert extension / "annotator" / "downloads" / "clip_vision" in found.encoders
    assert models / "Lora" in found.loras
    assert found.faces[0] == models / "insightface" / "models"
    assert extension / "annotator" / "downloads" / "insightface" / "models" in found.faces


def test_a_flag_and_a_setting_add_folders_which_are_the_first(a1111, modules, tmp_path) -> None:
    modules.shared.cmd_opts.ipadapter_dir = "by-flag"
    modules.shared.opts.data["ipadapter_folder"] = "by-setting"
    found = a1111.folders()
    assert found.adapters[:2] == found.encoders[:2] == (tmp_path / "by-setting", tmp_path / "by-flag")


def test_controlnets_go_where_controlnet_looks_for_them(a1111, modules, tmp_path) -> None:
    assert a1111.folders().controlnets[0] == tmp_path / "models" / "ControlNet"
    modules.shared.cmd_opts.controlnet_dir = "chosen"  # Forge looks only there
    assert a1111.folders().controlnets[:2] == (tmp_path / "chosen", tmp_path / "models" / "ControlNet")


@pytest.mark.parametrize(
    ("flags", "option", "reason"),
    [
        ({}, None, ""),
        ({}, True, ""),
        ({}, False, "in Settings"),
        ({"ipadapter_no_download": True}, True, "--ipadapter-no-download"),
        ({"disable_extension_access": True}, True, "without logging in"),
        ({"disable_extension_access": True, "gradio_auth": "me:secret"}, True, ""),
        ({"disable_extension_access": True, "gradio_auth_path": "logins"}, True, ""),
        ({"disable_extension_access": True, "api_auth": "me:secret"}, True, "without logging in"),  # the page is open
        ({"disable_extension_access": True, "gradio_auth": "me:secret"}, False, "in Settings"),
    ],
)
def test_downloads_follow_the_web_uis_rule_for_extensions(a1111, modules, flags, option, reason) -> None:
    vars(modules.shared.cmd_opts).update(flags)
    if option is not None:
        modules.shared.opts.data["ipadapter_downloads"] = option
    found = a1111.downloads_refused()
    assert reason in found
    assert bool(found) == bool(reason)


def test_the_flags_are_named_as_they_are_read() -> None:
    import runpy
    from argparse import ArgumentParser

    parser = ArgumentParser()
    runpy.run_path(str(Path(__file__).resolve().parents[1] / "preload.py"))["preload"](parser)
    assert vars(parser.parse_args([])) == {"ipadapter_dir": None, "ipadapter_no_download": False}
    assert parser.parse_args(["--ipadapter-no-download", "--ipadapter-dir", "x"]).ipadapter_dir == "x"


def test_files_are_saved_in_the_chosen_folder_and_found_in_both(a1111, modules, tmp_path) -> None:
    models = tmp_path / "models"
    assert a1111.folders().subjects == (models / "ipadapter_subjects",)
    modules.shared.opts.data["ipadapter_kept_folder"] = "mine"
    found = a1111.folders()
    assert found.subjects == (tmp_path / "mine" / "ipadapter_subjects", models / "ipadapter_subjects")
    assert found.saved == (tmp_path / "mine" / "ipadapter_references", models / "ipadapter_references")


def test_the_settings_limit_the_caches(a1111, modules) -> None:
    assert a1111.cache_limits() == (256 << 20, 256 << 20)
    modules.shared.opts.data |= {"ipadapter_kept_features": 64, "ipadapter_kept_keys_values": 0}
    assert a1111.cache_limits() == (64 << 20, 0)


def test_loras_of_the_prompt_are_known_by_their_files(a1111, modules, monkeypatch) -> None:
    p = SimpleNamespace(is_hr_pass=False)
    monkeypatch.delitem(sys.modules, "networks", raising=False)
    assert a1111.pass_info(p).loras == frozenset()
    files = ("/models/Lora/Faces/ip-adapter-faceid_sd15_lora.safetensors", "/models/Lora/Detail.v2.safetensors")
    loaded = [SimpleNamespace(network_on_disk=SimpleNamespace(filename=name)) for name in files]
    monkeypatch.setitem(sys.modules, "networks", SimpleNamespace(loaded_networks=loaded))
    assert a1111.pass_info(p).loras == {"ip-adapter-faceid_sd15_lora", "detail.v2"}


def unit(**more: Any) -> Unit:
    return read_unit({"model": "a", "images": ["aGVsbG8="], **more})


class Script:
    """A script of the web UI with its args in a generation."""

    def __init__(self, title: str, args_from: int, args_to: int) -> None:
        self._title, self.args_from, self.args_to = title, args_from, args_to

    def title(self) -> str:
        return self._title


def beside_controlnet(*units: Any) -> Processing:
    p: Any = Processing()
    always = [Script("Other", 1, 2), Script("ControlNet", 2, 2 + len(units))]
    chosen = [Script("Loopback", 0, 0), Script("img2img alternative test", 0, 0)]
    p.scripts = SimpleNamespace(alwayson_scripts=always, selectable_scripts=chosen)
    p.script_args = (0, "ip-adapter_sd15", *units)
    return p


NAME = "Faces/ip-adapter_SD15 [abcdef01]"


@pytest.mark.parametrize(
    ("unit", "times"),
    [
        (SimpleNamespace(enabled=True, model=NAME), 1),
        (SimpleNamespace(enabled=False, model=NAME), 0),
        ({"model": NAME}, 1),
        ({"enabled": False, "model": NAME}, 0),
        ({"model": "ip-adapter-plus_sd15"}, 0),
        (None, 0),
        ("ip-adapter_sd15", 0),
    ],
)
def test_an_adapter_that_controlnet_applies_too_is_reported_once(a1111, caplog, unit, times) -> None:
    p = beside_controlnet(unit, unit)
    a1111.check_other_extensions(p, {"ip-adapter_sd15.safetensors"}, [])
    assert len(p.comments) == caplog.text.count("ip-adapter_sd15 is also active in a ControlNet unit") == times
    p._ad_inner = True
    a1111.check_other_extensions(p, {"ip-adapter_sd15.safetensors"}, [])
    assert len(p.comments) == times


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({}, False),
        ({"ad_script_names": "dynamic_prompting,negpip"}, False),
        ({"ad_script_names": "negpip, ip_adapter"}, True),
        ({"ad_only_selected_scripts": False}, True),
    ],
)
def test_a_unit_for_faces_only_that_adetailer_leaves_out_is_refused(a1111, modules, options, runs) -> None:
    modules.shared.opts.data.update(options)
    p = beside_controlnet()
    with contextlib.nullcontext() if runs else pytest.raises(IPAdapterError, match="add ip_adapter to the names"):
        a1111.check_other_extensions(p, {"a.safetensors"}, [unit(inner="inner only")])
    a1111.check_other_extensions(p, {"a.safetensors"}, [unit()])


@pytest.mark.parametrize("named", ["None", "img2img alternative test"])
def test_a_script_that_the_apis_infotext_names_does_not_run(a1111, named: str) -> None:
    """The web UI's API puts the infotext into the args, and runs the script that `script_name` names."""
    p = beside_controlnet()
    p.script_args = (named, *p.script_args[1:])
    a1111.check_other_extensions(p, {"a.safetensors"}, ())
    assert p.comments == []


def test_a_script_with_its_own_sampling_is_refused(a1111) -> None:
    p = beside_controlnet()
    for chosen in (0, 1):
        p.script_args = (chosen, *p.script_args[1:])
        a1111.check_other_extensions(p, {"a.safetensors"}, [unit()])
    p.script_args = (2, *p.script_args[1:])
    with pytest.raises(IPAdapterError, match="img2img alternative test does its own sampling"):
        a1111.check_other_extensions(p, {"a.safetensors"}, [unit()])


def job(label: str, scripts: list[str], pictures: int = 1, master: bool = False) -> Any:
    """Return a job as stable-diffusion-webui-distributed has it."""
    supported = {"txt2img": scripts, "img2img": []} if scripts else {}
    worker = SimpleNamespace(label=label, master=master, supported_scripts=supported)
    return SimpleNamespace(worker=worker, batch_size=pictures)


def test_machines_without_this_extension_are_named(a1111) -> None:
    p = beside_controlnet()
    world = SimpleNamespace(
        enabled=True, enabled_i2i=True, jobs=[job("here", [], master=True), job("a", ["ip-adapter"])]
    )
    distribute = Script("Distribute", 0, 0)
    distribute.world = world
    p.scripts.alwayson_scripts.append(distribute)
    a1111.check_other_extensions(p, {"a.safetensors"}, [unit()])
    world.jobs += [job("c", ["controlnet"]), job("b", []), job("idle", [], pictures=0)]
    with pytest.raises(IPAdapterError, match=r"lack this extension: b, c\."):
        a1111.check_other_extensions(p, {"a.safetensors"}, [unit()])
    world.enabled = False
    a1111.check_other_extensions(p, {"a.safetensors"}, [unit()])
    p.init_images = ["a picture"]
    with pytest.raises(IPAdapterError, match=r"lack this extension: a, b, c\."):
        a1111.check_other_extensions(p, {"a.safetensors"}, [unit()])


def test_a_reference_for_each_picture_is_not_shared_with_other_machines(a1111) -> None:
    p = beside_controlnet()
    distribute = Script("Distribute", 0, 0)
    distribute.world = SimpleNamespace(enabled=True, enabled_i2i=True, jobs=[job("here", [], master=True)])
    p.scripts.alwayson_scripts.append(distribute)
    a1111.check_other_extensions(p, {"a.safetensors"}, [unit(unfold=True)])
    distribute.world.jobs.append(job("a", ["ip-adapter"]))
    a1111.check_other_extensions(p, {"a.safetensors"}, [unit()])
    with pytest.raises(IPAdapterError, match="does not work with several machines"):
        a1111.check_other_extensions(p, {"a.safetensors"}, [unit(), unit(unfold=True)])


def test_rows_in_another_order_are_an_error_if_each_picture_has_its_reference(rows) -> None:
    params = batch((2, 2))
    first, second = torch.randn(2, 4, 2, 2)
    table = rows.row_table(params)
    rows.refuse_other_order(table, torch.stack([first, first, second, second, first, second]))
    with pytest.raises(IPAdapterError, match="changed their order"):
        rows.refuse_other_order(table, torch.stack([first, second, first, second, first, second]))


def test_a_generation_by_adetailer_is_an_inner_one(a1111) -> None:
    assert not a1111.pass_info(SimpleNamespace()).inner
    assert a1111.pass_info(SimpleNamespace(_ad_inner=True)).inner


def test_an_alternative_unet_is_refused(a1111, modules) -> None:
    modules.sd_unet.current_unet = SimpleNamespace(option=SimpleNamespace(label="[TRT] model"))
    with pytest.raises(IPAdapterError, match=r"\[TRT\] model.*SD Unet"):
        a1111.sampling_unet(SimpleNamespace())


class Options:
    """The web UI's settings, with its rule for changing them (modules/options.py)."""

    def __init__(self, frozen: bool = False, hidden: bool = False, **data: object) -> None:
        self.data, self.data_labels, self.saved = dict(data), dict.fromkeys(data), list[str]()
        self._frozen, self._hidden = frozen, hidden

    def set(self, key: str, value: object) -> bool:
        assert not self._frozen, "changing settings is disabled"
        if not self._hidden:
            self.data[key] = value
        return not self._hidden

    def save(self, filename: str) -> None:
        self.saved.append(filename)


def test_adetailer_can_be_told_to_run_the_extension(a1111: Any, modules: Any) -> None:
    modules.shared.config_filename = "config.json"
    options = modules.shared.opts = Options(ad_script_names="dynamic_thresholding, lora_block_weight,")
    assert a1111.inner_left_out()
    assert a1111.join_inner() == {"ad_script_names": "dynamic_thresholding,lora_block_weight,ip_adapter"}
    assert options.saved == ["config.json"]
    assert not a1111.inner_left_out()


@pytest.mark.parametrize("rule", ["frozen", "hidden"])
def test_a_setting_that_must_not_be_changed_stays(a1111: Any, modules: Any, rule: str) -> None:
    modules.shared.config_filename = "config.json"
    options = modules.shared.opts = Options(ad_script_names="", **{rule: True})
    with pytest.raises(sys.modules["lib_ipadapter.base.errors"].ForbiddenError, match="was not changed"):
        a1111.join_inner()
    assert options.data == {"ad_script_names": ""}


def test_without_adetailer_nothing_is_left_out(a1111: Any, modules: Any) -> None:
    modules.shared.opts = Options()
    assert not a1111.inner_left_out()
    with pytest.raises(sys.modules["lib_ipadapter.base.errors"].IPAdapterError, match="is not installed"):
        a1111.join_inner()
