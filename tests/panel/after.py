"""What the library says about a picture after its generation, from its own table; what opens adapters needs torch."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

from lib_ipadapter.review.repairs import MOST, Case, repairs_of
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.recipe import ENDING, Adapter, read_recipe, write_recipe


class After:
    """Answers for units with the page's adapters."""

    def __init__(self, models: Callable[[], list[dict[str, Any]]]) -> None:
        self.models = models
        self.does = {
            "repairs": self.repairs,
            "report": self.report,
            "save recipe": self.save_recipe,
            "take recipe": self.take_recipe,
        }

    def repairs(self, asked: dict[str, Any]) -> dict[str, Any]:
        given = asked["unit"]
        unit = replace(read_unit({**given, "enabled": False}), enabled=given["enabled"])
        model = next((each for each in self.models() if each["name"] == unit.model), None)
        if model is None:
            finding = {"sentence": f"There is no adapter {unit.model}.", "stops": True, "field": "model"}
            return {"repairs": [{"do": "finding", "finding": finding}]}
        kind = {"family": model["family"], "fields": tuple(model.get("fields", ())), "uses": tuple(model["uses"])}
        known = {name: asked[name] for name in ("place", "cfg_scale", "denoising")}
        case = Case(unit, **kind, **known, steps=tuple(asked["steps"]))
        return {"repairs": list(islice(repairs_of(asked["answer"], case), MOST))}

    def report(self, asked: dict[str, Any]) -> dict[str, Any]:
        units = sum(unit is not None for unit in asked["units"])
        return {"report": f"IP-Adapter report\n{units} units\n\nLast error\n{asked['error'] or 'none'}"}

    def save_recipe(self, asked: dict[str, Any]) -> dict[str, Any]:
        text = write_recipe(asked["name"], asked["unit"], Adapter(asked["unit"]["model"]), asked["pictures"])
        return {"file": asked["name"] + ENDING, "text": text}

    def take_recipe(self, asked: dict[str, Any]) -> dict[str, Any]:
        recipe = read_recipe(asked["text"])
        is_here = any(model["name"] == recipe.adapter.file for model in self.models())
        notes = () if is_here else (f"Its adapter {recipe.adapter.file} is not here.",)
        model = recipe.adapter.file if is_here else ""
        return {"unit": {**recipe.unit, "model": model}, "note": " ".join((*notes, *recipe.notes))}
