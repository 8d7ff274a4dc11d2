"""The API of a real web UI: refusals, routes, memory, and how much time a unit adds."""

import base64
import io
import re
import statistics
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from host.webui import Files, RefusedError, WebUI, reference
from lib_ipadapter.base.version import VERSION
from lib_ipadapter.networks.unet_sites import SDXL


@pytest.fixture(scope="module")
def sd(webui: WebUI) -> Path:
    return webui.use_smallest()


def huge_png() -> str:
    """Return a PNG of 30,000 × 30,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
    return base64.b64encode(content).decode()


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown field": ({"wieght": 1}, "wieght", "is an unknown field"),
    "wrong type": ({"weight": "1"}, "weight", "must be a number from -5 to 5"),
    "a flag for a number": ({"weight": True}, "weight", "must be a number"),
    "null": ({"weight": None}, "weight", "must be a number"),
    "out of range": ({"weight": 5.01}, "weight", "from -5 to 5, not 5.01"),
    "start after end": ({"start": 0.8, "end": 0.2}, "start", "must not be after end"),
    "no model": ({"model": ""}, "model", "is required"),
    "no such model": ({"model": "nothing"}, "model", "was not found"),
    "a path as model": ({"model": "../../etc/passwd"}, "model", "was not found"),
    "several files of that name": ({"model": "twin"}, "model", "matches several files"),
    "no image": ({"images": []}, "images", "is required"),
    "broken base64": ({"images": ["%%%"]}, "images[0]", "must be a picture as base64"),
    "base64 of something else": (
        {"images": [base64.b64encode(b"text").decode()]},
        "images[0]",
        "is not a supported picture",
    ),
    "a path": ({"images": [str(Path(__file__))]}, "images[0]", "files are not read by path"),
    "an address": ({"images": ["http://127.0.0.1/a.png"]}, "images[0]", "URLs are not fetched"),
    "a huge picture": ({"images": [huge_png()]}, "images[0]", "30000×30000|far too many pixels"),
    "a huge text": ({"images": ["A" * 100_000_000]}, "images[0]", "must have at most"),
    "an encoder that does not fit": ({"encoder": "other-encoder"}, "encoder", "needs"),
    "points that are none": ({"layers": "6=1"}, "layers", "must be pairs such as 6:1, 3:0.5"),
    "a layer that is not there": ({"layers": "16:1"}, "layers", "0 to 15"),
    "a curve that goes back": ({"curve": "0:1, 0.5:0, 0.2:1"}, "curve", "rising"),
    "a mask that is none": ({"mask": "%%%"}, "mask", "must be a picture as base64"),
    "merging what has regions": (
        {"combine": "average", "images": [reference(), {"image": reference(2), "mask": reference(3)}]},
        "images[1].mask",
        "set combine to concat",
    ),
    "a face for what sees pictures": ({"face": 1}, "face", "has no effect with"),
    "pictures and saved ones": ({"embeds": "anna"}, "embeds", "replaces images"),
    "nothing saved under a name": ({"embeds": "../anna", "images": []}, "embeds", "was not found"),
}


@pytest.fixture(scope="module")
def model(files: Files, sd: Path) -> str:
    """An adapter that fits, with the files for the cases above."""
    name = files.adapter(sd)
    content = (files.folder / f"{name}.safetensors").read_bytes()
    (files.folder / "twin.safetensors").write_bytes(content)
    (files.folder / "twin.bin").write_bytes(content)
    files.other_encoder()
    return name


@pytest.mark.parametrize("case", BAD)
def test_a_bad_unit_is_refused_with_field_and_remedy_and_the_web_ui_keeps_working(
    webui: WebUI, model: str, case: str
) -> None:
    change, field, words = BAD[case]
    with pytest.raises(RefusedError) as refused:
        webui.generate({"model": model, "images": [reference()]} | change)
    assert refused.value.status == 422
    assert refused.value.body["body"]["field"] == field
    assert refused.value.body["body"]["unit"] == 1
    assert refused.value.body["body"]["detail"] == refused.value.body["detail"]
    assert refused.value.body["body"]["remedy"] in refused.value.body["detail"]
    assert any(word in refused.value.body["detail"] for word in words.split("|")), refused.value.body["detail"]
    assert "Traceback" not in str(refused.value.body)
    assert webui.generate(steps=1).pictures


def test_an_adapter_for_another_base_is_refused(webui: WebUI, files: Files, sd: Path) -> None:
    of_sdxl = webui.checkpoints()[SDXL.name]
    if not of_sdxl:
        pytest.skip("the web UI has no SDXL checkpoint")
    with pytest.raises(RefusedError, match="is for SDXL, but the loaded checkpoint is SD1"):
        webui.generate({"model": files.adapter(of_sdxl[0]), "images": [reference()]})


def test_units_are_accepted_in_every_form(webui: WebUI, model: str) -> None:
    import json

    unit = {"model": model, "images": reference()}
    expected = webui.generate(unit)
    for args in ([[unit]], [None, unit], [json.dumps(unit)], [json.dumps([unit])], [[], "", [unit]]):
        assert webui.generate(*args) - expected == 0
    many = [unit | {"weight": 0.05} for _ in range(12)]
    more = webui.generate(many)
    assert len([key for key in more.info["extra_generation_params"] if key.startswith("IP-Adapter")]) == 12


def test_the_routes_list_files_and_fields(webui: WebUI, model: str) -> None:
    assert webui.call("/ipadapter/version") == {"version": VERSION}
    found = webui.call("/ipadapter/rescan", {})["models"]
    listed = {entry["name"]: entry for entry in webui.call("/ipadapter/models")}
    assert listed[f"{model}.safetensors"]["family"] == "base"
    assert listed[f"{model}.safetensors"]["reason"] == ""
    assert "host-test-encoder.safetensors" in {entry["name"] for entry in webui.call("/ipadapter/encoders")}
    assert webui.call("/ipadapter/schema")["properties"]["weight"]["maximum"] == 5
    assert found == len(listed)


def test_a_saved_reference_makes_the_same_picture_as_its_images(webui: WebUI, files: Files, sd: Path) -> None:
    pictures = [reference(1), {"image": reference(2), "weight": 0.5}]
    unit = {"model": files.adapter(sd, "plus"), "images": pictures, "crop": "pad"}
    path = webui.kept / "ipadapter_references" / "host-test-saved.safetensors"
    try:
        saved = webui.call("/ipadapter/embeds", {"name": path.stem, "unit": unit})
        assert saved in webui.call("/ipadapter/embeds")
        using = {"model": unit["model"], "embeds": path.stem}
        expected, made = webui.generate(unit), webui.generate(using)
        assert made - expected == 0
        assert expected - webui.generate() > 3
        assert f"{path.stem} [{saved['sha256'][:12]}]" in made.info["infotexts"][0]
        with pytest.raises(RefusedError) as refused:
            webui.call("/ipadapter/embeds", {"name": path.stem, "unit": unit})
        assert refused.value.status == 422
        assert {"field": "name", "value": path.stem}.items() <= refused.value.body["body"].items()
        assert "overwrite" in refused.value.body["detail"]
    finally:
        path.unlink(missing_ok=True)


def resident(process: int) -> int:
    """Return a process's resident memory in bytes."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_memory_does_not_grow_over_two_hundred_generations(webui: WebUI, model: str) -> None:
    def generate(count: int, units: bool) -> None:
        for seed in range(count):
            unit = {"model": model, "images": [reference(seed % 5)], "weight": 1 - seed % 3}
            webui.generate(*[unit] * units, steps=1, width=64, height=64, seed=seed)

    hooks = webui.hooks()
    generate(30, True)
    before = resident(webui.process.pid)
    generate(200, True)
    grown = resident(webui.process.pid) - before
    print(f"grown by {grown / 1e6:.1f} MB in 200 generations")  # noqa: T201
    assert grown < 40e6, f"grown by {grown / 1e6:.0f} MB"
    assert webui.hooks() == hooks


def test_the_time_to_the_first_step_is_reported(webui: WebUI, model: str) -> None:
    """Not asserted: it depends on the machine. Run pytest with -s to see it."""
    photo = reference(3, 1600, 1200)
    unit = {"model": model, "images": [photo]}

    def seconds(*units: Any) -> float:
        webui.generate(*units, steps=1, width=64, height=64)
        return webui.call("/ip-adapter-oracle/first-step")

    seconds()
    cold = seconds(unit)
    none, warm = (statistics.median(seconds(*units) for _ in range(15)) for units in ((), (unit,)))
    print(f"to the first step: {none * 1e3:.0f} ms, cold +{(cold - none) * 1e3:.0f} ms, ", end="")  # noqa: T201
    print(f"warm +{(warm - none) * 1e3:.0f} ms; a photo of {len(photo) / 1e6:.1f} MB")  # noqa: T201


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_examples_in_the_docs_make_the_same_picture_as_the_unit(
    webui: WebUI, model: str, tmp_path: Path, language: str
) -> None:
    import json

    from examples import run_example

    (tmp_path / "reference.png").write_bytes(base64.b64decode(reference(3)))
    printed = run_example(language, tmp_path, webui.url, model)
    content = (
        (tmp_path / "picture.png").read_bytes()
        if language == "python"
        else base64.b64decode(json.loads(printed)["images"][0])
    )
    with Image.open(io.BytesIO(content)) as made:
        parameters = made.info["parameters"]
    assert re.search(rf"Adapter: {model}\.safetensors( \[\w+\])?, Weight: 0.7, References: \w+", parameters)


def test_a_controlnet_unit_makes_the_same_picture_with_one_key_changed(webui: WebUI, model: str) -> None:
    theirs = {
        "enabled": True,
        "module": "ip-adapter-auto",
        "model": f"{model} [0123abcd]",
        "weight": 0.8,
        "image": reference(4, 120, 80),
        "resize_mode": "Crop and Resize",
        "guidance_start": 0.0,
        "guidance_end": 0.75,
        "pixel_perfect": True,
        "control_mode": "Balanced",
        "effective_region_mask": None,
    }
    ours = {"model": model, "weight": 0.8, "images": [reference(4, 120, 80)], "end": 0.75, "crop": "squash"}
    made = webui.generate(theirs)
    assert made - webui.generate(ours) == 0
    assert made - webui.generate() > 0
    with pytest.raises(RefusedError, match="Send units with other preprocessors to ControlNet"):
        webui.generate(theirs | {"module": "canny"})


def test_the_web_uis_openapi_description_has_the_routes(webui: WebUI) -> None:
    paths = webui.call("/openapi.json")["paths"]
    assert {"/ipadapter/models", "/ipadapter/schema", "/ipadapter/rescan"} <= set(paths)
    assert paths["/ipadapter/models"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["items"]


def test_the_log_level_takes_effect_at_once(webui: WebUI, model: str) -> None:
    unit = {"model": model, "images": [reference(6)]}

    def logged() -> int:
        before = len(webui.log.read_text(errors="replace"))
        webui.generate(unit, steps=1, width=64, height=64)
        return webui.log.read_text(errors="replace")[before:].count("IP-Adapter: 1 unit, 4 image tokens, encoded in ")

    assert logged() == 0
    webui.call("/sdapi/v1/options", {"ipadapter_log_level": "info"})
    try:
        assert logged() == 1
    finally:
        webui.call("/sdapi/v1/options", {"ipadapter_log_level": "warning"})
