"""install.py in environments with web UIs' pins: it installs what is missing and changes no installed version."""

import functools
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

A1111, NEO = "AUTOMATIC1111", "Forge Neo"
PINS = {
    A1111: ["numpy==1.26.2", "Pillow==9.5.0", "protobuf==3.20.0", "tqdm==4.66.1", "einops==0.4.1", "regex==2023.12.25"],
    NEO: [
        *("numpy==2.3.5", "Pillow==12.2.0", "protobuf==4.25.9", "tqdm==4.67.3", "einops==0.8.2"),
        *("safetensors==0.7.0", "huggingface-hub==0.36.2", "httpx==0.24.1", "pyyaml==6.0.3"),
    ],
}
"""Versions that a web UI pins, or had at its release, of packages for which open_clip might require newer versions."""

SHARED = ("torch", "torchgen", "torchvision", "functorch", "nvidia", "triton")
"""Packages too large to install twice; they are linked from the tests' environment."""

LAUNCH = """
import subprocess, sys, types
args = types.SimpleNamespace(ui_settings_file=sys.prefix + "/config.json")
def run_pip(command, desc=None, live=False):
    command = f'"{sys.executable}" -m pip {command} --prefer-binary --no-compile'
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
"""
"""What install.py uses of the web UI's launcher (modules/launch_utils.py), without its slow parts."""

pytestmark = pytest.mark.skipif(
    not (3, 10) <= sys.version_info[:2] <= (3, 12), reason="A1111's numpy is built for Python 3.10 to 3.12"
)


@pytest.fixture(scope="module")
def python_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that returns the Python of an environment with a web UI's pins, torch, and a launcher."""

    @functools.cache
    def made(web_ui: str) -> Path:
        folder = tmp_path_factory.mktemp("install")
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        torch_needs = ["sympy", "networkx", "jinja2", "filelock", "fsspec", "typing_extensions", "setuptools>=77.0.3"]
        install = [python, "-m", "pip", "install", "--quiet", "--no-compile"]
        subprocess.run([*install, *PINS[web_ui], *torch_needs], check=True)
        code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
        there = Path(subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip())
        for source in Path(sysconfig.get_paths()["purelib"]).iterdir():
            if source.name.split("-")[0].split(".")[0].split("_")[0] in SHARED and not (there / source.name).exists():
                (there / source.name).symlink_to(source)
        (there / "launch.py").write_text(LAUNCH)
        return python

    return made


def freeze(python: Path) -> set[str]:
    code = (
        "from importlib.metadata import distributions;"
        "print(*sorted({f\"{d.metadata['Name']}=={d.version}\" for d in distributions()}), sep='\\n')"
    )
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split("\n")) - {""}


def install(python: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, ROOT / "install.py"], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("web_ui", PINS)
def test_missing_packages_are_installed_and_no_version_changes(python_of: Callable[[str], Path], web_ui: str) -> None:
    if web_ui == NEO and sys.version_info < (3, 11):
        pytest.skip("Forge Neo's numpy is built for Python 3.11 and later")
    python = python_of(web_ui)
    before = freeze(python)
    assert not any(name.startswith(("open_clip_torch", "open-clip-torch")) for name in before)
    done = install(python)
    assert done.returncode == 0, done.stderr
    after = freeze(python)
    assert before <= after, before - after
    assert any(name.startswith(("open_clip_torch", "open-clip-torch")) for name in after), done.stderr
    again = install(python)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert freeze(python) == after


def test_a_failed_installation_is_reported_and_the_web_ui_starts_anyway(
    python_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """onnx requires a newer protobuf than the installed one; A1111 breaks when that is replaced."""
    python = python_of(A1111)
    text = (ROOT / "install.py").read_text(encoding="utf-8")
    changed = tmp_path / "install.py"
    changed.write_text(text.replace('"open_clip": "open_clip_torch"', '"onnx": "onnx==1.16.0"'), encoding="utf-8")
    before = freeze(python)
    done = subprocess.run([python, changed], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "could not be installed without changing" in done.stderr
    assert freeze(python) == before


def test_packages_for_faces_are_installed_only_if_the_setting_asks_for_it(python_of: Callable[[str], Path]) -> None:
    """With these pins, the dependencies of insightface and onnx would bring a newer protobuf and numpy."""
    python = python_of(A1111)
    (there := python.parent.parent / "config.json").write_text('{"ipadapter_install_faces": true}')
    before = freeze(python)
    assert not any(name.startswith(("insightface", "onnx")) for name in before)
    done = install(python)
    there.unlink()
    assert (done.returncode, done.stderr) == (0, "")
    assert before <= freeze(python), before - freeze(python)
    code = "from insightface.model_zoo import get_model; from insightface.utils.face_align import norm_crop;"
    code += "import filterpy.kalman, numba, importlib.util as i; assert i.find_spec('facexlib')"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PACKAGE_OF_TORCH = [
    ("2.1.2, CUDA 11.8, cuDNN 8.7", '"11.8"', 8700, "onnxruntime-gpu>=1.17,<1.19"),
    ("2.1.2, CUDA 12.1, cuDNN 8.9", '"12.1"', 8902, "onnxruntime"),
    ("2.6, CUDA 12.4, cuDNN 9.1", '"12.4"', 90100, "onnxruntime-gpu>=1.19,<1.27"),
    ("2.11, CUDA 13.0, cuDNN 9.13", '"13.0"', 91300, "onnxruntime-gpu>=1.27"),
    ("for AMD", "None", None, "onnxruntime"),
    ("without cuDNN", '"12.4"', None, "onnxruntime"),
]


@pytest.mark.parametrize(
    ("torch", "cuda", "cudnn", "expected"), PACKAGE_OF_TORCH, ids=[row[0] for row in PACKAGE_OF_TORCH]
)
@pytest.mark.parametrize("card", [True, False])
def test_the_onnxruntime_that_matches_torchs_cuda_is_installed(tmp_path, torch, cuda, cudnn, expected, card) -> None:
    installed = commands_of(tmp_path, cuda, cudnn, card)
    (onnxruntime,) = (each for each in installed if "onnxruntime" in each)
    assert packages_in(onnxruntime) == [expected if card else "onnxruntime"]


def test_if_the_package_for_the_card_fails_the_one_for_the_cpu_is_installed(tmp_path) -> None:
    installed = commands_of(tmp_path, '"12.4"', 90100, True, fails="onnxruntime-gpu")
    named = [packages_in(each) for each in installed if "onnxruntime" in each]
    assert named == [["onnxruntime-gpu>=1.19,<1.27"], ["onnxruntime"]]


@pytest.mark.parametrize("kind", ["onnxruntime", "onnxruntime_gpu"])
def test_an_installed_onnxruntime_is_kept_and_no_other_is_added(tmp_path, kind: str) -> None:
    """Both packages write the folder onnxruntime, so a second one breaks the first."""
    (tmp_path / "onnxruntime").mkdir()
    (info := tmp_path / f"{kind}-1.17.1.dist-info").mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {kind.replace('_', '-')}\nVersion: 1.17.1\n")
    assert not [each for each in commands_of(tmp_path, '"12.4"', 90100, True) if "onnxruntime" in each]


def commands_of(folder: Path, cuda: str, cudnn: int | None, card: bool, fails: str = "nothing fails") -> list[str]:
    """Return the pip commands of a web UI with this torch, whose user wants the packages for faces."""
    (folder / "config.json").write_text('{"ipadapter_install_faces": true}')
    (folder / "launch.py").write_text(
        "import types\n"
        f"args = types.SimpleNamespace(ui_settings_file={str(folder / 'config.json')!r})\n"
        "def run_pip(command, desc):\n"
        f"    open({str(folder / 'commands')!r}, 'a').write(command + '\\n')\n"
        f"    if {fails!r} in command: raise RuntimeError('no such package')\n"
    )
    (folder / "torch.py").write_text(
        "import types\n"
        f"version = types.SimpleNamespace(cuda={cuda})\n"
        f"cuda = types.SimpleNamespace(is_available=lambda: {card})\n"
        f"backends = types.SimpleNamespace(cudnn=types.SimpleNamespace(version=lambda: {cudnn}))\n"
    )
    code = f"import sys; sys.path[:0] = [{str(folder)!r}]; import runpy; runpy.run_path({str(ROOT / 'install.py')!r})"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (folder / "commands").read_text().splitlines()


def packages_in(command: str) -> list[str]:
    """Return the packages in a command, read as a shell reads it."""
    words = shlex.split(command)
    assert words[0] == "install"
    return words[words.index("--constraint") + 2 :]
