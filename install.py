"""Install missing packages without changing any that are installed. The web UI runs this at every start.

Every installed version is a constraint for pip, so pip adds packages or fails, but never replaces one. Packages that
only FaceID adapters need are installed only if a setting asks for them.
"""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

NEEDED = {"open_clip": "open_clip_torch", "safetensors": "safetensors", "einops": "einops"}
"""Packages by import name. All web UIs tested have all but the first."""

NEEDED_FOR_FACES = {
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "scipy": "scipy",
    "tqdm": "tqdm",
    "requests": "requests",
}
"""Packages that insightface imports, by import name: onnxruntime-gpu is also imported as onnxruntime, and every opencv
package as cv2."""

ALONE = {"insightface": "insightface==1.0.1"}
"""Installed without dependencies, because it requires a particular opencv package, and two opencv packages in one
environment break each other. This version is pure Python, and tested with AUTOMATIC1111's pins and current packages."""

ALONE_BESIDE_PROTOBUF_3 = {"onnx": "onnx==1.14.1"}
"""Requires protobuf 3.20.2, but works with the 3.20.0 that AUTOMATIC1111's web UI pins."""

SETTING = "ipadapter_install_faces"


def missing(needed: Mapping[str, str]) -> list[str]:
    return [package for name, package in needed.items() if importlib.util.find_spec(name) is None]


def faces_wanted() -> bool:
    """Return whether the setting is on in the web UI's settings file."""
    import launch

    try:
        settings = json.loads(Path(launch.args.ui_settings_file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(settings.get(SETTING))


def constraints() -> str:
    """Return every installed package with its exact version, as a constraints file."""
    there = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"] and d.version}
    return "".join(f"{name}=={version}\n" for name, version in sorted(there.items()))


def install(packages: list[str], consequence: str, option: str = "") -> None:
    """Install the packages with the web UI's launcher, which uses its package index and pip options."""
    import launch

    names = " ".join(packages)
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "constraints.txt")
        pins.write_text(constraints(), encoding="utf-8")
        try:
            launch.run_pip(f'install {option} --constraint "{pins}" {names}', "requirements of IP-Adapter")
        except RuntimeError as error:
            print(
                f"IP-Adapter: {names} could not be installed without changing the web UI's packages, so nothing was "
                f"changed; {consequence} until it is installed. Output of pip: {str(error)[-600:]}",
                file=sys.stderr,
            )


def install_for_faces() -> None:
    """Install packages for FaceID adapters; those in `ALONE` without their dependencies."""
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
