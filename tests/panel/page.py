"""A page with the real panel on whatever gradio is installed.

It stands for the web UI: it shows what the script would be given.
"""

import json
import sys
from typing import Any

import gradio as gr

from demo.frame import framed_panel

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


PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
)
REFERENCES = {"a" * 12: PNG, "b" * 12: PNG}
"""Pictures that are kept, by the first digits of their hashes."""


def take(parameters: dict[str, Any], functions: Any) -> list[Any]:
    """Return what a web UI does with pasted parameters: None leaves a component as it is."""
    return [gr.update() if (value := f(parameters)) is None else gr.update(value=value) for f in functions]


def build() -> gr.Blocks:
    saved: list[dict[str, Any]] = [{"name": "anna.safetensors", "references": 2, "tiles": False, "encoder": "clip"}]

    def files(asked: dict[str, Any]) -> dict[str, Any]:
        return {"models": MODELS, "saved": saved}

    def save(asked: dict[str, Any]) -> dict[str, Any]:
        pictures = len(asked["unit"]["images"])
        name = f"{asked['name']}.safetensors"
        saved[:] = [each for each in saved if each["name"] != name]
        saved.append({"name": name, "references": pictures, "tiles": asked["unit"]["tiles"], "encoder": "clip"})
        message = (
            f"Saved {pictures} as {name}, overwriting: {asked['overwrite']}, {asked['unit']['embeds'] or 'no embeds'}."
        )
        return {"saved": saved, "message": message}

    def answer(text: str) -> str:
        asked = json.loads(text)
        do = {"list": files, "rescan": files, "save": save}[asked["do"]]
        return json.dumps({**do(asked), "id": asked["id"]})

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
    build().queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), show_error=True)
