"""`python -m lib_ipadapter`: the facts of files and whether they are the published ones, and never a traceback."""

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hub import Hub
from makers import adapter_tensors, save
from published import PUBLISHED, sparse
from small_catalogue import entry, small, write
from test_downloads import names, published, serve

from lib_ipadapter import __main__ as command
from lib_ipadapter.__main__ import is_of_closed_pipe, main
from lib_ipadapter.files.catalogue import Catalogue
from lib_ipadapter.files.get_command import get

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


@pytest.mark.parametrize(
    "arguments",
    [[], ["inspect"], ["inspect", "--yaml", "a"], ["convert", "a"], ["get"], ["get", "a.bin"], ["get", "--to", "x"]],
)
def test_a_wrong_command_line_shows_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m lib_ipadapter" in capsys.readouterr().err


@pytest.fixture
def models(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a published file under another name, a different file under its name, and an unknown file."""
    tensors = adapter_tensors(widths=(2, 3, 4), context_dim=2048, width=1024)
    published = save(tensors, adapter.with_name("ip-adapter.safetensors"))
    catalogue = write(small([entry(published, title="A published file", variant="v1")]), adapter.with_name("c.json"))
    monkeypatch.setattr(command, "read_catalogue", lambda: catalogue)
    folder = adapter.with_name("models")
    (folder / "sub").mkdir(parents=True)
    published.rename(folder / "sub" / "renamed.safetensors")
    (folder / "ip-adapter.safetensors").write_bytes(b"something else")
    (folder / "own.onnx").write_bytes(b"unknown")
    return folder


def test_verify_says_what_each_file_is(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(models), "--all"]) == 1
    *lines, counts = capsys.readouterr().out.splitlines()
    assert [line.split(None, 1)[0] for line in sorted(lines)] == ["correct", "different", "unknown"]
    correct, different, unknown = sorted(lines)
    assert str(models / "ip-adapter.safetensors") in different
    assert different.endswith("is not the published file of this name: its content is different.")
    assert correct.endswith("renamed.safetensors  (A published file)")
    assert unknown.endswith("own.onnx")
    assert counts == "1 correct, 1 different, 1 unknown"


def test_verify_succeeds_where_nothing_is_different(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(models / "sub")]) == 0
    (models / "ip-adapter.safetensors").unlink()
    assert main(["verify", str(models)]) == 0
    assert "own.onnx" not in capsys.readouterr().out, "files that are not in the catalogue are only counted"


def test_verify_looks_in_the_web_uis_models_without_a_folder(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ROOT.parents[1] / "models" == command.MODELS, "an extension is in a subfolder of extensions"
    monkeypatch.setattr(command, "MODELS", models)
    assert main(["verify"]) == 1
    assert "1 correct" in capsys.readouterr().out
    monkeypatch.setattr(command, "MODELS", models / "gone")
    assert main(["verify"]) == 1
    assert "There is no folder" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_is_not_correct(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lib_ipadapter.files.digests.sha256", refuse)
    assert main(["verify", str(models / "sub")]) == 1
    assert "renamed.safetensors cannot be read: Permission denied." in capsys.readouterr().out


def test_inspect_knows_a_variant_by_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = PUBLISHED["ip-adapter-faceid-portrait_sdxl_unnorm"].shapes
    path = sparse(tmp_path / "ip-adapter.safetensors", shapes)
    monkeypatch.setattr(command, "sha256", lambda _: "220bb86e205393a3d0411631cb473caddbf35fd371be2905ca9008818170db55")
    found = command.describe(path)
    assert (found["variant"], found["variant_by"]) == ("unnorm", "hash")


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


# get


@pytest.fixture
def published_here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """A catalogue of two files that a hub of our own has; the second one needs the first."""
    files = (published("a.bin"), published("b.bin", needs=("a.bin",), licence="research", commercial=False))
    for file in files:
        serve(hub, file)
    catalogue = Catalogue(files, (), ())
    monkeypatch.setattr(command, "read_catalogue", lambda: catalogue)
    return catalogue


def test_get_downloads_into_the_folder(
    published_here: Catalogue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["get", "b.bin", "--to", str(tmp_path / "new")]) == 0
    assert names(tmp_path) == ["new/b.bin"]
    said = capsys.readouterr().out
    assert "b.bin, 1.0 MB, research, commercial use not clearly allowed: http" in said
    assert "Also needed: a.bin." in said
    assert main(["get", "b.bin", "--to", str(tmp_path / "new"), "--needs"]) == 0
    assert names(tmp_path) == ["new/a.bin", "new/b.bin"]
    assert "Also needed" not in capsys.readouterr().out


def test_get_reports_a_failure_and_continues(
    published_here: Catalogue, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del hub.files["owner/repo/models/b.bin"]
    assert main(["get", "b.bin", "a.bin", "--to", str(tmp_path)]) == 1
    assert "b.bin is no longer at" in capsys.readouterr().out
    assert names(tmp_path) == ["a.bin"]
    assert main(["get", "c.bin", "--to", str(tmp_path)]) == 1
    assert '"c.bin" is not a published file. Did you mean' in capsys.readouterr().out


def test_get_lists_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["get", "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(command.read_catalogue().files)
    assert any("ip-adapter_sd15.safetensors" in line and "44.6 MB" in line and "Apache-2.0" in line for line in listed)
    assert any("faceid" in line and "(non-commercial research)" in line for line in listed)


def test_get_shows_its_progress_only_in_a_terminal(published_here: Catalogue, tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    (file, _), lines = published_here.files, list[str]()
    terminal, pipe = Terminal(), io.StringIO()
    assert get([file], tmp_path / "one", lines.append, terminal)
    assert get([file], tmp_path / "other", lines.append, pipe)
    assert "100%, 1.0 MB of 1.0 MB downloaded" in terminal.getvalue()
    assert not pipe.getvalue()
    assert lines[1] == f"Saved in {tmp_path / 'one'}."


def test_an_interrupted_get_says_how_to_resume(
    published_here: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lib_ipadapter.files.get_command.download", interrupted)
    assert main(["get", "a.bin", "--to", str(tmp_path)]) == 1
    assert "same command again to resume" in capsys.readouterr().out


def test_the_library_is_not_a_regular_package() -> None:
    """`python -m` must work nevertheless."""
    assert not (ROOT / "lib_ipadapter" / "__init__.py").exists()


def test_windows_has_its_own_error_for_a_closed_pipe() -> None:
    invalid = OSError(errno.EINVAL, "Invalid argument")
    assert is_of_closed_pipe(invalid, "nt")
    assert not is_of_closed_pipe(invalid, "posix")
    assert is_of_closed_pipe(BrokenPipeError(errno.EPIPE, "Broken pipe"), "nt")
    assert not is_of_closed_pipe(OSError(errno.ENOSPC, "No space left on device"), "nt")


def test_a_reader_that_closes_the_pipe_ends_the_command_without_a_traceback() -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "lib_ipadapter", "get", "--list"],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout
    assert command.stderr
    command.stdout.close()
    assert command.stderr.read().decode() == ""
    assert command.wait() == 1
