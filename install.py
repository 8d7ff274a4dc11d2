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

NEEDED = {"open_clip": "open_clip_torch", "safetensors": "safetensors", "einops": "einops", "requests": "requests"}
"""Packages by import name. Every web UI that was tested has all but the first."""

ONNXRUNTIME = {"onnxruntime": "onnxruntime"}
"""Runs face models on the CPU."""

ONNXRUNTIME_FOR_CUDA = {
    (11, 8): "onnxruntime-gpu>=1.17,<1.19",
    (12, 9): "onnxruntime-gpu>=1.19,<1.27",
    (13, 9): "onnxruntime-gpu>=1.27",
}
"""Packages that also run them on a graphics card, by the major versions of CUDA and cuDNN, whose libraries torch loads.
PyPI has none for CUDA 12 with cuDNN 8, which torch 2.1.2 uses. Source: what each package's CUDA library links to."""

NEEDED_FOR_FACES = {
    "onnx": "onnx",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "scipy": "scipy",
    "tqdm": "tqdm",
    "requests": "requests",
    "filterpy": "filterpy",
    "numba": "numba",
}
"""Packages that insightface and facexlib import beside onnxruntime and torch, by import name. Every opencv package is
imported as cv2."""

ALONE = {"insightface": "insightface==1.0.1", "facexlib": "facexlib==0.3.0"}
"""Installed without dependencies, because they require a particular opencv package, and two opencv packages in one
environment break each other. These versions are pure Python, and tested with AUTOMATIC1111's pins and current packages.
All web UIs that were tested have facexlib, which PuLID needs, in this version."""

ALONE_BESIDE_PROTOBUF_3 = {"onnx": "onnx==1.14.1"}
"""Requires protobuf 3.20.2, but works with the 3.20.0 that AUTOMATIC1111's web UI pins."""

SETTING = "ipadapter_install_faces"

BUILT = "--only-binary :all:"
"""pip's option for packages that need no compiler."""
NO_FACES = "FaceID adapters cannot run"


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


def install(packages: list[str], consequence: str, option: str = "") -> bool:
    """Install the packages with the web UI's launcher, which uses its package index and pip options; return success."""
    import launch

    names = ", ".join(packages)
    quoted = " ".join(f'"{package}"' for package in packages)  # a shell would treat < and > as redirections
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "constraints.txt")
        pins.write_text(constraints(), encoding="utf-8")
        try:
            launch.run_pip(f'install {option} --constraint "{pins}" {quoted}', "requirements of IP-Adapter")
        except RuntimeError as error:
            print(
                f"IP-Adapter: {names} could not be installed without changing the web UI's packages, so nothing was "
                f"changed; {consequence} until it is installed. Output of pip: {str(error)[-600:]}",
                file=sys.stderr,
            )
            return False
    return True


def cuda_and_cudnn() -> tuple[int, int]:
    """Return the major versions of CUDA and cuDNN that torch uses, or zeros if it uses no NVIDIA card."""
    try:
        import torch
    except ImportError:
        return 0, 0
    if not torch.version.cuda or not torch.cuda.is_available():
        return 0, 0
    cudnn = torch.backends.cudnn.version() or 0  # 8902 is 8.9.2, and 90100 is 9.1.0
    return int(torch.version.cuda.split(".")[0]), cudnn // (1000 if cudnn < 10000 else 10000)


def install_onnxruntime() -> None:
    """Install the package for the graphics card if torch uses one, otherwise the one for the CPU, but never both."""
    if missing(ONNXRUNTIME):
        for_cuda = ONNXRUNTIME_FOR_CUDA.get(cuda_and_cudnn())
        if not (for_cuda and install([for_cuda], "face models run on the CPU", BUILT)):
            install(missing(ONNXRUNTIME), NO_FACES, BUILT)


def install_for_faces() -> None:
    """Install packages for FaceID adapters; those in `ALONE` without their dependencies."""
    install_onnxruntime()
    alone = ALONE | (ALONE_BESIDE_PROTOBUF_3 if has_protobuf_3() else {})
    together = {name: package for name, package in NEEDED_FOR_FACES.items() if name not in alone}
    for needed, option in ((together, BUILT), (alone, f"{BUILT} --no-deps")):
        if packages := missing(needed):
            install(packages, NO_FACES, option)


def has_protobuf_3() -> bool:
    return any(d.metadata["Name"] == "protobuf" and d.version.startswith("3.") for d in metadata.distributions())


if packages := missing(NEEDED):
    install(packages, "units cannot run")
if faces_wanted():
    install_for_faces()
