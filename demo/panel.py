"""Open the extension's panel on a local page, with the small model behind it: `python -m demo.panel [PORT]`."""

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
"""Pixels on a side at which a picture of 64 is shown."""

REFERENCES = tuple(
    Scene(shape, colour, ground)
    for shape, colour, ground in zip([*SHAPES, *SHAPES], COLOURS, [*GROUNDS, *GROUNDS], strict=False)
)

WORDS = f"""
# IP-Adapter: the small world
A Stable Diffusion of 6 million weights that knows one object on a ground, and the extension's own panel.
Prompts read like *a circle* or *a red circle on white*.
It knows {", ".join(SHAPES)}; {", ".join(COLOURS)}; {", ".join(GROUNDS)}.
Click a reference, or drop pictures of your own; choose an adapter; generate.
"""


def name_of(scene: Scene) -> str:
    return caption(scene.shape, scene.colour, scene.ground)


def reference_strip() -> str:
    """Return drawn references that go into the panel's current unit when they are clicked."""
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
    """Return the page; `studio` makes its pictures."""

    def generate(
        prompt: str, negative: str, steps: float, guidance: float, count: float, seed: float, *units: str
    ) -> tuple[list[Image.Image], str]:
        seeds = range(int(seed), int(seed) + int(count))
        generation = Generation(prompt, tuple(seeds), negative, int(steps), guidance)
        try:
            pictures = studio.make(generation, [text for text in units if text])
        except IPAdapterError as error:
            raise gr.Error(str(error)) from error
        noted = "\n".join(f"{key}: {value}" for key, value in generation.extra_generation_params.items())
        return [enlarged(picture) for picture in pictures], noted

    with gr.Blocks(title="IP-Adapter: the small world", analytics_enabled=False) as page:
        gr.Markdown(WORDS)
        with gr.Row():
            asked: list[Any] = [
                gr.Textbox("a circle", label="Prompt", elem_id="prompt"),
                gr.Textbox("", label="Negative prompt", elem_id="negative"),
            ]
        with gr.Row():
            asked += [
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
        noted = gr.Textbox(label="What each picture records of its units", elem_id="noted", lines=2)
        button.click(generate, inputs=[*asked, *panel.texts], outputs=[gallery, noted])
    return page


def main() -> None:
    torch.set_num_threads(1)  # for tensors as small as these, threads cost more than they bring
    port = int(sys.argv[1]) if len(sys.argv) > 1 else None
    page = build(Studio(demo_host()))
    page.queue().launch(server_name="127.0.0.1", server_port=port, inbrowser=port is None)


if __name__ == "__main__":
    main()
