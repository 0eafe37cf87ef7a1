"""Each diagnostic on results that must trigger it, and on results that must not."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayesastro as ba
from bayesastro.findings import ORDER

CHAINS, DRAWS = 4, 1000


def build(draws, stats=None, prior=None, status="complete"):
    """A result by hand; `prior` is (family, lower, upper) of `x`."""
    draws = np.asarray(draws)
    chains, num_draws = draws.shape[:2]
    dims = ["chain", "draw", *(f"x_dim_{i}" for i in range(draws.ndim - 2))]
    x = xr.Variable(dims, draws, dict(zip(("prior_family", "prior_lower", "prior_upper"), prior or (), strict=False)))
    rng = np.random.default_rng(draws.size)
    stats = {
        "lp": rng.normal(size=(chains, num_draws)),
        "energy": rng.normal(size=(chains, num_draws)),
        "diverging": np.zeros((chains, num_draws), bool),
        "reached_max_treedepth": np.zeros((chains, num_draws), bool),
    } | (stats or {})
    groups = {
        "posterior": xr.Dataset({"x": x}),
        "sample_stats": xr.Dataset({name: (("chain", "draw"), value) for name, value in stats.items()}),
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs["status"] = status
    return tree


def normal(seed=0, shape=(CHAINS, DRAWS)):
    return np.random.default_rng(seed).normal(size=shape)


def only(result):
    (finding,) = ba.diagnose(result)
    return finding


def autoregressive(correlation, seed=0):
    noise, x = normal(seed), np.zeros((CHAINS, DRAWS))
    x[:, 0] = noise[:, 0]
    for t in range(1, DRAWS):
        x[:, t] = correlation * x[:, t - 1] + np.sqrt(1 - correlation**2) * noise[:, t]
    return x


def test_independent_draws_are_clean():
    diagnosis = ba.diagnose(build(normal()))
    assert not diagnosis
    assert len(diagnosis) == 0
    assert diagnosis.ids == ()
    assert str(diagnosis) == "No problems found."


def test_false_alarms_are_rare():
    alarms = [ba.diagnose(build(normal(seed), prior=("Uniform", -50.0, 50.0))).ids for seed in range(200)]
    assert sum(map(bool, alarms)) <= 2, alarms


def test_rhat_finds_a_chain_elsewhere():
    draws = normal()
    draws[2] += 1.0
    found = {finding.id: finding for finding in ba.diagnose(build(draws))}
    assert found["rhat"].number > found["rhat"].threshold == 1.01
    assert found["rhat"].where == "x"


def test_rhat_needs_two_chains():
    assert "rhat" not in ba.diagnose(build(normal(shape=(1, DRAWS)))).ids


def test_ess_finds_correlated_draws():
    found = {finding.id: finding for finding in ba.diagnose(build(autoregressive(0.95)))}
    for name in ("ess_bulk", "ess_tail"):
        assert found[name].number < found[name].threshold == 400
    assert 4000 * 0.05 / 1.95 / 2 < found["ess_bulk"].number < 4000 * 0.05 / 1.95 * 2


def test_ess_tail_finds_rare_excursions():
    slow = np.where(np.arange(DRAWS) // 250 % 2, 1.0, 6.0)
    ids = ba.diagnose(build(normal(3) * slow)).ids
    assert "ess_tail" in ids
    assert "ess_bulk" not in ids


def test_worst_entry_of_a_vector_is_named():
    draws = normal(shape=(CHAINS, DRAWS, 3))
    draws[0, :, 1] += 1.0
    draws[0, :, 2] += 3.0
    found = {finding.id: finding for finding in ba.diagnose(build(draws))}
    assert found["rhat"].where == "x[2]"
    assert "at 1 more" in found["rhat"].text


def test_constant_entries_are_passed_over():
    draws = normal(shape=(CHAINS, DRAWS, 2))
    draws[..., 0] = 1.0
    assert not ba.diagnose(build(draws))


def test_not_a_number_is_found():
    draws = normal(shape=(CHAINS, DRAWS, 2))
    draws[1, 5, 1] = np.inf
    assert not ba.diagnose(build(normal(shape=(CHAINS, DRAWS, 2))))
    finding = only(build(draws))
    assert (finding.id, finding.where, finding.number) == ("not_finite", "x[1]", 1)


def test_divergences_are_counted():
    diverging = np.zeros((CHAINS, DRAWS), bool)
    diverging[1, :20] = True
    finding = only(build(normal(), {"diverging": diverging}))
    assert (finding.id, finding.number, finding.threshold) == ("divergences", 20, 0)
    assert "20 of 4000 transitions diverged (0.5 %)" in finding.text
    assert "`target_accept`" in finding.remedy
    assert finding.level == "warning"


def diverged(number, begin=None, num_draws=DRAWS):
    """A result with so many divergent transitions, which begin at the values given or at draws."""
    diverging = np.zeros((CHAINS, num_draws), bool)
    diverging.ravel()[np.linspace(0, diverging.size - 1, number).astype(int)] = True
    result = build(normal(shape=diverging.shape), {"diverging": diverging})
    begin = normal(9, number) if begin is None else begin
    numbered = result["posterior"].to_dataset().assign_coords(chain=range(CHAINS), draw=range(num_draws))
    result["posterior"] = xr.DataTree(numbered)
    result["divergence_starts"] = xr.DataTree(xr.Dataset({"x": ("point", begin), "draw": ("point", np.arange(number))}))
    return result


@pytest.mark.parametrize(("number", "level"), [(1, "notice"), (4, "notice"), (5, "warning"), (400, "warning")])
def test_one_divergence_in_a_thousand_is_a_notice(number, level):
    finding = only(diverged(number))
    assert (finding.id, finding.number, finding.level) == ("divergences", number, level)
    assert ("biased" in finding.remedy) is (level == "warning")
    assert ("notice: " in str(ba.diagnose(diverged(number)))) is (level == "notice")


@pytest.mark.parametrize("begin", [np.linspace(-4, -3, 8), np.linspace(3, 4, 8), np.tile([-4.0, 4.0], 4)])
def test_few_divergences_that_begin_in_one_place_are_a_warning(begin):
    """Of 10,000 transitions; as at the neck of a funnel."""
    finding = only(diverged(8, begin, num_draws=2500))
    assert finding.level == "warning"
    assert "begin in one part of the range of `x`" in finding.text


@pytest.mark.parametrize(
    ("begin", "share", "where", "low", "high"),
    [
        (np.r_[np.linspace(0.01, 0.3, 18), 1.0, 2.0], "90 %", "below 0.3 km", None, 0.3),
        (np.r_[np.linspace(2, 3, 15), np.linspace(0.1, 1, 5)], "75 %", "above 2 km", 2.0, None),
        (np.linspace(0.6, 0.74, 20), "all", r"between (0.\d+) km and (0.\d+) km", 0.6, 0.75),
        (np.repeat([0.02, 3.0], 10), "all", r"below (0.\d+) km or above (2.\d+) km", 2.4, 0.02),
    ],
    ids=["low", "high", "middle", "ends"],
)
def test_divergences_tell_where_in_a_range_they_begin(begin, share, where, low, high):
    """Among the magnitudes of normal draws."""
    result = diverged(20, begin)
    x = np.abs(result["posterior"]["x"])
    result["posterior"]["x"] = x.assign_attrs(units="km")
    finding = only(result)
    told = f"begin in one part of the range of `x`: {share} of them {where}, where ([\\d.]+) % of all draws lie$"
    found = re.search(told, finding.text)
    assert found, finding.text
    above, below = (x > -1 if low is None else x > low), (x > -1 if high is None else x < high)
    drawn = (above | below if low is not None and high is not None and high < low else above & below).mean()
    assert float(found[found.re.groups]) == pytest.approx(100 * float(drawn), abs=1.5)
    assert ("non-centred, `mean + x * z`" in finding.remedy) is where.startswith("below 0.3")
    assert ("away from 0" in finding.remedy) is where.startswith("below 0.3")


def test_findings_come_in_the_order_in_which_to_go_at_them():
    diverging, lp = np.zeros((CHAINS, DRAWS), bool), normal(7)
    diverging[0, :3] = True
    lp[2] -= 20.0
    few = build(autoregressive(0.98), {"diverging": diverging, "lp": lp}, status="interrupted")
    few.attrs["undefined_likelihoods"] = 0.1
    first, last = ["incomplete", "undefined_likelihoods", "stuck"], ["rhat", "ess_bulk", "ess_tail"]
    found = ba.diagnose(few)
    assert list(found.ids) == [*first, *last, "divergences"]
    assert not any("divergences first" in finding.remedy for finding in found)
    few["sample_stats"]["diverging"].values[1] = True
    found = ba.diagnose(few)
    assert list(found.ids) == [*first, "divergences", *last]
    later = [finding.id for finding in found if finding.remedy.startswith("See to the divergences first. ")]
    assert later == last


def test_every_finding_has_its_place_in_the_order():
    source = "".join(path.read_text() for path in Path(ba.__file__).parent.glob("*.py"))
    names = set(re.findall(r"(?:Finding|worst)\(\s*\"(\w+)\"", source)) | {"ess_bulk", "ess_tail"}
    assert names == set(ORDER)
    assert len(ORDER) == len(set(ORDER))


def test_scattered_divergences_are_rarely_taken_for_crowded_ones():
    levels = [only(diverged(4, normal(seed, 4))).level for seed in range(50)]
    assert levels.count("warning") <= 2


@pytest.mark.parametrize(("number", "is_found"), [(40, False), (41, True)])
def test_tree_depth_beyond_one_percent_is_found(number, is_found):
    reached = np.zeros((CHAINS, DRAWS), bool)
    reached.ravel()[:number] = True
    diagnosis = ba.diagnose(build(normal(), {"reached_max_treedepth": reached}))
    assert diagnosis.ids == (("tree_depth",) if is_found else ())
    for finding in diagnosis:
        assert finding.number == pytest.approx(number / 4000)
        assert finding.threshold == 0.01


def test_bfmi_finds_a_slow_energy():
    energy = normal(5)
    energy[3] = autoregressive(0.95)[3]
    finding = only(build(normal(), {"energy": energy}))
    assert (finding.id, finding.where, finding.threshold) == ("bfmi", "chain 3", 0.3)
    expected = np.mean(np.diff(energy[3]) ** 2) / np.var(energy[3])
    assert finding.number == pytest.approx(expected)


def test_chain_that_does_not_move_is_stuck():
    draws, lp, energy = normal(), normal(7), normal(8)
    draws[1], lp[1], energy[1] = 0.3, -1.0, 2.0
    found = [f for f in ba.diagnose(build(draws, {"lp": lp, "energy": energy})) if f.id == "stuck"]
    assert [f.where for f in found] == ["chain 1"]
    assert (found[0].number, found[0].threshold) == (0.0, 0.05)


def test_chain_in_a_lower_mode_is_stuck():
    lp = normal(7)
    lp[2] -= 20.0
    finding = only(build(normal(), {"lp": lp}))
    assert (finding.id, finding.where, finding.threshold) == ("stuck", "chain 2", 5.0)
    assert finding.number == pytest.approx(20, rel=0.1)


def uniform(lower, upper, shape=(CHAINS, DRAWS), seed=0):
    return np.random.default_rng(seed).uniform(lower, upper, shape)


@pytest.mark.parametrize(
    ("draws", "prior"),
    [
        (uniform(0, 1), ("Uniform", 0.0, 1.0)),
        (uniform(1e-3, 10), ("Uniform", 1e-3, 10.0)),
        (np.exp(uniform(0, np.log(50))), ("LogUniform", 1.0, 50.0)),
        (np.exp(uniform(0, np.log(1e6))), ("LogUniform", 1.0, 1e6)),
        (uniform(0, 1, (CHAINS, DRAWS, 2)) * [1, 5], ("Uniform", np.zeros(2), np.array([1.0, 5.0]))),
        (normal(), ("Uniform", -np.inf, np.inf)),
    ],
)
def test_draws_that_fill_the_prior_are_on_no_edge(draws, prior):
    assert "prior_edge" not in ba.diagnose(build(draws, prior=prior)).ids


@pytest.mark.parametrize(
    ("draws", "prior", "end"),
    [
        (np.abs(normal()), ("Uniform", 0.0, 10.0), "lower"),
        (3 - np.abs(normal()), ("Uniform", -20.0, 3.0), "upper"),
        (np.exp(0.3 * np.abs(normal())), ("LogUniform", 1.0, 1000.0), "lower"),
        (100 / np.exp(0.3 * np.abs(normal())), ("LogUniform", 0.01, 100.0), "upper"),
    ],
)
def test_draws_piled_at_an_end_of_the_prior_are_found(draws, prior, end):
    finding = only(build(draws, prior=prior))
    assert (finding.id, finding.where, finding.threshold) == ("prior_edge", "x", 0.02)
    assert f"on the {end} edge" in finding.text
    place = (draws - prior[1]) / (prior[2] - prior[1])
    if prior[0] == "LogUniform":
        place = np.log(draws / prior[1]) / np.log(prior[2] / prior[1])
    assert finding.number == pytest.approx(np.mean(place < 0.01 if end == "lower" else place > 0.99))


def test_one_entry_at_the_edge_is_enough():
    draws = normal(shape=(CHAINS, DRAWS, 3))
    draws[..., 1] = np.abs(draws[..., 1])
    finding = only(build(draws, prior=("Uniform", np.array([-9.0, 0.0, -9.0]), np.full(3, 9.0))))
    assert finding.id == "prior_edge"


def test_bounds_may_have_come_back_from_disk_as_lists():
    draws = np.abs(normal(shape=(CHAINS, DRAWS, 2)))
    assert only(build(draws, prior=("Uniform", [0.0, 0.0], [9.0, 9.0]))).id == "prior_edge"


def test_incomplete_run_is_found():
    finding = only(build(normal(), status="interrupted"))
    assert (finding.id, finding.number) == ("incomplete", DRAWS)
    assert "interrupted" in finding.text


@pytest.mark.parametrize("number", [0, 1, 3])
def test_too_few_draws_are_the_only_finding(number):
    finding = only(build(normal(shape=(CHAINS, number))))
    assert (finding.id, finding.number, finding.threshold) == ("too_few_draws", number, 4)


def test_engines_without_sample_stats_are_judged_by_their_draws():
    tree = build(normal())
    del tree["sample_stats"]
    assert not ba.diagnose(tree)
    tree = build(autoregressive(0.95))
    del tree["sample_stats"]
    assert "ess_bulk" in ba.diagnose(tree).ids


def test_printed_form_is_one_line_for_each_finding():
    lp = normal(7)
    lp[2] -= 20.0
    diagnosis = ba.diagnose(build(autoregressive(0.98), {"lp": lp}, status="interrupted"))
    lines = str(diagnosis).splitlines()
    assert len(lines) == len(diagnosis) == len(list(diagnosis)) >= 4
    for line, finding in zip(lines, diagnosis, strict=True):
        assert line == f"{finding.id} [{finding.where}]: {finding.text} → {finding.remedy}"
        assert finding.remedy.endswith(".")


@pytest.mark.parametrize(
    ("attribute", "good", "bad", "id"),
    [
        ("ess", 1000.0, 100.0, "ess_weights"),
        ("is_converged", 1, 0, "not_converged"),
        ("self_check_shift", -2.0, 5.0, "self_check"),
        ("position_correlation", 0.2, 0.7, "short_walks"),
        ("undefined_likelihoods", 0.0, 0.1, "undefined_likelihoods"),
        ("log_evidence_scatter", 0.2, 3.0, "evidence_scatter"),
        ("num_founders", 40, 1, "few_founders"),
        ("acceptance_rates", np.array([0.8, 0.7]), np.array([0.8, 0.01]), "low_acceptance"),
    ],
)
def test_figures_of_a_run_are_judged(attribute, good, bad, id):
    for value, ids in ((good, ()), (bad, (id,))):
        result = build(normal())
        result.attrs[attribute] = value
        assert ba.diagnose(result).ids == ids


def test_a_self_check_stands_above_the_correlation_of_walks():
    result = build(normal())
    result.attrs |= {"position_correlation": 0.9, "self_check_shift": 0.5}
    assert not ba.diagnose(result)


def ranked(ranks):
    born = np.r_[-np.ones(100), np.arange(len(ranks))]
    result = build(normal())
    points = {"insertion_rank": ("point", np.r_[np.full(100, np.nan), ranks]), "birth_iteration": ("point", born)}
    result["nested"] = xr.DataTree(xr.Dataset(points))
    return result


def test_insertion_ranks_find_points_that_lie_too_low():
    uniform = np.random.default_rng(4).uniform(size=5000)
    assert not ba.diagnose(ranked(uniform))
    low = ranked(uniform**1.2)
    assert only(low).id == "insertion_ranks"
    for_a_while = uniform.copy()
    for_a_while[1000:1500] **= 1.6
    assert only(ranked(for_a_while)).id == "insertion_ranks"


def test_insertion_ranks_raise_few_false_alarms():
    alarms = [ba.diagnose(ranked(np.random.default_rng(s).uniform(size=2000))).ids for s in range(200)]
    assert sum("insertion_ranks" in ids for ids in alarms) <= 1
