"""Records the U-Net's inputs and each cross-attention's output, for comparison between web UIs.

Its first argument is the file to write: for each call of the U-Net, tensors by name, conds before unconds.
"""

import gradio
import torch
from modules import script_callbacks, scripts, sd_models

kept = {"path": "", "calls": [], "undo": []}


class KeeperScript(scripts.Script):
    def title(self):
        return "IP-Adapter keeper"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return [gradio.Textbox(value="", visible=False, label="IP-Adapter keeper file")]

    def process_before_every_sampling(self, p, path="", **kwargs):
        release()
        kept["path"] = path

    def postprocess(self, p, processed, *args):
        release()
        if kept["path"]:
            torch.save(kept["calls"], kept["path"])
        kept.update(path="", calls=[])


def on_cfg_denoiser(params):
    if not kept["path"] or kept["undo"]:
        return
    model = sd_models.model_data.sd_model
    unet = (
        model.forge_objects.unet.model.diffusion_model
        if hasattr(model, "forge_objects")
        else model.model.diffusion_model
    )
    hooks = [unet.register_forward_pre_hook(begin, with_kwargs=True)]
    hooks += [
        module.register_forward_hook(lambda module, args, out, name=name: keep(name, out))
        for name, module in unet.named_modules()
        if name.endswith(".attn2")
    ]
    kept["undo"] += [hook.remove for hook in hooks]


def begin(_unet, args, kwargs):
    kept["roles"] = kwargs.get("transformer_options", {}).get("cond_or_uncond") or [0, 1]
    kept["calls"].append({})
    keep("x", args[0])
    keep("context", kwargs["context"])


def keep(name, rows):
    """Keep a tensor with its chunks ordered by role, because some web UIs put unconds first and others conds."""
    chunks = zip(kept["roles"], rows.chunk(len(kept["roles"])), strict=True)
    ordered = [chunk for _, chunk in sorted(chunks, key=lambda each: each[0])]
    kept["calls"][-1][name] = torch.cat(ordered).float().clone()


def release():
    while kept["undo"]:
        kept["undo"].pop()()


script_callbacks.on_cfg_denoiser(on_cfg_denoiser)
script_callbacks.on_script_unloaded(release)
