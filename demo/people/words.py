"""The words of this world, for its tokenizer."""

from dataclasses import asdict
from pathlib import Path

from ..tokenizer import write_tokenizer
from .captions import words
from .clip import TEXT


def write_files(folder: Path) -> None:
    """Write the tokenizer and the text tower's configuration as transformers reads them."""
    write_tokenizer(folder, words(), asdict(TEXT))
