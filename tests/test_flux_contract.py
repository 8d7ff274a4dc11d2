"""FLUX.1 in the doubles of Forge and Forge Neo: the same pictures as one row at a time, and no trace."""

import pytest

for needed in ("fastapi", "torch", "ldm"):
    pytest.importorskip(needed)

import fastapi  # noqa: E402
import torch  # noqa: E402
from contract import DOUBLES, ENTRY, Interrupted  # noqa: E402
from fluxes import NARROW, POOLED, Flux, randomised, xlabs_tensors  # noqa: E402
from makers import save  # noqa: E402
from small_host import FEATURES, photo, save_files, unit  # noqa: E402
from test_contract import ALMOST, asked, hooks, one_row_at_a_time  # noqa: E402
from torch import Tensor, nn  # noqa: E402


class CalledFlux(Flux):
    """FLUX called like a U-Net, with the same pooled text and guidance for every row."""

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        same = torch.ones(len(x))
        return super().forward(x, timesteps / 10, context, same[:, None].expand(-1, POOLED) / 2, 3.5 * same)


@pytest.fixture(scope="module")
def flux() -> nn.Module:
    return randomised(CalledFlux(NARROW))


@pytest.fixture
def files(tmp_path):
    save_files(tmp_path / "ipadapter")
    save(xlabs_tensors(FEATURES), tmp_path / "ipadapter" / "xlabs.safetensors")
    return tmp_path


@pytest.fixture(params=["Forge", "Forge Neo"])
def double(request, flux, files):
    kind = type(flux)
    with DOUBLES[request.param](flux, files).at_work(ENTRY) as double:
        yield double
    flux.__class__ = kind


XLABS = {"model": "xlabs", "images": [photo(1)]}
WAYS = {
    "without a negative pass, as is usual for FLUX": {"cfg_scale": 1.0},
    "with one": {"cfg_scale": 3.5},
    "separate, batch": {"separate": True, "batch_size": 2},
    "AND, hires fix": {"prompt": "a red cat AND a blue house", "enable_hr": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_pictures_are_those_of_one_row_at_a_time(double, files, flux, way: str) -> None:
    p = asked(unit(**XLABS), unit(**XLABS, weight=-0.5, start=0.4), steps=2, **WAYS[way])
    expected = one_row_at_a_time(files, flux, p)
    assert (double.generate(p) - expected).abs().max() < ALMOST * expected.abs().max()
    assert hooks(flux) == 0


def test_an_interrupt_and_an_exception_leave_no_trace(double, flux) -> None:
    def interrupt(_step: int) -> None:
        raise Interrupted

    def fail(_step: int) -> None:
        raise MemoryError("too large")

    before = double.generate(asked(steps=1))
    double.generate(asked(unit(**XLABS), steps=2, at_step=interrupt))
    assert hooks(flux) == 0
    with pytest.raises(MemoryError, match="too large"):
        double.generate(asked(unit(**XLABS), steps=2, at_step=fail))
    assert hooks(flux) == 0
    assert torch.equal(double.generate(asked(steps=1)), before)


def test_units_follow_or_are_refused_as_checkpoints_change(double, flux, unet) -> None:
    kind = type(unet)
    for network, fitting, other in ((unet, unit(), unit(**XLABS)), (flux, unit(**XLABS), unit())):
        double.use(network)
        assert not torch.equal(double.generate(asked(fitting, steps=1)), double.generate(asked(steps=1)))
        with pytest.raises(fastapi.HTTPException, match="but the loaded checkpoint is"):
            double.generate(asked(other, steps=1))
        assert hooks(network) == 0
    unet.__class__ = kind
