"""What a clip has spent: first frame, peak, streams and feedback."""

from semlink.simulator.live.account import Account


def spent(*groups):
    account = Account()
    for frames, uses in groups:
        account = account.after(frames, uses)
    return account


def test_an_even_spender_has_peak_one():
    account = spent(*[(1, {"a": 100})] * 30)
    assert (account.peak, account.first_share, account.uses) == (1, 1, 3000)
    assert account.rho(1000) == 0.1


def test_a_burst_counts_within_ten_frames():
    account = spent((1, {"a": 1000}), *[(1, {"a": 100})] * 29)
    assert account.uses == 3900
    assert account.peak == (1000 + 900) / 10 / 130
    assert account.first_share == 1000 / 130


def test_groups_share_their_uses_among_their_frames():
    assert spent((8, {"a": 800}), (8, {"a": 800})).peak == 1


def test_streams_and_feedback_are_told_apart_and_all_count():
    account = Account().after(1, {"head": 64, "packet": 100}).after(1, {"head": 64}, feedback=64)
    assert account.total == {"head": 128, "packet": 100, "feedback": 64}
    assert account.uses == 292


def test_its_size_does_not_grow():
    assert len(spent(*[(1, {"a": 1})] * 500).last) == 10
