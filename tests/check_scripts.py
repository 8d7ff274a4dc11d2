"""Check javascript/ and styles/ with the packages of package.json, Prettier and ESLint.

They are installed into build/npm when first needed, which takes npm and Node.js 20.19 or newer.
"""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "npm"
SHEETS = ("style.css", "styles/*.css")
SCRIPTS = ("javascript/*.js", "eslint.config.mjs")


def installed() -> Path:
    """Return the folder of the installed packages."""
    wanted = (ROOT / "package.json").read_text(encoding="utf-8")
    mark = FOLDER / "installed.json"
    if not (mark.exists() and mark.read_text(encoding="utf-8") == wanted):
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit(
                "npm was not found. Install Node.js 20.19 or newer, which brings it, to check javascript/."
            )
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True)
        shutil.copy(ROOT / "package.json", FOLDER)
        options = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        subprocess.run([npm, "install", *options], cwd=FOLDER, check=True)
        mark.write_text(wanted, encoding="utf-8")
    return FOLDER / "node_modules"


def main() -> None:
    packages = installed()
    for script, *more in (
        ("prettier/bin/prettier.cjs", "--check", "--log-level=warn", *SCRIPTS, *SHEETS),
        ("eslint/bin/eslint.js", "javascript"),
    ):
        if subprocess.run(["node", str(packages / script), *more], cwd=ROOT, check=False).returncode:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
