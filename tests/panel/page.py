"""A page with the real panel on whatever gradio is installed.

It stands for the web UI: it shows what the script would be given.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from demo.frame import framed_panel
from lib_ipadapter.plot import plotted
from lib_ipadapter.presets import Presets
from lib_ipadapter.unet_map import SD, SDXL
from lib_ipadapter.units import read_unit

MODELS = [
    {
        "name": "ip-adapter_sd15.safetensors",
        "title": "base",
        "base": "SD1.x",
        "missing": False,
        "family": "base",
        "reason": "",
        "short": "for SD1.x",
        "note": "base adapter",
    },
    {
        "name": "ip-adapter-plus_sd15.safetensors",
        "title": "Plus",
        "base": "SD1.x",
        "missing": False,
        "family": "plus",
        "reason": "",
        "short": "for SD1.x",
        "note": "Plus",
    },
    {
        "name": "ip-adapter-faceid-plusv2_sd15.bin",
        "title": "FaceID Plus v2",
        "base": "SD1.x",
        "missing": False,
        "family": "faceid-plus",
        "fields": ["variant", "face", "structure_weight", "lora_weight"],
        "reason": "",
        "short": "for SD1.x",
        "note": "FaceID Plus v2",
    },
    {
        "name": "ip-adapter-faceid-portrait_sd15.bin",
        "title": "FaceID Portrait",
        "base": "SD1.x",
        "missing": False,
        "family": "portrait",
        "fields": ["face"],
        "reason": "",
        "short": "for SD1.x",
        "note": "Portrait",
    },
    {
        "name": "ip-adapter_sdxl.safetensors",
        "title": "base",
        "base": "SDXL",
        "missing": False,
        "family": "base",
        "reason": "ip-adapter_sdxl.safetensors is for SDXL, but the loaded checkpoint is SD1.x.",
        "short": "for SDXL",
        "note": "",
    },
]


PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
)
REFERENCES = {"a" * 12: PNG, "b" * 12: PNG}
"""Pictures that are kept, by the first digits of their hashes."""


def take(parameters: dict[str, Any], functions: Any) -> list[Any]:
    """Return what a web UI does with pasted parameters: None leaves a component as it is."""
    return [gr.update() if (value := f(parameters)) is None else gr.update(value=value) for f in functions]


def build(folder: str) -> gr.Blocks:
    presets = Presets(lambda: Path(folder, "presets.json"))
    saved: list[dict[str, Any]] = [{"name": "anna.safetensors", "references": 2, "tiles": False, "encoder": "clip"}]

    def files(asked: dict[str, Any]) -> dict[str, Any]:
        return {"models": MODELS, "saved": saved, "presets": presets.all(), "asks": list(does)}

    def save(asked: dict[str, Any]) -> dict[str, Any]:
        pictures = len(asked["unit"]["images"])
        name = f"{asked['name']}.safetensors"
        saved[:] = [each for each in saved if each["name"] != name]
        saved.append({"name": name, "references": pictures, "tiles": asked["unit"]["tiles"], "encoder": "clip"})
        message = (
            f"Saved {pictures} as {name}, overwriting: {asked['overwrite']}, {asked['unit']['embeds'] or 'no embeds'}."
        )
        return {"saved": saved, "message": message}

    def plot(asked: dict[str, Any]) -> dict[str, Any]:
        unit = read_unit({**asked["unit"], "enabled": False})
        return plotted(unit, SDXL if asked["base"] == "SDXL" else SD)

    def save_preset(asked: dict[str, Any]) -> dict[str, Any]:
        name = presets.save(asked)
        return {"presets": presets.all(), "message": f"Saved as {name}."}

    def delete_preset(asked: dict[str, Any]) -> dict[str, Any]:
        presets.delete(asked)
        return {"presets": presets.all()}

    does: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "list": files,
        "rescan": files,
        "save": save,
        "plot": plot,
        "save preset": save_preset,
        "delete preset": delete_preset,
    }

    def answer(text: str) -> str:
        asked = json.loads(text)
        do, number = asked.pop("do"), asked.pop("id")
        return json.dumps({**does[do](asked), "id": number})

    with gr.Blocks(analytics_enabled=False) as page:
        panel = framed_panel(page, 5, answer, REFERENCES.get)
        generate = gr.Button("Generate", elem_id="generate")
        given = gr.Textbox(label="What the script is given", elem_id="given")
        generate.click(lambda *args: json.dumps(args), inputs=panel.texts, outputs=[given])
        pasted = gr.Textbox(label="Parameters as JSON", elem_id="pasted")
        paste = gr.Button("Paste", elem_id="paste")
        components, functions = zip(*panel.infotext_fields, strict=True)
        paste.click(lambda text: take(json.loads(text), functions), inputs=[pasted], outputs=list(components))
    return page


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        build(folder).queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), show_error=True)
