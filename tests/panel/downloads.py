"""A catalogue and downloads that imitate the library's: each time they are read, they advance by a step."""

from collections.abc import Callable
from typing import Any

from lib_ipadapter.base.errors import IPAdapterError

PLUS, BASE = "ip-adapter-plus_sd15.safetensors", "ip-adapter_sd15.safetensors"
FACE_ID, LORA = "ip-adapter-faceid-plusv2_sd15.bin", "ip-adapter-faceid-plusv2_sd15_lora.safetensors"
PLUS_XL, LIGHT = "ip-adapter-plus_sdxl_vit-h.safetensors", "ip-adapter_sd15_light.safetensors"
HALF = "clip_vision_h.safetensors"
VIT_H, PACK = "CLIP-ViT-H-14.safetensors", "buffalo_l.zip"
OFF = "Model downloads are off in Settings > IP-Adapter."
STEPS = 4
"""Reads until a file is downloaded."""


def file(name: str, title: str, size: int, **more: Any) -> dict[str, Any]:
    """Return a file in the catalogue; what is not given is as for an adapter by h94."""
    return {
        "name": name,
        "title": title,
        "help": f"What {title} is for.",
        "page": "https://huggingface.co/h94/IP-Adapter",
        "bytes": size,
        "licence": "Apache-2.0",
        "commercial": True,
        "family": "plus",
        "base": "SD1.x",
        "use": "general",
        "needs": [],
        "folder": "models/ipadapter",
        "state": "missing",
        "there_as": "",
        "instead_of": "",
        "part": 0,
        "sentence": f"{name} is not the published file.",
        **more,
    }


RESEARCH = {"licence": "see page", "commercial": False, "page": "https://huggingface.co/h94/IP-Adapter-FaceID"}
FILES = [
    file(PLUS, "Plus, general, SD 1.5", 98_183_288, needs=[VIT_H]),
    file(BASE, "Base, general, SD 1.5", 44_642_768, needs=[VIT_H]),
    file(
        FACE_ID, "FaceID Plus v2, likeness, SD 1.5", 156_558_509, needs=[VIT_H, LORA, PACK], use="likeness", **RESEARCH
    ),
    file(LIGHT, "Light, general, SD 1.5", 44_642_768, needs=[VIT_H]),
    file(PLUS_XL, "Plus, general, SDXL", 847_517_512, base="SDXL", needs=[VIT_H]),
    file(VIT_H, "ViT-H, image encoder", 2_528_373_448, base="", family="", folder="models/clip_vision"),
    file(HALF, "ViT-H, half size", 1_264_219_396, base="", family="", folder="models/clip_vision", instead_of=VIT_H),
    file(LORA, "LoRA for FaceID Plus v2, SD 1.5", 51_059_544, family="", folder="models/Lora", **RESEARCH),
    file(PACK, "buffalo_l, face models", 288_621_354, base="", family="", folder="models/insightface", **RESEARCH),
]
BUNDLES = [
    {
        "name": "Pictures and style",
        "base": "SD1.x",
        "help": "The subject, the style or the layout of a picture.",
        "files": [PLUS, BASE, VIT_H],
    },
    {"name": "A person's likeness", "base": "SD1.x", "help": "One person in any scene.", "files": [FACE_ID]},
    {"name": "Pictures and style", "base": "SDXL", "help": "As for SD 1.5.", "files": [PLUS_XL]},
]


class Downloads:
    """The server's files and downloads; `bring` is called with the name of each file that has arrived."""

    def __init__(self, bring: Callable[[str], None]) -> None:
        self.bring = bring
        self.does: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "catalogue": self.catalogue,
            "downloads": self.look,
            "get files": self.get,
            "stop files": self.stop,
            "verify": self.verify,
            "set downloads": self.set,
        }
        self.set({})

    def set(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Start over with the `states` of files, the `free` space in folders, and files whose download `fails`.

        `parts` has the bytes of unfinished downloads.
        """
        self.files = [{**each, "state": asked.get("states", {}).get(each["name"], "missing")} for each in FILES]
        for each in self.files:
            each["part"] = asked.get("parts", {}).get(each["name"], 0)
            each["there_as"] = "models/Lora/mine.safetensors" if each["state"] == "elsewhere" else ""
        self.free = {each["folder"]: 118_000_000_000 for each in FILES} | asked.get("free", {})
        self.allowed, self.fails = asked.get("allowed", True), asked.get("fails", [])
        self.queue: list[dict[str, Any]] = []
        self.is_held = asked.get("held", False)
        return {}

    def catalogue(self, _asked: dict[str, Any]) -> dict[str, Any]:
        downloads = {"allowed": self.allowed, "reason": "" if self.allowed else OFF}
        return {"downloads": downloads, "bundles": BUNDLES, "files": self.files, "free": self.free}

    def look(self, _asked: dict[str, Any]) -> dict[str, Any]:
        under_way = [each for each in self.queue if each["state"] in ("waiting", "running", "checking")]
        if under_way and not self.is_held:
            self.step(under_way[0])
        return {"files": self.queue}

    def step(self, download: dict[str, Any]) -> None:
        if download["name"] in self.fails:
            download.update(state="failed", speed=0, seconds_left=None, error="The hub does not answer.")
            return
        done = min(download["bytes"], download["done"] + download["bytes"] // (STEPS - 1) + 1)
        is_whole = download["done"] == download["bytes"]
        left = (download["bytes"] - done) // 34_000_000
        download.update(state="running", done=done, speed=34_000_000, seconds_left=left)
        if is_whole:
            download.update(state="done", speed=0, seconds_left=None)
            self.known(download["name"])["state"] = "there"
            self.bring(download["name"])

    def known(self, name: str) -> dict[str, Any]:
        return next(each for each in self.files if each["name"] == name)

    def get(self, asked: dict[str, Any]) -> dict[str, Any]:
        if not self.allowed:
            raise IPAdapterError(OFF)
        for name in asked["files"]:
            before = next((each for each in self.queue if each["name"] == name), {"done": 0})
            self.queue = [each for each in self.queue if each is not before]
            started = {"state": "waiting", "done": before["done"], "speed": 0, "seconds_left": None, "error": ""}
            self.queue.append({**{key: self.known(name)[key] for key in ("name", "title", "bytes")}, **started})
        return {"files": self.queue}

    def stop(self, asked: dict[str, Any]) -> dict[str, Any]:
        for each in self.queue:
            if each["name"] in asked.get("files", [each["name"]]) and each["state"] != "done":
                each.update(state="stopped", speed=0, seconds_left=None)
        return {"files": self.queue}

    def verify(self, _asked: dict[str, Any]) -> dict[str, Any]:
        for each in self.files:
            each["state"] = "there" if each["state"] == "unchecked" else each["state"]
        return {}
