"""The extension's entry: registers the library under a private name, the script, and the callbacks."""

import contextlib
import functools
import importlib
import sys
import types
from pathlib import Path

import gradio as gr
from modules import script_callbacks, scripts, shared, ui_components

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
        panel = room("ui").draw_panel(
            tab="img2img" if is_img2img else "txt2img",
            units=shared.opts.data.get("ipadapter_units", 3),
            accordion=ui_components.InputAccordion,
            list_models=lambda look_again: room("api").panel_list(session(), look_again),
        )
        self.infotext_fields = panel.infotext_fields
        return panel.texts

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


def add_routes(_demo, app):
    if shared.cmd_opts.api or shared.cmd_opts.nowebui:
        room("api").add_routes(app, session(), room("hosts.a1111").route_guards(app))


def add_settings():
    section = ("ipadapter", "IP-Adapter")
    settings = {
        "ipadapter_units": shared.OptionInfo(
            3, "Number of units", gr.Slider, {"minimum": 1, "maximum": 10, "step": 1}, section=section
        ).needs_reload_ui(),
        "ipadapter_folder": shared.OptionInfo("", "Another folder with adapters and image encoders", section=section),
        "ipadapter_unconditional": shared.OptionInfo(
            "mean",
            "What the negative prompt sees without a negative reference",
            gr.Radio,
            {"choices": ["mean", "black"]},
            section=section,
        ).info("mean colour, as IP-Adapter's authors; or a black picture, as ComfyUI and Forge: for their old results"),
        "ipadapter_install_faces": shared.OptionInfo(
            False, f"{room('faces').INSTALL_SETTING} (insightface, onnx, onnxruntime)", section=section
        ).info("added at the next start of the web UI, beside the versions that it has"),
        "ipadapter_warn_only": shared.OptionInfo(
            False, "When a unit cannot run, go on without it and warn, instead of stopping", section=section
        ),
    }
    for key, setting in settings.items():
        shared.opts.add_option(key, setting)


script_callbacks.on_app_started(add_routes)
script_callbacks.on_ui_settings(add_settings)
script_callbacks.on_cfg_denoiser(lambda params: room("hosts.a1111").on_cfg_denoiser(params))
