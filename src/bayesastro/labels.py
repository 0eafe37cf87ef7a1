"""Names for the scalars of named arrays, and lists of names for messages."""

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["labels_of", "listed"]

MOST_LISTED = 8


def labels_of(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> list[str]:
    """A name for each scalar of the named shapes."""
    return [
        f"{name}[{', '.join(map(str, index))}]" if index else name
        for name, shape in shapes
        for index in np.ndindex(shape)
    ]


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
