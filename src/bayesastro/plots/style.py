"""What all pictures share: colours, and names of axes."""

import re

__all__ = ["COLORS", "axis_label", "colors"]

COLORS = ("#1b5e9b", "#d1602d", "#3a8f5c", "#7a4b9a", "#8a6d3b")
"""Line colours that stay apart for colour-blind readers and in print."""

GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega"
    "|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Upsilon|Phi|Psi|Omega"
)

SYMBOL = re.compile(r"([A-Za-z]+?)(\d*)(?:_([A-Za-z0-9_]+))?")


def colors(number: int) -> list[str]:
    """So many colours, from the first again after the last."""
    return [COLORS[i % len(COLORS)] for i in range(number)]


def axis_label(name: str, unit: str = "") -> str:
    r"""Name of a variable for an axis: LaTeX if it is a symbol, with its unit in brackets.

    Symbols are single letters and the names of Greek ones, with digits and what follows an underscore as indices.

    Examples
    --------
    >>> from bayesastro.plots import axis_label
    >>> axis_label("Omega_m"), axis_label("H0", "km / (s Mpc)"), axis_label("source_R", "arcsec")
    ('$\\Omega_{m}$', '$H_{0}$ [km / (s Mpc)]', 'source_R [arcsec]')
    """
    base, bracket, entry = name.partition("[")
    match = SYMBOL.fullmatch(base)
    is_greek = bool(match and GREEK.fullmatch(match[1]))
    if match and (is_greek or len(match[1]) == 1):
        letter = f"\\{match[1]}" if is_greek else match[1]
        index = ",".join(part for part in (match[2], (match[3] or "").replace("_", r"\_")) if part)
        base = f"${letter}_{{{index}}}$" if index else f"${letter}$"
    return base + bracket + entry + (f" [{unit}]" if unit else "")
