"""The one error for what a person or a client can put right."""


class IPAdapterError(Exception):
    """A sentence for the user: what was expected, what came, why, and what to do."""

    unit: int | None = None
    """Number of the unit that cannot run, counted from 1, where it is known."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence

    def __str__(self) -> str:
        return f"IP-Adapter{f' unit {self.unit}' if self.unit else ''}: {self.sentence}"


class UnrecognisedError(IPAdapterError):
    """A file is sound, but no adapter or no encoder: a ControlNet in the same folder, say."""


class UnitError(IPAdapterError):
    """A unit's field has a value that cannot be used; the field's name and the value are kept for API clients."""

    def __init__(self, field: str, value: object, sentence: str) -> None:
        super().__init__(f"{field} {sentence}")
        self.field = field
        self.value = shorten(value)


def shorten(value: object, limit: int = 80) -> object:
    """Return `value` fit for a message: a long string or anything nested becomes at most `limit` characters of text."""
    if isinstance(value, (bool, int, float, type(None))):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
