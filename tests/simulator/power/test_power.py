"""Power allocation: against general optimisers, the conditions of optimality, limits, textbook numbers and edges."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, brentq, minimize

from semlink.simulator import SemlinkError, power
from semlink.simulator.analysis.statistics import mean_interval

RULES = {name: power.create(name) for name in power.names()}
SEMANTIC = RULES["semantic_waterfilling"]
CASES = [(seed, k, snr_db) for seed in range(4) for k, snr_db in ((2, 0.0), (5, -8.0), (9, 6.0), (12, 18.0))]


def case(seed: int, k: int, snr_db: float, rows: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rayleigh gains, log-normal importance (4 dB) and N0, float64."""
    rng = np.random.default_rng([seed, k])
    gains, importance = rng.exponential(size=(rows, k)), 10 ** (0.4 * rng.standard_normal((rows, k)))
    return torch.from_numpy(gains), torch.from_numpy(importance), torch.full((rows,), 10 ** (-snr_db / 10)).double()


def objective(name: str, p, g, w, n0):
    """What a rule minimises, per row; the objectives of rules that are not told the channel or importance take ones."""
    snr = p * (g if RULES[name].needs_channel else 1.0) / n0
    if name == "waterfilling":
        return -np.log1p(snr).sum(-1)
    return ((w if RULES[name].needs_importance else 1.0) / (1 + snr)).sum(-1)


OPTIMAL = ("waterfilling", "mmse", "importance", "semantic_waterfilling")


def test_rules_are_frozen_and_say_what_they_need():
    assert {name: (rule.needs_channel, rule.needs_importance) for name, rule in RULES.items()} == {
        "uniform": (False, False),
        "waterfilling": (True, False),
        "mmse": (True, False),
        "importance": (False, True),
        "semantic_waterfilling": (True, True),
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        SEMANTIC.needs_channel = False
    assert SEMANTIC == power.create("semantic_waterfilling") and hash(SEMANTIC) is not None
    with pytest.raises(LookupError, match="unknown power rule 'magic'; known: importance, mmse"):
        power.create("magic")


@pytest.mark.parametrize("name", OPTIMAL)
@pytest.mark.parametrize(("seed", "k", "snr_db"), CASES)
def test_as_good_as_a_general_optimiser(name, seed, k, snr_db):
    g, w, n0 = case(seed, k, snr_db)
    p = RULES[name].allocate(g, w, n0)[0].numpy()
    g, w = g[0].numpy(), w[0].numpy()
    found = minimize(
        lambda p: objective(name, p, g, w, n0.item()),
        np.ones(k),
        method="SLSQP",
        bounds=[(0, k)] * k,
        constraints=LinearConstraint(np.ones(k), k, k),
        options={"ftol": 1e-14, "maxiter": 2000},
    )
    ours = objective(name, p, g, w, n0.item())
    assert ours <= found.fun + 1e-9 * abs(found.fun)
    assert ours == pytest.approx(found.fun, rel=1e-6) and p == pytest.approx(found.x, abs=2e-3 * k)


@pytest.mark.parametrize(("seed", "k", "snr_db"), [*CASES, (0, 4000, 3.0), (1, 4000, -15.0)])
def test_equals_the_allocation_of_a_root_finder(seed, k, snr_db):
    g, w, n0 = case(seed, k, snr_db)
    noise, weight = (n0 / g)[0].numpy(), w[0].numpy()

    def allocation(log_mu: float) -> np.ndarray:
        return np.maximum(np.sqrt(weight * noise / np.exp(log_mu)) - noise, 0)

    log_mu = brentq(lambda m: allocation(m).mean() - 1, -60, 60, xtol=1e-14, rtol=1e-14)
    assert SEMANTIC.allocate(g, w, n0)[0].numpy() == pytest.approx(allocation(log_mu), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", OPTIMAL)
@pytest.mark.parametrize("decades", [0.5, 4, 8])
def test_conditions_of_optimality_hold_over_16_decades(name, decades):
    """The marginal gain of power is the same where power is, and not larger elsewhere (Karush, Kuhn, Tucker)."""
    rng = np.random.default_rng(5)
    g, w = (torch.from_numpy(10 ** rng.uniform(-decades, decades, (200, 300))) for _ in range(2))
    n0 = torch.from_numpy(10 ** rng.uniform(-decades, decades, 200))
    p = RULES[name].allocate(g, w, n0)
    gain = (g if RULES[name].needs_channel else torch.ones_like(g)) / n0[:, None]
    weight = w if RULES[name].needs_importance else torch.ones_like(w)
    marginal = gain / (1 + p * gain) if name == "waterfilling" else weight * gain / (1 + p * gain) ** 2
    price = marginal.where(p > 1e-12, torch.nan).nanmedian(1, keepdim=True).values
    clear = p > 1e-6  # below, p itself is a rounded difference
    assert ((marginal / price - 1).abs()[clear] < 1e-6).all()
    assert (marginal <= price * (1 + 1e-6)).all()
    assert (p.mean(1) - 1).abs().max() < 1e-9 and clear.any(1).all()


@pytest.mark.parametrize("name", OPTIMAL)
def test_no_random_step_improves_it(name):
    g, w, n0 = case(7, 40, 4.0, rows=3)
    p = RULES[name].allocate(g, w, n0).numpy()
    g, w, n0 = g.numpy(), w.numpy(), n0.numpy()[:, None]
    best = objective(name, p, g, w, n0)
    rng = np.random.default_rng(0)
    for size in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(200):
            other = np.maximum(p + size * rng.standard_normal(p.shape), 0)
            other /= other.mean(1, keepdims=True)
            assert (objective(name, other, g, w, n0) > best).all()


def test_capacity_of_three_channels_by_hand():
    """Noise 1, 2 and 5 under a total of 3: the water stands at 3, so the powers are 2, 1 and 0."""
    p = RULES["waterfilling"].allocate(1 / torch.tensor([[1.0, 2.0, 5.0]]), None, torch.ones(1))
    assert p.tolist() == [[2.0, 1.0, 0.0]]


def test_weighted_error_of_two_symbols_by_hand():
    """w = 4 and 1 at g = 1, N0 = 1: p_i = sqrt(w_i) L - 1 with 3 L - 2 = 2, so the powers are 5/3 and 1/3."""
    p = SEMANTIC.allocate(torch.ones(1, 2), torch.tensor([[4.0, 1.0]]), torch.ones(1))
    assert p.tolist() == [pytest.approx([5 / 3, 1 / 3])]


def test_limits():
    g, w, _ = case(3, 64, 0.0, rows=8)
    quiet, loud = torch.full((8,), 1e-9).double(), torch.full((8,), 1e9).double()
    root = w.sqrt() / w.sqrt().mean(1, keepdim=True)
    assert torch.allclose(RULES["importance"].allocate(None, w, quiet), root, rtol=1e-6)
    strongest = torch.nn.functional.one_hot((w * g).argmax(1), 64) * 64.0
    assert torch.allclose(SEMANTIC.allocate(g, w, loud), strongest.double())
    assert torch.allclose(RULES["waterfilling"].allocate(g, None, quiet), torch.ones_like(g), atol=1e-6)
    inverse = (w / g).sqrt() / (w / g).sqrt().mean(1, keepdim=True)
    assert torch.allclose(SEMANTIC.allocate(g, w, quiet), inverse, rtol=1e-6)


def test_special_cases_of_the_semantic_rule():
    g, w, n0 = case(4, 100, 5.0, rows=6)
    ones = torch.ones_like(g)
    assert torch.equal(RULES["mmse"].allocate(g, None, n0), SEMANTIC.allocate(g, ones, n0))
    assert torch.equal(RULES["importance"].allocate(None, w, n0), SEMANTIC.allocate(ones, w, n0))
    assert torch.allclose(SEMANTIC.allocate(g, 1e6 * w, n0), SEMANTIC.allocate(g, w, n0))
    assert torch.allclose(SEMANTIC.allocate(10 * g, w, 10 * n0), SEMANTIC.allocate(g, w, n0))


@pytest.mark.parametrize("name", OPTIMAL)
@pytest.mark.parametrize("snr_db", [-6.0, 12.0])
def test_gradients_are_those_of_the_allocation(name, snr_db):
    g, w, n0 = case(11, 7, snr_db, rows=3)
    g[1, 2], w[0, 4] = 0.0, 0.0
    valid = torch.rand(3, 7, generator=torch.Generator().manual_seed(0)) < 0.8
    g, w = g.requires_grad_(RULES[name].needs_channel), w.requires_grad_(RULES[name].needs_importance)
    inner = ((g > 0) & (w > 0)).double()  # zeros are edges of the domain

    def allocate(dg: torch.Tensor, dw: torch.Tensor) -> torch.Tensor:
        return RULES[name].allocate(g * torch.exp(dg * inner), w * torch.exp(dw * inner), n0, valid)

    steps = (torch.zeros_like(g, requires_grad=True), torch.zeros_like(w, requires_grad=True))
    assert torch.autograd.gradcheck(allocate, steps)
    gradients = torch.autograd.grad(
        RULES[name].allocate(g, w, n0, valid).square().sum(), [v for v in (g, w) if v.requires_grad]
    )
    assert all(v.isfinite().all() and (v[~valid] == 0).all() and v.abs().sum() > 0 for v in gradients)


@pytest.mark.parametrize("name", RULES)
def test_rows_do_not_touch_each_other(name):
    g, w, n0 = (v.float() for v in case(2, 3000, 3.0, rows=20))
    n0 = n0 * torch.logspace(-2, 2, 20)
    valid = torch.rand(20, 3000, generator=torch.Generator().manual_seed(1)) < 0.7
    whole = RULES[name].allocate(g, w, n0, valid)
    parts = [RULES[name].allocate(g[i : i + 1], w[i : i + 1], n0[i : i + 1], valid[i : i + 1]) for i in range(20)]
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize("name", RULES)
def test_invalid_entries_count_for_nothing(name):
    g, w, n0 = (v.float() for v in case(6, 50, 3.0, rows=2))
    valid = torch.arange(50) % 3 > 0
    few = RULES[name].allocate(g[:, valid], w[:, valid], n0, valid.expand(2, -1)[:, valid])
    g, w = g.masked_fill(~valid, torch.nan), w.masked_fill(~valid, -1.0)
    p = RULES[name].allocate(g, w, n0, valid.expand(2, -1))
    assert torch.equal(p[:, valid], few) and not p[:, ~valid].any()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("n0", [1e-6, 1.0, 1e3])
def test_mean_power_is_kept_in_float32(name, n0):
    rng = np.random.default_rng(8)
    g, w = (torch.from_numpy(10 ** rng.uniform(-8, 8, (40, 5000))).float() for _ in range(2))
    p = RULES[name].allocate(g, w, torch.full((40,), n0), torch.ones(40, 5000, dtype=torch.bool))
    assert p.dtype == torch.float32 and (p >= 0).all() and (p.double().mean(1) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(
    ("g", "w", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0], None),
        ([3.0, 3.0, 3.0, 3.0], [0.2, 0.2, 0.2, 0.2], [1, 1, 1, 1]),
        ([1.0], [5.0], [1]),
        ([1e-8], [1e8], [1]),
        ([1e-30, 1e-30], [1e-30, 1e-30], [1, 1]),
    ],
    ids=["no gain", "constant", "one", "weak one", "tiny"],
)
@pytest.mark.parametrize("n0", [1e-6, 1.0, 1e3])
def test_edges(name, g, w, expected, n0):
    g, w, noise = torch.tensor([g]), torch.tensor([w]), torch.tensor([n0])
    p = RULES[name].allocate(g, w, noise, torch.ones_like(g, dtype=torch.bool))
    if expected is None:
        expected = [1.0] * 4 if RULES[name].needs_channel or name == "uniform" else None
    assert p.mean() == pytest.approx(1, abs=1e-6)
    assert expected is None or p[0].tolist() == pytest.approx(expected, rel=1e-6)


def test_zeros_get_nothing_and_rows_without_choice_are_uniform():
    g, w = torch.tensor([[1.0, 0.0, 2.0, 1.0]] * 3), torch.tensor([[1.0, 1.0, 0.0, 1.0], [0.0] * 4, [1.0] * 4])
    valid = torch.tensor([[True] * 4, [True, True, False, True], [False] * 4])
    p = SEMANTIC.allocate(g, w, torch.full((3,), 0.01), valid)
    assert p.tolist() == [pytest.approx([2, 0, 0, 2]), pytest.approx([1, 1, 0, 1]), [0, 0, 0, 0]]
    silent = RULES["importance"].allocate(None, torch.tensor([[0.0, 3.0, 0.0]]), torch.ones(1))
    assert silent.tolist() == [[0, 3, 0]]


@pytest.mark.parametrize("name", OPTIMAL)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -1.0])
def test_nonsense_is_refused_with_its_row(name, wrong):
    bad = torch.ones(4, 6)
    bad[2, 3] = wrong
    g, w = (bad if needed else torch.ones(4, 6) for needed in (RULES[name].needs_channel, RULES[name].needs_importance))
    with pytest.raises(SemlinkError, match="must be finite and not negative, row 2 has"):
        RULES[name].allocate(g, w, torch.ones(4))
    with pytest.raises(SemlinkError, match="n0 must be finite and positive, row 1 has"):
        RULES[name].allocate(torch.ones(2, 3), torch.ones(2, 3), torch.tensor([1.0, min(wrong, 0.0)]))


@pytest.mark.parametrize(("name", "missing"), [(n, m) for n in RULES for m in ("gains", "importance")])
def test_missing_knowledge_is_named(name, missing):
    rule, n0, valid = RULES[name], torch.ones(2), torch.ones(2, 3, dtype=torch.bool)
    given = {"gains": torch.ones(2, 3), "importance": torch.ones(2, 3), missing: None}
    if {"gains": rule.needs_channel, "importance": rule.needs_importance}[missing]:
        with pytest.raises(SemlinkError, match=f"needs {missing}"):
            rule.allocate(given["gains"], given["importance"], n0, valid)
    else:
        assert rule.allocate(given["gains"], given["importance"], n0, valid).shape == (2, 3)


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_semantic_allocation_has_the_least_weighted_error_on_rayleigh_gains(snr_db):
    g, w, n0 = (v.float() for v in case(1, 864, snr_db, rows=64))
    errors = {
        name: ((w / (1 + rule.allocate(g, w, n0) * g / n0[:, None])).sum(1) / w.sum(1)).double().numpy()
        for name, rule in RULES.items()
    }
    for name in set(RULES) - {"semantic_waterfilling"}:
        worse = mean_interval(errors[name] - errors["semantic_waterfilling"])
        assert worse.low > 0 and (errors[name] > errors["semantic_waterfilling"]).all()
