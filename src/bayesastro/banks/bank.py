"""`Bank`: simulations for neural inference, on disk or in memory."""

import functools
import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr

from bayesastro.banks.identity import differences, program_identity_of
from bayesastro.banks.reading import Arrays, Index, Reader
from bayesastro.banks.rows import parameters_at
from bayesastro.banks.statistics import BankMoments, Failures, failures_of, labels_of, listed, moments_of
from bayesastro.banks.store import header_of, open_group
from bayesastro.hints import told
from bayesastro.problem import Problem

__all__ = ["Bank"]


class Bank:
    """Simulations of a program: unconstrained coordinates of its parameters, and what it observes.

    Made by :func:`simulate`, :meth:`from_arrays` or :meth:`open`. Simulations that failed stay in it as they are, and
    are left out of :meth:`batches`, :meth:`split` and :meth:`moments`. Entries that a site's mask leaves out are 0.

    Attributes
    ----------
    path : Path or None
        None in memory.
    fingerprint : str
        Of the program and its arguments; the same for all seeds and observed values.
    seed : int or None
        None where the rows were given.
    within : dict of str to [lower, upper]
        Bounds between which the prior was drawn from, by latent site; empty if it was all of it.
    shapes : dict of str to tuple of int
        Shape of one row of each observed site.
    masks : dict of str to array
        Of the observed sites that have one, True where a value counts.
    labels : list of str
        A name for each coordinate.
    """

    def __init__(self, group: zarr.Group, path: Path | None, num: int | None = None) -> None:
        self._header, self.path = header_of(group, path), path
        self._reader = Reader(group, self._header, path, num)
        self.fingerprint = self._header.fingerprint
        self.seed: int | None = self._header.identity["seed"]
        self.within: dict[str, Any] = self._header.identity["within"]
        self.shapes = self._reader.shapes
        self.masks = self._reader.masks
        self.labels = labels_of((name, tuple(shape)) for name, shape in self._header.coordinates)

    @classmethod
    def open(cls, path: str | Path) -> "Bank":
        """The bank at `path`, with the rows that are complete now.

        Raises
        ------
        FileNotFoundError
            If nothing is there.
        ValueError
            If it is no bank, another version's, or damaged.
        """
        return cls(open_group(Path(path)), Path(path))

    @classmethod
    def from_arrays(
        cls,
        problem: Problem,
        parameters: Mapping[str, Any],
        observed: Mapping[str, Any],
        path: str | Path | None = None,
    ) -> "Bank":
        """A bank of simulations made elsewhere.

        Parameters
        ----------
        problem : Problem
            Its priors give the parameters' coordinates; what its program observes is not run.
        parameters : mapping of str to array, shape (row, ...)
            Values of every latent site. Rows with values that are not finite are kept, and count as failed.
        observed : mapping of str to array, shape (row, ...)
            Values of every observed site. Arrays are read in slices, so that they may be memory-mapped.
        path : path, optional
            Where to keep the bank; nothing may be there. Without it, in memory.

        Raises
        ------
        ValueError
            If a name or a shape is not the program's, numbers of rows differ, a parameter lies outside its prior's
            support, or `path` exists.
        TypeError
            If values are no real numbers.

        Examples
        --------
        >>> import numpy as np, numpyro, numpyro.distributions as dist
        >>> import bayesastro as ba
        >>> def program():
        ...     rate = numpyro.sample("rate", dist.LogUniform(0.1, 10.0))
        ...     numpyro.sample("counts", dist.Poisson(rate).expand([4]).to_event(1))
        >>> problem = ba.Problem(program, observed={"counts": np.ones(4)})
        >>> random = np.random.default_rng(1)
        >>> rate = np.exp(random.uniform(np.log(0.1), np.log(10.0), 100))
        >>> ba.Bank.from_arrays(problem, {"rate": rate}, {"counts": random.poisson(rate[:, None], (100, 4))})
        Bank(100 rows of `program`: 1 coordinate; observed counts[4]; 0 failed)
        """
        from bayesastro.banks.arrays import stored  # which makes banks

        return stored(problem, parameters, observed, None if path is None else Path(path))

    def __len__(self) -> int:
        return self._reader.num_rows

    def __repr__(self) -> str:
        observed = ", ".join(f"{name}{list(shape) or ''}" for name, shape in self.shapes.items())
        number = len(self.labels)
        return (
            f"Bank({len(self)} rows of `{self._header.identity['program']}`: {number} coordinate{'s' * (number != 1)}; "
            f"observed {observed}; {self.num_failed} failed{f'; within {self.within}' if self.within else ''})"
        )

    def summary(self) -> str:
        """Size, failures and constant columns in a few lines. Reads the bank once."""
        place = "in memory" if self.path is None else f"at `{self.path}`"
        made = "given" if self.seed is None else f"seed {self.seed}"
        constant = self.moments().constant
        lines = [repr(self), f"{place}, {made}"]
        if self.num_failed:
            lines.append(self._failures().text)
        if constant:
            lines.append(f"The same in all rows: {listed(constant)}.")
        return "\n".join(lines)

    @functools.cached_property
    def is_failed(self) -> np.ndarray:
        """Whether a simulation has a value that is not finite; of masked entries those do not count."""
        return self._reader.is_failed()

    @property
    def num_failed(self) -> int:
        """Number of simulations that failed."""
        return int(self.is_failed.sum())

    def rows(self, index: Index) -> Arrays:
        """Rows as they are, failed ones too.

        Parameters
        ----------
        index : slice, array of int, or array of bool
            An array of bool has one entry for each row of the bank.

        Returns
        -------
        coordinates : array, shape (row, coordinate)
        observed : dict of str to array, shape (row, ...)

        Raises
        ------
        IndexError
            If there is no such row.
        """
        return self._reader.rows(self._reader.place(index))

    def parameters(self, problem: Problem, index: Index) -> dict[str, np.ndarray]:
        """Values of the latent sites; `index` as for :meth:`rows`, and `problem` as for :meth:`check`."""
        self.check(problem)
        return parameters_at(problem, self._reader.coordinates(self._reader.place(index)))

    def batches(
        self,
        batch_size: int,
        *,
        seed: int | Sequence[int] | None,
        among: np.ndarray | None = None,
        drop_last: bool = False,
    ) -> Iterator[Arrays]:
        """Batches of rows that did not fail, each row once, in bounded memory.

        Shuffled, the bank's chunks are read in random order, several at a time, and batches drawn from these; the same
        seed gives the same batches. Give each epoch its own: ``seed=(seed, epoch)``.

        Parameters
        ----------
        batch_size : int
        seed : int, sequence of int or None
            None for the order of the bank.
        among : array of bool, shape (row,), optional
            Only these rows; see :meth:`split`.
        drop_last : bool
            Leave out the last batch where it is smaller.

        Yields
        ------
        coordinates : array, shape (batch_size, coordinate)
        observed : dict of str to array, shape (batch_size, ...)
        """
        if not isinstance(batch_size, int | np.integer) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f"`batch_size` must be a whole number of at least 1, but {told(batch_size)} came.")
        random = None if seed is None else np.random.default_rng(seed)
        return self._reader.batches(int(batch_size), random, self._usable(among), drop_last)

    def split(self, validation_fraction: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Which rows to train on, and which to validate with.

        Parameters
        ----------
        validation_fraction : float
            Between 0 and 1.
        seed : int
            Whether a row validates depends on it and the row's number alone: rows that are appended change no others.

        Returns
        -------
        training, validation : array of bool, shape (row,)
            Both without the rows that failed.
        """
        if not 0 < validation_fraction < 1:
            raise ValueError(f"`validation_fraction` must lie between 0 and 1, but {told(validation_fraction)} came.")
        validates = np.random.default_rng(seed).random(len(self)) < validation_fraction
        return ~validates & ~self.is_failed, validates & ~self.is_failed

    def moments(self, among: np.ndarray | None = None) -> BankMoments:
        """Means, standard deviations and ranges over the rows that did not fail, in double precision.

        Parameters
        ----------
        among : array of bool, shape (row,), optional
            Only these rows; see :meth:`split`.
        """
        usable = self._usable(among)
        return moments_of(
            (self._reader.joined(window, usable) for window in self._reader.windows(None)), self.labels, self.shapes
        )

    def failure_rates(self, num_bins: int = 5) -> pd.DataFrame:
        """Fraction of failed simulations by parameter.

        Parameters
        ----------
        num_bins : int
            Bins of equally many rows, from the lowest values of a coordinate to the highest.

        Returns
        -------
        pandas.DataFrame
            Coordinates by bins. Rows whose coordinate is not finite are in none; NaN where a bin is empty.

        Raises
        ------
        ValueError
            If `num_bins` is not a whole number of at least 2.
        """
        if not isinstance(num_bins, int | np.integer) or num_bins < 2:
            raise ValueError(f"`num_bins` must be a whole number of at least 2, but {told(num_bins)} came.")
        return self._failures(int(num_bins)).rates

    def require_whole(self, function: str) -> None:
        """Raise if the rows are of a part of the prior only.

        Raises
        ------
        ValueError
        """
        if self.within:
            raise ValueError(
                f"`{function}` needs draws from the whole prior, but the bank is of the part within {self.within}. Simulate "
                "without `within=`; `NLE`, `NRE` and `TMNRE` can keep to a part."
            )

    def warn_failures(self) -> None:
        """Warn, in one sentence, of simulations that failed: how many, and where among the parameters."""
        if self.num_failed:
            warnings.warn(self._failures().text, UserWarning, stacklevel=2)

    def _failures(self, num_bins: int = 5) -> Failures:
        def parts() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for place in itertools.chain.from_iterable(self._reader.windows(None)):
                yield self._reader.coordinates(place), self.is_failed[place]

        return failures_of(parts(), self.labels, num_bins)

    def check(self, problem: Problem) -> None:
        """Raise unless the bank's rows are of the problem's program and arguments.

        Raises
        ------
        ValueError
            Says what differs. Observed values, seed and precision do not count.
        """
        what = differences(self._header.identity, program_identity_of(problem))
        if what:
            raise ValueError(
                f"The bank{'' if self.path is None else f' `{self.path}`'} is of {' and '.join(what)}. Simulate the "
                "problem to a bank of its own."
            )

    def _usable(self, among: np.ndarray | None) -> np.ndarray:
        if among is None:
            return ~self.is_failed
        among = np.asarray(among)
        if among.dtype != bool or among.shape != (len(self),):
            raise ValueError(
                f"`among` must be an array of bool of shape ({len(self)},), but one of {among.dtype} of shape "
                f"{among.shape} came."
            )
        return among & ~self.is_failed
