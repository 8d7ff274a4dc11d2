"""Torch's own files: zip archives with a pickle, of which nothing but tensors and dictionaries is accepted."""

import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..base.errors import IPAdapterError, UnrecognisedError, printable

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
"""What torch's own reader, written in Python, raises on a file that is damaged or forged."""


def read_archive(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a torch archive that holds a dictionary, as memory maps."""
    content = load_archive(path)
    if not isinstance(content, Mapping):
        raise UnrecognisedError(
            f"{path.name} holds a {type(content).__name__}, where an adapter or encoder has a dictionary of tensors."
        )
    return dict(_named_tensors(path, content))


def load_archive(path: Path) -> Any:
    """Return what a torch archive holds, as memory maps, with nothing but tensors and containers in its pickle."""
    try:
        _refuse_foreign_archive(path)
        # torch.load itself is replaced inside some web UIs; this is the same function, unreplaced.
        return torch.serialization.load(_Nameless(path), map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise IPAdapterError(
            f"{path.name} holds more than tensors, maybe code, or is damaged; it is not opened. "
            "Get the .safetensors version."
        ) from error
    except TORCH_ERRORS as error:
        raise damaged(path, error) from error


class _Nameless(str):
    """A path without an extension for those who ask: torch, from some version on, goes by `.safetensors`."""

    __slots__ = ()

    def endswith(self, *_: object) -> bool:
        return False


def _refuse_foreign_archive(path: Path) -> None:
    """Raise `IPAdapterError` for TorchScript, which older versions of torch run, and for compressed archives."""
    # torch's own reader: another one could be shown another table of contents.
    with path.open("rb") as file:
        records = torch._C.PyTorchFileReader(file).get_all_records()  # pyright: ignore[reportPrivateUsage]
    if "constants.pkl" in records:
        raise IPAdapterError(f"{path.name} is a TorchScript program and is not opened. Get the .safetensors version.")
    with zipfile.ZipFile(path) as archive:
        if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
            raise IPAdapterError(f"{path.name} was compressed after torch wrote it. Download the file again.")


def _named_tensors(path: Path, content: Mapping[Any, Any]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a dictionary and of the groups in it; files of adapters and encoders nest no deeper."""
    for key, value in content.items():
        group = value if isinstance(value, Mapping) else {"": value}
        for name, tensor in group.items():
            if not isinstance(tensor, Tensor):
                continue
            if not (isinstance(key, str) and isinstance(name, str)):
                raise UnrecognisedError(f"{path.name} has names that are no text; it is no adapter and no encoder.")
            whole = f"{key}.{name}" if name else key
            refuse_hollow(path, whole, tensor)
            yield whole, tensor


def refuse_hollow(path: Path, name: str, tensor: Tensor) -> None:
    """Raise `IPAdapterError` for a tensor that claims more elements than its file has numbers."""
    if tensor.layout != torch.strided or tensor.nbytes > tensor.untyped_storage().nbytes() or tensor.is_meta:
        raise damaged(path, ValueError(f"{printable(name)} has more elements than numbers"))


def damaged(path: Path, error: Exception) -> IPAdapterError:
    """Return the error for a file that its reader gave up on."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return IPAdapterError(
        f"{path.name} cannot be read: it is damaged, cut short or no model file ({reason}). Download the file again."
    )
