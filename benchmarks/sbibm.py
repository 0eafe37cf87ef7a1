"""Four tasks of Lueckmann et al. 2021, *Benchmarking simulation-based inference* (arXiv:2101.04653), appendix T.

Each with exact, independent draws from its posterior; and the classifier two-sample test as their code has it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier

import bayesastro as ba


@dataclass(frozen=True)
class Task:
    """A program with parameters `theta` and data `x`, exact draws given data, and the scores that were published.

    The prior is uniform between −`edge` and `edge`.
    `published` has C2ST by method, at 10,000 simulations, averaged over ten observations.
    """

    problem: ba.Problem
    edge: float
    exact: Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
    published: Mapping[str, float]


def _published(npe: float, nle: float, nre: float) -> dict[str, float]:
    return {"NPE": npe, "NLE": nle, "NRE": nre}


class Crescent(dist.Distribution):
    """r (cos a, sin a) + (0.25, 0) + shift with r ~ N(0.1, 0.01) and a ~ U(−π/2, π/2)."""

    arg_constraints: ClassVar = {"shift": dist.constraints.real_vector}
    support = dist.constraints.real_vector
    reparametrized_params: ClassVar = ["shift"]

    def __init__(self, shift, validate_args=None):
        self.shift = shift
        super().__init__(shift.shape[:-1], (2,), validate_args=validate_args)

    def sample(self, key, sample_shape=()):
        shape = sample_shape + self.batch_shape
        first, second = jax.random.split(key)
        a = jax.random.uniform(first, shape, minval=-jnp.pi / 2, maxval=jnp.pi / 2)
        r = 0.1 + 0.01 * jax.random.normal(second, shape)
        return jnp.stack([r * jnp.cos(a) + 0.25, r * jnp.sin(a)], -1) + self.shift

    def log_prob(self, value):
        u = value - self.shift - jnp.array([0.25, 0.0])
        r = jnp.hypot(u[..., 0], u[..., 1])
        density = dist.Normal(0.1, 0.01).log_prob(r) - jnp.log(r * jnp.pi)
        return jnp.where(u[..., 0] > 0, density, -jnp.inf)


def two_moons() -> Task:
    def program():
        theta = numpyro.sample("theta", dist.Uniform(-1, 1).expand([2]).to_event(1))
        shift = jnp.stack([-jnp.abs(theta[0] + theta[1]), theta[1] - theta[0]]) / jnp.sqrt(2.0)
        numpyro.sample("x", Crescent(shift))

    def exact(x, num, random):
        found = np.zeros((0, 2))
        while len(found) < num:
            a, r = random.uniform(-np.pi / 2, np.pi / 2, 4 * num), random.normal(0.1, 0.01, 4 * num)
            total = np.sqrt(2) * (r * np.cos(a) + 0.25 - x[0])
            difference = np.sqrt(2) * (x[1] - r * np.sin(a))
            total, difference = total[total >= 0], difference[total >= 0]
            total = total * random.choice([-1.0, 1.0], len(total))
            theta = np.stack([total - difference, total + difference], -1) / 2
            found = np.concatenate([found, theta[(np.abs(theta) < 1).all(-1)]])
        return found[:num]

    return Task(ba.Problem(program, observed={"x": np.zeros(2)}), 1.0, exact, _published(0.606, 0.713, 0.761))


def gaussian_mixture() -> Task:
    def program():
        theta = numpyro.sample("theta", dist.Uniform(-10, 10).expand([2]).to_event(1))
        parts = dist.Normal(theta, jnp.array([[1.0], [0.1]])).to_event(1)
        numpyro.sample("x", dist.MixtureSameFamily(dist.Categorical(jnp.array([0.5, 0.5])), parts))

    def exact(x, num, random):
        found = np.zeros((0, 2))
        while len(found) < num:
            theta = x + random.choice([1.0, 0.1], (4 * num, 1)) * random.standard_normal((4 * num, 2))
            found = np.concatenate([found, theta[(np.abs(theta) < 10).all(-1)]])
        return found[:num]

    return Task(ba.Problem(program, observed={"x": np.zeros(2)}), 10.0, exact, _published(0.615, 0.723, 0.748))


def linear_gaussian_in_a_box() -> Task:
    def program():
        theta = numpyro.sample("theta", dist.Uniform(-1, 1).expand([10]).to_event(1))
        numpyro.sample("x", dist.Normal(theta, jnp.sqrt(0.1)).to_event(1))

    def exact(x, num, random):
        columns = []
        for value in x:
            found = np.zeros(0)
            while len(found) < num:
                theta = value + np.sqrt(0.1) * random.standard_normal(16 * num)
                found = np.concatenate([found, theta[np.abs(theta) < 1]])
            columns.append(found[:num])
        return np.stack(columns, -1)

    return Task(ba.Problem(program, observed={"x": np.zeros(10)}), 1.0, exact, _published(0.553, 0.548, 0.706))


def slcp() -> Task:
    """Simple likelihood, complex posterior: four modes."""

    def program():
        theta = numpyro.sample("theta", dist.Uniform(-3, 3).expand([5]).to_event(1))
        s1, s2, r = theta[2] ** 2, theta[3] ** 2, jnp.tanh(theta[4])
        tril = jnp.array([[s1, 0.0], [r * s2, s2 * jnp.sqrt(1 - r**2)]])
        numpyro.sample("x", dist.MultivariateNormal(theta[:2], scale_tril=tril).expand([4]).to_event(1))

    def exact(x, num, random):
        """The mean, given the covariance, is normal about the data's; the covariance by rejection from its prior."""
        mean = x.mean(0)
        scatter = (x - mean).T @ (x - mean)
        found, bound = np.zeros((0, 5)), None
        while len(found) < num:
            theta = random.uniform(-3, 3, (1_000_000, 3))
            s1, s2, r = theta[:, 0] ** 2, theta[:, 1] ** 2, np.tanh(theta[:, 2])
            q = scatter[0, 0] / s1**2 - 2 * r * scatter[0, 1] / (s1 * s2) + scatter[1, 1] / s2**2
            log_weight = -3 * np.log(s1 * s2) - 1.5 * np.log1p(-(r**2)) - 0.5 * q / (1 - r**2)
            if bound is None:
                bound = _greatest(scatter, theta[np.argmax(log_weight)])
            kept = np.log(random.random(len(theta))) < log_weight - bound
            theta, s1, s2, r = theta[kept], s1[kept], s2[kept], r[kept]
            e1, e2 = random.standard_normal((2, len(theta))) / 2
            m = mean + np.stack([s1 * e1, s2 * (r * e1 + np.sqrt(1 - r**2) * e2)], -1)
            inside = (np.abs(m) < 3).all(-1)
            found = np.concatenate([found, np.concatenate([m, theta], -1)[inside]])
        return found[:num]

    return Task(ba.Problem(program, observed={"x": np.zeros((4, 2))}), 3.0, exact, _published(0.901, 0.771, 0.947))


def _greatest(scatter: np.ndarray, start: np.ndarray) -> float:
    """Upper bound of the log-weight of :func:`slcp` within the prior."""
    from scipy.optimize import minimize

    def negative(t):
        s1, s2, r = t[0] ** 2, t[1] ** 2, np.tanh(t[2])
        q = scatter[0, 0] / s1**2 - 2 * r * scatter[0, 1] / (s1 * s2) + scatter[1, 1] / s2**2
        return 3 * np.log(s1 * s2) + 1.5 * np.log1p(-(r**2)) + 0.5 * q / (1 - r**2)

    found = minimize(negative, start, method="Nelder-Mead", bounds=[(-3, 3)] * 3, options={"maxiter": 5000})
    return float(-found.fun + 1e-6)


TASKS = {
    "two moons": two_moons,
    "gaussian mixture": gaussian_mixture,
    "linear gaussian": linear_gaussian_in_a_box,
    "slcp": slcp,
}


NUM_SIMULATIONS, NUM_SETS, NUM_DRAWS = 10_000, 3, 2000

METHODS = {
    "NPE": ba.NPE(num_ensemble=5, patience=10),
    "NLE": ba.NLE(num_ensemble=3, weight_decay=0.5, patience=10),
    "NRE": ba.NRE(patience=10),
}
"""Settings for all tasks, none of them chosen for one."""


def trained(task: Task, method: str, seed: int = 1) -> Any:
    """The engine that a method's training gives."""
    bank = ba.simulate(task.problem, NUM_SIMULATIONS, seed=seed, progress=False)
    return METHODS[method].train(task.problem, bank, seed=seed, progress=False)


def data_sets(task: Task) -> np.ndarray:
    """From the prior predictive."""
    return task.problem.simulate(NUM_SETS, key=jax.random.key(99)).observables["x"]


def scores(task: Task, engine: Any, seed: int = 3) -> list[float]:
    """C2ST against exact draws, for data sets from the prior predictive."""
    x = data_sets(task)
    result = ba.fit_many(task.problem, {"x": x}, engine, seed=seed, progress=False, precision="single")
    values = result["posterior"]["theta"].values
    return _scored(task, x, values.reshape(NUM_SETS, -1, values.shape[-1]))


def _scored(task: Task, x: np.ndarray, draws: np.ndarray) -> list[float]:
    random = np.random.default_rng(5)
    found = []
    for i in range(NUM_SETS):
        chosen = random.choice(draws[i], min(NUM_DRAWS, len(draws[i])), replace=False)
        found.append(c2st(task.exact(x[i], len(chosen), random), chosen, seed=i))
    return found


def sbis(task: Task, seed: int = 1) -> list[float]:
    """C2ST of sbi's NPE by hand, a neural spline flow with its default settings, from the same simulations."""
    import torch
    from sbi.inference import NPE
    from sbi.utils import BoxUniform

    torch.manual_seed(seed)
    bank = ba.simulate(task.problem, NUM_SIMULATIONS, seed=seed, progress=False)
    theta = bank.parameters(task.problem, slice(None))["theta"]
    flat = bank.rows(slice(None))[1]["x"].reshape(NUM_SIMULATIONS, -1)
    edge = torch.full(theta.shape[-1:], task.edge)
    inference = NPE(prior=BoxUniform(-edge, edge), density_estimator="nsf", show_progress_bars=False)
    inference.append_simulations(*(torch.as_tensor(values, dtype=torch.float32) for values in (theta, flat)))
    inference.train()
    posterior, x = inference.build_posterior(), data_sets(task)
    given = torch.as_tensor(x.reshape(NUM_SETS, -1), dtype=torch.float32)
    draws = [posterior.sample((NUM_DRAWS,), x=each, show_progress_bars=False).numpy() for each in given]
    return _scored(task, x, np.stack(draws))


def c2st(first: np.ndarray, second: np.ndarray, seed: int) -> float:
    """Accuracy, over five folds, of a network of two layers that tells two samples apart; sbibm's ``c2st``."""
    mean, sd = first.mean(0), first.std(0)
    values = (np.concatenate([first, second]) - mean) / sd
    labels = np.concatenate([np.zeros(len(first)), np.ones(len(second))])
    size = 10 * first.shape[1]
    network = MLPClassifier(
        activation="relu", hidden_layer_sizes=(size, size), max_iter=1000, solver="adam", random_state=seed
    )
    folds = KFold(n_splits=5, shuffle=True, random_state=seed)
    return float(cross_val_score(network, values, labels, cv=folds, scoring="accuracy").mean())
