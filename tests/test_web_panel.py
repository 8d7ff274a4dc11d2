"""A paste restores units once for all of the panel's components, and the browser gets each control's description."""

import importlib.util
import json

import pytest

if not importlib.util.find_spec("gradio"):
    pytest.skip("gradio is not installed at this end", allow_module_level=True)

from lib_ipadapter.unit.read_args import SLOTS
from lib_ipadapter.unit.restore import no_difference
from lib_ipadapter.web.panel import Paste, spec

PARAMETERS = {"Steps": "4", "IP-Adapter 2": "Adapter: m, Weight: 0.5, References: aaaaaaaaaaaa"}


def test_pictures_are_looked_up_once_per_paste() -> None:
    looked: list[str] = []

    def find(digits: str) -> str:
        looked.append(digits)
        return "data:a"

    paste = Paste(find, no_difference)
    for number in (1, 2):
        parameters = dict(PARAMETERS)
        assert paste.has_units(parameters)
        units = [paste.unit(i + 1, parameters) for i in range(SLOTS)]
        assert [unit and json.loads(unit)["weight"] for unit in units] == [None, 0.5, *[None] * (SLOTS - 2)]
        assert len(looked) == number
    assert not paste.has_units({"Steps": "4"})


def test_the_browser_gets_widgets_and_conditions_but_no_class_names() -> None:
    controls = {control["name"]: control for control in spec(3)["controls"]}
    assert controls["weight"]["widget"] == "slider"
    assert controls["weight"]["slider"] == {"min": -1, "max": 2}
    assert controls["noise"]["when"] == {"noise_type": ("fade", "dissolve", "gaussian", "shuffle")}
    assert controls["face"]["conditional"]
    assert list(controls)[:4] == ["weight", "start", "end", "curve"]
    assert json.loads(json.dumps(controls)) is not None
