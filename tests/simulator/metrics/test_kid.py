"""KID: a closed form, no bias with few features, and someone else's words of the same sum."""

import itertools

import numpy as np
import pytest

from semlink.simulator.analysis import set_kid
from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics.kid import distance_of_features, kernel, mmd_of_pairs


def expected_kernel(mean: float, other: float) -> float:
    """E (x y + 1)^3 of independent x ~ N(mean, 1), y ~ N(other, 1), by the moments of a normal variable."""
    first, second = ((1, m, m**2 + 1, m**3 + 3 * m) for m in (mean, other))
    return sum(c * a * b for c, a, b in zip((1, 3, 3, 1), first, second, strict=True))


def test_few_features_are_right_on_average():
    """One dimension, normal features: the expectation is known, and the same for 5 features as for 2,000."""
    truth = expected_kernel(0, 0) + expected_kernel(1, 1) - 2 * expected_kernel(0, 1)
    rng = np.random.default_rng(0)
    few = [distance_of_features(rng.normal(0, 1, (5, 1)), rng.normal(1, 1, (6, 1))) for _ in range(3_000)]
    assert np.mean(few) == pytest.approx(truth, abs=4 * np.std(few) / len(few) ** 0.5)
    many = [distance_of_features(rng.normal(0, 1, (500, 1)), rng.normal(1, 1, (500, 1))) for _ in range(50)]
    assert np.mean(many) == pytest.approx(truth, abs=4 * np.std(many) / len(many) ** 0.5)
    assert np.std(many) < np.std(few) / 5


def test_it_is_the_sum_over_pairs_of_the_paper():
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 1, (4, 7)), rng.normal(0.3, 1, (5, 7))

    def k(a, b):
        return (a @ b / 7 + 1) ** 3

    within = [np.mean([k(a, b) for a, b in itertools.permutations(z, 2)]) for z in (x, y)]
    between = np.mean([k(a, b) for a in x for b in y])
    assert distance_of_features(x, y) == pytest.approx(sum(within) - 2 * between)
    other = np.mean([k(x[i], y[j]) for i, j in itertools.permutations(range(4), 2)])
    own = np.mean([k(a, b) for a, b in itertools.permutations(y[:4], 2)])
    found = mmd_of_pairs(kernel(x, x), kernel(y[:4], y[:4]), kernel(x, y[:4]))
    assert found == pytest.approx(within[0] + own - 2 * other)
    with pytest.raises(SemlinkError, match="two features"):
        distance_of_features(x[:1], y)


def sets(seed: int, n: int) -> list[dict[int, np.ndarray]]:
    noise = np.random.default_rng(seed)
    first = noise.standard_normal((n, 50))
    second = 0.8 * first + 0.5 * noise.standard_normal((n, 50)) + 0.2
    third = second + 0.05 * noise.standard_normal((n, 50)) + 0.02
    return [dict(enumerate(features)) for features in (first, second, third)]


def test_intervals_cover_and_differences_are_paired():
    found = [[set_kid.estimate(original, x) for x in others] for original, *others in (sets(s, 60) for s in range(60))]
    original, *others = sets(1000, 3000)
    far = [distance_of_features(np.stack([*original.values()]), np.stack([*x.values()])) for x in others]
    intervals = [set_kid.interval(estimates[0]) for estimates in found]
    assert 0.86 <= np.mean([i.low <= far[0] <= i.high for i in intervals]) <= 1
    more = [set_kid.difference(estimates[1], estimates[0]) for estimates in found]
    assert 0.86 <= np.mean([i.low <= far[1] - far[0] <= i.high for i in more]) <= 1
    assert np.mean([i.high - i.low for i in more]) < 0.6 * np.mean([i.high - i.low for i in intervals])


def test_pictures_must_be_enough_and_the_same():
    original, received, _ = sets(0, 20)
    fewer = {place: x for place, x in received.items() if place != 7}
    both = set_kid.estimate(original, received), set_kid.estimate(original, fewer)
    assert len(both[1].positions) == 19 and set_kid.difference(*both).n == 0
    with pytest.raises(SemlinkError, match="10 pictures"):
        set_kid.estimate(original, {place: received[place] for place in range(9)})
