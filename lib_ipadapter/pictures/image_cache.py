"""Caches the picture files, masks and sizes of units, so that they are decoded once."""

import hashlib

from PIL import Image

from ..base.cache import Cache
from .image_file import ImageFile, decode, decode_mask, read_image_file

FILES_LIMIT = 64 << 20
"""Bytes of picture files in the cache."""
ENTRY = 1 << 10
"""Bytes that an entry takes in addition to the file: key, digest and object overhead."""
MASKS_LIMIT = 64 << 20
"""Bytes of masks in the cache, at most 4 MiB each."""
SIZES_LIMIT = 1000
"""Sizes in the cache, so that a reference is not decoded again only for its size."""


class ImageCache:
    """Reads references, masks and sizes; raises `UnitError` with the field for unreadable pictures."""

    def __init__(self) -> None:
        self._references: Cache[ImageFile] = Cache(FILES_LIMIT, lambda kept: len(kept.content) + ENTRY)
        self._masks: Cache[Image.Image] = Cache(MASKS_LIMIT, lambda kept: 4 * kept.width * kept.height)
        self._sizes: Cache[tuple[int, int]] = Cache(SIZES_LIMIT, lambda _: 1)

    def reference(self, field: str, text: str) -> ImageFile:
        key = _digest(text)  # as a key, the text itself would take a third more memory than the file
        return self._references.find(key) or self._references.keep(key, read_image_file(field, text))

    def mask(self, field: str, file: ImageFile) -> Image.Image:
        """Return a mask as a picture of one channel, floats from 0 to 1."""
        found = self._masks.find(file.digest)
        return found or self._masks.keep(file.digest, decode_mask(field, file.content))

    def size(self, field: str, file: ImageFile) -> tuple[int, int]:
        """Return the width and height of a reference in pixels."""
        found = self._sizes.find(file.digest)
        return found or self._sizes.keep(file.digest, decode(field, file.content).size)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass")).digest()
