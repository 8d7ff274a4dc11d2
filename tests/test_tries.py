"""*Try it*: what is read of the args, what doubles of the web UIs make of it, and what the panel gets."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

for needed in ("fastapi", "torch", "ldm"):
    pytest.importorskip(needed)

import torch  # noqa: E402
from contract import DOUBLES, ENTRY, Processing, noise_of  # noqa: E402
from makers import picture  # noqa: E402
from PIL import Image  # noqa: E402
from small_host import SmallHost, ask, photo, save_files, unit  # noqa: E402
from test_contract import TITLE, _pass  # noqa: E402

from lib_ipadapter.engine.session import Session  # noqa: E402
from lib_ipadapter.engine.tried import MOST as MOST_TRIES  # noqa: E402
from lib_ipadapter.engine.tried import Tried  # noqa: E402
from lib_ipadapter.unit.tries import KEY, MOST, find_try, small_size  # noqa: E402

WEIGHTS = [{"weight": weight} for weight in (0, 0.5, 1)]


def trying(*changes: dict[str, Any], **more: Any) -> str:
    """Return a unit's JSON as the panel sends it to try changes."""
    return json.dumps({KEY: {"token": "t", "changes": changes}, **unit(**more)})


def test_a_try_is_read_from_its_units_text() -> None:
    found = find_try([json.dumps(unit()), trying(*WEIGHTS, weight=0.2), ""])
    assert found
    assert (found.token, found.number, list(found.changes)) == ("t", 2, WEIGHTS)
    assert found.args(1) == [unit(), unit(weight=0.5)]
    assert found.args(0)[1] == unit(weight=0)


@pytest.mark.parametrize(
    "args",
    [
        [json.dumps(unit())],
        [unit(**{KEY: {"token": "t", "changes": WEIGHTS}})],
        ["", None, 3],
        ['{"try": '],
        [json.dumps({KEY: 1})],
        [json.dumps({KEY: {"token": "t", "changes": []}})],
        [json.dumps({KEY: {"token": "", "changes": WEIGHTS}})],
        [json.dumps({KEY: {"token": "t" * 65, "changes": WEIGHTS}})],
        [json.dumps({KEY: {"token": "t", "changes": [{}] * (MOST + 1)}})],
        [json.dumps({KEY: {"token": "t", "changes": ["weight"]}})],
    ],
    ids=["none", "object", "others", "broken", "number", "no change", "no token", "long token", "many", "no objects"],
)
def test_anything_else_is_no_try(args: list[Any]) -> None:
    """An object comes from a client of the API; the rest is refused where units are read."""
    assert find_try(args) is None


@pytest.mark.parametrize(
    ("size", "base", "small"),
    [
        ((512, 512), "SD1.x", (512, 512)),
        ((1024, 1024), "SD1.x", (512, 512)),
        ((1024, 1024), "SDXL", (768, 768)),
        ((832, 1216), "SDXL", (512, 768)),
        ((1536, 640), "SD1.x", (512, 192)),
        ((2048, 64), "SDXL", (768, 64)),
        ((2048, 40), "SDXL", (768, 40)),
        ((500, 300), "SD1.x", (500, 300)),
        ((800, 800), "", (768, 768)),
    ],
)
def test_pictures_are_small_and_keep_their_shape(size: tuple[int, int], base: str, small: tuple[int, int]) -> None:
    assert small_size(*size, base) == small


def test_the_panel_takes_pictures_once_each() -> None:
    tried = Tried()
    tried.begin("t", count=3)
    tried.add_reason("t", 1, "No face.")
    tried.add_picture("t", 0, picture(800, 400, mode="RGBA"))
    first = tried.take("t", 0, False)
    assert first["facts"] == {"count": 3}
    assert first["found"][0] == {"index": 1, "reason": "No face."}
    kept = Image.open(io.BytesIO(base64.b64decode(first["found"][1]["image"].split(",")[1])))
    assert (first["found"][1]["index"], kept.size, kept.format) == (0, (384, 192), "JPEG")
    assert tried.take("t", 2, True)["found"] == []
    assert tried.take("t", 0, False) == {"facts": {}, "found": []}, "nothing is left"
    tried.add_reason("t", 2, "Too late.")
    assert tried.take("t", 0, False)["found"] == []


def test_only_the_latest_tries_are_kept() -> None:
    tried = Tried()
    for number in range(MOST_TRIES + 2):
        tried.begin(str(number), count=1)
    kept = [number for number in range(MOST_TRIES + 2) if tried.take(str(number), 0, False)["facts"]]
    assert kept == [2, 3, 4]


def test_the_panel_asks_for_pictures_by_the_trys_token(session: Session) -> None:
    session.tried.begin("t", count=1)
    session.tried.add_reason("t", 0, "No face.")
    assert ask(session, "tried", token="t", seen=0)["found"] == [{"index": 0, "reason": "No face."}]
    assert "message" in ask(session, "tried", token="t", seen="all")
    assert "message" in ask(session, "tried", token="t", seen=0, other=1)
    assert ask(session, "tried", token="another", seen=0) == {"facts": {}, "found": []}


@dataclass
class Generation(Processing):
    """A generation with what a try changes, and what the web UI draws from it."""

    width: int = 1024
    height: int = 512
    steps: int = 2
    batch_size: int = 2
    n_iter: int = 3
    enable_hr: bool = True
    refiner_checkpoint: str | None = "refiner"
    refiner_switch_at: float | None = 0.8
    is_api: bool = False
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    drawn: list[Any] = field(default_factory=list[Any])
    """The parameters, prompt and seed of each picture."""

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.n_iter * self.batch_size
        self.all_prompts, self.all_negative_prompts = [f"a {n}" for n in range(count)], ["blurry"] * count
        self.all_seeds, self.all_subseeds = list(range(count)), list(range(count))


@pytest.fixture
def files(tmp_path):
    (tmp_path / "ipadapter").mkdir()
    save_files(tmp_path / "ipadapter")
    return tmp_path


@pytest.fixture(params=["AUTOMATIC1111", "Forge"])
def double(request, unet, files, monkeypatch):
    """A web UI that has pictures after decoding, and all pictures from one noise."""
    kind = type(unet)
    monkeypatch.setattr("contract.PostprocessImageArgs", lambda: SimpleNamespace(image=picture(64, 32)))
    monkeypatch.setattr("contract.noise_of", lambda p: first_noise())
    with DOUBLES[request.param](unet, files).at_work(ENTRY) as double:
        double.shared.state.skipped = False
        yield double
    unet.__class__ = kind


def first_noise() -> torch.Tensor:
    return noise_of(Processing())


def kept(double: Any) -> Any:
    """Return the store of the web UI's own session."""
    return double.entries[0].session().tried


def latents_of(files, unet, args: Sequence[Any]) -> torch.Tensor:
    """Return what one picture with these args is, computed one row at a time."""
    host = SmallHost(files / "ipadapter", unet)
    session = Session(host)
    session.before_sampling(Processing(), args)
    return _pass(host, unet, Processing(), first_noise())


def noting(p: Generation) -> Generation:
    """Record the parameters of each picture when its first step begins."""
    p.at_step = lambda step: step or p.drawn.append((dict(p.extra_generation_params), p.all_prompts, p.all_seeds))
    return p


CHANGES = [{"weight": 0.5}, {"enabled": False}, {"model": "plus", "weight": 0.5}]


def test_each_picture_has_its_own_units_and_all_have_one_seed(double, files, unet) -> None:
    p = noting(Generation(args={TITLE: [trying(*CHANGES), json.dumps(unit(images=[photo(2)], weight=0.3))]}))
    made = double.generate(p)
    other = unit(images=[photo(2)], weight=0.3)
    for latents, change in zip(made, CHANGES, strict=True):
        expected = latents_of(files, unet, [unit(**change), other])[0]
        assert (latents - expected).abs().max() < 1e-4
    assert (p.width, p.height, p.steps, p.n_iter, p.batch_size) == (768, 384, 2, 3, 1)
    assert (p.enable_hr, p.refiner_checkpoint, p.do_not_save_samples, p.do_not_save_grid) == (False, None, True, True)
    assert all((prompts, seeds) == (["a 0"] * 3, [0] * 3) for _, prompts, seeds in p.drawn)
    lines = [parameters.get("IP-Adapter 1", "") for parameters, *_ in p.drawn]
    assert ["Weight: 0.5" in line for line in lines] == [True, False, True]
    assert ["plus.bin" in line for line in lines] == [False, False, True]
    assert all("Weight: 0.3" in parameters["IP-Adapter 2"] for parameters, *_ in p.drawn)
    answer = kept(double).take("t", 0, True)
    assert answer["facts"] == {"count": 3, "width": 768, "height": 384, "steps": 2}
    assert [entry["index"] for entry in answer["found"]] == [0, 1, 2]


def test_only_the_first_reference_is_used_with_one_reference_for_each_picture(double, files, unet) -> None:
    images = [photo(1), photo(2)]
    made = double.generate(Generation(args={TITLE: [trying(*WEIGHTS[1:], images=images, unfold=True)]}))
    for latents, change in zip(made, WEIGHTS[1:], strict=True):
        expected = latents_of(files, unet, [unit(images=images[:1], **change)])[0]
        assert (latents - expected).abs().max() < 1e-4


def test_a_unit_that_is_off_in_all_pictures_of_a_kind_is_never_injected(double) -> None:
    plain = double.generate(Generation(batch_size=1, n_iter=1, enable_hr=False))
    made = double.generate(Generation(args={TITLE: [trying({"enabled": True}, {"enabled": False}, {"weight": 0})]}))
    assert torch.equal(made[1], plain[0])
    assert torch.equal(made[2], plain[0])
    assert not torch.equal(made[0], plain[0])


def test_the_next_generation_is_as_before(double) -> None:
    def ordinary() -> torch.Tensor:
        return double.generate(Generation(args={TITLE: [json.dumps(unit())]}, batch_size=1, enable_hr=False))

    before = ordinary()
    double.generate(Generation(args={TITLE: [trying(*CHANGES)]}))
    assert torch.equal(ordinary(), before)


def test_a_change_that_cannot_run_is_left_out_with_its_reason(double) -> None:
    changes = [{"model": "missing"}, {"weight": 0.5}, {"weight": "much"}]
    p = noting(Generation(args={TITLE: [trying(*changes)]}))
    assert len(double.generate(p)) == p.n_iter == 1
    found = kept(double).take("t", 0, True)["found"]
    assert [(entry["index"], "reason" in entry) for entry in found] == [(0, True), (2, True), (1, False)]
    assert "Weight: 0.5" in p.drawn[0][0]["IP-Adapter 1"]


def refusal_of(double: Any, p: Generation) -> str:
    """Return the error that stops a generation."""
    with pytest.raises(Exception, match="IP-Adapter") as stopped:
        double.generate(p)
    return str(stopped.value)


def test_if_no_change_can_run_the_generation_is_stopped(double) -> None:
    assert "unit 1" in refusal_of(double, Generation(args={TITLE: [trying({"model": "missing"}, {"weight": -9})]}))


def test_the_api_has_no_such_field(double) -> None:
    p = Generation(args={TITLE: [trying(*WEIGHTS)]}, is_api=True)
    assert f"{KEY} is an unknown field" in refusal_of(double, p)
    assert (p.width, p.n_iter, p.batch_size) == (1024, 3, 2)


def test_a_script_of_the_web_uis_menu_is_refused_by_name(double) -> None:
    p = Generation(args={TITLE: [trying(*WEIGHTS)]})
    script = SimpleNamespace(title=lambda: "X/Y/Z plot")

    class Chosen(list):
        """The web UI's args, with the number of a script in front."""

        def __getitem__(self, index: Any) -> Any:
            return 1 if index == 0 else super().__getitem__(index)

    real = double.call

    def call(method: str, generation: Generation, *given: Any, **named: Any) -> None:
        generation.scripts.selectable_scripts, generation.script_args = [script], Chosen(generation.script_args)
        real(method, generation, *given, **named)

    double.call = call
    assert "does not work with the script X/Y/Z plot" in refusal_of(double, p)
    assert p.n_iter == 3


@pytest.mark.parametrize("how", ["interrupted", "skipped"])
def test_a_picture_that_was_cut_short_is_not_shown(double, how: str) -> None:
    p = Generation(args={TITLE: [trying(*WEIGHTS)]})
    p.at_step = lambda step: setattr(double.shared.state, how, p.iteration == 1)
    double.generate(p)
    setattr(double.shared.state, how, False)
    found = kept(double).take("t", 0, True)["found"]
    assert [entry["index"] for entry in found] == [0, 2]


def test_a_copy_of_the_generation_gets_the_units_of_its_picture(double) -> None:
    """As other extensions make one, to improve each picture in a generation of its own."""
    tries = double.entries[0].module("hosts.tries")
    p = Generation(args={TITLE: [trying(*WEIGHTS)]})
    seen: list[Any] = []

    def copied(step: int) -> None:
        copy = SimpleNamespace(**vars(p))
        seen.append(next(iter(tries.args_of_picture(copy, p.args[TITLE])))["weight"])
        assert not tries.is_try(copy)

    p.at_step = copied
    double.generate(p)
    assert seen == [0, 0, 0.5, 0.5, 1, 1]
