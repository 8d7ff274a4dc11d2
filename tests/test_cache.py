"""The cache's limit and the order in which entries leave."""

import sys
from concurrent.futures import ThreadPoolExecutor

from lib_ipadapter.base.cache import Cache


def cache(limit: int, *texts: str) -> Cache[str]:
    """Return a cache of texts, each as large as it is long and kept under its first letter."""
    made: Cache[str] = Cache(limit, len)
    for text in texts:
        made.keep(text[0], text)
    return made


def kept(of: Cache[str], letters: str = "abcd") -> str:
    """Return the letters that are in the cache, looked up in an order that is the one of their age."""
    return "".join(letter for letter in letters if of.find(letter))


def test_what_is_kept_is_found_and_nothing_else() -> None:
    made: Cache[str] = Cache(10, len)
    value = "aaa"
    assert made.keep("a", value) is value
    assert made.find("a") is value
    assert made.find("b") is None


def test_keys_may_be_tuples_and_equal_keys_are_one() -> None:
    made: Cache[str] = Cache(10, len)
    made.keep(("file", 1, None), "aaa")
    assert made.find(("file", 1, None)) == "aaa"
    assert made.find(("file", 2, None)) is None


def test_the_limit_itself_is_within_the_limit() -> None:
    made = cache(6, "aaa", "bbb")
    assert made.bytes == 6
    assert kept(made) == "ab"


def test_one_byte_over_the_limit_the_oldest_leaves() -> None:
    made = cache(6, "aaa", "bbb", "c")
    assert kept(made) == "bc"
    assert made.bytes == 4


def test_as_many_leave_as_it_takes() -> None:
    made = cache(6, "aa", "bb", "cc", "ddddd")
    assert kept(made) == "d"
    assert made.bytes == 5


def test_no_more_leave_than_it_takes() -> None:
    assert kept(cache(6, "aa", "bb", "cc", "dd")) == "bcd"


def test_a_look_makes_an_entry_the_youngest() -> None:
    made = cache(6, "aa", "bb", "cc")
    made.find("a")
    made.keep("d", "dd")
    assert kept(made) == "acd"


def test_keeping_again_makes_an_entry_the_youngest_and_replaces_its_value() -> None:
    made = cache(6, "aa", "bb", "cc")
    made.keep("a", "AA")
    made.keep("d", "dd")
    assert kept(made) == "acd"
    assert made.find("a") == "AA"
    assert made.bytes == 6


def test_an_entry_that_is_kept_again_and_grows_is_not_the_one_that_leaves() -> None:
    made = cache(6, "aa", "bb", "cc")
    made.keep("a", "aaaa")
    assert kept(made) == "ac"


def test_the_youngest_stays_though_it_alone_is_too_large() -> None:
    made = cache(6, "aa", "bb", "ccccccc")
    assert kept(made) == "c"
    assert made.bytes == 7
    made.keep("d", "d")
    assert kept(made) == "d"


def test_with_a_limit_of_nothing_the_last_one_is_still_found() -> None:
    assert kept(cache(0, "a", "b")) == "b"


def test_a_value_is_measured_once() -> None:
    """The sum over all entries would make a cache of many small ones slow."""
    measured: list[str] = []

    def size(value: str) -> int:
        measured.append(value)
        return len(value)

    made: Cache[str] = Cache(1000, size)
    for i in range(200):
        made.keep(i, str(i))
    assert len(measured) == 200
    assert made.bytes == sum(map(len, measured))


def test_several_threads_may_use_it_at_once() -> None:
    """A route looks at a picture while a generation runs."""
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
