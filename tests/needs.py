"""What each test file needs, by its imports: from this follows which ones run on any operating system.

Standard library only, because `tasks.py` imports this.
"""

import ast
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FOLDERS = {"base", "unit", "port", "pictures", "networks", "weights", "files", "__main__"}
"""Parts of the library without a web UI: what reads, writes and names files is there."""
PACKAGES = {
    *("torch", "torchvision", "safetensors", "numpy", "PIL", "huggingface_hub", "requests"),
    *("hypothesis", "jsonschema", "pytest"),
}
"""Names by which the packages of requirements/systems.txt are imported."""


def runs_anywhere() -> tuple[str, ...]:
    """Return the tests of those folders that need no browser, web UI, U-Net or other library to compare with."""
    return tuple(f"tests/{path.name}" for path in sorted(TESTS.glob("test_*.py")) if needs_only_files(path))


def needs_only_files(path: Path) -> bool:
    """Return whether a test needs nothing but those folders and packages."""
    folders, modules = needs(path)
    return bool(folders) and folders <= FOLDERS and modules <= PACKAGES | sys.stdlib_module_names


def needs(path: Path) -> tuple[set[str], set[str]]:
    """Return the folders of the library, and the modules, that a test imports, also through the helpers beside it."""
    folders, modules = imports_of(path)
    for helper in [TESTS / f"{name}.py" for name in modules]:
        if helper.exists() and helper != path:
            more, others = needs(helper)
            folders, modules = folders | more, modules | others
    return folders, {name for name in modules if not (TESTS / f"{name}.py").exists()}


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    """Return the folders of the library, and the other modules, that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name.split(".")[1] for name in names if name.startswith("lib_ipadapter.")}
    return ours, {name.split(".")[0] for name in names if not name.startswith("lib_ipadapter")}
