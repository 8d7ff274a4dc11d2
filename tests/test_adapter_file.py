"""Reading files: every layout, strictly, and no more of a file than is needed."""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from makers import adapter_tensors, nested
from published import PUBLISHED, header, sparse
from safetensors.torch import save_file
from torch import Tensor

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.base.files import file_identity, sha256
from lib_ipadapter.weights.adapter_file import AdapterFile, open_adapter
from lib_ipadapter.weights.tensor_file import refuse_unusable

WIDTHS = (8, 12, 20)
SMALL = {"base": {"tokens": 3}, "plus": {"tokens": 5}, "full-face": {}}


def small(family: str = "base") -> dict[str, Tensor]:
    return adapter_tensors(family, widths=WIDTHS, context_dim=24, width=40, **SMALL[family])


def renamed(tensors: Mapping[str, Tensor], **prefixes: str) -> dict[str, Tensor]:
    return {prefixes[key.split(".")[0]] + key[key.index(".") :]: tensor for key, tensor in tensors.items()}


def trainer(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename tensors as the authors' training scripts save them, together with the whole U-Net."""
    own = renamed(tensors, image_proj="image_proj_model", ip_adapter="adapter_modules")
    return own | {"unet.conv_in.weight": torch.ones(3), "unet.mid_block.attentions.0.to_k_ip.weight": torch.ones(5, 7)}


def flat(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, str(path))


LAYOUTS: dict[str, Callable[[dict[str, Tensor], Path], object]] = {
    "nested torch": lambda tensors, path: torch.save(nested(tensors), path),
    "flat torch": torch.save,
    "flat safetensors": flat,
    "nested torch with adapter_modules": lambda tensors, path: torch.save(
        nested(renamed(tensors, image_proj="image_proj", ip_adapter="adapter_modules")), path
    ),
    "trainer, torch": lambda tensors, path: torch.save(trainer(tensors), path),
    "trainer, safetensors": lambda tensors, path: flat(trainer(tensors), path),
    "parameters": lambda tensors, path: torch.save({k: torch.nn.Parameter(t) for k, t in tensors.items()}, path),
    "backwards": lambda tensors, path: torch.save(nested(dict(reversed(tensors.items()))), path),
    "with a step count": lambda tensors, path: torch.save(nested(tensors) | {"step": 5, "note": "x", "l": [1]}, path),
}

NAMES = ("ip-adapter.safetensors", "ip-adapter.bin", "no extension", "ip-adapter-faceid-plusv2_sdxl.png")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_and_file_name_gives_the_same_tensors(layout: str, name: str, tmp_path: Path) -> None:
    tensors = small()
    LAYOUTS[layout](tensors, tmp_path / name)
    opened = open_adapter(tmp_path / name)
    assert opened.layout
    found = opened.recognised
    assert (found.family.name, found.tokens, found.context_dim, found.layers) == ("base", 3, 24, 16)
    assert found.parameters == sum(tensor.numel() for tensor in tensors.values())
    assert_same(opened, tensors)


def assert_same(opened: AdapterFile, tensors: Mapping[str, Tensor]) -> None:
    read = opened.tensors()
    assert read.keys() == tensors.keys() == opened.shapes.keys()
    assert all(torch.equal(read[key], tensor) for key, tensor in tensors.items())


@pytest.mark.parametrize(("family", "tokens"), [("base", 3), ("plus", 5), ("full-face", 257)])
@pytest.mark.parametrize("layout", ["nested torch", "trainer, safetensors"])
def test_each_family_that_runs_is_read_in_each_layout(layout: str, family: str, tokens: int, tmp_path: Path) -> None:
    tensors = small(family)
    LAYOUTS[layout](tensors, tmp_path / "a")
    opened = open_adapter(tmp_path / "a")
    assert opened.layout
    assert (opened.recognised.family.name, opened.recognised.tokens) == (family, tokens)
    assert_same(opened, tensors)


@pytest.mark.parametrize("twice", [False, True])
def test_of_tensors_that_are_there_twice_those_with_published_names_count(twice: bool, tmp_path: Path) -> None:
    """NoobAI's adapter has all of them under both names; which come first depends on the file."""
    own = small("plus")
    trainers = {"image_proj.": "image_proj_model.", "ip_adapter.": "adapter_modules."}
    others = {
        key.replace(prefix, name): torch.full_like(tensor, 7.0)
        for key, tensor in own.items()
        for prefix, name in trainers.items()
        if key.startswith(prefix)
    }
    torch.save({**others, **own} if twice else {**own, **others}, tmp_path / "noob.bin")
    opened = open_adapter(tmp_path / "noob.bin")
    assert opened.recognised.family.name == "plus"
    assert opened.recognised.parameters == sum(tensor.numel() for tensor in own.values())
    assert_same(opened, own)


def test_pulids_names_become_those_of_published_files(tmp_path: Path) -> None:
    sizes = {"body.0.weight": (3, 5), "body.6.weight": (48, 3), "mapping_0.0.weight": (3, 5), "mapping_0.6.bias": (24,)}
    raw = {
        "id_adapter": {name: torch.ones(shape) for name, shape in sizes.items()},
        "id_adapter_attn_layers": {
            "1.id_to_k.weight": torch.full((7, 24), 2.0),
            "1.id_to_v.weight": torch.full((7, 24), 3.0),
        },
    }
    torch.save(raw, tmp_path / "pulid_v1.bin")
    read = open_adapter(tmp_path / "pulid_v1.bin").tensors()
    assert {key: tensor.flatten()[0].item() for key, tensor in read.items()} == {
        **{f"image_proj.{name}": 1.0 for name in sizes},
        "ip_adapter.1.to_k_ip.weight": 2.0,
        "ip_adapter.1.to_v_ip.weight": 3.0,
    }


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_each_tensor_keeps_its_dtype(name: str, tmp_path: Path) -> None:
    tensors = {key: t.half() if key.startswith("ip_adapter") else t for key, t in small().items()}
    tensors["image_proj.norm.bias"] = tensors["image_proj.norm.bias"].bfloat16()
    tensors["image_proj.proj.bias"] = tensors["image_proj.proj.bias"].double()
    LAYOUTS["nested torch" if name == "a.bin" else "flat safetensors"](tensors, tmp_path / name)
    read = open_adapter(tmp_path / name).tensors()
    assert {key: tensor.dtype for key, tensor in read.items()} == {key: tensor.dtype for key, tensor in tensors.items()}
    refuse_unusable(tmp_path / name, read)


@pytest.mark.parametrize("groups", [{"image_proj": {}, "ip_adapter": {}}, {}])
def test_empty_groups_are_no_adapter(groups: dict[str, dict[str, Tensor]], tmp_path: Path) -> None:
    torch.save(groups, tmp_path / "a.bin")
    with pytest.raises(IPAdapterError, match=r"a\.bin is not an IP-Adapter .* it has no tensors"):
        open_adapter(tmp_path / "a.bin")


@pytest.mark.parametrize(
    ("tensor", "fault"),
    [
        (torch.tensor([1.0, float("nan"), 2.0]), "NaN or infinity"),
        (torch.tensor([1.0, float("inf"), 2.0]), "NaN or infinity"),
        (torch.tensor([float("-inf"), float("inf")]), "NaN or infinity"),
        (torch.tensor([float("nan"), 1.0]).half(), "NaN or infinity"),
        (torch.tensor([float("inf"), 1.0]).bfloat16(), "NaN or infinity"),
        (torch.tensor([float("nan"), 1.0]).to(torch.float8_e4m3fn), "NaN or infinity"),
        (torch.empty(0, 5), "empty"),
        (torch.tensor([1, 2]), "int64"),
        (torch.tensor([1, 2], dtype=torch.uint8), "uint8"),
        (torch.tensor([True]), "bool"),
        (torch.tensor([1j]), "complex64"),
    ],
)
def test_an_unusable_tensor_is_named_with_its_fault(tensor: Tensor, fault: str) -> None:
    with pytest.raises(IPAdapterError) as caught:
        refuse_unusable(Path("some") / "a.bin", {"good": torch.ones(2), "ip_adapter.7.to_v_ip.weight": tensor})
    assert caught.value.sentence.startswith(f"a.bin has unusable tensors: ip_adapter.7.to_v_ip.weight ({fault}).")


def test_of_many_unusable_tensors_the_first_are_named_and_the_rest_counted() -> None:
    with pytest.raises(IPAdapterError, match=r"t0 \(empty\).*t4 \(empty\); and 7 more\."):
        refuse_unusable(Path("a.bin"), {f"t{i}": torch.empty(0) for i in range(12)})


@pytest.mark.parametrize(
    "tensor",
    [
        torch.full((300, 300), 65504.0).half(),  # the sum overflows half precision
        torch.full((4, 4), 3e38),  # and this one float32
        torch.tensor([1.0, -448.0]).to(torch.float8_e4m3fn),
        torch.tensor([1e-45, 0.0]),
    ],
)
def test_large_and_small_numbers_are_usable(tensor: Tensor) -> None:
    refuse_unusable(Path("a.bin"), {"t": tensor})


@pytest.mark.parametrize(("length", "mark"), [(0x4080, b"\x80\x40"), (0x3C20, b" <"), (0x4B50, b"PK")])
def test_a_header_whose_length_looks_like_another_formats_mark_is_read(
    length: int, mark: bytes, tmp_path: Path
) -> None:
    tensors = small()
    text = header({key: tuple(tensor.shape) for key, tensor in tensors.items()}, "F32")[8:]
    numbers = bytes(4 * sum(tensor.numel() for tensor in tensors.values()))
    content = length.to_bytes(8, "little") + text.ljust(length) + numbers
    (tmp_path / "a").write_bytes(content)
    assert content.startswith(mark)
    assert open_adapter(tmp_path / "a").recognised.family.name == "base"


def test_a_digest_covers_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000  # more than one piece
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_files_identity_is_its_path_size_and_time(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.write_bytes(b"1")
    os.utime(a, ns=(5, 5))
    os.utime(b, ns=(5, 5))
    first = file_identity(a)
    assert file_identity(a) == first
    assert file_identity(b) != first
    os.utime(a, ns=(5, 6))
    assert file_identity(a) != first
    a.write_bytes(b"12")
    os.utime(a, ns=(5, 5))
    assert file_identity(a) != first


def resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """Return the peak memory of this process in bytes."""
    import resource  # there is none on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
A_FEW = 24 << 20
"""Bytes by which a process may grow for unrelated reasons."""


@linux
def test_opening_a_large_safetensors_file_reads_its_header_only(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.safetensors", PUBLISHED["ip-adapter_sdxl"].shapes, "F32")
    assert path.stat().st_size > 1_400_000_000
    before, peak_before = resident(), peak()
    opened = open_adapter(path)
    assert opened.recognised.parameters == 351_285_248
    assert resident() - before < A_FEW
    assert peak() - peak_before < A_FEW


@linux
@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_tensors_stay_in_the_file_until_they_are_used(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    save_large(path)
    before = resident()
    tensors = open_adapter(path).tensors()
    assert tensors["ip_adapter.1.to_k_ip.weight"].nbytes > 120_000_000
    assert resident() - before < A_FEW
    path.unlink()


def save_large(path: Path) -> None:
    tensors = small() | {"ip_adapter.1.to_k_ip.weight": torch.empty(2_600_000, 24).half()}  # never touched: no memory
    if path.suffix == ".bin":
        torch.save(nested(tensors), path)
    else:
        sparse(path, {key: tuple(tensor.shape) for key, tensor in tensors.items()})
