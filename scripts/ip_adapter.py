"""The extension's entry: registers the library under a private name, the script, and the callbacks."""

import contextlib
import functools
import importlib
import sys
import types
from pathlib import Path

import gradio as gr
from modules import script_callbacks, scripts

PACKAGE = "sd_webui_ip_adapter"
"""The library's name inside a web UI. Its folder's own name is also that of a folder in Forge."""


def room(name):
    """Return a room of the library, imported under the private name when it is first needed."""
    if PACKAGE not in sys.modules:
        package = types.ModuleType(PACKAGE)
        package.__path__ = [str(Path(__file__).resolve().parent.parent / "lib_ipadapter")]
        sys.modules[PACKAGE] = package
    return importlib.import_module(f"{PACKAGE}.{name}")


@functools.cache
def session():
    """Return the one session, made when it is first needed; a reload of the UI makes a new one."""
    return room("session").Session(room("hosts.a1111"))


class IPAdapterScript(scripts.Script):
    def title(self):
        return "IP-Adapter"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return [gr.Textbox(value="", visible=False, label=f"IP-Adapter unit {i + 1}") for i in range(10)]

    def process(self, p, *args, **kwargs):
        if any(args):
            with stopping(p):
                session().before_generation(p, args)

    def process_before_every_sampling(self, p, *args, **kwargs):
        if any(args):
            with stopping(p):
                session().before_sampling(p, args)


@contextlib.contextmanager
def stopping(p):
    """Stop the generation where even the library's door to the web UI does not open, as after a broken update.

    The script runner would report the error and go on, to a picture without the image prompt that was asked for.
    """
    try:
        yield
    except Exception as error:
        kept = error

        def fail(*_args, **_kwargs):
            raise kept

        p.sample = fail
        raise


script_callbacks.on_cfg_denoiser(lambda params: room("hosts.a1111").on_cfg_denoiser(params))
