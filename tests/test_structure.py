"""Folders import in one direction, and the library stays importable next to Forge's folder of the same name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "lib_ipadapter"
MODULES = {path.relative_to(LIBRARY).with_suffix("").as_posix(): path for path in sorted(LIBRARY.rglob("*.py"))}

MAY_IMPORT = {
    "base": "",
    "networks": "base",
    "pictures": "base",
    "unit": "base networks pictures",
    "port": "base unit",
    "weights": "base networks pictures",
    "faces": "base pictures weights",
    "files": "base pictures unit port weights faces",
    "engine": "base networks pictures unit port weights faces files",
    "review": "base networks pictures unit port weights faces files engine",
    "web": "base networks pictures unit port weights faces files engine review",
    "hosts": "base pictures unit port",
    "__main__": "base weights files",
}
"""Which folder may import which others; every folder may import itself."""

WITHOUT_TORCH = ("base", "unit")
"""Folders that need neither torch nor numpy, so that a unit is checked anywhere."""
WEB_UI = {"modules", "modules_forge", "backend", "ldm_patched", "gradio", "fastapi"}
FACE_PACKAGES = {"insightface", "onnxruntime", "onnx", "cv2"}
HEAVY = {"cv2", "open_clip", "transformers", "diffusers", "insightface", "onnxruntime"}


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from _walk(node)


def imports(path: Path, top_only: bool = False) -> list[tuple[int, str]]:
    """Return (level, module) of each import; `from . import x` counts as x."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[tuple[int, str]] = []
    for node in tree.body if top_only else _walk(tree):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or ""))
    return found


def folder_of(module: str) -> str:
    return module.split("/")[0]


def imported_modules(module: str) -> set[str]:
    """Return the library's modules that one imports, each by its path below the library."""
    found: set[str] = set()
    for level, name in imports(MODULES[module]):
        if level:
            package = module.split("/")[:-level]
            found.add("/".join([*package, *name.split(".")]) if name else "/".join(package))
    return found


def outside(module: str, top_only: bool = False) -> set[str]:
    """Return the packages that a module imports from outside the library."""
    found = imports(MODULES[module], top_only)
    return {name.split(".")[0] for level, name in found if not level}


def test_every_folder_is_in_the_table_and_imports_only_folders_above_it() -> None:
    order = list(MAY_IMPORT)
    assert {folder_of(module) for module in MODULES} == set(order)
    for folder, others in MAY_IMPORT.items():
        assert all(order.index(other) < order.index(folder) for other in others.split())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_folder_may(module: str) -> None:
    found = imported_modules(module)
    assert found <= set(MODULES)
    folders = {folder_of(each) for each in found} - {folder_of(module)}
    assert folders <= set(MAY_IMPORT[folder_of(module)].split())


def test_there_is_no_import_cycle() -> None:
    left = {module: imported_modules(module) for module in MODULES}
    while leaves := [module for module, needed in left.items() if not needed]:
        for leaf in leaves:
            del left[leaf]
        for needed in left.values():
            needed.difference_update(leaves)
    assert not left, "a circle of imports"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_hosts_and_web_folders_import_the_web_ui(module: str) -> None:
    allowed = {"hosts": {"modules", "fastapi"}, "web": {"gradio", "fastapi"}}.get(folder_of(module), set())
    assert outside(module) & WEB_UI <= allowed


@pytest.mark.parametrize("module", [module for module in MODULES if folder_of(module) in WITHOUT_TORCH])
def test_unit_modules_do_not_import_torch(module: str) -> None:
    assert not outside(module) & {"torch", "numpy", "PIL", "safetensors", "einops"}


def test_a_unit_is_read_without_torch() -> None:
    """The modules that it imports from other folders do not import torch either."""
    needed, new = set[str](), {"unit/read_args", "unit/restore", "unit/presets"}
    while new:
        needed |= new
        new = {each for module in new for each in imported_modules(module)} - needed
    assert {"networks/scaling", "pictures/crops", "pictures/noise"} <= needed
    for module in needed:
        assert not outside(module, top_only=True) & {"torch", "numpy", "safetensors", "einops"}, module


@pytest.mark.parametrize("module", MODULES)
def test_heavy_packages_are_imported_only_in_functions(module: str) -> None:
    assert not outside(module, top_only=True) & HEAVY


def test_the_models_of_answers_are_built_for_the_routes_alone() -> None:
    using = [module for module in MODULES if "web/response_models" in imported_modules(module)]
    assert using == ["web/routes"]
    assert [module for module in MODULES if "pydantic" in outside(module)] == ["web/response_models"]


@pytest.mark.parametrize("module", MODULES)
def test_only_the_faces_folder_imports_insightface_and_opencv(module: str) -> None:
    assert folder_of(module) == "faces" or not outside(module) & FACE_PACKAGES


@pytest.mark.parametrize("module", MODULES)
def test_modules_do_nothing_at_import(module: str) -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for node in ast.parse(MODULES[module].read_text(encoding="utf-8")).body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
        assert isinstance(node, allowed) or text or guarded, ast.unparse(node)


def test_the_library_has_no_init_and_no_file_named_like_one_of_forges() -> None:
    assert not list(LIBRARY.glob("__init__.py"))
    forges = {"IPAdapterPlus", "resampler", "utils", "image_proj_models", "CrossAttentionPatch"}
    assert not forges & {path.stem for path in MODULES.values()}


def test_the_script_registers_under_a_private_name_and_holds_no_dataclass() -> None:
    script = ROOT / "scripts" / "ip_adapter.py"
    named = {module for level, module in imports(script)}
    assert not any(module.startswith(("lib_ipadapter", "dataclasses")) for module in named)
    assert "from modules.scripts import" not in script.read_text(encoding="utf-8")


def test_the_script_uses_only_names_that_modules_have() -> None:
    """It imports them at run time, so no other check would notice a wrong name."""
    asked = re.findall(
        r'module\("([a-z_.]+)"\)\.(\w+)', (ROOT / "scripts" / "ip_adapter.py").read_text(encoding="utf-8")
    )
    assert len(asked) > 5
    for module, name in asked:
        tree = ast.parse(MODULES[module.replace(".", "/")].read_text(encoding="utf-8"))
        named = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        assert name in named, f"{module} has no {name}"


def test_the_version_is_in_one_place() -> None:
    from lib_ipadapter.base.version import VERSION

    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert 'version = { attr = "lib_ipadapter.base.version.VERSION" }' in project
    assert VERSION not in project
