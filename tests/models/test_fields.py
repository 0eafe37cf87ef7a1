"""Correlated fields: equal to NIFTy's at the same excitations, with the priors and spectra that are asked for."""

import jax
import jax.numpy as jnp
import nifty8.re as jft
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from matrix import Z

import bayesastro as ba
from bayesastro.models.fields.correlated_field import (
    MaternAxes,
    PowerLawAxes,
    correlated_field,
    matern_field,
    outer_product_field,
)
from bayesastro.simulators.fields import healpix_grid, power_law_amplitude, regular_grid

RNG = np.random.default_rng(6)


def problem_of(field, shape):
    """A program that sees the field with noise."""

    def program():
        value = numpyro.deterministic("value", field())
        numpyro.sample("y", dist.Normal(value, 0.01).to_event(value.ndim))

    return ba.Problem(program, observed={"y": np.zeros(shape)})


def field_at(problem, excitations):
    """The field where each latent has the excitations given by name."""
    chart = problem.views("double").white
    with jax.enable_x64(True):
        z = jnp.concatenate([jnp.ravel(jnp.asarray(excitations[name], float)) for name, _ in chart.shapes])
        return np.asarray(chart.to_parameters(z, problem.data, deterministics=("value",))["value"])


def of_nifty(offset_mean, offset_sd, *parts):
    """NIFTy's field at random excitations, and these; of each part the settings, with the method that adds it."""
    with jax.enable_x64(True):
        maker = jft.CorrelatedFieldMaker("")
        maker.set_amplitude_total_offset(offset_mean, offset_sd)
        for method, arguments, settings in parts:
            getattr(maker, method)(*arguments, **settings)
        model = maker.finalize()
        drawn = {name: RNG.normal(size=domain.shape) for name, domain in model.domain.items()}
        return np.asarray(model({name: jnp.asarray(value) for name, value in drawn.items()})), drawn


def same_as_nifty(problem, *settings):
    theirs, drawn = of_nifty(*settings)
    ours = field_at(problem, {NAMES.get(name, f"f_{name}"): value for name, value in drawn.items()})
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10 * np.abs(theirs).max())


NAMES = {
    "zeromode": "f_offset_sd",
    "loglogavgslope": "f_slope",
    "xloglogavgslope": "f_x_slope",
    "eloglogavgslope": "f_e_slope",
    "xfluctuations": "f_x_fluctuations",
    "efluctuations": "f_e_fluctuations",
    "xflexibility": "f_x_flexibility",
    "xasperity": "f_x_asperity",
    "xspectrum": "f_x_spectrum",
}


@pytest.mark.parametrize(
    ("shape", "distances"), [((32,), 0.3), ((33,), 2.0), ((16, 24), (0.1, 0.25)), ((15, 20), 0.2), ((6, 5, 8), 1.0)]
)
@pytest.mark.parametrize("rough", ["power law", "flexible", "rough"])
def test_field_is_that_of_nifty(shape, distances, rough):
    more = {} if rough == "power law" else {"flexibility": (0.8, 0.3)}
    more |= {"asperity": (0.4, 0.2)} if rough == "rough" else {}
    settings = {"fluctuations": (0.7, 0.2), **more}
    problem = problem_of(
        lambda: correlated_field(
            "f", shape, distances, slope=(-2.5, 0.4), offset_mean=1.3, offset_sd=(0.5, 0.1), **settings
        ),
        shape,
    )
    theirs = ("add_fluctuations", (shape, distances), {"loglogavgslope": (-2.5, 0.4), **settings})
    same_as_nifty(problem, 1.3, (0.5, 0.1), theirs)


def test_several_axes_have_a_spectrum_each():
    sky = {"fluctuations": (0.7, 0.2), "flexibility": (0.8, 0.3), "asperity": (0.4, 0.2)}
    energy = {"fluctuations": (0.3, 0.1)}
    axes = [
        PowerLawAxes(name="x", grid=regular_grid((16, 12), 0.2), slope=(-2.0, 0.3), **sky),
        PowerLawAxes(name="e", grid=regular_grid(8, 0.5), slope=(-1.0, 0.3), **energy),
    ]
    problem = problem_of(lambda: outer_product_field("f", axes, offset_mean=-1.0, offset_sd=(0.5, 0.1)), (16, 12, 8))
    theirs = [
        ("add_fluctuations", ((16, 12), 0.2), {"loglogavgslope": (-2.0, 0.3), "prefix": "x", **sky}),
        ("add_fluctuations", ((8,), 0.5), {"loglogavgslope": (-1.0, 0.3), "prefix": "e", **energy}),
    ]
    same_as_nifty(problem, -1.0, (0.5, 0.1), *theirs)


def test_matern_field_is_that_of_nifty_but_for_its_size():
    """Theirs is not of unit variance before it is scaled: ours is, by the sum over modes."""
    grid, cutoff, slope = regular_grid((16, 12), 0.2), 0.7, -2.2
    problem = problem_of(
        lambda: matern_field("f", grid, fluctuations=0.3, cutoff=cutoff, slope=slope, offset_sd=(0.5, 0.1)), (16, 12)
    )
    known = [lambda _, value=value: value for value in (1.0, cutoff, 2 * slope)]
    added = ("add_fluctuations_matern", ((16, 12), 0.2, *known), {"renormalize_amplitude": False})
    theirs, drawn = of_nifty(0.0, (0.5, 0.1), added)
    ours = field_at(problem, {"f_offset_sd": drawn["zeromode"], "f_xi": drawn["xi"]})
    np.testing.assert_allclose(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1], 1.0, rtol=1e-10)
    variance = np.sum(grid.multiplicity[1:] * (1 + (grid.mode_length[1:] / cutoff) ** 2) ** slope) / grid.volume
    np.testing.assert_allclose(ours.std() / theirs.std(), 0.3 / np.sqrt(variance), rtol=1e-10)


def test_field_on_the_sphere_is_that_of_nifty():
    settings = {"fluctuations": (0.7, 0.2), "flexibility": (0.8, 0.3), "asperity": (0.4, 0.2)}
    sky, energy = healpix_grid(8), {"fluctuations": (0.3, 0.1)}
    alone = problem_of(lambda: correlated_field("f", sky, slope=(-2.5, 0.4), offset_sd=(0.5, 0.1), **settings), (768,))
    theirs = ("add_fluctuations", (8, None), {"loglogavgslope": (-2.5, 0.4), "harmonic_type": "spherical", **settings})
    same_as_nifty(alone, 0.0, (0.5, 0.1), theirs)
    axes = [
        PowerLawAxes(name="x", grid=sky, slope=(-2.0, 0.3), **settings),
        PowerLawAxes(name="e", grid=regular_grid(4, 0.5), slope=(-1.0, 0.3), **energy),
    ]
    both = problem_of(lambda: outer_product_field("f", axes, offset_mean=-1.0, offset_sd=(0.5, 0.1)), (768, 4))
    theirs = [
        (
            "add_fluctuations",
            (8, None),
            {"loglogavgslope": (-2.0, 0.3), "prefix": "x", "harmonic_type": "spherical", **settings},
        ),
        ("add_fluctuations", ((4,), 0.5), {"loglogavgslope": (-1.0, 0.3), "prefix": "e", **energy}),
    ]
    same_as_nifty(both, -1.0, (0.5, 0.1), *theirs)


@pytest.mark.parametrize(
    "axes",
    [
        PowerLawAxes(grid=healpix_grid(8), fluctuations=0.7, slope=-1.5, flexibility=0.5, asperity=0.3),
        PowerLawAxes(grid=regular_grid((24, 20), 0.5), fluctuations=0.7, slope=-1.5, flexibility=0.5, asperity=0.3),
        MaternAxes(grid=regular_grid((24, 20), 0.5), fluctuations=0.7, cutoff=0.2, slope=-2.0),
        PowerLawAxes(grid=regular_grid(50, 0.5, padding=1.3), fluctuations=0.7, slope=-1.0),
    ],
)
def test_fields_vary_as_they_should(axes):
    """Of draws the mean over the grid has the offset's variance, pixels also that of the fluctuations."""
    problem = problem_of(lambda: outer_product_field("f", [axes], offset_mean=2.0, offset_sd=0.4), axes.grid.shape)
    drawn = problem.simulate(2000, key=jax.random.key(2)).observables["y"]
    pixel = drawn.reshape(2000, -1)[:, 7]
    variance = 0.4**2 + 0.7**2
    assert abs(pixel.mean() - 2.0) < Z * np.sqrt(variance / 2000)
    assert abs(pixel.var() / variance - 1) < Z * np.sqrt(2 / 2000)
    if axes.grid.harmonic_shape == axes.grid.shape:
        assert abs(drawn.reshape(2000, -1).mean(1).var() / 0.4**2 - 1) < Z * np.sqrt(2 / 2000)


def test_a_masked_sky_has_the_wiener_filter_as_its_posterior():
    """A third of the sphere is not seen; 81 harmonics and their mean by linear algebra, and by GeoVI."""
    grid, is_seen = healpix_grid(4), np.arange(192) % 3 > 0

    def sky(grid, is_seen):
        field = correlated_field("f", grid, fluctuations=0.7, slope=-1.5, offset_sd=0.4)
        numpyro.sample("y", dist.Normal(numpyro.deterministic("field", field), 0.5).mask(is_seen).to_event(1))

    problem = ba.Problem(sky, grid, is_seen, observed={"y": np.zeros(192)})
    y = problem.simulate(1, key=jax.random.key(4)).observables["y"][0]
    result = ba.fit(
        problem.replace(observed={"y": y}),
        ba.GeoVI(num_iterations=2, num_samples=40, num_draws=10_000),
        seed=1,
        progress=False,
    )
    with jax.enable_x64(True):
        sd = jnp.concatenate([jnp.array([0.4]), 0.7 * power_law_amplitude(grid, -1.5)[1:]])[grid.mode_index]
        harmonics = np.asarray(grid.synthesised(jnp.diag(sd), 1)).T
    prior = harmonics @ harmonics.T
    gain = np.linalg.solve(prior[np.ix_(is_seen, is_seen)] + 0.25 * np.eye(is_seen.sum()), prior[is_seen]).T
    variance = np.diag(prior - gain @ prior[is_seen])
    field = result["posterior"]["field"]
    assert np.abs((field.mean(("chain", "draw")) - gain @ y[is_seen]) / np.sqrt(variance)).max() < 0.03
    assert np.abs(field.std(("chain", "draw")) / np.sqrt(variance) - 1).max() < 0.06


def test_wrong_fields_are_refused():
    def field(**changes):
        settings = {"shape": (8, 8), "distances": 1.0, "fluctuations": (1.0, 0.2), "slope": (-2.0, 0.3)} | changes
        return lambda: correlated_field("f", **settings)

    cases = [
        ({"shape": (8, 1)}, "whole numbers of at least 2"),
        ({"distances": None}, "needs the `distances` between pixels"),
        ({"distances": (1.0, 2.0, 3.0)}, "one number or one for each of 2 axes"),
        ({"distances": -1.0}, "`distances` must be positive"),
        ({"padding": 0.5}, "`padding` must be at least 1"),
        ({"fluctuations": (0.0, 0.1)}, "`f_fluctuations`, which is positive, needs a positive mean"),
        ({"slope": (-2.0, 0.0)}, "`f_slope` needs a positive standard deviation"),
        ({"slope": (1.0, 2.0, 3.0)}, "must be a pair of mean and standard deviation"),
        ({"shape": regular_grid(8, 1.0)}, "Give these to `regular_grid`"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            problem_of(field(**changes), (8, 8)).views()
    grid = regular_grid(8, 1.0)
    axes = [PowerLawAxes(grid=grid, fluctuations=1.0, slope=-1.0)] * 2
    with pytest.raises(ValueError, match="a `name` of its own"):
        problem_of(lambda: outer_product_field("f", axes), (8, 8)).views()
