"""Pictures of data on their predictions: rows, bands and bars, groups, masks and images."""

import arviz_base
import astropy.units as u
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import bayesastro as ba
from bayesastro.plots import COLORS

pytestmark = pytest.mark.usefixtures("agg")


def predictions(group="posterior_predictive", num=200, **shapes):
    """Standard normal draws and data of the given shapes."""
    rng = np.random.default_rng(2)
    groups = {
        group: {name: rng.normal(size=(1, num, *shape)) for name, shape in shapes.items()},
        "observed_data": {name: rng.normal(size=shape) for name, shape in shapes.items()},
    }
    return arviz_base.from_dict(groups, check_conventions=False)


def values(tree, name="y"):
    """Draws and data."""
    return tree["posterior_predictive"][name].values[0], tree["observed_data"][name].values


def labels(figure):
    return [axis.get_ylabel() for axis in figure.axes]


def points(axis):
    """Data drawn on an axis, along the abscissa."""
    xy = np.concatenate([line.get_xydata() for line in axis.lines if line.get_marker() == "."])
    return xy[np.argsort(xy[:, 0], kind="stable"), 1]


@pytest.mark.parametrize("number", [30, 60])
def test_curve_has_its_predictions_and_residuals(number):
    tree = predictions(y=(number,))
    x = np.random.default_rng(0).permutation(number)
    upper, lower = ba.plot.predictive(tree, x=x, sigma=0.5, xlabel="time [d]").axes
    draws, observed = values(tree)
    order = np.argsort(x)
    median = upper.lines[0].get_xydata()
    np.testing.assert_allclose(median[np.argsort(median[:, 0]), 1], np.median(draws, 0)[order])
    np.testing.assert_array_equal(points(upper), observed[order])
    np.testing.assert_allclose(points(lower), ((observed - draws.mean(0)) / draws.std(0))[order])
    assert (lower.get_xlabel(), upper.get_ylabel()) == ("time [d]", "$y$")
    (errors,) = upper.containers[0].lines[2]
    assert np.ptp(errors.get_segments(), axis=1)[:, 1] == pytest.approx(1.0)


def kinds(axis):
    """Numbers of bands and of sets of bars."""
    bands = [c for c in axis.collections if isinstance(c, mpl.collections.PolyCollection)]
    bars = [c for c in axis.collections if isinstance(c, mpl.collections.LineCollection)]
    return len(bands) // 2, len(bars) // 2


@pytest.mark.parametrize(
    ("x", "bands", "sets_of_bars"),
    [
        (np.arange(12), 0, 1),
        (np.arange(60), 1, 0),
        (np.geomspace(0.1, 100.0, 60), 1, 0),
        (np.concatenate([np.arange(45), np.arange(145, 190)]), 2, 0),
        (np.concatenate([np.arange(45), [100, 200, 300]]), 1, 1),
        (np.repeat(np.arange(30), 3), 0, 1),
        (np.arange(60.0)[::-1], 1, 0),
    ],
)
def test_bands_end_at_gaps_and_few_data_have_bars(x, bands, sets_of_bars):
    figure = ba.plot.predictive(predictions(y=x.shape), x=x)
    assert kinds(figure.axes[0]) == (bands, sets_of_bars)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["predicted", "observed"]


def waves(num, num_cycles, amplitude=5.0, noise=1.0):
    """Draws of a sine over so many cycles in the unit interval, at random abscissae."""
    rng = np.random.default_rng(6)
    x = rng.uniform(size=num)
    mean = amplitude * np.sin(2 * np.pi * num_cycles * x)
    tree = predictions(y=(num,))
    tree["posterior_predictive"]["y"][:] = mean + noise * rng.normal(size=(1, 200, num))
    tree["observed_data"]["y"][:] = mean
    return tree, x


@pytest.mark.parametrize(
    ("num", "num_cycles", "amplitude", "bands", "sets_of_bars"),
    [
        (60, 44, 5.0, 0, 1),
        (60, 2, 5.0, 1, 0),
        (60, 44, 0.1, 1, 0),  # lost in the noise
        (400, 20, 5.0, 1, 0),
        (400, 300, 5.0, 0, 1),
    ],
)
def test_what_oscillates_between_data_has_bars(num, num_cycles, amplitude, bands, sets_of_bars):
    tree, x = waves(num, num_cycles, amplitude)
    assert kinds(ba.plot.predictive(tree, x=x).axes[0]) == (bands, sets_of_bars)


def test_errors_that_alternate_have_bars():
    tree = predictions(y=(60,))
    tree["posterior_predictive"]["y"][:] *= np.where(np.arange(60) % 2, 1.0, 4.0)
    assert kinds(ba.plot.predictive(tree).axes[0]) == (0, 1)


def test_bands_and_bars_can_be_asked_for():
    tree, x = waves(60, 44)
    assert kinds(ba.plot.predictive(tree, x=x, kind="band").axes[0]) == (1, 0)
    assert kinds(ba.plot.predictive(predictions(y=(9,)), x=np.geomspace(1, 1e6, 9), kind={"y": "band"}).axes[0]) == (
        1,
        0,
    )
    assert kinds(ba.plot.predictive(predictions(y=(60,)), kind="bars").axes[0]) == (0, 1)


def test_data_are_drawn_over_phase():
    tree, x = waves(60, 44)
    upper, lower = ba.plot.predictive(tree, x=x + 7 / 44, period=1 / 44, epoch=1 / 88).axes
    assert kinds(upper) == (1, 0)
    assert lower.get_xlabel() == "phase (period 0.0227273)"
    phase = np.concatenate([line.get_xdata() for line in lower.lines if line.get_marker() == "."])
    assert -0.5 <= phase.min() < -0.4
    assert 0.4 < phase.max() < 0.5
    np.testing.assert_allclose(5 * np.sin(2 * np.pi * (phase + 0.5)), values(tree)[1], atol=1e-9)
    in_days = ba.plot.predictive(tree, x=x * u.d, period=24 / 44 * u.hour, xlabel="phase").axes[1]
    assert in_days.get_xlabel() == "phase"
    phase = np.concatenate([line.get_xdata() for line in in_days.lines if line.get_marker() == "."])
    np.testing.assert_allclose(5 * np.sin(2 * np.pi * phase), values(tree)[1], atol=1e-9)


def test_one_row_of_a_site_is_shown_by_its_name():
    tree = predictions(table=(40, 3), cube=(9, 8, 9), y=(30,))
    assert labels(ba.plot.predictive(tree, "table[:,1]"))[0] == "table[:, 1]"
    (image, *_) = ba.plot.predictive(tree, "cube[7]").axes
    np.testing.assert_array_equal(image.images[0].get_array(), values(tree, "cube")[1][7])
    with pytest.raises(ValueError, match=r"^`cube` has no row `cube\[9\]`; its rows are `cube\[0\]` to `cube\[8\]`\.$"):
        ba.plot.predictive(tree, "cube[9]")
    with pytest.raises(ValueError, match=r"^`y` has no row `y\[3\]`; it is one row, `y`\.$"):
        ba.plot.predictive(tree, "y[3]")


def test_bars_span_the_central_68_and_95_percent():
    tree = predictions(y=(7,), num=4000)
    wide, narrow = ba.plot.predictive(tree).axes[0].collections[:2]
    for bars, levels in ((wide, (0.023, 0.977)), (narrow, (0.159, 0.841))):
        ends = np.array(bars.get_segments())[:, :, 1]
        np.testing.assert_allclose(ends.T, np.quantile(values(tree)[0], levels, axis=0))


def test_groups_have_a_colour_each_and_bands_of_their_own():
    tree = predictions(y=(100,))
    band = np.where(np.arange(100) % 2, "r", "g")
    upper, lower = ba.plot.predictive(tree, by=band).axes
    draws, observed = values(tree)
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["g", "r"]
    for color, name in zip(COLORS[:2], ("g", "r"), strict=True):
        own = [line for line in upper.lines if to_hex(line.get_color()) == color]
        np.testing.assert_allclose(own[0].get_ydata(), np.median(draws, 0)[band == name])
        np.testing.assert_array_equal(own[1].get_ydata(), observed[band == name])
    assert len(points(lower)) == 100


def test_what_is_masked_or_not_finite_is_not_shown():
    tree = predictions(y=(30,), image=(8, 9))
    tree["observed_data"]["y"][3] = np.nan
    mask = {"y": np.arange(30) != 5, "image": np.arange(9) > 0}
    upper, lower, *maps = ba.plot.predictive(tree, mask=mask).axes
    kept = np.delete(values(tree)[1], [3, 5])
    np.testing.assert_array_equal(points(upper), kept)
    assert len(points(lower)) == len(upper.lines[0].get_xdata()) == 28
    for axis in maps[:3]:
        shown = np.ma.filled(axis.images[0].get_array(), np.nan)
        assert np.isnan(shown[:, 0]).all()
        assert np.isfinite(shown[:, 1:]).all()


def test_far_residuals_are_triangles_at_the_edge():
    tree = predictions(y=(30,))
    tree["observed_data"]["y"][:2] = [1e6, -1e6]
    tree["posterior_predictive"]["y"][..., 2:4] = 1.0  # all the same: one datum is that, one is not
    tree["observed_data"]["y"][2:4] = [1.0, 2.0]
    lower = ba.plot.predictive(tree).axes[1]
    marked = {line.get_marker(): line.get_xydata().tolist() for line in lower.lines}
    assert marked["^"] == [[0.0, 8.0], [3.0, 8.0]]
    assert marked["v"] == [[1.0, -8.0]]
    assert [2.0, 0.0] in marked["."]


def test_every_site_and_entry_has_a_row():
    tree = predictions(y=(30,), z=(2, 50), cube=(2, 8, 9), scalar=())
    figure = ba.plot.predictive(tree)
    shown = [label for label in labels(figure) if label not in ("", "residual [sd]", "[sd]", "y [pixel]")]
    assert shown == ["$y$", "$z$[0]", "$z$[1]", "scalar", *["cube[0]"] * 2, *["cube[1]"] * 2]
    assert len(ba.plot.predictive(tree, "z").axes) == 4
    own = ba.plot.predictive(tree, x={"y": np.linspace(0, 1, 30)}, xlabel={"y": "redshift"}, ylabel={"y": "magnitude"})
    assert labels(own)[0] == "magnitude"
    assert [axis.get_xlabel() for axis in own.axes[:4]] == ["", "redshift", "", "number"]
    own.canvas.draw()


def test_tables_are_curves_along_the_abscissae_and_images_without():
    tree = predictions(table=(40, 3), square=(12, 12))
    figure = ba.plot.predictive(tree, "table")
    assert labels(figure)[::2] == ["table[:, 0]", "table[:, 1]", "table[:, 2]"]
    np.testing.assert_array_equal(points(figure.axes[2]), values(tree, "table")[1][:, 1])
    assert len(ba.plot.predictive(tree, "square").axes) == 6  # three images, three bars of colour
    figure = ba.plot.predictive(tree, "square", x=np.arange(12), sigma=np.ones((12, 12)))
    assert labels(figure)[::2] == [f"square[{i}]" for i in (0, 2, 4, 6, 8, 11)]
    np.testing.assert_array_equal(points(figure.axes[2]), values(tree, "square")[1][2])
    across = np.tile(np.arange(40.0)[:, None], 3) + np.arange(3)
    assert len(ba.plot.predictive(tree, "table", x=across.T[:, ::-1].T).axes) == 2 * 6


def test_image_is_beside_its_prediction():
    tree = predictions(y=(5, 6))
    tree["posterior_predictive"]["y"].attrs["units"] = "count"
    figure = ba.plot.predictive(tree, cmap="magma")
    images = [axis.images[0] for axis in figure.axes[:3]]
    draws, observed = values(tree)
    expected = (observed, draws.mean(0), (observed - draws.mean(0)) / draws.std(0))
    for image, right in zip(images, expected, strict=True):
        np.testing.assert_allclose(image.get_array(), right)
    assert images[0].get_clim() == images[1].get_clim() == (observed.min(), observed.max())
    assert [image.get_cmap().name for image in images] == ["magma", "magma", "RdBu_r"]
    assert labels(figure)[3:] == ["$y$ [count]", "$y$ [count]", "[sd]"]
    norm = mpl.colors.SymLogNorm(0.1)
    assert all(axis.images[0].norm is norm for axis in ba.plot.predictive(tree, norm=norm).axes[:2])


def test_prior_predictions_and_units_of_the_data():
    tree = predictions("prior_predictive", y=(30,))
    tree["observed_data"]["y"].attrs["units"] = "mJy"
    assert labels(ba.plot.predictive(tree))[0] == "$y$ [mJy]"


def test_pictures_are_drawn_on_the_axes_given():
    figure, axes = plt.subplots(2, 3)
    tree = predictions(y=(30,), image=(5, 6))
    assert ba.plot.predictive(tree, "image", axes=axes[0]) is figure
    assert ba.plot.predictive(tree, "y", axes=axes[1, :2]) is figure
    with pytest.raises(ValueError, match="needs 5 axes for 2 rows, but 2 came"):
        ba.plot.predictive(tree, axes=axes[1, :2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ["y", "table"]}, r"`name` must be one observed site, or None for all, but \['y', 'table'\] came"),
        ({"name": "y", "x": "time"}, "`x` must be numbers or dates, but 'time' came"),
        ({"name": "y", "sigma": "0.1"}, "`sigma` must be numbers"),
        ({"name": "y", "mask": "all"}, "`mask` must be of bool"),
        ({"name": "y", "axes": plt.Figure()}, "`axes` must be of matplotlib's `Axes`"),
        ({"name": "y", "sigmas": 0.1}, r"has no argument `sigmas` for curves\. Did you mean `sigma`\?"),
    ],
)
def test_arguments_of_another_kind_are_told(arguments, message):
    with pytest.raises(TypeError, match=message):
        ba.plot.predictive(predictions(y=(30,), table=(3, 40)), **arguments)
    assert not plt.get_fignums()


def test_what_is_not_predicted_is_refused():
    tree = predictions(y=(30,))
    tree["posterior_predictive"]["y"][:] = np.nan
    with pytest.raises(ValueError, match="`y` has no finite predictions to show"):
        ba.plot.predictive(tree)
    with pytest.raises(ValueError, match="`y` has no finite predictions to show"):
        ba.plot.predictive(predictions(y=(30,), num=0))
    with pytest.raises(ValueError, match="`y` is complex, but pictures show real numbers"):
        ba.plot.predictive(predictions(y=(30,)).map_over_datasets(lambda data: data * 1j))
    nothing = predictions(y=(30,)).map_over_datasets(lambda data: data.drop_vars("y", errors="ignore"))
    with pytest.raises(ValueError, match="There are no data to show"):
        ba.plot.predictive(nothing)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_prediction_that_is_no_number_leaves_the_other_data(value):
    tree = predictions(y=(30,))
    tree["posterior_predictive"]["y"][0, 3, 4] = value
    figure = ba.plot.predictive(tree)
    assert np.isfinite(points(figure.axes[1])).sum() == 29
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": {"yy": np.arange(30)}}, r"`x` has `yy`, but the observed sites are y, table\. Did you mean `y`\?"),
        ({"name": "y", "sigma": -0.1}, "`sigma` must not be negative, but -0.1 came"),
        ({"name": "z"}, "no variable `z` in `posterior_predictive`; it has y, table"),
        ({"name": "y", "x": np.arange(3)}, r"`x` must have the shape of `y`, \(30,\), but \(3,\) came"),
        ({"name": "y", "sigma": np.ones((2, 30))}, r"`sigma` must have the shape of `y`, \(30,\), but \(2, 30\)"),
        ({"name": "table", "by": np.arange(3)}, r"shape of `table`, \(3, 40\), or the length 40 of its curves"),
        ({"name": "y", "mask": np.zeros(30, bool)}, "`y` has no finite data to show"),
        ({"name": "y", "kind": "line"}, "`kind` must be 'auto', 'band' or 'bars', but 'line' came"),
        ({"name": "y", "period": 2.0}, "`period` folds abscissae that are numbers, but none came. Give them as `x`"),
        ({"name": "y", "x": np.arange(30), "epoch": 2.0}, "Give a `period`, too"),
        ({"name": "y", "x": np.arange(30), "period": -2.0}, "`period` must be one positive number, but -2.0 came"),
        ({"name": "y", "x": np.arange(30), "period": "P"}, "`period` must be one positive number, but 'P' came"),
        ({"name": "y", "x": np.arange(30), "period": 2.0, "epoch": np.nan}, "`epoch` must be one number, but nan came"),
        ({"name": "y", "x": np.arange(30) * u.d, "period": 2.0 * u.m}, "`period` must be in d or a unit of its kind"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, message):
    tree = predictions(y=(30,), table=(3, 40))
    with pytest.raises(ValueError, match=message):
        ba.plot.predictive(tree, **arguments)
    assert not plt.get_fignums()


def test_results_without_predictions_are_refused():
    with pytest.raises(ValueError, match="needs predictions and data"):
        ba.plot.predictive(arviz_base.from_dict({"posterior": {"y": np.zeros((1, 9))}}))


def test_predictions_without_data_are_for_bands():
    alone = arviz_base.from_dict({"posterior_predictive": {"y": np.zeros((1, 9))}})
    with pytest.raises(ValueError, match="At other `arguments` there are no data: draw those predictions with `band`"):
        ba.plot.predictive(alone)
