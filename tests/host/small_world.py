"""The small model's files in a running web UI, as long as they are needed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from demo.files import CHECKPOINT, CONFIG, PLACES, TOKENIZER, copy_to

from .webui import WebUI


@contextmanager
def small_world(webui: WebUI) -> Iterator[WebUI]:
    """Install the small model's files as `tasks.py demo-files` does and load the model; remove the files afterwards."""
    checkpoints = webui.folder / PLACES[CHECKPOINT]
    places = [webui.folder / folder / name for name, folder in PLACES.items()]
    places += [checkpoints / TOKENIZER, checkpoints / CONFIG]
    there = [place for place in places if place.exists()]
    before = webui.call("/sdapi/v1/options")["sd_model_checkpoint"]
    copy_to(webui.folder)
    webui.call("/sdapi/v1/refresh-checkpoints", {})
    webui.call("/ipadapter/rescan", {})
    webui.use(checkpoints / CHECKPOINT)
    try:
        yield webui
    finally:
        webui.call("/sdapi/v1/options", {"sd_model_checkpoint": before})
        for place in places:
            if place not in there:
                shutil.rmtree(place) if place.is_dir() else place.unlink()
        webui.call("/sdapi/v1/refresh-checkpoints", {})
        webui.call("/ipadapter/rescan", {})
