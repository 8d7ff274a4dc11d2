"""The likeness report through the extension's entry file, as web UIs call it."""

from types import SimpleNamespace

import pytest

for needed in ("fastapi", "torch", "ldm", "insightface"):
    pytest.importorskip(needed)

from contract import DOUBLES, ENTRY, Processed, Processing  # noqa: E402
from face_models import draw_faces, write_pack  # noqa: E402
from makers import adapter_tensors, save, text_of  # noqa: E402
from small_host import CONTEXT, WIDTHS  # noqa: E402

from lib_ipadapter.faces.insightface_models import PACKS  # noqa: E402
from lib_ipadapter.networks.unet_sites import SD  # noqa: E402

ANNA = draw_faces((320, 320, 256), seed=1)

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image


@pytest.fixture(params=["AUTOMATIC1111", "reForge", "Forge"])
def double(request, unet, tmp_path):
    save(adapter_tensors("faceid", SD, WIDTHS, CONTEXT), tmp_path / "ipadapter" / "faceid.safetensors")
    write_pack(tmp_path / "insightface" / "models", PACKS["buffalo_l"])
    kind = type(unet)
    with DOUBLES[request.param](unet, tmp_path).at_work(ENTRY) as double:
        yield double
    unet.__class__ = kind


def made(double) -> Processing:
    """Return a generation's record after a picture was made that shows the reference's face."""
    p = Processing(args={"IP-Adapter": ({"model": "faceid", "images": [text_of(ANNA)], "lora_weight": 0},)})
    double.generate(p)
    p.batch_index, p.seeds = 0, [7]  # pyright: ignore[reportAttributeAccessIssue]
    double.call("postprocess_image_after_composite", p, SimpleNamespace(image=ANNA))
    double.call("postprocess", p, Processed())
    return p


def test_the_likeness_is_reported_if_the_setting_says_so(double, tmp_path) -> None:
    double.options.update(ipadapter_likeness=True, ipadapter_likeness_log="CSV")
    p = made(double)
    assert p.extra_generation_params["IP-Adapter 1 likeness"] == ["1.00"]
    assert p.comments[-1] == "Picture 1, unit 1: 1.00"
    assert len(list((tmp_path / "log" / "ipadapter-likeness").iterdir())) == 1


def test_nothing_is_reported_otherwise(double, tmp_path) -> None:
    p = made(double)
    assert list(p.extra_generation_params) == ["IP-Adapter 1"]
    assert p.comments == []
    assert not (tmp_path / "log").exists()
