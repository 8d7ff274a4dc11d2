"""Which adapter suits a purpose: the published files in the catalogue's order, others by family and name."""

from typing import Any

import pytest

from lib_ipadapter.files.catalogue import read_catalogue
from lib_ipadapter.unit.presets import INTENTS
from lib_ipadapter.web.adapter_uses import suited, uses_of

CATALOGUE = read_catalogue()
SD = {file.name: file for file in CATALOGUE.files if file.family and file.base == "SD1.x"}
SDXL = {file.name: file for file in CATALOGUE.files if file.family and file.base == "SDXL"}
PUBLISHED = {**SD, **SDXL}


def listed(*names: str, known: bool = False, **more: Any) -> list[dict[str, Any]]:
    """Return published files as in the list of adapters, by name; `known` says whether their hashes are known."""
    return [
        {"name": name, "family": file.family, "base": file.base, "reason": "", "missing": False}
        | {"uses": uses_of(file.family, name, file if known else None), "published": name if known else None}
        | more
        for name in sorted(names or SD, key=str.lower)
        for file in (PUBLISHED[name],)
    ]


def best(models: list[dict[str, Any]], purpose: str) -> list[str]:
    return suited(models, CATALOGUE)[purpose]


@pytest.mark.parametrize("name", PUBLISHED)
def test_names_say_what_the_catalogue_says(name: str) -> None:
    file = PUBLISHED[name]
    assert uses_of(file.family, name) == uses_of(file.family, "renamed", file) == [file.use]


def test_a_keyword_must_be_a_whole_word() -> None:
    assert uses_of("plus", "my-surface_plus.safetensors") == ["general"]
    assert uses_of("faceid", "ip-adapter-faceid_composition.bin") == ["likeness"], "its tensors say what it is"


BEST = [
    ("", "ip-adapter-plus_sd15.safetensors", "ip-adapter-plus_sdxl_vit-h.safetensors"),
    ("Subject", "ip-adapter-plus_sd15.safetensors", "ip-adapter-plus_sdxl_vit-h.safetensors"),
    ("Face", "ip-adapter-faceid-plusv2_sd15.bin", "ip-adapter-faceid-plusv2_sdxl.bin"),
    ("Style", "ip-adapter-plus_sd15.safetensors", "ip-adapter-plus_sdxl_vit-h.safetensors"),
    ("Composition", "ip_plus_composition_sd15.safetensors", "ip_plus_composition_sdxl.safetensors"),
    ("Style and composition", "ip-adapter-plus_sd15.safetensors", "ip-adapter-plus_sdxl_vit-h.safetensors"),
]


@pytest.mark.parametrize(("purpose", "sd", "sdxl"), BEST)
@pytest.mark.parametrize("known", [False, True])
def test_the_best_published_file_is_chosen_for_each_purpose(purpose: str, sd: str, sdxl: str, known: bool) -> None:
    for names, expected in ((SD, sd), (SDXL, sdxl)):
        assert best(listed(*names, known=known), purpose)[0] == expected


def test_the_order_is_that_of_the_catalogue_within_a_use() -> None:
    assert best(listed(*SDXL), "Face") == [
        "ip-adapter-faceid-plusv2_sdxl.bin",
        "ip-adapter-faceid_sdxl.bin",
        "ip-adapter-faceid-portrait_sdxl.bin",
        "ip-adapter_instant_id_sdxl.bin",  # behind those that need no ControlNet
        "pulid_v1.1.safetensors",
        "ip-adapter-faceid-portrait_sdxl_unnorm.bin",
        "ip-adapter-plus-face_sdxl_vit-h.safetensors",
    ]
    assert best(listed(*SD), "")[:3] == [
        "ip-adapter-plus_sd15.safetensors",
        "ip-adapter_sd15.safetensors",
        "ip-adapter_sd15_light_v11.bin",
    ]


def test_a_file_is_chosen_by_its_content_whatever_it_is_called() -> None:
    renamed = [model | {"name": f"{place}.bin"} for place, model in enumerate(reversed(listed(known=True)))]
    names = {model["published"]: model["name"] for model in renamed}
    for purpose, expected, _ in BEST:
        assert best(renamed, purpose)[0] == names[expected]


def test_an_unknown_file_comes_behind_the_best_published_one_of_its_kind() -> None:
    own = {"name": "a/own.safetensors", "family": "plus", "base": "SD1.x", "uses": ["general"], "published": None}
    models = [own | {"reason": "", "missing": False}, *listed()]
    assert best(models, "Style")[:3] == [
        "ip-adapter-plus_sd15.safetensors",
        "a/own.safetensors",
        "ip-adapter_sd15.safetensors",
    ]
    models[0] |= {"family": "unheard of"}
    assert best(models, "Style")[-1] == "a/own.safetensors"


def test_plus_face_is_suited_to_faces_only() -> None:
    found = suited(listed("ip-adapter-plus-face_sd15.safetensors", "ip-adapter_sd15.safetensors"), CATALOGUE)
    assert found["Face"] == ["ip-adapter-plus-face_sd15.safetensors"]
    assert found[""] == found["Style"] == found["Composition"] == ["ip-adapter_sd15.safetensors"]
    assert found["Subject"] == ["ip-adapter_sd15.safetensors", "ip-adapter-plus-face_sd15.safetensors"]


def test_only_adapters_that_can_run_are_suited() -> None:
    assert set(suited([], CATALOGUE)) == {"", *INTENTS}
    for more in ({"reason": "is for SDXL"}, {"missing": True}):
        assert not any(suited(listed(**more), CATALOGUE).values())
    damaged = {"name": "x", "reason": "is damaged", "short": "damaged"}
    assert not any(suited([damaged], CATALOGUE).values())


def test_every_family_has_a_use() -> None:
    from lib_ipadapter.web.adapter_uses import FAMILY_USES
    from lib_ipadapter.weights.families import FAMILIES

    assert set(FAMILY_USES) == {family.name for family in FAMILIES}
