"""Pictures are decoded once, and their memory is counted."""

import base64
import gc
import os
import tracemalloc

import pytest

from lib_ipadapter.pictures import image_cache
from lib_ipadapter.pictures.image_cache import ImageCache


def texts(count: int, size: int) -> list[str]:
    return [base64.b64encode(os.urandom(size)).decode() for _ in range(count)]


@pytest.mark.parametrize(("count", "size"), [(10, 500_000), (200, 20_000)])
def test_the_counted_bytes_are_the_held_bytes(count: int, size: int) -> None:
    cache = ImageCache()
    tracemalloc.start()
    try:
        for text in texts(count, size):
            cache.reference("images[0]", text)
        del text
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cache._references.bytes == pytest.approx(held, rel=0.1)


def test_no_more_than_the_limit_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "FILES_LIMIT", 1 << 20)
    cache = ImageCache()
    tracemalloc.start()
    try:
        for text in texts(20, 200_000):
            cache.reference("images[0]", text)
        del text
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held <= 1.1 * (1 << 20)


def test_very_many_small_files_are_counted_too() -> None:
    cache = ImageCache()
    tracemalloc.start()
    try:
        for text in texts(3000, 10):
            cache.reference("images[0]", text)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < cache._references.bytes


def test_an_unchanged_text_is_decoded_once() -> None:
    cache, (text,) = ImageCache(), texts(1, 99)
    first = cache.reference("images[0]", text)
    assert cache.reference("images[5]", "".join(list(text))) is first
