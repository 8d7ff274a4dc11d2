"""The pictures of the latest tries (`unit/tries.py`), in memory until the panel has them all."""

import io
import threading
from typing import Any

from PIL import Image

from ..pictures.image_file import data_url

MOST = 3
"""Tries that are kept at the same time; the browser of one may have gone."""
SIDE, QUALITY = 384, 85
"""Longer side in pixels of the pictures that the panel shows, and their JPEG quality."""


class Tried:
    """What is known of each try, by its token. Generations write and requests read, in different threads."""

    def __init__(self) -> None:
        self._facts: dict[str, dict[str, Any]] = {}
        self._found: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def begin(self, token: str, **facts: Any) -> None:
        """Begin a try, whose answers repeat the facts; the oldest others are dropped."""
        with self._lock:
            self._drop(token)
            for old in list(self._facts)[: 1 - MOST]:
                self._drop(old)
            self._facts[token], self._found[token] = facts, []

    def add_picture(self, token: str, index: int, picture: Image.Image) -> None:
        """Add the picture of a change."""
        small = picture.convert("RGB")
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        small.save(file, "JPEG", quality=QUALITY)
        self._add(token, {"index": index, "image": data_url(file.getvalue())})

    def add_reason(self, token: str, index: int, reason: str) -> None:
        """Add why there is no picture of a change."""
        self._add(token, {"index": index, "reason": reason})

    def take(self, token: str, seen: int, last: bool) -> dict[str, Any]:
        """Return the facts and `found`, all but the first `seen` entries; forget the try if nobody asks again."""
        with self._lock:
            answer = {"facts": self._facts.get(token, {}), "found": self._found.get(token, [])[seen:]}
            if last:
                self._drop(token)
        return answer

    def _add(self, token: str, entry: dict[str, Any]) -> None:
        with self._lock:
            if token in self._found:
                self._found[token].append(entry)

    def _drop(self, token: str) -> None:
        self._facts.pop(token, None)
        self._found.pop(token, None)
