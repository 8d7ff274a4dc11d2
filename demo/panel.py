"""Open the extension's panel on a local page, using the small model: `python -m demo.panel [PORT]`."""

import sys
from functools import partial
from typing import Any

import gradio as gr
import torch
from PIL import Image

from demo.host import Generation
from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.web.panel_requests import panel_answer

from .figures import Studio, as_text
from .frame import framed_panel
from .model import demo_host
from .world import COLOURS, GROUNDS, SHAPES, Scene, caption, draw

SHOWN = 192
"""Display size in pixels of the model's 64 x 64 pictures."""

REFERENCES = tuple(
    Scene(shape, colour, ground)
    for shape, colour, ground in zip([*SHAPES, *SHAPES], COLOURS, [*GROUNDS, *GROUNDS], strict=False)
)

WORDS = f"""
# IP-Adapter: the small world
A Stable Diffusion model with 6 million parameters that draws one object on a background, and the extension's panel.
Write prompts like *a circle* or *a red circle on white*.
It knows {", ".join(SHAPES)}; {", ".join(COLOURS)}; {", ".join(GROUNDS)}.
Click a reference or drop your own pictures, choose an adapter, and press Generate.
"""


def name_of(scene: Scene) -> str:
    return caption(scene.shape, scene.colour, scene.ground)


def reference_strip() -> str:
    """Return HTML with drawn references, which are added to the panel's open unit when clicked."""
    click = "ipAdapter.send('txt2img', this.src)"
    pictures = [
        f'<img src="data:image/png;base64,{as_text(draw(scene))}" alt="{name_of(scene)}" onclick="{click}">'
        for scene in REFERENCES
    ]
    style = "<style>.demo-references { display: flex; gap: 4px } .demo-references img { cursor: pointer }</style>"
    return f'{style}<div class="demo-references">{"".join(pictures)}</div>'


def enlarged(picture: Image.Image) -> Image.Image:
    return picture.resize((SHOWN, SHOWN), Image.Resampling.NEAREST)


def build(studio: Studio) -> gr.Blocks:
    """Return the page; `studio` generates its pictures."""

    def generate(
        prompt: str, negative: str, steps: float, guidance: float, count: float, seed: float, *units: str
    ) -> tuple[list[Image.Image], str]:
        seeds = range(int(seed), int(seed) + int(count))
        generation = Generation(prompt, tuple(seeds), negative, int(steps), guidance)
        try:
            pictures = studio.make(generation, [text for text in units if text])
        except IPAdapterError as error:
            raise gr.Error(str(error)) from error
        infotext = "\n".join(f"{key}: {value}" for key, value in generation.extra_generation_params.items())
        return [enlarged(picture) for picture in pictures], infotext

    with gr.Blocks(title="IP-Adapter: the small world", analytics_enabled=False) as page:
        gr.Markdown(WORDS)
        with gr.Row():
            inputs: list[Any] = [
                gr.Textbox("a circle", label="Prompt", elem_id="prompt"),
                gr.Textbox("", label="Negative prompt", elem_id="negative"),
            ]
        with gr.Row():
            inputs += [
                gr.Slider(1, 50, 20, step=1, label="Steps"),
                gr.Slider(1, 15, 7, step=0.5, label="CFG scale"),
                gr.Slider(1, 8, 4, step=1, label="Pictures"),
                gr.Number(1, label="Seed", precision=0),
            ]
        gr.HTML(reference_strip())
        session = studio.session
        panel = framed_panel(page, 3, partial(panel_answer, session), session.references.find)
        button = gr.Button("Generate", variant="primary", elem_id="generate")
        gallery = gr.Gallery(label="Pictures", elem_id="gallery", columns=4, object_fit="contain")
        infotext = gr.Textbox(label="Infotext of the units", elem_id="noted", lines=2)
        button.click(generate, inputs=[*inputs, *panel.texts], outputs=[gallery, infotext])
    return page


def main() -> None:
    torch.set_num_threads(1)  # several threads are slower for tensors this small
    port = int(sys.argv[1]) if len(sys.argv) > 1 else None
    page = build(Studio(demo_host()))
    page.queue().launch(server_name="127.0.0.1", server_port=port, inbrowser=port is None)


if __name__ == "__main__":
    main()
