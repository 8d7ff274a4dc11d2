"""What is held in main memory: nothing grows over many generations, and each cache says what it holds."""

import gc
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from small_host import ROWS, Processing, SmallHost, photo, unit

from lib_ipadapter.engine.session import Session
from lib_ipadapter.port import CacheLimits

GENERATIONS = 500

CHANGES: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "weight": lambda number: {"weight": (number + 1) / GENERATIONS},
    "another picture": lambda number: {"images": [photo(number)]},
    "two pictures": lambda number: {"images": [photo(number), photo(number + 1)], "combine": "average"},
    "another adapter": lambda number: {"model": ("base", "plus")[number % 2]},
    "a region": lambda number: {"region": f"0, 0, {0.1 + number / GENERATIONS * 0.8:.3f}, 1; feather 0.05"},
    "a curve": lambda number: {"curve": f"0:1, {0.1 + number / GENERATIONS * 0.8:.3f}:0.5"},
    "a negative reference": lambda number: {"negative_images": [photo(-number - 1)]},
}
"""What users change from one generation to the next."""


def held() -> int:
    """Return the bytes of all tensors in main memory, each storage once."""
    gc.collect()
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    tensors = [each for each in tensors if each.device.type == "cpu" and each.layout is torch.strided]
    storages = [each.untyped_storage() for each in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def generate(host: SmallHost, session: Session, *units: dict[str, Any]) -> None:
    """Do what a generation of one step does, except for the U-Net's own work."""
    p = Processing()
    session.before_generation(p, list(units))
    session.before_sampling(p, list(units))
    assert not host.refused
    host.run.inject(host.unet)
    host.run.begin_call(ROWS, 0.0, (8, 8))
    host.run.eject()
    host.run = None


def test_nothing_grows_in_many_generations_of_changing_units(host: SmallHost) -> None:
    host.limits = CacheLimits(features=50_000, keys_values=200_000)
    session = Session(host)
    names = list(CHANGES)
    after: list[tuple[int, int]] = []
    for number in range(GENERATIONS):
        change = CHANGES[names[number % len(names)]](number)
        generate(host, session, unit(**change), unit(**CHANGES["weight"](number)))
        if number % 100 == 99:
            after.append((held(), len(gc.get_objects())))
    tensors, objects = zip(*after, strict=True)
    assert max(tensors[1:]) < tensors[0] * 1.1, "the caches' limits had been reached before"
    assert max(objects[2:]) < objects[1] * 1.05
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in host.unet.modules())


@pytest.mark.parametrize("cache", ["features", "keys_values"])
def test_a_cache_holds_what_it_says(host: SmallHost, cache: str) -> None:
    """To 10 %, so that its limit is the limit of what is held."""
    others = {"features", "keys_values"} - {cache}
    host.limits = CacheLimits(**dict.fromkeys(others, 0))
    session = Session(host)
    for number in range(2):  # libraries that are imported first may keep a frame of the call that imported them
        generate(host, session, unit(model="plus", images=[photo(number)]))
    kept = {"features": session.preparation._features._kept, "keys_values": session.preparation._keys_values}[cache]
    before, said = held(), kept.bytes
    for number in range(2, 42):
        generate(host, session, unit(model="plus", images=[photo(number)]))
    assert kept.bytes - said == pytest.approx(held() - before, rel=0.1)
