"""The catalogue of published files is complete and consistent, and agrees with the tables of the library."""

import re
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest
from published import PUBLISHED, SD_ATTENTIONS, separate_lora, size

from lib_ipadapter.base.errors import IPAdapterError
from lib_ipadapter.base.file_names import refuse_name
from lib_ipadapter.faces.insightface_models import PACKS
from lib_ipadapter.faces.portraits import DETECTOR as DETECTOR_FILE
from lib_ipadapter.faces.portraits import PARSER as PARSER_FILE
from lib_ipadapter.faces.portraits import PUBLISHED as FACEXLIB
from lib_ipadapter.files.catalogue import PublishedFile, read_catalogue
from lib_ipadapter.port import Folders
from lib_ipadapter.unit.presets import INTENTS
from lib_ipadapter.web.adapter_uses import FAMILY_USES
from lib_ipadapter.weights.bases import BASES, EVA
from lib_ipadapter.weights.bases import ENCODERS as BASE_ENCODERS
from lib_ipadapter.weights.families import FAMILIES
from lib_ipadapter.weights.loras import partner

CATALOGUE = read_catalogue()
FILES = CATALOGUE.files
ADAPTERS = [file for file in FILES if file.folder == "adapters"]
RUNNING = {family.name: family for family in FAMILIES if family.projector}
MAY_BE_EMPTY = {
    "repository",
    "url",
    "family",
    "variant",
    "base",
    "use",
    "encoder",
    "needs",
    "instead_of",
    "subfolder",
    "extract",
}
FAMILIES_WITHOUT_FILE = {each.family for each in CATALOGUE.not_offered}
"""Supported families whose files the catalogue names, but does not offer."""

DETECTOR = "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91"
"""Both packs of face models contain the same detector."""

ENCODERS = {
    "ViT-H/14": "CLIP-ViT-H-14.safetensors",
    "ViT-bigG/14": "CLIP-ViT-bigG-14.safetensors",
    EVA: "EVA02_CLIP_L_336_psz14_s6B.pt",
}
ALSO = {
    "ip-adapter-plus-face_sd15": "ip-adapter-plus_sd15",
    "ip_plus_composition_sd15": "ip-adapter-plus_sd15",
    "ip_plus_composition_sdxl": "ip-adapter-plus_sdxl_vit-h",
    "ip-adapter-plus-face_sdxl_vit-h": "ip-adapter-plus_sdxl_vit-h",
    "ip-adapter_sd15_light": "ip-adapter_sd15",
    "ip-adapter_sd15_light_v11": "ip-adapter_sd15",
    "ip-adapter-faceid-plus_sd15": "ip-adapter-faceid-plusv2_sd15",
    "ip-adapter-faceid-portrait-v11_sd15": "ip-adapter-faceid-portrait_sd15",
    "ip-adapter_instant_id_sdxl": "ip-adapter-faceid-portrait_sdxl_unnorm",
    "noobIPAMARK1_mark1": "ip-adapter_sdxl",
}
"""Files with the same shapes as another one, by name without extension."""

by_name = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
by_adapter = pytest.mark.parametrize("file", ADAPTERS, ids=lambda file: file.name)


@by_name
def test_every_entry_has_all_its_fields(file: PublishedFile) -> None:
    for name in {field.name for field in fields(file)} - MAY_BE_EMPTY - {"exact", "commercial"}:
        assert getattr(file, name), name
    assert bool(file.repository) != bool(file.url), "either on the hub or at an address"
    assert file.page.startswith("https://")
    assert file.title[0].isupper()
    assert file.help.endswith(".")
    assert file.bytes > 1 << 20
    assert file.sources >= 1
    assert (file.encoder in {*BASE_ENCODERS.values(), EVA}) == (file.folder == "encoders")
    assert type(file.exact) is type(file.commercial) is bool


@by_name
def test_a_revision_is_a_commit_or_a_release(file: PublishedFile) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}" if file.repository else r"v[\d.]+", file.revision)


@by_name
def test_every_needed_file_is_in_the_catalogue_and_needs_nothing(file: PublishedFile) -> None:
    """Bundles and `named` rely on one level of needs."""
    assert all(not CATALOGUE.by_name[name].needs for name in file.needs)
    if file.instead_of:
        replaced = CATALOGUE.by_name[file.instead_of]
        assert (replaced.folder, replaced.needs) == (file.folder, file.needs)


@by_name
def test_names_and_folders_are_safe(file: PublishedFile) -> None:
    for name in (file.name, *(member.name for member in file.extract), *filter(None, [file.subfolder])):
        refuse_name(name)
    for path in (file.path, *(member.path for member in file.extract)):
        assert not set(path.split("/")) & {"", ".", ".."}
        assert "\\" not in path
        assert ":" not in path
    assert file.folder in Folders.__dataclass_fields__
    assert bool(file.subfolder) == (file.folder == "faces")


def test_names_titles_and_bundles_are_unique() -> None:
    for names in (
        [file.name.lower() for file in FILES],
        [file.title for file in FILES],
        [(bundle.base, bundle.name) for bundle in CATALOGUE.bundles],
    ):
        assert max(Counter(names).values()) == 1


def test_hashes_are_well_formed_and_unique() -> None:
    hashes = [file.sha256 for file in FILES] + [member.sha256 for file in FILES for member in file.extract]
    hashes += [each.sha256 for each in CATALOGUE.lookalikes]
    assert all(re.fullmatch(r"[0-9a-f]{64}", each) for each in hashes)
    assert {each for each, times in Counter(hashes).items() if times > 1} == {DETECTOR}


def test_every_supported_family_has_a_file_or_a_reason() -> None:
    assert {file.family for file in ADAPTERS} | FAMILIES_WITHOUT_FILE == set(RUNNING)
    assert not {file.family for file in ADAPTERS} & FAMILIES_WITHOUT_FILE
    assert not any(file.family or file.use or file.variant for file in FILES if file not in ADAPTERS)


def test_every_variant_of_a_family_has_a_file() -> None:
    for family in (each for each in RUNNING.values() if each.name not in FAMILIES_WITHOUT_FILE):
        assert {file.variant for file in ADAPTERS if file.family == family.name} == {
            *(variant.name for variant in family.variants or ())
        } or {""}


@by_adapter
def test_an_adapter_needs_what_its_tensors_require(file: PublishedFile) -> None:
    stem = file.name.rsplit(".", 1)[0]
    known = PUBLISHED[ALSO.get(stem, stem)]
    family = RUNNING[file.family]
    variant = next((each for each in family.variants if each.name == file.variant), None)
    pack = variant.pack if variant and variant.pack else family.pack
    assert (file.family, file.base) == (known.family, known.base)
    assert file.base in BASES.values()
    encoder = ENCODERS.get(known.encoder.removeprefix("insightface + "))
    expected = {encoder} if encoder else set[str]()
    expected |= set(FACEXLIB) if family.portrait else set()
    expected |= {f"{pack}.zip"} if "insightface" in known.encoder else set()
    expected |= {"control_instant_id_sdxl.safetensors"} if variant and variant.controlnet else set()
    assert set(file.needs) == expected


@by_adapter
def test_a_file_has_the_size_of_its_tensors(file: PublishedFile) -> None:
    """All are in half precision except NoobAI's."""
    stem, extension = file.name.rsplit(".", 1)
    shapes = PUBLISHED[ALSO.get(stem, stem)].shapes
    if file.name == "noobIPAMARK1_mark1.safetensors":
        assert 0 < file.bytes - size(shapes, "F32") < 1 << 15, "its header is longer"
    elif extension == "safetensors":
        assert file.bytes == size(shapes)
    elif file.family != "face-resampler":  # those are not in half precision throughout
        assert file.bytes == pytest.approx(size(shapes), rel=1e-4), "FaceID files contain their LoRA"


def test_loras_have_the_size_of_their_tensors() -> None:
    loras = [file for file in FILES if file.folder == "loras"]
    assert {file.bytes for file in loras if file.base == "SD1.x"} == {size(separate_lora(SD_ATTENTIONS, 768, False))}
    assert len({file.bytes for file in loras if file.base == "SDXL"}) == 1
    with_lora = [file for file in ADAPTERS if "lora_weight" in RUNNING[file.family].fields]
    assert {f"{partner(Path(file.name))}.safetensors" for file in with_lora} == {file.name for file in loras}
    assert not any(set(file.needs) & {lora.name for lora in loras} for file in ADAPTERS), "they contain it"


@by_adapter
def test_uses_agree_with_the_families_and_the_purposes(file: PublishedFile) -> None:
    general = FAMILY_USES[file.family] == "general"
    assert file.use in {use for intent in INTENTS.values() for use in intent.uses}
    assert general or file.use == FAMILY_USES[file.family], "only general adapters can be trained for another use"


def test_exactly_the_face_models_that_are_used_are_extracted() -> None:
    archives = {file.subfolder: [member.name for member in file.extract] for file in FILES if file.extract}
    assert archives == {pack.name: [pack.detector, pack.recogniser] for pack in PACKS.values()}


def test_a_file_that_is_not_offered_is_named_with_its_page_and_the_reason() -> None:
    names = {each.name for each in CATALOGUE.not_offered}
    assert "pulid_v1.bin" in names
    assert not names & set(CATALOGUE.by_name)
    with pytest.raises(IPAdapterError, match=r"pulid_v1\.bin .* is not offered: no public list .*huggingface\.co"):
        CATALOGUE.named(["pulid_v1.bin"])


def test_lookalikes_have_a_name_in_the_catalogue_but_other_content() -> None:
    names = {member.name: member for file in FILES for member in file.installed}
    for each in CATALOGUE.lookalikes:
        assert each.sha256 != names[each.name].sha256
        assert each.what.startswith(("the ", "a ", "an "))


@pytest.mark.parametrize("base", sorted({file.base for file in ADAPTERS}))
def test_bundles_are_complete_and_the_most_general_is_first(base: str) -> None:
    bundles = [bundle for bundle in CATALOGUE.bundles if bundle.base == base]
    assert bundles[0].name == "Pictures and style"
    assert {"A person's likeness", "Layout"} < {bundle.name for bundle in bundles}
    for bundle in bundles:
        files = CATALOGUE.named(bundle.files, needs=True)
        assert [file.name for file in files] == list(bundle.files), "it lists everything that its files need"
        assert {file.base for file in files} <= {base, ""}
    purposes = [{CATALOGUE.by_name[name].use for name in bundle.files} - {""} for bundle in bundles]
    assert all(len(uses) == 1 for uses in purposes)
    assert set().union(*purposes) >= {"general", "face", "likeness", "composition"}


def test_files_are_found_by_their_own_hash_and_by_their_members() -> None:
    for file in FILES:
        assert CATALOGUE.by_sha256[file.sha256] is file
    assert CATALOGUE.by_sha256[DETECTOR].name == "buffalo_l.zip"
    assert CATALOGUE.by_sha256["4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf"].name == (
        "antelopev2.zip"
    )


def test_the_addresses_are_those_of_the_authors() -> None:
    releases = "https://github.com/deepinsight/insightface/releases/download/v0.7/"
    facexlib = "https://github.com/xinntao/facexlib/releases/download/"
    assert {file.url for file in FILES if file.url} == {
        *(f"{releases}{pack}.zip" for pack in PACKS),
        f"{facexlib}v0.1.0/{DETECTOR_FILE}",
        f"{facexlib}v0.2.0/{PARSER_FILE}",
    }


def test_facexlibs_models_are_those_that_may_be_in_torchs_oldest_format() -> None:
    assert {file.name: file.sha256 for file in FILES if file.folder == "facexlib"} == FACEXLIB
    assert all(file.page == f"https://huggingface.co/{file.repository}" for file in FILES if file.repository)
