"""An imitation of what the library says about units before they run, because its own module needs torch."""

from collections.abc import Callable
from typing import Any

from lib_ipadapter.base.errors import UnitError
from lib_ipadapter.pictures.image_cache import stand_in
from lib_ipadapter.unit.read_args import read_unit

from .downloads import VIT_H


class Readiness:
    """Answers for the units of the page's adapters, and counts how often it was asked."""

    def __init__(self, models: Callable[[], list[dict[str, Any]]]) -> None:
        self.models = models
        self.asked = 0
        self.seen: list[str] = []
        self.encoded: set[str] = set()
        self.leaves_out = True
        self.does = {
            "ready": self.ready,
            "times asked": lambda _: {"times": self.asked},
            "see": self.see,
            "times seen": lambda _: {"times": len(self.seen)},
            "forget pictures": self.forget,
            "encode": self.encode,
            "leave out": self.leave_out,
            "join inner": self.join_inner,
        }

    def ready(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        self.cfg_scale, self.steps = asked["cfg_scale"], asked["steps"]
        self.inner = asked["inner"] and self.leaves_out
        return {"units": [self.entry(number, unit) for number, unit in enumerate(asked["units"], 1) if unit]}

    def entry(self, number: int, unit: dict[str, Any]) -> dict[str, Any]:
        findings = self.findings(unit)
        if self.cfg_scale == 1:
            other = {"do": "choose adapter", "name": "ip-adapter-plus_sd15.safetensors"}
            findings.append(finding("It does less at CFG scale 1.", stops=False, repair=other))
        if self.steps == [3]:
            findings.append(finding("None of the 3 steps begins in between.", stops=False))
        if self.inner:
            findings.append(finding("ADetailer leaves it out.", stops=False, repair={"do": "join inner"}))
        stops = any(finding["stops"] for finding in findings)
        state = "stops" if stops else "poor" if findings else "ready"
        images = [picture_text(each) for each in unit["images"]]
        new = [each for each in images if each not in self.encoded] if state in ("ready", "poor") else []
        faces = "face" in self.model_of(unit).get("fields", ())
        unseen = [i for i, each in enumerate(images) if faces and each not in map(stand_in, self.seen)]
        slow = "clip.safetensors runs on the CPU." if new and unit["start"] == 0.125 else ""
        cost = {"encodes": len(new), "slow": slow, "unseen": unseen if new else []}
        return {"unit": number, "state": state, "findings": findings, "pictures": len(images), **cost}

    def see(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(asked["image"])
        return {}

    def forget(self, _asked: dict[str, Any]) -> dict[str, Any]:
        self.seen.clear()
        self.encoded.clear()
        return {}

    def leave_out(self, _asked: dict[str, Any]) -> dict[str, Any]:
        """Have an ADetailer that does not run this extension."""
        self.leaves_out = True
        return {}

    def join_inner(self, _asked: dict[str, Any]) -> dict[str, Any]:
        self.leaves_out = False
        return {"settings": {"ad_script_names": "dynamic_thresholding,ip_adapter"}}

    def encode(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Encode pictures, as a generation does."""
        self.encoded |= set(map(stand_in, asked["images"]))
        return {}

    def model_of(self, unit: dict[str, Any]) -> dict[str, Any]:
        unknown = {"reason": f"There is no adapter {unit['model']}."}
        return next((each for each in self.models() if each["name"] == unit["model"]), unknown)

    def findings(self, unit: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            read_unit(unit)
        except UnitError as error:
            return [finding(error.sentence, field=error.field)]
        model = self.model_of(unit)
        if model["reason"]:
            return [finding(model["reason"], field="model", repair={"do": "choose adapter"})]
        found = []
        if unit["start"] == 0.25:
            found.append(finding("insightface is missing.", repair={"do": "install faces"}))
        if model["missing"]:
            get = {"do": "get", "encoder": "ViT-H/14", "files": [VIT_H], "title": "ViT-H", "bytes": 2_528_373_448}
            found.append(finding(model["note"], repair=get))
        if "lora_weight" in model.get("fields", ()) and unit["weight"] > 1:
            found.append(finding("Its LoRA is missing.", stops=False, repair={"do": "get", "lora": "a.safetensors"}))
        if unit["structure_weight"] == 0.5 and picture_text(unit["images"][0]) in map(stand_in, self.seen):
            found.append(finding("Reference 1 looks like a drawing.", stops=False))
        if unit["variant"] == "v1":
            other = {"do": "set", "field": "variant", "value": "v2", "title": "FaceID Plus v2"}
            found.append(finding("It is v2.", stops=False, field="variant", repair=other))
        return [*found, *unused(unit, model)]


def finding(sentence: str, stops: bool = True, field: str = "", repair: Any = None) -> dict[str, Any]:
    return {"sentence": sentence, "stops": stops, "field": field, **({"repair": repair} if repair else {})}


def picture_text(picture: Any) -> str:
    return picture["image"] if isinstance(picture, dict) else picture


def unused(unit: dict[str, Any], model: dict[str, Any]) -> list[dict[str, Any]]:
    if "face" not in model.get("fields", ()) or unit["enhance"] == 1:
        return []
    setting = {"do": "set", "field": "enhance", "value": 1}
    return [finding("enhance has no effect with faces.", field="enhance", repair=setting)]
