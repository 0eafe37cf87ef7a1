"""`Amortised`: a posterior that was learnt once, for all data sets of a program, as an engine.

Draws are independent and cost milliseconds. They are of the network's posterior, which is as good as its training:
judge it with :func:`bayesastro.calibrate`, which takes it like any engine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bayesastro.banks.identity import differences, program_identity_of
from bayesastro.fingerprint import array_fingerprint
from bayesastro.inference.engine import Block, Draws, Engine, Progress, Rows, require_positive
from bayesastro.inference.neural import artefact
from bayesastro.inference.neural.posterior import Drawn, NeuralPosterior
from bayesastro.precision import to_numpy, working_precision
from bayesastro.problem import Problem, Views
from bayesastro.program import Data

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
class Amortised(Engine):
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
    exactness: ClassVar[str] = "amortised"
    references: ClassVar[tuple[str, ...]] = ("arXiv:1605.06376", "arXiv:1905.07488", "arXiv:2110.06581")
    is_traced: ClassVar[bool] = False
    is_batched: ClassVar[bool] = True

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

    def settings(self) -> dict[str, Any]:
        return {
            "posterior": self.posterior.fingerprint,
            "training": dict(self.posterior.settings),
            "num_chains": self.num_chains,
            "num_draws": self.num_draws,
        }

    def validate(self, problem: Problem) -> None:
        super().validate(problem)
        what = differences(self.posterior.identity, program_identity_of(problem))
        if what:
            raise ValueError(
                f"This `Amortised` posterior was trained on {' and '.join(what)}. Simulate the problem to a bank, and "
                "train `NPE` on it."
            )

    def block_size(self, views: Views) -> int:
        return 1

    def init(self, views: Views, key: jax.Array, data: Data, start: jax.Array | None) -> _State:
        if start is not None:
            raise ValueError("`Amortised` draws independently and takes no `start`. Leave it out.")
        self._check_arguments(views, data, None)
        return _State(
            np.asarray(0), np.asarray(_seed_of(key)), np.asarray(np.nan), np.full(len(self.posterior.labels), np.nan)
        )

    def advance(
        self, views: Views, key: jax.Array, state: _State, data: Data, num_steps: jax.Array
    ) -> tuple[_State, Block]:
        """The one step there is makes all draws."""
        observed = {name: values[None] for name, values in self._observed(views, data).items()}
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
        self._check_arguments(views, data, axes)
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
                "num_simulations": p.num_simulations,
                "num_networks": len(p.networks),
                "validation_loss": float(np.mean([history.best for history in p.histories])),
                "training_seconds": float(sum(history.seconds for history in p.histories)),
                "ess": float(self.num_chains * self.num_draws),
                "outside_bank": float(drawn.outside[index]),
                **(
                    {"epistemic_share": float(epistemic.max()), "epistemic_shares": json.dumps(by_label)}
                    if np.isfinite(epistemic).all()
                    else {}
                ),
            },
        )

    def _check_arguments(self, views: Views, data: Data, axes: Data | None) -> None:
        """Raise unless the program's arguments are those of the bank; data sets may differ by what is observed only."""
        trained = self.posterior.identity["arguments"]
        for place, name in enumerate(views.structure.program.array_names):
            if name not in trained:
                continue
            if axes is not None and axes.arrays[place] == 0:
                raise ValueError(
                    f"`Amortised` was trained at one value of the argument `{name}`, but the data sets each have their "
                    "own. Make it an observed site of the program, or fit them with another engine."
                )
            if array_fingerprint(np.asarray(data.arrays[place])) != trained[name]:
                raise ValueError(
                    f"`Amortised` was trained at another value of the argument `{name}`. Simulate the problem to a "
                    "bank, and train `NPE` on it."
                )

    def _observed(self, views: Views, data: Data) -> dict[str, np.ndarray]:
        """Values of the observed sites, those given by ``obs=`` too."""
        names = list(self.posterior.shapes)
        if all(name in data.observed for name in names):
            return {name: np.asarray(data.observed[name]) for name in names}
        with working_precision(views.structure.precision):
            probe = to_numpy(views.structure.probe(data, jax.random.key(0)))
        return {
            name: np.asarray(data.observed[name] if name in data.observed else probe[name]["inline"]) for name in names
        }

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
        values, number = self._checked(observed)
        return self.posterior.draw(values, num, [(seed, i) for i in range(number)]).coordinates

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
        values, number = self._checked(observed)
        if not isinstance(parameters, Mapping):
            z = np.asarray(parameters, float)
            if z.ndim != 3 or z.shape[0] != number or z.shape[2] != len(self.posterior.labels):
                raise ValueError(
                    f"`log_prob` needs coordinates of shape ({number}, draw, {len(self.posterior.labels)}), but "
                    f"{z.shape} came."
                )
            return self.posterior.log_prob(z, values)
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
        return self.posterior.log_prob(z, values) - in_coordinates + in_parameters

    def _checked(self, observed: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], int]:
        """Observed values of many data sets, and their number."""
        values = {}
        for name, shape in self.posterior.shapes.items():
            if name not in observed:
                raise ValueError(f"Values of the observed site `{name}` are needed; they came for {sorted(observed)}.")
            values[name] = np.asarray(observed[name], float)
            if values[name].shape[1:] != shape:
                raise ValueError(
                    f"`{name}` was trained with shape {shape}, but values of shape {values[name].shape} came, of which "
                    "the first axis counts the data sets. Give the shape that was trained with."
                )
        numbers = {name: len(value) for name, value in values.items()}
        if len(set(numbers.values())) > 1:
            raise ValueError(f"The observed sites have unlike numbers of data sets: {numbers}.")
        return values, next(iter(numbers.values()))

    def save(self, folder: str | Path) -> None:
        """Write the posterior to a folder of its own; an old one is replaced in one step.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        artefact.save(self.posterior, {"num_chains": self.num_chains, "num_draws": self.num_draws}, Path(folder))

    @classmethod
    def load(cls, folder: str | Path) -> "Amortised":
        """The posterior that :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If nothing is there.
        ValueError
            If it is none, of another version, damaged, or does not repeat its own log-probabilities.
        """
        posterior, settings = artefact.load(Path(folder))
        return cls(posterior=posterior, **settings)
