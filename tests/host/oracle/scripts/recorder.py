"""Records how the web UI calls a script, its callbacks and the U-Net, for comparison with the tests' double.

Its first argument enables it. `tests/contract.py` loads this file too, so both record the same things.
"""

import gradio
import torch
from modules import script_callbacks, scripts, sd_models

kept = {"on": False, "calls": [], "watched": []}

METHODS = (
    "before_process",
    "process",
    "before_process_batch",
    "process_batch",
    "before_hr",
    "process_before_every_sampling",
    "post_sample",
    "postprocess_batch",
    "postprocess_batch_list",
    "postprocess_image",
    "postprocess_maskoverlay",
    "postprocess_image_after_composite",
    "postprocess",
)
"""Methods that a script runner calls with a generation's record, except those for extra networks and masks."""


def shape_of(value):
    """Return an argument's class, the number of items in it, and a tensor's number of rows."""
    if isinstance(value, torch.Tensor):
        return f"tensor of {len(value)} rows and rank {value.dim()}"
    if isinstance(value, dict):
        return {"dict of": sorted(map(str, value))}
    if isinstance(value, (list, tuple)):
        return f"{len(value)} in a {type(value).__name__}"
    return type(value).__name__


def gradients():
    """Return torch's gradient mode, which decides whether tensors made here may be used elsewhere."""
    return "inference" if torch.is_inference_mode_enabled() else "kept" if torch.is_grad_enabled() else "none"


def note(name, args, kwargs, **facts):
    arguments = {"args": [shape_of(each) for each in args], **{key: shape_of(kwargs[key]) for key in sorted(kwargs)}}
    kept["calls"].append({"name": name, **arguments, **facts})


def recording(name):
    def record(self, p, *args, **kwargs):
        if name == "before_process":
            kept.update(on="record" in args)
        if kept["on"]:
            facts = {"hires": bool(getattr(p, "is_hr_pass", False)), "iteration": getattr(p, "iteration", 0)}
            note(name, args, kwargs, gradients=gradients(), **facts)
        if name == "postprocess":
            release()
            kept.update(on=False)

    return record


class RecorderScript(scripts.Script):
    def title(self):
        return "IP-Adapter recorder"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return [gradio.Textbox(value="", visible=False, label="IP-Adapter recorder")]


for method in METHODS:
    setattr(RecorderScript, method, recording(method))


def on_cfg_denoiser(params):
    if not kept["on"]:
        return
    denoiser = params.denoiser
    note("on_cfg_denoiser", (params.x,), {}, step=denoiser.step, total_steps=denoiser.total_steps)
    model = sd_models.model_data.sd_model
    forge = getattr(model, "forge_objects", None)
    called = forge.unet.model.diffusion_model if forge else denoiser.inner_model
    if called not in [module for module, _ in kept["watched"]]:
        release()
        kept["watched"].append((called, called.register_forward_pre_hook(on_model, with_kwargs=True)))


def on_model(_module, args, kwargs):
    options = kwargs.get("transformer_options", {})
    rows = {name: shape_of(options[name]) for name in ("cond_or_uncond", "sigmas") if name in options}
    note("model", args, {}, keys=sorted(kwargs), **rows)


def release():
    while kept["watched"]:
        kept["watched"].pop()[1].remove()


def add_routes(_demo, app):
    @app.get("/ip-adapter-recorder/calls")
    def calls():
        """Return what was recorded since the last call."""
        made, kept["calls"] = kept["calls"], []
        return made


script_callbacks.on_cfg_denoiser(on_cfg_denoiser)
script_callbacks.on_script_unloaded(release)
script_callbacks.on_app_started(add_routes)
