"""Results: ArviZ's schema, what the attributes say, and the way to disk and back."""

import json
import re
from dataclasses import replace

import arviz_stats
import child
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray as xr
from numpyro.handlers import scope
from scipy import stats

import bayesastro as ba
from bayesastro.tables import Table

ENGINE = ba.NUTS(num_chains=2, num_warmup=100, num_draws=150)
FORMATS = pytest.mark.parametrize("name", ["result.nc", "result.zarr"])


def stars(x, mass):
    """Plates, vectors, scopes, bounds, and deterministic sites of every dtype."""
    level = numpyro.sample("level", dist.Uniform(-10.0, 10.0))
    with numpyro.plate("star", 3), numpyro.plate("band", 2):
        color = numpyro.sample("color", dist.Normal(0.0, 1.0))
    with numpyro.plate("draw", 4):
        numpyro.sample("nuisance", dist.Normal(0.0, 1.0))
    with scope(prefix="disk"):
        radius = numpyro.sample("radius", dist.LogUniform(np.full((2, 2), 0.1), 10.0).to_event(2))
    mean = numpyro.deterministic("mean", level + color.sum(0) * mass + radius.sum())
    numpyro.deterministic("is_bright", level > 0)
    numpyro.deterministic("visibility", jnp.exp(1j * level))
    numpyro.deterministic("nothing", jnp.zeros((0,)))
    numpyro.deterministic("fixed", jnp.ones(()))
    numpyro.sample("spectrum", dist.MultivariateNormal(mean, jnp.eye(3)))
    with numpyro.plate("epoch", 5):
        numpyro.sample("disk/flux", dist.TruncatedNormal(level * x, 1.0, low=-50.0, high=50.0))


@pytest.fixture(scope="module")
def problem():
    observed = {"spectrum": np.arange(3.0), "disk/flux": np.linspace(0.0, 1.0, 5)}
    return ba.Problem(stars, np.linspace(0.0, 1.0, 5), np.ones(3), observed=observed)


@pytest.fixture(scope="module")
def result(problem):
    return ba.fit(problem, ENGINE, seed=3, progress=False, log_likelihood=True)


def test_groups_and_dimensions_are_arviz_ones(result):
    assert set(result.children) >= {"posterior", "sample_stats", "log_likelihood", "observed_data", "constant_data"}
    shapes = {name: dict(v.sizes) for name, v in result["posterior"].data_vars.items()}
    sample = {"chain": 2, "draw": 150}
    assert shapes["level"] == sample
    assert shapes["color"] == sample | {"band": 2, "star": 3}
    assert shapes["nuisance"] == sample | {"nuisance_dim_0": 4}
    assert shapes["disk.radius"] == sample | {"disk.radius_dim_0": 2, "disk.radius_dim_1": 2}
    assert result["posterior"]["color"].dims == ("chain", "draw", "band", "star")
    assert result["observed_data"]["disk.flux"].dims == ("epoch",)
    np.testing.assert_array_equal(result["observed_data"]["spectrum"], np.arange(3.0))
    assert set(result["constant_data"].data_vars) == {"x", "mass"}


def test_sample_stats_have_arviz_names(result):
    names = {"lp", "diverging", "energy", "tree_depth", "n_steps", "acceptance_rate", "step_size"}
    stats = result["sample_stats"]
    assert set(stats.data_vars) == names | {"reached_max_treedepth"}
    assert all(v.dims == ("chain", "draw") for v in stats.data_vars.values())
    assert stats["diverging"].dtype == stats["reached_max_treedepth"].dtype == bool


def test_attributes_tell_what_was_run(problem, result):
    attrs = result.attrs
    assert (attrs["engine"], attrs["seed"], attrs["precision"], attrs["exactness"]) == ("NUTS", 3, "double", "exact")
    assert (attrs["status"], attrs["device"]) == ("complete", "1 × cpu")
    assert json.loads(attrs["settings"])["num_draws"] == 150
    assert json.loads(attrs["versions"])["bayesastro"] == ba.__version__
    assert {"jax", "numpyro", "blackjax", "python"} <= set(json.loads(attrs["versions"]))
    assert attrs["program_fingerprint"] == problem.fingerprint
    assert attrs["seconds_compiling"] > 0
    assert attrs["seconds_running"] > 0
    assert "log_evidence" not in attrs


def test_deterministic_sites_and_densities_equal_those_of_the_problem(problem, result):
    draws = result["posterior"].to_dataset().isel(draw=slice(0, 7))
    theta = {site.name: draws[site.name.replace("/", ".")].values for site in problem.parameters}
    for name, value in problem.replay(theta, batch_ndims=2).items():
        np.testing.assert_allclose(draws[name], value, rtol=1e-12, err_msg=name)
    for name, value in problem.log_likelihood(theta, batch_ndims=2).items():
        stored = result["log_likelihood"][name.replace("/", ".")].isel(draw=slice(0, 7))
        np.testing.assert_allclose(stored, value, rtol=1e-12, err_msg=name)


def test_log_likelihood_serves_leave_one_out():
    result = ba.fit(child.problem(), child.SMALL, seed=1, progress=False, log_likelihood=True)
    assert result["log_likelihood"]["y"].dims == ("chain", "draw", "point")
    loo = arviz_stats.loo(result)
    assert loo.n_data_points == len(child.Y)
    # Leaving a point out of a Gaussian linear model is Gaussian: no importance weights needed.
    mean, covariance = child.moments()
    exact = 0.0
    for x, y in zip(child.X, child.Y, strict=True):
        row = np.array([1.0, x])
        precision = np.linalg.inv(covariance) - np.outer(row, row) / child.SIGMA**2
        left_out = np.linalg.inv(precision)
        centre = left_out @ (np.linalg.solve(covariance, mean) - row * y / child.SIGMA**2)
        exact += stats.norm.logpdf(y, row @ centre, np.sqrt(child.SIGMA**2 + row @ left_out @ row))
    assert loo.elpd == pytest.approx(exact, abs=0.3)  # 600 draws of two parameters


def test_an_argument_may_have_the_name_of_a_site_and_another_shape():
    def program(rate):
        value = numpyro.sample("rate", dist.Normal(rate[:, 0], rate[:, 1]).to_event(1))
        numpyro.sample("y", dist.Normal(value, 1.0))

    prior = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 1.0]])
    problem = ba.Problem(program, prior, observed={"y": np.ones(3)})
    found = ba.fit(problem, ba.NUTS(num_chains=1, num_warmup=20, num_draws=10), seed=1, progress=False)
    assert found["posterior"]["rate"].shape == (1, 10, 3)
    np.testing.assert_array_equal(found["constant_data"]["rate"], prior)


def test_only_priors_of_parameters_have_bounds(result):
    attrs = result["posterior"]["disk.radius"].attrs
    assert attrs["prior_family"] == "LogUniform"
    np.testing.assert_allclose(attrs["prior_lower"], np.full((2, 2), 0.1))
    assert result["posterior"]["level"].attrs == {
        "prior_family": "Uniform",
        "prior_lower": -10.0,
        "prior_upper": 10.0,
    }
    assert "prior_lower" not in result["posterior"]["color"].attrs


@pytest.mark.parametrize("function", [ba.summary, ba.diagnose])
def test_a_path_is_no_result(function):
    with pytest.raises(TypeError, match=r"Read it with `ba\.load\('one\.nc'\)`"):
        function("one.nc")


@pytest.mark.parametrize(("width", "is_one_block"), [(120, True), (80, True), (50, False)])
def test_a_summary_is_printed_whole(result, monkeypatch, width, is_one_block):
    monkeypatch.setenv("COLUMNS", str(width))
    table = ba.summary(result)
    assert isinstance(table, pd.DataFrame)
    for shown in (str(table), repr(table), str(table.loc[["level", "mean[0]"]])):
        assert max(map(len, shown.splitlines())) <= width
        assert "..." not in shown
        assert shown.count("level") == 1 or not is_one_block
        for column in table.columns:
            assert column in shown or all(part in shown for part in column.rsplit("_", 1))
    long = pd.concat([table] * 10)
    long.attrs.clear()
    assert len(str(long).splitlines()) < 60  # as pandas does


def test_deterministic_sites_are_told_from_parameters(result):
    found = {name for name, variable in result["posterior"].data_vars.items() if variable.attrs.get("site")}
    assert found == {"mean", "is_bright", "visibility", "nothing", "fixed"}


def test_summary_and_diagnosis_take_every_dtype(result):
    table = ba.summary(result)
    assert {"level", "is_bright", "fixed", "color[0, 1]", "disk.radius[1, 1]"} <= set(table.index)
    assert not any("visibility" in row or "nothing" in row for row in table.index)
    assert set(ba.summary(result, ["level"]).index) == set(ba.summary(result, "level").index) == {"level"}
    assert set(ba.summary(result, ["~level"]).index) == set(table.index) - {"level"}
    with pytest.raises(
        ValueError, match=r"^`var_names` has `levle`, but the posterior has .*\. Did you mean `level`\?$"
    ):
        ba.summary(result, ["levle"])
    assert not {"fixed", "visibility"} & {finding.where for finding in ba.diagnose(result)}


@pytest.mark.slow
def test_thinned_draws_are_every_kth():
    whole = ba.fit(child.problem(), replace(child.SMALL, num_draws=60), seed=1, progress=False)
    thinned = ba.fit(child.problem(), replace(child.SMALL, num_draws=20, thin=3), seed=1, progress=False)
    np.testing.assert_array_equal(thinned["posterior"]["a"], whole["posterior"]["a"][:, 2::3])


@FORMATS
def test_round_trip_changes_nothing(result, name, tmp_path):
    ba.save(result, tmp_path / name)
    back = ba.load(tmp_path / name)
    assert back.identical(result)
    for group in result.children:
        for variable, values in result[group].data_vars.items():
            assert back[group][variable].dtype == values.dtype, variable
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert ba.diagnose(back).ids == ba.diagnose(result).ids


@FORMATS
def test_saving_again_replaces_the_old_result(result, name, tmp_path):
    ba.save(result, tmp_path / name)
    other = result.copy()
    other.attrs["seed"] = 99
    ba.save(other, tmp_path / name)
    assert ba.load(tmp_path / name).attrs["seed"] == 99
    assert [path.name for path in tmp_path.iterdir()] == [name]


@FORMATS
def test_failed_write_keeps_the_old_result(result, name, tmp_path):
    ba.save(result, tmp_path / name)
    unwritable = result.copy()
    unwritable["posterior"] = xr.DataTree(xr.Dataset({"level": ("chain", np.array([object(), object()]))}))
    with pytest.raises((TypeError, ValueError)):
        ba.save(unwritable, tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert ba.load(tmp_path / name).identical(result)


def test_zarr_takes_the_place_of_a_file(result, tmp_path):
    (tmp_path / "result.zarr").write_text("a file")
    ba.save(result, tmp_path / "result.zarr")
    assert ba.load(tmp_path / "result.zarr").identical(result)
    assert [path.name for path in tmp_path.iterdir()] == ["result.zarr"]


@pytest.mark.parametrize("name", ["result.pkl", "result", "result.nc.gz"])
def test_other_formats_are_refused(result, name, tmp_path):
    with pytest.raises(ValueError, match=r"saved as `\.nc` or `\.zarr`"):
        ba.save(result, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_missing_places_are_named(result, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ba.save(result, tmp_path / "nowhere" / "result.nc")
    with pytest.raises(FileNotFoundError, match=r"nothing\.nc"):
        ba.load(tmp_path / "nothing.nc")


def test_what_is_no_result_is_refused(tmp_path):
    xr.Dataset({"x": ("t", np.ones(2))}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    (tmp_path / "text.nc").write_text("no netCDF at all")
    (tmp_path / "empty.nc").write_bytes(b"")
    (tmp_path / "folder.zarr").mkdir()
    for name in ("other.nc", "text.nc", "empty.nc", "folder.zarr"):
        with pytest.raises(ValueError, match=name):
            ba.load(tmp_path / name)


def test_what_came_in_place_of_a_result_is_told_with_what_to_give(result, tmp_path):
    (tmp_path / "disc.ecsv").write_text("# %ECSV 1.0")
    for name in ("fit", "several", "begun/checkpoint", "kept/fits", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "kept" / "fits" / "run.json").touch()
    for name in ("fit/result.nc", "several/a.nc", "several/b.nc"):
        ba.save(result, tmp_path / name)
    for name, told in {
        "disc.ecsv": "disc.ecsv` is no result: it is neither netCDF nor zarr. Give the file of one, such as `result.nc` of ",
        "fit": f"fit` is a folder; give `{tmp_path}/fit/result.nc`.",
        "several": f"several` is a folder; give one of the results in it: `{tmp_path}/several/a.nc`, ",
        "begun": "begun` holds no result yet, but what a run keeps that has not ended: the same command or call goes on",
        "kept": "kept` holds no result yet, but what a run keeps that has not ended: the same command or call goes on",
        "other": "other` is a folder without a result. Give the file that `bayesastro fit`, ",
    }.items():
        with pytest.raises(ValueError, match=re.escape(told)):
            ba.load(tmp_path / name)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # h5netcdf, on files it cannot open
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.99])
def test_truncated_file_is_refused(result, kept, tmp_path):
    path = tmp_path / "result.nc"
    ba.save(result, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"cannot be read as a result.*damaged"):
        ba.load(path)


def test_damaged_zarr_chunk_is_refused(result, tmp_path):
    ba.save(result, tmp_path / "result.zarr")
    chunk = max((tmp_path / "result.zarr").rglob("c/*/*"), key=lambda path: path.stat().st_size)
    chunk.write_bytes(chunk.read_bytes()[: chunk.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"cannot be read as a result.*damaged"):
        ba.load(tmp_path / "result.zarr")


def test_what_all_rows_say_is_told_once_below_the_table():
    told = "The scale of the data may be negative in half of the prior."
    table = Table(
        {"ok": [True, True, False], "reason": ["", "", "no gradient"], "caution": [told, told, ""]}, index=list("abc")
    )
    assert table.whole(30).splitlines() == [
        "      ok       reason",
        "a   True",
        "b   True",
        "c  False  no gradient",
        "caution: The scale of the data",
        "may be negative in half of the",
        "prior.",
    ]
    assert table.assign(reason="", caution="").whole(30).splitlines() == [
        "      ok",
        "a   True",
        "b   True",
        "c  False",
    ]


def test_summary_has_parameters_first_and_prints_ten_rows_of_a_long_array():
    draws = np.random.default_rng(0).normal(size=(2, 50, 100))
    sample = ("chain", "draw")
    posterior = xr.Dataset(
        {
            "curve": ((*sample, "t"), draws, {"site": "deterministic"}),
            "height": (sample, draws[..., 0] + 1.0),
            "weights": ((*sample, "i"), draws[..., :12]),
        }
    )
    result = xr.DataTree.from_dict({"posterior": posterior})
    table = ba.summary(result)
    assert list(table.index[:2]) == ["height", "weights[0]"]
    assert list(table.index[13:]) == [f"curve[{i}]" for i in range(100)]
    lines = table.whole(120).splitlines()
    assert [line.split()[0] for line in lines[1:22]] == ["height", *table.index[1:11], *table.index[13:23]]
    assert lines[22:] == [
        '2 more rows of `weights`: `ba.summary(result, "weights")`',
        '90 more rows of `curve`: `ba.summary(result, "curve")`',
    ]
    page = table._repr_html_()
    assert page.count("<th>curve[") == 10
    assert "90 more rows of `curve`" in page
    for names in ("curve", ["curve"]):
        named = ba.summary(result, names)
        assert [line.split()[0] for line in named.whole(120).splitlines()[1:]] == list(named.index)
    assert list(ba.summary(result, ["curve[7]", "height", "curve[ 99 ]"]).index) == ["curve[7]", "height", "curve[99]"]
    with pytest.raises(
        ValueError, match=r"`var_names` has `curve\[100\]`, but the rows of `curve` are `curve\[0\]` to"
    ):
        ba.summary(result, "curve[100]")
    assert ba.summary(result, "~weights").equals(table.drop(index=[f"weights[{i}]" for i in range(12)]))
    assert "90 more rows" in str(ba.summary(result, "~weights"))
