"""A second, plain IP-Adapter inside the web UI, for comparison only.

It shares nothing with the extension: rows are told by the text that they see, attention is written out one row and one
head at a time, nothing is kept between calls. Its first argument is a file with units made by the test: image tokens,
layers, weights, start, end, a curve, a mask, whose grid it sees in the picture that comes to each block. Its second is
a step at which to fail, to see what an exception leaves behind.
"""

import sys
import time

import gradio as gr
import numpy
import torch
from modules import script_callbacks, scripts, shared

current = {
    "given": None,
    "params": None,
    "roles": [],
    "grid": None,
    "progress": 0.0,
    "inner": None,
    "patched": [],
    "fail_at": -1,
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
        ]

    def before_process(self, p, *args):
        current.update(started=time.perf_counter(), first_step=None)

    def process_before_every_sampling(self, p, path="", fail_at=-1, **kwargs):
        restore()
        current["fail_at"] = fail_at
        if path:
            current["given"] = torch.serialization.load(path, weights_only=True)  # torch.load is the host's own

    def postprocess(self, p, processed, *args):
        restore()


def unpatch():
    while current["patched"]:
        del current["patched"].pop().forward


def restore():
    unpatch()
    current.update(given=None, inner=None)


def on_cfg_denoiser(params):
    current["first_step"] = current["first_step"] or time.perf_counter()
    if params.denoiser.step == current["fail_at"]:
        params.denoiser.inner_model.forward = fail
    if current["given"] is None:
        return
    current["params"] = params
    current["progress"] = params.denoiser.step / params.denoiser.total_steps
    inner = params.denoiser.inner_model
    if inner is not current["inner"]:
        unpatch()  # after the refiner's switch, whose weights may be in the same modules
        current["inner"] = inner
        inner.forward = seeing_text(inner.forward)
        current["patched"].append(inner)
        patch(shared.sd_model.model.diffusion_model)


def fail(*args, **kwargs):
    current["fail_at"] = -1
    raise RuntimeError("the oracle was asked to fail here")


def seeing_text(forward):
    def wrapped(x, sigma, cond):
        context = cond["crossattn"] if "crossattn" in cond else cond["c_crossattn"][0]
        uncond = current["params"].text_uncond
        uncond = uncond["crossattn"] if isinstance(uncond, dict) else uncond
        current["roles"] = [
            int(any(torch.equal(row[: len(one)], one[: len(row)]) for one in uncond)) for row in context
        ]
        return forward(x, sigma, cond=cond)

    return wrapped


def patch(unet):
    for path in current["given"][0]["layers"]:
        attention = unet.get_submodule(path)
        attention.forward = attending(attention, attention.forward, path)
        current["patched"].append(attention)
        transformer = unet.get_submodule(path.split(".transformer_blocks")[0])
        if "forward" not in vars(transformer):
            transformer.forward = seeing_grid(transformer.forward)
            current["patched"].append(transformer)


def seeing_grid(forward):
    def wrapped(x, *args, **kwargs):
        current["grid"] = x.shape[-2:]
        return forward(x, *args, **kwargs)

    return wrapped


def attending(attention, forward, path):
    def wrapped(x, context=None, **kwargs):
        out = forward(x, context=context, **kwargs)
        for unit in current["given"]:
            weight = unit["weights"][path] * factor(unit["curve"], current["progress"])
            if weight and unit["start"] <= current["progress"] < unit["end"]:
                out = out + weight * term(attention, x, unit, *unit["layers"][path])
        return out

    return wrapped


def factor(curve, progress):
    return float(numpy.interp(progress, *zip(*curve, strict=True))) if curve else 1.0


def region(mask, queries):
    """Return a mask's mean over each position, from its integral, which is straight between pixels."""
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


def term(attention, x, given, to_k, to_v):
    query = attention.to_q(x)
    image = torch.zeros_like(query)
    width = query.shape[-1] // attention.heads
    for row, role in enumerate(current["roles"]):
        tokens = given["tokens"][role].to(query)
        keys, values = tokens @ to_k.to(query).T, tokens @ to_v.to(query).T
        for head in range(attention.heads):
            dims = slice(head * width, (head + 1) * width)
            logits = query[row, :, dims] @ keys[:, dims].T / width**0.5
            image[row, :, dims] = region(given["mask"], len(logits)) * (logits.softmax(-1) @ values[:, dims])
    return attention.to_out[0](image) - attention.to_out[0].bias


def add_routes(_demo, app):
    @app.get("/ip-adapter-oracle/hooks")
    def hooks():
        """Let the test see whether anything is left on the model."""
        modules = shared.sd_model.modules()
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) + ("forward" in vars(m)) for m in modules)

    @app.get("/ip-adapter-oracle/first-step")
    def first_step():
        """Return the seconds from the start of the last generation to its first step."""
        return current["first_step"] - current["started"]

    @app.post("/ip-adapter-oracle/uncond")
    def uncond(given: dict):
        """Give the extension another encoder's unconditional hidden states, from a file, until the web UI ends."""
        hidden = torch.serialization.load(given["path"], map_location="cpu", weights_only=True)["uc"]
        preparation = sys.modules["sd_webui_ip_adapter.preparation"]
        encode = preparation.Preparation._encode

        def with_uncond(self, *args):
            features = encode(self, *args)
            nothing = features[preparation.EMPTY_SHOT]
            return features | {preparation.EMPTY_SHOT: type(nothing)(nothing.embed, hidden.float())}

        preparation.Preparation._encode = with_uncond


script_callbacks.on_cfg_denoiser(on_cfg_denoiser)
script_callbacks.on_script_unloaded(restore)
script_callbacks.on_app_started(add_routes)
