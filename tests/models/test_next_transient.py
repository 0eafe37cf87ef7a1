"""Images of a lensed transient against lenstronomy."""

import numpy as np
import pytest
from astropy.cosmology import FlatLambdaCDM
from euclid_images import TRUTH
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver

from bayesastro.models.lensing import euclid
from bayesastro.models.lensing.next_transient import next_transient
from bayesastro.simulators.cosmology import Cosmology

DRAWS = {name: np.full(3, value) for name, value in TRUTH.items()} | {
    "theta_E": np.array([1.0, 0.8, 1.4]),
    "source_x": np.array([0.05, 0.4, -0.1]),
    "gamma1": np.array([0.03, -0.05, 0.0]),
}


def test_images_equal_lenstronomys():
    cosmology = Cosmology(H0=70.0, Omega_m=0.3)
    offset = (np.array([0.0, 0.02, 0.01]), 0.03)
    found = next_transient(DRAWS, euclid.lens_of, 0.5, 1.5, cosmology, offset=offset)
    for i in range(3):
        p = {name: float(values[i]) for name, values in DRAWS.items()}
        mass = [
            {"theta_E": p["theta_E"], "e1": p["lens_e1"], "e2": p["lens_e2"]}
            | {"center_x": p["lens_x"], "center_y": p["lens_y"]},
            {"gamma1": p["gamma1"], "gamma2": p["gamma2"], "ra_0": p["lens_x"], "dec_0": p["lens_y"]},
        ]
        model = LensModel(["SIE", "SHEAR"], z_lens=0.5, z_source=1.5, cosmo=FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0))
        beta = p["source_x"] + offset[0][i], p["source_y"] + offset[1]
        x, y = LensEquationSolver(model).image_position_from_source(
            *beta, mass, min_distance=0.02, search_window=6.0, precision_limit=1e-12, num_iter_max=200
        )
        times = model.arrival_time(x, y, mass, x_source=beta[0], y_source=beta[1])
        order = np.argsort(times)
        here = found.is_image[i]
        assert here.sum() == len(x)
        assert not np.isfinite(found.delay[i][~here]).any()
        np.testing.assert_allclose(found.x[i][here], x[order], atol=1e-6)
        np.testing.assert_allclose(found.y[i][here], y[order], atol=1e-6)
        np.testing.assert_allclose(found.delay[i][here], (times - times.min())[order], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.magnification[i][here], model.magnification(x, y, mass)[order], rtol=1e-4)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="0 < z_l < z_s"):
        next_transient(DRAWS, euclid.lens_of, 1.5, 0.5, Cosmology(H0=70.0, Omega_m=0.3))
    with pytest.raises(ValueError, match="must have `source_x`"):
        next_transient({"theta_E": np.ones(2)}, euclid.lens_of, 0.5, 1.5, Cosmology(H0=70.0, Omega_m=0.3))
