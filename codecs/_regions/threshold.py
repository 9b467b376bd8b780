"""Which latent elements stand out from the response to black, and their positions in few bytes.

An encoder sees black outside its region; what black leaves unchanged need not be sent. The rule, its tolerances and
positions as runs over the flattened tensor are those of the public re-implementation of Wu et al. 2024. Here an element
is a complex symbol, a tensor is flattened place by place (all planes of a place, then the next), the region's before
the rest's, and the budget is fixed: the weakest deviations are dropped until values and positions fit. As single
elements dropped here and there would break the runs, a place is as weak as its surroundings; the size of what counts as
that is the one that keeps most.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._regions import run_code
from semlink.simulator.bits import framing
from semlink.simulator.bits.mcs import PROTECTION, get
from semlink.simulator.values import Reception, Stream

TOLERANCES = ((0.5, 0.02), (0.3, 0.015))  # region, rest: standard deviations of the latent, and at most so much
FINEST = 0.002  # tolerance, at least
WINDOWS = (1, 3, 7, 15, 31)  # places along a side of the surroundings
OVERHEAD = 0.25  # of a picture's uses, for positions; with less, the values that have to go are too many (measured)
LEAST = 256  # uses of positions: 13 bytes
HEAD = 2  # bytes before the positions
_STEP, _FROM = 0.25, torch.tensor([-10.0, -20.0])  # dB, of SNR and power: a byte's step, and what 0 means


def reserved(uses: int) -> int:
    """Channel uses that positions get out of a picture's `uses`: a quarter, but at least 256."""
    return max(LEAST, sum(framing.blocks_in(int(OVERHEAD * uses), get(PROTECTION["robust"]))))


def kept(latent: Tensor, black: Tensor, rates: tuple[int, int], most: int, uses: int) -> Tensor:
    """Which elements are sent, bool `[batch, elements]`: at most `most`, with positions that fit into `uses`.

    latent: real `[batch, 2 (r0 + r1), h, w]`, real parts first; black: the response to black, `[batch, 2 (r0 + r1), 1,
    1]`. Where nothing stands out, one element is sent all the same.
    """
    room = framing.room(uses, get(PROTECTION["robust"])) - HEAD
    pictures = deviations(latent.detach(), black, rates).cpu()
    return torch.stack([_kept(picture, rates, most, room) for picture in pictures]).to(latent.device)


def deviations(latent: Tensor, black: Tensor, rates: tuple[int, int]) -> Tensor:
    """Distance of each element from black in tolerances, float32 `[batch, r0 + r1, h, w]`."""
    real, imaginary = (part.split(rates, 1) for part in latent.chunk(2, 1))
    distance = torch.hypot(*(latent - black).chunk(2, 1)).split(rates, 1)
    parts = []
    for *components, apart, (share, largest) in zip(real, imaginary, distance, TOLERANCES, strict=True):
        sigma = torch.cat(components, 1).std((1, 2, 3), keepdim=True)
        parts.append(apart / (share * sigma).clamp(FINEST, largest))
    return torch.cat(parts, 1)


def filled(received: Tensor, order: Tensor, black: Tensor, a: Tensor) -> Tensor:
    """Real parts, imaginary parts and `a`, `[batch, 3 planes, h, w]`, with black where nothing was sent.

    It is as if it had arrived with the mean of `a` `[batch, symbols]`. black: `[batch, 2 planes, 1, 1]`, on the scale
    of the symbols; order: int64 `[batch, symbols]`, the places in the planes, flattened, of what was sent.
    """
    quality = a.mean(1)[:, None, None, None]
    fill = torch.cat([black * quality, quality.expand(-1, black.shape[1] // 2, -1, -1)], 1)
    planes = received[:, : black.shape[1] // 2]
    sent = torch.zeros_like(planes, dtype=torch.bool).flatten(1).scatter(1, order, True).reshape(planes.shape)
    return torch.where(sent.repeat(1, 3, 1, 1), received, fill)


def listed(planes: Tensor, rates: tuple[int, int]) -> Tensor:
    """What planes `[r0 + r1, h, w]` (or flat ones) hold, `[elements]`: the region's place by place, then the rest's."""
    return torch.cat([part.flatten(1).T.flatten() for part in planes.split(rates)])


def positions_stream(sent: Tensor, snr_db: Tensor, power: Tensor, uses: int) -> Stream:
    """Positions bool `[batch, elements]` behind what a receiver needs for black, as large in every picture.

    snr_db, power: `[batch]`, the encoder's SNR, and the mean power of the symbols before it was made 1.
    """
    numbers = torch.stack([snr_db, 10 * power.log10()], 1).cpu() - _FROM
    heads = (numbers / _STEP).round().clamp(0, 255).int().tolist()
    payload = [bytes(head) + run_code.pack(chosen) for head, chosen in zip(heads, sent.cpu(), strict=True)]
    return Stream("positions", "bits", payload, protection="robust", uses=uses)


def received_positions(reception: Reception, elements: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `positions_stream` took, and which of it arrived, bool `[batch]`; elsewhere all are listed."""
    payloads = reception.stream("positions").payload or ()
    sent = torch.ones(len(payloads), elements, dtype=torch.bool)
    heads, known = torch.zeros(len(payloads), 2), torch.zeros(len(payloads), dtype=torch.bool)
    for i, payload in enumerate(payloads):
        flags = run_code.unpack(payload[HEAD:], elements) if payload else None
        if payload and flags is not None and flags.any():
            sent[i], heads[i], known[i] = flags, torch.tensor(list(payload[:HEAD])), True
    snr_db, power_db = (heads * _STEP + _FROM).T
    return sent, snr_db, 10 ** (power_db / 10), known


def _kept(deviation: Tensor, rates: tuple[int, int], most: int, room: int) -> Tensor:
    """Which elements of a picture are sent, bool `[elements]`; deviation: `[r0 + r1, h, w]` in tolerances."""
    own = listed(deviation, rates)
    most = min(most, int((own > 1).sum()))
    places = torch.stack([part.mean(0) for part in deviation.split(rates)])
    choices = []
    for window in WINDOWS:
        around = F.avg_pool2d(places, window, 1, window // 2, count_include_pad=False)
        ranking = listed(around.repeat_interleave(torch.tensor(rates), 0), rates)
        choices.append(_fitting(torch.where(own > 1, ranking, -1.0), most, room))
    return max(choices, key=lambda choice: float(own[choice].square().sum()))


def _fitting(ranking: Tensor, most: int, room: int) -> Tensor:
    """Most of the first of a ranking, at most `most`, whose positions fit into `room` bytes; at least one."""
    order = ranking.argsort(descending=True, stable=True)
    wanted = max(1, most)
    while True:
        chosen = torch.zeros(len(ranking), dtype=torch.bool)
        chosen[order[:wanted]] = True
        if wanted == 1 or run_code.size(chosen) <= room:
            return chosen
        wanted = wanted * 31 // 32
