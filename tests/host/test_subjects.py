"""Subjects in a real web UI: saving, generating, export and import; and interrupting long work."""

import threading
import time
from typing import Any

import pytest

from host.webui import Files, RefusedError, WebUI, reference

NAME = "Änna (2)"
KEPT = ("features", "keys_values", "references", "folder")
"""What the reference store can keep, each with a setting `ipadapter_kept_...`."""


@pytest.fixture(scope="module")
def model(webui: WebUI, files: Files) -> str:
    checkpoint = webui.use_smallest()
    name = files.adapter(checkpoint, "plus")
    webui.call("/ipadapter/rescan", {})
    return name


def test_a_subject_makes_the_same_picture_as_its_images_and_survives_export_and_import(
    webui: WebUI, model: str
) -> None:
    pictures: list[dict[str, Any]] = [
        {"image": reference(1, 120, 60), "crop": "pad"},
        {"image": reference(2), "weight": 0.5},
    ]
    expected = webui.generate({"model": model, "images": pictures})
    noted = [picture | {"note": "a view"} for picture in pictures]
    saved = webui.call("/ipadapter/subjects", {"name": NAME, "pictures": noted, "notes": "two views"})
    made = webui.generate({"model": model, "subject": NAME})
    assert made - expected == 0
    assert f"Subject: {NAME} [{saved['sha256'][:12]}]" in made.info["infotexts"][0]
    zipped = webui.call("/ipadapter/subjects/export", {"name": NAME})["zip"]
    webui.call("/ipadapter/subjects/delete", {"name": NAME})
    with pytest.raises(RefusedError, match="was not found"):
        webui.generate({"model": model, "subject": NAME})
    assert webui.call("/ipadapter/subjects/import", {"zip": zipped}) == saved
    assert [entry["name"] for entry in webui.call("/ipadapter/subjects")["subjects"]] == [NAME]
    assert webui.generate({"model": model, "subject": f"{NAME} [{saved['sha256'][:12]}]"}) - expected == 0
    with pytest.raises(RefusedError, match="has changed since this was written"):
        webui.generate({"model": model, "subject": f"{NAME} [0123456789ab]"})
    webui.call("/ipadapter/subjects/delete", {"name": NAME})


def test_long_work_shows_its_progress_and_stops_when_interrupted(webui: WebUI, model: str) -> None:
    """Each picture is encoded with 256 squares of it, so that there is time to interrupt."""
    unit = {"model": model, "images": [reference(seed) for seed in range(16)], "enhance": 16}
    answers: list[Any] = []

    def save() -> None:
        try:
            answers.append(webui.call("/ipadapter/embeds", {"name": "long", "unit": unit, "task": "task(long)"}))
        except RefusedError as error:
            answers.append(error)

    working = threading.Thread(target=save)
    working.start()
    progress: Any = {}
    while working.is_alive() and not (progress.get("textinfo") or "").startswith("IP-Adapter: encoding, "):
        time.sleep(0.2)
        progress = webui.call("/sdapi/v1/progress?skip_current_image=true")
    assert progress["state"]["job"] == "task(long)"
    webui.call("/sdapi/v1/interrupt", {})
    working.join()
    (answer,) = answers
    assert isinstance(answer, RefusedError)
    assert (answer.status, "Interrupted while encoding" in str(answer)) == (422, True)
    assert webui.call("/ipadapter/embeds") == []
    assert webui.generate().pictures, "the next generation is not interrupted"


def test_the_settings_are_registered(webui: WebUI) -> None:
    shown = {component["props"].get("elem_id") for component in webui.call("/config")["components"]}
    assert shown >= {f"setting_ipadapter_kept_{name}" for name in KEPT}


def test_the_settings_are_in_the_api(webui: WebUI) -> None:
    options = webui.call("/sdapi/v1/options").keys()
    if not any(name.startswith("ipadapter_") for name in options):
        pytest.skip("this web UI's API reports no settings that extensions add: its models are made before these are")
    assert options >= {f"ipadapter_kept_{name}" for name in KEPT}
