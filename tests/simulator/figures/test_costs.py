"""Costs against amounts."""

from semlink.simulator.figures.costs import costs


def test_a_panel_for_each_amount_with_bars_from_least_to_most() -> None:
    pictures = {"one": [(16, 1.0, 2.0, 4.0), (64, 3.0, 4.0, 5.0)], "other": [(16, 1.0, 1.0, 1.0)]}
    figure = costs({"pictures": pictures, "SNRs": {"one": [(1, 1.0, 1.0, 1.0)]}}, "seconds")
    first, second = figure.axes
    assert (first.get_xlabel(), second.get_xlabel(), first.get_ylabel()) == ("pictures", "SNRs", "seconds")
    assert [label.get_text() for label in first.get_xticklabels()] == ["16", "64"]
    lines = first.containers[0][2][0].get_segments()
    assert [sorted(segment[:, 1].tolist()) for segment in lines] == [[1, 4], [3, 5]]
