"""Reads the small model from its files, in the form that `demo/host.py` takes."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from demo.host import Demo, Model
from lib_ipadapter.port import Folders

from .checkpoint import signal_left
from .files import CHECKPOINT, MODEL, TOKENIZER, read_config
from .networks import FACTOR, LATENT, Autoencoder, TextModel, make_unet
from .tokenizer import Tokenizer
from .world import SIZE

PARTS = {
    "unet": "model.diffusion_model.",
    "autoencoder": "first_stage_model.",
    "text": "cond_stage_model.transformer.text_model.",
}
"""Prefix of each part's keys in a checkpoint of Stable Diffusion 1."""


def read_model(folder: Path = MODEL) -> Model:
    """Return the checkpoint's networks, ready to sample, in float32 on the CPU."""
    tensors = load_file(folder / CHECKPOINT)
    tokenize = Tokenizer(folder / TOKENIZER)
    factor = float(read_config()["model"]["params"]["scale_factor"])
    unet = _filled(make_unet(), tensors, PARTS["unet"])
    text = _filled(TextModel(len(tokenize.vocabulary)), tensors, PARTS["text"])
    autoencoder = _filled(Autoencoder(), tensors, PARTS["autoencoder"])

    def contexts(texts: Sequence[str]) -> Tensor:
        """Encode texts, each different one only once."""
        once = list(dict.fromkeys(texts))
        with torch.no_grad():
            states = text(tokenize(once))
        return states[[once.index(each) for each in texts]]

    def decode(latents: Tensor) -> Tensor:
        return autoencoder.decode(latents / factor)

    return Model(unet, contexts, decode, signal_left(), (LATENT, SIZE // FACTOR, SIZE // FACTOR))


def _filled(network: nn.Module, tensors: dict[str, Tensor], prefix: str) -> nn.Module:
    own = {key.removeprefix(prefix): tensor.float() for key, tensor in tensors.items() if key.startswith(prefix)}
    network.load_state_dict(own)
    return network.eval().requires_grad_(False)


def demo_host(folder: Path = MODEL) -> Demo:
    """Return a host that samples with the small model and finds its adapters."""
    return Demo(read_model(folder), Folders((folder,), (folder,)))
