"""Pictures: what the functions draw on the axes, and what they refuse to draw."""

import arviz_base
import astropy.units as u
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.wcs import WCS
from matplotlib.colors import to_hex
from matplotlib.path import Path
from scipy import stats

import bayesastro as ba
from bayesastro.plots import COLORS, axis_label

NUM_DRAWS = 5000


pytestmark = pytest.mark.usefixtures("agg")


def result(seed=0, num_draws=NUM_DRAWS, **more):
    """Two correlated scalars and a vector, as if drawn by two chains."""
    rng = np.random.default_rng(seed)
    a = rng.normal(1.0 + seed, 2.0, (2, num_draws))
    posterior = {"a": a, "b": 0.5 * a + rng.normal(size=a.shape), "v": rng.normal(size=(*a.shape, 3))}
    return arviz_base.from_dict({"posterior": posterior | more})


def panels(figure):
    """The axes of a corner plot by row and column."""
    size = int(np.sqrt(len(figure.axes)))
    return np.array(figure.axes).reshape(size, size)


def contours(axis):
    """The closed lines on a panel, in data coordinates, from the innermost out."""
    sets = [c for c in axis.collections if hasattr(c, "levels") and not c.filled]
    paths = [path for path in sets[-1].get_paths() if len(path.vertices)]
    return sorted(paths, key=lambda path: np.ptp(path.vertices[:, 0]))


def test_one_panel_for_each_pair_of_scalars():
    figure = ba.plot.corner(result())
    assert isinstance(figure, mpl.figure.Figure)
    grid = panels(figure)
    assert [axis.get_xlabel() for axis in grid[-1]] == ["$a$", "$b$", "$v$[0]", "$v$[1]", "$v$[2]"]
    assert grid[1, 0].get_ylabel() == "$b$"
    assert not figure.legends
    assert not figure.texts
    figure.canvas.draw()


def test_variables_come_in_the_order_asked_for_and_with_labels():
    figure = ba.plot.corner(result(), ["b", "a"], labels={"a": r"$\alpha$ [mag]", "unused": "?"})
    grid = panels(figure)
    assert [axis.get_xlabel() for axis in grid[-1]] == ["$b$", r"$\alpha$ [mag]"]
    assert grid[1, 0].get_ylabel() == r"$\alpha$ [mag]"


def test_contours_hold_the_stated_shares_of_the_draws():
    posterior = result(num_draws=20_000)
    draws = np.stack([posterior["posterior"][name].values.ravel() for name in ("a", "b")], axis=1)
    lines = contours(panels(ba.plot.corner(posterior, ["a", "b"]))[1, 0])
    inside = [Path(line.vertices).contains_points(draws).mean() for line in lines]
    np.testing.assert_allclose(inside, [0.393, 0.865], atol=0.03)


def test_axes_hold_nearly_all_draws_and_little_else():
    axis = panels(ba.plot.corner(result(), ["a", "b"]))[0, 0]
    low, high = axis.get_xlim()
    assert stats.norm.cdf(low, 1.0, 2.0) < 0.003
    assert stats.norm.sf(high, 1.0, 2.0) < 0.003
    assert high - low < 10 * 2.0


def test_several_results_are_overlaid_in_colours_of_their_own_with_a_legend():
    figure = ba.plot.corner({"one": result(0), "two": result(3)}, ["a"])
    (axis,) = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two"]
    assert [to_hex(line.get_color()) for line in legend.get_lines()] == list(COLORS[:2])
    drawn = {to_hex(artist.get_edgecolor()) for artist in axis.patches} | {
        to_hex(line.get_color()) for line in axis.lines
    }
    assert set(COLORS[:2]) <= drawn
    low, high = axis.get_xlim()  # wide enough for both, whose means are 1 and 4
    assert low < 1.0 - 2.5 * 2.0
    assert high > 4.0 + 2.5 * 2.0


def test_histograms_are_densities_of_equal_area_whatever_the_number_of_draws():
    figure = ba.plot.corner({"few": result(0, 1000), "many": result(0, 9000)}, ["a"])
    peaks = [line.get_ydata().max() for line in figure.axes[0].lines]
    peaks += [np.max(patch.get_xy()[:, 1]) for patch in figure.axes[0].patches]
    assert len(peaks) == 2
    assert peaks[0] == pytest.approx(peaks[1], rel=0.15)


def test_more_results_than_colours_are_shown_all_the_same():
    names = [str(i) for i in range(len(COLORS) + 1)]
    figure = ba.plot.corner({name: result(i, 300) for i, name in enumerate(names)}, ["a"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names


def test_truths_are_marked_where_they_are():
    def marks(axis):
        return {x for line in axis.lines if len(set(line.get_xdata())) == 1 for x in line.get_xdata()}

    with_truth = panels(ba.plot.corner(result(), ["a", "b"], truths={"a": 1.25}))
    assert 1.25 in marks(with_truth[0, 0])
    assert 1.25 in marks(with_truth[1, 0])
    assert not marks(with_truth[1, 1])
    assert not marks(panels(ba.plot.corner(result(), ["a", "b"]))[0, 0])


def test_a_truth_of_no_variable_is_told_and_one_that_is_not_shown_left_out():
    assert panels(ba.plot.corner(result(), ["a"], truths={"a": 1.0, "b": 2.0})).size == 1
    with pytest.raises(
        ValueError, match=r"^`truths` names `aa`, but the posterior has `a`, `b`, `v`\. Did you mean `a`\?$"
    ):
        ba.plot.corner(result(), ["a"], truths={"aa": 1.0})


def test_truths_of_arrays_are_marked_entry_by_entry():
    def marks(figure):
        grid = panels(figure)
        return [
            [line.get_xdata()[0] for line in grid[i, i].lines if len(line.get_xdata()) == 2] for i in range(len(grid))
        ]

    assert marks(ba.plot.corner(result(), ["a", "v"], truths={"v": [1.0, np.nan, 3.0]})) == [[], [1.0], [], [3.0]]
    assert marks(ba.plot.corner(result(), ["v[1]", "v[2]"], truths={"v": np.arange(3), "v[2]": 0.5})) == [[1.0], [0.5]]
    assert marks(ba.plot.corner(result(), ["v[2]"], truths={"v[2]": 0.5, "v[0]": 1.0})) == [[0.5]]
    for truth in ([1.0, 2.0], 1.0, ["1", "2", "3"]):
        with pytest.raises(ValueError, match=r"`truths` must have real numbers of shape \(3,\) for `v`, but .* came"):
            ba.plot.corner(result(), ["v"], truths={"v": truth})
    with pytest.raises(ValueError, match=r"`v` has no entry `v\[3\]`"):
        ba.plot.corner(result(), ["v"], truths={"v[3]": 1.0})


def test_results_in_a_list_are_refused():
    for draw in (ba.plot.corner, ba.plot.evidence):
        with pytest.raises(
            TypeError, match=rf"^`{draw.__name__}` needs results by name, such as .*, but a `list` came"
        ):
            draw([result(), result()])


def test_corner_has_units_and_takes_truths_in_others():
    def in_unit(unit):
        found = result()
        found["posterior"]["a"].attrs["units"] = unit
        return found

    figure = panels(ba.plot.corner(in_unit("km"), ["a"], truths={"a": 1250 * u.m}))
    assert 1.25 in [line.get_xdata()[0] for line in figure[0, 0].lines]
    assert figure[0, 0].get_xlabel() == "$a$ [km]"
    with pytest.raises(ValueError, match="`a` must be in km or a unit of its kind, but is in s"):
        ba.plot.corner(in_unit("km"), ["a"], truths={"a": 1 * u.s})
    with pytest.raises(ValueError, match="`a` is in km and m in these results"):
        ba.plot.corner({"one": in_unit("km"), "two": in_unit("m")}, ["a"])


def shown(figure):
    """Labels of a corner's columns, and the note on what it does not show."""
    return [axis.get_xlabel() for axis in panels(figure)[-1]], " ".join(text.get_text() for text in figure.texts)


def test_by_default_what_all_results_share_is_shown_and_the_rest_named():
    more = result(num_draws=300, extra=np.random.default_rng(1).normal(size=(2, 300)))
    assert len(shown(ba.plot.corner(more))[0]) == 6
    names, note = shown(ba.plot.corner({"more": more, "less": result(num_draws=300)}))
    assert names == ["$a$", "$b$", "$v$[0]", "$v$[1]", "$v$[2]"]
    assert note == "Not shown: extra (not in all results)"


def test_what_a_corner_leaves_out_by_default_is_named_with_the_reason():
    rng = np.random.default_rng(1)
    like = (2, 300)
    visibility, long, holes, short = (rng.normal(size=(*like, *shape)) for shape in ((), (40,), (2,), (6,)))
    holes[0, 0, 1] = np.nan
    short[..., 3] = 1.0
    many = result(num_draws=300, visibility=visibility * 1j, long=long, holes=holes, short=short)
    names, note = shown(ba.plot.corner(many))
    assert names == ["$a$", "$b$", *(f"$v$[{i}]" for i in range(3)), *(f"short[{i}]" for i in range(6) if i != 3)]
    reasons = ("visibility (complex)", "long (40 entries)", "holes (not finite)", "short (1 constant entries)")
    assert note.replace("\n", " ") == f"Not shown: {', '.join(reasons)}"
    many = result(num_draws=300, **{f"s{i}": rng.normal(size=like) for i in range(11)})
    names, note = shown(ba.plot.corner(many))
    assert len(names) == 12
    assert note == "Not shown: v (3 entries), s10 (no room)"
    names, note = shown(ba.plot.corner(result(num_draws=2)))
    assert (names, note) == (["$a$", "$b$"], "Not shown: v (too few draws)")
    with pytest.raises(ValueError, match=r"These are left out by default: w \(30 entries\)\. Name some in `var_names`"):
        ba.plot.corner(arviz_base.from_dict({"posterior": {"w": rng.normal(size=(*like, 30))}}))


def test_complex_scalars_are_refused():
    with pytest.raises(ValueError, match=r"`visibility` is complex, but pictures show real numbers"):
        ba.plot.corner(result(visibility=np.ones((2, NUM_DRAWS)) * 1j), ["a", "visibility"])


def matrices():
    """A matrix, and a vector with names for its entries, as a plate may have."""
    rng = np.random.default_rng(4)
    arrays = {
        "m": rng.normal(size=(2, 200, 2, 3)),
        "s": rng.normal(size=(2, 200, 2)),
        "x[0]": rng.normal(size=(2, 200)),
    }
    stars = {"dims": {"s": ["star"]}, "coords": {"star": ["HD 1", "HD 2"]}}
    return arviz_base.from_dict({"posterior": arrays}, **stars)


def test_entries_have_the_names_of_the_summary_in_every_picture():
    tree = matrices()
    rows = list(ba.summary(tree).index)
    assert rows == ["m[0, 0]", "m[0, 1]", "m[0, 2]", "m[1, 0]", "m[1, 1]", "m[1, 2]", "s[HD 1]", "s[HD 2]", "x[0]"]
    assert len(shown(ba.plot.corner(tree, rows))[0]) == len(ba.plot.rank(tree, rows).axes[:9]) == 9
    for name, draws in (("m[1,2]", tree["posterior"]["m"][..., 1, 2]), ("s[HD 2]", tree["posterior"]["s"][..., 1])):
        line = ba.plot.trace(tree, name).axes[1]
        np.testing.assert_array_equal([chain.get_ydata() for chain in line.lines[:2]], draws)
        assert line.get_ylabel().replace("$", "") == name.replace(",", ", ")
    assert shown(ba.plot.corner(tree, ["x[0]", "m[1]"]))[0] == ["$x$[0]", "$m$[1, 0]", "$m$[1, 1]", "$m$[1, 2]"]
    assert shown(ba.plot.corner(tree, ["s", "s[HD 1]"], labels={"s": "$S$ [mag]"}))[0] == [
        "$S$[HD 1] [mag]",
        "$S$[HD 2] [mag]",
    ]


def test_a_map_may_be_a_part_of_a_variable():
    cube = np.random.default_rng(1).normal(size=(2, 50, 3, 6, 9))
    tree = arviz_base.from_dict({"posterior": {"cube": cube}})
    np.testing.assert_allclose(ba.plot.field(tree, "cube[1]").axes[0].images[0].get_array(), cube.mean((0, 1))[1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m[2, 0]", r"^`m` has no entry `m\[2, 0\]`; its entries are `m\[0, 0\]` to `m\[1, 2\]`\.$"),
        ("m[0, 0, 0]", r"`m` has no entry `m\[0, 0, 0\]`"),
        ("s[HD]", r"its entries are `s\[HD 1\]` to `s\[HD 2\]`"),
        ("n[0]", r"no variable `n\[0\]` in `posterior`; it has m, s, x\[0\]"),
        ("x[0][1]", r"`x\[0\]` is a scalar, so that there is no `x\[0\]\[1\]`"),
    ],
)
@pytest.mark.parametrize("draw", [ba.plot.corner, ba.plot.trace, ba.plot.rank, ba.plot.field])
def test_entries_that_are_not_there_are_refused(draw, name, message):
    with pytest.raises(ValueError, match=message):
        draw(matrices(), name)
    assert not plt.get_fignums()


@pytest.mark.parametrize("value", [0.0, 1.0, -1e9, 1e-30])
def test_variable_that_does_not_vary_is_shown(value):
    figure = ba.plot.corner(result(fixed=np.full((2, NUM_DRAWS), value)), ["a", "b", "fixed"])
    grid = panels(figure)
    assert grid.shape == (3, 3)
    low, high = grid[2, 2].get_xlim()
    assert low < value < high
    figure.canvas.draw()


def test_whole_numbers_and_flags_are_shown():
    rng = np.random.default_rng(2)
    shape = (2, NUM_DRAWS)
    figure = ba.plot.corner(result(count=rng.poisson(3.0, shape), flag=rng.random(shape) < 0.5), ["count", "flag"])
    assert panels(figure).shape == (2, 2)


NAN = np.where(np.arange(2 * NUM_DRAWS) == 7, np.nan, 1.0).reshape(2, NUM_DRAWS)


@pytest.mark.parametrize(
    ("results", "var_names", "message"),
    [
        (result(), ["a", "c"], "no variable `c` in `posterior`; it has a, b, v"),
        ({"full": result(), "partial": result()}, ["d"], "no variable `d` in `posterior`"),
        (
            result(w=np.ones((2, NUM_DRAWS, 50))),
            ["w"],
            r"At most 40 scalars fit into a corner, but `var_names` has more",
        ),
        ({"one": result(), "two": result(v=np.ones((2, NUM_DRAWS, 2)))}, ["v"], r"`v\[2\]` is not in all results"),
        (result(), [], "no scalar variable to show. Name some in `var_names`"),
        ({}, None, "no scalar variable to show"),
        (arviz_base.from_dict({"posterior": {"v": np.zeros((2, 9, 3))}}), None, "no scalar variable to show"),
        (result(nan=NAN), ["nan"], "needs finite draws, but 1 of `nan` are not"),
        (
            arviz_base.from_dict({"posterior": {"a": np.zeros((1, 2)), "b": np.ones((1, 2))}}),
            ["a", "b"],
            "more draws than variables, but there are 2 for 2",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_and_leaves_no_figure(results, var_names, message):
    with pytest.raises(ValueError, match=message) as caught:
        ba.plot.corner(results, var_names)
    assert "\n" not in str(caught.value)
    assert not plt.get_fignums()


def test_one_draw_more_than_variables_is_enough():
    posterior = {"a": np.array([[0.0, 1.0, 3.0]]), "b": np.array([[1.0, 0.5, 2.0]])}
    assert len(ba.plot.corner(arviz_base.from_dict({"posterior": posterior}), ["a", "b"]).axes) == 4


@pytest.fixture
def axis():
    return plt.subplots()[1]


def edges(polygon, x):
    """Lower and upper edge of a filled band at each abscissa."""
    vertices = polygon.get_paths()[0].vertices
    heights = [vertices[vertices[:, 0] == at, 1] for at in x]
    return np.array([[h.min(), h.max()] for h in heights]).T


def test_band_shows_median_and_central_68_and_95_percent(axis):
    x = np.array([0.0, 1.0, 2.5])
    centre, width = np.array([1.0, -2.0, 5.0]), np.array([0.5, 1.0, 3.0])
    quantiles = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    curves = np.random.default_rng(0).permutation(centre + width * quantiles[:, None])
    assert ba.plot.band(axis, x, curves) is axis
    (line,) = axis.lines
    np.testing.assert_array_equal(line.get_xdata(), x)
    np.testing.assert_allclose(line.get_ydata(), centre, atol=1e-3)
    wide, narrow = (edges(polygon, x) for polygon in axis.collections)
    np.testing.assert_allclose(narrow, [centre - width, centre + width], atol=0.01)
    np.testing.assert_allclose(wide, [centre - 2 * width, centre + 2 * width], atol=0.02)


def test_band_of_a_skewed_curve_is_not_symmetric(axis):
    x = np.array([0.0, 1.0])
    draws = stats.expon.ppf((np.arange(20_000) + 0.5) / 20_000)
    ba.plot.band(axis, x, draws[:, None] * np.ones(2))
    np.testing.assert_allclose(axis.lines[0].get_ydata(), np.log(2), atol=1e-3)
    np.testing.assert_allclose(edges(axis.collections[1], x)[:, 0], stats.expon.ppf([0.159, 0.841]), rtol=2e-3)
    np.testing.assert_allclose(edges(axis.collections[0], x)[:, 0], stats.expon.ppf([0.023, 0.977]), rtol=2e-3)


def test_band_takes_colour_label_and_style_of_the_median(axis):
    curves = np.random.default_rng(0).normal(size=(50, 2))
    ba.plot.band(axis, np.arange(2.0), curves, color=COLORS[1], label="model", linestyle="--")
    (line,) = axis.lines
    assert (line.get_color(), line.get_label(), line.get_linestyle()) == (COLORS[1], "model", "--")
    assert {to_hex(polygon.get_facecolor()[0]) for polygon in axis.collections} == {COLORS[1]}
    assert [text.get_text() for text in axis.legend().get_texts()] == ["model"]


@pytest.mark.parametrize(
    ("name", "unit", "label"),
    [
        ("theta_E", "arcsec", r"$\theta_{E}$ [arcsec]"),
        ("H0", "", "$H_{0}$"),
        ("gamma1", "", r"$\gamma_{1}$"),
        ("w0_a", "", "$w_{0,a}$"),
        ("source_R", "", "source_R"),
        ("v[1, 2]", "km / s", "$v$[1, 2] [km / s]"),
        ("period", "d", "period [d]"),
    ],
)
def test_symbols_are_set_in_latex_with_their_units(name, unit, label):
    assert axis_label(name, unit) == label
    plt.figure().suptitle(label).figure.canvas.draw()


def chains(shift=0.0, num_draws=400):
    """Four chains of a scalar and of a vector, the last chain off by so many standard deviations."""
    rng = np.random.default_rng(3)
    a = rng.normal(5.0, 2.0, (4, num_draws))
    a[3] += 2.0 * shift
    diverging = np.zeros(a.shape, bool)
    diverging[1, [7, 50]] = True
    tree = arviz_base.from_dict(
        {"posterior": {"a": a, "v": rng.normal(size=(*a.shape, 2))}, "sample_stats": {"diverging": diverging}}
    )
    tree["posterior"]["a"].attrs["units"] = "km / s"
    return tree


def test_trace_shows_every_chain_and_every_divergence():
    figure = ba.plot.trace(chains())
    axes = np.array(figure.axes).reshape(3, 2)
    assert [axis.get_ylabel() for axis in axes[:, 1]] == ["$a$ [km / s]", "$v$[0]", "$v$[1]"]
    *lines, ticks = axes[0, 1].lines
    np.testing.assert_array_equal([line.get_ydata() for line in lines], chains()["posterior"]["a"].values)
    np.testing.assert_array_equal(ticks.get_xdata(), [7, 50])
    assert len(axes[0, 0].patches) == 4


@pytest.mark.parametrize(("shift", "is_inside"), [(0.0, True), (0.8, False)])
def test_ranks_leave_the_band_where_chains_disagree(shift, is_inside):
    axis = ba.plot.rank(chains(shift), ["a"]).axes[0]
    low, high = band_ends(axis.collections[0])
    lines = [line.get_ydata() for line in axis.lines[:4]]
    assert all(np.all((line >= low - 1e-9) & (line <= high + 1e-9)) for line in lines) is is_inside
    assert axis.get_title() == "$a$ [km / s]"


def band_ends(collection):
    """Lower and upper ends of a filled band at its abscissae."""
    vertices = collection.get_paths()[0].vertices
    places = np.unique(vertices[:, 0])
    ends = np.array([[side(vertices[vertices[:, 0] == x, 1]) for side in (np.min, np.max)] for x in places])
    return ends.T


def test_ranks_need_independent_chains():
    with pytest.raises(ValueError, match=r"it has one chain\. Use `trace`"):
        ba.plot.rank(result().isel(chain=[0]))
    walkers = chains()
    walkers.attrs["chains_are"] = "walkers"
    with pytest.raises(ValueError, match="its walkers depend on each other"):
        ba.plot.rank(walkers)


def test_pictures_are_drawn_on_the_axes_given():
    figure, axes = plt.subplots(3, 3)
    assert ba.plot.trace(chains(), "a", axes=axes[:1, :2]) is figure
    assert ba.plot.rank(chains(), "a", axes=axes[1, :1]) is figure
    assert ba.plot.evidence(evidences(), axis=axes[2, 0]) is figure
    assert ba.plot.field(sky(), "flux", axes=axes[2, 1:]) is figure
    with pytest.raises(
        ValueError, match=r"`axes` must have shape \(1, 2\), one for each scalar shown, but \(3,\) came"
    ):
        ba.plot.trace(chains(), "a", axes=axes[0])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: ba.plot.trace(chains(), ["b"]), "no variable `b` in `posterior`; it has a, v"),
        (lambda: ba.plot.trace(result(z=np.ones((2, NUM_DRAWS)) * 1j), "z"), "`z` is complex"),
        (lambda: ba.plot.trace(result(w=np.ones((2, NUM_DRAWS, 30))), "w"), "At most 20 scalars fit"),
        (lambda: ba.plot.trace(result(w=np.full((2, NUM_DRAWS), "x")), "w"), "`w` holds no numbers"),
        (
            lambda: ba.plot.corner(result().isel(draw=slice(0))),
            "The result has no draws: the run stopped in its warm-up",
        ),
        (lambda: ba.plot.trace(result().isel(draw=slice(0))), "The result has no draws"),
        (lambda: ba.plot.field(sky().isel(draw=slice(0)), "flux"), "The result has no draws"),
        (lambda: ba.plot.corner(result().isel(chain=[0], draw=[0])), r"left out by default: a \(too few draws\)"),
        (lambda: ba.plot.corner(result().isel(chain=0), "a"), r"`a` has the dimensions \('draw',\)"),
        (lambda: ba.plot.field(sky().isel(chain=0), "flux"), "Give it `chain` and `draw`, in front"),
        (lambda: ba.plot.rank(result().isel(draw=[0])), "needs two draws of each chain, but there is one"),
        (lambda: ba.plot.rank(result(nan=NAN)), "orders draws, but 1 of `nan` are NaN. Name others in `var_names`"),
        (lambda: ba.plot.evidence(evidences(np.nan)), "`log_evidence` of `flat` is nan, which cannot be drawn"),
        (lambda: ba.plot.evidence(evidences(error=-1.0)), "`log_evidence_err` of `flat` is -1.0"),
        (lambda: ba.plot.field(sky().isel(flux_dim_0=slice(0)), "flux"), r"`flux` has shape \(0, 9\)"),
        (lambda: ba.plot.field(sky(), "flux", axes=plt.Figure().subplots(3)), "`field` needs 2 axes, but 3 came"),
        (lambda: ba.plot.band(plt.Figure().subplots(), np.zeros(3), np.zeros((5, 4))), r"but \(5, 4\) came for \(3,\)"),
        (lambda: ba.plot.band(plt.Figure().subplots(), np.zeros(3), np.zeros((0, 3))), r"but \(0, 3\) came for \(3,\)"),
        (lambda: ba.plot.evidence({}), "but none came"),
        (lambda: ba.plot.evidence({"m": result()}), "that of `m` has none. Fit with `NestedSampler` or `SMC`"),
        (lambda: ba.plot.field(result(), "v"), r"`v` has shape \(3,\)"),
    ],
)
def test_what_pictures_cannot_show_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    "draw",
    [
        ba.plot.corner,
        ba.plot.trace,
        ba.plot.rank,
        ba.plot.predictive,
        lambda path: ba.plot.field(path, "v"),
        lambda path: ba.plot.corner({"one": path}),
        lambda path: ba.plot.evidence({"one": path}),
    ],
)
def test_a_path_is_no_result_and_the_message_says_how_to_read_it(draw):
    with pytest.raises(TypeError, match=r"must be an `xarray\.DataTree`.*Read it with `ba\.load\('fit\.nc'\)`"):
        draw("fit.nc")
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: ba.plot.corner(result(), 3), "^`var_names` must be names of variables, but 3 came"),
        (lambda: ba.plot.trace(result(), [None]), "`var_names` must be names of variables"),
        (lambda: ba.plot.field(sky(), 3), "A variable is named by a string, but 3 came"),
        (
            lambda: ba.plot.corner(result(), truths=[1.0, 2.0]),
            r"`truths` must be a mapping by variable, but \[1.0, 2.0\]",
        ),
        (lambda: ba.plot.rank(result(), labels="a"), "`labels` must be a mapping by variable, but 'a' came"),
        (lambda: ba.plot.corner(result()["posterior"].to_dataset()), "such as `fit` returns, but a `Dataset` came.$"),
        (
            lambda: ba.plot.trace(result(), "a", axes=plt.Figure()),
            "`axes` must be of matplotlib's `Axes`.*but `Figure` came",
        ),
        (lambda: ba.plot.rank(result(), "a", axes=[None]), "`axes` must be .* but `NoneType` came"),
        (lambda: ba.plot.field(sky(), "flux", axes=plt.Figure()), "`axes` must be .* but `Figure` came"),
        (lambda: ba.plot.field(sky(), "flux", wcs="sky"), "`wcs` must be an `astropy.wcs.WCS`, but 'sky' came"),
        (lambda: ba.plot.evidence(evidences(), axis=[plt.Figure().subplots()]), "`axis` must be .* but `list` came"),
        (lambda: ba.plot.band(None, np.zeros(3), np.zeros((5, 3))), "`axis` must be .* but `NoneType` came"),
    ],
)
def test_arguments_of_another_kind_are_told(draw, message):
    with pytest.raises(TypeError, match=message) as caught:
        draw()
    assert "\n" not in str(caught.value)
    assert not plt.get_fignums()


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_trace_shows_what_does_not_vary_or_is_no_number(value):
    figure = ba.plot.trace(result(w=np.full((2, NUM_DRAWS), value)), "w")
    assert len(figure.axes[1].lines) == 3
    figure.canvas.draw()


def test_ranks_of_a_constant_agree():
    axis = ba.plot.rank(result(w=np.ones((2, NUM_DRAWS))), "w").axes[0]
    low, high = band_ends(axis.collections[0])
    assert all(np.all((line.get_ydata() >= low) & (line.get_ydata() <= high)) for line in axis.lines[:2])


def test_a_relative_error_of_nothing_is_empty():
    tree = sky()
    tree["posterior"]["flux"][..., 0, 0] = 0.0
    error = ba.plot.field(tree, "flux", relative=True).axes[1].images[0].get_array()
    assert np.flatnonzero(~np.isfinite(np.ma.filled(error, np.nan))).tolist() == [0]


def test_evidences_need_names():
    with pytest.raises(TypeError, match=r"`evidence` needs results by name, such as .* but a `DataTree` came"):
        ba.plot.evidence(result())


def test_by_default_the_first_twenty_scalars_are_shown():
    figure = ba.plot.trace(result(w=np.ones((2, NUM_DRAWS, 30)), z=np.ones((2, NUM_DRAWS)) * 1j))
    assert len(figure.axes) == 40
    assert figure.get_suptitle() == "the first 20 of 35 scalars"
    assert not ba.plot.trace(result()).get_suptitle()
    assert not ba.plot.rank(result(), "a").get_suptitle()


def evidences(value=-10.0, error=0.2):
    results = {name: result() for name in ("flat", "curved")}
    for (own, its_error), one in zip(((value, error), (-13.5, 0.3)), results.values(), strict=True):
        one.attrs |= {"log_evidence": own, "log_evidence_err": its_error}
    return results


def test_evidences_are_bars_behind_the_best():
    axis = ba.plot.evidence(evidences()).axes[0]
    assert [bar.get_width() for bar in axis.patches] == [-3.5, 0.0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["curved", "flat"]
    assert axis.get_xlabel() == "log-evidence less that of flat"


def sky():
    rng = np.random.default_rng(1)
    tree = arviz_base.from_dict({"posterior": {"flux": 3.0 + rng.normal(size=(2, 50, 6, 9))}})
    tree["posterior"]["flux"].attrs["units"] = "Jy / sr"
    return tree


def test_fields_are_shown_by_mean_and_error_on_the_sky():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [150.0, 2.0], [-0.01, 0.01]
    left, right, *bars = ba.plot.field(sky(), "flux", wcs=wcs).axes
    draws = sky()["posterior"]["flux"].values
    np.testing.assert_allclose(left.images[0].get_array(), draws.mean((0, 1)))
    np.testing.assert_allclose(right.images[0].get_array(), draws.std((0, 1)))
    assert left.wcs is wcs
    assert (left.get_xlabel(), left.get_ylabel()) == ("right ascension", "declination")
    assert bars[0].get_ylabel() == "flux [Jy / sr]"
    relative = ba.plot.field(sky(), "flux", relative=True)
    np.testing.assert_allclose(relative.axes[1].images[0].get_array(), draws.std((0, 1)) / draws.mean((0, 1)))
    assert relative.axes[3].get_ylabel() == "relative"
