"""Every host has the port's members with the same arguments; pyright compares the types (host_types.py)."""

import inspect
import sys
from typing import Any

import pytest
from small_host import SmallHost

pytest.importorskip("fastapi")

from contract import DOUBLES
from torch import nn

from demo.host import Demo
from lib_ipadapter import port

MEMBERS = sorted(name for name in {*vars(port.Host), *vars(port.Reporter)} if not name.startswith("_"))
CLASSES = {"AUTOMATIC1111": ("a1111", "A1111"), "Forge": ("forge", "Forge"), "reForge": ("forge", "Forge")}


@pytest.fixture(params=[*CLASSES, "demo", "tests"])
def host_class(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    own = {"demo": Demo, "tests": SmallHost}.get(request.param)
    if own:
        yield own
        return
    module, name = CLASSES[request.param]
    with DOUBLES[request.param](nn.Identity(), tmp_path).at_work():
        imported = __import__(f"lib_ipadapter.hosts.{module}", fromlist=[name])
        yield getattr(imported, name)
    for each in [each for each in sys.modules if each.startswith("lib_ipadapter.hosts.")]:
        del sys.modules[each]


def test_a_host_has_every_member_of_the_port_with_its_arguments(host_class: Any) -> None:
    assert len(MEMBERS) > 20
    for name in MEMBERS:
        asked = inspect.signature(getattr(port.Host, name)).parameters
        there = inspect.signature(getattr(host_class, name)).parameters
        assert [(each.name, each.default) for each in there.values()] == [
            (each.name, each.default) for each in asked.values()
        ], name


def test_a_host_has_no_public_member_outside_the_port(host_class: Any) -> None:
    """Otherwise code could rely on one host; members that a class needs for itself are listed."""
    own = {"pass_class", "family", "feeds_controlnet", "memory_management", "sample"}
    public = {name for each in host_class.__mro__[:-1] for name in vars(each) if not name.startswith("_")}
    assert public <= {*MEMBERS, *own}
