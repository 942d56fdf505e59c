"""The words that every version understands alike: what was a filter before there was a language.

A filter lies in Redis with its job, and workers of several versions may read it. What means the same to all is written
as that text. All else is written so that a version without the language finds no filter it can read, and leaves the
job: `NOT invoice` was once two words to look for, and would have it act on what was not meant.
"""

from __future__ import annotations

import shlex

from tq_core.query.keys import PLAIN_KEYS
from tq_core.query.tree import And, Node, Term


def is_plain(text: str, node: Node) -> bool:
    """Whether a version without the language reads the same in the text."""
    terms = node.parts if isinstance(node, And) else (node,)
    meant = [(term.key, term.value) for term in terms if isinstance(term, Term) and term.operator == ":"]
    return len(meant) == len(terms) and meant == _words_before(text)


def _words_before(text: str) -> list[tuple[str, str]] | None:
    """The words as they were read before; None where they were refused."""
    try:
        parts = shlex.split(text)
    except ValueError:
        return None
    words = []
    for part in parts:
        key, colon, value = part.partition(":")
        if (not colon and part in PLAIN_KEYS) or (colon and not (key in PLAIN_KEYS and value)):
            return None
        words.append((key, value) if colon else ("", part))
    return words
