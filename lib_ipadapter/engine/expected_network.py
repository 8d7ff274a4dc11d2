"""The network that the next generation will sample with, as far as it is known before."""

from functools import lru_cache
from pathlib import Path

from ..base.errors import IPAdapterError
from ..base.files import file_identity
from ..networks.kinds import found_in_header
from ..port import Host
from ..weights.bases import network_without_unet
from ..weights.tensor_file import read_shapes
from .compatibility import LoadedNetwork, loaded_network

PREFIX = "model.diffusion_model."
"""Of the denoiser's keys in a checkpoint; files with nothing but the denoiser may lack it."""


def expected_network(host: Host) -> LoadedNetwork | None:
    """Return what adapters need to know about the next generation's network, or None where nothing is known yet."""
    path = host.checkpoint_to_load()
    if path and (found := network_in_file(path)):
        return found
    unet = host.loaded_unet()
    return None if unet is None else loaded_network(unet)


def network_in_file(path: Path) -> LoadedNetwork | None:
    """Return what a checkpoint's header shows of its network, or None where it shows nothing."""
    if path.suffix.lower() != ".safetensors":
        return None
    try:
        return _network(*file_identity(path))
    except IPAdapterError:  # the web UI reports it when it loads the file
        return None


@lru_cache(maxsize=16)
def _network(path: Path, _modified: int, _size: int) -> LoadedNetwork | None:
    shapes = {key.removeprefix(PREFIX): shape for key, shape in read_shapes(path).items()}
    found, base = found_in_header(shapes), network_without_unet({key.split(".")[0] for key in shapes})
    return LoadedNetwork(*found, base) if found.widths or base else None
