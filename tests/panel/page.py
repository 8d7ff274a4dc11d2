"""A page with the real panel on whatever gradio is installed.

It stands in for the web UI and shows what the script would be given.
"""

import base64
import html
import io
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demo.frame import framed_panel
from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.files.catalogue import read_catalogue
from lib_ipadapter.files.news import News
from lib_ipadapter.networks.unet_sites import SD
from lib_ipadapter.pictures.image_file import picture_url
from lib_ipadapter.unit.presets import Presets
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.schedule_plot import SHOWN, plotted
from lib_ipadapter.unit.strength import strengths
from lib_ipadapter.web.adapter_uses import suited, uses_of

from .after import After
from .controlnet import draw_controlnet
from .downloads import Downloads
from .generation import Generation
from .readiness import Readiness

MODELS: list[dict[str, Any]] = [
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
        "missing": True,
        "family": "portrait",
        "fields": ["face"],
        "reason": "",
        "short": "for SD1.x",
        "note": "needs insightface, which is not installed.",
    },
    {
        "name": "ip-adapter_instant_id_sdxl.bin",
        "title": "InstantID",
        "base": "SDXL",
        "missing": False,
        "family": "face-resampler",
        "controlnet": True,
        "fields": ["face", "variant"],
        "reason": "",
        "short": "for SDXL",
        "note": "InstantID",
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
for model in MODELS:
    model["uses"] = uses_of(model["family"], model["name"])


TITLES = {"ip-adapter-faceid-plusv2_sd15.bin": "FaceID Plus v2, likeness, SD 1.5"}
"""Adapters that are recognised as published ones."""

TITLE = "Likeness of faces to the references of IP-Adapter units."
LIKENESS: dict[str, Any] = {
    "title": TITLE,
    "low": 0.3,
    "rows": [
        {"picture": 1, "unit": 1, "found": "faces", "faces": [{"cosine": 0.62}, {"cosine": 0.31}], "remedies": []},
        {
            "picture": 1,
            "unit": 2,
            "found": "no face",
            "faces": [],
            "remedies": ["Its weight is 0.3.", "It ends at 0.5 of the steps."],
        },
        {
            "picture": 2,
            "unit": 1,
            "found": "no face in its region",
            "faces": [],
            "remedies": ["Try another reference, or a prompt."],
        },
    ],
}
"""The likeness report of the last generation's pictures."""

TABS = """<div id="txt2img_extra_tabs"><div class="tab-nav" style="display: flex; flex-wrap: wrap">
<button type="button" style="height: 40px">Generation</button><button type="button" style="height: 40px">Lora</button>
</div></div>"""
"""The line of tabs below the prompt, as in the web UIs; gradio 6 draws tabs in another way."""

PNG = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGP4z8CAB+GTG8HSALfKY52fTcuYAAAAAElFTkSuQmCC"
)
REFERENCES = {"a" * 12: PNG, "b" * 12: PNG}
"""Kept references, by the first digits of their hashes."""


def take(parameters: dict[str, Any], functions: Any) -> list[Any]:
    """Return what a web UI does with pasted parameters: None leaves a component as it is."""
    return [gr.update() if (value := f(parameters)) is None else gr.update(value=value) for f in functions]


def done(words: str, name: str) -> dict[str, Any]:
    """Return the library's answer to a finished action; its own module needs torch."""
    return {"message": words, "values": {"name": name}}


class Server:
    """Answers the panel: presets and plots come from the library, everything else only looks like it."""

    def __init__(self, folder: str) -> None:
        self.models, self.base = MODELS, "SD1.x"
        self.boxes: list[list[int]] | None = None
        self.preset_file = Path(folder, "presets.json")
        self.strength_file = Path(folder, "strengths.json")
        self.presets = Presets(lambda: self.preset_file)
        self.version_file = Path(folder, "version.json")
        self.news = News(lambda: self.version_file, ())
        self.saved: list[dict[str, Any]] = [
            {"name": "anna.safetensors", "references": 2, "tiles": False, "encoder": "clip"}
        ]
        self.subjects = {"Berta": {"notes": "", "pictures": [{"image": PNG, "weight": 1.0, "note": "from afar"}]}}
        self.folders: dict[str, list[dict[str, Any]]] = {}
        self.adopted: dict[str, list[str]] = {}
        self.downloads = Downloads(self.bring)
        self.generation = Generation()
        self.does: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "list": self.files,
            "rescan": self.files,
            "save": self.save,
            "plot": self.plot,
            "check": self.check,
            "faces": self.faces,
            "show faces": self.show_faces,
            "keypoints": self.keypoints,
            "fail": self.fail,
            "hang": self.hang,
            "have": self.have,
            "likeness": self.likeness,
            "damage": self.damage,
            "load": self.load,
            "put strengths": self.put_strengths,
            "put folder": self.put_folder,
            "update": self.update,
            "read news": lambda asked: {"changes": [changes._asdict() for changes in self.news.read()]},
            "save preset": lambda asked: self.presets_after("Saved as {name}.", self.presets.save(asked)),
            "delete preset": lambda asked: self.presets_after("Deleted {name}.", self.presets.delete(asked)),
            "subjects": lambda asked: self.listed_subjects(),
            "read subject": lambda asked: {"name": asked["name"], **self.subjects[asked["name"]]},
            "save subject": self.save_subject,
            "delete subject": self.delete_subject,
            "export subject": lambda asked: {"name": asked["name"], "zip": base64.b64encode(b"a zip").decode()},
            "import subject": self.import_subject,
            **self.downloads.does,
            **After(lambda: self.models).does,
            **self.generation.does,
            **Readiness(lambda: self.models).does,
        }

    def answer(self, text: str) -> str:
        asked = json.loads(text)
        do, number = asked.pop("do"), asked.pop("id")
        try:
            answer = self.does[do](asked)
        except IPAdapterError as error:
            answer = {"message": str(error)}
        return json.dumps({**answer, "id": number})

    def files(self, _asked: dict[str, Any]) -> dict[str, Any]:
        lists = {
            "models": self.models,
            "finds_faces": self.boxes is not None,
            "titles": {model["name"]: TITLES[model["name"]] for model in self.models if model["name"] in TITLES},
            "suited": suited(self.models, read_catalogue()),
            "base": self.base,
            "saved": self.saved,
            "news": self.news.unread,
        }
        own = {"strengths": strengths(self.strength_file, ("SD1.x", "SDXL"))}
        return {**lists, **self.listed_presets(), **own, "asks": list(self.does)}

    def listed_presets(self) -> dict[str, Any]:
        presets, damaged = self.presets.all()
        return {"presets": presets, "damaged_presets": damaged, "partial_presets": self.presets.partial()}

    def damage(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Write an entry into the file of presets, as a newer version may."""
        self.preset_file.write_text(json.dumps(asked["entries"]))
        return {}

    def put_strengths(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Write the user's file of strengths."""
        self.strength_file.write_text(json.dumps(asked["table"]))
        return {}

    def update(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Start anew after an update from an earlier version."""
        self.version_file.write_text(json.dumps({"seen": asked["seen"]}))
        self.news = News(lambda: self.version_file, ())
        return {}

    def fail(self, _asked: dict[str, Any]) -> dict[str, Any]:
        raise ArithmeticError("as a server may")

    def hang(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer late, like a server that was restarted or is busy."""
        time.sleep(asked["seconds"])
        return {"late": True}

    def have(self, asked: dict[str, Any]) -> dict[str, Any]:
        """From now on list only the adapters of these names."""
        self.models = [model for model in MODELS if model["name"] in asked["names"]]
        return {}

    def bring(self, name: str) -> None:
        """List a file that was downloaded, if it is one of the adapters."""
        names = {name, *(model["name"] for model in self.models)}
        self.models = [model for model in MODELS if model["name"] in names]

    def load(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Load a checkpoint made from another base; `MODELS` itself is for one made from SD1.x."""
        self.base = asked["base"]
        loaded = f"but the loaded checkpoint is {self.base}."
        self.models = MODELS
        if self.base != "SD1.x":
            reasons = {True: "", False: loaded}
            self.models = [{**model, "reason": reasons[model["base"] == self.base]} for model in MODELS]
        return {}

    def likeness(self, _asked: dict[str, Any]) -> dict[str, Any]:
        return LIKENESS

    def save(self, asked: dict[str, Any]) -> dict[str, Any]:
        unit, name = asked["unit"], f"{asked['name']}.safetensors"
        pictures = len(unit["images"])
        self.saved[:] = [each for each in self.saved if each["name"] != name]
        self.saved.append({"name": name, "references": pictures, "tiles": unit["tiles"], "encoder": "clip"})
        message = f"Saved {pictures} as {name}, overwriting: {asked['overwrite']}, {unit['embeds'] or 'no embeds'}."
        return {"saved": self.saved, "message": message}

    def plot(self, asked: dict[str, Any]) -> dict[str, Any]:
        unit = read_unit({**asked["unit"], "enabled": False})
        return plotted(unit, SHOWN.get(asked["base"], SD))

    def check(self, asked: dict[str, Any]) -> dict[str, Any]:
        each = {"sharpness": 0.1, "seen": [PNG], "advice": ["The picture is blurred: take a sharper one."]}
        return {"references": [each for _ in asked["unit"]["images"]], "agreement": None, "advice": ["All is one."]}

    def faces(self, asked: dict[str, Any]) -> dict[str, Any]:
        boxes = [[1, 2, 5, 6], [6, 2, 9, 5]] if self.boxes is None else self.boxes
        crops = [picture_url(Image.new("RGB", (8, 8), colour)) for colour in ("red", "blue")]
        found = [{"number": i, "box": box, "crop": crops[i % 2]} for i, box in enumerate(boxes)]
        return {"width": 10, "height": 10, "faces": found}

    def show_faces(self, asked: dict[str, Any]) -> dict[str, Any]:
        """From now on have face models that find faces in these `boxes`, or none for null."""
        self.boxes = asked["boxes"]
        return {}

    def keypoints(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Draw a square of the photo's colour in place of the face, in the requested size."""
        if asked["face"] == "right":
            raise IPAdapterError("Shows no face on the right.")
        size = asked["width"], asked["height"]
        x, y, high = asked["place"] or (0.5, 0.5, 0.2)
        side = high * size[1] / 2
        photo = Image.open(io.BytesIO(base64.b64decode(asked["image"].split(",")[1]))).convert("RGB")
        drawn = Image.new("RGB", size)
        edges = [int(each) for each in (x * size[0] - side, y * size[1] - side, x * size[0] + side, y * size[1] + side)]
        drawn.paste(photo.getpixel((1, 1)), edges)
        return {"image": picture_url(drawn), "faces": 1}

    def presets_after(self, words: str, name: str) -> dict[str, Any]:
        return {**self.listed_presets(), **done(words, name)}

    def listed_subjects(self) -> dict[str, Any]:
        adoptable = [{"name": name, "pictures": len(pictures)} for name, pictures in self.folders.items()]
        return {
            "subjects": [{"name": name, "reason": "", **each} for name, each in self.subjects.items()],
            "adoptable": adoptable,
        }

    def put_folder(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Put a folder with one picture beside the subjects."""
        self.folders[asked["name"]] = [{"image": PNG, "weight": 1.0}]
        return {}

    def save_subject(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["name"]
        if name == "slow":
            time.sleep(2)
        if "/" in name:
            raise IPAdapterError("name has a slash.")
        assert asked["overwrite"] == (name in self.subjects)
        assert asked.get("adopt", False) == (name in self.folders)
        adopted = self.folders.pop(name, [])
        self.adopted[name] = [f"{i + 1}.png" for i in range(len(adopted))]
        self.subjects[name] = {"notes": asked["notes"], "pictures": [*asked["pictures"], *adopted]}
        return {**self.listed_subjects(), **done("Saved as {name}.", name)}

    def delete_subject(self, asked: dict[str, Any]) -> dict[str, Any]:
        del self.subjects[asked["name"]]
        kept = self.adopted.pop(asked["name"], [])
        return {**self.listed_subjects(), **done("Deleted {name}.", asked["name"]), **({"kept": kept} if kept else {})}

    def import_subject(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert base64.b64decode(asked["zip"].split(",")[-1]) == b"a zip"
        self.subjects["Clara"] = {"notes": "", "pictures": [{"image": PNG, "weight": 1.0}]}
        return {**self.listed_subjects(), **done("Imported as {name}.", "Clara")}


def commented(text: str) -> str:
    """Return comments as the web UI shows them below the gallery (modules/ui_common.py, `plaintext_to_html`)."""
    return f"<p class='comments'>{'<br>'.join(html.escape(line) + chr(10) for line in text.split(chr(10)))}</p>"


def refused(text: str) -> str:
    """Return an error as the web UI shows it below the gallery (modules/call_queue.py)."""
    return f"<div class='error'>{html.escape(text)}</div>"


def raised(text: str) -> str:
    """Raise an error that gradio itself shows."""
    raise gr.Error(text)


def build(folder: str) -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as page:
        with gr.Column(elem_id="txt2img_toprow"):
            gr.Textbox(label="Prompt", elem_id="txt2img_prompt", lines=3, placeholder="Prompt")
        gr.HTML(TABS)
        with gr.Row():
            gr.Number(768, label="Width", elem_id="txt2img_width", interactive=True)
            gr.Number(512, label="Height", elem_id="txt2img_height", interactive=True)
        server = Server(folder)
        panel = framed_panel(page, 5, server.answer, REFERENCES.get)
        draw_controlnet(page, "txt2img")
        generate = gr.Button("Generate", elem_id="generate")
        given = gr.Textbox(label="What the script is given", elem_id="given")
        number = itertools.count()  # gradio does not show again what has not changed
        generate.click(lambda *args: json.dumps([next(number), args]), inputs=panel.texts, outputs=[given])
        server.generation.draw(panel.texts)
        pasted = gr.Textbox(label="Parameters as JSON", elem_id="pasted")
        paste = gr.Button("Paste", elem_id="paste")
        components, functions = zip(*panel.infotext_fields, strict=True)
        comments = gr.Textbox(label="Comments", elem_id="comments", lines=3)
        log = gr.HTML(elem_id="html_log_txt2img", elem_classes="html-log")
        gr.Button("Comment", elem_id="comment").click(commented, inputs=[comments], outputs=[log])
        gr.Button("Refuse", elem_id="refuse").click(refused, inputs=[comments], outputs=[log])
        gr.Button("Raise", elem_id="raise").click(raised, inputs=[comments], outputs=[log])
        paste.click(lambda text: take(json.loads(text), functions), inputs=[pasted], outputs=list(components))
    return page


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        build(folder).queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), show_error=True)
