"""The extension's entry point: registers the library under a private name, the script, and the callbacks."""

import contextlib
import functools
import importlib
import importlib.util
import logging
import sys
import threading
import types
from pathlib import Path

import gradio as gr
from modules import script_callbacks, scripts, shared, ui_components

PACKAGE = "sd_webui_ip_adapter"
"""The library's package name inside a web UI, because Forge has a folder with the same name as ours."""


def module(name):
    """Return a module of the library, imported under the private name on first use."""
    if PACKAGE not in sys.modules:
        package = types.ModuleType(PACKAGE)
        package.__path__ = [str(Path(__file__).resolve().parent.parent / "lib_ipadapter")]
        sys.modules[PACKAGE] = package
    return importlib.import_module(f"{PACKAGE}.{name}")


@functools.cache
def host():
    """Return the host adapter for this web UI; only the Forge family has `modules_forge`."""
    if importlib.util.find_spec("modules_forge"):
        return module("hosts.forge").Forge()
    return module("hosts.a1111").A1111()


def once(make):
    """Return `make` such that only its first call makes anything, even if requests call it at the same time."""
    made, lock = functools.cache(make), threading.RLock()

    def get():
        with lock:
            return made()

    return get


@once
def session():
    """Return the session, created on first use; Reload UI creates a new one, and downloads continue."""
    return module("engine.session").Session(host(), module("files.download_queue").process_queue())


@once
def likeness_report():
    """Return the likeness report, which has the results of the latest generation."""
    return module("review.likeness_report").LikenessReport(host(), session().preparation)


@once
def tries():
    """Return what makes the pictures of *Try it* in the panel."""
    return module("hosts.tries").Tries(session())


def changed(p, args):
    """Return the script's args with the changes of an X/Y/Z plot cell, or of a picture that is tried, if `p` is one."""
    return module("web.xyz").in_cell(p, module("hosts.tries").args_of_picture(p, args))


class IPAdapterScript(scripts.Script):
    def title(self):
        return "IP-Adapter"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        panel = module("web.panel").draw_panel(
            tab="img2img" if is_img2img else "txt2img",
            units=shared.opts.data.get("ipadapter_units", 3),
            accordion=ui_components.InputAccordion,
            answer=lambda asked: module("web.panel_requests").panel_answer(session(), asked, likeness_report()),
            find_reference=lambda digits: session().references.find(digits),
            difference=lambda label, value: module("web.pasted").difference(session(), label, value),
        )
        self.infotext_fields = panel.infotext_fields
        return panel.texts

    def before_process(self, p, *args, **kwargs):
        with stopping(p) if any(args) else contextlib.nullcontext():
            if any(args):
                tries().begin(p, args)
            host().before_process(p, any(args) and session().feeds_controlnet(p, changed(p, args)))

    def process(self, p, *args, **kwargs):
        if any(args):
            with stopping(p):
                tries().prepare(p)
                session().before_generation(p, changed(p, args))

    def before_process_batch(self, p, *args, **kwargs):
        if any(args):
            with stopping(p):
                if tries().next_picture(p):
                    session().before_generation(p, changed(p, args))

    def process_before_every_sampling(self, p, *args, **kwargs):
        if any(args):
            with stopping(p):
                session().before_sampling(p, changed(p, args))

    def postprocess_image_after_composite(self, p, pp, *args, **kwargs):
        if any(args):
            tries().after_picture(p, pp.image)
            likeness_report().after_picture(p, pp.image, changed(p, args))

    def postprocess(self, p, processed, *args, **kwargs):
        if any(args):
            likeness_report().after_generation(p)


class IPAdapterSeriesScript(scripts.Script):
    """A selectable script that runs one generation per reference, each with the script above."""

    def title(self):
        return "IP-Adapter: a generation for each reference"

    def ui(self, is_img2img):
        help_text = "References: used one after another by units without references"
        weights_text = "Weights of the references, such as 1, 0.5; the last one applies to all others"
        return [
            gr.File(label=help_text, file_count="multiple", elem_id=self.elem_id("files")),
            gr.Textbox(label=weights_text, elem_id=self.elem_id("weights")),
        ]

    def run(self, p, files, weights=""):
        own = next(script for script in p.scripts.alwayson_scripts if isinstance(script, IPAdapterScript))
        try:
            return module("hosts.many_references").make_series(p, files, weights or "", own)
        except module("base.errors").IPAdapterError as error:
            raise host().http_error(error) from None


@contextlib.contextmanager
def stopping(p):
    """Stop a generation with units even if the library cannot be imported, as after a broken update.

    Otherwise the script runner would log the error and generate a picture without the image prompt.
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
    """Return this script's args in a processing object."""
    script = next(script for script in p.scripts.alwayson_scripts if isinstance(script, IPAdapterScript))
    return p.script_args[script.args_from : script.args_to]


def add_axes():
    grid = next((data.module for data in scripts.scripts_data if data.script_class.__module__ == "xyz_grid.py"), None)
    if grid:
        xyz = module("web.xyz")
        files = {name: xyz.Files(names, check) for name, (names, check) in axis_files().items()}
        xyz.add_axes(xyz.Plot(grid, files, args_of, host().http_error), shared.opts.data.get("ipadapter_units", 3))


def axis_files():
    """Return by field how a plot's files are listed and checked; nothing is imported before a plot asks."""

    def usable(kind):
        listing = module("web.file_lists")
        return listing.usable(getattr(listing, kind)(session()))

    def library():
        return session().preparation.files

    return {
        "model": (lambda: usable("list_adapters"), lambda name: library().adapter(name)),
        "encoder": (lambda: ["auto", *usable("list_encoders")], lambda name: library().check_encoder(name)),
        "subject": (lambda: list(library().subjects.all()[0]), lambda name: library().subjects.find("subject", name)),
        "embeds": (lambda: usable("list_saved"), lambda name: library().saved_reference(name)),
    }


def add_routes(_demo, app):
    host().show_refusals()
    if shared.cmd_opts.api or shared.cmd_opts.nowebui:
        module("web.routes").add_routes(app, session, host().route_guards(app))
        host().answer_refusals(app)


def add_settings():
    table = module("hosts.settings")
    for key, setting in table.SETTINGS.items():
        component, arguments = setting.widget or (None, None)
        option = shared.OptionInfo(
            setting.default, setting.label, component and getattr(gr, component), arguments, section=table.SECTION
        )
        if setting.info:
            option.info(setting.info)
        if setting.needs_reload:
            option.needs_reload_ui()
        shared.opts.add_option(key, option)
    shared.opts.onchange("ipadapter_log_level", set_log_level)


def set_log_level():
    """Set the library's log level from the setting, and log to the console if the web UI has no logging set up."""
    log = logging.getLogger(PACKAGE)
    log.setLevel(shared.opts.data.get("ipadapter_log_level", "warning").upper())
    if not log.handlers and not logging.root.handlers:
        log.addHandler(logging.StreamHandler())
        log.propagate = False  # avoids duplicate lines if logging to the console is set up later


script_callbacks.on_before_ui(add_axes)
script_callbacks.on_app_started(add_routes)
script_callbacks.on_ui_settings(add_settings)
script_callbacks.on_cfg_denoiser(lambda params: host().on_cfg_denoiser(params))
