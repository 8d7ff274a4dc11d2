"""The documentation's examples, run against a server at another address."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "api.md"
ADDRESS, MODEL = "http://127.0.0.1:7860", "ip-adapter_sd15"


def example(language: str) -> str:
    """Return the example in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert ADDRESS in found
    assert f'"{MODEL}"' in found
    return found


def run_example(language: str, folder: Path, address: str, model: str = MODEL) -> bytes:
    """Run an example, for a tiny picture, in a folder with a reference.png, and return what it printed."""
    text = example(language).replace(ADDRESS, address).replace(f'"{MODEL}"', f'"{model}"')
    assert '"steps": 20' in text
    text = text.replace('"steps": 20', '"steps": 2, "width": 64, "height": 64')
    command = [sys.executable, "-c", text] if language == "python" else ["sh", "-c", text]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=600).stdout
