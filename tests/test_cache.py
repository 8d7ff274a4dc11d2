"""The cache's limit and the order in which entries are evicted."""

import sys
from concurrent.futures import ThreadPoolExecutor

from lib_ipadapter.base.cache import Cache


def cache(limit: int, *texts: str) -> Cache[str]:
    """Return a cache of texts, whose size is their length and whose key is their first letter."""
    made: Cache[str] = Cache(limit, len)
    for text in texts:
        made.keep(text[0], text)
    return made


def kept(of: Cache[str], letters: str = "abcd") -> str:
    """Return the letters in the cache, looked up from oldest to newest so that their order stays."""
    return "".join(letter for letter in letters if of.find(letter))


def test_only_kept_values_are_found() -> None:
    made: Cache[str] = Cache(10, len)
    value = "aaa"
    assert made.keep("a", value) is value
    assert made.find("a") is value
    assert made.find("b") is None


def test_keys_can_be_tuples_and_are_compared_by_value() -> None:
    made: Cache[str] = Cache(10, len)
    made.keep(("file", 1, None), "aaa")
    assert made.find(("file", 1, None)) == "aaa"
    assert made.find(("file", 2, None)) is None


def test_a_cache_may_be_filled_up_to_its_limit() -> None:
    made = cache(6, "aaa", "bbb")
    assert made.bytes == 6
    assert kept(made) == "ab"


def test_one_byte_over_the_limit_evicts_the_oldest() -> None:
    made = cache(6, "aaa", "bbb", "c")
    assert kept(made) == "bc"
    assert made.bytes == 4


def test_as_many_entries_are_evicted_as_needed() -> None:
    made = cache(6, "aa", "bb", "cc", "ddddd")
    assert kept(made) == "d"
    assert made.bytes == 5


def test_no_more_entries_are_evicted_than_needed() -> None:
    assert kept(cache(6, "aa", "bb", "cc", "dd")) == "bcd"


def test_a_lookup_makes_an_entry_the_newest() -> None:
    made = cache(6, "aa", "bb", "cc")
    made.find("a")
    made.keep("d", "dd")
    assert kept(made) == "acd"


def test_keeping_again_makes_an_entry_the_newest_and_replaces_its_value() -> None:
    made = cache(6, "aa", "bb", "cc")
    made.keep("a", "AA")
    made.keep("d", "dd")
    assert kept(made) == "acd"
    assert made.find("a") == "AA"
    assert made.bytes == 6


def test_an_entry_that_is_kept_again_and_grows_is_not_evicted() -> None:
    made = cache(6, "aa", "bb", "cc")
    made.keep("a", "aaaa")
    assert kept(made) == "ac"


def test_the_newest_stays_even_if_it_alone_is_too_large() -> None:
    made = cache(6, "aa", "bb", "ccccccc")
    assert kept(made) == "c"
    assert made.bytes == 7
    made.keep("d", "d")
    assert kept(made) == "d"


def test_with_a_limit_of_0_the_last_one_is_still_found() -> None:
    assert kept(cache(0, "a", "b")) == "b"


def test_a_values_size_is_measured_once() -> None:
    """Adding up all entries each time would make a cache of many small ones slow."""
    measured: list[str] = []

    def size(value: str) -> int:
        measured.append(value)
        return len(value)

    made: Cache[str] = Cache(1000, size)
    for i in range(200):
        made.keep(i, str(i))
    assert len(measured) == 200
    assert made.bytes == sum(map(len, measured))


def test_several_threads_can_use_it_at_once() -> None:
    """A route may read a picture while a generation runs."""
    made, before = cache(3), sys.getswitchinterval()

    def work(letters: str) -> None:
        for _ in range(3000):
            for letter in letters:
                made.find(letter) or made.keep(letter, letter)

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, ("abcd", "dcba", "bdac", "acbd")))
    finally:
        sys.setswitchinterval(before)
    assert made.bytes <= 3
