"""Photon spectra against quadrature, folding against jaxspec's numbers, statistics against optimisation."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize, special, stats
from xray_spectra import EDGES, matrix

from bayesastro.datasets.xray_spectra import read_cross_sections, read_xray_spectrum
from bayesastro.simulators.spectra.count_statistics import chi2_gehrels, profiled_background, w_statistic
from bayesastro.simulators.spectra.photon_spectra import (
    BlackBody,
    CutoffPowerLaw,
    GaussianLine,
    PowerLaw,
    Product,
    Sum,
    Transmission,
    bin_integral,
)
from bayesastro.simulators.spectra.response import DenseMatrix, SparseMatrix, folded, matrix_of, response_of

NARROW = np.geomspace(0.2, 12.0, 200)


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64(True):
        yield


def integrals(density, edges):
    return [integrate.quad(density, a, b, epsabs=0, epsrel=1e-12)[0] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("index", [-1.0, 0.0, 1.0 - 1e-9, 1.0, 1.0 + 1e-7, 1.7, 2.0, 4.5])
def test_power_laws_are_exact_in_bins_of_any_width(index):
    edges = np.array([0.1, 0.101, 0.15, 1.0, 20.0])
    expected = integrals(lambda e: 3.0 * e**-index, edges)
    np.testing.assert_allclose(PowerLaw(index, 3.0)(jnp.asarray(edges)), expected, rtol=1e-11)


@pytest.mark.parametrize(("index", "cutoff"), [(0.5, 2.0), (1.0, 10.0), (2.0, 1.0)])
def test_cut_off_power_laws(index, cutoff):
    expected = integrals(lambda e: 2.0 * e**-index * np.exp(-e / cutoff), NARROW)
    np.testing.assert_allclose(CutoffPowerLaw(index, cutoff, 2.0)(jnp.asarray(NARROW)), expected, rtol=1e-9)


def test_a_cut_off_power_law_has_the_integral_of_the_gamma_function():
    low, high = (5.0**0.3 * special.gammaincc(0.3, e / 5.0) * special.gamma(0.3) for e in (0.2, 12.0))
    assert CutoffPowerLaw(0.7, 5.0, 1.0)(jnp.asarray(NARROW)).sum() == pytest.approx(low - high, rel=1e-10)


@pytest.mark.parametrize("kT", [0.1, 0.75, 5.0])
def test_black_bodies(kT):
    expected = np.array(integrals(lambda e: 1.0344e-3 * 0.4 * e**2 / np.expm1(e / kT), NARROW))
    found = BlackBody(kT, 0.4)(jnp.asarray(NARROW))
    used = NARROW[1:] < 30 * kT
    np.testing.assert_allclose(found[used], expected[used], rtol=1e-7)
    wide = np.geomspace(1e-3 * kT, 60 * kT, 400)
    zeta = 2 * special.zeta(3)
    assert BlackBody(kT, 1.0)(jnp.asarray(wide)).sum() == pytest.approx(1.0344e-3 * zeta * kT**3, rel=1e-6)


def test_lines_are_exact_far_from_their_centres_too():
    edges = np.array([3.0, 5.9, 6.3, 6.4, 6.5, 8.0])
    line = stats.norm(6.4, 0.1)
    expected = 2.0 * np.append(np.diff(line.cdf(edges[:4])), -np.diff(line.sf(edges[3:])))
    np.testing.assert_allclose(GaussianLine(6.4, 0.1, 2.0)(jnp.asarray(edges)), expected, rtol=1e-10)
    assert GaussianLine(6.4, 1e-6, 2.0)(jnp.asarray(edges)).sum() == pytest.approx(2.0)


def test_sums_and_products():
    edges, sigma = jnp.asarray(NARROW), np.linspace(50.0, 0.1, NARROW.size - 1)
    law, body, absorber = PowerLaw(1.7, 1.0), BlackBody(0.5, 2.0), Transmission(0.3, sigma)
    expected = np.exp(-0.3 * sigma) * (np.asarray(law(edges)) + np.asarray(body(edges)))
    np.testing.assert_allclose(Product((Sum((law, body)), absorber))(edges), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "theta"),
    [
        (PowerLaw, [1.0, 1e-3]),
        (PowerLaw, [1.0 + 1e-5, 1e-3]),
        (PowerLaw, [2.3, 1e-3]),
        (CutoffPowerLaw, [1.3, 4.0, 1e-3]),
        (BlackBody, [0.6, 0.2]),
        (GaussianLine, [6.4, 0.05, 1e-4]),
    ],
)
def test_gradients_are_those_of_finite_differences(make, theta):
    theta, weight = np.array(theta), np.random.default_rng(1).uniform(size=NARROW.size - 1)

    def total(p):
        return jnp.sum(weight * make(*p)(jnp.asarray(NARROW)))

    steps = 1e-6 * np.diag(np.abs(theta))
    numeric = [(total(theta + s) - total(theta - s)) / (2 * s.sum()) for s in steps]
    np.testing.assert_allclose(jax.jit(jax.grad(total))(jnp.asarray(theta)), numeric, rtol=3e-6)


@pytest.mark.parametrize(
    ("make", "theta"),
    [
        (BlackBody, [1e-3, 1.0]),
        (BlackBody, [50.0, 1.0]),
        (GaussianLine, [6.4, 1e-5, 1.0]),
        (CutoffPowerLaw, [5.0, 1e-2, 1.0]),
    ],
)
def test_gradients_are_finite_at_extremes(make, theta):
    found = jax.jacfwd(lambda p: make(*p)(jnp.asarray(NARROW)))(jnp.asarray(theta))
    assert np.isfinite(found).all()


def test_sparse_and_dense_matrices_agree():
    elements = np.where(np.random.default_rng(2).uniform(size=(50, 80)) < 0.02, 1.5, 0.0)
    photons = jnp.asarray(np.random.default_rng(3).uniform(size=80))
    assert isinstance(matrix_of(elements), SparseMatrix)
    assert isinstance(matrix_of(matrix()), DenseMatrix)
    np.testing.assert_allclose(matrix_of(elements)(photons), elements @ np.asarray(photons), rtol=1e-13)
    np.testing.assert_allclose(DenseMatrix(elements)(photons), elements @ np.asarray(photons), rtol=1e-13)


def test_folding_is_that_of_jaxspec(published_file):
    """jaxspec 0.4.1 (2026-11-22) by its transfer matrix and components with n_points=11: totals, and three groups.

    A power law is exact on either side. Black bodies and absorption differ by their quadrature within energy bins.
    """
    folder = "xray_ngc7793_ulx4_xmm"
    spectrum = read_xray_spectrum(published_file(f"{folder}/PN_spectrum_grp20.fits.gz"), low=0.3, high=12.0)
    tables = read_cross_sections(published_file(f"{folder}/xsect_tbabs_wilm.fits.gz"), abundances="wilm")
    response = response_of(spectrum.edges, spectrum.matrix, spectrum.exposure)
    law, body = PowerLaw(2.07, 2.8e-4), BlackBody(0.75, 0.18)
    absorbed = Product((Sum((law, body)), Transmission(0.12, tables.binned(spectrum.edges))))
    for model, total, groups, tolerance in (
        (law, 11615.930005859067, [513.04981543, 37.90781305, 18.05109493], 2e-9),
        (body, 3416.987238297382, [15.62606096, 36.8965109, 0.73469551], 3e-7),
        (absorbed, 11079.151474020295, [133.18800337, 73.12674496, 18.76237051], 6e-4),
    ):
        counts = np.asarray(folded(model, response))
        assert counts.sum() == pytest.approx(total, rel=tolerance)
        np.testing.assert_allclose(counts[[0, 50, 109]], groups, rtol=2 * tolerance)


def test_bad_responses_are_refused():
    with pytest.raises(ValueError, match="`edges` must be 61 positive"):
        response_of(EDGES[:-1], matrix(), 1.0)
    with pytest.raises(ValueError, match="`exposure` must be"):
        response_of(EDGES, matrix(), 0.0)


def deviance(b, S, B, m, r):
    """Twice the negative log-likelihood ratio at a background."""
    parts = [m + r * b - S, b - B]
    parts += [S * np.log(S / (m + r * b)) if S else 0.0, B * np.log(B / b) if B else 0.0]
    return 2 * sum(parts)


@pytest.mark.parametrize(
    ("S", "B", "r"), [(5, 3, 0.2), (0, 4, 1.5), (7, 0, 0.3), (0, 0, 1.0), (200, 1000, 0.1), (1, 60, 0.5)]
)
@pytest.mark.parametrize("m", [1e-8, 0.3, 4.0, 90.0])
def test_the_background_of_the_w_statistic_is_the_most_likely(S, B, r, m):
    found = float(w_statistic(S, B, m, r))
    best = optimize.minimize_scalar(
        lambda t: deviance(np.exp(t), S, B, m, r), bounds=(-30, 12), method="bounded", options={"xatol": 1e-9}
    )
    assert found == pytest.approx(best.fun, abs=1e-5, rel=1e-7)
    assert float(profiled_background(S, B, m, r)) == pytest.approx(np.exp(best.x), abs=1e-3, rel=1e-3)
    # At its optimum the background adds nothing to the slope.
    slope = 2 * (1 - (S / (m + r * np.exp(best.x)) if S else 0.0))
    assert float(jax.grad(w_statistic, 2)(float(S), float(B), m, r)) == pytest.approx(slope, rel=1e-3, abs=1e-5)


def test_3c273_has_the_fit_that_its_table_of_absorption_allows(published_file):
    """sherpa's reference is χ² = 37.9079, Γ = 2.15852, K = 2.2484e-4 with xsphabs; without XSPEC only wabs' table is at hand.

    With it sherpa's parameters have χ² within 0.35 of sherpa's, and the best fit is 0.15 standard errors from there.
    """
    path = published_file("xray_3c273_chandra/3c273.pi.gz")
    spectrum = read_xray_spectrum(path, low=0.1, high=6.0, partial=True)
    tables = read_cross_sections(published_file("xray_ngc7793_ulx4_xmm/xsect_wabs_angr.fits.gz"), abundances="angr")
    response, sigma = response_of(spectrum.edges, spectrum.matrix, spectrum.exposure), tables.binned(spectrum.edges)

    @jax.jit
    def chi2(p):
        model = folded(Product((PowerLaw(p[0], 1e-4 * p[1]), Transmission(0.07, sigma))), response)
        return jnp.sum(chi2_gehrels(spectrum.counts, spectrum.background_counts, model, spectrum.background_scale))

    assert float(chi2(jnp.array([2.15852, 2.2484]))) == pytest.approx(37.9079, abs=0.35)
    best = optimize.minimize(jax.value_and_grad(chi2), np.array([2.0, 2.0]), jac=True, tol=1e-10)
    assert best.fun == pytest.approx(38.2255, abs=1e-3)
    np.testing.assert_allclose(best.x, [2.1499, 2.2248], atol=2e-4)
    covariance = np.linalg.inv(0.5 * np.asarray(jax.hessian(chi2)(jnp.asarray(best.x))))
    np.testing.assert_array_less(np.abs(best.x - [2.15852, 2.2484]), 0.25 * np.sqrt(np.diag(covariance)))


def test_wide_bins_need_more_nodes():
    edges = np.array([0.5, 5.0])
    exact = integrate.quad(lambda e: np.exp(-e), 0.5, 5.0)[0]
    assert bin_integral(lambda e: jnp.exp(-e), jnp.asarray(edges), order=12)[0] == pytest.approx(exact, rel=1e-9)
