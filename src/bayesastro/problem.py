"""`Problem`: a NumPyro program, its arguments and the observed data, and every view that an engine needs of them."""

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from bayesastro import names, refusals, seeds
from bayesastro.angles import AngleCaution, angle_cautions
from bayesastro.charts import Unconstrained, White
from bayesastro.domains import Caution, cautions, domain_error
from bayesastro.fisher import rules_of
from bayesastro.precision import Precision, to_numpy, validate_precision, working_precision
from bayesastro.program import Data, Program, bind, checked_observed
from bayesastro.refusals import Lack
from bayesastro.structure import Site, avals_of, structure_of
from bayesastro.units import UndeclaredUnitError, checked_units
from bayesastro.views import Simulations, Views, simulator, site_terms

if TYPE_CHECKING:
    from bayesastro.batch import Batch
    from bayesastro.tables import Table

__all__ = ["Problem", "Simulations", "Views"]


class Problem:
    """A generative NumPyro program together with its arguments and the data observed.

    Array leaves of the arguments and the observed values are *data*: they can be exchanged with :meth:`replace`
    without compiling anything again. Everything else is static.

    A mask (``numpyro.handlers.mask``) on an observed site drops the masked entries from the likelihood. On a latent
    site it has no effect: the prior of the entries stays what the program draws them from.

    Parameters
    ----------
    program : callable
        The program; calls ``numpyro.sample``. Observed sites may be named in `observed`, or use NumPyro's ``obs=``.
    *args, **kwargs
        The program's arguments.
    observed : mapping of str to array, optional
        Observed values by site name, each of its site's shape.
    prior_factors : sequence of str
        Names of ``numpyro.factor`` sites that belong to the prior. All other factors count as likelihood.
    units : mapping of str to str or astropy unit, optional
        In which unit the program takes an argument or has a site, by name. Quantities that come in are converted to it,
        plain numbers are taken to be in it, and results carry it in ``attrs["units"]``. Sites whose priors have
        quantities as parameters need none: their unit is that of the first.

    Raises
    ------
    TypeError
        If the arguments do not fit the program or are not arrays and settings.
    ValueError
        If a name is not a site, shapes disagree, data are not finite, or a parameter or an observed value lies
        outside its domain whatever the latents are (a zero error, a negative count), or a quantity has a unit of
        another kind than the program's, or one that was not declared.

    Examples
    --------
    >>> import numpy as np, numpyro, numpyro.distributions as dist
    >>> import bayesastro as ba
    >>> def line(x, sigma):
    ...     slope = numpyro.sample("slope", dist.Normal(0.0, 10.0))
    ...     numpyro.sample("y", dist.Normal(slope * x, sigma))
    >>> x = np.linspace(0.0, 1.0, 5)
    >>> problem = ba.Problem(line, x, 0.1, observed={"y": 2.0 * x})
    >>> [site.name for site in problem.parameters]
    ['slope']
    """

    def __init__(
        self,
        program: Callable[..., Any],
        *args: Any,
        observed: Mapping[str, Any] | None = None,
        prior_factors: Sequence[str] = (),
        units: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._declared = checked_units(units)
        try:
            self._program, arrays = bind(program, args, kwargs, self._declared)
            data = Data(arrays, checked_observed(observed, self._declared))
        except UndeclaredUnitError as error:
            raise names.misspelling(program, args, kwargs, observed, self._declared) or ValueError(str(error)) from None
        self._prior_factors = frozenset([prior_factors] if isinstance(prior_factors, str) else prior_factors)
        self._attach(data)
        names.check_units(self.views().structure, self._declared)

    def _attach(self, data: Data) -> None:
        """Take up a data set and check it against the program."""
        self.data = data
        structure = self.views().structure
        names.check_names(structure, self.data, self._prior_factors)
        probes = self._probes(1, 2)
        self._inline = {n: p["inline"] for n, p in probes[0].items() if p.get("inline") is not None}
        if reason := refusals.inline_error(structure, self._inline):
            raise ValueError(reason)
        self.bounds = refusals.fixed_bounds(probes)
        """Ends of the priors that were given both, by site; those that depend on other latents are left out."""
        if domain_error(structure, probes, self.observed) and (
            reason := domain_error(structure, probes + self._probes(*range(3, 9)), self.observed)
        ):  # more draws, lest a prior that often overflows be mistaken for a fault of the data
            raise ValueError(reason)
        lacks = refusals.structural_lacks(structure, self._prior_factors)
        if "simulate" not in lacks:
            lacks |= refusals.data_lacks(structure, self.data, self._inline, probes[0])
        self.lacks: Mapping[str, Lack] = lacks

    def _probes(self, *seeds: int) -> list[dict[str, Any]]:
        with working_precision("double"):
            return [to_numpy(self.views().structure.probe(self.data, jax.random.key(seed))) for seed in seeds]

    def __reduce__(self) -> tuple[Any, ...]:
        """For sending to other processes: compiled functions stay behind."""
        args, kwargs = self._program.arguments(self.data.arrays)
        return _rebuilt, (self.program, args, kwargs, self.data.observed, tuple(self._prior_factors), self._declared)

    def __repr__(self) -> str:
        name = getattr(self.program, "__name__", repr(self.program))
        latents = ", ".join(f"{s.name}{list(s.shape) or ''}" for s in self.parameters)
        return f"Problem({name}: parameters {latents}; observed {', '.join(self.observed) or 'nothing'})"

    @property
    def program(self) -> Callable[..., Any]:
        """The NumPyro program."""
        return self._program.function

    @property
    def static_program(self) -> Program:
        """The hashable half of the program's call."""
        return self._program

    @property
    def observed(self) -> dict[str, np.ndarray]:
        """Observed values by site name, however they were given."""
        return {**self._inline, **self.data.observed}

    @property
    def covariates(self) -> dict[str, np.ndarray]:
        """The program's array arguments by name, without those that hold values observed by ``obs=``."""
        named, observed = zip(self.static_program.array_names, self.data.arrays, strict=True), self.carriers
        return {name: array for name, array in named if name not in observed}

    @property
    def carriers(self) -> frozenset[str]:
        """Names of the array arguments that hold values observed by ``obs=``."""
        probe = self._probes(1)[0] if self._inline else {}
        found = refusals.carriers(self.views().structure, self.data, self._inline, probe)
        return frozenset(self.static_program.array_names[place] for place, *_ in found)

    @property
    def prior_factors(self) -> tuple[str, ...]:
        """Names of the factors that belong to the prior."""
        return tuple(sorted(self._prior_factors))

    @property
    def units(self) -> dict[str, str]:
        """Units of arguments and sites, as far as they were declared or their priors say."""
        said = {site.name: site.unit for site in self.views().structure.sites if site.unit}
        return {**said, **self._declared}

    @property
    def settings(self) -> dict[str, Any]:
        """The program's keyword arguments that hold no arrays and that JSON has: numbers, flags, names, and sets of these."""
        _, kwargs = self._program.arguments(self.data.arrays)
        return {name: value for name, value in kwargs.items() if _is_plain(value)}

    @property
    def parameters(self) -> tuple[Site, ...]:
        """The latent sites, in trace order: name, shape, support, prior family."""
        return self.views().structure.of_kind("latent")

    @property
    def provides(self) -> frozenset[str]:
        """What engines may ask of this problem; see :mod:`bayesastro.refusals`."""
        return frozenset(refusals.CAPABILITIES) - frozenset(self.lacks)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the traced program, the shapes of its data and the prior factors; the same in every process."""
        traced = self.views().structure.fingerprint
        if not self._prior_factors:
            return traced
        return hashlib.sha256(f"{traced} {sorted(self._prior_factors)}".encode()).hexdigest()

    def views(self, precision: Precision = "double") -> Views:
        """The data-free views at a working precision.

        Raises
        ------
        ValueError
            If `precision` is unknown.
        """
        validate_precision(precision)
        structure = structure_of(self._program, avals_of(self.data), precision)
        return Views(structure, self._prior_factors, rules_of(structure))

    @property
    def unconstrained(self) -> Unconstrained:
        """The chart of unconstrained coordinates."""
        return self.views().unconstrained

    @property
    def centred(self) -> Unconstrained:
        """The chart of unconstrained coordinates, relative to the data where the program says so."""
        return self.views().centred

    @property
    def white(self) -> White:
        """The chart of standard normal coordinates.

        Raises
        ------
        ValueError
            If a latent site has no map from standard normals.
        """
        if "white" in self.lacks:
            raise ValueError(f"The white chart needs {refusals.CAPABILITIES['white']}, but {self.lacks['white']}.")
        return self.views().white

    def replace(self, *args: Any, observed: Mapping[str, Any] | None = None, **kwargs: Any) -> "Problem":
        """The same program with other data. Nothing is traced again if the shapes agree.

        Parameters
        ----------
        *args, **kwargs
            New arguments of the program; without any, the present ones are kept. Keyword arguments alone replace
            those of the same name, however these had been given.
        observed : mapping of str to array, optional
            New values of observed sites; those not named keep their values.

        Raises
        ------
        TypeError
            If the program has no such argument.
        """
        args, kwargs = self._program.changed(self.data.arrays, args, kwargs)
        sites = {**self.data.observed, **(observed or {})}
        return _rebuilt(self.program, args, kwargs, sites, self.prior_factors, self._declared)

    def with_units(self, units: Mapping[str, Any]) -> "Problem":
        """The same program with further units; names that it does not have are left out, so that one table serves its variants.

        See `units` of the constructor.
        """
        known = names.named(self.views().structure)
        problem = copy.copy(self)
        problem._declared = self._declared | checked_units({name: u for name, u in units.items() if name in known})
        names.check_units(self.views().structure, problem._declared)
        return problem

    def with_data(self, data: Data) -> "Problem":
        """The same program with other data of any shapes; :meth:`replace` is the door for users."""
        problem = copy.copy(self)
        problem._attach(data)
        return problem

    def batch(
        self,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        observed: Mapping[str, Any] | None = None,
        mask: str | None = None,
        **more: Any,
    ) -> "Batch":
        """A stack of data sets of this program, for :func:`bayesastro.fit_many`.

        Parameters
        ----------
        observed : mapping of str to array or sequence of arrays
            Observed values by site name, with the data sets along the leading axis.
        mask : str, optional
            Name of the program's boolean argument that is False at padding. Data sets of unequal lengths are then
            padded to the longest, with their own last values; the mask is made here and not given.
        arguments, **more : mapping of, or arrays or sequences of arrays
            Arguments of the program by name, with the data sets along the leading axis. Those not named are shared.
            The mapping is for names that are no keywords: ``mask``, ``observed`` and ``"lens.q"``, the field of a tree.
            All may be quantities, as for the problem itself.

        Raises
        ------
        ValueError
            If a name is unknown, the numbers of data sets differ, lengths differ without a `mask`, or a data set has
            values that are not finite or outside their domain; the message says which.
        """
        from bayesastro.batch import stack  # a batch is made of problems

        return stack(self, {**(arguments or {}), **more}, observed, mask)

    def check(self) -> "Table":
        """Which engines and neural methods can serve this problem, why the others refuse, and what to be careful of.

        Returns
        -------
        pandas.DataFrame
            Indexed by engine, with the columns ``ok``; ``reason``, why it refuses; and ``caution``, of those that run: which angle
            is taken for radians, and which parameter of a distribution, such as a scale, leaves its domain in up to 32 draws.
        """
        from bayesastro.inference import engines  # the one arrow upwards: the table has to name the engines

        rows = {engine.__name__: engine.refusal(self) for engine in engines()}
        rows |= {name: refusals.learnt_refusal(name, self.lacks, self.parameters) for name in refusals.LEARNT}
        return refusals.table_of(rows, " ".join(map(str, self.cautions())))

    def cautions(self) -> tuple[AngleCaution | Caution, ...]:
        """Angles that are taken for radians, and parameters of distributions that leave their domains at draws from the prior."""
        structure = self.views().structure
        return (*angle_cautions(structure, self.units), *cautions(structure, self.data))

    @seeds.asks_for("key")
    def simulate(self, num: int, *, key: jax.Array) -> Simulations:
        """Parameters and observables from the prior predictive, in one compiled call.

        Parameters
        ----------
        num : int
            Number of draws.
        key : jax.Array
            A JAX random key.

        Raises
        ------
        ValueError
            If the program does not generate its data; the message names the site.
        TypeError
            If `key` is not a random key.
        """
        if "simulate" in self.lacks:
            raise ValueError(f"`simulate` needs {refusals.CAPABILITIES['simulate']}, but {self.lacks['simulate']}.")
        refusals.check_draws(num, key)
        with working_precision("double"):
            keys = jax.random.split(key, num)
            return Simulations(*to_numpy(simulator(self.views().structure)(self.data, keys)))

    def log_prior(self, theta: Mapping[str, Any], *, batch_ndims: int = 0) -> dict[str, np.ndarray]:
        """Log-density of the prior at parameter values, by site.

        Parameters
        ----------
        theta : mapping of str to array
            A value for each latent site, with `batch_ndims` leading axes; a quantity if the site's unit is known.
        batch_ndims : int
            Number of leading batch axes: 2 for ``(chain, draw)``.

        Returns
        -------
        dict of str to array, shape (batch, ...)
            One number for each batch entry and site; prior factors included.

        Raises
        ------
        ValueError
            If a site has no value, shapes do not fit, or the program draws random keys itself.
        TypeError
            If `theta` does not map names to numbers.
        """
        return self._site_terms(theta, batch_ndims)[0]

    def log_likelihood(self, theta: Mapping[str, Any], *, batch_ndims: int = 0) -> dict[str, np.ndarray]:
        """Pointwise log-likelihood at parameter values, by observed site; parameters as for :meth:`log_prior`.

        There is one number for each datum: for every entry that is independent given the parameters, also where the
        program gathers them by `to_event`; for a family over vectors, such as a multivariate normal, one for each vector.
        """
        return self._site_terms(theta, batch_ndims)[1]

    def replay(self, theta: Mapping[str, Any], *, batch_ndims: int = 0) -> dict[str, np.ndarray]:
        """Values of the deterministic sites at parameter values; parameters as for :meth:`log_prior`."""
        return self._site_terms(theta, batch_ndims)[2]

    def _site_terms(self, theta: Mapping[str, Any], batch_ndims: int) -> tuple[dict[str, np.ndarray], ...]:
        if self.views().structure.draws_keys:
            raise ValueError(
                f"Values at given parameters need {refusals.CAPABILITIES['density']}, but {self.lacks['density']}."
            )
        theta = refusals.checked_theta(self.parameters, theta, batch_ndims, self.units)
        with working_precision("double"):
            return to_numpy(site_terms(self.views(), batch_ndims)(theta, self.data))


def _rebuilt(
    program: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    observed: Mapping[str, Any],
    prior_factors: tuple[str, ...],
    units: Mapping[str, str],
) -> Problem:
    return Problem(program, *args, observed=observed, prior_factors=prior_factors, units=units, **kwargs)


def _is_plain(value: Any) -> bool:
    return all(leaf is None or isinstance(leaf, bool | int | float | str) for leaf in jax.tree.leaves(value))
