"""What tests change in a running web UI: sizes that other extensions assume, and what encoders return."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import torch
from modules import script_callbacks, shared


def narrow_controlnet(given: dict):
    """Let the ControlNet extension build ControlNets with a narrow checkpoint's sizes, until the web UI ends."""
    guess = sys.modules["scripts.controlnet_model_guess"]
    guess.controlnet_default_config["model_channels"] = given["channels"]
    guess.controlnet_sdxl_config.update(model_channels=given["channels"], adm_in_channels=given["adm"])


def narrow_animatediff(given: dict):
    """Let AnimateDiff build motion modules for a narrow checkpoint, until the web UI stops."""
    module = sys.modules["motion_module"].MotionModule
    build = module.__init__

    def narrow(self, in_channels, *args, **more):
        build(self, in_channels * given["channels"] // 320, *args, **more)

    module.__init__ = narrow


def compiled(given: dict):
    """Compile the loaded checkpoint's U-Net, or restore the original."""
    holder = shared.sd_model.model
    if given["on"]:
        holder.diffusion_model = torch.compile(holder.diffusion_model, backend="eager", dynamic=False)
    else:
        holder.diffusion_model = holder.diffusion_model._orig_mod
        torch._dynamo.reset()


def uncond(given: dict):
    """Give the extension another encoder's unconditional hidden states, from a file, until the web UI stops."""
    hidden = torch.serialization.load(given["path"], map_location="cpu", weights_only=True)["uc"]
    features = sys.modules["sd_webui_ip_adapter.engine.features"]
    encode = features.FeatureMaker.encode

    def with_uncond(self, *args):
        encoded = encode(self, *args)
        nothing = encoded.features[features.UNCONDITIONAL]
        replaced = {features.UNCONDITIONAL: type(nothing)(nothing.embed, hidden.float())}
        return replace(encoded, features=encoded.features | replaced)

    features.FeatureMaker.encode = with_uncond


def pulid(given: dict):
    """Give PuLID's units made features from a file, instead of a face model's and EVA's, until the web UI stops."""
    made = torch.serialization.load(given["path"], map_location="cpu", weights_only=True)
    of = lambda name: import_module(f"sd_webui_ip_adapter.{name}")  # noqa: E731
    face = of("faces.insightface_models").Face((0, 0, 9, 9), ((0, 0),) * 5, 0.9, tuple(made["face"].tolist()))
    features = SimpleNamespace(bytes=1, taken=lambda _takes: (made["embed"], *made["hidden"]))
    encoder = SimpleNamespace(
        path=Path(given["path"]),
        parameters=0,
        identity=(given["path"],),
        name="made",
        image_size=14,
        encode=lambda pictures, *_: [features for _ in pictures],
    )
    finder, files = of("faces.face_finder").FaceFinder, of("files.model_files").ModelFiles
    finder.faces_or_portrait = lambda *_: (face,)
    finder.portrait = lambda _self, _field, _picture, _face, size: torch.zeros(3, size, size)
    finder.portrait_identity = lambda _self: ("made",)
    found = files.encoder_for
    files.encoder_for = lambda self, adapter, *how: (
        encoder if adapter.recognised.family.portrait else found(self, adapter, *how)
    )


def add_routes(_demo, app):
    for change in (narrow_controlnet, narrow_animatediff, compiled, uncond, pulid):
        app.post(f"/ip-adapter-oracle/{change.__name__.replace('_', '-')}")(change)


script_callbacks.on_app_started(add_routes)
