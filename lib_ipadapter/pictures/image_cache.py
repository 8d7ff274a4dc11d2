"""Caches the picture files, masks and sizes of units, so that they are decoded once."""

import hashlib

from PIL import Image

from ..base.cache import Cache
from .image_file import ImageFile, decode, decode_mask, read_image_file
from .image_metrics import shading

FILES_LIMIT = 64 << 20
"""Bytes of picture files in the cache."""
ENTRY = 1 << 10
"""Bytes that an entry takes in addition to the file: key, digest and object overhead."""
MASKS_LIMIT = 64 << 20
"""Bytes of masks in the cache, at most 4 MiB each."""
SIZES_LIMIT = 1000
"""Sizes in the cache, so that a reference is not decoded again only for its size."""
STAND_INS_LIMIT = 1000
"""Stand-ins in the cache, and measured pictures."""


SAMPLES = 64
"""Characters of a picture in its stand-in."""


def stand_in(text: str) -> str:
    """Return a short text that can stand for a picture that the server has read: its length, and some characters.

    The panel's code computes the same, so that it need not send pictures again only to ask about them.
    """
    return f"picture:{len(text)}:{text[:: -max(1, len(text) // SAMPLES)][:SAMPLES]}"


class ImageCache:
    """Reads references, masks and sizes; raises `UnitError` with the field for unreadable pictures."""

    def __init__(self) -> None:
        self._references: Cache[ImageFile] = Cache(FILES_LIMIT, lambda kept: len(kept.content) + ENTRY)
        self._stand_ins: Cache[bytes] = Cache(STAND_INS_LIMIT, lambda _: 1)
        self._masks: Cache[Image.Image] = Cache(MASKS_LIMIT, lambda kept: 4 * kept.width * kept.height)
        self._sizes: Cache[tuple[int, int]] = Cache(SIZES_LIMIT, lambda _: 1)
        self._shadings: Cache[float] = Cache(STAND_INS_LIMIT, lambda _: 1)

    def reference(self, field: str, text: str) -> ImageFile:
        key = _digest(text)  # as a key, the text itself would take a third more memory than the file
        found = self._references.find(key) or self._references.keep(key, read_image_file(field, text))
        self._stand_ins.keep(stand_in(text), key)
        return found

    def seen(self, text: str) -> ImageFile | None:
        """Return the file of a picture, or of the one that a stand-in stands for, if it was read and is still here."""
        key = self._stand_ins.find(text) or self._stand_ins.find(stand_in(text))
        return self._references.find(key) if key else None

    def mask(self, field: str, file: ImageFile) -> Image.Image:
        """Return a mask as a picture of one channel, floats from 0 to 1."""
        found = self._masks.find(file.digest)
        return found or self._masks.keep(file.digest, decode_mask(field, file.content))

    def size(self, field: str, file: ImageFile) -> tuple[int, int]:
        """Return the width and height of a reference in pixels."""
        found = self._sizes.find(file.digest)
        return found or self._sizes.keep(file.digest, decode(field, file.content).size)

    def shading(self, field: str, file: ImageFile) -> float:
        """Return how much of a picture is shaded gently, as `image_metrics.shading` measures it."""
        found = self._shadings.find(file.digest)
        if found is None:
            found = self._shadings.keep(file.digest, shading(decode(field, file.content)))
        return found


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass")).digest()
