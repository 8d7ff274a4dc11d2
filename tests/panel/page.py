"""A page with the real panel on whatever gradio is installed: `python -m panel.page PORT`.

It stands for the web UI: it loads the extension's browser code and style, and shows what the script would be given.
"""

import json
import sys
from pathlib import Path
from typing import Any

import gradio as gr

from lib_ipadapter.ui import draw_panel

ROOT = Path(__file__).resolve().parents[2]

MODELS = [
    {
        "name": "ip-adapter_sd15.safetensors",
        "family": "base",
        "reason": "",
        "short": "for SD1.x",
        "note": "base adapter",
    },
    {"name": "ip-adapter-plus_sd15.safetensors", "family": "plus", "reason": "", "short": "for SD1.x", "note": "Plus"},
    {
        "name": "ip-adapter-faceid-plusv2_sd15.bin",
        "family": "faceid-plus",
        "fields": ["variant", "face", "structure_weight", "lora_weight"],
        "reason": "",
        "short": "for SD1.x",
        "note": "FaceID Plus v2",
    },
    {
        "name": "ip-adapter-faceid-portrait_sd15.bin",
        "family": "portrait",
        "fields": ["face"],
        "reason": "",
        "short": "for SD1.x",
        "note": "Portrait",
    },
    {
        "name": "ip-adapter_sdxl.safetensors",
        "family": "base",
        "reason": "ip-adapter_sdxl.safetensors is for SDXL, but the loaded checkpoint is SD1.x.",
        "short": "for SDXL",
        "note": "",
    },
]


class Accordion:
    """The part of the web UI's accordion that the panel uses: a tick, and something that opens with it."""

    def __init__(self, value: bool, label: str, elem_id: str) -> None:
        self.tick = gr.Checkbox(value, label=label, elem_id=f"{elem_id}-checkbox")
        self.group = gr.Column(elem_id=elem_id)

    def __enter__(self) -> Any:
        self.group.__enter__()
        return self.tick

    def __exit__(self, *error: Any) -> None:
        self.group.__exit__(*error)


def browser_code() -> str:
    """Return the extension's code as the web UI would run it, behind the two functions of the web UI that it uses."""
    code = (ROOT / "javascript" / "ip_adapter.js").read_text(encoding="utf-8")
    host = "const gradioApp = () => document; const onUiLoaded = (callback) => callback();"
    return f"() => {{ {host}\n{code}\nwindow.ipAdapter = ipAdapter; }}"


def take(parameters: dict[str, Any], functions: Any) -> list[Any]:
    """Return what a web UI does with pasted parameters: None leaves a component as it is."""
    return [gr.update() if (value := f(parameters)) is None else gr.update(value=value) for f in functions]


def build(looks: list[bool]) -> gr.Blocks:
    def list_models(look_again: bool) -> str:
        looks.append(look_again)
        return json.dumps(MODELS)

    with gr.Blocks(css=(ROOT / "style.css").read_text(encoding="utf-8"), analytics_enabled=False) as page:
        panel = draw_panel("txt2img", 5, Accordion, list_models)
        generate = gr.Button("Generate", elem_id="generate")
        given = gr.Textbox(label="What the script is given", elem_id="given")
        generate.click(lambda *args: json.dumps(args), inputs=panel.texts, outputs=[given])
        pasted = gr.Textbox(label="Parameters as JSON", elem_id="pasted")
        paste = gr.Button("Paste", elem_id="paste")
        components, functions = zip(*panel.infotext_fields, strict=True)
        paste.click(lambda text: take(json.loads(text), functions), inputs=[pasted], outputs=list(components))
        code = {"_js" if gr.__version__.startswith("3.") else "js": browser_code()}
        page.load(fn=None, inputs=[], outputs=[], **code)
    return page


if __name__ == "__main__":
    build([]).queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), show_error=True)
