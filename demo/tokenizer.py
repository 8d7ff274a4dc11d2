"""CLIP's byte-pair tokenizer with a vocabulary that is just large enough for some words and a prompt's punctuation.

Its files are those of transformers' CLIPTokenizer, which web UIs use. `Tokenizer` returns the same numbers.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

TOKENS = 77
"""Tokens of a text, as Stable Diffusion 1 takes it."""
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
PIECES = re.compile(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|[^\s\w]+|_+")
"""How CLIP splits a text before it merges letters; each digit is on its own."""

Pair = tuple[str, str]


def byte_letters() -> dict[int, str]:
    """Return the letter that stands for each byte, in the order of CLIP's vocabulary (GPT-2's table)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + n) for n, byte in enumerate(hidden)}


def learn_merges(words: Iterable[str]) -> list[Pair]:
    """Return merges, most common pair first, that make each word one token."""
    spelled = [split(word) for word in sorted(words)]
    merges: list[Pair] = []
    while pairs := Counter(pair for letters in spelled for pair in itertools.pairwise(letters)):
        best = max(sorted(pairs), key=lambda pair: pairs[pair])
        merges.append(best)
        spelled = [merge(letters, best) for letters in spelled]
    return merges


def split(word: str) -> list[str]:
    """Return a word's letters, the last one marked as the word's end."""
    return [*word[:-1], word[-1] + WORD_END]


def merge(letters: list[str], pair: Pair) -> list[str]:
    """Return the letters with every occurrence of `pair` merged."""
    merged: list[str] = []
    for letter in letters:
        if merged and (merged[-1], letter) == pair:
            merged[-1] += letter
        else:
            merged.append(letter)
    return merged


def write_tokenizer(folder: Path, words: Iterable[str], sizes: Mapping[str, int]) -> None:
    """Write a tokenizer for these words and the text tower's configuration, as transformers reads them.

    `sizes` are the tower's width, mlp, layers and heads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges({piece for word in words for piece in PIECES.findall(word)})
    letters = byte_letters().values()
    tokens = [*letters, *(letter + WORD_END for letter in letters), *("".join(pair) for pair in merges), START, END]
    config = {
        "architectures": ["CLIPTextModel"],
        "model_type": "clip_text_model",
        "vocab_size": len(tokens),
        "hidden_size": sizes["width"],
        "intermediate_size": sizes["mlp"],
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": sizes["heads"],
        "max_position_embeddings": TOKENS,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        "bos_token_id": tokens.index(START),
        "eos_token_id": tokens.index(END),
        "pad_token_id": tokens.index(END),
    }
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS, "do_lower_case": True, **special}
    files = {
        "vocab.json": {token: number for number, token in enumerate(tokens)},
        "config.json": config,
        "tokenizer_config.json": settings,
        "special_tokens_map.json": special,
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


class Tokenizer:
    """Texts to token numbers, as Stable Diffusion 1 takes them: 77, padded with the end token."""

    def __init__(self, folder: Path) -> None:
        self.vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()[1:]
        self._merges = [(first, second) for first, second in (line.split() for line in lines)]
        self._letters = byte_letters()
        self.end = self.vocabulary[END]
        self._known: dict[str, list[int]] = {}

    def __call__(self, texts: Iterable[str]) -> Tensor:
        """Return (texts, 77) token numbers; a longer text is cut."""
        return torch.tensor([self._padded(self.numbers(text)) for text in texts])

    def numbers(self, text: str) -> list[int]:
        """Return a text's token numbers, without start and end."""
        return [number for piece in PIECES.findall(text.lower()) for number in self._of_piece(piece)]

    def _of_piece(self, piece: str) -> list[int]:
        if piece not in self._known:
            self._known[piece] = self._merged(piece)
        return self._known[piece]

    def _merged(self, piece: str) -> list[int]:
        letters = split("".join(self._letters[byte] for byte in piece.encode()))
        for pair in self._merges:
            letters = merge(letters, pair)
        return [self.vocabulary[letter] for letter in letters]

    def _padded(self, numbers: list[int]) -> list[int]:
        whole = [self.vocabulary[START], *numbers[: TOKENS - 2]]
        return whole + [self.end] * (TOKENS - len(whole))
