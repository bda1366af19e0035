"""A fingerprint that two people can compare on the phone."""

from __future__ import annotations

import hashlib

CONSONANTS, VOWELS = "bdfghjklmnprstvz", "aiou"
BYTES = 16  # of the digest: whoever wants to pass for another has to find one in 2**128


def spoken(content: bytes) -> str:
    """The SHA-256 of ``content``, cut to 128 bits, as eight words that can be pronounced.

    Each word stands for 16 bits: a consonant for 4, a vowel for 2, by turns (D. S. Wilkerson, "A Proposal for
    Proquints", 2009).
    """
    digest = hashlib.sha256(content).digest()[:BYTES]
    return " ".join(word(int.from_bytes(digest[start : start + 2])) for start in range(0, BYTES, 2))


def word(number: int) -> str:
    """The word of a ``number`` of 16 bits."""
    letters = ""
    for shift, alphabet in ((12, CONSONANTS), (10, VOWELS), (6, CONSONANTS), (4, VOWELS), (0, CONSONANTS)):
        letters += alphabet[number >> shift & len(alphabet) - 1]
    return letters
