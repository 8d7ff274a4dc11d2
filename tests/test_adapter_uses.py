"""Which adapter suits a purpose, for the names and families of the published files."""

from typing import Any

import pytest

from lib_ipadapter.unit.presets import INTENTS
from lib_ipadapter.web.adapter_uses import suited, uses_of

PUBLISHED = {
    "ip-adapter-faceid-plusv2_sd15.bin": ("faceid-plus", "likeness"),
    "ip-adapter-faceid-portrait_sd15.bin": ("portrait", "likeness"),
    "ip-adapter-faceid_sd15.bin": ("faceid", "likeness"),
    "ip-adapter-full-face_sd15.safetensors": ("full-face", "face"),
    "ip-adapter-plus-face_sd15.safetensors": ("plus", "face"),
    "ip-adapter-plus_sd15.safetensors": ("plus", "general"),
    "ip-adapter_sd15.safetensors": ("base", "general"),
    "ip-adapter_sd15_light.safetensors": ("base", "general"),
    "ip_plus_composition_sd15.safetensors": ("plus", "composition"),
}
"""Family and use of each published file, in the order of the list."""


def listed(*names: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"name": name, "family": PUBLISHED[name][0], "uses": uses_of(PUBLISHED[name][0], name)}
        | {"reason": "", "missing": False}
        | more
        for name in names or PUBLISHED
    ]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_use_of_a_published_file_is_known(name: str) -> None:
    family, use = PUBLISHED[name]
    assert uses_of(family, name) == [use]


def test_a_keyword_must_be_a_whole_word() -> None:
    assert uses_of("plus", "my-surface_plus.safetensors") == ["general"]
    assert uses_of("faceid", "ip-adapter-faceid_composition.bin") == ["likeness"], "its tensors say what it is"


@pytest.mark.parametrize(
    ("purpose", "best"),
    [
        ("", "ip-adapter-plus_sd15.safetensors"),
        ("Subject", "ip-adapter-plus_sd15.safetensors"),
        ("Face", "ip-adapter-faceid-plusv2_sd15.bin"),
        ("Style", "ip-adapter-plus_sd15.safetensors"),
        ("Composition", "ip_plus_composition_sd15.safetensors"),
        ("Style and composition", "ip-adapter-plus_sd15.safetensors"),
    ],
)
def test_the_best_published_file_is_chosen_for_each_purpose(purpose: str, best: str) -> None:
    assert suited(listed())[purpose][0] == best


def test_plus_face_is_suited_to_faces_only() -> None:
    found = suited(listed("ip-adapter-plus-face_sd15.safetensors", "ip-adapter_sd15.safetensors"))
    assert found["Face"] == ["ip-adapter-plus-face_sd15.safetensors"]
    assert found[""] == found["Style"] == found["Composition"] == ["ip-adapter_sd15.safetensors"]
    assert found["Subject"] == ["ip-adapter_sd15.safetensors", "ip-adapter-plus-face_sd15.safetensors"]


def test_only_adapters_that_can_run_are_suited() -> None:
    assert set(suited([])) == {"", *INTENTS}
    for more in ({"reason": "is for SDXL"}, {"missing": True}):
        assert not any(suited(listed(**more)).values())
    damaged = {"name": "x", "reason": "is damaged", "short": "damaged"}
    assert not any(suited([damaged]).values())


def test_every_family_has_a_use() -> None:
    from lib_ipadapter.web.adapter_uses import FAMILY_USES
    from lib_ipadapter.weights.families import FAMILIES

    assert set(FAMILY_USES) == {family.name for family in FAMILIES}
