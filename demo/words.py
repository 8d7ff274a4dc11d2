"""The words of the drawn world, for its tokenizer."""

from pathlib import Path

from .networks import TEXT
from .tokenizer import write_tokenizer
from .world import CAPTIONS


def write_files(folder: Path) -> None:
    """Write the tokenizer and the text tower's configuration as transformers reads them."""
    write_tokenizer(folder, {word for text in CAPTIONS for word in text.split()}, TEXT)
