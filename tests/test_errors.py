"""Errors say what to do, whatever values their sentences contain."""

import pytest

from lib_ipadapter.base.errors import IPAdapterError


@pytest.mark.parametrize(
    ("sentence", "remedy"),
    [
        ("It is missing. Put it there. Press refresh.", "Put it there. Press refresh."),
        ("weight must be a number from -5 to 5, not 9.", "weight must be a number from -5 to 5, not 9."),
        ('model "Anna. Bert" is not a file that was found. Press refresh.', "Press refresh."),
        (r'name "a \". B" is taken. Choose another one.', "Choose another one."),
        ("m.bin is for SDXL. Choose another one.", "Choose another one."),
    ],
)
def test_the_remedy_is_what_follows_the_first_sentence(sentence: str, remedy: str) -> None:
    assert IPAdapterError(sentence).remedy == remedy
