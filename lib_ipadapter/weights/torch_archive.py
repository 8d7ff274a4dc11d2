"""Reads torch's own files, zip archives with a pickle, accepting only tensors and containers."""

import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import IPAdapterError, UnrecognisedError, printable

OLDEST = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""Beginning of a file in torch's format before the archives: a pickled number that stands for it."""

TORCH_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    EOFError,
    OSError,
    struct.error,
    zipfile.BadZipFile,
)
"""Exceptions that torch's reader raises for damaged or malicious files."""


def read_archive(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a torch archive as memory maps; raises `IPAdapterError` if it is not a dictionary."""
    content = load_archive(path)
    if not isinstance(content, Mapping):
        raise UnrecognisedError(
            f"{path.name} contains a {type(content).__name__}, but adapters and encoders are dictionaries of tensors."
        )
    return dict(_named_tensors(path, content))


def load_archive(path: Path) -> Any:
    """Return the content of a torch archive, with tensors as memory maps; raises `IPAdapterError` for other objects."""
    try:
        _refuse_foreign_archive(path)
        # Some web UIs replace torch.load; torch.serialization.load is the original.
        return torch.serialization.load(_PathWithoutExtension(path), map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise IPAdapterError(
            f"{path.name} contains objects other than tensors, which may run code, or is damaged. It was not opened. "
            "Get the .safetensors version."
        ) from error
    except TORCH_ERRORS as error:
        raise damaged(path, error) from error


def load_oldest(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file in torch's oldest format.

    Only for files with known content, because some versions of torch execute what a forged one contains.
    """
    try:
        content: Any = torch.serialization.load(str(path), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *TORCH_ERRORS) as error:
        raise damaged(path, error) from error
    return dict(content)


class _PathWithoutExtension(str):
    """A path that denies having an extension, because newer versions of torch decide by `.safetensors`."""

    __slots__ = ()

    def endswith(self, *_: object) -> bool:
        return False


def _refuse_foreign_archive(path: Path) -> None:
    """Raise `IPAdapterError` for TorchScript, which older versions of torch execute, and for compressed archives."""
    # Uses torch's own reader, because a crafted zip can show another reader a different table of contents.
    with path.open("rb") as file:
        records = torch._C.PyTorchFileReader(file).get_all_records()  # pyright: ignore[reportPrivateUsage]
    if "constants.pkl" in records:
        raise IPAdapterError(f"{path.name} is a TorchScript program, and was not opened. Get the .safetensors version.")
    with zipfile.ZipFile(path) as archive:
        if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
            raise IPAdapterError(f"{path.name} was compressed after torch wrote it. Download the file again.")


def _named_tensors(path: Path, content: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a dictionary and of dictionaries in it; adapters and encoders are nested at most once."""
    for key, value in content.items():
        group = value if isinstance(value, Mapping) else {"": value}
        for name, tensor in group.items():
            if not isinstance(tensor, Tensor):
                continue
            if not (isinstance(key, str) and isinstance(name, str)):
                raise UnrecognisedError(f"{path.name} has keys that are not text, so it is not an adapter or encoder.")
            whole = f"{key}.{name}" if name else key
            refuse_oversized_view(path, whole, tensor)
            yield whole, tensor


def refuse_oversized_view(path: Path, name: str, tensor: Tensor) -> None:
    """Raise `IPAdapterError` for a tensor with more elements than its storage in the file."""
    if tensor.layout != torch.strided or tensor.nbytes > tensor.untyped_storage().nbytes() or tensor.is_meta:
        raise damaged(path, ValueError(f"{printable(name)} has more elements than its storage"))


def damaged(path: Path, error: Exception) -> IPAdapterError:
    """Return the error for a file that could not be read."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return IPAdapterError(
        f"{path.name} cannot be read: it is damaged, incomplete or not a model file ({reason}). Download it again."
    )
