"""The projectors against golden values made from the authors' modules."""

from functools import cache

import pytest
import torch
from golden import checksum, stream, weights

from lib_ipadapter.weights.projectors import (
    FacePlusProjector,
    FacePlusV2Projector,
    FaceProjector,
    FaceResampler,
    FullFaceProjector,
    LinearProjector,
    Resampler,
)
from lib_ipadapter.weights.pulid import IDEncoder, IDFormer


def filled(module: torch.nn.Module) -> torch.nn.Module:
    module.load_state_dict(weights({name: tuple(t.shape) for name, t in module.state_dict().items()}))
    return module.double().eval()


@pytest.mark.parametrize(
    ("number", "first"),
    [
        (0, (0.0815244, -0.00981271, 0.01783634)),
        (5, (0.25098483, 0.1354879, -0.23810449)),
        (999, (0.07657828, -0.08907807)),
    ],
)
def test_the_generator_gives_the_golden_arrays(number: int, first: tuple[float, ...]) -> None:
    assert stream(number, len(first)).tolist() == pytest.approx(first, abs=1e-7)


CASES = {
    "linear": (
        lambda: LinearProjector(32, 4, 64),
        (2, 32),
        (2, 4, 64),
        (+0.840911, +0.455671, +0.509850),
        (+0.717260, -1.245790, +0.226638),
        0.806895,
        -8.141405,
    ),
    "resampler": (
        lambda: Resampler(48, 8, 128, 2, 64, 4),
        (2, 5, 48),
        (2, 8, 64),
        (+0.600365, -0.618417, +0.565503),
        (+1.142364, -0.988483, +1.365841),
        0.793689,
        +3.393220,
    ),
    "faceid": (
        lambda: FaceProjector(32, 4, 64),
        (2, 32),
        (2, 4, 64),
        (-1.445896, -0.759097, +1.253795),
        (-0.076682, -1.165909, -0.525487),
        0.833958,
        -3.863138,
    ),
    "faceid-plus v1": (
        lambda: FacePlusProjector(32, 4, 128, 48, 2, 4),
        (2, 32),
        (2, 4, 128),
        (-0.056197, +0.074283, -2.268710),
        (+0.784986, +2.019802, +0.049262),
        0.797602,
        +6.100951,
    ),
    "faceid-plus v2": (
        lambda: FacePlusV2Projector(32, 4, 128, 48, 2, 4),
        (2, 32),
        (2, 4, 128),
        (+0.310072, +0.475034, -0.902549),
        (+0.899709, +2.807575, +0.151813),
        1.114891,
        +10.070181,
    ),
}
SECOND = {"faceid-plus v1": (2, 5, 48), "faceid-plus v2": (2, 5, 48)}
"""Shape of the second input, if there are two."""


@pytest.mark.parametrize("case", CASES)
def test_a_projector_gives_the_golden_values(case: str) -> None:
    make, given, shape, first, last, mean_abs, total = CASES[case]
    entering = [stream(1000, *given)] + ([stream(1001, *SECOND[case])] if case in SECOND else [])
    with torch.no_grad():
        made = filled(make())(*entering)
    assert made.shape == shape
    assert made.flatten()[:3].tolist() == pytest.approx(first, abs=2e-6)
    assert made.flatten()[-3:].tolist() == pytest.approx(last, abs=2e-6)
    assert made.abs().mean().item() == pytest.approx(mean_abs, abs=2e-6)
    assert checksum(made) == pytest.approx(total, abs=2e-5)


ID_ENCODER = cache(lambda: filled(IDEncoder(1280, 1024, 5, 1024, 2048)))
ID_FORMER = cache(lambda: filled(IDFormer(1280, 5, 32, 1024, 16, 1024, 2048, 10)))
PULID = {
    "v1": (
        ID_ENCODER,
        (2, 10, 2048),
        (+1.791543, -1.941259, +0.107599),
        (-0.912017, +1.468369, -2.157919),
        1.197064,
        -7.667603,
    ),
    "v1.1": (
        ID_FORMER,
        (2, 32, 2048),
        (38.9021, 6.3262, -41.2529),
        (-11.2647, 4.0908, -10.9944),
        24.876644,
        -3227.8973,
    ),
    "v1.1, three photos in one call": (
        ID_FORMER,
        (1, 32, 2048),
        (45.3515, 46.5604, 45.1758),
        (1.8866, 36.4237, 4.7274),
        24.604880,
        -826.0052,
    ),
}
"""Full-size networks, with embeddings of stream 1000 and hidden states of streams 1001 to 1005."""


@pytest.mark.parametrize("case", PULID)
def test_a_network_of_pulid_gives_the_golden_values(case: str) -> None:
    make, shape, first, last, mean_abs, total = PULID[case]
    sets, photos = (1, 3) if "three" in case else (2, 1)
    identity = stream(1000, sets, photos, 1280) if photos > 1 else stream(1000, sets, 1280)
    states = [stream(1001 + scale, sets, 5 * photos, 1024) for scale in range(5)]
    with torch.no_grad():
        made = make()(identity[..., :512], identity[..., 512:], *states)
    assert made.shape == shape
    tolerance = {"rel": 2e-5, "abs": 2e-6}
    assert made.flatten()[:3].tolist() == pytest.approx(first, **tolerance)
    assert made.flatten()[-3:].tolist() == pytest.approx(last, **tolerance)
    assert made.abs().mean().item() == pytest.approx(mean_abs, **tolerance)
    assert checksum(made) == pytest.approx(total, **tolerance)


@pytest.mark.parametrize(
    ("module", "given", "shape"),
    [
        (LinearProjector(7, 3, 5), (2, 7), (2, 3, 5)),
        (FullFaceProjector(7, 5), (2, 11, 7), (2, 11, 5)),
        (Resampler(7, 3, 64, 1, 5, 2), (2, 11, 7), (2, 3, 5)),
        (FaceProjector(7, 3, 5), (2, 7), (2, 3, 5)),
        (FaceResampler(7, 3, 64, 1, 5, 2), (2, 7), (2, 3, 5)),
    ],
)
def test_shapes_are_those_in_the_docstrings(module: torch.nn.Module, given: tuple, shape: tuple) -> None:
    assert module(torch.randn(given)).shape == shape


@pytest.mark.parametrize(
    "module",
    [
        LinearProjector(7, 3, 5),
        FullFaceProjector(7, 5),
        Resampler(7, 3, 64, 2, 5, 3),
        FaceProjector(7, 3, 5),
        FacePlusProjector(7, 3, 5, 11, 2, 3),
        FaceResampler(7, 3, 64, 2, 5, 3),
        IDEncoder(7, 11, 3, 13, 5),
        IDFormer(7, 3, 17, 64, 2, 13, 5, 10),
    ],
)
def test_a_projector_is_built_from_its_own_shapes(module: torch.nn.Module) -> None:
    shapes = {f"image_proj.{name}": tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    again = type(module).of_shapes(shapes)
    assert {name: tuple(t.shape) for name, t in again.state_dict().items()} == {
        name: tuple(t.shape) for name, t in module.state_dict().items()
    }


def test_the_structure_weight_scales_what_the_picture_adds() -> None:
    embeddings, states = stream(1000, 2, 32), stream(1001, 2, 5, 48)
    with torch.no_grad():
        seen = filled(FacePlusProjector(32, 4, 128, 48, 2, 4))(embeddings, states)
        second = filled(FacePlusV2Projector(32, 4, 128, 48, 2, 4))
        alone = second(embeddings, states, structure_weight=0.0)
        made = second(embeddings, states, structure_weight=-0.7)
    assert torch.allclose(made, alone - 0.7 * seen)
