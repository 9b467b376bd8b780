"""Link statistics: predictions against arrival, few slots for slow fades and more for fast ones, the file on disk."""

from dataclasses import replace

import numpy as np
import pytest

from semlink import channels
from semlink.channels.base.cache import cache_folder
from semlink.simulator import Link
from semlink.simulator.bits.framing import blocks_in, room
from semlink.simulator.bits.mcs import get
from semlink.simulator.bits.success import bits_of, chances, counted, success
from semlink.simulator.link import remembered
from semlink.simulator.link.statistics import CLASSES, sample_of
from semlink.simulator.values import Stream, Transmission


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("channel", "snr_db"), [("tdl", 10.0), ("tdl", 15.0), ("rayleigh", 10.0), ("cdl", 12.0)])
def test_predicted_success_is_what_arrives(channel: str, snr_db: float, seed: int) -> None:
    """Of the scheme that a link adaptation would take, on fades that were not sampled; uses of a 256 px picture."""
    link, uses, images = Link(channels.create(channel)), 8192, 192
    told = link.statistics(snr_db, uses).success
    rate = {name: chance * get(name).efficiency for name, chance in told.items()}
    name = max(rate, key=lambda name: rate[name])
    arrived = []
    for first in range(0, images, 64):
        payloads = [bytes(room(uses, get(name)))] * 64
        sent = Transmission((Stream("p", "bits", payloads, mcs=name, uses=uses),))
        arrived += link(sent, snr_db, seed=seed, first_image=first).streams[0].ok
    found = float(np.mean(arrived))
    assert abs(told[name] - found) < 3 * np.sqrt(found * (1 - found) / images) + 0.02, (name, told[name], found)


def test_slow_fades_need_few_slots_and_many_images() -> None:
    slow, fast, still = (sample_of(Link(channels.create("tdl", speed=speed)), 200) for speed in (3.0, 300.0, 0.0))
    assert len(still.slots) == 3 and still.images == 1024
    assert len(still.slots) < len(slow.slots) <= len(fast.slots) == 32 and fast.images <= slow.images
    assert fast.slots[0] < 7 and fast.slots[-1] > 195 and (np.diff(fast.slots) > 0).all()
    assert [*sample_of(Link(channels.create("tdl")), 1).slots] == [0]


def test_a_thinned_image_tells_what_the_whole_one_does() -> None:
    """A payload of 20 slots, of which 5 are looked at, where every slot is its fade's."""
    rng = np.random.default_rng(0)
    sinr = 10 ** (rng.normal(0.9, 0.35, (4000, 1)) * np.ones((1, 1)))
    whole = np.repeat(sinr, 20 * 400, axis=1)[:400]
    mcs = get("16qam-0.50")
    exact = chances({16: bits_of(whole, 16)}, 8000, (mcs,))[mcs.name]
    thin = chances({16: bits_of(np.repeat(sinr[:400], 2000, axis=1), 16)}, 8000, (mcs,))[mcs.name]
    np.testing.assert_allclose(exact, thin, atol=1e-9)
    assert success(whole, mcs) == pytest.approx(exact.mean())


def test_long_payloads_have_no_short_blocks() -> None:
    for uses in (38336, 62500, 9000):
        assert min(blocks_in(uses, get("qpsk-0.50"))) >= 512 and uses - sum(blocks_in(uses, get("qpsk-0.50"))) < 512
    assert blocks_in(300, get("qpsk-0.50")) == (256, 32) and blocks_in(96, get("qpsk-0.50")) == (64, 32)
    assert counted((8, 8, 4)) == ((8, 2), (4, 1))


def test_classes_are_of_rising_reliability_and_arrival() -> None:
    found = Link(channels.create("rayleigh")).statistics(8.0, 2000)
    assert len(found.reliability) == CLASSES and list(found.reliability) == sorted(found.reliability)
    arrival = found.arrival[2000]["qpsk-0.50"]
    assert arrival[0] < 0.2 and arrival[-1] > 0.999 and np.mean(arrival) == pytest.approx(found.success["qpsk-0.50"])
    assert set(found.arrival) > {64, 128, 2000}
    assert found.chances(128)["qpsk-0.25"] == pytest.approx(found.success["qpsk-0.25"], abs=0.05), "one fade for all"


def test_statistics_are_kept_on_disk_by_all_they_depend_on(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMLINK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    link = Link(channels.create("rayleigh"))
    first, files = link.statistics(5.0, 300), [*tmp_path.rglob("*.json")]
    assert len(files) == 1
    monkeypatch.setattr("semlink.simulator.link.link.link_statistics", lambda *_: [][0])  # nothing is measured any more
    assert Link(channels.create("rayleigh")).statistics(5, 300) == first
    for other in (replace(link, csi="perfect"), Link(channels.create("rayleigh", coherence="slot"))):
        with pytest.raises(IndexError):
            other.statistics(5.0, 300)
    kept = files[0].read_text()
    changed = [kept[:place] + chr(ord(kept[place]) ^ 1) + kept[place + 1 :] for place in range(0, len(kept), 97)]
    for text in ("", "[]", "{}", "[" * 100_000, '{"uses": 1, "information": 3}', *changed):
        files[0].write_text(text)
        with pytest.raises(IndexError):
            Link(channels.create("rayleigh")).statistics(5.0, 300)
    monkeypatch.setattr(remembered, "code_of", lambda channel: "another")
    with pytest.raises(IndexError):
        link.statistics(6.0, 300)


def test_a_channel_that_does_not_tell_its_settings_is_measured_anew(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMLINK_CACHE", str(tmp_path))

    class Silent(type(channels.create("rayleigh"))):  # type: ignore[misc]
        __repr__ = object.__repr__

    Link(Silent()).statistics(5.0, 300)
    assert not [*tmp_path.rglob("*.json")]
