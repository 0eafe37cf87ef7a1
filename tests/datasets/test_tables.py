"""Typed tables against the published files, and what they say about the universe."""

import jax
import numpy as np
import pytest

from bayesastro.datasets import chronometer_covariance, cosmic_chronometers, desi_dr2_bao
from bayesastro.datasets.cosmic_chronometers import AUTHORS_TERMS, CONSERVATIVE_TERMS
from bayesastro.datasets.desi_dr2_bao import DH_OVER_RD, DM_OVER_RD, DV_OVER_RD
from bayesastro.simulators.cosmology import (
    Cosmology,
    hubble_distance,
    transverse_comoving_distance,
    volume_averaged_distance,
)

BAO_FILES = "bao/desi_bao_dr2__desi_gaussian_bao_ALL_GCcomb_{}.txt"
# Columns of the published table of systematics.
SYSTEMATIC_COLUMN = {"imf": 1, "stellar_library": 2, "model": 3, "model_ooo": 4}


def test_bao_equals_published_file(published_file):
    table = desi_dr2_bao()
    rows = [line.split() for line in published_file(BAO_FILES.format("mean")).read_text().splitlines()[1:]]
    z, value, names = zip(*rows, strict=True)
    np.testing.assert_array_equal(table.z, np.array(z, float))
    np.testing.assert_array_equal(table.value, np.array(value, float))
    assert [table.kind_names[kind] for kind in table.kind] == [name.replace("_rs", "_rd") for name in names]
    np.testing.assert_array_equal(table.covariance, np.loadtxt(published_file(BAO_FILES.format("cov"))))


def test_chronometers_equal_published_file(published_file):
    table = cosmic_chronometers()
    published = np.loadtxt(published_file("cosmic_chronometers/HzTable_MM_BC32.txt"))
    np.testing.assert_array_equal(np.stack([table.z, table.H, table.sigma], axis=1), published)


@pytest.mark.parametrize("terms", [(), *((name,) for name in SYSTEMATIC_COLUMN), AUTHORS_TERMS, CONSERVATIVE_TERMS])
def test_chronometer_covariance_follows_published_systematics(published_file, terms):
    systematics = np.loadtxt(published_file("cosmic_chronometers/data_MM20.dat"))
    table = cosmic_chronometers(terms=terms)
    expected = np.zeros((32, 32))
    for i in range(32):
        expected[i, i] = table.sigma[i] ** 2
        for j in range(32):
            for term in terms:
                column = systematics[:, SYSTEMATIC_COLUMN[term]]
                f_i = np.interp(table.z[i], systematics[:, 0], column)
                f_j = np.interp(table.z[j], systematics[:, 0], column)
                expected[i, j] += table.H[i] * f_i * table.H[j] * f_j / 1e4
    np.testing.assert_allclose(table.covariance, expected, rtol=1e-13)


def test_typed_systematics_equal_published_file(published_file):
    """At the nodes of the table interpolation is exact, so every typed figure shows."""
    systematics = np.loadtxt(published_file("cosmic_chronometers/data_MM20.dat"))
    z = systematics[:, 0]
    for term, column in SYSTEMATIC_COLUMN.items():
        covariance = chronometer_covariance(z, np.full_like(z, 100.0), np.zeros_like(z), terms=(term,))
        np.testing.assert_allclose(np.sqrt(np.diag(covariance)), systematics[:, column], rtol=1e-14)


@pytest.mark.parametrize("table", [desi_dr2_bao(), cosmic_chronometers(), cosmic_chronometers(terms=AUTHORS_TERMS)])
def test_table_is_consistent(table):
    n = table.z.size
    assert table.covariance.shape == (n, n)
    np.testing.assert_array_equal(table.covariance, table.covariance.T)
    np.linalg.cholesky(table.covariance)
    for name in ("value", "kind", "H", "sigma"):
        assert getattr(table, name, table.z).shape == (n,)
    for name in ("tracer", "source"):
        assert len(getattr(table, name, table.z)) == n


def test_tables_are_fresh_each_time():
    desi_dr2_bao().value[:] = 0.0
    cosmic_chronometers().covariance[:] = 0.0
    assert desi_dr2_bao().value[0] == 7.94167639
    assert cosmic_chronometers().covariance[0, 0] > 19.6**2


def test_unknown_systematic_is_refused():
    with pytest.raises(ValueError, match="dust"):
        cosmic_chronometers(terms=("imf", "dust"))


def grid_moments(x, y, chi2):
    """Mean and standard deviation of x (rows) and y (columns) under a flat prior."""
    weight = np.exp(-0.5 * (chi2 - chi2.min()))
    weight /= weight.sum()
    moments = []
    for axis, marginal in ((x, weight.sum(1)), (y, weight.sum(0))):
        mean = marginal @ axis
        moments += [mean, np.sqrt(marginal @ (axis - mean) ** 2)]
    return moments


def quadratic_chi2(design, data, covariance, amplitude):
    """chi2 over (rows of `design`) x `amplitude` of the model amplitude * design."""
    precision = np.linalg.inv(covariance)
    curvature = np.einsum("ki,ij,kj->k", design, precision, design)[:, None]
    slope = (design @ precision @ data)[:, None]
    return data @ precision @ data - 2.0 * slope * amplitude + curvature * amplitude**2


def test_bao_constrain_flat_lcdm():
    """Omega_m and h r_d of DESI DR2 alone, published (arXiv:2503.14738) as 0.2975 +- 0.0086, 101.54 +- 0.73 Mpc.

    The tighter numbers asserted are of an independent computation from the same table.
    """
    table = desi_dr2_bao()
    Omega_m, h_rd = np.linspace(0.25, 0.35, 201), np.linspace(97.5, 105.5, 201)

    def distances(Omega_m):
        # In Mpc / h, hence with H0 = 100.
        cosmology = Cosmology(100.0, Omega_m)
        every = [volume_averaged_distance, transverse_comoving_distance, hubble_distance]
        return [distance(table.z, cosmology) for distance in every]

    with jax.enable_x64(True):
        D_V, D_M, D_H = (np.asarray(d) for d in jax.jit(jax.vmap(distances))(Omega_m))
    design = np.select([table.kind == DV_OVER_RD, table.kind == DM_OVER_RD, table.kind == DH_OVER_RD], [D_V, D_M, D_H])
    chi2 = quadratic_chi2(design, table.value, table.covariance, 1.0 / h_rd)
    mean_m, std_m, mean_rd, std_rd = grid_moments(Omega_m, h_rd, chi2)
    assert mean_m == pytest.approx(0.2978, abs=0.001)
    assert std_m == pytest.approx(0.0086, abs=0.0002)
    assert mean_rd == pytest.approx(101.52, abs=0.05)
    assert std_rd == pytest.approx(0.74, abs=0.02)
    assert chi2.min() == pytest.approx(10.27, abs=0.02)
