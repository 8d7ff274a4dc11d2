"""A cache with a byte limit that drops the least recently used entries first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """A thread-safe cache. A key must contain every input of its value.

    The latest value stays even if it exceeds the limit by itself.
    """

    def __init__(self, limit: int, size: Callable[[Value], int]) -> None:
        """`size` returns the bytes of a value; it is called once, when the value is added."""
        self.limit = limit
        self.bytes = 0
        """Total size of all values."""
        self._size = size
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> Value | None:
        """Return the value for `key` and mark it as most recently used, or return None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def keep(self, key: Hashable, value: Value) -> Value:
        """Add `value` for `key`, evict the least recently used values beyond the limit, and return `value`."""
        size = self._size(value)
        with self._lock:
            _, old = self._entries.pop(key, (None, 0))
            self._entries[key] = value, size
            self.bytes += size - old
            while len(self._entries) > 1 and self.bytes > self.limit:
                _, (_, dropped) = self._entries.popitem(last=False)
                self.bytes -= dropped
        return value
