"""`Amortised`: a posterior that was learnt once, for all data sets of a program, as an engine.

Draws are independent and cost milliseconds. They are of the network's posterior, which is as good as its training:
judge it with :func:`bayesastro.calibrate`, which takes it like any engine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayesastro.inference.engine import Block, Draws, Progress, Rows, require_positive
from bayesastro.inference.neural.learned import Learned
from bayesastro.inference.neural.posterior import Drawn, NeuralPosterior, variance_parts
from bayesastro.inference.neural.trained import Trained
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem, Views
from bayesastro.program import Data
from bayesastro.seeds import asks_for, checked_seed

__all__ = ["Amortised"]


class _State(NamedTuple):
    """What all draws are made from."""

    count: np.ndarray
    seed: np.ndarray
    outside: np.ndarray
    epistemic: np.ndarray


def _seed_of(key: jax.Array) -> jax.Array:
    """What NumPy's generator is seeded with."""
    return jax.random.bits(jax.random.fold_in(key, 0), (4,), "uint32")


@dataclass(frozen=True, kw_only=True)
class Amortised(Learned):
    """A trained neural posterior; made by :meth:`NPE.train` or :meth:`load`.

    Parameters
    ----------
    posterior : NeuralPosterior
        The networks and what belongs to them.
    num_chains, num_draws : int
        All draws are independent; chains are a way to arrange them. Change them with `dataclasses.replace`.

    References
    ----------
    Papamakarios & Murray 2016, arXiv:1605.06376; Lueckmann et al. 2017, arXiv:1711.01861; Greenberg, Nonnenmacher &
    Macke 2019, arXiv:1905.07488. Ensembles: Hermans et al. 2022, arXiv:2110.06581.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"simulate"})
    references: ClassVar[tuple[str, ...]] = ("arXiv:1605.06376", "arXiv:1905.07488", "arXiv:2110.06581")
    is_traced: ClassVar[bool] = False
    is_batched: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("posterior",)

    posterior: NeuralPosterior
    num_chains: int = 4
    num_draws: int = 500

    def __post_init__(self) -> None:
        require_positive(self, "num_chains", "num_draws")

    def __repr__(self) -> str:
        p = self.posterior
        observed = ", ".join(f"{name}{list(shape) or ''}" for name, shape in p.shapes.items())
        return (
            f"Amortised({p.settings['flow']} × {len(p.networks)} of `{p.identity['program']}`: "
            f"{len(p.labels)} coordinates given {observed}; {p.num_simulations} simulations)"
        )

    @property
    def trained(self) -> NeuralPosterior:
        return self.posterior

    def _kept_settings(self) -> dict[str, Any]:
        return {"num_chains": self.num_chains, "num_draws": self.num_draws}

    @classmethod
    def _restored(cls, trained: Trained, settings: Mapping[str, Any]) -> "Amortised":
        return cls(posterior=cast(NeuralPosterior, trained), **settings)

    def block_size(self, views: Views) -> int:
        return 1

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _State:
        if start is not None:
            raise ValueError("`Amortised` draws independently and takes no `start`. Leave it out.")
        return _State(
            np.asarray(0), np.asarray(_seed_of(key)), np.asarray(np.nan), np.full(len(self.posterior.labels), np.nan)
        )

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        """The one step there is makes all draws."""
        observed = {name: np.asarray(values)[None] for name, values in self._observed(views, data).items()}
        drawn = self.posterior.draw(observed, self.num_chains * self.num_draws, [state.seed])
        rows = {"coordinates": drawn.coordinates, "log_prob": drawn.log_prob}
        after = state._replace(count=np.asarray(1), outside=drawn.outside[0], epistemic=drawn.epistemic[0])
        return after, Block(np.asarray(1), rows)

    def started(self, state: _State) -> np.ndarray:
        return np.ones(1, bool)

    def progress(self, state: _State) -> Progress:
        return Progress(int(state.count), 1, "drawing", {})

    def finish(self, views: Views, state: _State, rows: Rows) -> Draws:
        found = Drawn(rows["coordinates"], rows["log_prob"], state.outside[None], state.epistemic[None])
        return self._draws(found, 0)

    def fit_batch(self, views: Views, keys: jax.Array, data: Data, axes: Data) -> list[Draws | None]:
        number = len(keys)
        sites = self.posterior.shapes
        missing = [name for name in sites if name not in data.observed]
        if missing:
            raise ValueError(
                f"`Amortised` takes many data sets whose observed values are given by name, but `{missing[0]}` is "
                "observed by `obs=` in the program. Leave it out there, and name it in `observed=`."
            )
        observed = {
            name: np.asarray(data.observed[name])
            if axes.observed[name] == 0
            else np.broadcast_to(data.observed[name], (number, *shape))
            for name, shape in sites.items()
        }
        seeds = np.asarray(jax.vmap(_seed_of)(keys))
        drawn = self.posterior.draw(observed, self.num_chains * self.num_draws, list(seeds))
        return [self._draws(drawn, i) for i in range(number)]

    def _draws(self, drawn: Drawn, index: int) -> Draws:
        shape, p = (self.num_chains, self.num_draws), self.posterior
        epistemic = drawn.epistemic[index]
        by_label = {label: round(float(v), 6) for label, v in zip(p.labels, epistemic, strict=True)}
        return Draws(
            coordinates=drawn.coordinates[index].reshape(*shape, -1),
            chart="unconstrained",
            sample_stats={"lp": drawn.log_prob[index].astype(float).reshape(shape)},
            attributes={
                **p.figures(),
                "ess": float(self.num_chains * self.num_draws),
                "outside_bank": float(drawn.outside[index]),
                **(
                    {"epistemic_share": float(epistemic.max()), "epistemic_shares": json.dumps(by_label)}
                    if np.isfinite(epistemic).all()
                    else {}
                ),
            },
        )

    @asks_for("seed")
    def draw(self, observed: Mapping[str, Any], num: int, *, seed: int) -> np.ndarray:
        """Draws for many data sets at once, in unconstrained coordinates; :func:`bayesastro.fit_many` gives parameters.

        Parameters
        ----------
        observed : mapping of str to array, shape (dataset, ...)
        num : int
            Draws for each.
        seed : int

        Returns
        -------
        array, shape (dataset, num, coordinate)
            In the order of ``posterior.labels``.
        """
        seed = checked_seed(seed)
        values, number = self.trained.checked(observed)
        seeds = [(seed, i) for i in range(number)]
        return self.posterior.draw(values, num, seeds, has_density=False).coordinates

    @asks_for("seed")
    def variances(self, problem: Problem, observed: Mapping[str, Any], *, num: int = 1000, seed: int) -> xr.Dataset:
        """Variances of the parameters in two parts, by the law of total variance.

        Aleatoric is the mean of the networks' variances: what the data leave open, had training been perfect. Epistemic is
        the variance of the networks' means, as it would be of many networks: what more training would still change.

        Parameters
        ----------
        problem : Problem
            The program that was trained on.
        observed : mapping of str to array, shape (dataset, ...)
        num : int
            Draws for each data set, which the networks share.
        seed : int

        Returns
        -------
        xarray.Dataset
            A variable for each latent site, of dimensions ``part`` ("aleatoric", "epistemic"), ``dataset``, and the site's.

        Raises
        ------
        ValueError
            If there is one network only, or fewer than two draws of each.
        """
        seed = checked_seed(seed)
        self.validate(problem)
        values, number = self.trained.checked(observed)
        members = len(self.posterior.members)
        if members < 2 or num < 2 * members:
            raise ValueError(
                f"`variances` needs several networks and two draws of each, but {members} and `num={num}` came. Train with "
                "`num_ensemble` of at least 2, or raise `num`."
            )
        groups = self.posterior.draw_members(values, num, [(seed, i) for i in range(number)])
        chart = problem.unconstrained
        with working_precision("double"):
            convert = jax.jit(jax.vmap(jax.vmap(lambda z: chart.to_parameters(z, problem.data))))
            draws = [to_numpy(convert(jnp.asarray(group))) for group in groups]
        found = {}
        for site in problem.parameters:
            dims = ("part", "dataset", *(f"{site.name}_dim_{i}" for i in range(len(site.shape))))
            found[site.name] = (dims, np.stack(variance_parts([group[site.name] for group in draws])))
        return xr.Dataset(found, coords={"part": ["aleatoric", "epistemic"]})

    def log_prob(
        self, parameters: Mapping[str, Any] | np.ndarray, observed: Mapping[str, Any], problem: Problem | None = None
    ) -> np.ndarray:
        """log q of parameters given data.

        Parameters
        ----------
        parameters : array or mapping
            Unconstrained coordinates of shape (dataset, draw, coordinate): the density is that of the coordinates. Or
            values by latent site, of shape (dataset, draw, ...): the density is that of the parameters, and `problem`
            is needed.
        observed : mapping of str to array, shape (dataset, ...)
        problem : Problem, optional
            The program that was trained on.

        Returns
        -------
        array, shape (dataset, draw)
        """
        values, number = self.trained.checked(observed)
        if not isinstance(parameters, Mapping):
            z = np.asarray(parameters, float)
            if z.ndim != 3 or z.shape[0] != number or z.shape[2] != len(self.posterior.labels):
                raise ValueError(
                    f"`log_prob` needs coordinates of shape ({number}, draw, {len(self.posterior.labels)}), but "
                    f"{z.shape} came."
                )
            return self.posterior.evaluate(z, values)
        if problem is None:
            raise ValueError("`log_prob` of parameters needs the `problem` for their coordinates. Give `problem=`.")
        self.validate(problem)
        theta = {name: np.asarray(value, float) for name, value in parameters.items()}
        chart = problem.unconstrained
        with working_precision("double"):

            def one(theta: Any) -> tuple[jax.Array, jax.Array]:
                z = chart.to_coordinates(theta, problem.data)
                return z, chart.log_prior(z, problem.data)

            z, in_coordinates = to_numpy(jax.jit(jax.vmap(jax.vmap(one)))(jax.tree.map(jnp.asarray, theta)))
        in_parameters = sum(problem.log_prior(theta, batch_ndims=2).values())
        return self.posterior.evaluate(z, values) - in_coordinates + in_parameters
