"""Subjects: a unit with a subject equals one with the same images, and no request or file does harm."""

import base64
import contextlib
import io
import json
import stat
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from makers import file_of, picture
from PIL import Image
from small_host import Processing, SmallHost, call, photo, unit

from lib_ipadapter.base.errors import IPAdapterError, UnitError
from lib_ipadapter.engine.session import Session
from lib_ipadapter.files import subject_record, subject_zips
from lib_ipadapter.files.subject_record import RECORD
from lib_ipadapter.port import ReferenceStoreConfig
from lib_ipadapter.unit.read_args import read_unit
from lib_ipadapter.unit.restore import restored
from lib_ipadapter.web.pasted import difference
from lib_ipadapter.web.subject_routes import (
    delete_subject,
    export_subject,
    import_subject,
    list_subjects,
    read_subject,
    save_subject,
)

SEVERAL = [photo(1, 60, 30), {"image": photo(2, 60, 30), "weight": 0.5, "crop": "pad", "note": "from the left"}]


def keep(session: Session, name: str = "anna", **more: Any) -> dict[str, Any]:
    return save_subject(session, {"name": name, "pictures": SEVERAL, **more})


def names(session: Session) -> list[str]:
    return [entry["name"] for entry in list_subjects(session)["subjects"]]


def everything(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(host: SmallHost, session: Session, given: dict[str, Any]) -> str:
    """Return why a unit cannot run."""
    session.before_sampling(Processing(), [given])
    (sentence,) = host.refused
    host.refused.clear()
    return sentence


# The same picture


OWN = [
    {"image": entry["image"], "weight": 0.5, "crop": "pad"} if isinstance(entry, dict) else entry for entry in SEVERAL
]
LIKE_PICTURES: list[dict[str, Any]] = [
    {},
    {"model": "plus"},
    {"crop": "right", "weight": 0.7},
    {"combine": "norm average"},
    {"unfold": True},
    {"tiles": True, "model": "plus"},
    {"noise": 0.3, "noise_type": "fade"},
    {"negative_images": [photo(5)], "model": "plus"},
]


@pytest.mark.parametrize("more", LIKE_PICTURES, ids=lambda more: " ".join(more) or "plain")
def test_a_subject_equals_its_pictures_bit_for_bit(host, session, more: dict[str, Any]) -> None:
    keep(session)
    made = call(host, session, [unit(images=[], subject="anna", **more)])
    assert torch.equal(made, call(host, session, [unit(images=OWN, **more)]))
    assert not torch.equal(made, call(host, session, []))


def test_a_subjects_pictures_come_after_the_units_own_pictures(host, session) -> None:
    keep(session)
    for more in ({"combine": "average"}, {"unfold": True}, {}):
        beside = call(host, session, [unit(images=[photo(3)], subject="Anna", **more)])
        assert torch.equal(beside, call(host, session, [unit(images=[photo(3), *OWN], **more)]))


def test_a_picture_of_weight_0_is_not_used(host, session) -> None:
    keep(session, pictures=[photo(1), {"image": photo(2), "weight": 0}])
    made = call(host, session, [unit(images=[], subject="anna")])
    assert torch.equal(made, call(host, session, [unit(images=[photo(1)])]))


def test_a_subject_can_be_part_of_a_saved_reference(host, session) -> None:
    from lib_ipadapter.web.file_lists import save_reference

    keep(session)
    save_reference(session, {"name": "seen", "unit": unit(images=[photo(3)], subject="anna")})
    made = call(host, session, [{"model": "base", "embeds": "seen"}])
    assert torch.equal(made, call(host, session, [unit(images=[photo(3), *OWN])]))


def test_a_subject_that_was_saved_again_is_read_again(host, session) -> None:
    first = keep(session)
    keep(session, overwrite=True, pictures=[photo(9)])
    assert read_subject(session, {"name": "anna"})["sha256"] != first["sha256"]
    made = call(host, session, [unit(images=[], subject="anna")])
    assert torch.equal(made, call(host, session, [unit(images=[photo(9)])]))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"embeds": "x", "images": []}, "embeds replaces subject"),
        ({"subject": "anne"}, 'subject "anne" was not found. Did you mean anna?'),
        ({"subject": "../anna"}, "was not found"),
        ({"subject": "/etc"}, "was not found"),
        ({"tiles": True, "combine": "average", "images": []}, "set combine to concat"),
        ({"images": [{"image": photo(), "mask": photo()}], "combine": "average"}, "set combine to concat"),
    ],
)
def test_contradicting_fields_are_refused(host, session, more: dict[str, Any], words: str) -> None:
    keep(session)
    assert words in refusal(host, session, unit(subject="anna") | more)


def test_parameters_name_it_with_its_hash_and_a_pasted_unit_has_that_one_or_none(host, session, tmp_path) -> None:
    host.kept = ReferenceStoreConfig(tmp_path / "kept", 1 << 20)
    digest = keep(session)["sha256"]
    p = Processing()
    session.before_generation(p, [unit(images=[photo(3)], subject="anna")])
    entry = p.extra_generation_params["IP-Adapter 1"]
    assert f"Subject: anna [{digest[:12]}], " in entry
    assert len(list((tmp_path / "kept").iterdir())) == 1, "a subject's pictures are not kept twice"
    pasted = restored(entry, session.references.find, partial(difference, session))
    assert pasted["subject"] == f"anna [{digest[:12]}]"
    assert torch.equal(call(host, session, [pasted]), call(host, session, [unit(images=[photo(3), *OWN])]))
    keep(session, overwrite=True, pictures=[{**SEVERAL[1], "weight": 1}])
    sentence = "has changed since this was written"
    assert sentence in refusal(host, session, pasted)
    again = restored(entry, session.references.find, partial(difference, session))
    assert sentence in again.pop("note")
    assert again == pasted, "it is for the person to say whether the new one will do"


@pytest.mark.parametrize("change", [{"weight": 2}, {"crop": "top"}, {"box": [0, 0, 0.5, 1]}])
def test_the_hash_covers_everything_that_a_generation_uses(session, change: dict[str, Any]) -> None:
    first = keep(session, pictures=[SEVERAL[1]])["sha256"]
    assert keep(session, "b", pictures=[SEVERAL[1] | change])["sha256"] != first
    assert keep(session, "c", pictures=[SEVERAL[1] | {"note": "other"}], notes="other")["sha256"] == first


# What is saved


def test_a_picture_keeps_its_box(host, session) -> None:
    boxed = {"image": photo(1, 60, 30), "box": [0.25, 0, 1, 0.5]}
    saved = keep(session, pictures=[boxed, photo(2)])
    assert [each.get("box") for each in saved["pictures"]] == [boxed["box"], None]
    record = json.loads((host.folder / "subjects" / "anna" / RECORD).read_text(encoding="utf-8"))
    assert ["box" in each for each in record["pictures"]] == [True, False], "so older versions can read the others"
    copied = import_subject(session, export_subject(session, {"name": "anna"}) | {"name": "b"})
    assert copied["sha256"] == saved["sha256"]
    made = call(host, session, [unit(images=[], subject="anna")])
    assert torch.equal(made, call(host, session, [unit(images=[boxed, photo(2)])]))
    assert not torch.equal(made, call(host, session, [unit(images=[photo(1, 60, 30), photo(2)])]))


def test_a_subject_is_a_folder_of_plain_files(host, session) -> None:
    saved = keep(session, notes="two views\nof one")
    folder = host.folder / "subjects" / "anna"
    assert sorted(path.name for path in folder.iterdir()) == ["1.png", "2.png", RECORD]
    assert (folder / "1.png").read_bytes() == base64.b64decode(photo(1, 60, 30))
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    assert record["notes"] == saved["notes"] == "two views\nof one"
    assert [(each["file"], each["weight"], each["crop"], each["note"]) for each in record["pictures"]] == [
        ("1.png", 1.0, None, ""),
        ("2.png", 0.5, "pad", "from the left"),
    ]


def test_the_list_shows_thumbnails_and_damaged_subjects(host, session) -> None:
    keep(session, pictures=[photo(1, 600, 300)])
    (host.folder / "subjects" / "broken").mkdir()
    (host.folder / "subjects" / "broken" / RECORD).write_text("{}")
    (host.folder / "subjects" / "no subject").mkdir()
    anna, broken = list_subjects(session)["subjects"]
    assert (anna["name"], anna["reason"], len(anna["pictures"])) == ("anna", "", 1)
    thumbnail = base64.b64decode(anna["pictures"][0]["image"].removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(thumbnail)).size == (96, 48)
    assert (broken["name"], broken["pictures"]) == ("broken", [])
    assert 'The record of the subject "broken" is damaged' in broken["reason"]
    assert delete_subject(session, {"name": "broken"}) == {"name": "broken"}
    assert names(session) == ["anna"]


def test_a_subject_that_was_read_can_be_saved_again(session) -> None:
    saved = keep(session, notes="n")
    whole = read_subject(session, {"name": "ANNA"})
    again = save_subject(session, {"name": "b", "pictures": whole["pictures"], "notes": whole["notes"]})
    assert again | {"name": "anna"} == saved


def test_deleting_removes_a_subject_but_of_a_link_only_the_link(host, session, tmp_path) -> None:
    keep(session)
    elsewhere = tmp_path / "elsewhere"
    (host.folder / "subjects" / "anna").rename(elsewhere)
    (host.folder / "subjects" / "linked").symlink_to(elsewhere, target_is_directory=True)
    assert names(session) == ["linked"]
    delete_subject(session, {"name": "linked"})
    assert names(session) == []
    assert (elsewhere / RECORD).exists()
    with pytest.raises(UnitError, match="was not found"):
        delete_subject(session, {"name": "linked"})


def test_nothing_is_overwritten_unless_requested(host, session) -> None:
    keep(session)
    before = everything(host.folder)
    with pytest.raises(UnitError, match=r'"anna" is taken\. Choose another one, or set overwrite to true'):
        keep(session, pictures=[photo(2)])
    with pytest.raises(UnitError, match='"ANNA" is too similar to anna'):
        keep(session, "ANNA", overwrite=True)
    assert everything(host.folder) == before


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "../a", "/a", "C:a", "a.", " a", "a\0", "a[1]", "nul.txt"]
)
def test_an_invalid_file_name_is_refused_and_nothing_is_written(host, session, name: str) -> None:
    before = everything(host.folder)
    with pytest.raises(UnitError, match="must be 1 to 60 characters") as refused:
        keep(session, name, overwrite=True)
    assert refused.value.field == "name"
    assert everything(host.folder) == before


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": 3}, "name"),
        ({"pictures": []}, "pictures"),
        ({"pictures": photo()}, "pictures"),
        ({"pictures": [photo()] * 17}, "pictures"),
        ({"pictures": [{"image": photo(), "weight": 0}]}, "pictures"),
        ({"pictures": [photo(), "%%%"]}, "pictures[1]"),
        ({"pictures": [base64.b64encode(b"text").decode()]}, "pictures[0]"),
        ({"pictures": [{"weight": 1}]}, "pictures[0]"),
        ({"pictures": [{"image": photo(), "weight": "1"}]}, "pictures[0].weight"),
        ({"pictures": [{"image": photo(), "crop": "round"}]}, "pictures[0].crop"),
        ({"pictures": [{"image": photo(), "note": 3}]}, "pictures[0].note"),
        ({"pictures": [{"image": photo(), "mask": photo()}]}, "pictures[0].mask"),
        ({"pictures": [{"image": photo(), "file": "/etc/passwd"}]}, "pictures[0].file"),
        ({"notes": "\ud800"}, "notes"),
        ({"overwrite": 1}, "overwrite"),
        ({"path": "/tmp"}, "path"),
    ],
)
def test_what_cannot_be_saved_is_refused_by_field(host, session, more: dict[str, Any], field: str) -> None:
    before = everything(host.folder)
    with pytest.raises(UnitError) as refused:
        save_subject(session, {"name": "a", "pictures": SEVERAL, **more})
    assert refused.value.field == field
    assert everything(host.folder) == before


def test_a_subject_is_written_completely_or_not_at_all(host, session, monkeypatch) -> None:
    keep(session)
    before = everything(host.folder)
    write, second = Path.write_bytes, base64.b64decode(photo(4))

    def full(path: Path, content: bytes) -> int:
        if content == second:
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    for name in ("anna", "b"):
        with pytest.raises(IPAdapterError, match=r"cannot be written .*No space left"):
            keep(session, name, overwrite=True, pictures=[photo(3), photo(4)])
    assert everything(host.folder) == before
    assert [path.name for path in (host.folder / "subjects").iterdir()] == ["anna"]


def test_the_old_subject_stays_if_the_new_record_cannot_be_written(host, session, monkeypatch) -> None:
    keep(session)
    before, replace = everything(host.folder), Path.replace

    def failing(path: Path, target: Path) -> Path:
        if target.name == RECORD:
            raise OSError(13, "Permission denied")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", failing)
    for name in ("anna", "b"):
        with pytest.raises(IPAdapterError, match="Permission denied"):
            keep(session, name, overwrite=True, pictures=[photo(3)])
    assert everything(host.folder) == before
    assert not (host.folder / "subjects" / "b").exists()


def test_saving_reports_progress_and_an_interrupt_leaves_nothing(host, session) -> None:
    host.interrupted_at = 2
    with pytest.raises(IPAdapterError, match="Interrupted"):
        keep(session)
    assert [report[1:] for report in host.progress] == [(0, 2), (1, 2)]
    assert not (host.folder / "subjects").exists()


# The user's own files in a subject's folder


def own_photos(host: SmallHost, **more: bytes) -> dict[str, bytes]:
    """Put three photos and a text into the folder `anna`, and return them."""
    folder = host.folder / "subjects" / "anna"
    folder.mkdir(parents=True, exist_ok=True)
    photos = {f"holiday {i}.png": file_of(picture(20 + i, 20, i)) for i in range(3)} | {"notes.txt": b"mine"} | more
    for file, content in photos.items():
        (folder / file).write_bytes(content)
    return photos


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_no_subject_is_refused_and_not_changed(host, session, overwrite: bool) -> None:
    photos = own_photos(host)
    keep(session, "b")
    content = rezipped(zip_of(session, "b"), lambda entries: renamed(entries, "anna/", "b/"))
    sentence = (
        r'"anna" is a folder in .* that is not a subject, with 4 files\. Choose another name, or set adopt to true'
    )
    for act in (lambda: keep(session, overwrite=overwrite), lambda: send(session, content, overwrite=overwrite)):
        with pytest.raises(UnitError, match=sentence) as refused:
            act()
        assert refused.value.field == "name"
        assert everything(host.folder / "subjects" / "anna") == photos
    assert names(session) == ["b"]


@pytest.mark.parametrize("name", ["anna", "ANNA"])
def test_a_subject_without_its_record_is_refused_and_not_changed(host, session, name: str) -> None:
    keep(session)
    folder = host.folder / "subjects" / "anna"
    (folder / RECORD).unlink()
    before = everything(folder)
    with pytest.raises(UnitError, match=r"that is not a subject, with 2 files|too similar to anna"):
        keep(session, name, overwrite=True)
    assert everything(folder) == before


def test_a_file_of_that_name_is_refused(host, session) -> None:
    (host.folder / "subjects").mkdir()
    (host.folder / "subjects" / "anna").write_text("mine")
    for adopt in (False, True):
        with pytest.raises(UnitError, match='"anna" is a file in'):
            keep(session, adopt=adopt)
    assert (host.folder / "subjects" / "anna").read_text() == "mine"


def test_an_empty_folder_can_become_a_subject(host, session) -> None:
    (host.folder / "subjects" / "anna").mkdir(parents=True)
    (host.folder / "subjects" / "anna" / ".DS_Store").write_bytes(b"mine")
    keep(session)
    assert names(session) == ["anna"]


def test_the_pictures_of_a_folder_become_part_of_a_subject_on_request(host, session) -> None:
    photos = own_photos(host)
    saved = keep(session, adopt=True, pictures=[photo(7), base64.b64encode(photos["holiday 1.png"]).decode()])
    whole = read_subject(session, {"name": "anna"})
    contents = [base64.b64decode(each["image"].split(",")[1]) for each in whole["pictures"]]
    expected = [base64.b64decode(photo(7)), *(photos[f"holiday {i}.png"] for i in (1, 0, 2))]
    assert contents == expected, "a picture that is given and in the folder counts once"
    after = everything(host.folder / "subjects" / "anna")
    assert {name: after[name] for name in photos} == photos
    assert set(after) - set(photos) == {"1.png", RECORD}
    assert send(session, zip_of(session), name="b") == saved | {"name": "b"}


def test_folders_of_pictures_are_listed_until_they_are_subjects(host, session) -> None:
    own_photos(host)
    for name in ("texts", ".hidden", "trailing dot."):
        (host.folder / "subjects" / name).mkdir()
    (host.folder / "subjects" / "texts" / "notes.txt").write_text("mine")
    (host.folder / "subjects" / ".hidden" / "1.png").write_bytes(file_of(picture(20, 20, 0)))
    (host.folder / "subjects" / "trailing dot." / "1.png").write_bytes(file_of(picture(20, 20, 0)))
    keep(session, "b")
    assert list_subjects(session)["adoptable"] == [{"name": "anna", "pictures": 3}]
    keep(session, adopt=True)
    assert list_subjects(session)["adoptable"] == []


def test_a_folder_alone_makes_a_subject(host, session) -> None:
    own_photos(host)
    assert len(save_subject(session, {"name": "anna", "adopt": True})["pictures"]) == 3
    with pytest.raises(UnitError, match="must be 1 to 16, not 0"):
        save_subject(session, {"name": "nobody", "adopt": True})
    with pytest.raises(UnitError, match="must be 1 to 60 characters"):
        save_subject(session, {"name": "../saved", "adopt": True})


@pytest.mark.parametrize("more", [{}, {"pictures": [photo(5)]}, {"pictures": [photo(5), photo(6), photo(7)]}])
def test_overwriting_a_subject_keeps_files_that_its_record_does_not_name(host, session, more: dict[str, Any]) -> None:
    keep(session)
    photos = own_photos(host, **{"3.png": file_of(picture(9, 9, 9))})
    keep(session, overwrite=True, **more)
    after, count = everything(host.folder / "subjects" / "anna"), len(more.get("pictures", SEVERAL))
    assert {name: after[name] for name in photos} == photos
    assert len(after) == len(photos) + 1 + count, "the old pictures of its own are gone"
    assert len(read_subject(session, {"name": "anna"})["pictures"]) == count


def test_a_picture_that_the_user_replaced_is_kept(host, session) -> None:
    keep(session)
    path = host.folder / "subjects" / "anna" / "2.png"
    path.write_bytes(mine := file_of(picture(20, 20, 9)))
    keep(session, overwrite=True, pictures=[photo(5), photo(6)])
    assert path.read_bytes() == mine
    assert len(read_subject(session, {"name": "anna"})["pictures"]) == 2


def test_adopted_pictures_stay_when_the_subject_no_longer_has_them(host, session) -> None:
    photos = own_photos(host)
    keep(session, adopt=True, pictures=[photo(7)])
    whole = read_subject(session, {"name": "anna"})["pictures"]
    keep(session, overwrite=True, pictures=whole[:2])
    after = everything(host.folder / "subjects" / "anna")
    assert {name: after[name] for name in photos} == photos
    assert set(after) - set(photos) == {"1.png", RECORD}, "what is there is not written twice"
    assert delete_subject(session, {"name": "anna"}) == {"name": "anna", "kept": sorted(photos)}
    assert everything(host.folder / "subjects" / "anna") == photos


def test_deleting_a_subject_keeps_other_files(host, session) -> None:
    keep(session)
    photos = own_photos(host)
    (host.folder / "subjects" / "anna" / "more").mkdir()
    assert delete_subject(session, {"name": "anna"}) == {"name": "anna", "kept": sorted([*photos, "more"])}
    assert everything(host.folder / "subjects" / "anna") == photos
    assert names(session) == []


def test_a_damaged_record_loses_no_picture(host, session) -> None:
    keep(session)
    folder = host.folder / "subjects" / "anna"
    (folder / RECORD).write_text("{}")
    before = {name: content for name, content in everything(folder).items() if name != RECORD}
    keep(session, overwrite=True, pictures=[photo(5)])
    assert everything(folder).items() >= before.items()
    (folder / RECORD).write_text("{}")
    delete_subject(session, {"name": "anna"})
    assert everything(folder).items() >= before.items()


# Files that were changed


def change_record(host: SmallHost, **more: Any) -> None:
    path = host.folder / "subjects" / "anna" / RECORD
    record = json.loads(path.read_text(encoding="utf-8"))
    record["pictures"][0] |= more
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize(
    "file", ["../../tower.safetensors", "/etc/passwd", "2.png", "3.png", RECORD, ".", "", "sub/../1.png", "1.png\0"]
)
def test_a_record_cannot_name_other_files(host, session, file: str) -> None:
    keep(session)
    change_record(host, file=file)
    sentence = refusal(host, session, unit(images=[], subject="anna"))
    assert "Put the picture back, or save the subject again" in sentence


def test_a_changed_or_missing_picture_is_refused(host, session) -> None:
    keep(session)
    path = host.folder / "subjects" / "anna" / "2.png"
    path.write_bytes(file_of(picture(20, 20, 9)))
    assert '2.png of the subject "anna" has changed since' in refusal(host, session, unit(images=[], subject="anna"))
    path.unlink()
    assert '2.png of the subject "anna" is missing' in refusal(host, session, unit(images=[], subject="anna"))


def test_a_weight_edited_in_the_record_is_used(host, session) -> None:
    keep(session)
    change_record(host, weight=0.25, crop="top")
    changed = [{"image": OWN[0], "weight": 0.25, "crop": "top"}, OWN[1]]
    made = call(host, session, [unit(images=[], subject="anna")])
    assert torch.equal(made, call(host, session, [unit(images=changed)]))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda some: (
        st.lists(some, max_size=3)
        | st.dictionaries(st.sampled_from(["version", "notes", "pictures", "file", "sha256", "weight", "x"]), some)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
@example(b'{"version": 1, "notes": "", "pictures": [{"file": "1.png", "sha256": 5, "thumbnail": ""}]}')
@example(b'{"version": 1, "notes": "", "pictures": [5]}')
@example(b"[" * 100_000)
def test_any_record_is_read_or_reported_as_damaged(content: bytes) -> None:
    with contextlib.suppress(IPAdapterError):
        subject_record.read_record("anna", content)


def test_a_thumbnail_must_be_a_small_picture(session, host) -> None:
    keep(session)
    for wrong in ("javascript:alert(1)", "data:image/svg+xml;base64,AAAA", 'data:image/jpeg;base64,"><script>', 5):
        change_record(host, thumbnail=wrong)
        (anna,) = list_subjects(session)["subjects"]
        assert "is damaged" in anna["reason"]


# Zips


def zip_of(session: Session, name: str = "anna") -> bytes:
    return base64.b64decode(export_subject(session, {"name": name})["zip"])


def send(session: Session, content: bytes, **more: Any) -> dict[str, Any]:
    return import_subject(session, {"zip": base64.b64encode(content).decode(), **more})


def test_a_subject_is_restored_from_its_zip(host, session) -> None:
    saved = keep(session, "Änna 猫", notes="n")
    before, content = everything(host.folder / "subjects"), zip_of(session, "Änna 猫")
    delete_subject(session, {"name": "Änna 猫"})
    assert send(session, content) == saved
    assert everything(host.folder / "subjects") == before
    with pytest.raises(UnitError, match="is taken"):
        send(session, content)
    assert send(session, content, overwrite=True) == saved
    assert send(session, content, name="other") == saved | {"name": "other"}


def rezipped(content: bytes, change: Callable[[dict[str, Any]], None], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip with changed entries; a value is the content, or a `ZipInfo` and the content."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", method) as archive:
        for name, value in entries.items():
            for info, each in value if isinstance(value, list) else [(name, value)]:
                archive.writestr(info, each)
    return kept.getvalue()


def linked(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def record_with(entries: dict[str, Any], **more: Any) -> None:
    record = json.loads(entries[f"anna/{RECORD}"])
    entries[f"anna/{RECORD}"] = json.dumps(record | more).encode()


def picture_with(entries: dict[str, Any], **more: Any) -> None:
    record = json.loads(entries[f"anna/{RECORD}"])
    record["pictures"][0] |= more
    entries[f"anna/{RECORD}"] = json.dumps(record).encode()


def renamed(entries: dict[str, Any], folder: str, before: str = "anna") -> None:
    for name in list(entries):
        entries[name.replace(before, folder, 1)] = entries.pop(name)


SMALL = file_of(picture(4, 4))

BAD_ZIPS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a path upwards": (lambda e: e.update({"anna/../evil.png": SMALL}), "is not in its one folder"),
    "a path to the root": (lambda e: e.update({"/anna/evil.png": SMALL}), "is not in its one folder"),
    "a path of Windows": (lambda e: e.update({"anna/..\\evil.png": SMALL}), "do not agree|is not in its one folder"),
    "a deeper folder": (lambda e: e.update({"anna/b/c.png": SMALL}), "is not in its one folder"),
    "another folder": (lambda e: e.update({"b/c.png": SMALL}), "is not in its one folder"),
    "a file beside it": (lambda e: e.update({"c.png": SMALL}), "is not in its one folder"),
    "a file too many": (lambda e: e.update({"anna/c.png": SMALL}), "do not agree on c.png"),
    "a file too few": (lambda e: e.pop("anna/2.png"), "do not agree on 2.png"),
    "a link": (lambda e: e.update({"anna/1.png": [(linked("anna/1.png"), b"/etc/passwd")]}), "is a link"),
    "a name twice": (lambda e: e.update({"anna/1.png": [("anna/1.png", SMALL), ("anna/1.png", SMALL)]}), "in it twice"),
    "no record": (lambda e: e.pop(f"anna/{RECORD}"), f"it has no {RECORD}"),
    "a broken record": (lambda e: e.update({f"anna/{RECORD}": b"{"}), "is damaged"),
    "a record of another version": (lambda e: record_with(e, version=2), "a later version of IP-Adapter (format 2)"),
    "a record of no version": (lambda e: record_with(e, version=0), "version 0, not 1"),
    "a huge record": (lambda e: record_with(e, notes="n" * (300 << 10)), "is too large"),
    "a record with a path": (lambda e: picture_with(e, file="../../evil.png"), "do not agree"),
    "a record with a file twice": (lambda e: picture_with(e, file="2.png"), "do not agree"),
    "a weight that is none": (lambda e: picture_with(e, weight=float("nan")), "weight must be a number"),
    "no pictures": (lambda e: record_with(e, pictures=[]), "0 pictures instead of 1 to 16"),
    "too many pictures": (lambda e: e.update({f"anna/{i}.x": b"" for i in range(17)}), "only a record and 16 pictures"),
    "very many files": (lambda e: e.update({f"anna/{i}.x": b"" for i in range(200)}), "more than 100 entries"),
    "what is no picture": (lambda e: e.update({"anna/1.png": b"text"}), "is not a supported picture format"),
    "a bomb": (lambda e: e.update({"anna/1.png": bytes(50 << 20)}), "is too large"),
    "a device's name": (lambda e: renamed(e, "nul"), "name must be 1 to 60 characters"),
    "a name with an end that is cut": (lambda e: renamed(e, "a."), "name must be 1 to 60 characters"),
    "the folder above": (lambda e: renamed(e, ".."), "name must be 1 to 60 characters"),
    "no name": (lambda e: renamed(e, ""), "name must be 1 to 60 characters"),
    "nothing": (dict.clear, f"it has no {RECORD}"),
}


@pytest.mark.parametrize("case", BAD_ZIPS)
def test_a_bad_zip_harms_nothing(host, session, case: str) -> None:
    keep(session)
    content, before, beside = zip_of(session), everything(host.folder), set(host.folder.parent.iterdir())
    change, words = BAD_ZIPS[case]
    with pytest.raises(IPAdapterError) as refused:
        send(session, rezipped(content, change, zipfile.ZIP_DEFLATED), overwrite=True)
    assert any(word in str(refused.value) for word in words.split("|")), str(refused.value)
    assert everything(host.folder) == before
    assert set(host.folder.parent.iterdir()) == beside
    assert [path.name for path in (host.folder / "subjects").iterdir()] == ["anna"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_uncommon_compression_methods_are_refused(session, method: int) -> None:
    keep(session)
    with pytest.raises(IPAdapterError, match="has an unsupported compression"):
        send(session, rezipped(zip_of(session), lambda _: None, method), overwrite=True)


def test_a_zip_with_a_password_is_refused(session) -> None:
    keep(session)
    content = bytearray(zip_of(session))
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + flags] |= 1
    with pytest.raises(IPAdapterError, match="or a password"):
        send(session, bytes(content), overwrite=True)


def test_all_pictures_of_a_zip_count_towards_the_limit(session, monkeypatch) -> None:
    keep(session)
    content = zip_of(session)
    monkeypatch.setattr(subject_zips, "MAX_ZIP", len(content) - 1)
    with pytest.raises(IPAdapterError, match="the maximum is"):
        send(session, content, overwrite=True)
    packed = rezipped(content, lambda e: e.update({"anna/1.png": bytes(9000)}), zipfile.ZIP_DEFLATED)
    assert len(packed) < 9000 < len(content) + 9000
    monkeypatch.setattr(subject_zips, "MAX_ZIP", 9000)
    with pytest.raises(IPAdapterError, match="is too large"):
        send(session, packed, overwrite=True)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_zip_is_read_or_refused(host, session, data: st.DataObject) -> None:
    with contextlib.suppress(UnitError):
        keep(session)
    content = bytearray(zip_of(session))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    before = everything(host.folder / "subjects")
    with contextlib.suppress(IPAdapterError):
        subject, _ = subject_zips.from_zip(bytes(content))
        assert subject.pictures
    assert everything(host.folder / "subjects") == before


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(IPAdapterError):
        subject_zips.from_zip(content)


@pytest.mark.parametrize("given", [None, 3, "%%%", "größe", "/etc/passwd", "data:application/zip;base64,%"])
def test_a_zip_must_be_sent_as_base64(session, given: Any) -> None:
    with pytest.raises(UnitError) as refused:
        import_subject(session, {"zip": given})
    assert refused.value.field == "zip"


def test_an_exported_zip_is_an_ordinary_zip(session) -> None:
    keep(session)
    with zipfile.ZipFile(io.BytesIO(zip_of(session))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [f"anna/{RECORD}", "anna/1.png", "anna/2.png"]
        assert zlib.crc32(archive.read("anna/1.png")) == archive.getinfo("anna/1.png").CRC


# Units


def test_a_subject_without_pictures_is_a_valid_unit() -> None:
    assert read_unit({"model": "m", "subject": "anna"}).subject == "anna"
    with pytest.raises(UnitError, match="or a subject, or embeds"):
        read_unit({"model": "m"})
