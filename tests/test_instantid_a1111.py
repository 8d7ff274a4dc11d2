"""The input of InstantID's ControlNet in the ControlNet extension: a double of the extension's relevant steps
with a real ControlNet, compared with that ControlNet given the authors' tokens.

The real extension is tested in tests/host.
"""

import copy
import enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from makers import adapter_tensors, save
from small_host import Processing, SmallHost
from torch import Tensor, nn

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.hosts.instantid import is_instantid
from lib_ipadapter.hosts.instantid_a1111 import ENTRY as ENTRY_OF_THE_EXTENSION
from lib_ipadapter.hosts.instantid_a1111 import SOURCE, face_tokens_of, prepare
from lib_ipadapter.networks.unet_sites import SDXL
from lib_ipadapter.port import COND, UNCOND, PassInfo, Row
from lib_ipadapter.weights.projectors import FaceResampler

pytest.importorskip("insightface", reason="insightface and onnxruntime are not installed at this end of the versions")
pytest.importorskip("diffusers", reason="diffusers, an oracle, is not installed at this end of the versions")

from face_models import draw_faces, write_pack
from makers import text_of
from test_instantid import CONTEXT, TOKENS, authors_resampler, close, face_embeddings
from unets import AsLdm, diffusers_sdxl, shuffle_zeros

from lib_ipadapter.faces.insightface_models import PACKS

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # insightface's own, of scikit-image

ROWS = (Row(COND, 0), Row(UNCOND, 0))
FACE, OTHER = draw_faces((320, 320, 256)), draw_faces((320, 320, 256), seed=4)
NAME = "control_instant_id_sdxl [c5c25a50]"


class Kind(enum.Enum):
    ControlNet = "ControlNet"
    IPAdapter = "IPAdapter"
    InstantID = "InstantID"


class ControlModel(NamedTuple):
    model: Any
    type: Kind


class ImageEmbed(NamedTuple):
    cond_emb: Any
    uncond_emb: Any

    def eval(self, cond_mark: Tensor) -> Tensor:
        return self.cond_emb * cond_mark[..., 0] + self.uncond_emb * (1 - cond_mark[..., 0])


class UnetHook:
    def __init__(self, params: list[Any]) -> None:
        self.control_params = params

    def see(self, rows: int) -> list[Any]:
        """Return the context that each ControlNet gets instead of the text, with the marks of a hires pass."""
        marks = torch.ones(rows, 1, 1, 1)
        return [
            param.control_context_override.eval(marks) if param.control_model_type is Kind.InstantID else "the text"
            for param in self.control_params
            if param.control_model_type is not Kind.IPAdapter
        ]


class Extension:
    """The relevant part of the extension's script."""

    cached: ClassVar[dict[str, ControlModel]] = {}

    def __init__(self) -> None:
        self.latest_network: UnetHook | None = None
        self.enabled_units: list[Any] = []

    def title(self) -> str:
        return "ControlNet"

    @staticmethod
    def load_control_model(p: Any, unet: Any, model: str) -> ControlModel:
        return Extension.cached[model]

    def controlnet_main_entry(self, p: Any) -> None:
        self.latest_network = None
        self.enabled_units = getattr(p, "units", [])
        params = []
        for unit in self.enabled_units:
            model, kind = Extension.load_control_model(p, None, unit.model)
            params.append(SimpleNamespace(control_model=model, control_model_type=kind, control_context_override=None))
        for i, param in enumerate(params):
            if param.control_model_type == Kind.InstantID:
                assert i > 0, "InstantID control model should follow ipadapter model."
                assert params[i - 1].control_model_type == Kind.IPAdapter
                param.control_context_override = params[i - 1].control_model.image_emb
        self.latest_network = UnetHook(params)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instantid")
    write_pack(folder / "faces", PACKS["antelopev2"], seed=2)
    tensors = adapter_tensors("face-resampler", SDXL, (64, 128), CONTEXT, tokens=TOKENS)
    save(tensors, folder / "ip-adapter.bin")
    return folder


@pytest.fixture(scope="module")
def unet() -> nn.Module:
    return AsLdm(diffusers_sdxl(CONTEXT), SDXL)


@pytest.fixture(scope="module")
def controlnet() -> Any:
    from diffusers import ControlNetModel

    torch.manual_seed(6)
    return shuffle_zeros(
        ControlNetModel(
            block_out_channels=(32, 64, 128),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            cross_attention_dim=CONTEXT,
            attention_head_dim=(1, 2, 4),
            use_linear_projection=True,
            conditioning_embedding_out_channels=(8, 8),
        )
    )


@pytest.fixture
def extension(controlnet: Any) -> Extension:
    pair = SimpleNamespace(image_emb=ImageEmbed(torch.ones(1, 3, 5), torch.zeros(1, 3, 5)))
    Extension.cached = {
        NAME: ControlModel(controlnet, Kind.InstantID),
        "InstantID-ControlNet": ControlModel(controlnet, Kind.ControlNet),
        "canny": ControlModel("a network", Kind.ControlNet),
        "ip-adapter_instant_id_sdxl": ControlModel(pair, Kind.IPAdapter),
    }
    return Extension()


class RefusedError(Exception):
    """The web UI's HTTP error."""


def refused(error: IPAdapterError) -> Exception:
    return RefusedError(str(error))


class Generation:
    """A generation with units of both extensions, up to the start of sampling."""

    def __init__(self, host: SmallHost, extension: Extension, *names: str, units: Any = None) -> None:
        self.host, self.extension = host, extension
        self.p: Any = Processing()
        self.p.scripts = SimpleNamespace(alwayson_scripts=[extension])
        self.p.units = [SimpleNamespace(model=name) for name in names]
        self.session = Session(host)
        self.units = [unit()] if units is None else units

    def begin(self) -> "Generation":
        self.set_up(self.p)
        return self.before_sampling()

    def set_up(self, p: Any) -> None:
        prepare(p, self.session.feeds_controlnet(p, self.units), refused)
        self.extension.controlnet_main_entry(p)

    def before_sampling(self) -> "Generation":
        tokens = face_tokens_of(self.p)
        self.host.facts, self.host.run = PassInfo(feeds_controlnet=tokens is not None), None
        self.session.before_sampling(self.p, self.units)
        assert not self.host.refused, self.host.refused
        if tokens:
            tokens.run = self.host.run
        return self

    def see(self, rows: Any = ROWS, count: int = 0) -> list[Any]:
        self.host.run.inject(self.host.unet)
        self.host.run.begin_call(rows, 0.0, (8, 8))
        try:
            assert self.extension.latest_network
            return self.extension.latest_network.see(count or len(rows))
        finally:
            self.host.run.eject()


def unit(picture: Any = FACE, **more: Any) -> dict[str, Any]:
    return {"model": "ip-adapter", "images": [text_of(picture)], **more}


@pytest.fixture
def host(folder: Path, unet: nn.Module) -> SmallHost:
    return SmallHost(folder, unet)


@pytest.fixture(scope="module")
def tokens(folder: Path) -> dict[str, Tensor]:
    """The authors' tokens of two faces, and of none: (tokens, context dim) each."""
    theirs = authors_resampler(folder)
    with torch.no_grad():
        made = {name: theirs(face_embeddings(folder, "antelopev2", each)[None])[0] for name, each in PERSONS.items()}
        return made | {"none": theirs(torch.zeros(1, 1, 512))[0]}


PERSONS = {"face": FACE, "other": OTHER}


def of(tokens: dict[str, Tensor], *names: str) -> Tensor:
    return torch.stack([tokens[name] for name in names])


@pytest.mark.parametrize("name", [NAME, "InstantID-ControlNet"])
def test_a_controlnet_without_its_own_face_unit_gets_our_face(host, extension, tokens, controlnet, name: str) -> None:
    (seen,) = Generation(host, extension, name).begin().see()
    assert close(seen, of(tokens, "face", "none"))
    torch.manual_seed(1)
    latents, hint = torch.randn(2, 4, 8, 8), torch.rand(2, 3, 16, 16)
    made, expected = (
        controlnet(latents, 500, encoder_hidden_states=context, controlnet_cond=hint, return_dict=False)
        for context in (seen, of(tokens, "face", "none"))
    )
    assert all(close(one, other) for one, other in zip([*made[0], made[1]], [*expected[0], expected[1]], strict=True))


def test_row_kinds_come_from_the_denoiser_and_not_from_the_extensions_marks(host, extension, tokens) -> None:
    begun = Generation(host, extension, NAME).begin()
    rows = (Row(UNCOND, 0), Row(COND, 0), Row(COND, 1))
    assert close(begun.see(rows)[0], of(tokens, "none", "face", "face"))
    assert close(begun.see(ROWS[1:])[0], of(tokens, "none"))
    assert close(begun.see(ROWS, 4)[0], of(tokens, "face", "none", "face", "none")), "as tiles call it"


def test_other_controlnets_get_the_text(host, extension) -> None:
    seen = Generation(host, extension, "canny", NAME, "canny").begin().see()
    assert (seen[0], seen[2]) == ("the text", "the text")
    assert isinstance(seen[1], Tensor)


def test_the_extensions_own_pair_is_not_changed(host, extension, tokens) -> None:
    own, ours = Generation(host, extension, "ip-adapter_instant_id_sdxl", NAME, NAME).begin().see()
    assert torch.equal(own, torch.ones(2, 3, 5))
    assert close(ours, of(tokens, "face", "none"))


def test_the_second_controlnet_gets_the_second_units_face(host, extension, tokens) -> None:
    begun = Generation(host, extension, NAME, NAME, NAME, units=[unit(), unit(OTHER)]).begin()
    seen = begun.see()
    for made, name in zip(seen, ("face", "other", "other"), strict=True):
        assert close(made, of(tokens, name, "none"))


def test_several_references_are_used_together(host, extension, tokens) -> None:
    both = unit(images=[text_of(FACE), text_of(OTHER)], region="left to right")
    (seen,) = Generation(host, extension, NAME, units=[both]).begin().see()
    assert close(seen[0], torch.cat([tokens["face"], tokens["other"]]))
    assert close(seen[1], torch.cat([tokens["none"], tokens["none"]]))


@pytest.mark.parametrize("more", [{"weight": 0}, {"pass": "hires"}, {"start": 0.5}])
def test_a_units_weight_pass_and_steps_do_not_matter(host, extension, tokens, more) -> None:
    """Therefore InstantID's ControlNet can also be used alone."""
    (seen,) = Generation(host, extension, NAME, units=[unit(**more)]).begin().see()
    assert close(seen, of(tokens, "face", "none"))


def test_each_picture_of_a_batch_can_have_its_own_face(host, extension, tokens) -> None:
    each = unit(images=[text_of(FACE), text_of(OTHER)], unfold=True)
    (seen,) = Generation(host, extension, NAME, units=[each]).begin().see([Row(COND, 1), Row(COND, 0), Row(UNCOND, 1)])
    assert close(seen, of(tokens, "other", "face", "none"))


def test_without_an_instantid_unit_the_extension_is_left_alone(host, extension) -> None:
    with pytest.raises(AssertionError, match="should follow ipadapter model"):
        Generation(host, extension, NAME, units=[]).begin()
    assert ENTRY_OF_THE_EXTENSION not in vars(extension)
    for unreadable in ([{"model": "absent", "images": ["x"]}], [{"weight": "heavy"}], ["{"]):
        assert not Session(host).feeds_controlnet(Processing(), unreadable)


def test_it_leaves_no_trace(host, extension) -> None:
    loader, cached = vars(Extension)["load_control_model"], dict(Extension.cached)
    begun = Generation(host, extension, NAME).begin()
    assert vars(Extension)["load_control_model"] is loader
    assert Extension.cached == cached
    prepare(begun.p, False, refused)
    assert ENTRY_OF_THE_EXTENSION not in vars(extension)
    assert SOURCE not in vars(begun.p)


def test_an_error_in_the_extension_restores_its_loader(host, extension) -> None:
    loader = vars(Extension)["load_control_model"]
    with pytest.raises(KeyError):
        Generation(host, extension, NAME, "absent").begin()
    assert vars(Extension)["load_control_model"] is loader


def test_an_inner_generation_is_not_fed(host, extension) -> None:
    """An extension that repairs faces starts one with its own record."""
    begun = Generation(host, extension, NAME).begin()
    inner: Any = SimpleNamespace(units=[SimpleNamespace(model="canny")])
    extension.controlnet_main_entry(inner)
    assert extension.latest_network.see(1) == ["the text"]
    inner.units = begun.p.units
    with pytest.raises(AssertionError):
        extension.controlnet_main_entry(inner)


@pytest.mark.parametrize("refiner", [False, True])
def test_the_batch_after_adetailers_generations_is_fed(host, extension, tokens, refiner: bool) -> None:
    """After its inner generations ADetailer sets up all scripts for a copy of the record, before the next batch.

    With a refiner the extension sets itself up for the record before each (scripts/controlnet.py,
    `process_has_sdxl_refiner`).
    """
    begun = Generation(host, extension, NAME).begin()
    Generation(host, extension, "canny", units=[unit(OTHER)]).begin()
    begun.set_up(copy.copy(begun.p))
    if refiner:
        extension.controlnet_main_entry(begun.p)
    (seen,) = begun.before_sampling().see()
    assert close(seen, of(tokens, "face", "none"))


def test_each_generation_is_fed_and_another_extensions_hook_stays(host, extension, tokens) -> None:
    called: list[Any] = []
    enter = extension.controlnet_main_entry
    extension.controlnet_main_entry = lambda p: called.append(p) or enter(p)  # AnimateDiff does this
    own = vars(extension)[ENTRY_OF_THE_EXTENSION]
    for picture, name in ((FACE, "face"), (OTHER, "other")):
        (seen,) = Generation(host, extension, NAME, units=[unit(picture)]).begin().see()
        assert close(seen, of(tokens, name, "none"))
    assert len(called) == 2
    prepare(SimpleNamespace(scripts=None), False, refused)
    prepare(SimpleNamespace(scripts=SimpleNamespace(alwayson_scripts=[extension])), False, refused)
    assert vars(extension)[ENTRY_OF_THE_EXTENSION] is own


def test_a_call_outside_of_sampling_is_refused_with_a_reason(host, extension) -> None:
    begun = Generation(host, extension, NAME).begin()
    assert extension.latest_network
    with pytest.raises(RefusedError, match="called with 2 rows, but 0 or a multiple"):
        extension.latest_network.see(2)
    with pytest.raises(RefusedError, match="called with 3 rows, but 2 or a multiple"):
        begun.see(ROWS, 3)
    face_tokens_of(begun.p).run = None  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(RefusedError, match="expected active units"):
        extension.latest_network.see(2)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (NAME, True),
        ("InstantID", True),
        ("instant-id (xl)", True),
        ("canny", False),
        (None, False),
        ("instant", False),
    ],
)
def test_a_controlnet_is_recognised_by_its_name(name: Any, known: bool) -> None:
    assert is_instantid(name) == known


# In a web UI, with the extension's entry file before ours and after it


class Watching(Extension):
    """The extension's script in a web UI: its ControlNets' inputs in each call, and the text of the rows."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Tensor, list[Any]]] = []

    def process(self, p: Any, *_: Any) -> None:
        self.controlnet_main_entry(p)

    def watch(self, _unet: nn.Module, args: tuple[Tensor, ...]) -> None:
        if self.latest_network:
            self.calls.append((args[2], self.latest_network.see(len(args[0]))))


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("way", ["together", "separate", "hires", "batches"])
def test_in_a_web_ui_each_row_gets_its_face_in_any_order_of_loading(
    folder, extension, controlnet, tmp_path, place: str, way: str
) -> None:
    pytest.importorskip("fastapi")
    from contract import DOUBLES, ENTRY, contexts
    from contract import Processing as Asked
    from small_host import CONTEXT as WIDTH

    (tmp_path / "insightface" / "models").mkdir(parents=True)
    (tmp_path / "insightface" / "models" / "antelopev2").symlink_to(folder / "faces" / "antelopev2")
    tensors = adapter_tensors("face-resampler", SDXL, (64, 128), WIDTH, tokens=TOKENS)
    save(tensors, tmp_path / "ipadapter" / "ip-adapter.bin")
    unet, watching = AsLdm(diffusers_sdxl(WIDTH), SDXL), Watching()
    unet.register_forward_pre_hook(watching.watch)
    more = {"together": {}, "separate": {"separate": True}, "hires": {"enable_hr": True}, "batches": {"n_iter": 2}}[way]
    p: Any = Asked(args={"IP-Adapter": [unit()]}, batch_size=2, **more)
    p.units = [SimpleNamespace(model=NAME)]
    with DOUBLES["AUTOMATIC1111"](unet, tmp_path).at_work(ENTRY) as double:
        double.scripts.insert(0 if place == "first" else len(double.scripts), watching)
        double.generate(p)
        assert ENTRY_OF_THE_EXTENSION in vars(watching)
        double.generate(Asked(args={}))
        assert ENTRY_OF_THE_EXTENSION not in vars(watching)
    embedding = face_embeddings(folder, "antelopev2")
    projector = FaceResampler.of_shapes({key: tuple(tensor.shape) for key, tensor in tensors.items()})
    projector.load_state_dict({k.removeprefix("image_proj."): t for k, t in tensors.items() if "image_proj." in k})
    with torch.no_grad():
        face, none = projector(torch.cat([embedding, torch.zeros_like(embedding)]))
    prompt = contexts([p.prompt])[0]
    fed = [call for call in watching.calls if call[1] != []]
    assert len(fed) == {"together": 2, "separate": 4, "hires": 4, "batches": 4}[way]
    for texts, (seen,) in fed:
        for text, tokens in zip(texts, seen, strict=True):
            assert close(tokens, face if torch.equal(text, prompt) else none)
    rows = torch.cat([texts for texts, _ in fed])
    assert 0 < sum(torch.equal(text, prompt) for text in rows) < len(rows)
