"""Initial conditions from galaxies: density, coordinates, refusals, and posteriors that are right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matrix import Z
from scipy import stats

import bayesastro as ba
from bayesastro.models.fields import initial_conditions
from bayesastro.simulators.cosmology import growth, linear_power
from bayesastro.simulators.fields import kaiser_boost, regular_grid, shell_power

RNG = np.random.default_rng(6)

KNOWN = {"Omega_m": 0.31, "sigma8": 0.81, "b1": 1.0, "b2": 0.2, "bs2": -0.2, "bn2": 0.5}
"""A cosmology and bias."""

NARROW = {"Omega_m": (0.31, 0.03), "sigma8": (0.81, 0.05), "b1": (1.0, 0.2), "b2": 0.0, "bs2": 0.0, "bn2": 0.0}
"""A prior within which the expansions hold on small meshes."""


def problem_of(shape, cell=20.0, *, seed=1, number_density=1e-3, num_steps=0, scale_factor=0.5, **settings):
    """Galaxies of the program at `KNOWN`, and the modes they were made from."""
    box, empty = tuple(cell * n for n in shape), np.ones(shape)
    same = {"num_steps": num_steps, "scale_factor": scale_factor}
    known = initial_conditions.build(empty, box, number_density, priors=KNOWN, **same)
    made = known.simulate(1, key=jax.random.key(seed))
    problem = initial_conditions.build(made.observables["density"][0], box, number_density, **same, **settings)
    return problem, made.parameters["modes"][0]


def density_by_hand(modes, cell, a=0.5):
    """Particle by particle, of the definitions, with NumPy's transforms."""
    n = len(modes)
    grown = growth(a, KNOWN["Omega_m"])
    D1, D2, f1, f2 = (float(g) for g in grown)
    wave = np.fft.fftfreq(n) * n
    phase = (
        2
        * np.pi
        / n
        * np.einsum("iabc,ixyz->abcxyz", np.stack(np.meshgrid(*[wave] * 3, indexing="ij")), np.indices(modes.shape))
    )
    k = 2 * np.pi / (n * cell) * np.stack(np.meshgrid(*[wave] * 3, indexing="ij"))
    length = np.sqrt((k**2).sum(0))
    power = np.zeros(modes.shape)
    power[length > 0] = linear_power(length[length > 0], KNOWN["sigma8"], KNOWN["Omega_m"])
    delta = np.einsum("abc,abcxyz->xyz", modes * np.sqrt(power / (n * cell) ** 3), np.cos(phase) - np.sin(phase))
    square = np.where(length > 0, length, np.inf) ** 2
    back = lambda modes: np.fft.ifftn(modes).real  # noqa: E731
    delta_k = np.fft.fftn(delta)
    tidal = np.array([[back(k[i] * k[j] / square * delta_k) for j in range(3)] for i in range(3)])
    source = 0.5 * (np.trace(tidal) ** 2 - np.einsum("ijxyz,jixyz->xyz", tidal, tidal))
    first = np.array([back(1j * k[i] / square * delta_k) for i in range(3)])
    second = np.array([back(-1j * k[i] / square * np.fft.fftn(source)) for i in range(3)])
    moved = D1 * first + D2 * second
    moved[2] += D1 * f1 * first[2] + D2 * f2 * second[2]
    linear = D1 * delta
    shear = D1 * tidal - np.eye(3)[..., None, None, None] * linear / 3
    shear = (shear**2).sum((0, 1))
    weights = 1 + KNOWN["b1"] * linear + KNOWN["b2"] * (linear**2 - (linear**2).mean())
    weights += KNOWN["bs2"] * (shear - shear.mean()) + KNOWN["bn2"] * back(-(length**2) * D1 * delta_k)
    mesh, cells = np.zeros(modes.shape), np.indices(modes.shape)
    for q in np.ndindex(modes.shape):
        place = np.array(q) + moved[(slice(None), *q)] / cell
        apart = (place[:, None, None, None] - cells + n / 2) % n - n / 2
        mesh += weights[q] * np.prod(np.clip(1 - np.abs(apart), 0, None), axis=0)
    window = np.prod([np.sinc(w / n) ** 2 for w in np.meshgrid(*[wave] * 3, indexing="ij")], axis=0)
    return back(np.fft.fftn(mesh) / window)


def test_density_of_the_program():
    """On a mesh of odd sides, where every derivative is plain."""
    problem, modes = problem_of((5, 5, 5))
    theta = {**KNOWN, "modes": modes}
    seen = problem.observed["density"]
    expected = stats.norm(density_by_hand(modes, 20.0), np.sqrt(1 / 8.0)).logpdf(seen).sum()
    assert problem.log_likelihood(theta)["density"].sum() == pytest.approx(expected, rel=1e-6)
    prior = problem.log_prior(theta)
    assert prior["modes"] == pytest.approx(stats.norm.logpdf(modes).sum())
    low, high = (0.05 - 0.3111) / 0.5, (1 - 0.3111) / 0.5
    assert prior["Omega_m"] == pytest.approx(stats.truncnorm(low, high, 0.3111, 0.5).logpdf(0.31))
    assert prior["sigma8"] == pytest.approx(stats.truncnorm(-0.8102 / 0.5, np.inf, 0.8102, 0.5).logpdf(0.81))
    for name, (mean, sd) in {"b1": (1, 0.5), "b2": (0, 2), "bs2": (0, 2), "bn2": (0, 2)}.items():
        assert prior[name] == pytest.approx(stats.norm(mean, sd).logpdf(KNOWN[name]))


def test_initial_density_is_that_of_the_modes():
    problem, modes = problem_of((6, 6, 6))
    found = initial_conditions.initial_density(problem, modes, 0.31, 0.81)
    twice = initial_conditions.initial_density(problem, modes, 0.31, 1.62)
    np.testing.assert_allclose(twice, 2 * found, rtol=1e-9)
    with jax.enable_x64(True):
        grid = regular_grid((6, 6, 6), 20.0)
        edges = np.array([0.04, 0.06])
        power = float(shell_power(jnp.asarray(found), jnp.asarray(found), grid, edges)[0])
        of_modes = float(
            shell_power(grid.synthesised(jnp.asarray(modes)), grid.synthesised(jnp.asarray(modes)), grid, edges)[0]
        )
        theory = float(linear_power(np.array([2 * np.pi / 120.0]), 0.81, 0.31)[0])
    assert power == pytest.approx(of_modes / grid.volume * theory, rel=1e-6)


@pytest.mark.parametrize("coordinates", ["centred", "scaled", "white"])
def test_coordinates_change_no_density(coordinates):
    problem, modes = problem_of((5, 4, 6), coordinates=coordinates)
    views, data = problem.views(), problem.data
    with jax.enable_x64(True):
        theta = {name: jnp.asarray(value) for name, value in {**KNOWN, "modes": modes}.items()}
        z, plain = (chart.to_coordinates(theta, data) for chart in (views.centred, views.unconstrained))
        np.testing.assert_allclose(views.centred.to_parameters(z, data)["modes"], modes, atol=1e-12)
        change = jax.jacfwd(lambda z: views.unconstrained.to_coordinates(views.centred.to_parameters(z, data), data))(z)
        log_jacobian = np.linalg.slogdet(change)[1]
        shift = float(views.centred.log_density(z, data) - views.unconstrained.log_density(plain, data))
        assert shift == pytest.approx(log_jacobian, abs=1e-7)
        assert (abs(log_jacobian) > 1) == (coordinates != "white")


@pytest.mark.parametrize("redshift_space", [True, False])
def test_in_linear_theory_the_coordinates_are_standard_normals(monkeypatch, redshift_space):
    """With Kaiser's density in place of the second-order one, whatever was seen."""

    def linear(density_k, bias, Omega_m, scale_factor, grid, *, redshift_space, num_steps):
        boost = kaiser_boost(bias, Omega_m, scale_factor, grid, redshift_space=redshift_space)
        modes = grid.synthesised(jnp.fft.irfftn(density_k, s=grid.shape)) * (grid.distances[0] ** 3 / grid.volume)
        return 1.0 + grid.synthesised(boost * modes)

    monkeypatch.setattr(initial_conditions, "galaxy_density", linear)
    seen = 1.0 + RNG.normal(size=(4, 6, 5 + redshift_space))
    settings = {"priors": KNOWN, "redshift_space": redshift_space}
    problem = initial_conditions.build(seen, tuple(15.0 * n for n in seen.shape), 1e-3, **settings)
    with jax.enable_x64(True):
        points = jnp.asarray(RNG.normal(size=(5, seen.size)))
        density = jax.vmap(problem.centred.log_density, (0, None))(points, problem.data)
    squared = np.square(np.asarray(points)).sum(1)
    np.testing.assert_allclose(np.diff(np.asarray(density) + 0.5 * squared), 0.0, atol=1e-8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": np.ones((8, 8))}, "a mesh of three axes"),
        ({"density": np.ones((8, 8, 2))}, "at least 4 cells"),
        ({"density": np.full((8, 8, 8), np.nan)}, "must be finite numbers"),
        ({"box_size": -100.0}, "`box_size` must be positive"),
        ({"box_size": (100.0, 100.0)}, "one length or three"),
        ({"number_density": 0.0}, "`number_density` must be positive"),
        ({"num_steps": 2.5}, "`num_steps` must be a whole number"),
        ({"scale_factor": -0.5}, "`scale_factor` must be positive"),
        ({"Omega_b": 0.06}, "`Omega_b` must be above 0 and below 0.05"),
        ({"coordinates": "kaiser"}, '"centred", "scaled" or "white"'),
        ({"priors": {"sigma_8": 0.8}}, "`priors` has sigma_8"),
        ({"priors": {"sigma8": (0.8, 0.0)}}, "The prior of `sigma8` must be a mean and a positive standard deviation"),
        ({"priors": {"sigma8": -0.1}}, "The prior of `sigma8` must be centred between 0"),
        ({"priors": {"Omega_m": (1.2, 0.1)}}, "The prior of `Omega_m` must be centred between 0.05 and 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        initial_conditions.build(
            **({"density": np.ones((8, 8, 8)), "box_size": 160.0, "number_density": 1e-3} | arguments)
        )


def test_counts_in_cells():
    counts = np.random.default_rng(1).poisson(3.0, (4, 5, 6))
    density, number_density = initial_conditions.density_of_counts(counts, (40.0, 50.0, 60.0))
    assert density.mean() == pytest.approx(1.0)
    assert number_density == pytest.approx(counts.mean() / 1000.0)
    for wrong in (-counts, counts + 0.5, counts[0], np.full((4, 4, 4), np.nan)):
        with pytest.raises(ValueError, match="`counts` must be whole numbers, not below 0"):
            initial_conditions.density_of_counts(wrong, 40.0)
    with pytest.raises(ValueError, match="hold no galaxy"):
        initial_conditions.density_of_counts(0 * counts, 40.0)


@pytest.mark.slow
def test_the_engines_agree_and_find_the_initial_field():
    """NUTS and both kinds of MCLMC: the same parameters, and a field as far from the true one as it says."""
    problem, modes = problem_of((8, 8, 8), seed=3)
    engines = {
        "NUTS": ba.NUTS(num_chains=2, num_warmup=300, num_draws=300),
        "MCLMC": ba.MCLMC(num_chains=2, num_warmup=4000, num_draws=400),
        "adjusted": ba.MCLMC(num_chains=2, num_warmup=400, num_draws=400, adjusted=True),
    }
    results = {name: ba.fit(problem, engine, seed=1, progress=False) for name, engine in engines.items()}
    tables = {name: ba.summary(result, var_names=list(KNOWN)) for name, result in results.items()}
    for name in ("MCLMC", "adjusted"):
        one, other = tables["NUTS"], tables[name]
        error = np.hypot(one["sd"] / np.sqrt(one["ess_bulk"]), other["sd"] / np.sqrt(other["ess_bulk"]))
        assert (np.abs(one["mean"] - other["mean"]) < Z * error).all()
    for name, result in results.items():
        draws = result["posterior"]["modes"].values.reshape(-1, 512)
        pulls = (modes.ravel() - draws.mean(0)) / draws.std(0)
        assert abs(np.mean(pulls**2) - 1) < Z * np.sqrt(2 / 512), name
        assert np.corrcoef(draws.mean(0), modes.ravel())[0, 1] > 0.5, name


@pytest.mark.slow
def test_the_initial_field_is_found_through_a_particle_mesh():
    """Pulls of its modes are standard normals, with galaxies that the particle mesh made."""
    priors = KNOWN | {"Omega_m": (0.31, 0.03), "sigma8": (0.81, 0.05), "b1": (1.0, 0.2)}
    settings = {"cell": 10.0, "number_density": 3e-3, "num_steps": 2, "scale_factor": 0.7}
    problem, modes = problem_of((8, 8, 8), seed=3, priors=priors, **settings)
    engine = ba.MCLMC(num_chains=2, num_warmup=1500, num_draws=200)
    result = ba.fit(problem, engine, seed=1, progress=False)
    draws = result["posterior"]["modes"].values.reshape(-1, 512)
    pulls = (modes.ravel() - draws.mean(0)) / draws.std(0)
    assert abs(np.mean(pulls**2) - 1) < Z * np.sqrt(2 / 512)
    assert np.corrcoef(draws.mean(0), modes.ravel())[0, 1] > 0.5


@pytest.mark.slow
def test_posteriors_are_calibrated():
    """Cosmology, bias and modes; unadjusted, so with what is left of its bias."""
    problem, _ = problem_of((4, 4, 4), priors=NARROW)
    engine = ba.MCLMC(num_chains=1, num_warmup=2000, num_draws=300)
    report = ba.calibrate(problem, engine, num_simulations=120, seed=1, progress=False)
    assert report.verdict == "pass", str(report)


@pytest.mark.slow
def test_the_power_of_initial_fields_is_calibrated():
    """Ranks of its power in two shells among that of the draws, over universes of the prior, are uniform."""
    problem, _ = problem_of((6, 6, 6), priors=NARROW)
    number = 100
    made = problem.simulate(number, key=jax.random.key(4))
    batch = problem.batch(observed={"density": made.observables["density"]})
    engine = ba.MCLMC(num_chains=1, num_warmup=2000, num_draws=200)
    posterior = ba.fit_many(problem, batch, engine, seed=2, progress=False)["posterior"]
    grid, edges = regular_grid((6, 6, 6), 20.0), np.array([0.04, 0.08, 0.13])

    def power(modes, Omega_m, sigma8):
        field = initial_conditions.initial_density(problem, modes, Omega_m, sigma8)
        return np.asarray(shell_power(jnp.asarray(field), jnp.asarray(field), grid, edges))

    names, ranks = ("modes", "Omega_m", "sigma8"), []
    with jax.enable_x64(True):
        for i in range(number):
            true = power(*(made.parameters[name][i] for name in names))
            draws = [
                np.asarray(posterior[name].isel(dataset=i)).reshape(-1, *made.parameters[name].shape[1:])[::10]
                for name in names
            ]
            ranks.append(np.mean([power(*draw) < true for draw in zip(*draws, strict=True)], axis=0))
    for shell in np.array(ranks).T:
        assert stats.kstest(shell, "uniform").pvalue > 1e-4
