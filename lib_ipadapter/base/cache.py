"""A cache with a byte limit that drops the least recently used entries first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Cache(Generic[Value]):
    """Values by keys that hold every input of them; the last one stays even where it alone is over the limit.

    A generation and the routes may use it at the same time.
    """

    def __init__(self, limit: int, size: Callable[[Value], int]) -> None:
        """`size` returns the bytes of a value; it is asked once for each, when the value is kept."""
        self.limit = limit
        self.bytes = 0
        """Of all values that are kept."""
        self._size = size
        self._entries: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> Value | None:
        """Return the value kept under `key`, now the most recently used one, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key][0]

    def keep(self, key: Hashable, value: Value) -> Value:
        """Keep `value` under `key`, dropping what was used longest ago until all is within the limit; return it."""
        size = self._size(value)
        with self._lock:
            _, old = self._entries.pop(key, (None, 0))
            self._entries[key] = value, size
            self.bytes += size - old
            while len(self._entries) > 1 and self.bytes > self.limit:
                _, (_, dropped) = self._entries.popitem(last=False)
                self.bytes -= dropped
        return value
