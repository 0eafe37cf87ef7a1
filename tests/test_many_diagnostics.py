"""Diagnosis of many fits: of each data set as alone, of all together in little time, and the worst told."""

import time
import warnings

import arviz_stats
import numpy as np
import pytest
import xarray as xr

import bayesastro as ba
from bayesastro.many_diagnostics import dataset_of
from bayesastro.mixing import mixing_of
from bayesastro.result import number_of_data_sets, require_one

CHAINS, DRAWS = 4, 400


def many(num, seed=0):
    """Results of `fit_many` by hand: two parameters, one of them a vector, and everything as it should be."""
    rng = np.random.default_rng(seed)
    posterior = {
        "a": (("dataset", "chain", "draw"), rng.normal(size=(num, CHAINS, DRAWS))),
        "b": (("dataset", "chain", "draw", "b_dim_0"), rng.normal(size=(num, CHAINS, DRAWS, 2))),
    }
    stats = {name: rng.normal(size=(num, CHAINS, DRAWS)) for name in ("lp", "energy")}
    stats |= {name: np.zeros((num, CHAINS, DRAWS), bool) for name in ("diverging", "reached_max_treedepth")}
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior),
            "sample_stats": xr.Dataset({n: (("dataset", "chain", "draw"), v) for n, v in stats.items()}),
            "fits": xr.Dataset(
                {
                    "failed": ("dataset", np.zeros(num, bool)),
                    "reached": ("dataset", np.ones(num, bool)),
                    "num_nans": ("dataset", np.zeros(num)),
                    "log_evidence_scatter": ("dataset", np.full(num, 0.1)),
                }
            ),
        }
    )
    tree["posterior"]["a"].attrs |= {"prior_family": "Uniform", "prior_lower": -9.0, "prior_upper": 9.0}
    tree.attrs = {"status": "complete"}
    return tree


def with_defects():
    """Data set i has the i-th defect; the last two have none."""
    result = many(12)
    a, b = (result["posterior"][name].values for name in "ab")
    stats = {name: v.values for name, v in result["sample_stats"].data_vars.items()}
    a[0, 1] += 3.0  # a chain elsewhere
    b[1, ..., 1] = np.repeat(b[1, :, ::20, 1], 20, axis=1)  # few effective draws
    stats["diverging"][2, :, :50] = True
    stats["diverging"][3, 0, 7] = True  # one in 1600
    stats["reached_max_treedepth"][4, :, ::9] = True
    stats["energy"][5, 2] = np.linspace(0, 1, DRAWS)
    stats["lp"][6, 3] -= 30.0
    a[7] = -9.0 + np.abs(a[7]) / 10.0  # at the prior's lower edge
    b[8, 1, 5, 0] = np.nan
    result["fits"]["num_nans"].values[9] = 3
    b[10, ..., 0] = 1.0  # does not vary, which is fine
    return result


EXPECTED = {
    "rhat": [0, 1],
    "ess_bulk": [0, 1],
    "ess_tail": [0, 1],
    "divergences": [2, 3],
    "tree_depth": [4],
    "bfmi": [5],
    "stuck": [6],
    "prior_edge": [7],
    "not_finite": [8],
    "nans": [9],
}


def test_each_data_set_has_the_findings_that_it_has_alone():
    result = with_defects()
    diagnosis = ba.diagnose(result)
    together = {name: numbers.tolist() for name, numbers in diagnosis.datasets.items()}
    alone = {}
    for number in range(12):
        for name in ba.diagnose(result, dataset=number).ids:
            alone.setdefault(name, []).append(number)
    assert together == alone
    for name, numbers in EXPECTED.items():
        assert set(together[name]) == set(numbers) or set(numbers) < set(together[name]) <= {0, 1}, name


def test_a_finding_tells_how_many_and_the_worst():
    result = with_defects()
    diagnosis = ba.diagnose(result)
    found = {(f.id, f.level): f for f in diagnosis}
    alone = next(f for f in ba.diagnose(result, dataset=0) if f.id == "rhat")
    worst = found["rhat", "warning"]
    assert (worst.where, worst.number, worst.remedy) == ("data set 0, a", alone.number, alone.remedy)
    assert f"of 12 data sets; in this, the worst: {alone.text}" in worst.text
    assert found["divergences", "warning"].text.startswith("in 1 of 12 data sets; in this, the worst: 200 of 1600")
    assert found["divergences", "notice"].where == "data set 3, sampler"
    assert "nans" in diagnosis.warnings
    assert str(diagnosis).count("\n") == len(diagnosis) - 1


def test_of_evidences_the_worst_is_told():
    result = many(5)
    result["fits"]["log_evidence_scatter"].values[[1, 3]] = 2.0, 7.0
    diagnosis = ba.diagnose(result)
    assert diagnosis.ids == ("evidence_scatter",)
    np.testing.assert_array_equal(diagnosis.datasets["evidence_scatter"], [1, 3])
    assert diagnosis.findings[0].where == "data set 3, run"


def test_failed_and_unreached_data_sets_are_counted():
    result = many(6)
    result["fits"]["failed"].values[[1, 4, 5]] = True
    result["fits"]["reached"].values[5] = False
    result["posterior"]["a"].values[[1, 4, 5]] = np.nan
    result.attrs["status"] = "5 of 6 data sets reached"
    diagnosis = ba.diagnose(result)
    assert diagnosis.ids == ("incomplete", "failed")
    np.testing.assert_array_equal(diagnosis.datasets["failed"], [1, 4])
    assert "in 2 of 6 data sets" in str(diagnosis)
    assert ba.diagnose(result, dataset=1).ids == ("failed",)
    assert ba.diagnose(result, dataset=5).ids == ("incomplete",)
    assert not ba.diagnose(result, dataset=0)
    result["fits"]["failed"].values[:] = True
    nothing = xr.DataTree.from_dict({"fits": result["fits"].to_dataset()})
    assert ba.diagnose(nothing).ids == ("incomplete", "failed")


def with_figures(result, **figures):
    fits = result["fits"].to_dataset().assign({name: ("dataset", values) for name, values in figures.items()})
    result["fits"] = xr.DataTree(fits)


def test_how_many_data_sets_a_result_is_of():
    result = many(3)
    nothing = xr.DataTree.from_dict({"fits": result["fits"].to_dataset()})  # no fit succeeded
    draws = xr.DataTree.from_dict({"posterior": result["posterior"].to_dataset()})
    for tree in (result, nothing, draws):
        assert number_of_data_sets(tree) == 3
        with pytest.raises(ValueError, match=r"The result is of 3 data sets \(`fit_many`\)"):
            require_one(tree)
    with pytest.raises(ValueError, match=r"The result is of 3 data sets"):
        ba.diagnose(draws)
    assert number_of_data_sets(result.isel(dataset=1)) is None
    assert number_of_data_sets(many(1).isel(dataset=0)) is None


def test_figures_that_are_arrays_are_handed_on_to_the_checks():
    result = many(3)
    with_figures(result, log_evidence=np.zeros(3))
    fits = (
        result["fits"].to_dataset().assign(parents=(("dataset", "parents_dim_0"), [[0.5, 0.5], [0.5, 0.0], [0.5, 0.5]]))
    )
    result["fits"] = xr.DataTree(fits)
    np.testing.assert_array_equal(dataset_of(result, 1).attrs["parents"], [0.5, 0.0])
    assert dataset_of(result, 1).attrs["log_evidence"] == 0.0
    assert ba.diagnose(result, dataset=1).ids == ba.diagnose(dataset_of(result, 1)).ids


def test_weighted_draws_and_walkers_are_judged_as_such():
    result = many(3)
    with_figures(result, ess=np.array([1000.0, 50.0, 1000.0]))
    result["posterior"]["a"].values[:] = np.sort(result["posterior"]["a"].values, axis=2)
    diagnosis = ba.diagnose(result)
    np.testing.assert_array_equal(diagnosis.datasets["ess_weights"], [1])
    assert not {"ess_bulk", "ess_tail"} & set(diagnosis.ids)
    result = many(2)
    result["posterior"]["a"].values[0, 0] += 3.0
    with_figures(result, tau=np.ones(2), is_converged=np.ones(2, int))
    assert "rhat" not in ba.diagnose(result).ids


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="`dataset` must be from 0 to 2, but 3 came"):
        ba.diagnose(many(3), dataset=3)
    alone = xr.DataTree.from_dict({"posterior": many(1)["posterior"].to_dataset().isel(dataset=0)})
    with pytest.raises(ValueError, match="`dataset` is for results of `fit_many`"):
        ba.diagnose(alone, dataset=0)


def test_many_data_sets_take_little_time():
    """A thousand in less than ten seconds of a core, most of it sorting; one after the other they take a minute."""
    result = many(1000)
    ba.diagnose(many(2))
    began = time.process_time()
    diagnosis = ba.diagnose(result)
    assert time.process_time() - began < 10.0
    assert len(diagnosis.datasets.get("rhat", ())) < 20


@pytest.mark.parametrize(("chains", "draws"), [(4, 100), (1, 101), (2, 4), (3, 51)])
def test_mixing_is_arviz_s(chains, draws):
    """With slow and antithetic chains, a chain elsewhere, ties, and draws that repeat."""
    rng = np.random.default_rng(chains)
    values = rng.normal(size=(30, chains, draws))
    for t in range(1, draws):
        values[:10, :, t] += np.linspace(-0.9, 0.99, 10)[:, None] * values[:10, :, t - 1]
    values[10:15, 0] += 3.0
    values[15:20] = np.round(values[15:20])
    values[20:25] = np.repeat(values[20:25, :, : -(-draws // 3)], 3, axis=2)[:, :, :draws]
    data = xr.Dataset({"x": (("quantity", "chain", "draw"), values)})
    found = mixing_of(values)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_allclose(found.rhat, arviz_stats.rhat(data)["x"], rtol=1e-10)
        for name in ("bulk", "tail"):
            expected = arviz_stats.ess(data, method=name)["x"]
            np.testing.assert_allclose(getattr(found, f"ess_{name}"), expected, rtol=1e-10)
