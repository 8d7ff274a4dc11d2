"""Reads tensor files safely and strictly: shapes and tensors of safetensors files and torch archives.

The format is detected from the content, never from the name. Tensors are memory maps.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..base.errors import IPAdapterError, printable
from .shapes import Shape, Shapes
from .torch_archive import damaged, read_archive

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2)
"""Accepted dtypes of a file's weights."""


def read_shapes(path: Path) -> dict[str, Shape]:
    """Return each tensor's shape, reading only the header."""
    if is_torch(path):
        return {key: tuple(tensor.shape) for key, tensor in read_archive(path).items()}
    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata in a safetensors file's header."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors as memory maps, by the file's keys; keys of nested dictionaries are joined with dots."""
    if is_torch(path):
        return read_archive(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, AttributeError) as error:  # AttributeError: a dtype that this torch lacks
        raise damaged(path, error) from error


def refuse_unusable(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise `IPAdapterError` if any tensor is empty, has no float dtype, or contains NaN or infinity."""
    bad = [f"{printable(key)} ({fault})" for key, tensor in tensors.items() if (fault := _fault(tensor)) is not None]
    if bad:
        raise IPAdapterError(f"{path.name} has unusable tensors: {_some(bad)}. Download the file again.")


def refuse_mismatch(path: Path, expected: Shapes, found: Shapes) -> None:
    """Raise `IPAdapterError` if any tensor is missing, unexpected or misshapen."""
    faults = [f"{key} is missing" for key in expected if key not in found]
    faults += [f"{printable(key)} is not expected" for key in found if key not in expected]
    faults += [
        f"{key} has shape {tuple(found[key])} where {tuple(expected[key])} is expected"
        for key in expected
        if key in found and tuple(found[key]) != tuple(expected[key])
    ]
    if faults:
        raise IPAdapterError(f"{path.name} is incomplete or damaged: {_some(faults)}. Download the file again.")


def _some(faults: list[str], limit: int = 5) -> str:
    rest = len(faults) - limit
    return "; ".join(faults[:limit]) + (f"; and {rest} more" if rest > 0 else "")


def _fault(tensor: Tensor) -> str | None:
    if tensor.numel() == 0:
        return "empty"
    if tensor.dtype not in DTYPES:
        return f"{tensor.dtype}".removeprefix("torch.")
    if tensor.element_size() == 1:
        tensor = tensor.float()  # torch has no sum of 8-bit floats
    return (
        None if torch.isfinite(tensor.sum(dtype=torch.float32)) or bool(tensor.isfinite().all()) else "NaN or infinity"
    )


def is_torch(path: Path) -> bool:
    """Return whether a file is a torch archive rather than safetensors; raises `IPAdapterError` for other formats."""
    if path.is_dir():
        raise IPAdapterError(f"{path.name} is a folder; an adapter or encoder is a single file.")
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise IPAdapterError(f"{path.name} cannot be read: {error.strerror}.") from error
    if head[4:9] == b"\0\0\0\0{":  # checked first, because the length in the first bytes could look like another format
        return False
    if not head:
        raise IPAdapterError(f"{path.name} is empty (0 bytes). Download the file again.")
    if head.startswith(b"version https://git-lfs"):
        raise IPAdapterError(f"{path.name} is a Git LFS pointer, not the file itself. Download it from its page.")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise IPAdapterError(f"{path.name} is a web page, not a model. Download the file itself.")
    if head[:1] == b"\x80":
        raise IPAdapterError(
            f"{path.name} is a pickle in torch's oldest format, which cannot be read safely. "
            "Get the .safetensors version, or save it again with a current version of torch."
        )
    return head.startswith(b"PK")
