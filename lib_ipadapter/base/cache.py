"""A cache with a byte limit whose oldest entries leave first."""

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
        self.limit = limit
        self._size = size
        self._entries: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: Hashable) -> Value | None:
        """Return the value kept under `key`, now the youngest, or None."""
        with self._lock:
            if key not in self._entries:
                return None
            self._entries.move_to_end(key)
            return self._entries[key]

    def keep(self, key: Hashable, value: Value) -> Value:
        """Keep `value` under `key`, dropping the oldest entries over the limit, and return it."""
        with self._lock:
            self._entries[key] = value
            self._entries.move_to_end(key)
            while len(self._entries) > 1 and self.bytes > self.limit:
                self._entries.popitem(last=False)
        return value

    @property
    def bytes(self) -> int:
        return sum(map(self._size, self._entries.values()))
