"""The input of InstantID's ControlNets in the Forge family, with a small chain in place of the real one.

Real web UIs are tested in tests/host.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.hosts.instantid_forge import Feeding, networks_of

TEXT = torch.zeros(2, 3, 5)
"""(rows, tokens, width)"""


class ControlNet:
    """Like Forge's: calls the previous one in the chain, and then its network."""

    def __init__(self, network: Any, before: Any = None) -> None:
        self.control_model, self.previous_controlnet = network, before

    def get_control(self, x: Any, t: Any, cond: dict[str, Any], batched_number: int, *options: Any) -> list[Tensor]:
        earlier = self.previous_controlnet
        done = earlier.get_control(x, t, cond, batched_number, *options) if earlier else []
        return [*done, cond["c_crossattn"]]


class T2IAdapter(ControlNet):
    """Has no such network, and gets no text."""

    def __init__(self, before: Any) -> None:
        self.previous_controlnet = before


class Patcher:
    def __init__(self, *networks: Any) -> None:
        self.last: Any = None
        for network in networks:
            self.last = ControlNet(network, self.last) if network else T2IAdapter(self.last)

    def list_controlnets(self) -> list[Any]:
        found, each = [], self.last
        while each:
            found.append(each)
            each = each.previous_controlnet
        return found

    def seen(self, *more: Any) -> list[float]:
        """Return each ControlNet's input in the order of their units: 0 is the text."""
        cond = {"c_crossattn": TEXT, "transformer_options": {"which": "options"}}
        seen = self.last.get_control("x", "t", cond, 2, *more)
        assert cond["c_crossattn"] is TEXT, "the web UI goes on with it"
        assert all(each.shape == TEXT.shape for each in seen)
        return [each.mean().item() for each in seen]

    def attributes(self) -> list[list[str]]:
        return [sorted(vars(each)) for each in self.list_controlnets()]


def tokens(number: int, options: Any, text: Tensor) -> Tensor:
    assert options == {"which": "options"}
    assert text is TEXT
    return TEXT + number + 1


@pytest.mark.parametrize("more", [(), ({"options": "of reForge"},)], ids=["Forge", "reForge"])
@pytest.mark.parametrize(
    ("chain", "expected"),
    [
        ("a", [1]),
        ("ca", [0, 1]),
        ("ac", [1, 0]),
        ("cacb", [0, 1, 0, 2]),
        ("ba", [2, 1]),
        ("a-c", [1, 0, 0]),
        ("b", [2]),
        ("c", [0]),
    ],
)
def test_each_gets_its_own_face_and_others_get_the_text(chain: str, expected: list[int], more: tuple[Any, ...]) -> None:
    """The second one gets the second unit's face also in a pass in which the first does not take part."""
    networks = {name: object() for name in "abc"}
    patcher = Patcher(*(networks.get(name) for name in chain))
    before = patcher.attributes()
    feeding = Feeding([networks["a"], networks["b"]], tokens)
    for _ in range(3):  # once per step
        feeding.put_on(patcher)
    assert [each for each, name in zip(patcher.seen(*more), chain, strict=True) if name != "-"] == [
        each for each, name in zip(expected, chain, strict=True) if name != "-"
    ]
    feeding.take_off()
    feeding.take_off()
    assert patcher.seen(*more) == [0] * len(chain)
    assert patcher.attributes() == before


def test_one_network_in_two_units_gets_the_first_and_the_second_face() -> None:
    network = object()
    patcher = Patcher(network, network, network)
    Feeding([network, network], tokens).put_on(patcher)
    assert patcher.seen() == [1, 2, 0]


def test_another_patcher_is_followed_and_the_first_one_is_restored() -> None:
    network = object()
    first, second = Patcher(network), Patcher(network)
    before = first.attributes()
    feeding = Feeding([network], tokens)
    feeding.put_on(first)
    feeding.put_on(second)
    assert first.attributes() == before
    assert (first.seen(), second.seen()) == ([0], [1])


def test_without_instantids_controlnet_nothing_is_changed() -> None:
    Feeding([], tokens).put_on(None)


def script(*units: tuple[str, Any]) -> Any:
    """Return ControlNet's script; each unit is a name and the loaded model."""
    made = [SimpleNamespace(model=name) for name, _ in units]
    loaded = {number: SimpleNamespace(model=model) for number, (_, model) in enumerate(units)}
    return SimpleNamespace(
        title=lambda: "ControlNet",
        args_from=1,
        args_to=3,
        current_params=loaded,
        get_enabled_units=lambda args: made if args == ["b", "c"] else [],
    )


def generation(*units: tuple[str, Any]) -> Any:
    scripts = SimpleNamespace(alwayson_scripts=[SimpleNamespace(title=lambda: "Other"), script(*units)])
    return SimpleNamespace(scripts=scripts, script_args=["a", "b", "c", "d"])


def loaded(network: Any) -> Any:
    return SimpleNamespace(model_patcher=SimpleNamespace(control_model=network))


def test_networks_come_from_the_units_with_these_names() -> None:
    first, other, second = object(), object(), object()
    units = [("InstantID", loaded(first)), ("canny", loaded(other)), ("control_instant_id_sdxl [ab]", loaded(second))]
    assert networks_of(generation(*units)) == [first, second]
    assert networks_of(generation(("canny", None))) == []
    failed = generation(*units)
    del failed.scripts.alwayson_scripts[1].current_params[0]
    assert networks_of(failed) == [second]


@pytest.mark.parametrize("model", [loaded(None), SimpleNamespace()], ids=["a ControlLoRA", "something else"])
def test_another_kind_of_controlnet_is_refused(model: Any) -> None:
    with pytest.raises(IPAdapterError, match="expected control_instant_id to be InstantID's ControlNet, by its name"):
        networks_of(generation(("control_instant_id", model)))
