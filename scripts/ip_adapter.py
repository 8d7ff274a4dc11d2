"""The extension's entry: registers the library under a private name, the script, and the callbacks."""

import contextlib
import functools
import importlib
import importlib.util
import logging
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
def door():
    """Return the library's door to the web UI that runs this: the Forge family is the one that has `modules_forge`."""
    return room("hosts.forge" if importlib.util.find_spec("modules_forge") else "hosts.a1111")


@functools.cache
def session():
    """Return the one session, made when it is first needed; a reload of the UI makes a new one."""
    return room("engine.session").Session(door())


@functools.cache
def likeness_report():
    return room("review.likeness_report").LikenessReport(door(), session().preparation)


class IPAdapterScript(scripts.Script):
    def title(self):
        return "IP-Adapter"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        panel = room("web.panel").draw_panel(
            tab="img2img" if is_img2img else "txt2img",
            units=shared.opts.data.get("ipadapter_units", 3),
            accordion=ui_components.InputAccordion,
            answer=lambda asked: room("web.panel_requests").panel_answer(session(), asked, likeness_report()),
            find_reference=lambda digits: session().references.find(digits),
            fault_of=lambda field, name: session().preparation.files.fault_of(field, name),
        )
        self.infotext_fields = panel.infotext_fields
        return panel.texts

    def before_process(self, p, *args, **kwargs):
        with stopping(p):
            feeding = any(args) and session().feeds_controlnet(p, room("web.xyz").in_cell(p, args))
            door().before_process(p, feeding)

    def process(self, p, *args, **kwargs):
        if any(args):
            with stopping(p):
                session().before_generation(p, room("web.xyz").in_cell(p, args))

    def process_before_every_sampling(self, p, *args, **kwargs):
        if any(args):
            with stopping(p):
                session().before_sampling(p, room("web.xyz").in_cell(p, args))

    def postprocess_image_after_composite(self, p, pp, *args, **kwargs):
        if any(args):
            likeness_report().after_picture(p, pp.image, room("web.xyz").in_cell(p, args))

    def postprocess(self, p, processed, *args, **kwargs):
        if any(args):
            likeness_report().after_generation(p)


class IPAdapterSeriesScript(scripts.Script):
    """A selectable script; each of its generations goes through the one above."""

    def title(self):
        return "IP-Adapter: a generation for each reference"

    def ui(self, is_img2img):
        help_text = "References: each goes, in its turn, to the units that have none"
        weights_text = "Weights of the references, such as 1, 0.5; the last one is that of all others"
        return [
            gr.File(label=help_text, file_count="multiple", elem_id=self.elem_id("files")),
            gr.Textbox(label=weights_text, elem_id=self.elem_id("weights")),
        ]

    def run(self, p, files, weights=""):
        own = next(script for script in p.scripts.alwayson_scripts if isinstance(script, IPAdapterScript))
        try:
            return room("hosts.many_references").make_series(p, files, weights or "", own)
        except room("base.errors").IPAdapterError as error:
            raise door().http_error(error) from error


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


def args_of(p):
    """Return this script's args in a generation's record."""
    script = next(script for script in p.scripts.alwayson_scripts if isinstance(script, IPAdapterScript))
    return p.script_args[script.args_from : script.args_to]


def add_axes():
    grid = next((data.module for data in scripts.scripts_data if data.script_class.__module__ == "xyz_grid.py"), None)
    if grid:
        xyz, listing, library = room("web.xyz"), room("web.file_lists"), session().preparation.files
        files = {
            "model": xyz.Files(lambda: listing.usable(listing.list_adapters(session())), library.adapter),
            "encoder": xyz.Files(
                lambda: ["auto", *listing.usable(listing.list_encoders(session()))], library.check_encoder
            ),
            "subject": xyz.Files(
                lambda: list(library.subjects.all()[0]), lambda name: library.subjects.find("subject", name)
            ),
            "embeds": xyz.Files(lambda: listing.usable(listing.list_saved(session())), library.saved_reference),
        }
        plot = xyz.Plot(grid, files, args_of, door().http_error)
        xyz.add_axes(plot, shared.opts.data.get("ipadapter_units", 3))


def add_routes(_demo, app):
    door().show_refusals()
    if shared.cmd_opts.api or shared.cmd_opts.nowebui:
        room("web.routes").add_routes(app, session(), door().route_guards(app))
        door().answer_refusals(app)


KEPT = {"minimum": 0, "maximum": 8192, "step": 64}
"""Range of the settings in megabytes."""


def add_settings():
    section = ("ipadapter", "IP-Adapter")
    settings = {
        "ipadapter_units": shared.OptionInfo(
            3, "Number of units", gr.Slider, {"minimum": 1, "maximum": 10, "step": 1}, section=section
        ).needs_reload_ui(),
        "ipadapter_folder": shared.OptionInfo("", "Another folder with adapters and image encoders", section=section),
        "ipadapter_kept_folder": shared.OptionInfo(
            "", "Another folder for saved references and subjects", section=section
        ).info("new ones are written there; those in the web UI's models folder are still found"),
        "ipadapter_unconditional": shared.OptionInfo(
            "mean",
            "What the negative prompt sees without a negative reference",
            gr.Radio,
            {"choices": ["mean", "black"]},
            section=section,
        ).info("mean colour, as IP-Adapter's authors; or a black picture, as ComfyUI and Forge: for their old results"),
        "ipadapter_kept_references": shared.OptionInfo(
            256,
            "References kept, so that pasted parameters restore them (MB)",
            gr.Slider,
            KEPT,
            section=section,
        ).info(
            "in cache/ipadapter-references of the web UI's data folder, to which who uses this web UI can come by "
            "pasting; 0 keeps none and removes those kept when the next picture is made"
        ),
        "ipadapter_kept_features": shared.OptionInfo(
            256, "Memory for what image encoders saw (MB)", gr.Slider, KEPT, section=section
        )
        .info("main memory; a reference that is kept there is not encoded again")
        .needs_reload_ui(),
        "ipadapter_kept_keys_values": shared.OptionInfo(
            256, "Memory for image keys and values (MB)", gr.Slider, KEPT, section=section
        )
        .info("main memory; a unit that is kept there and unchanged costs nothing before sampling")
        .needs_reload_ui(),
        "ipadapter_likeness": shared.OptionInfo(
            False, "Tell how alike the faces in a picture are to their references (FaceID and its kin)", section=section
        ).info(
            "in the picture's parameters and below the gallery, as the face models see it; it takes about a second a "
            "picture, and is no identity verification"
        ),
        "ipadapter_likeness_log": shared.OptionInfo(
            "none",
            "Log of it, a file for each run",
            gr.Radio,
            {"choices": ["none", "CSV", "JSON"]},
            section=section,
        ).info("in log/ipadapter-likeness of the web UI's data folder; cosines and places, nothing else of a face"),
        "ipadapter_log_level": shared.OptionInfo(
            "warning",
            "What the console tells",
            gr.Radio,
            {"choices": ["warning", "info", "debug"]},
            section=section,
        ).info("info: one line a generation, with what its units cost"),
        "ipadapter_install_faces": shared.OptionInfo(
            False, "Install what FaceID adapters need (insightface, onnx, onnxruntime)", section=section
        ).info("added at the next start of the web UI, beside the versions that it has"),
        "ipadapter_warn_only": shared.OptionInfo(
            False, "When a unit cannot run, go on without it and warn, instead of stopping", section=section
        ),
    }
    for key, setting in settings.items():
        shared.opts.add_option(key, setting)
    shared.opts.onchange("ipadapter_log_level", set_log_level)


def set_log_level():
    """Let the library's log tell as much as the setting says, on the console where the web UI has set up no log."""
    log = logging.getLogger(PACKAGE)
    log.setLevel(shared.opts.data.get("ipadapter_log_level", "warning").upper())
    if not log.handlers and not logging.root.handlers:
        log.addHandler(logging.StreamHandler())
        log.propagate = False  # others may set up the console's log later, and each line would be there twice


script_callbacks.on_before_ui(add_axes)
script_callbacks.on_app_started(add_routes)
script_callbacks.on_ui_settings(add_settings)
script_callbacks.on_cfg_denoiser(lambda params: door().on_cfg_denoiser(params))
