"""A posterior that follows its data as they come in, and what it predicted of each datum before it came.

Particles are weighted by every new group of data; when too few carry the weight they are resampled and moved, by
Hamiltonian moves that leave the posterior of the data so far unchanged. Nothing is fitted anew, and the same compiled
function serves all data sets of equal shapes.

References
----------
Chopin 2002, Biometrika 89, 539 (iterated batch importance sampling); Dawid 1984, J. R. Stat. Soc. A 147, 278 (what one-step-
ahead predictions say of a model).
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from blackjax.smc.resampling import systematic
from jax.scipy.special import logsumexp

from bayesastro.batch import Batch
from bayesastro.hints import told
from bayesastro.inference.engine import require_positive
from bayesastro.inference.groups import KNOWN, checked_groups, members_of
from bayesastro.inference.moves import hamiltonian_moves
from bayesastro.inference.one_step_ahead import foreseen, likelihoods, predicted
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem, Views
from bayesastro.program import Data, data_set
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["Sequential"]

BISECTIONS = 30
"""Of the fraction of a group's likelihood that keeps enough particles: to one part in 10⁹."""


class _Particles(NamedTuple):
    """To start from: positions of equal weight."""

    positions: Any
    step_size: Any


class _Population(NamedTuple):
    positions: jax.Array
    log_weight: jax.Array
    step_size: jax.Array


class _Bridge(NamedTuple):
    """On the way from the posterior before a group of data to that after it."""

    population: _Population
    gain: jax.Array
    """Log-likelihood of the group by each particle."""
    fraction: jax.Array
    log_evidence: jax.Array
    num_moves: jax.Array


@dataclass(frozen=True, kw_only=True)
class Sequential:
    """Sequential Monte Carlo over data.

    Parameters
    ----------
    num_particles : int
        An even number. The error of the log-evidence falls as its square root.
    target_ess : float
        Particles are resampled and moved when fewer than this fraction of them carry the weight; a group of data that
        would leave fewer comes in by degrees.
    num_moves : int
        Hamiltonian moves after a resampling.
    max_leapfrog : int
        Steps of a move.

    References
    ----------
    Chopin 2002, Biometrika 89, 539; Del Moral, Doucet & Jasra 2006, J. R. Stat. Soc. B 68, 411.
    """

    num_particles: int = 1000
    target_ess: float = 0.5
    num_moves: int = 3
    max_leapfrog: int = 16

    def __post_init__(self) -> None:
        require_positive(self, "num_particles", "num_moves", "max_leapfrog")
        if self.num_particles % 2 or self.num_particles < 10:
            raise ValueError(
                f"`Sequential` needs an even `num_particles` of at least 10, but {self.num_particles} came."
            )
        if not 0 < self.target_ess < 1:
            raise ValueError(f"`Sequential` needs `target_ess` between 0 and 1, but {told(self.target_ess)} came.")

    @asks_for("seed")
    def follow(
        self, problem: Problem, group: Any, *, seed: int, site: str | None = None, start: xr.Dataset | None = None
    ) -> xr.Dataset:
        """Take the data in one group after the other.

        Parameters
        ----------
        problem : Problem
        group : array of int, shape (datum,)
            Number of the group that a datum of the site comes in with, from 0; −1 leaves it out. Data of one group are
            predicted from those before it.
        seed : int
        site : str, optional
            The observed site that comes in; by default the only one. Other sites are known from the beginning.
        start : Dataset, optional
            What an earlier call returned, from whose particles to go on. The data that it has seen have group −2.

        Returns
        -------
        Dataset
            By ``datum``: ``log_predictive``, log-density of the datum given those of earlier groups; ``pit``, the
            probability predicted of a smaller one (NaN where the family has no distribution function), with a uniform
            part of the probability of the value itself where it has one, so that it is uniform under the model;
            ``mean`` and ``sd`` predicted; ``atom_low`` and ``atom_high``, the predicted probabilities below, and up to
            and at, the one value with a probability of its own (`atom` of the family; both NaN without). By ``group``:
            ``log_evidence``, of its data given earlier ones; ``ess``, effective particles after it; ``num_moves``. And
            ``coordinates`` of the particles at the end, of equal weight, and the ``step_size`` of their moves.

        Raises
        ------
        ValueError
            If the problem cannot be followed, or `group` is not as it should be.
        """
        seed = checked_seed(seed)
        name = self._checked(problem, site)
        numbers = checked_groups(np.asarray(group), np.shape(problem.observed[name]), name, start is not None)
        particles = self._particles(start, problem, ())
        with working_precision("double"):
            run = _compiled(self, problem.views("double"), name, None)
            members = members_of(numbers[None])[0]
            key = jax.random.key(seed)
            found = to_numpy(run(key, problem.data, jnp.asarray(numbers), members, particles))
            return _as_dataset(found, (), int(numbers.max()) + 1)

    @asks_for("seed")
    def follow_many(
        self,
        batch: Batch,
        group: Any,
        *,
        seed: int,
        site: str | None = None,
        chunk: int = 64,
        start: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """The same for every data set of a batch, with one compiled function.

        What comes of a data set depends on `seed` and its number in the batch.

        Parameters
        ----------
        batch : Batch
            From :meth:`bayesastro.Problem.batch`.
        group : array of int, shape (dataset, datum)
            As for :meth:`follow`; −1 at padding.
        seed : int
        site : str, optional
        chunk : int
            Data sets in one call of the compiled function.
        start : Dataset, optional
            Of an earlier call with as many data sets.

        Returns
        -------
        Dataset
            As of :meth:`follow`, with a leading dimension ``dataset``.

        Raises
        ------
        ValueError
        """
        seed = checked_seed(seed)
        if chunk < 1:
            raise ValueError(f"`chunk` must be at least 1, but {told(chunk)} came.")
        name = self._checked(batch.problem, site)
        shape = (batch.size, *np.shape(batch.problem.observed[name]))
        numbers = checked_groups(np.asarray(group), shape, name, start is not None)
        particles = self._particles(start, batch.problem, (batch.size,))
        axes, parts, members = (batch.axes.arrays, tuple(batch.axes.observed.items())), [], members_of(numbers)
        with working_precision("double"):
            run, key = _compiled(self, batch.problem.views("double"), name, axes), jax.random.key(seed)
            for first in range(0, batch.size, chunk):
                here = np.arange(first, first + min(chunk, batch.size))
                padded = np.minimum(here, batch.size - 1)  # the last chunk is as long as the others
                keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.asarray(padded))
                begun = jax.tree.map(lambda a, padded=padded: a[padded], particles)
                groups = jnp.asarray(numbers[padded])
                found = to_numpy(run(keys, batch.take(padded), groups, members[padded], begun))
                used = here < batch.size
                parts.append(jax.tree.map(lambda a, used=used: a[used], found))
        return _as_dataset(
            jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts), ("dataset",), int(numbers.max()) + 1
        )

    def _particles(self, start: xr.Dataset | None, problem: Problem, leading: tuple[int, ...]) -> _Particles | None:
        if start is None:
            return None
        shape = (*leading, self.num_particles, problem.unconstrained.size)
        if start["coordinates"].shape != shape:
            raise ValueError(
                f"`start` must hold particles of shape {shape}, but they have {start['coordinates'].shape}. Follow with "
                "the same settings and program."
            )
        return _Particles(start["coordinates"].to_numpy(), start["step_size"].to_numpy())

    def _checked(self, problem: Problem, site: str | None) -> str:
        names = list(problem.observed)
        if site is None and len(names) != 1:
            raise ValueError(f"Say which observed site comes in by `site`: {names}.")
        name = names[0] if site is None else site
        if name not in names:
            raise ValueError(f"`{name}` is not observed; the observed sites are {names}.")
        for need, what in (("gradient", "a gradient of the log-density"), ("proper_prior", "a proper prior")):
            if need not in problem.provides:
                raise ValueError(f"`Sequential` needs {what}, but {problem.lacks[need]}.")
        if np.ndim(problem.observed[name]) != 1:
            raise ValueError(
                f"`Sequential` needs a vector of data, but `{name}` has shape {np.shape(problem.observed[name])}."
            )
        return name


def _as_dataset(found: Any, leading: tuple[str, ...], num_groups: int) -> xr.Dataset:
    by_datum, by_group, coordinates, step_size = found
    return xr.Dataset(
        {n: ((*leading, "datum"), v) for n, v in by_datum.items()}
        | {n: ((*leading, "group"), v[..., :num_groups]) for n, v in by_group.items()}
        | {"coordinates": ((*leading, "particle", "coordinate"), coordinates), "step_size": (leading, step_size)}
    )


@functools.lru_cache(maxsize=32)
def _compiled(settings: Sequential, views: Views, site: str, axes: tuple[Any, ...] | None) -> Any:
    """For one data set; with `axes`, as of a batch, for several."""

    def run(key: jax.Array, data: Data, group: jax.Array, members: jax.Array, particles: _Particles | None) -> Any:
        return _followed(settings, views, site, key, data, group, members, particles)

    if axes is None:
        return jax.jit(run)
    stacked = Data(axes[0], dict(axes[1]))

    def run_many(
        keys: jax.Array, data: Data, groups: jax.Array, members: jax.Array, particles: _Particles | None
    ) -> Any:
        # One after the other: side by side all would be moved whenever one of them has to be, and particles fill a device.
        def one(i: jax.Array) -> Any:
            begun = jax.tree.map(lambda a: a[i], particles)
            return run(keys[i], data_set(data, stacked, i), groups[i], members[i], begun)

        return jax.lax.map(one, jnp.arange(groups.shape[0]))

    return jax.jit(run_many)


def _followed(
    settings: Sequential,
    views: Views,
    site: str,
    key: jax.Array,
    data: Data,
    group: jax.Array,
    members: jax.Array,
    particles: _Particles | None,
) -> tuple[dict[str, jax.Array], dict[str, jax.Array], jax.Array, jax.Array]:
    chart, number, num_data = views.unconstrained, settings.num_particles, group.shape[0]
    key_start, key_steps, key_end, key_ties = jax.random.split(key, 4)
    if particles is None:
        positions = jax.vmap(chart.draw_prior, in_axes=(0, None))(jax.random.split(key_start, number), data)
        step_size = jnp.asarray(chart.size**-0.25, positions.dtype)
    else:
        positions, step_size = jnp.asarray(particles.positions), jnp.asarray(particles.step_size)
    likelihoods_of = functools.partial(likelihoods, views, site, data)
    ties = jax.random.uniform(key_ties, group.shape, positions.dtype)

    def taken(population: _Population, g: jax.Array) -> tuple[_Population, Any]:
        now = jnp.minimum(members[g], num_data - 1)
        found, likelihood = jax.vmap(functools.partial(foreseen, views, site, data, now))(population.positions)
        by_member = predicted(found, population.log_weight, ties[now])
        bridge = _bridged(settings, likelihoods_of, group, g, jax.random.fold_in(key_steps, g), population, likelihood)
        ess = _ess(bridge.population.log_weight)
        row = {"log_evidence": bridge.log_evidence, "ess": ess, "num_moves": bridge.num_moves}
        return bridge.population, (by_member, row)

    def step(population: _Population, g: jax.Array) -> tuple[_Population, Any]:
        shapes = jax.eval_shape(taken, population, g)[1]

        def passed(population: _Population, _: jax.Array) -> tuple[_Population, Any]:
            by_member, row = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
            return population, (by_member, row | {"ess": _ess(population.log_weight)})

        return jax.lax.cond(members[g, 0] < num_data, taken, passed, population, g)

    start = _Population(positions, jnp.zeros(number, positions.dtype), step_size)
    population, (by_member, rows) = jax.lax.scan(step, start, jnp.arange(members.shape[0]))

    def by_datum(values: jax.Array) -> jax.Array:
        return jnp.full(num_data + 1, jnp.nan, values.dtype).at[members].set(values)[:num_data]

    parents = systematic(key_end, jax.nn.softmax(population.log_weight), number)
    return jax.tree.map(by_datum, by_member), rows, population.positions[parents], population.step_size


def _bridged(
    settings: Sequential,
    likelihoods_of: Any,
    group: jax.Array,
    g: jax.Array,
    key: jax.Array,
    population: _Population,
    found: jax.Array,
) -> _Bridge:
    """The population after group `g`; by degrees, with moves in between, where all at once would leave too few."""
    number = settings.num_particles
    target = settings.target_ess * number
    earlier, now = ((group >= 0) & (group < g)) | (group == KNOWN), group == g

    def log_density(fraction: jax.Array, z: jax.Array) -> jax.Array:
        rest, log_likelihood = likelihoods_of(z)
        counted = jnp.where(earlier, 1.0, jnp.where(now, fraction, 0.0))
        return rest + jnp.sum(jnp.where(counted > 0, counted * log_likelihood, 0.0))

    def moved(key: jax.Array, fraction: jax.Array, population: _Population) -> _Population:
        key_parents, key_order, key_moves = jax.random.split(key, 3)
        parents = systematic(key_parents, jax.nn.softmax(population.log_weight), number)
        # Resampling puts copies beside each other; shuffled, the halves that lend each other their metric are alike.
        halves = population.positions[jax.random.permutation(key_order, parents)].reshape(2, number // 2, -1)
        found = hamiltonian_moves(
            key_moves,
            halves,
            functools.partial(log_density, fraction),
            population.step_size,
            settings.num_moves,
            settings.max_leapfrog,
        )
        return _Population(found.positions.reshape(number, -1), jnp.zeros_like(population.log_weight), found.step_size)

    def gain_of(log_likelihood: jax.Array) -> jax.Array:
        gain = jnp.sum(jnp.where(now, log_likelihood, 0.0), axis=1)
        return jnp.where(jnp.isnan(gain), -jnp.inf, gain)

    def goes_on(bridge: _Bridge) -> jax.Array:
        return bridge.fraction < 1.0

    def step(bridge: _Bridge) -> _Bridge:
        log_weight = bridge.population.log_weight
        part = _largest_part(log_weight, bridge.gain, 1.0 - bridge.fraction, target)
        fraction = jnp.where(part >= 1.0 - bridge.fraction, 1.0, bridge.fraction + part)
        weighted = log_weight + jnp.where(part > 0, part * bridge.gain, 0.0)
        log_evidence = bridge.log_evidence + logsumexp(weighted) - logsumexp(log_weight)
        population = bridge.population._replace(log_weight=weighted)
        is_thin = (fraction < 1.0) | (_ess(weighted) < target)

        def refreshed(population: _Population, _: jax.Array) -> tuple[_Population, jax.Array]:
            population = moved(jax.random.fold_in(key, bridge.num_moves), fraction, population)
            return population, gain_of(jax.vmap(likelihoods_of)(population.positions)[1])

        population, gain = jax.lax.cond(is_thin, refreshed, lambda *kept: kept, population, bridge.gain)
        return _Bridge(population, gain, fraction, log_evidence, bridge.num_moves + is_thin)

    zero = jnp.zeros((), population.log_weight.dtype)
    return jax.lax.while_loop(goes_on, step, _Bridge(population, gain_of(found), zero, zero, jnp.zeros((), int)))


def _largest_part(log_weight: jax.Array, gain: jax.Array, left: jax.Array, target: jax.Array | float) -> jax.Array:
    """The largest part of a gain, up to what is left, that keeps so many effective particles."""

    def enough(part: jax.Array) -> jax.Array:
        return _ess(log_weight + part * gain) >= target

    def halve(_: Any, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        is_enough = enough(middle)
        return jnp.where(is_enough, middle, low), jnp.where(is_enough, high, middle)

    low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (jnp.zeros_like(left), left))
    # A part of almost nothing still takes the population forward, where -inf of many leaves too few whatever it is.
    return jnp.where(enough(left), left, jnp.maximum(low, 1e-6 * high + 1e-9))


def _ess(log_weight: jax.Array) -> jax.Array:
    return jnp.exp(2.0 * logsumexp(log_weight) - logsumexp(2.0 * log_weight))
