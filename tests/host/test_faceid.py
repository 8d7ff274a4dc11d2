"""FaceID in a real web UI: faces, the LoRA compared with the web UI's own, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from makers import text_of

pytest.importorskip("onnx", reason="face models are made with onnx, which is not installed at this end of the versions")

from face_models import draw_faces, write_pack

from host.webui import NO_INSIGHTFACE, Files, RefusedError, WebUI, reference
from lib_ipadapter.faces.insightface_models import PACKS

FACE = text_of(draw_faces((320, 320, 256)))
TWO = text_of(draw_faces((150, 200, 128), (450, 400, 128), seed=3))
LORA = "host-faceid_lora"
SMALL = {"width": 128, "height": 128}


@pytest.fixture(scope="module")
def checkpoint(webui: WebUI, files: Files) -> Path:
    """The smallest checkpoint of SD's layout, with face models and FaceID adapters that fit it."""
    path = webui.use_smallest()
    write_pack(files.folder / "insightface" / "models", PACKS["buffalo_l"])
    files.faceid(path, "faceid", "host-faceid", lora=True)
    files.faceid(path, "faceid-plus", "host-faceid-plusv2", lora=True)
    files.faceid(path, "portrait", "host-portrait", lora=False)
    files.separate_lora(path, LORA)
    webui.call("/sdapi/v1/refresh-loras", {})
    webui.call("/ipadapter/rescan", {})
    return path


@pytest.fixture(scope="module", autouse=True)
def needs_insightface(webui: WebUI, checkpoint: Path) -> None:
    if not webui.has_insightface():
        pytest.skip(NO_INSIGHTFACE)


def unit(model: str, image: str = FACE, **more: Any) -> dict[str, Any]:
    return {"model": model, "images": [image], **more}


def test_a_units_lora_equals_the_web_uis_own(webui: WebUI) -> None:
    """The web UI adds a LoRA's product to the weights; the LoRA hooks add the same to the layers' outputs."""
    plain, before = webui.generate(**SMALL), webui.hooks()
    off, on = (webui.generate(unit("host-faceid", lora_weight=weight), **SMALL) for weight in (0, 1))
    assert off - plain > 3
    assert on - off > 3
    named = SMALL | {"prompt": f"a red cat <lora:{LORA}:1>"}
    theirs = webui.generate(unit("host-faceid", lora_weight=0), **named)
    assert theirs - off > 3, "the web UI's LoRA does nothing"
    assert on - theirs <= 1, f"mean difference {on.mean_difference(theirs):.5f}"
    once = webui.generate(unit("host-faceid", lora_weight=1), **named)
    assert once - theirs == 0, "the prompt's LoRA was applied a second time"
    assert webui.generate(unit("host-faceid", lora_weight=0), **SMALL) - off == 0
    assert webui.hooks() == before


def test_the_lora_applies_in_both_passes_of_hires_fix_and_leaves_no_trace(webui: WebUI) -> None:
    hires = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.6}
    hires |= SMALL
    before, hooks = webui.generate(**hires), webui.hooks()
    on = webui.generate(unit("host-faceid"), **hires)
    theirs = webui.generate(unit("host-faceid", lora_weight=0), prompt=f"a red cat <lora:{LORA}:1>", **hires)
    assert on - before > 3
    assert on - theirs <= 1, f"mean difference {on.mean_difference(theirs):.5f}"
    assert webui.generate(**hires) - before == 0
    assert webui.hooks() == hooks


def test_faceid_plus_and_portrait_use_the_chosen_face(webui: WebUI) -> None:
    for model in ("host-faceid-plusv2", "host-portrait"):
        left, right, both = (webui.generate(unit(model, TWO, face=face), **SMALL) for face in ("left", "right", "all"))
        assert left - right > 1
        assert both - left > 1
    half = webui.generate(unit("host-faceid-plusv2", structure_weight=0.3), **SMALL)
    assert half - webui.generate(unit("host-faceid-plusv2"), **SMALL) > 1
    assert "Face structure: 0.3" in str(half.info["extra_generation_params"])


REFUSED = {
    "no face": (unit("host-faceid", reference()), "images[0]", "has no detectable face"),
    "no such face": (unit("host-faceid", face=4), "face", "but one face was found in images[0]"),
    "a variant it cannot be": (unit("host-portrait", variant="v1"), "variant", "does not fit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_is_refused_with_a_reason(webui: WebUI, case: str) -> None:
    given, field, words = REFUSED[case]
    with pytest.raises(RefusedError) as refused:
        webui.generate(given, steps=1, width=64, height=64)
    assert refused.value.status == 422
    assert refused.value.body["body"]["field"] == field
    assert words in refused.value.body["detail"]
    assert "Traceback" not in str(refused.value.body)


def test_the_list_of_models_describes_each_faceid_adapter(webui: WebUI) -> None:
    listed = {entry["name"]: entry for entry in webui.call("/ipadapter/models")}
    found = listed["host-faceid-plusv2.bin"]
    assert (found["family"], found["variant"], found["variant_by"]) == ("faceid-plus", "v2", "name")
    assert found["lora"]
    assert found["reason"] == ""
    assert "face models buffalo_l, image encoder host-test-encoder" in found["note"]
