"""What a misspelt name may have meant."""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The question after a sentence, with a space before it; empty if nothing is near.

    Examples
    --------
    >>> did_you_mean("num_draw", ["num_chains", "num_draws"])
    ' Did you mean `num_draws`?'
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean `{near[0]}`?" if near else ""
