"""Distances against astropy, closed forms, finite differences and themselves."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from astropy import cosmology as oracle

from bayesastro.simulators import cosmology as ours
from bayesastro.simulators.cosmology import SPEED_OF_LIGHT, Cosmology

Z = np.array([0.001, 0.01, 0.1, 0.5, 1.0, 2.33, 10.0, 100.0, 1100.0])
H0 = 67.4
RTOL = 1e-11
"""Agreement with astropy's adaptive quadrature."""

# Name, astropy's universe without and with radiation (three massless neutrinos), our extra parameters.
RADIATION = {"Tcmb0": 2.7255, "Neff": 3.046}
UNIVERSES = {
    "flat": (oracle.FlatLambdaCDM, {"Om0": 0.315}, {}),
    "open": (oracle.LambdaCDM, {"Om0": 0.3, "Ode0": 0.6}, {}),
    "closed": (oracle.LambdaCDM, {"Om0": 0.3, "Ode0": 0.75}, {}),
    "wCDM": (oracle.wCDM, {"Om0": 0.3, "Ode0": 0.7, "w0": -0.85}, {"w0": -0.85}),
    "phantom": (oracle.wCDM, {"Om0": 0.3, "Ode0": 0.68, "w0": -1.4}, {"w0": -1.4}),
    "w0waCDM": (oracle.w0waCDM, {"Om0": 0.35, "Ode0": 0.65, "w0": -0.42, "wa": -1.75}, {"w0": -0.42, "wa": -1.75}),
    "thawing": (oracle.w0waCDM, {"Om0": 0.28, "Ode0": 0.75, "w0": -1.2, "wa": 0.6}, {"w0": -1.2, "wa": 0.6}),
}
DISTANCES = {
    "comoving_distance": "comoving_distance",
    "transverse_comoving_distance": "comoving_transverse_distance",
    "angular_diameter_distance": "angular_diameter_distance",
    "luminosity_distance": "luminosity_distance",
    "distance_modulus": "distmod",
    "hubble_parameter": "H",
    "efunc": "efunc",
}
NAMES = (*DISTANCES, "hubble_distance", "volume_averaged_distance")
CURVED = Cosmology(H0, 0.3, -0.05, -0.9, 0.2, 9e-5)


def every(z, cosmology):
    """Every function of the module at once, so that a test compiles once."""
    return {name: getattr(ours, name)(z, cosmology) for name in NAMES}


_compiled = jax.jit(every)


def every_compiled(z, cosmology):
    """The same in NumPy: arithmetic on float64 JAX arrays outside the context would be in float32."""
    return jax.tree.map(np.asarray, _compiled(z, cosmology))


def pair(name, radiation):
    """astropy's universe and ours."""
    kind, arguments, extra = UNIVERSES[name]
    theirs = kind(H0=H0, **arguments, **(RADIATION if radiation else {"Tcmb0": 0.0}))
    mine = Cosmology(H0, theirs.Om0, Omega_k=theirs.Ok0, Omega_r=theirs.Ogamma0 + theirs.Onu0, **extra)
    return theirs, mine


@pytest.mark.parametrize("radiation", [False, True])
@pytest.mark.parametrize("universe", UNIVERSES)
def test_agrees_with_astropy(universe, radiation):
    theirs, mine = pair(universe, radiation)
    with jax.enable_x64(True):
        computed = every_compiled(Z, mine)
    for name, oracle_name in DISTANCES.items():
        expected = getattr(theirs, oracle_name)(Z)
        np.testing.assert_allclose(computed[name], getattr(expected, "value", expected), rtol=RTOL, err_msg=name)
    D_H = SPEED_OF_LIGHT / theirs.H(Z).value
    D_V = (Z * theirs.comoving_transverse_distance(Z).value ** 2 * D_H) ** (1 / 3)
    np.testing.assert_allclose(computed["hubble_distance"], D_H, rtol=RTOL)
    np.testing.assert_allclose(computed["volume_averaged_distance"], D_V, rtol=RTOL)


def sinn(x, Omega_k):
    """Closed form of the curvature function at x = H0 D_C / c."""
    root = np.sqrt(abs(Omega_k))
    return {1: np.sinh, -1: np.sin}[int(np.sign(Omega_k))](root * x) / root


CLOSED_FORMS = {
    "Einstein-de Sitter": (Cosmology(H0, 1.0), 2.0 * (1.0 - 1.0 / np.sqrt(1.0 + Z)), None),
    "Milne": (Cosmology(H0, 0.0, Omega_k=1.0), np.log1p(Z), 1.0),
    "de Sitter": (Cosmology(H0, 0.0), Z, None),
    "radiation": (Cosmology(H0, 0.0, Omega_r=1.0), Z / (1.0 + Z), None),
    "curvature and vacuum": (Cosmology(H0, 0.0, Omega_k=-0.5), None, -0.5),
}


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_closed_forms(name):
    cosmology, comoving, Omega_k = CLOSED_FORMS[name]
    if comoving is None:
        # E^2 = 3/2 - y^2/2 with y = 1 + z: an arcsine, up to y = sqrt(3) where E vanishes.
        z = np.array([0.001, 0.1, 0.4, 0.6])
        comoving = np.sqrt(2.0) * (np.arcsin((1.0 + z) / np.sqrt(3.0)) - np.arcsin(1.0 / np.sqrt(3.0)))
    else:
        z = Z
    transverse = comoving if Omega_k is None else sinn(comoving, Omega_k)
    scale = SPEED_OF_LIGHT / H0
    with jax.enable_x64(True):
        np.testing.assert_allclose(ours.comoving_distance(z, cosmology), scale * comoving, rtol=1e-12)
        np.testing.assert_allclose(ours.transverse_comoving_distance(z, cosmology), scale * transverse, rtol=1e-12)


def test_distance_beyond_a_bounce_is_not_a_number():
    assert not np.isfinite(ours.comoving_distance(1.0, Cosmology(H0, 0.0, Omega_k=-0.5)))


def test_identities():
    with jax.enable_x64(True):
        D_M = ours.transverse_comoving_distance(Z, CURVED)
        np.testing.assert_allclose(ours.luminosity_distance(Z, CURVED), D_M * (1 + Z), rtol=1e-15)
        np.testing.assert_allclose(ours.angular_diameter_distance(Z, CURVED), D_M / (1 + Z), rtol=1e-15)
        modulus = ours.distance_modulus(Z, CURVED)
        np.testing.assert_allclose(10 ** (modulus / 5 - 5), ours.luminosity_distance(Z, CURVED), rtol=1e-13)
        assert ours.efunc(0.0, CURVED) == pytest.approx(1.0, abs=1e-15)
        assert ours.comoving_distance(0.0, CURVED) == 0.0


def central_difference(function, x, step):
    """Central difference of sixth order."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return sum(w * (np.asarray(function(x + n * step)) - function(x - n * step)) for n, w in weights.items()) / step


def test_curvature_limit():
    """Value, first and second derivative through zero curvature, in both modes of differentiation."""
    z = np.array([0.01, 1.0, 10.0, 1100.0])
    scale = SPEED_OF_LIGHT / H0

    def D_M(Omega_k):
        return ours.transverse_comoving_distance(z, Cosmology(H0, 0.3, Omega_k=Omega_k))

    with jax.enable_x64(True):
        value, forward, backward, second = map(jax.jit, (D_M, jax.jacfwd(D_M), jax.jacrev(D_M), jax.hessian(D_M)))
        for Omega_k in (0.0, 1e-8, -1e-8, 1e-3, -1e-3, 0.3, -0.3):
            along = np.asarray(ours.comoving_distance(z, Cosmology(H0, 0.3, Omega_k=Omega_k)))
            expected = along if Omega_k == 0.0 else scale * sinn(along / scale, Omega_k)
            np.testing.assert_allclose(value(Omega_k), expected, rtol=1e-13)
            np.testing.assert_allclose(backward(Omega_k), forward(Omega_k), rtol=1e-12)
            np.testing.assert_allclose(forward(Omega_k), central_difference(value, Omega_k, 3e-3), rtol=1e-8)
            np.testing.assert_allclose(second(Omega_k), central_difference(forward, Omega_k, 3e-3), rtol=1e-8)


@pytest.mark.parametrize(("Omega_k", "edge"), [(1.0, 0.372), (-1.0, 0.260)])
def test_series_meets_closed_form(Omega_k, edge):
    """Value and slope are right on both sides of the edge of the series, Omega_k (H0 D_C / c)^2 = +-0.1."""
    cosmology = Cosmology(H0, 0.0, Omega_k=Omega_k)
    z = edge + np.linspace(-0.02, 0.02, 41)
    comoving = np.log1p(z) if Omega_k > 0.0 else np.arcsin((1.0 + z) / np.sqrt(2.0)) - np.pi / 4
    assert comoving.min() ** 2 < 0.1 < comoving.max() ** 2
    with jax.enable_x64(True):
        D_M = jax.vmap(jax.value_and_grad(lambda z: ours.transverse_comoving_distance(z, cosmology)))
        value, slope = jax.jit(D_M)(z)
        D_H = np.asarray(ours.hubble_distance(z, cosmology))
    scaled = sinn(comoving, Omega_k)
    np.testing.assert_allclose(value, SPEED_OF_LIGHT / H0 * scaled, rtol=1e-13)
    np.testing.assert_allclose(slope, D_H * np.sqrt(1.0 + Omega_k * scaled**2), rtol=1e-13)


def test_gradients_match_finite_differences():
    z = np.array([0.05, 0.7, 3.0, 1100.0])
    p = np.array([H0, 0.3, -0.05, -0.9, 0.2, 9e-5, 1.0])
    steps = np.array([0.1, 1e-3, 1e-3, 3e-3, 3e-3, 1e-6, 1e-3])

    def of_vector(p):
        # The last entry scales the redshifts.
        return every(p[6] * z, Cosmology(*p[:6]))

    with jax.enable_x64(True):
        jacobian = jax.jit(jax.jacfwd(of_vector))(p)
        value = jax.jit(of_vector)
        for i, step in enumerate(steps):
            unit = np.eye(7)[i]
            for name in NAMES:
                numeric = central_difference(lambda t, unit=unit, name=name: value(p + t * unit)[name], 0.0, step)
                tolerance = 1e-8 * np.abs(numeric).max()
                np.testing.assert_allclose(jacobian[name][:, i], numeric, rtol=1e-7, atol=tolerance, err_msg=name)


def test_vmap_equals_loop_and_shape_is_kept():
    Omega_m, w0 = np.array([0.2, 0.3, 0.4]), np.array([-1.2, -1.0, -0.8])
    z = Z[:8].reshape(2, 4)

    def universe(Omega_m, w0):
        return Cosmology(H0, Omega_m, Omega_k=0.02, w0=w0)

    with jax.enable_x64(True):
        batched = jax.jit(jax.vmap(every, in_axes=(None, 0)))(z, jax.vmap(universe)(Omega_m, w0))
        for i in range(3):
            for j in np.ndindex(z.shape):
                one = every_compiled(z[j], universe(Omega_m[i], w0[i]))
                for name in NAMES:
                    assert batched[name].shape == (3, 2, 4)
                    assert batched[name].dtype == jnp.float64
                    np.testing.assert_allclose(batched[name][i][j], one[name], rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("universe", UNIVERSES)
def test_single_precision(universe):
    _, mine = pair(universe, True)
    with jax.enable_x64(False):
        single = every_compiled(jnp.asarray(Z, jnp.float32), mine)
    with jax.enable_x64(True):
        double = every_compiled(Z, mine)
    for name in NAMES:
        assert single[name].dtype == jnp.float32
        np.testing.assert_allclose(single[name], double[name], rtol=1e-5, err_msg=name)


def test_single_precision_gradient_at_zero_curvature():
    def of_curvature(Omega_k):
        return every(1.0, Cosmology(H0, 0.3, Omega_k=Omega_k))

    with jax.enable_x64(False):
        single = jax.jit(jax.jacfwd(of_curvature))(0.0)
    with jax.enable_x64(True):
        double = jax.jit(jax.jacfwd(of_curvature))(0.0)
    for name in NAMES:
        np.testing.assert_allclose(single[name], double[name], rtol=1e-5, err_msg=name)


def test_integer_redshift_is_accepted():
    assert ours.luminosity_distance(1, CURVED) == ours.luminosity_distance(1.0, CURVED)


def test_fields_must_be_scalars(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the tests' own check would come first
    with pytest.raises(ValueError, match=r"`Omega_m` has shape \(2,\)"):
        Cosmology(H0, np.array([0.3, 0.4]))
