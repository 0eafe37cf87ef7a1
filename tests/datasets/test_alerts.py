"""Alerts of the Zwicky Transient Facility: magnitudes to fluxes, limits, and tables that are not what they should be."""

import numpy as np
import pandas as pd
import pytest

from bayesastro.datasets.alerts import read_alerce

FOLDER = "lc_ztf_alerce/"


def test_thirty_supernovae(published_file):
    curves = read_alerce(
        published_file(FOLDER + "30_sne_detections_corr.csv"),
        published_file(FOLDER + "30_sne_non_detections.csv"),
        published_file(FOLDER + "30_sne_labels.csv"),
    )
    assert len(curves) == 30
    assert sum(int(c.is_detection.sum()) for c in curves) == 784 - 22  # as many come twice
    assert sum(c.label == "SNIa" for c in curves) == 19
    for curve in curves:
        assert (np.diff(curve.time) >= 0).all()
        assert (curve.sigma > 0).all()
        assert set(curve.band) <= {0, 1}
    table = pd.read_csv(published_file(FOLDER + "30_sne_detections_corr.csv"))
    row = table.iloc[0]
    curve = next(c for c in curves if c.name == row["objectId"])
    at = int(np.argmin(np.abs(curve.time - row["mjd"])))
    assert curve.flux[at] == pytest.approx(10 ** (-0.4 * (row["magpsf"] - 23.9)))
    assert curve.sigma[at] / curve.flux[at] == pytest.approx(row["sigmapsf"] * np.log(10) / 2.5)


@pytest.fixture
def alerts(tmp_path):
    table = pd.DataFrame(
        {
            "objectId": ["b", "b", "a"],
            "mjd": [58002.0, 58001.0, 58000.0],
            "fid": [1, 2, 2],
            "magpsf": [18.9, 18.9, 21.4],
            "sigmapsf": [0.1, 0.1, 0.2],
            "isdiffpos": ["t", "f", "1"],
            "diffmaglim": [20.0, 20.0, 21.4],
        }
    )
    path = tmp_path / "alerts.csv"
    table.to_csv(path, index=False)
    return table, path


def test_fluxes_in_order_of_time(alerts):
    _, path = alerts
    a, b = read_alerce(path)
    assert (a.name, b.name, a.label) == ("a", "b", "")
    np.testing.assert_allclose(b.flux, [-100.0, 100.0])
    np.testing.assert_allclose(a.flux, [10.0])
    np.testing.assert_array_equal(b.band, [1, 0])
    np.testing.assert_allclose(a.limit, [10.0])


def test_an_exposure_counts_once(alerts):
    table, path = alerts
    pd.concat([table, table.assign(magpsf=18.0)]).to_csv(path, index=False)
    a, b = read_alerce(path)
    np.testing.assert_allclose(b.flux, [-100.0, 100.0])
    np.testing.assert_allclose(a.flux, [10.0])


def test_wrong_tables_are_refused(alerts, tmp_path):
    table, path = alerts
    table.drop(columns="fid").to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"\['fid'\] are missing"):
        read_alerce(path)
    table.assign(sigmapsf=[0.1, 0.0, 0.2]).to_csv(path, index=False)
    with pytest.raises(
        ValueError, match=r"1 alert\(s\), the first of `b`, have no finite magnitude, limit and positive error"
    ):
        read_alerce(path)
    with pytest.raises(FileNotFoundError):
        read_alerce(tmp_path / "none.csv")
