"""An imitation of what the library says about units before they run, because its own module needs torch."""

from collections.abc import Callable
from typing import Any

from lib_ipadapter.base.errors import UnitError
from lib_ipadapter.unit.read_args import read_unit

from .downloads import VIT_H


class Readiness:
    """Answers for the units of the page's adapters, and counts how often it was asked."""

    def __init__(self, models: Callable[[], list[dict[str, Any]]]) -> None:
        self.models = models
        self.asked = 0
        self.does = {"ready": self.ready, "times asked": lambda _: {"times": self.asked}}

    def ready(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        self.cfg_scale = asked["cfg_scale"]
        return {"units": [self.entry(number, unit) for number, unit in enumerate(asked["units"], 1) if unit]}

    def entry(self, number: int, unit: dict[str, Any]) -> dict[str, Any]:
        findings = self.findings(unit)
        if self.cfg_scale == 1:
            other = {"do": "choose adapter", "name": "ip-adapter-plus_sd15.safetensors"}
            findings.append(finding("It does less at CFG scale 1.", stops=False, repair=other))
        stops = any(finding["stops"] for finding in findings)
        state = "stops" if stops else "poor" if findings else "ready"
        return {"unit": number, "state": state, "findings": findings, "pictures": len(unit["images"])}

    def findings(self, unit: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            read_unit(unit)
        except UnitError as error:
            return [finding(error.sentence, field=error.field)]
        unknown = {"reason": f"There is no adapter {unit['model']}."}
        model = next((each for each in self.models() if each["name"] == unit["model"]), unknown)
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
        if "face" in model.get("fields", ()) and unit["enhance"] != 1:
            setting = {"do": "set", "field": "enhance", "value": 1}
            found.append(finding("enhance has no effect with faces.", field="enhance", repair=setting))
        return found


def finding(sentence: str, stops: bool = True, field: str = "", repair: Any = None) -> dict[str, Any]:
    return {"sentence": sentence, "stops": stops, "field": field, **({"repair": repair} if repair else {})}
