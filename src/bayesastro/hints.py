"""Words of messages: what a misspelt name may have meant, and what came, in brief."""

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = ["did_you_mean", "shortened", "told"]

ELSEWHERE = {"num_samples": "num_draws", "n_samples": "num_draws", "tune": "num_warmup", "burn_in": "num_warmup"}
"""What other packages call that which has another name here."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The question after a sentence, with a space before it; empty if nothing is near. Case does not matter.

    Examples
    --------
    >>> did_you_mean("num_draw", ["num_chains", "num_draws"])
    ' Did you mean `num_draws`?'
    """
    folded = {other.casefold(): other for other in known}
    if (here := ELSEWHERE.get(name.casefold())) in folded:
        return f" Did you mean `{here}`?"
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" Did you mean `{folded[near[0]]}`?" if near else ""


def shortened(text: str, most: int = 80) -> str:
    """A text in one line of at most so many characters."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


def told(value: Any) -> str:
    """A value in a few words: an array by shape and dtype, a table or a tree by its type, all else as Python writes it.

    Examples
    --------
    >>> import numpy as np
    >>> told(np.zeros(3))
    'an array of shape (3,) and dtype `float64`'
    >>> told("half")
    "'half'"
    """
    shape, name = getattr(value, "shape", None), type(value).__name__
    if hasattr(value, "dtype") and isinstance(shape, tuple) and shape:
        kind = "an array" if name in ("ndarray", "ArrayImpl") else f"a `{name}`"
        return f"{kind} of shape {shape} and dtype `{value.dtype}`"
    if name in _LONG:
        return f"a `{name}`"
    return shortened(repr(value))


_LONG = ("Bank", "DataFrame", "DataTree", "Dataset", "QTable", "Table")
"""Types whose text goes over many lines."""
