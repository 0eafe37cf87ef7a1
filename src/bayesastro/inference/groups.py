"""Data that come in by groups: their numbers checked, and which data each group has."""

import numpy as np

__all__ = ["KNOWN", "checked_groups", "members_of"]

KNOWN = -2
"""Group of data that the particles to start from have seen."""


def checked_groups(numbers: np.ndarray, shape: tuple[int, ...], site: str, is_resumed: bool) -> np.ndarray:
    """Numbers of groups, one for each datum.

    Raises
    ------
    ValueError
        If they are not that.
    """
    if numbers.shape != shape or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"`group` must hold a whole number for each datum of `{site}`, whose shape is {shape}, but an array of "
            f"{numbers.dtype} of shape {numbers.shape} came."
        )
    if numbers.size == 0 or numbers.min() < (KNOWN if is_resumed else -1) or numbers.max() < 0:
        raise ValueError(
            "`group` must number groups from 0, with -1 for data to leave out and -2 for those that `start` has seen, and "
            "have one at least."
        )
    return numbers


def members_of(numbers: np.ndarray) -> np.ndarray:
    """Places of the data of each group, shape (dataset, group, place); of none, the number of data.

    Both numbers, of groups and of places, are powers of two, lest every length be compiled for.
    """
    num_sets, num_data = numbers.shape
    sizes = np.zeros((num_sets, numbers.max() + 1), int)
    rows, places = np.nonzero(numbers >= 0)
    np.add.at(sizes, (rows, numbers[rows, places]), 1)
    shape = (1 << int(size - 1).bit_length() for size in (sizes.shape[1], sizes.max()))
    members = np.full((num_sets, *shape), num_data)
    filled = np.zeros_like(sizes)
    for row, place in zip(rows, places, strict=True):
        g = numbers[row, place]
        members[row, g, filled[row, g]] = place
        filled[row, g] += 1
    return members
