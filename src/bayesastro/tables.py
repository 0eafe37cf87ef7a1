"""Tables that print whole, however narrow the terminal."""

import html
import shutil
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["CUT", "NOTES", "Table"]

CUT = "cut"
"""The key of `attrs` under which a table names the arrays that it prints the first rows of alone, and how to see the others."""

NOTES = "notes"
"""The key of `attrs` for sentences that stand below the table in print."""

MOST_ROWS = 10
"""Rows of such an array that are printed."""

LEAST_ROOM = 30
"""Characters of a line that a column of sentences needs."""


class Table(pd.DataFrame):
    """A `pandas.DataFrame` of which no column is left out in print.

    A sentence that all rows of a column share is told once, below, and a column in which nothing is said not at all. Where the
    table is wider than the terminal, sentences of the last column are wrapped and what names of columns begin with in common
    stands above them; if that is not enough, columns come below each other.

    Where ``attrs["cut"]`` names arrays, only the first ten of their rows, such as ``a[3]``, are printed; what it says of an array
    tells how to see the others. The table itself has all rows. Sentences in ``attrs["notes"]`` are printed below.

    Examples
    --------
    >>> table = Table({"mean": [0.561], "sd": [0.409], "mcse_mean": [0.011], "mcse_sd": [0.008]}, index=["a"])
    >>> print(table.whole(32))
                      mcse
        mean     sd   mean     sd
    a  0.561  0.409  0.011  0.008
    """

    @property
    def _constructor(self) -> Callable[..., "Table"]:
        return Table

    def __repr__(self) -> str:
        return self.whole(shutil.get_terminal_size().columns)

    __str__ = __repr__

    def _repr_html_(self) -> str | None:
        """For notebooks: the same rows."""
        shown, below = self._shown()
        frame: Any = pd.DataFrame(shown)
        with self._rows_option():
            page = frame._repr_html_()
        return page and "".join([page, *(f"<p>{html.escape(line)}</p>" for line in below)])

    def whole(self, width: int) -> str:
        """The table as text in lines of so many characters; where there are more rows than pandas shows, the first and the last."""
        if CUT in self.attrs or NOTES in self.attrs:
            shown, below = self._shown()
            with self._rows_option():
                return "\n".join([shown.whole(width), *(_wrapped(line, width) for line in below)])
        shared = self._shared()
        if shared:
            below = [_wrapped(f"{n}: {told}", width) for n, told in shared.items() if told]
            return "\n".join([self.drop(columns=list(shared)).whole(width), *below])
        most = pd.get_option("display.max_rows")
        is_cut = most is not None and 0 < most < len(self)
        rows: dict[str, Any] = {
            "max_rows": most,
            "min_rows": pd.get_option("display.min_rows"),
            "show_dimensions": True,
        }
        rows = rows if is_cut else {}
        text = self.to_string(**rows)
        if _width(text) <= width or not len(self):
            return _stripped(text)
        if not is_cut and (wrapped := self._with_sentences(width)):
            return wrapped
        text = self._stacked().to_string(formatters=self._formatters(), **rows)
        return _stripped(text if _width(text) <= width else self.to_string(line_width=width, **rows))

    def _shown(self) -> tuple["Table", list[str]]:
        """Without rows of arrays beyond their first ten; and what to say below, of these and else."""
        cut: dict[str, str] = self.attrs.get(CUT, {})
        arrays = [str(row).rpartition("[")[0] for row in self.index]
        place = {name: [i for i, array in enumerate(arrays) if array == name] for name in cut}
        left_out = {i for rows in place.values() for i in rows[MOST_ROWS:]}
        shown = self.iloc[[i for i in range(len(self)) if i not in left_out]]
        shown.attrs = {key: value for key, value in self.attrs.items() if key not in (CUT, NOTES)}
        more = {name: len(rows) - MOST_ROWS for name, rows in place.items() if len(rows) > MOST_ROWS}
        lines = [f"{number} more rows of `{name}`: {cut[name]}" for name, number in more.items()]
        return shown, [*lines, *self.attrs.get(NOTES, [])]

    def _rows_option(self) -> AbstractContextManager[None]:
        """All rows that are left after the cut, or as many as pandas shows."""
        return pd.option_context("display.max_rows", None if CUT in self.attrs else pd.get_option("display.max_rows"))

    def _shared(self) -> dict[str, str]:
        """Columns in which all rows that say anything say the same sentence, or none says anything."""
        found = {}
        for name in self.columns[1:]:
            if all(isinstance(text, str) for text in self[name].tolist()):
                told = {text for text in self[name] if text}
                num_telling = sum(map(bool, self[name].tolist()))
                if not told or (len(told) == 1 and len(*told) > LEAST_ROOM and num_telling > 1):
                    found[name] = "".join(told)
        return found

    def _with_sentences(self, width: int) -> str | None:
        """With the last column wrapped, if it is one of sentences and there is room for it."""
        if len(self.columns) < 2 or pd.api.types.is_numeric_dtype(self.iloc[:, -1]):
            return None
        left = self.iloc[:, :-1].to_string().splitlines()
        start = max(map(len, left)) + 2
        if width - start < LEAST_ROOM:
            return None
        cells = [[str(self.columns[-1])], *([""] for _ in range(len(left) - len(self) - 1))]
        cells += [
            textwrap.wrap(str(sentence), width - start, break_on_hyphens=False) or [""] for sentence in self.iloc[:, -1]
        ]
        return _stripped(
            "\n".join(
                f"{beside if i == 0 else '':<{start}}{line}"
                for beside, cell in zip(left, cells, strict=True)
                for i, line in enumerate(cell)
            )
        )

    def _stacked(self) -> pd.DataFrame:
        """With two lines of names, the upper one for what several begin with."""
        names = [str(name) for name in self.columns]
        heads = [name.rpartition("_")[0] for name in names]
        pairs = [
            (h, n[len(h) + 1 :]) if heads.count(h) > 1 and h else ("", n) for h, n in zip(heads, names, strict=True)
        ]
        stacked = pd.DataFrame(self)
        stacked.columns = pd.MultiIndex.from_tuples(pairs)
        return stacked

    def _formatters(self) -> Any:
        """Of columns of whole numbers such as sample sizes: without decimal places."""
        values = [self.iloc[:, i] for i in range(len(self.columns))]
        return [
            (lambda value: f"{value:.0f}") if v.dtype.kind == "f" and (v == np.round(v)).all() and v.max() > 1 else None
            for v in values
        ]


def _wrapped(sentence: str, width: int) -> str:
    return textwrap.fill(sentence, max(width, LEAST_ROOM), break_on_hyphens=False)


def _width(text: str) -> int:
    return max(map(len, text.splitlines()), default=0)


def _stripped(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines())
