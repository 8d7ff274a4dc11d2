"""The small model's files, and where they go in a web UI: `python demo/files.py WEBUI_FOLDER`. Needs only Python."""

import json
import shutil
import sys
from pathlib import Path

MODEL = Path(__file__).resolve().parent / "model"

CHECKPOINT = "small-world.safetensors"
CONFIG = "small-world.yaml"
TOKENIZER = "small-world-tokenizer"
TOWER = "small-world-clip-vision.safetensors"
ADAPTERS = {"base": "small-world-ip-adapter.safetensors", "plus": "small-world-ip-adapter-plus.safetensors"}

PLACES = {
    CHECKPOINT: "models/Stable-diffusion",
    TOWER: "models/clip_vision",
    **dict.fromkeys(ADAPTERS.values(), "models/ipadapter"),
}
"""The web UI's folder for each file that is copied unchanged."""


def read_config() -> dict:
    """Return the checkpoint's configuration; the file is JSON, which is YAML."""
    return json.loads((MODEL / CONFIG).read_text(encoding="utf-8"))


def copy_to(web_ui: Path) -> list[Path]:
    """Copy the model into a web UI's folders and return what was written.

    The copied configuration has the absolute path of the tokenizer's folder, because transformers would look for a
    relative one in the working directory, and then on its hub.
    """
    checkpoints = web_ui / PLACES[CHECKPOINT]
    if not checkpoints.is_dir():
        print(f"{web_ui} is not a web UI's folder: it has no {PLACES[CHECKPOINT]}.", file=sys.stderr)
        raise SystemExit(2)
    written = [_copy_file(name, web_ui / folder) for name, folder in PLACES.items()]
    words = shutil.copytree(MODEL / TOKENIZER, checkpoints / TOKENIZER, dirs_exist_ok=True)
    config = read_config()
    config["model"]["params"]["cond_stage_config"]["params"]["version"] = str(words.resolve())
    (checkpoints / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
    return [*written, words, checkpoints / CONFIG]


def _copy_file(name: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(MODEL / name, folder))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Usage: python demo/files.py WEBUI_FOLDER")
    for path in copy_to(Path(sys.argv[1])):
        print(path)
