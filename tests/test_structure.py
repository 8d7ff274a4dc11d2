"""The rooms keep their directions, and the folder stays importable beside Forge's own of the same name."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "lib_ipadapter"
ROOMS = {path.relative_to(LIBRARY).with_suffix("").as_posix(): path for path in sorted(LIBRARY.rglob("*.py"))}

MAY_IMPORT = {
    "errors": set(),
    "version": set(),
    "cache": set(),
    "unet_map": set(),
    "places": set(),
    "fields": {"errors", "places"},
    "controlnet": {"errors"},
    "units": {"controlnet", "errors", "fields", "places"},
    "schedule": {"errors", "fields", "unet_map", "units"},
    "plot": {"schedule", "unet_map", "units"},
    "presets": {"errors", "fields", "units"},
    "regions": {"places"},
    "tiles": {"regions"},
    "combining": set(),
    "noises": set(),
    "families": set(),
    "recognition": {"errors", "families"},
    "archive": {"errors"},
    "checkpoint": {"archive", "errors", "families", "recognition"},
    "projectors": {"families"},
    "reference": {"errors"},
    "crops": set(),
    "towers": {"checkpoint", "families"},
    "encoders": {"checkpoint", "crops", "errors", "families", "towers"},
    "names": {"errors", "fields"},
    "subjects": {"cache", "errors", "fields", "names", "reference"},
    "subject_zips": {"errors", "fields", "reference", "subjects"},
    "saved": {"archive", "checkpoint", "errors", "families", "regions"},
    "enhancing": {"encoders"},
    "library": {"errors", "families", "fields", "checkpoint", "encoders", "loras", "names", "saved", "subjects"},
    "loras": {"checkpoint", "families", "unet_map"},
    "tokens": {"errors", "families", "checkpoint", "loras", "projectors", "unet_map"},
    "attention": set(),
    "adapter": {"errors", "attention", "regions", "unet_map"},
    "faces": {"cache", "checkpoint", "errors", "reference"},
    "keypoints": {"errors", "faces", "families", "fields", "reference"},
    "pose": set(),
    "quality": set(),
    "hosts/host": {"errors", "library", "regions", "units"},
    "store": {"hosts/host", "reference"},
    "hosts/neighbours": {"errors", "fields", "units"},
    "hosts/sampling": {"errors", "regions", "hosts/host"},
    "hosts/webui": {"errors", "library", "regions", "hosts/host", "hosts/neighbours", "hosts/sampling"},
    "hosts/face_context": {"errors", "hosts/host"},
    "hosts/texts": set(),
    "hosts/a1111": {
        "errors",
        "attention",
        "hosts/face_context",
        "hosts/host",
        "hosts/sampling",
        "hosts/texts",
        "hosts/webui",
    },
    "hosts/forge_context": {"errors", "hosts/face_context"},
    "hosts/forge": {
        "errors",
        "attention",
        "hosts/face_context",
        "hosts/forge_context",
        "hosts/host",
        "hosts/neighbours",
        "hosts/sampling",
        "hosts/texts",
        "hosts/webui",
    },
    "hosts/series": {"errors", "fields", "reference", "units"},
    "hosts/demo": {"attention", "errors", "library", "regions", "units", "hosts/host"},
    "picture_files": {"cache", "reference", "tiles"},
    "plan": {"errors", "faces", "fields", "picture_files", "places", "reference", "regions", "saved", "tiles", "units"},
    "features": {
        "cache",
        "crops",
        "encoders",
        "enhancing",
        "faces",
        "families",
        "hosts/host",
        "noises",
        "plan",
        "reference",
        "saved",
        "tiles",
    },
    "preparation": {
        "adapter",
        "cache",
        "checkpoint",
        "combining",
        "encoders",
        "enhancing",
        "errors",
        "faces",
        "families",
        "features",
        "fields",
        "hosts/host",
        "library",
        "loras",
        "picture_files",
        "plan",
        "reference",
        "saved",
        "schedule",
        "subjects",
        "tokens",
        "unet_map",
        "units",
    },
    "terms": {"attention", "hosts/host", "loras", "plan", "preparation", "regions", "schedule", "unet_map"},
    "infotext": {"controlnet", "errors", "fields", "units"},
    "xyz": {"errors", "fields", "units"},
    "session": {
        "adapter",
        "attention",
        "errors",
        "hosts/host",
        "infotext",
        "loras",
        "preparation",
        "presets",
        "regions",
        "store",
        "terms",
        "unet_map",
        "units",
    },
    "likeness": {"faces", "plan", "regions", "units"},
    "drift": {
        "advice",
        "checkpoint",
        "errors",
        "faces",
        "hosts/host",
        "infotext",
        "likeness",
        "measures",
        "plan",
        "preparation",
        "units",
    },
    "advice": set(),
    "measures": {"faces", "plan", "pose", "quality", "reference"},
    "preview": {
        "keypoints",
        "advice",
        "checkpoint",
        "errors",
        "faces",
        "features",
        "fields",
        "measures",
        "preparation",
        "reference",
        "session",
    },
    "checking": {
        "advice",
        "checkpoint",
        "crops",
        "errors",
        "faces",
        "features",
        "fields",
        "likeness",
        "measures",
        "plan",
        "preparation",
        "preview",
        "reference",
        "session",
        "units",
    },
    "answers": set(),
    "subject_routes": {"errors", "fields", "reference", "session", "subject_zips", "subjects"},
    "listing": {
        "adapter",
        "checkpoint",
        "errors",
        "faces",
        "fields",
        "preparation",
        "saved",
        "session",
        "units",
    },
    "panel_answers": {
        "checking",
        "errors",
        "listing",
        "plot",
        "preview",
        "session",
        "subject_routes",
        "unet_map",
        "units",
    },
    "api": {
        "answers",
        "checking",
        "errors",
        "listing",
        "preview",
        "session",
        "subject_routes",
        "units",
        "version",
    },
    "ui": {"families", "fields", "infotext", "presets", "units"},
    "__main__": {"checkpoint", "errors"},
}
"""What each room may import of the others: the one direction of flow."""

STDLIB_ONLY = {
    "advice",
    "errors",
    "version",
    "cache",
    "unet_map",
    "places",
    "fields",
    "controlnet",
    "names",
    "units",
    "schedule",
    "plot",
    "presets",
    "families",
    "recognition",
    "infotext",
    "xyz",
}
WEB_UI = {"modules", "modules_forge", "backend", "ldm_patched", "gradio", "fastapi"}
FACES = {"faces": {"insightface", "onnxruntime"}, "keypoints": {"cv2"}, "pose": {"cv2"}}
"""What a room has of insightface and of what comes with it."""
HEAVY = {"cv2", "open_clip", "transformers", "diffusers", "insightface", "onnxruntime"}


def imports(path: Path, top_only: bool = False) -> list[tuple[int, str]]:
    """Return (level, module) of each import; `from . import x` counts as x."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[tuple[int, str]] = []
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or ""))
    return found


def test_every_room_has_its_place() -> None:
    assert set(ROOMS) == set(MAY_IMPORT)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it(room: str) -> None:
    inside = "hosts/" if room.startswith("hosts/") else ""
    named = {
        (inside if level == 1 else "") + module.replace(".", "/") for level, module in imports(ROOMS[room]) if level
    }
    assert named <= MAY_IMPORT[room]


@pytest.mark.parametrize("room", ROOMS)
def test_the_web_ui_is_known_to_its_door_and_to_the_panel_alone(room: str) -> None:
    outside = {module.split(".")[0] for level, module in imports(ROOMS[room]) if not level}
    doors = {f"hosts/{name}": {"modules"} for name in ("a1111", "neighbours", "series")}
    doors |= {f"hosts/{name}": {"modules", "fastapi"} for name in ("forge", "sampling", "webui")}
    allowed = (doors | {"ui": {"gradio"}, "api": {"fastapi"}}).get(room, set())
    assert outside & WEB_UI <= allowed
    if room in STDLIB_ONLY:
        assert not outside & {"torch", "numpy", "PIL", "safetensors", "einops"}


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_heavy_is_imported_before_it_is_used(room: str) -> None:
    outside = {module.split(".")[0] for level, module in imports(ROOMS[room], top_only=True) if not level}
    assert not outside & HEAVY


@pytest.mark.parametrize("room", ROOMS)
def test_insightface_is_known_to_one_room_and_opencv_to_two(room: str) -> None:
    outside = {module.split(".")[0] for level, module in imports(ROOMS[room]) if not level}
    assert outside & {"insightface", "onnxruntime", "onnx", "cv2"} == FACES.get(room, set())


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_happens_at_import(room: str) -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for node in ast.parse(ROOMS[room].read_text(encoding="utf-8")).body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        main = isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
        assert isinstance(node, allowed) or text or main, ast.unparse(node)


def test_the_library_has_no_init_and_no_file_named_like_one_of_forges() -> None:
    assert not list(LIBRARY.glob("__init__.py"))
    forges = {"IPAdapterPlus", "resampler", "utils", "image_proj_models", "CrossAttentionPatch"}
    assert not forges & set(ROOMS)


def test_the_script_registers_under_a_private_name_and_holds_no_dataclass() -> None:
    script = ROOT / "scripts" / "ip_adapter.py"
    named = {module for level, module in imports(script)}
    assert not any(module.startswith(("lib_ipadapter", "dataclasses")) for module in named)
    assert "from modules.scripts import" not in script.read_text(encoding="utf-8")


def test_the_script_asks_rooms_for_what_they_have() -> None:
    """It imports them as late as it can, so that nothing else would tell."""
    asked = re.findall(r'room\("([a-z_.]+)"\)\.(\w+)', (ROOT / "scripts" / "ip_adapter.py").read_text(encoding="utf-8"))
    assert len(asked) > 5
    for room, name in asked:
        tree = ast.parse(ROOMS[room.replace(".", "/")].read_text(encoding="utf-8"))
        named = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        assert name in named, f"{room} has no {name}"


def test_the_version_stands_in_both_places() -> None:
    from lib_ipadapter.version import VERSION

    stated = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert stated
    assert stated.group(1) == VERSION
