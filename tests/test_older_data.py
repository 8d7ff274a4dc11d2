"""What version 0.1.0 kept is read by this version, and what a later version adds is neither lost nor misread.

tests/data/0.1.0 was written by the code of that version (`write.py` there).
"""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ldm", reason="ldm's U-Net is not installed at this end")

import torch
from safetensors.torch import save_file
from small_host import Processing, SmallHost, ask, call, photo, save_files

from lib_ipadapter.base.errors import LaterVersionError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.files.news import News
from lib_ipadapter.files.subject_record import RECORD
from lib_ipadapter.hosts.settings import SETTINGS
from lib_ipadapter.port import ReferenceStoreConfig
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.restore import restored_units

OLD = Path(__file__).parent / "data" / "0.1.0"
SITE = "input_blocks.1.1.transformer_blocks.0.attn2.to_out.0"
"""Where `write.py` recorded what each unit adds."""
PARAMETERS: dict[str, str] = json.loads((OLD / "parameters.json").read_text(encoding="utf-8"))
UNITS: list[dict[str, Any]] = json.loads((OLD / "units.json").read_text(encoding="utf-8"))


@pytest.fixture
def host(tmp_path: Path, unet: Any) -> SmallHost:
    """A host in which 0.1.0 was used."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    save_files(tmp_path)
    host = SmallHost(tmp_path, unet)
    host.kept = ReferenceStoreConfig(tmp_path / "references", 1 << 20)
    return host


@pytest.fixture
def session(host: SmallHost) -> Session:
    return Session(host)


def entries(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def change(path: Path, **more: Any) -> None:
    """Write entries into a JSON file, as a later version may."""
    path.write_text(json.dumps({**entries(path), **more}), encoding="utf-8")


# What 0.1.0 kept


def test_presets_are_read(session: Session) -> None:
    lists = ask(session, "list")
    assert lists["damaged_presets"] == {}
    assert lists["presets"] == entries(OLD / "presets.json") != {}


def test_subjects_are_read(session: Session) -> None:
    (subject,) = ask(session, "subjects")["subjects"]
    assert (subject["name"], subject["notes"], subject["reason"]) == ("Anna Blum", "née Klein", "")
    whole = ask(session, "read subject", name="Anna Blum")
    assert [(each["weight"], each.get("crop"), each["note"]) for each in whole["pictures"]] == [
        (1, None, "from afar"),
        (0.5, "top", ""),
    ]
    assert [each["image"].partition(",")[2] for each in whole["pictures"]] == [photo(3), photo(4)]
    assert subject["sha256"].startswith(PARAMETERS["IP-Adapter 2"].split("Anna Blum [")[1][:12])


def test_a_subject_is_saved_over_and_read_again(session: Session, host: SmallHost) -> None:
    pictures = ask(session, "read subject", name="Anna Blum")["pictures"]
    ask(session, "save subject", name="Anna Blum", pictures=pictures[::-1], notes="", overwrite=True)
    assert sorted(each.name for each in (host.folder / "subjects" / "Anna Blum").iterdir()) == [
        "1.png",
        "2.png",
        RECORD,
    ]
    assert [each["weight"] for each in ask(session, "read subject", name="Anna Blum")["pictures"]] == [0.5, 1]


def test_a_zip_of_a_subject_is_imported(session: Session) -> None:
    zipped = base64.b64encode((OLD / "Anna Blum.zip").read_bytes()).decode()
    ask(session, "import subject", zip=zipped, name="Again")
    again, first = ask(session, "read subject", name="Again"), ask(session, "read subject", name="Anna Blum")
    assert again["pictures"] == first["pictures"]


def test_saved_references_are_listed(session: Session) -> None:
    listed = {each["name"]: each for each in ask(session, "list")["saved"]}
    assert {name: each["reason"] for name, each in listed.items()} == {"whole.safetensors": "", "tiles.safetensors": ""}
    assert [each["tiles"] for _, each in sorted(listed.items())] == [True, False]
    assert {each["encoder"] for each in listed.values()} == {"tower.safetensors"}


def test_units_add_what_they_added(session: Session, host: SmallHost) -> None:
    """Also with subjects and saved references, whose files 0.1.0 wrote."""
    before = torch.tensor(json.loads((OLD / "added.json").read_text(encoding="utf-8")))
    bare = call(host, session, [], watch=SITE)
    added = torch.stack([(call(host, session, [unit], watch=SITE) - bare)[:, 0, :6] for unit in UNITS])
    torch.testing.assert_close(added, before, rtol=1e-3, atol=1e-4)


def test_features_saved_in_tiles_serve_like_their_pictures(session: Session, host: SmallHost) -> None:
    images = [photo(5), {"image": photo(6), "weight": 0.5}]
    taken = call(host, session, [{"model": "plus", "embeds": "tiles", "tiles": True}], watch=SITE)
    encoded = call(host, session, [{"model": "plus", "images": images, "tiles": True}], watch=SITE)
    torch.testing.assert_close(taken, encoded)


def test_parameters_restore_their_units_with_the_references_that_0_1_0_kept(session: Session) -> None:
    units = restored_units(PARAMETERS, session.references.find)
    assert [unit.get("note") for unit in units.values()] == [None] * 3
    for unit, sent in zip(units.values(), UNITS, strict=True):
        assert read_unit(unit).weight == read_unit(sent).weight
    assert read_unit(units[1]).images[0].image.partition(",")[2] == photo(1)
    assert units[1]["images"][1]["mask"].partition(",")[2] == photo(9)
    assert units[2]["subject"].startswith("Anna Blum [")
    assert units[3]["region"] == "left half; feather 0.1"


def test_restored_units_are_described_as_before(session: Session) -> None:
    p, units = Processing(), restored_units(PARAMETERS, session.references.find)
    session.before_generation(p, list(units.values()))
    for key, line in PARAMETERS.items():
        now = p.extra_generation_params[key]
        missing = [each for each in line.split(", ") if each not in now]
        assert all(each.startswith("Adapter: ") for each in missing), "whose hash is now beside its name"


def test_settings_have_their_keys_and_values_that_they_can_have() -> None:
    for key, value in entries(OLD / "config.json").items():
        setting = SETTINGS[key]
        assert type(value) is type(setting.default)
        assert value in (setting.choices or [value])
        assert not setting.range or setting.range[0] <= value <= setting.range[1]
        assert value == setting.default, "what users who changed nothing get"


def test_what_0_1_0_left_behind_makes_this_an_update(session: Session, host: SmallHost) -> None:
    assert not session.news.unread, "this host cannot note what was read"
    traces = [host.folder / name for name in ("presets.json", "references", "saved", "subjects")]
    for trace in traces:
        assert News(lambda: host.folder / "version.json", [trace]).unread


def test_the_panel_shows_once_what_is_new_since_then(host: SmallHost, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = replace(host.folders(), noted=host.folder / "version.json")
    monkeypatch.setattr(host, "folders", lambda: folders)
    session = Session(host)
    assert ask(session, "list")["news"] is True
    assert "Added" in [changes["title"] for changes in ask(session, "read news")["changes"]]
    assert ask(session, "list")["news"] is ask(Session(host), "list")["news"] is False


# What a later version may add


def test_entries_of_a_later_version_stay_in_the_file_of_presets(session: Session, host: SmallHost) -> None:
    file = host.folder / "presets.json"
    later = {"model": "base", "weight": {"eyes": 2}}
    change(file, Later=later)
    lists = ask(session, "list")
    assert "Later" in lists["damaged_presets"]
    assert "Plain" in lists["presets"]
    ask(session, "save preset", name="Mine", unit={"model": "base"})
    ask(session, "delete preset", name="Plain")
    assert entries(file)["Later"] == later
    assert set(entries(file)) == {"Weich 猫", "Default", "Later", "Mine"}


def test_parameters_of_a_later_version_say_what_is_not_known(session: Session) -> None:
    line = PARAMETERS["IP-Adapter 1"] + ", Gaze: left"
    unit = restored_units({"IP-Adapter 1": line}, session.references.find)[1]
    assert unit["note"] == "Not restored, choose again: Gaze left."
    assert unit["layers"] == "0:0.5, 6:1"


def test_a_recipe_of_a_later_version_says_what_is_not_known(session: Session) -> None:
    recipe = {"recipe": 2, "extension": "3.1.0", "unit": {"weight": 0.7, "gaze": "left"}}
    taken = ask(session, "take recipe", text=json.dumps(recipe))
    assert taken["unit"]["weight"] == 0.7
    assert "A later version of IP-Adapter wrote it (3.1.0)." in taken["note"]
    assert "This version does not know gaze; the rest was taken." in taken["note"]


def test_settings_that_only_a_later_version_knows_are_said(session: Session, host: SmallHost) -> None:
    later = {"model": "base", "weight": 0.3, "gaze": "left"}
    change(host.folder / "presets.json", Later=later)
    lists = ask(session, "list")
    assert lists["presets"]["Later"] == {"model": "base", "weight": 0.3}
    assert lists["partial_presets"] == {"Later": ["gaze"]}
    ask(session, "save preset", name="Mine", unit={"model": "base"})
    assert entries(host.folder / "presets.json")["Later"] == later


def test_a_saved_reference_of_a_later_version_is_named_as_such_and_left_alone(
    session: Session, host: SmallHost
) -> None:
    file = host.folder / "saved" / "later.safetensors"
    save_file({"embed": torch.zeros(1, 4)}, file, {"ip_adapter_reference": "2"})
    before = file.read_bytes()
    listed = {each["name"]: each["reason"] for each in ask(session, "list")["saved"]}
    assert "later version" in listed["later.safetensors"]
    unit = {"model": "base", "images": [photo()]}
    assert "later version" in ask(session, "save", name="later", unit=unit, overwrite=True)["message"]
    assert file.read_bytes() == before


def test_what_a_later_version_says_of_a_subject_is_kept(session: Session, host: SmallHost) -> None:
    record = host.folder / "subjects" / "Anna Blum" / RECORD
    change(record, tags=["friends"])
    pictures = ask(session, "read subject", name="Anna Blum")["pictures"]
    ask(session, "save subject", name="Anna Blum", pictures=pictures[:1], overwrite=True)
    assert entries(record)["tags"] == ["friends"]
    zipped = ask(session, "export subject", name="Anna Blum")["zip"]
    ask(session, "import subject", zip=zipped, name="Again")
    assert entries(host.folder / "subjects" / "Again" / RECORD)["tags"] == ["friends"]


def test_a_subject_of_a_later_version_is_named_as_such_and_left_alone(session: Session, host: SmallHost) -> None:
    folder = host.folder / "subjects" / "Anna Blum"
    change(folder / RECORD, version=2)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (listed,) = ask(session, "subjects")["subjects"]
    assert "later version" in listed["reason"]
    asked = {"name": "Anna Blum", "pictures": [photo(8)], "overwrite": True}
    assert "later version" in ask(session, "save subject", **asked)["message"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_subject_with_details_of_a_later_version_is_not_written_over(session: Session, host: SmallHost) -> None:
    record = host.folder / "subjects" / "Anna Blum" / RECORD
    pictures = [{**each, "gaze": "left"} for each in entries(record)["pictures"]]
    change(record, pictures=pictures)
    with pytest.raises(LaterVersionError, match=r"later version.*gaze"):
        session.preparation.files.subjects.find("subject", "Anna Blum")
    asked = {"name": "Anna Blum", "pictures": [photo(8)], "overwrite": True}
    assert "later version" in ask(session, "save subject", **asked)["message"]
    assert entries(record)["pictures"] == pictures


def test_a_later_version_that_was_gone_back_from_stays_noted(tmp_path: Path) -> None:
    (tmp_path / "version.json").write_text('{"seen": "99.0", "more": true}')
    News(lambda: tmp_path / "version.json", ()).read()
    assert entries(tmp_path / "version.json")["seen"] == "99.0"
