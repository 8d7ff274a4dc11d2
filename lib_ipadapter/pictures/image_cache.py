"""The picture files of units: decoded from text once, and kept while they are in use."""

import hashlib

from PIL import Image

from ..base.cache import Cache
from .image_file import ImageFile, decode, decode_mask, read_image_file
from .tiles import Tile, tiles_of

FILES_LIMIT = 64 << 20
"""Bytes of picture files kept, so that an unchanged picture is decoded from base64 once."""
ENTRY = 1 << 10
"""Bytes that an entry takes beside the file: its key, its digest and the objects around them."""
MASKS_LIMIT = 64 << 20
"""Bytes of masks kept, at most 4 MiB each."""
TILES_LIMIT = 1000
"""Tiles whose places are kept, so that a reference is not decoded again for its size."""


class ImageCache:
    """Reads references, masks and the places of tiles; each raises `UnitError` with the field for what it cannot."""

    def __init__(self) -> None:
        self._references: Cache[ImageFile] = Cache(FILES_LIMIT, lambda kept: len(kept.content) + ENTRY)
        self._masks: Cache[Image.Image] = Cache(MASKS_LIMIT, lambda kept: 4 * kept.width * kept.height)
        self._tiles: Cache[tuple[Tile, ...]] = Cache(TILES_LIMIT, len)

    def reference(self, field: str, text: str) -> ImageFile:
        key = _digest(text)  # the text itself would be kept, a third larger than the file
        return self._references.find(key) or self._references.keep(key, read_image_file(field, text))

    def mask(self, field: str, file: ImageFile) -> Image.Image:
        """Return a mask's brightness, as floats from 0 to 1."""
        found = self._masks.find(file.digest)
        return found or self._masks.keep(file.digest, decode_mask(field, file.content))

    def tiles(self, field: str, file: ImageFile) -> tuple[Tile, ...]:
        found = self._tiles.find(file.digest)
        return found or self._tiles.keep(file.digest, tiles_of(*decode(field, file.content).size))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass")).digest()
