"""The extension's entry file in doubles of the web UIs: the same pictures as one row at a time, and no trace.

A double's calls are compared with a real web UI's in tests/host/test_contract.py.
"""

import sys
from types import SimpleNamespace

import pytest

for needed in ("fastapi", "torch", "ldm"):
    pytest.importorskip(needed)

import fastapi  # noqa: E402
import torch  # noqa: E402
from contract import (  # noqa: E402
    DOUBLES,
    ENTRY,
    LIBRARY,
    Interrupted,
    Processing,
    contexts,
    enlarged,
    guided,
    noise_of,
    self_guided,
    stepped,
    times,
)
from small_host import CONTEXT, SmallHost, photo, save_files, unit  # noqa: E402
from test_xyz import AxisOption  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from unets import ldm_unet  # noqa: E402

from lib_ipadapter.engine.session import Session  # noqa: E402
from lib_ipadapter.port import COND, UNCOND, PassInfo, Row  # noqa: E402

ALMOST = 1e-4
"""Batched and separate rows are summed in another order, in float32, at values of about 1, which guidance enlarges."""
TITLE = "IP-Adapter"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "ipadapter").mkdir()
    save_files(tmp_path / "ipadapter")
    return tmp_path


@pytest.fixture(params=["AUTOMATIC1111", "reForge", "Forge"])
def double(request, unet, files):
    kind = type(unet)
    with DOUBLES[request.param](unet, files).at_work(ENTRY) as double:
        yield double
    unet.__class__ = kind


def asked(*units, **more) -> Processing:
    return Processing(args={TITLE: units}, **more)


def one_row_at_a_time(folder, unet: nn.Module, p: Processing) -> Tensor:
    """Return the latents of `p`, computed one row at a time with known row kinds."""
    host = SmallHost(folder / "ipadapter", unet)
    session = Session(host)
    made = []
    for number in range(p.n_iter):
        p.iteration = number
        latents = noise_of(p)
        for hires in (False, True) if p.enable_hr else (False,):
            host.run, host.facts = None, PassInfo(hires)
            session.before_sampling(Processing(), p.args[TITLE])
            assert not host.refused
            latents = _pass(host, unet, p, enlarged(latents) if hires else latents)
        made.append(latents)
    return torch.cat(made)


@torch.no_grad()
def _pass(host: SmallHost, unet: nn.Module, p: Processing, latents: Tensor) -> Tensor:
    if host.run:
        host.run.inject(unet)
    for step in range(p.steps):
        latents = stepped(latents, _prediction(host, unet, p, latents, step / p.steps))
    if host.run:
        host.run.eject()
    return latents


def _prediction(host: SmallHost, unet: nn.Module, p: Processing, latents: Tensor, progress: float) -> Tensor:
    def evaluated(role: int, picture: int, text: str) -> Tensor:
        row = latents[picture : picture + 1]
        if host.run:
            size = (latents.shape[-2], latents.shape[-1])
            host.run.begin_call([Row(role, p.iteration * p.batch_size + picture)], progress, size)
        return unet(row, times(row), contexts([text]))

    def over_pictures(role: int, text: str) -> Tensor:
        return torch.cat([evaluated(role, picture, text) for picture in range(len(latents))])

    conds, uncond = [over_pictures(COND, prompt) for prompt in p.prompts], over_pictures(UNCOND, p.negative_prompt)
    made = guided(p.cfg_scale, conds, uncond)
    return self_guided(made, uncond) if p.self_guidance else made


def hooks(unet: nn.Module) -> int:
    return sum(len(each._forward_hooks) + len(each._forward_pre_hooks) for each in unet.modules())


MANY = "a red cat AND a blue house AND a green tree"
WAYS = {
    "together": {},
    "separate": {"separate": True},
    "batch": {"batch_size": 2},
    "two batches, separate": {"batch_size": 2, "n_iter": 2, "separate": True},
    "AND": {"prompt": MANY},
    "AND, separate, batch": {"prompt": MANY, "separate": True, "batch_size": 2},
    "CFG 1": {"cfg_scale": 1.0},
    "hires fix": {"enable_hr": True},
    "self-attention guidance, batch": {"self_guidance": True, "batch_size": 2},
    "hires fix, batch, separate": {"enable_hr": True, "batch_size": 2, "separate": True},
}
UNITS = [
    unit(images=[photo(seed) for seed in range(3)], unfold=True),
    unit(model="plus", weight=-0.7, start=0.4),
    unit(model="plus", **{"pass": "hires"}),
]
"""A reference for each picture, some steps, one pass: this makes a wrong row, step or pass visible."""


@pytest.mark.parametrize("way", WAYS)
def test_the_picture_is_the_same_however_the_web_ui_splits_the_batch(double, files, unet, way) -> None:
    p = asked(*UNITS, **WAYS[way])
    expected = one_row_at_a_time(files, unet, p)
    made, plain = double.generate(p), double.generate(asked(**WAYS[way]))
    assert (made - expected).abs().max() < ALMOST
    assert (made - plain).abs().max() > 10 * ALMOST
    assert hooks(unet) == 0


def test_with_units_off_the_web_ui_is_untouched(double, unet) -> None:
    plain = double.generate(asked())
    for units in ([unit(weight=0.0)], [unit(enabled=False)], [None, [], ""]):
        assert torch.equal(double.generate(asked(*units)), plain)


@pytest.mark.parametrize("hires", [False, True])
def test_an_exception_is_passed_on_and_leaves_no_trace(double, unet, hires) -> None:
    plain = double.generate(asked())

    def fail(step: int) -> None:
        if step == 1:
            raise MemoryError("too large")

    with pytest.raises(MemoryError, match="too large"):
        double.generate(asked(unit(), at_step=fail, enable_hr=hires))
    assert hooks(unet) == 0
    assert torch.equal(double.generate(asked()), plain)


def test_an_interrupt_keeps_the_latents_and_leaves_no_trace(double, files, unet) -> None:
    def interrupt(step: int) -> None:
        if step == 2:
            raise Interrupted

    made = double.generate(asked(unit(), steps=4, at_step=interrupt))
    p = asked(unit(end=0.6), steps=2)  # two of four steps, in which progress is 0 and a quarter
    assert (made - one_row_at_a_time(files, unet, p)).abs().max() < ALMOST
    assert hooks(unet) == 0


def test_a_unit_that_cannot_run_stops_the_generation_with_a_reason(double, unet) -> None:
    with pytest.raises(fastapi.HTTPException, match=r"unit 2.*weight"):
        double.generate(asked(unit(), unit(weight=9)))
    with pytest.raises(fastapi.HTTPException, match="70 layers"):
        double.generate(asked(unit(model="sdxl")))
    assert hooks(unet) == 0


def test_a_checkpoint_without_a_unet_stops_it_and_the_next_one_works(double, unet) -> None:
    double.use(nn.ModuleDict({"double_blocks": nn.ModuleList([nn.Linear(8, 8)])}))  # FLUX's name
    with pytest.raises(fastapi.HTTPException, match="no U-Net"):
        double.generate(asked(unit()))
    double.use(unet)
    assert len(double.generate(asked(unit()))) == 1


def test_it_works_after_another_checkpoint_was_loaded(double, files, unet) -> None:
    other = ldm_unet(context_dim=CONTEXT, channels=32, heads=4)
    p = asked(unit())
    for each in (unet, other, unet):
        expected = one_row_at_a_time(files, each, p)
        double.use(each)
        assert (double.generate(p) - expected).abs().max() < ALMOST
        assert hooks(each) == 0


def test_a_unit_applies_to_the_refiner_from_its_first_step(double, unet) -> None:
    """The refiner makes the last step alone, so a difference there shows the unit in its U-Net."""
    other = ldm_unet(context_dim=CONTEXT, channels=32, heads=4)

    def switch(step: int) -> None:
        double.use(other if step == 1 else unet)

    made, plain = (double.generate(asked(*units, at_step=switch)) for units in ([unit(start=0.5)], []))
    assert (made - plain).abs().max() > 10 * ALMOST
    assert hooks(unet) == hooks(other) == 0


def test_another_scripts_error_does_not_affect_the_unit(double, tmp_path, unet) -> None:
    (tmp_path / "other.py").write_text(
        "from modules import scripts\n"
        "class Other(scripts.Script):\n"
        "    def title(self): return 'Other'\n"
        "    def show(self, is_img2img): return scripts.AlwaysVisible\n"
        "    def process_before_every_sampling(self, p, **named): raise ValueError(sorted(named))\n"
    )
    alone = double.generate(asked(unit()))
    double._load(tmp_path / "other.py")
    assert torch.equal(double.generate(asked(unit())), alone)


@pytest.fixture
def axes(double) -> list[AxisOption]:
    """The plot's axes in a web UI that has just started."""

    class PlotScript: ...

    PlotScript.__module__ = "xyz_grid.py"  # the web UI names modules after their files
    options: list[AxisOption] = []
    grid = SimpleNamespace(AxisOption=AxisOption, axis_options=options)
    sys.modules["modules.scripts"].scripts_data = [SimpleNamespace(script_class=PlotScript, module=grid)]
    double.entries[0].add_axes()
    return options


def axis(axes: list[AxisOption], label: str) -> AxisOption:
    return next(each for each in axes if each.label == f"[IP-Adapter 1] {label}")


def test_the_plot_has_axes_and_an_impossible_value_stops_it(double, axes) -> None:
    p = asked(unit())
    double.generate(p)
    with pytest.raises(fastapi.HTTPException, match="from -5 to 5, not 9"):
        axis(axes, "Weight").confirm(p, [9])


def test_the_plot_lists_and_checks_files_without_importing_the_engine_at_startup(double, axes) -> None:
    """The extension's axes must not slow down the start of the web UI."""
    assert not [name for name in sys.modules if name.startswith((f"{LIBRARY}.engine", f"{LIBRARY}.weights"))]
    assert axis(axes, "Image encoder").choices()[0] == "auto"
    p = asked(unit())
    double.generate(p)
    for label in ("Adapter", "Image encoder"):
        names = axis(axes, label).choices()
        axis(axes, label).confirm(p, names)
        with pytest.raises(fastapi.HTTPException, match="no such file"):
            axis(axes, label).confirm(p, ["no such file"])


NEIGHBOUR = """
from modules import scripts
class Neighbour(scripts.Script):
    def title(self): {}
    def show(self, is_img2img): return scripts.AlwaysVisible
"""


@pytest.mark.parametrize("title", ["raise ValueError('no title')", "return None"])
def test_with_units_off_another_scripts_title_stops_nothing(double, tmp_path, title, caplog) -> None:
    plain = double.generate(asked())
    (tmp_path / "neighbour.py").write_text(NEIGHBOUR.format(title))
    double._load(tmp_path / "neighbour.py")
    for units in ([], [""] * 3, [unit(enabled=False)], [unit(weight=0.0, enabled=False), None]):
        assert torch.equal(double.generate(asked(*units)), plain)
    assert "before_process" not in caplog.text


def test_an_error_of_the_library_stops_only_generations_with_units(double, monkeypatch) -> None:
    plain = double.generate(asked())

    def broken(*_args: object) -> None:
        raise ImportError("after a broken update")

    monkeypatch.setattr(double.entries[0], "module", broken)
    double.entries[0].host.cache_clear()
    double.cfg_denoiser.clear()
    assert torch.equal(double.generate(asked()), plain)
    with pytest.raises(ImportError, match="after a broken update"):
        double.generate(asked(unit()))


def test_a_refused_record_can_be_used_again_without_units(double) -> None:
    """Some scripts generate with one record several times."""
    p = asked(unit(weight=9))
    with pytest.raises(fastapi.HTTPException):
        double.generate(p)
    with pytest.raises(fastapi.HTTPException):
        p.sample()
    p.args = {}
    double.call("before_process", p)
    assert "sample" not in vars(p), "the class's own is back"
