"""What a receiver of `wvsc` supposes of a frame of whose protected block nothing arrived: analog symbols still do.

Which run of symbols it was is seen from their likeness with the semantic frame of what is held; its scale and motion
are those last told. Nothing is supposed of a scene that is new.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from semlink.codecs.video._lack import Runs
from semlink.codecs.video._motion import moved
from semlink.codecs.video._semantic import Held, SemanticNetwork, Side, taken
from semlink.codecs.video._side import RUNS
from semlink.simulator import forms

LIKE = 0.2  # least correlation of what arrived with what is held: three deviations of noise in most frames


def supposed_by_itself(network: SemanticNetwork, runs: Runs, scales: Mapping[int, float]) -> Side:
    """Of the first frame, or one that stands by itself: the first run, as loud as it was, or as pictures are."""
    share = runs.shares()[0]
    usual = float((2 * network.worth * share).sum() / share.sum()) ** 0.5
    return side_of(runs, 0, scales.get(0, usual), True, torch.zeros(1, 2, 1, 1))


def supposed(
    network: SemanticNetwork,
    heard: tuple[Tensor, Tensor],
    held: Held,
    runs: Runs,
    scales: Mapping[int, float],
    flow: Tensor,
) -> Side | None:
    """Of a frame that follows, by its symbols and their `a`, both `[1, k]`; None where nothing like what is held is
    heard. scales: last told of each run; flow: last told, `[1, 2, rows, columns]`.
    """
    x_hat, a = heard
    own = network.encode(moved(held.frame, flow), forms.snr_db(a.mean(1), least=1e-3))
    expected = torch.cat([taken(own, start[None], runs.uses) for start in runs.starts[:RUNS]])
    together = (x_hat * expected.conj()).real.sum(1)
    power = x_hat.abs().square().sum(1) * (a * expected.abs().square()).sum(1)
    like = together / power.clamp_min(1e-12).sqrt()
    run = int(like.argmax())
    if float(like[run]) < LIKE:
        return None
    scale = scales.get(run, float(expected[run].abs().square().mean()) ** 0.5)
    return side_of(runs, run, scale, False, flow)


def side_of(runs: Runs, run: int, scale: float, intra: bool, flow: Tensor) -> Side:
    """As the network takes it; a run beyond the last is the last."""
    return Side(runs.starts[min(run, runs.number - 1)][None], torch.tensor([scale]), torch.tensor([intra]), flow)
