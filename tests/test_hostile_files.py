"""Files that are damaged, forged or of another kind: each is refused with a reason and none is executed."""

import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from makers import adapter_tensors, nested
from published import header
from safetensors.torch import save_file

from lib_ipadapter.base.errors import IPAdapterError, UnrecognisedError
from lib_ipadapter.weights.adapter_file import open_adapter
from lib_ipadapter.weights.clip_vision import open_encoder
from lib_ipadapter.weights.tensor_file import refuse_unusable

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # torch warns about its own deprecated modules

TENSORS = adapter_tensors("base", widths=(2, 3, 4), context_dim=5, width=7, tokens=2)


def look_through(path: Path) -> None:
    """Do everything that is done with an adapter file before it is used."""
    opened = open_adapter(path)
    assert opened.layout
    refuse_unusable(path, opened.tensors())


def refusal(path: Path) -> str:
    with pytest.raises(IPAdapterError) as caught:
        look_through(path)
    with pytest.raises(IPAdapterError):
        open_encoder(path)
    sentence = caught.value.sentence
    assert sentence.startswith(path.name)
    assert sentence.endswith(".")
    assert len(sentence) < 500
    return sentence


def sound(path: Path) -> Path:
    """Write a valid adapter in the format of the path's extension."""
    if path.suffix == ".safetensors":
        save_file(TENSORS, str(path))
    else:
        torch.save(nested(TENSORS), path)
    look_through(path)
    return path


class Call:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


PLACES: dict[str, Callable[[Any], Any]] = {
    "in a group": lambda call: {"image_proj": {"proj.weight": call}, "ip_adapter": {}},
    "beside the groups": lambda call: nested(TENSORS) | {"extra": call},
    "alone": lambda call: call,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_code_in_a_torch_archive_is_not_run(name: str, place: str, tmp_path: Path) -> None:
    torch.save(PLACES[place](Call(tmp_path / "ran")), tmp_path / name)
    assert "may run code" in refusal(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_code_in_a_plain_pickle_is_not_run(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(pickle.dumps(Call(tmp_path / "ran"), protocol))
    sentence = refusal(tmp_path / "a.bin")
    assert not (tmp_path / "ran").exists()
    if protocol > 1:
        assert "pickle" in sentence


def test_torchs_oldest_format_is_refused_with_a_remedy(tmp_path: Path) -> None:
    torch.save(nested(TENSORS), tmp_path / "a.bin", _use_new_zipfile_serialization=False)
    assert "Get the .safetensors version" in refusal(tmp_path / "a.bin")


def test_a_torchscript_archive_is_not_opened(tmp_path: Path) -> None:
    """Torch before 2.6 runs one even with `weights_only` (CVE-2025-32434)."""
    path = sound(tmp_path / "a.bin")
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{root}/constants.pkl", b"\x80\x02).")
    assert "TorchScript program" in refusal(path)


def test_a_compressed_archive_is_not_read_as_numbers(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.bin")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.bin", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert "compressed" in refusal(tmp_path / "b.bin")


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_a_file_cut_short_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    whole = sound(tmp_path / name).read_bytes()
    for length in sorted({*range(1, 40), *range(40, len(whole), len(whole) // 60), len(whole) - 1}):
        (tmp_path / name).write_bytes(whole[:length])
        assert "damaged, incomplete" in refusal(tmp_path / name)


PAGES = (b"<!DOCTYPE html><html>", b"\n\n  <html>", b"\xef\xbb\xbf<html>", b"<?xml version='1.0'?><Error>")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes"),
        *((page, "web page") for page in PAGES),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 44642768\n", "Git LFS pointer"),
        (b"Invalid username or password.", "damaged, incomplete"),
        (b"PK", "damaged, incomplete"),
        (b"PK\x03\x04" + bytes(200), "damaged, incomplete"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "damaged, incomplete"),
        (bytes(8), "damaged, incomplete"),
        (bytes(5000), "damaged, incomplete"),
        (b"\xff" * 5000, "damaged, incomplete"),
        (random.Random(5).randbytes(5000), "damaged, incomplete"),
    ],
)
@pytest.mark.parametrize("name", ["a.safetensors", "a.bin"])
def test_other_kinds_of_files_are_recognised(content: bytes, message: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in refusal(tmp_path / name)


def safetensors(described: object, numbers: int = 0, length: int | None = None) -> bytes:
    text = described if isinstance(described, bytes) else json.dumps(described).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(numbers)


def entry(dtype: object, shape: object, *offsets: object) -> dict[str, object]:
    return {"image_proj.proj.weight": {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}}


FORGED = {
    "header longer than the file": safetensors({}, length=1 << 20),
    "header longer than any": safetensors({}, length=(1 << 64) - 1),
    "header longer than memory": safetensors({}, 64, length=1 << 40),
    "header of no length": safetensors(b""),
    "no JSON": safetensors(b"{not json}"),
    "half of JSON": safetensors(b'{"a":{"dtype":"F32"'),
    "no text": safetensors(b"{\xff\xfe\x00}"),
    "a list": safetensors([1, 2]),
    "a number": safetensors(5),
    "nothing described": safetensors({"a": 5}),
    "deep": safetensors(b'{"a":' * 50_000),
    "no end": safetensors(b"{" * 100_000),
    "offsets past the end": safetensors(entry("F32", [1, 1], 0, 4)),
    "offsets turned round": safetensors(entry("F32", [1, 1], 4, 0), 4),
    "offsets below zero": safetensors(entry("F32", [1, 1], -4, 0), 4),
    "more numbers than bytes": safetensors(entry("F32", [1 << 20, 1 << 20], 0, 4), 4),
    "more numbers than 64 bits count": safetensors(entry("F32", [1 << 62, 1 << 62], 0, 4), 4),
    "shape of text": safetensors(entry("F32", "x", 0, 4), 4),
    "shape below zero": safetensors(entry("F32", [-1], 0, 4), 4),
    "unknown dtype": safetensors(entry("F1024", [1, 1], 0, 4), 4),
    "numbers that nothing describes": safetensors(entry("F32", [1, 1], 0, 4), 40),
}


@pytest.mark.parametrize("kind", FORGED)
@pytest.mark.parametrize("name", ["a.safetensors", "a.bin"])
def test_a_forged_safetensors_header_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(FORGED[kind])
    assert "damaged, incomplete" in refusal(tmp_path / name)


DTYPES = {"BOOL": 8, "U8": 8, "I8": 8, "I16": 16, "U16": 16, "I32": 32, "U32": 32, "I64": 64, "U64": 64, "C64": 64}
DTYPES |= {"F8_E8M0": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E4M3FNUZ": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4}
"""Bits of dtypes that some version of safetensors knows and no adapter has; some versions of torch know a few."""


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_dtype_that_no_adapter_has_raises_only_ipadaptererror(dtype: str, tmp_path: Path) -> None:
    path = sound(tmp_path / "a.safetensors")
    length = int.from_bytes(path.read_bytes()[:8], "little")
    described = json.loads(path.read_bytes()[8 : 8 + length])
    end = max(each["data_offsets"][1] for each in described.values())
    added = 8 * DTYPES[dtype] // 8
    described["image_proj.extra"] = {"dtype": dtype, "shape": [8], "data_offsets": [end, end + added]}
    path.write_bytes(safetensors(described, end + added))
    refusal(path)
    with suppress(IPAdapterError):
        refuse_unusable(path, open_adapter(path).tensors())


@pytest.mark.parametrize("described", [{}, {"__metadata__": {"format": "pt"}}])
def test_a_safetensors_file_without_tensors_is_not_an_adapter(described: object, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(safetensors(described))
    assert "has no tensors" in refusal(tmp_path / "a.safetensors")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    assert "is a folder" in refusal(tmp_path / "a.bin")


def test_a_missing_file_is_reported_as_missing(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "a.bin")


@pytest.mark.usefixtures("links")
def test_a_dangling_link_is_reported_as_missing(tmp_path: Path) -> None:
    (tmp_path / "a.bin").symlink_to(tmp_path / "gone.bin")
    assert "No such file" in refusal(tmp_path / "a.bin")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_reported_as_such(tmp_path: Path) -> None:
    sound(tmp_path / "a.bin").chmod(0)
    assert "ermission" in refusal(tmp_path / "a.bin")


@pytest.mark.parametrize(
    ("content", "kind"), [(torch.ones(3), "Tensor"), ([torch.ones(3)], "list"), (5, "int"), (None, "NoneType")]
)
def test_a_torch_file_without_a_dictionary_is_not_an_adapter(content: object, kind: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "a.bin")
    with pytest.raises(UnrecognisedError, match=rf"a\.bin contains a {kind}, but"):
        open_adapter(tmp_path / "a.bin")
    refusal(tmp_path / "a.bin")


@pytest.mark.parametrize("key", [5, 2.5, None, True, ("a", "b"), b"proj"])
@pytest.mark.parametrize("wrap", [lambda inner: inner, lambda inner: {"image_proj": inner}])
def test_names_that_are_not_text_are_refused(wrap: Callable[[Any], Any], key: object, tmp_path: Path) -> None:
    torch.save(wrap({key: torch.ones(3)}), tmp_path / "a.bin", pickle_protocol=2)
    refusal(tmp_path / "a.bin")


def pickled(path: Path, content: bytes) -> Path:
    """Write a torch archive with a pickle made by hand."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", b"3\n")
    return path


NAME = b"X\x01\x00\x00\x00a"
PICKLES = {
    "deep": b"\x80\x02" + (b"}" + NAME) * 20_000 + b"}" + b"s" * 20_000 + b".",
    "within itself": b"\x80\x02}q\x00" + NAME + b"h\x00s.",
    "doubling": b"\x80\x02}q\x00"
    + b"".join(
        b"}q%c" % (i + 1) + NAME + b"h%cs" % i + b"X\x01\x00\x00\x00bh%cs" % i  # {a: last, b: last}
        for i in range(60)
    )
    + b".",
    "empty": b"",
    "no end": b"\x80\x02}",
    "nothing on the stack": b"\x80\x02s.",
    "unknown mark": b"\x80\x02h\x63.",
    "unknown class": b"\x80\x02cposix\nsystem\n.",
    "no class": b"\x80\x02c.",
    "huge text": b"\x80\x02X\xff\xff\xff\xffa.",
    "wrong storage": b"\x80\x02K\x05Q.",
    "half a number": b"\x80\x02J\x01.",
    "an item of a number": b"\x80\x02K\x01K\x02K\x03s.",
    "storage of no type": b"\x80\x02(X\x07\x00\x00\x00storageK\x05X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ.",
    "storage larger than memory": b"\x80\x02ctorch\nFloatStorage\n\x8a\x06" + b"\x7f" * 6 + b"\x85R.",
}


@pytest.mark.parametrize("kind", PICKLES)
def test_a_forged_pickle_is_refused(kind: str, tmp_path: Path) -> None:
    refusal(pickled(tmp_path / "a.bin", PICKLES[kind]))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.ones(1).expand(10, 7),  # four bytes that claim to be more, which could be terabytes
        torch.empty(10, 7, device="meta"),
        torch.ones(10, 7).to_sparse(),
    ],
    ids=["repeated", "meta", "sparse"],
)
def test_a_tensor_without_its_own_storage_is_refused(tensor: torch.Tensor, tmp_path: Path) -> None:
    assert TENSORS["image_proj.proj.weight"].shape == (10, 7)
    torch.save(nested(TENSORS | {"image_proj.proj.weight": tensor}), tmp_path / "a.bin")
    assert "image_proj.proj.weight has more elements than its storage" in refusal(tmp_path / "a.bin")


@pytest.mark.parametrize("name", ["\ud800", "a\nb", "x" * 10_000])
def test_forged_names_are_escaped_in_messages(name: str, tmp_path: Path) -> None:
    torch.save(TENSORS | {f"image_proj.{name}": torch.ones(3)}, tmp_path / "a.bin")
    sentence = refusal(tmp_path / "a.bin")
    assert "is not expected" in sentence
    assert sentence.isprintable()


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_a_flipped_byte_raises_only_ipadaptererror(name: str, tmp_path: Path) -> None:
    whole = sound(tmp_path / name).read_bytes()
    head = len(header({key: tuple(tensor.shape) for key, tensor in TENSORS.items()}, "F32"))
    chance = random.Random(11)
    for _ in range(300):
        changed = bytearray(whole)
        for _ in range(chance.choice((1, 1, 1, 3, 20))):
            end = chance.choice((head, len(whole)))  # a safetensors file is fragile in its header, a zip everywhere
            changed[chance.randrange(end)] = chance.randrange(256)
        (tmp_path / name).write_bytes(changed)
        with suppress(IPAdapterError):
            look_through(tmp_path / name)
