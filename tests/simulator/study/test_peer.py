"""Processes that answer lines of JSON: what they tell, and how it is told that they do not."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scripts import EXPERIMENTS

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.peer import Peer

SIDE = """
import os, sys
sys.path.insert(0, {folder!r})
from lines import serve

def prepare(request):
    if request["way"] == "end":
        print("out of luck", file=sys.stderr)
        os._exit(3)
    if request["way"] == "wait":
        import time
        time.sleep(60)
    print("what a library says")
    return lambda: [request[request["way"]]] and []

serve(prepare, {{"fake": os.environ["OMP_NUM_THREADS"]}})
"""


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Peer]:
    (tmp_path / "side.py").write_text(SIDE.format(folder=str(EXPERIMENTS / "peers")))
    command = (sys.executable, "-S", str(tmp_path / "side.py"))
    return lambda patience_s=30.0: Peer("Fake", command, {"OMP_NUM_THREADS": "1"}, patience_s)


def test_a_peer_answers_until_it_is_closed(make: Callable[..., Peer]) -> None:
    """What its libraries print is no answer, and an error of one request is not its end."""
    with make() as peer:
        assert peer.versions == {"fake": "1"}
        with pytest.raises(SemlinkError, match="^Fake: KeyError: 'missing'$"):
            peer.ask({"way": "missing"})
        answer = peer.ask({"way": "given", "given": 1})
    assert answer["psnr"] == [] and answer["cpu_s"] >= 0 and answer["clock_s"] > 0


def test_a_peer_that_ends_says_why(make: Callable[..., Peer]) -> None:
    with make() as peer, pytest.raises(SemlinkError, match="^Fake ended with exit code 3 and said: out of luck$"):
        peer.ask({"way": "end"})


def test_a_silent_peer_is_not_waited_for(make: Callable[..., Peer]) -> None:
    with make() as peer:
        peer.patience_s = 0.05
        with pytest.raises(SemlinkError, match="has not answered for 0.05 s"):
            peer.ask({"way": "wait"})
