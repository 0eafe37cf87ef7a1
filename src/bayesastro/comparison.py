"""Models of the same data beside each other: evidences, and leave-one-out cross-validation."""

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from bayesastro.diagnostics import diagnose
from bayesastro.inference.importance import MAX_KHAT
from bayesastro.labels import labels_of, listed, results_by_name
from bayesastro.monte_carlo import relative_efficiency
from bayesastro.result import require_one
from bayesastro.tables import NOTES, Table

__all__ = ["compare"]


def compare(results: Mapping[str, xr.DataTree]) -> pd.DataFrame:
    """Table of models fitted to the same data, the best first.

    Parameters
    ----------
    results : mapping of str to DataTree
        Results by the name of the model: with evidences (from `NestedSampler` or `SMC`), with pointwise likelihoods
        (``fit(..., log_likelihood=True)``), or with both.

    Returns
    -------
    pandas.DataFrame
        Indexed by model. Where all results have an evidence: ``log_evidence`` and its error, ``log_bayes_factor``
        against the best model and its error, and ``probability`` of the models, of which none is favoured beforehand.
        Where all have pointwise likelihoods: ``elpd``, the expected log predictive density of a datum left out, summed
        over the data, and its error; ``elpd_diff`` to the best model and its error; the ``stacking_weight``;
        ``num_data``, how many data are left out in turn: entries that are independent given the parameters, or whole
        vectors of a family over vectors; and ``num_bad_k``, for how many of them importance sampling fails (k̂ above
        0.7), which are named below the printed table, and by model with their k̂ in ``attrs["bad_k"]``. Sorted by evidence, or
        else by elpd. A `numpyro.factor` has no data to leave out: with one there is no elpd. Last, ``findings``: the
        names of what :func:`diagnose` finds wrong with a result, whose figures then are worth less than their errors say;
        in full, with numbers and remedies, by model in ``attrs["findings"]`` of the table.

    Raises
    ------
    ValueError
        If there are fewer than two results, one is of several data sets, their observed data differ, or they have
        nothing to be compared by.
    TypeError
        If they came without names.

    References
    ----------
    Kass & Raftery 1995, JASA 90, 773 (doi:10.1080/01621459.1995.10476572);
    Vehtari, Gelman & Gabry 2017, Stat. Comput. 27, 1413 (arXiv:1507.04544);
    Yao, Vehtari, Simpson & Gelman 2018, Bayesian Analysis 13, 917 (arXiv:1704.02030), stacking.
    """
    results = results_by_name(results, "compare")
    if len(results) < 2:
        raise ValueError(f"`compare` needs at least two results by name, but {len(results)} came.")
    for name, result in results.items():
        require_one(result, f"The result `{name}`")
    _check_data(results)
    have_evidence = all("log_evidence" in result.attrs for result in results.values())
    likelihoods = {name: _pointwise(result) for name, result in results.items()}
    without = [name for name, values in likelihoods.items() if values is None]
    if not have_evidence and without:
        raise ValueError(
            f"The results have nothing to be compared by: not all have an evidence, and {_listed(without)} no pointwise "
            "likelihood. Fit with `NestedSampler` or `SMC`, or with `log_likelihood=True`."
        )
    table, bad_k = pd.DataFrame(index=pd.Index(list(results), name="model")), {}
    if not without:
        predictive, bad_k = _predictive(results, likelihoods)
        table = table.join(predictive)
        table = table.sort_values("elpd", ascending=False)
    if have_evidence:
        table = _evidences(results).join(table).sort_values("log_evidence", ascending=False)
    table = Table(table)
    found = {name: diagnose(result) for name, result in results.items()}
    table["findings"] = pd.Series({name: ", ".join(diagnosis.warnings) for name, diagnosis in found.items()})
    table.attrs["bad_k"] = bad_k
    if any(bad_k.values()):
        table.attrs[NOTES] = [_note({str(name): bad_k[name] for name in table.index if bad_k[name]})]
    table.attrs["findings"] = {name: [asdict(finding) for finding in diagnosis] for name, diagnosis in found.items()}
    return table


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _note(bad_k: Mapping[str, Mapping[str, float]]) -> str:
    """What it means that importance sampling fails for data of these models."""
    data = [
        f"{name}: {listed([f'`{label}`' for label in bad])} (k̂ {'up to' if len(bad) > 1 else 'of'} {max(bad.values()):.2g})"
        for name, bad in bad_k.items()
    ]
    return (
        f"num_bad_k: the posterior without one of these data cannot be computed from its draws (k̂ above {MAX_KHAT}), so the "
        f"elpd of the model is unreliable: {'; '.join(data)}. Look at them: outliers need heavier tails, such as `StudentT`, and "
        "a latent of a single datum is best integrated out; where k̂ is hardly too large, more draws may do. Or compare by "
        "evidences (`NestedSampler`, `SMC`)."
    )


def _check_data(results: Mapping[str, xr.DataTree]) -> None:
    """Raise unless all results are of the same observed values."""
    first, *others = results
    expected = _observed(results[first])
    for name in others:
        found = _observed(results[name])
        for site in sorted(expected.keys() | found.keys()):
            if site not in expected or site not in found or not np.array_equal(expected[site], found[site]):
                raise ValueError(
                    f"Only models of the same data can be compared, but the observed `{site}` of `{name}` is not that "
                    f"of `{first}`."
                )


def _observed(result: xr.DataTree) -> dict[str, np.ndarray]:
    if "observed_data" not in result.children:
        return {}
    return {str(name): variable.values for name, variable in result["observed_data"].data_vars.items()}


def _evidences(results: Mapping[str, xr.DataTree]) -> pd.DataFrame:
    value = pd.Series({name: float(result.attrs["log_evidence"]) for name, result in results.items()})
    error = pd.Series({name: float(result.attrs["log_evidence_err"]) for name, result in results.items()})
    best: Any = value.idxmax()
    difference_error = np.hypot(error, error[best])
    difference_error[best] = 0.0
    columns = {
        "log_evidence": value,
        "log_evidence_err": error,
        "log_bayes_factor": value - value[best],
        "log_bayes_factor_err": difference_error,
        "probability": np.exp(value - logsumexp(value)),
    }
    return pd.DataFrame(columns).rename_axis("model")


def _pointwise(result: xr.DataTree) -> xr.DataArray | None:
    """Log-likelihoods of all data along one axis, with their names; None where there are none, or one is of no data."""
    if "log_likelihood" not in result.children:
        return None
    sites = result["log_likelihood"].to_dataset()
    if not set(sites.data_vars) <= set(_observed(result)):
        return None
    parts = [v.values.reshape(*v.shape[:2], -1) for v in sites.data_vars.values()]
    names = labels_of((str(name), v.shape[2:]) for name, v in sites.data_vars.items())
    return xr.DataArray(np.concatenate(parts, axis=-1), {"datum": names}, dims=("chain", "draw", "datum"))


def _predictive(
    results: Mapping[str, xr.DataTree], likelihoods: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """Columns of the table; and by model the data of which k̂ is too large, with it."""
    # A masked datum has a likelihood of one whatever the draw, and is no datum.
    is_masked = np.logical_and.reduce([(values == 0).all(("chain", "draw")).values for values in likelihoods.values()])
    estimates, bad = {}, {}
    for name, values in likelihoods.items():
        kept = values.isel(datum=~is_masked)
        group = xr.Dataset({"data": kept.drop_vars("datum")})
        tree = xr.DataTree.from_dict({"posterior": results[name]["posterior"].to_dataset(), "log_likelihood": group})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of large k̂, which the table tells
            estimates[name] = arviz_stats.loo(tree, pointwise=True, reff=relative_efficiency(results[name]))
        khat = zip(kept["datum"].values.tolist(), estimates[name].pareto_k.values.tolist(), strict=True)
        bad[name] = {label: k for label, k in khat if k > MAX_KHAT}
    compare: Any = arviz_stats.compare
    # Newer versions round unless told not to.
    exact = {"round_to": "none"} if "round_to" in inspect.signature(compare).parameters else {}
    table: Any = compare(estimates, **exact)
    columns = pd.DataFrame(
        {
            "elpd": table["elpd"],
            "elpd_err": table["se"],
            "elpd_diff": table["elpd"] - table["elpd"].max(),
            "elpd_diff_err": table["dse"],
            "stacking_weight": table["weight"],
            "num_data": int((~is_masked).sum()),
            "num_bad_k": pd.Series({name: len(found) for name, found in bad.items()}),
        }
    )
    return columns.rename_axis("model"), bad
