"""A second, plain IP-Adapter inside the web UI, for comparison only.

It shares nothing with the extension: rows are recognised by their text, attention is computed one row and
one head at a time, and nothing is kept between calls. Its first argument is a file with the test's units: image tokens,
layers, weights, start, end, a curve, a method of PuLID, and a mask, whose grid it takes from each block. Its second
is a step at which to raise, to see what an exception leaves behind. Its third is how a web UI of the Forge
family calls the U-Net: "separate" evaluates each prompt separately, as when memory is low; "wide" doubles the rows
around attn2 by patches, as regional prompters do.
"""

import time

import gradio as gr
import numpy
import torch
from modules import script_callbacks, scripts, sd_models, shared

current = {
    "given": None,
    "params": None,
    "roles": [],
    "grid": None,
    "progress": 0.0,
    "unet": None,
    "hooked": [],
    "fail_at": -1,
    "way": "",
    "undo": [],
    "hidden": None,
    "widened": None,
    "started": 0.0,
    "first_step": None,
}


class OracleScript(scripts.Script):
    def title(self):
        return "IP-Adapter oracle"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return [
            gr.Textbox(value="", visible=False, label="IP-Adapter oracle file"),
            gr.Number(value=-1, visible=False, label="IP-Adapter oracle fails at"),
            gr.Textbox(value="", visible=False, label="IP-Adapter oracle way"),
        ]

    def before_process(self, p, *args):
        current.update(started=time.perf_counter(), first_step=None)

    def process_before_every_sampling(self, p, path="", fail_at=-1, way="", **kwargs):
        restore()
        current.update(fail_at=fail_at, way=way)
        if way == "wide":
            widen(p)
        if path:
            current["given"] = torch.serialization.load(path, weights_only=True)  # the host replaces torch.load

    def postprocess(self, p, processed, *args):
        restore()


def widen(p):
    def before(n, context, value, options):
        return torch.cat([n, n]), torch.cat([context, context]), torch.cat([value, value])

    def after(n, options):
        return n[: len(n) // 2]

    unet = p.sd_model.forge_objects.unet.clone()
    unet.set_model_attn2_patch(before)
    unet.set_model_attn2_output_patch(after)
    p.sd_model.forge_objects.unet = unet


def forge():
    """Return Forge's loaded model; None in another web UI, or before the first model is loaded."""
    return getattr(sd_models.model_data.sd_model, "forge_objects", None)


def unet():
    return forge().unet.model.diffusion_model if forge() else shared.sd_model.model.diffusion_model


def restore():
    while current["hooked"]:
        module, handle = current["hooked"].pop()
        handle.remove()
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            hooks.pop(handle.id, None)  # if another extension has replaced these by copies
    while current["undo"]:
        current["undo"].pop()()
    current.update(given=None, unet=None)


def on_cfg_denoiser(params):
    current["first_step"] = current["first_step"] or time.perf_counter()
    if forge() and current["way"] == "separate" and not current["undo"]:
        model = forge().unet.model
        model.memory_required = lambda *_args, **_more: float("inf")
        current["undo"].append(lambda: delattr(model, "memory_required"))
    if params.denoiser.step == current["fail_at"]:
        called = unet() if forge() else params.denoiser.inner_model
        called.forward = failing(called)
    if current["given"] is None:
        return
    current["params"] = params
    current["progress"] = params.denoiser.step / params.denoiser.total_steps
    if unet() is not current["unet"]:  # at the start, and after the refiner has switched modules
        current["unet"] = unet()
        watch(unet())


def failing(called):
    def fail(*args, **kwargs):
        current["fail_at"] = -1
        del called.forward
        raise RuntimeError("the oracle was asked to fail here")

    return fail


def see_text(context):
    """Find each row's role by its text, which Forge repeats until all rows of a call are equally long."""
    uncond = current["params"].text_uncond
    uncond = uncond["crossattn"] if isinstance(uncond, dict) else uncond
    unconds = [] if uncond is None else [one.to(context) for one in uncond]
    current["roles"] = [int(any(torch.equal(row[: len(one)], one[: len(row)]) for one in unconds)) for row in context]


def watch(unet):
    """Add to each attention's output by torch hooks, which remain whatever replaces its forward."""
    handles = [(unet, unet.register_forward_pre_hook(known_from_the_call, with_kwargs=True))]
    for path in current["given"][0]["layers"]:
        transformer, attention = unet.get_submodule(path.split(".transformer_blocks")[0]), unet.get_submodule(path)
        handles.append((transformer, transformer.register_forward_pre_hook(see_grid)))
        handles.append((attention, attention.register_forward_hook(attending(path), with_kwargs=True)))
        if forge():
            block = unet.get_submodule(path.removesuffix(".attn2"))
            handles.append((block.norm2, block.norm2.register_forward_hook(keep_hidden)))
            handles.append((block.norm3, block.norm3.register_forward_pre_hook(add_late)))
    current["hooked"] += handles


def known_from_the_call(_unet, _args, kwargs):
    see_text(kwargs["context"])


def see_grid(_transformer, args):
    current["grid"] = args[0].shape[-2:]


def keep_hidden(_norm, _args, out):
    current["hidden"] = out


def add_late(_norm, args):
    """Add to the block's hidden states after attn2 if patches had widened the rows; that is a tensor of its own."""
    add, current["widened"] = current["widened"], None
    if add:
        args[0].add_(add(current["hidden"], torch.zeros_like(args[0])))


def attending(path):
    def add(attention, args, kwargs, out):
        if len(args[0]) != len(current["roles"]):
            current["widened"] = lambda hidden, nothing: add(attention, [hidden], {}, nothing)
            return out
        for unit in current["given"]:
            weight = unit["weights"][path] * factor(unit["curve"], current["progress"])
            if weight and unit["start"] <= current["progress"] < unit["end"]:
                context = kwargs.get("context")
                out = out + weight * term(attention, args[0], context, unit, *unit["layers"][path])
        return out

    return add


def factor(curve, progress):
    return float(numpy.interp(progress, *zip(*curve, strict=True))) if curve else 1.0


def region(mask, queries):
    """Return a mask's mean over each position, from its integral, which is linear between pixels."""
    if mask is None:
        return 1.0
    rows, columns = current["grid"]
    assert rows * columns == queries
    return shrunk(shrunk(mask.double(), rows).T, columns).T.float().reshape(queries, 1)


def shrunk(lines, count):
    total = numpy.concatenate([numpy.zeros((1, lines.shape[1])), numpy.cumsum(lines.numpy(), axis=0)])
    edges = numpy.linspace(0, len(lines), count + 1)
    at_edges = [numpy.interp(edges, numpy.arange(len(total)), column) for column in total.T]
    return torch.tensor(numpy.diff(numpy.stack(at_edges, axis=1), axis=0) * count / len(lines))


ZEROS = {"fidelity": 8, "style": 16, "neutral": 0}


def term(attention, x, context, given, to_k, to_v):
    query, method = attention.to_q(x), given.get("method", "neutral")
    image = torch.zeros_like(query)
    for row, role in enumerate(current["roles"]):
        tokens = given["tokens"][role].to(query)
        tokens = torch.cat([tokens, tokens.new_zeros(ZEROS[method], tokens.shape[1])])
        keys, values = tokens @ to_k.to(query).T, tokens @ to_v.to(query).T
        image[row] = by_head(attention, query[row], keys, values)
        if method != "neutral":
            text = by_head(attention, query[row], attention.to_k(context[row]), attention.to_v(context[row]))
            along = (text * image[row]).sum(0) / (text * text).sum(0) * text
            image[row] -= along
            if method == "fidelity":
                image[row] += first_share(attention, query[row], keys)[:, None] * along
    image = region(given["mask"], image.shape[1]) * image
    project = attention.to_out[0]  # called for its bias, whose dtype may not support subtraction
    return project(image) - project(torch.zeros_like(image))


def by_head(attention, query, keys, values):
    heads = zip(*(each.chunk(attention.heads, dim=-1) for each in (query, keys, values)), strict=True)
    return torch.cat([(q @ k.T / q.shape[-1] ** 0.5).softmax(-1) @ v for q, k, v in heads], dim=-1)


def first_share(attention, query, keys):
    """Return each query's attention to the first five tokens, without the usual scale, as a mean over the heads."""
    heads = zip(*(each.chunk(attention.heads, dim=-1) for each in (query, keys)), strict=True)
    return torch.stack([(q @ k.T).softmax(-1)[:, :5].sum(-1) for q, k in heads]).mean(0)


def add_routes(_demo, app):
    @app.get("/ip-adapter-oracle/hooks")
    def hooks():
        """Report whether anything is left on the model or on Forge's patcher."""
        if not (forge() or hasattr(shared.sd_model, "modules")):
            return 0  # Forge loads its first model on first use
        modules = unet().modules() if forge() else shared.sd_model.modules()
        left = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + ("forward" in vars(m)) for m in modules)
        return left + (patches(sd_models.model_data.sd_model) if forge() else 0)

    @app.get("/ip-adapter-oracle/first-step")
    def first_step():
        """Return the seconds from the start of the last generation to its first step."""
        return current["first_step"] - current["started"]


def patches(model):
    """Return how many patches are on the patcher with which each generation of Forge begins."""
    options = model.forge_objects_original.unet.model_options.get("transformer_options", {})
    return sum(len(each) for kind in ("patches", "patches_replace") for each in options.get(kind, {}).values())


script_callbacks.on_cfg_denoiser(on_cfg_denoiser)
script_callbacks.on_script_unloaded(restore)
script_callbacks.on_app_started(add_routes)
