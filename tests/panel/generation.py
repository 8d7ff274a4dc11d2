"""An imitation of the web UI's generation: its button, those for stopping, and the pictures of a try."""

import threading
import time
from typing import Any

import gradio as gr
from PIL import Image

from lib_ipadapter.engine.tried import Tried
from lib_ipadapter.unit.tries import find_try

SECONDS = 0.4
"""What a picture takes."""

STARTS = """(...texts) => {
    document.querySelector("#txt2img_interrupt").style.display = "block";
    return texts;
}"""
ENDS = """() => {
    document.querySelector("#txt2img_interrupt").style.display = "none";
}"""


class Generation:
    """Makes grey pictures, lighter for a larger weight; a weight of 0.9 cannot be made."""

    def __init__(self) -> None:
        self.tried = Tried()
        self.stopped = threading.Event()
        self.asked: list[dict[str, Any]] = []
        self.does = {
            "tried": lambda asked: self.tried.take(asked["token"], asked["seen"], asked["last"]),
            "changes": lambda _: {"changes": self.asked},
        }

    def draw(self, texts: list[Any]) -> None:
        """Draw the buttons on a page, and have Generate take these texts."""
        name = "_js" if gr.__version__.startswith("3.") else "js"
        gr.Button("Interrupt", elem_id="txt2img_interrupt").click(self.stopped.set, queue=False)
        generate = gr.Button("Generate as the web UI", elem_id="txt2img_generate")
        made = gr.Textbox(label="Number of pictures", elem_id="made")
        event = generate.click(self.make, inputs=texts, outputs=[made], queue=False, **{name: STARTS})
        event.then(fn=None, inputs=[], outputs=[], **{name: ENDS})
        gr.HTML(
            '<div id="txt2img_script_container"><div id="script_list"><label>Script <input value="None"></label></div>'
        )

    def make(self, *texts: str) -> str:
        self.stopped.clear()
        asked = find_try(texts)
        if asked is None:
            return "1"
        self.asked = [dict(change) for change in asked.changes]
        self.tried.begin(asked.token, count=len(self.asked), width=768, height=512, steps=12)
        for index in range(len(self.asked)):
            unit = asked.args(index)[asked.number - 1] or {}
            time.sleep(SECONDS)
            if self.stopped.is_set():
                break
            if unit["weight"] == 0.9:
                self.tried.add_reason(asked.token, index, "Shows no face. Use another reference.")
            else:
                self.tried.add_picture(asked.token, index, Image.new("RGB", (96, 64), (int(200 * unit["weight"]),) * 3))
        return str(len(self.asked))
