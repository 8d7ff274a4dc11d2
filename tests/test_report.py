"""The report has what helpers need, and nothing that a person wrote, drew or named."""

import getpass
import platform
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from makers import picture, text_of
from small_host import CONTEXT, SmallHost, ask, save_files
from unets import ldm_unet

from lib_ipadapter.base.plain_words import GONE, plain
from lib_ipadapter.base.version import VERSION
from lib_ipadapter.engine.session import Session

SECRETS = ("zanzibar", "Querulous", "unicorn", "/home/querulous", "tower", "anna@example.org", "0171234567890")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder: Path = tmp_path_factory.mktemp("Querulous zanzibar")
    save_files(folder)
    (folder / "plus.bin").rename(folder / "my zanzibar unicorn.bin")
    host = SmallHost(folder, ldm_unet(context_dim=CONTEXT))
    host.checkpoint = "Querulous/zanzibar-mix.safetensors [abc]"
    return Session(host)


UNIT: dict[str, Any] = {"model": "my zanzibar unicorn", "images": [text_of(picture(40, 30, 1))], "weight": 0.75}


def report(session: Session, *units: Any, error: str = "", **more: Any) -> str:
    return ask(session, "report", units=list(units), error=error, **more)["report"]


def test_it_has_versions_device_base_adapters_and_settings(session: Session) -> None:
    unit = {**UNIT, "weight_type": "style transfer", "crop": "pad", "end": 0.6}
    text = report(session, unit, cfg_scale=7, steps=[20])
    for part in (
        f"extension {VERSION}, Python {platform.python_version()}, torch ",
        "gradio ",
        "web UI: small host 1.0",
        "device: cpu, float32",
        "- plus, ",
        "unit 1: ready",
        "- weight: 0.75",
        "- weight_type: style transfer",
        "- crop: pad",
        "- end: 0.6",
        "- images: weight 1",
    ):
        assert part in text
    assert "Last error" not in text


@pytest.mark.parametrize(
    "unit",
    [
        {"subject": "zanzibar"},
        {"embeds": "zanzibar", "images": []},
        {"encoder": "tower.safetensors", "region": "left half"},
        {"encoder": "/home/querulous/tower.safetensors"},
        {"model": "/home/querulous/unicorn.bin"},
        {"zanzibar": "unicorn"},
        {"face": "zanzibar"},
        {"note": "zanzibar"},
        {"layers": "unicorn"},
        {"mask": "zanzibar"},
    ],
)
def test_a_unit_gives_away_nothing(session: Session, unit: dict[str, Any]) -> None:
    text = report(session, {**UNIT, **unit})
    assert "unit 1: " in text
    assert not [secret for secret in SECRETS if secret.lower() in text.lower()], text


ERRORS = (
    "/home/querulous/zanzibar is missing. Put it there, then press ↻.",
    "C:\\Users\\Querulous van Zanzibar\\sd\\unicorn.safetensors cannot be read: [Errno 13] Permission denied.",
    "\\\\server\\zanzibar\\unicorn.bin is damaged.",
    "file:///home/querulous/zanzibar. mix/unicorn.bin is damaged. Download it again.",
    'prompt must be text, not "a zanzibar unicorn in the style of Querulous".',
    'the prompt is "a zanzibar with an open quote and a Querulous unicorn',
    "The subject zanzibar has no pictures. Ask Querulous (anna@example.org, 0171234567890).",
    "zanzibar_unicorn-querulous.safetensors is for SDXL. Choose another.",
    "Zanzibar’s unicorn, Querulous's.",
    "ZANZIBAR–unicorn—querulous:zanzibar;unicorn|querulous",
)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_gives_away_nothing(session: Session, error: str) -> None:
    text = report(session, error=error)
    assert "Last error" in text
    assert not [secret for secret in SECRETS if secret.lower() in text.lower()], text


def test_the_user_and_the_machine_are_not_named(session: Session) -> None:
    text = report(session, error=f"{getpass.getuser()}x did it on {platform.node()}x in {Path.home()}.")
    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert f"{getpass.getuser()}x" not in text


def test_the_extensions_own_sentences_stay() -> None:
    own = "weight must be a number from -5 to 5, not 99."
    assert plain(own) == own
    assert plain("it is for SDXL, but the loaded checkpoint is SD1.x. Choose an adapter made for it.").startswith(
        "it is"
    )
    assert plain("The file /a/b c.bin is damaged. Download it again.") == f"The file {GONE}. Download it again."


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_no_word_of_other_origin_is_kept(text: str) -> None:
    marked = f"{text} xyzzyq {text}"
    assert "xyzzyq" not in plain(marked)
    plain(text)


def test_a_request_that_is_not_one_is_answered_with_a_reason(session: Session) -> None:
    assert "units" in ask(session, "report", pictures=[])["message"]
    assert ask(session, "report", units=[], error=3)["message"]
