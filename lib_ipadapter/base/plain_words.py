"""Removes from a sentence what a person may have written: names, paths, prompts.

Nothing is recognised as private; only what the extension's own code says is kept. So what nobody thought of goes too.
"""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

GONE = "…"
"""Stands for what was removed."""

LIBRARY = Path(__file__).resolve().parents[1]
QUOTED = re.compile(r"\"[^\"]*(\"|$)|“[^”]*(”|$)|`[^`]*(`|$)|'[^'\s][^']*'")
PATHS = re.compile(r"\S*[/\\].*?(?=[.:;,] [A-Z]|$)", re.DOTALL)
"""From the first word with a slash to the end of the sentence, because folders have spaces and full stops too."""
WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
NUMBER = re.compile(r"\d[\d.,×]*")
TOKEN = re.compile(r"[\w@$#&~%+=^.'’×-]+")
MOST_DIGITS = 6
"""Digits of a number that is kept; longer ones may be a seed, a telephone number, or part of a hash."""


@functools.cache
def vocabulary() -> frozenset[str]:
    """Return every word in the sentences of the library's code, in lower case."""
    return frozenset(word.lower() for text in _texts() for word in WORD.findall(text))


@functools.cache
def _texts() -> frozenset[str]:
    return frozenset(text for path in LIBRARY.rglob("*.py") for text in _texts_of(path))


def _texts_of(path: Path) -> Iterator[str]:
    """Yield the texts in a module, without those that only explain it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def plain(sentence: str, names: tuple[str, ...] = ()) -> str:
    """Return a sentence with `GONE` in place of quotations, paths, file names, `names`, and words of other origin."""
    for name in sorted(filter(None, names), key=len, reverse=True):
        sentence = re.sub(re.escape(name), GONE, sentence, flags=re.IGNORECASE)
    sentence = PATHS.sub(GONE, QUOTED.sub(GONE, sentence))
    kept = TOKEN.sub(lambda found: found[0] if _is_own(found[0]) else GONE, sentence)
    return re.sub(rf"{GONE}(?:\s*[,;:()]?\s*{GONE})+", GONE, kept)


def _is_own(token: str) -> bool:
    token = token.rstrip(".'’")
    if NUMBER.fullmatch(token):
        return sum(letter.isdigit() for letter in token) <= MOST_DIGITS
    return not token or (WORD.fullmatch(token) is not None and token.lower() in vocabulary()) or token in _codes()


@functools.cache
def _codes() -> frozenset[str]:
    """Return names with digits or signs that the code has, such as base models and fields."""
    return frozenset(token.rstrip(".'’") for text in _texts() for token in TOKEN.findall(text) if not _is_file(token))


def _is_file(token: str) -> bool:
    return re.search(r"\.\w{2,}$", token) is not None
