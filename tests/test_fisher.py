"""Fisher coordinates of observed sites: the metric of each family, masks and plates, refusals, families of one's own."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bayesastro as ba
from bayesastro.fisher import rule_of

XI = np.array([0.3, -0.2, 0.4, 0.5, -0.3])
COVARIANCE = np.array([[2.0, 0.6], [0.6, 1.0]])

FAMILIES = {
    "Normal": lambda z: dist.Normal(z[0], 0.7),
    "Normal, scale inferred": lambda z: dist.Normal(z[0], jnp.exp(z[1])),
    "LogNormal": lambda z: dist.LogNormal(z[0], jnp.exp(z[1])),
    "MultivariateNormal": lambda z: dist.MultivariateNormal(z[:2], covariance_matrix=COVARIANCE),
    "MultivariateNormal, covariance inferred": lambda z: dist.MultivariateNormal(
        z[:2], scale_tril=jnp.stack([jnp.stack([jnp.exp(z[2]), 0.0]), jnp.stack([z[3], jnp.exp(z[4])])])
    ),
    "StudentT": lambda z: dist.StudentT(4.0, z[0], 0.7),
    "StudentT, all inferred": lambda z: dist.StudentT(3.0 * jnp.exp(z[0]), z[1], jnp.exp(z[2])),
    "Poisson": lambda z: dist.Poisson(2.0 * jnp.exp(z[0])),
    "BernoulliProbs": lambda z: dist.Bernoulli(probs=jax.nn.sigmoid(z[0] + z[1])),
    "BernoulliLogits": lambda z: dist.Bernoulli(logits=2.0 * z[0] + z[1]),
    "BinomialProbs": lambda z: dist.Binomial(7, probs=jax.nn.sigmoid(z[0])),
    "BinomialLogits": lambda z: dist.Binomial(7, logits=3.0 * z[0]),
    "Exponential": lambda z: dist.Exponential(jnp.exp(z[0] - z[1])),
    "Gamma": lambda z: dist.Gamma(3.0, jnp.exp(z[0])),
    "Gamma, shape inferred": lambda z: dist.Gamma(jnp.exp(z[0]), jnp.exp(z[1])),
}


def metric(problem: ba.Problem, xi) -> np.ndarray:
    """JᵀJ, and a check that anchoring the coordinates at the same point changes nothing."""
    fisher = problem.views().fisher

    @jax.jit
    def jacobians(xi, data):
        anchor = fisher.distributions(xi, data)
        at_itself = jax.jacfwd(lambda z: fisher.coordinates(z, data))(xi)
        return at_itself, jax.jacfwd(lambda z: fisher.coordinates(z, data, anchor))(xi)

    with jax.enable_x64(True):
        roots = [
            np.concatenate([np.reshape(a, (-1, len(xi))) for a in jax.tree.leaves(jacobian)])
            for jacobian in jacobians(jnp.asarray(xi, float), problem.data)
        ]
    np.testing.assert_allclose(roots[0], roots[1], rtol=1e-10, atol=1e-12)
    return roots[0].T @ roots[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_metric_is_the_covariance_of_the_score_and_residuals_are_standard(name):
    family, num = FAMILIES[name], 40_000

    @jax.jit
    def everything(xi):
        rule, at = rule_of(type(family(xi))), family(xi)
        root = jax.jacfwd(lambda z: jnp.concatenate([jnp.ravel(a) for a in rule.coordinates(family(z), at)]))(xi)
        draws = at.sample(jax.random.key(1), (num,))
        scores = jax.vmap(jax.grad(lambda z, x: family(z).log_prob(x)), (None, 0))(xi, draws)
        return root.T @ root, scores, rule.residual(at, draws)

    with jax.enable_x64(True):
        metric, scores, residuals = map(np.asarray, everything(jnp.asarray(XI)))
    products = scores[:, :, None] * scores[:, None, :]
    error = products.std(0) / np.sqrt(num) + 1e-12
    assert np.all(np.abs(metric - products.mean(0)) < 5 * error)
    assert abs(residuals.mean()) < 5 / np.sqrt(residuals.size)
    assert abs(residuals.var() - 1) < 5 * (residuals**2).std() / np.sqrt(residuals.size)


def test_coordinates_that_no_latent_moves_are_left_out():
    def program():
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([5]).to_event(1))
        for name in names:
            numpyro.sample(name, FAMILIES[name](z))

    names = [n for n in FAMILIES if n.startswith(("Normal", "StudentT", "MultivariateNormal", "Gamma"))]
    observed = {name: np.array([1.0, 1.0] if "Multivariate" in name else 1.0) for name in names}
    problem = ba.Problem(program, observed=observed)
    with jax.enable_x64(True):
        found = jax.eval_shape(problem.views().fisher.coordinates, jnp.asarray(XI), problem.data)
    number = {name: len(found[name]) for name in names}
    assert [number["Normal"], number["Normal, scale inferred"]] == [1, 2]
    assert [number["StudentT"], number["StudentT, all inferred"]] == [1, 3]
    assert [number["MultivariateNormal"], number["MultivariateNormal, covariance inferred"]] == [1, 3]
    assert [number["Gamma"], number["Gamma, shape inferred"]] == [1, 2]


def test_masks_plates_events_and_expansion_count_each_entry_observed_once():
    """Against sums over the unmasked entries by hand."""

    def program(x, mask, spectrum_mask):
        m = numpyro.sample("m", dist.Normal(0.0, 1.0))
        s = jnp.exp(numpyro.sample("s", dist.Normal(0.0, 1.0)))
        with numpyro.plate("n", 4), numpyro.handlers.mask(mask=mask):
            numpyro.sample("in_plate", dist.Normal(m * x, s))
        numpyro.sample("event", dist.Normal(m, 2.0).expand([3, 4]).mask(mask).to_event(2))
        numpyro.sample("vectors", dist.MultivariateNormal(m * jnp.ones(2), jnp.eye(2)).expand([3]).mask(spectrum_mask))
        numpyro.sample("nested", dist.Poisson(jnp.exp(m)).expand([2, 4]).to_event(1).mask(spectrum_mask[:2]))

    x, mask, spectrum_mask = np.arange(1.0, 5.0), np.array([True, False, True, True]), np.array([True, False, False])
    problem = ba.Problem(
        program,
        x,
        mask,
        spectrum_mask,
        observed={
            "in_plate": x,
            "event": np.zeros((3, 4)),
            "vectors": np.zeros((3, 2)),
            "nested": np.ones((2, 4), int),
        },
    )
    m, log_s = 0.3, -0.2
    scale = np.exp(log_s)
    expected = np.diag([(x[mask] ** 2).sum() / scale**2 + 9 / 4 + 2 + 4 * np.exp(m), 2 * mask.sum()])
    np.testing.assert_allclose(metric(problem, [m, log_s]), expected, rtol=1e-10, atol=1e-10)
    with jax.enable_x64(True):
        residuals = jax.jit(problem.views().fisher.residuals)(jnp.array([m, log_s]), problem.data)
    assert {name: int(number) for name, (_, _, number) in residuals.items()} == {
        "in_plate": 3,
        "event": 9,
        "vectors": 2,
        "nested": 4,
    }


def test_observed_values_broadcast_against_a_scalar_distribution():
    def program(y):
        numpyro.sample("y", dist.Normal(numpyro.sample("m", dist.Normal(0.0, 1.0)), 0.5), obs=y)

    np.testing.assert_allclose(metric(ba.Problem(program, np.zeros(20)), [0.1]), [[20 / 0.25]])


def test_an_unknown_family_is_refused_by_site():
    def program():
        numpyro.sample("y", dist.Cauchy(numpyro.sample("m", dist.Normal(0.0, 1.0)), 1.0))

    problem = ba.Problem(program, observed={"y": np.array(1.0)})
    assert "fisher" not in problem.provides
    table = problem.check()
    assert table.ok["NUTS"]
    assert not table.ok["GeoVI"]
    assert "site `y` has `Cauchy`, whose Fisher metric is not known" in table.reason["GeoVI"]
    with pytest.raises(ValueError, match=r"site `y` has `Cauchy`.*register_fisher"):
        ba.fit(problem, ba.GeoVI(), seed=1)


def test_a_factor_is_refused_by_site():
    def program():
        m = numpyro.sample("m", dist.Normal(0.0, 1.0))
        numpyro.factor("penalty", -(m**2))

    with pytest.raises(ValueError, match=r"site `penalty` is a `numpyro.factor`, which has no Fisher metric"):
        ba.fit(ba.Problem(program), ba.GeoVI(), seed=1)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (dist.ImproperUniform(dist.constraints.real, (), ()), "site `m` has `ImproperUniform`"),
        (dist.VonMises(0.0, 1.0), "site `m` has `VonMises`, which has no map from standard normals"),
        (dist.Poisson(2.0), "site `m` has the discrete prior `Poisson`"),
    ],
)
def test_a_prior_without_white_coordinates_is_refused_by_site(prior, message):
    def program():
        numpyro.sample("y", dist.Normal(numpyro.sample("m", prior), 1.0))

    with pytest.raises(ValueError, match=message):
        ba.fit(ba.Problem(program, observed={"y": np.array(1.0)}), ba.GeoVI(), seed=1)


def test_a_user_can_add_a_family_and_subclasses_are_families_of_their_own():
    class Doubled(dist.Normal):
        """Counts each observation twice."""

        def log_prob(self, value):
            return 2 * super().log_prob(value)

    def program():
        numpyro.sample("y", Doubled(numpyro.sample("m", dist.Normal(0.0, 1.0)), 0.5))

    def problem():
        return ba.Problem(program, observed={"y": np.array(1.0)})

    assert "site `y` has `Doubled`" in str(problem().lacks["fisher"])
    ba.register_fisher(Doubled, lambda fn, at: (jnp.sqrt(2.0) * fn.loc / fn.scale,))
    np.testing.assert_allclose(metric(problem(), [0.1]), [[8.0]])
    result = ba.fit(problem(), ba.GeoVI(num_draws=2000), seed=1, progress=False)
    np.testing.assert_allclose(result["posterior"]["m"].mean(), 8 / 9, atol=1e-6)
    np.testing.assert_allclose(result["posterior"]["m"].std(), 1 / 3, rtol=0.1)


def test_only_classes_of_distributions_can_be_registered():
    with pytest.raises(TypeError, match="choose between classes"):
        ba.register_fisher(dist.Bernoulli, lambda fn, at: (fn.probs,))
