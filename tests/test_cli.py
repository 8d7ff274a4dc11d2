"""`python -m lib_ipadapter inspect`: the facts of each file, as text and as JSON, and never a traceback."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from makers import adapter_tensors, save
from published import PUBLISHED, sparse

from lib_ipadapter.__main__ import main

ROOT = Path(__file__).parents[1]

FIELDS = ["file", "family", "base", "encoder", "tokens", "context_dim", "layers", "parameters", "lora", "sha256"]


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return save(adapter_tensors(widths=(2, 3, 4), context_dim=768, width=1024, tokens=5), tmp_path / "a.safetensors")


def expected(path: Path) -> dict[str, object]:
    return {
        "file": str(path),
        "family": "base",
        "base": "SD1.x",
        "encoder": "ViT-H/14",
        "tokens": 5,
        "context_dim": 768,
        "layers": 16,
        "parameters": 5 * 768 * 1025 + 2 * 768 + 2 * 768 * (5 * 2 + 5 * 3 + 6 * 4),
        "lora": False,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_json_has_exactly_the_documented_fields(adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(adapter), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert list(found) == FIELDS
    assert found == expected(adapter)


def test_text_has_a_line_for_each_field(adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(adapter)]) == 0
    lines = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert [name for name, _ in lines] == FIELDS
    assert dict(lines) == {name: str(value) for name, value in expected(adapter).items()}


def test_lora_weights_inside_a_file_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors = adapter_tensors(widths=(2, 3, 4), context_dim=768, width=1024)
    tensors["ip_adapter.0.to_q_lora.down.weight"] = tensors["ip_adapter.1.to_k_ip.weight"]
    main(["inspect", str(save(tensors, tmp_path / "a.bin")), "--json"])
    (found,) = json.loads(capsys.readouterr().out)
    assert found["lora"] is True


def test_a_family_that_cannot_run_yet_is_still_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sparse(tmp_path / "a", PUBLISHED["ip-adapter-faceid-portrait_sd15"].shapes)
    assert main(["inspect", str(path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["family"], found["tokens"], found["encoder"]) == ("portrait", 16, "insightface")


@pytest.fixture
def bad(tmp_path: Path) -> list[Path]:
    page, controlnet = tmp_path / "page.safetensors", tmp_path / "controlnet.pth"
    page.write_bytes(b"<html>")
    sparse(controlnet, {"control_model.time_embed.0.weight": (3, 5)})
    return [page, controlnet, tmp_path / "missing.bin", tmp_path]


def test_a_file_with_an_error_has_the_error_instead_of_facts(
    adapter: Path, bad: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in bad:
        assert main(["inspect", str(path), str(adapter), "--json"]) == 1
        refused, found = json.loads(capsys.readouterr().out)
        assert list(refused) == ["file", "error"]
        assert refused["error"].startswith(path.name)
        assert found == expected(adapter)


def test_an_error_is_one_line_of_text(bad: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", *map(str, bad)]) == 1
    blocks = capsys.readouterr().out.strip().split("\n\n")
    assert [[line.split()[0] for line in block.splitlines()] for block in blocks] == [["file", "error"]] * len(bad)


@pytest.mark.parametrize("arguments", [[], ["inspect"], ["inspect", "--yaml", "a"], ["convert", "a"]])
def test_a_wrong_command_line_shows_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m lib_ipadapter" in capsys.readouterr().err


def run(*files: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lib_ipadapter", "inspect", *map(str, files)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_it_runs_as_a_module_from_the_repository(adapter: Path, bad: list[Path]) -> None:
    unshowable = save(adapter_tensors(widths=(2, 3, 4), context_dim=5, width=7), adapter.with_name("模型.bin"))
    done = run(adapter, *bad, unshowable, PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr  # older torch may warn about its own modules
    assert "ViT-H/14" in done.stdout
    assert "\\u6a21\\u578b.bin" in done.stdout


def test_the_library_is_not_a_regular_package() -> None:
    """`python -m` must work nevertheless."""
    assert not (ROOT / "lib_ipadapter" / "__init__.py").exists()
