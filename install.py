"""Install what the web UI's Python lacks, and change nothing that it has. The web UI runs this at every start.

Every version that is there goes to pip as a constraint, so that pip adds packages or fails, but never replaces one.
What only FaceID adapters need is added where a setting asks for it.
"""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

NEEDED = {"open_clip": "open_clip_torch", "safetensors": "safetensors", "einops": "einops"}
"""Packages by the name under which they are imported. All but the first are in every web UI known to us."""

NEEDED_FOR_FACES = {
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "scipy": "scipy",
    "tqdm": "tqdm",
    "requests": "requests",
}
"""What insightface imports; onnxruntime-gpu goes by the name of onnxruntime, and each of the four opencv by cv2."""

ALONE = {"insightface": "insightface==1.0.1"}
"""Added without what it asks for, which is one opencv by name, where two of them spoil each other. This version is pure
Python, and was tried beside what AUTOMATIC1111's web UI pins and beside what is current."""

ALONE_BESIDE_PROTOBUF_3 = {"onnx": "onnx==1.14.1"}
"""Asks for protobuf 3.20.2, and runs with the 3.20.0 that AUTOMATIC1111's web UI pins."""

SETTING = "ipadapter_install_faces"


def missing(needed: Mapping[str, str]) -> list[str]:
    return [package for name, package in needed.items() if importlib.util.find_spec(name) is None]


def faces_wanted() -> bool:
    """Tell whether the setting is ticked in the web UI's file of settings."""
    import launch

    try:
        settings = json.loads(Path(launch.args.ui_settings_file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(settings.get(SETTING))


def constraints() -> str:
    """Return every installed distribution at its very version, as a constraints file."""
    there = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"] and d.version}
    return "".join(f"{name}=={version}\n" for name, version in sorted(there.items()))


def install(packages: list[str], consequence: str, option: str = "") -> None:
    """Install the packages through the web UI's own launcher, which knows its index, its flags and its installer."""
    import launch

    names = " ".join(packages)
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "constraints.txt")
        pins.write_text(constraints(), encoding="utf-8")
        try:
            launch.run_pip(f'install {option} --constraint "{pins}" {names}', "requirements of IP-Adapter")
        except RuntimeError as error:
            print(
                f"IP-Adapter: {names} could not be installed beside the versions that the web UI has, so nothing was "
                f"changed; {consequence} until it is there. pip said: {str(error)[-600:]}",
                file=sys.stderr,
            )


def install_for_faces() -> None:
    """Install what FaceID adapters need: with all that it asks for, but for what would ask too much."""
    alone = ALONE | (ALONE_BESIDE_PROTOBUF_3 if has_protobuf_3() else {})
    together = {name: package for name, package in NEEDED_FOR_FACES.items() if name not in alone}
    for needed, option in ((together, "--only-binary :all:"), (alone, "--only-binary :all: --no-deps")):
        if packages := missing(needed):
            install(packages, "FaceID adapters cannot run", option)


def has_protobuf_3() -> bool:
    return any(d.metadata["Name"] == "protobuf" and d.version.startswith("3.") for d in metadata.distributions())


if packages := missing(NEEDED):
    install(packages, "units cannot run")
if faces_wanted():
    install_for_faces()
