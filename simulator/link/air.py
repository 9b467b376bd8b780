"""One transmission on the air: what is drawn for its slots, handed to the compiled graph call by call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from semlink.channels.base.fade import Fade, unit_phasor
from semlink.channels.base.impairment import RX_OVERSAMPLING
from semlink.simulator.engine.bridge import differentiable, to_tensorflow
from semlink.simulator.engine.estimation import compiled_estimate, estimator_arguments
from semlink.simulator.engine.ofdm import compiled_link, unit_power
from semlink.simulator.engine.setup import SLOTS, Setup, arguments
from semlink.simulator.errors import SemlinkError
from semlink.simulator.link.fades import FADE_BLOCK, DrawnBlocks, Fades, Noise, identity
from semlink.simulator.link.feedback import Feedback, Precoding, make_feedback
from semlink.simulator.link.long_term import LongTerm
from semlink.simulator.rng import generator
from semlink.simulator.values import SNR_LIMITS_DB

PER_IMAGE = "per image"  # in place of the SNR in the key of noise
ANTENNA_STRIDE = 1 << 20  # slots between the interference that two receive antennas meet


@dataclass(frozen=True)
class Slots:
    """The slots on the air, image by image: image and slot number of each, and where they are in `[images, most]`.

    noise: slot number by which noise is drawn, where it is another: the slots of an image follow each other in it.
    """

    image: np.ndarray
    slot: np.ndarray
    on_air: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, counts: np.ndarray, first_image: int, start_slot: int) -> Slots:
        """counts: slots of each image."""
        on_air = np.arange(counts.max()) < counts[:, None]
        image, slot = np.nonzero(on_air)
        return cls(first_image + image, start_slot + slot, on_air, start_slot + slot)

    def at(self, slots: np.ndarray) -> Slots:
        """The same with fades of other slots, `slots[i]` in place of number i."""
        return replace(self, slot=slots[self.slot])

    def flat(self, values: Tensor) -> Tensor:
        """`[images, most * n]` to `[slots, n]`."""
        grid = values.reshape(*self.on_air.shape, -1)
        return grid.flatten(0, 1) if self.on_air.all() else grid[torch.from_numpy(self.on_air)]

    def spread(self, flat: Tensor) -> Tensor:
        """`[slots, n]` to `[images, most * n]`, zeros where an image has fewer slots."""
        if self.on_air.all():
            return flat.reshape(len(self.on_air), -1)
        whole = flat.new_zeros(*self.on_air.shape, flat.shape[1])
        return whole.index_put((torch.from_numpy(self.on_air),), flat).flatten(1)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean over each image's slots of `[slots]`."""
        image = self.image - self.image[0]
        return np.bincount(image, values) / np.bincount(image)


def calls(start: int, stop: int) -> Iterator[slice]:
    """Slots from `start` to `stop` in calls of the graph."""
    return (slice(at, min(at + SLOTS, stop)) for at in range(start, stop, SLOTS))


class Air:
    """What the slots of one transmission meet: fades, noise and disturbances, drawn as they are asked for."""

    def __init__(
        self, long_term: LongTerm, slots: Slots, snr_db: np.ndarray, seed: int, key: str, fade: Fade | None = None
    ) -> None:
        self.long_term, self.slots, self.settings = long_term, slots, long_term.settings
        self.n0 = (10 ** (-snr_db / 10)).astype(np.float32)
        channel, impaired = self.settings.channel, long_term.impaired
        self._seed, self._key = seed, key
        first = int(slots.image[0])
        self.fades = long_term.fades(seed) if fade is None else Fades(channel, seed, fade, first)
        self.noise = long_term.noise(seed, key)
        self._recalling = self._feedback_noise("recalled")
        self.disturbances = (
            None
            if impaired is None
            else DrawnBlocks(
                lambda b: impaired.disturb(generator("disturbance", seed, identity(channel), b), FADE_BLOCK)
            )
        )

    def carry(
        self, places: Tensor, power: Tensor | None, precoder: np.ndarray | None
    ) -> tuple[Tensor, Tensor, np.ndarray]:
        """Symbols and their power `[images, total]` by place; precoder of each slot, or None.

        -> x_hat and a `[images, total]` (0 beyond an image's slots), and mean powers sent / faded / noise
        `[images, 3]`.
        """
        flat, powers = self.slots.flat(places), None if power is None else self.slots.flat(power)
        parts = []
        for part in self._calls():
            drawn = self._drawn(part) | ({} if precoder is None else {"precoder": precoder[part]})
            setup = self.long_term.setup(drawn.get("tail"))
            if setup.taps:
                drawn["tail"] = _lengthened(drawn["tail"], setup.taps)
            known = self.long_term.statistics(setup, self._level(part))
            called = one_call(setup, flat[part], None if powers is None else powers[part], drawn, known)
            parts.append(self._dropped(part, called))
        x_hat, a, *measured = (p[0] if len(p) == 1 else torch.cat(p) for p in zip(*parts, strict=True))
        means = [self.slots.means(p.detach().double().numpy()) for p in measured]
        return self.slots.spread(x_hat), self.slots.spread(a), np.stack(means, -1)

    def feedback(self) -> tuple[Tensor | None, np.ndarray | None]:
        """Gains `[images, total]` of all places as the transmitter knows them, and each slot's precoder, if any."""
        if self.settings.csit == "none":
            return None, None
        noise = self._feedback_noise("fed back")
        fed_back = [self._fed_back_of(part, noise) for part in self._calls()]
        gains = torch.cat([by_element(torch.from_numpy(f.gains)) for f in fed_back])
        precoders = [f.precoder for f in fed_back if f.precoder is not None]
        return self.slots.spread(gains), np.concatenate(precoders) if precoders else None

    def _fed_back_of(self, part: slice, noise: Noise) -> Feedback:
        link = self.settings
        bits = link.csit_bits if link.csit == "quantised" else None
        told, left = self._predicted(part, noise)
        return make_feedback(told, left, link.grid, cast(Precoding, link.precoding), link.layers, bits)

    def _calls(self) -> Iterator[slice]:
        """The slots of each call of the graph: of one noise level where the receiver whitens by it."""
        edges = [0, len(self.slots.image)]
        if self.long_term.whitens:
            levels = self._levels()[self.slots.image - self.slots.image[0]]
            edges[1:1] = (np.flatnonzero(np.diff(levels)) + 1).tolist()
        return (part for start, stop in pairwise(edges) for part in calls(start, stop))

    def _levels(self) -> np.ndarray:
        """Noise level at which each image's interference is whitened: its own, in whole dB where every image has one.

        It depends on the image alone, so that no other image of the batch changes what is received.
        """
        if self._key != PER_IMAGE:
            return self.n0
        return 10 ** (np.rint(10 * np.log10(self.n0)) / 10)

    def _level(self, part: slice) -> float:
        return float(self._levels()[self.slots.image[part][0] - self.slots.image[0]])

    def _predicted(self, part: slice, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        """The channel of the data's slots as predicted from what the receiver fed back, and the power left unknown."""
        told, error = self._fed_back(part, noise)
        memory, local = self.long_term.memory, self._local(self.slots.image[part])["local"]
        left = local - abs(memory) ** 2 * (local - error.mean((1, 2, 3, 4)))
        return np.complex64(memory) * told, np.maximum(left, 0).astype(np.float32)

    def _fed_back(self, part: slice, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
        """What the receiver knew of the channel when it reported, and the error variance of that, shaped like h."""
        image, slot = self.slots.image[part], self.slots.slot[part] - self.long_term.delay
        h = self.fades.at(image, slot, self.settings.grid)
        if self.settings.csi == "perfect":
            return h, np.zeros_like(h, np.float32)
        drawn = {
            "h": h,
            "noise": noise.take(image, self.slots.noise[part]),
            "n0": self._n0(image),
            **self._local(image),
        }
        setup = replace(self.long_term.setup(None), recalled=False, specular=self.settings.setup.specular)
        return estimated(setup, drawn, self.long_term.statistics(setup, self._level(part)))

    def _feedback_noise(self, use: str) -> Noise:
        """Noise on the pilots of reports: that of the data's slots for a fresh report, else its own."""
        return self.long_term.noise(self._seed, self._key + (" feedback" if self.long_term.delay else ""), use)

    def _n0(self, image: np.ndarray) -> np.ndarray:
        return self.n0[image - self.slots.image[0]]

    def _drawn(self, part: slice) -> dict[str, np.ndarray]:
        """Arrays of the graph by argument name, `[slots, ...]` each; more than a graph may ask for."""
        image, slot, grid = self.slots.image[part], self.slots.slot[part], self.settings.grid
        h, age = self.fades.at(image, slot, grid), self.long_term.age
        if age and self.settings.csi != "perfect":
            pilots = list(grid.pilot_symbols)
            h[..., pilots, :] = self.fades.at(image, slot - age, grid)[..., pilots, :]
        drawn = {"h": h, "noise": self.noise.take(image, self.slots.noise[part]), "n0": self._n0(image)}
        tail = self.fades.tail(image, slot, grid)
        drawn |= {} if tail is None else {"tail": tail}
        setup = self.long_term.setup(tail)
        if setup.csi != "perfect" or setup.recalled:
            drawn |= self._local(image)
        if setup.recalled and setup.csi == "perfect":
            drawn["known"] = self.fades.known(image, slot - age, grid)
        elif setup.recalled:
            known, left = self._predicted(part, self._recalling)
            drawn |= {"known": known, "local": np.maximum(left, 1e-6)}
        return drawn | (self._hardware(image, slot) if setup.hardware else {})

    def _local(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """What the receiver tracks of each image: local power as received, line-of-sight share."""
        power, specular = self.fades.local(image)
        return {
            "local": np.float32(self.long_term.distortion.power) * power,
            "specular": specular / np.maximum(power, 1e-12),
        }

    def _hardware(self, image: np.ndarray, slot: np.ndarray) -> dict[str, np.ndarray]:
        grid, rx = self.settings.grid, self.settings.setup.rx
        shape = (len(image), rx, grid.symbols, grid.subcarriers)
        phasor = np.ones((len(image), grid.symbols, RX_OVERSAMPLING * grid.subcarriers), np.complex64)
        interference = np.zeros(shape, np.complex64)
        if self.disturbances is not None:
            turns = self.disturbances.gather(lambda d, i, t: d.phase(i, t, grid), image, slot)
            phasor = phasor if turns is None else unit_phasor(turns)
            for antenna in range(rx):
                met = self._interference(image, slot + ANTENNA_STRIDE * antenna)
                interference[:, antenna] = 0 if met is None else met
        return {"phasor": phasor, "interference": interference}

    def _interference(self, image: np.ndarray, slot: np.ndarray) -> np.ndarray | None:
        disturbances = cast(DrawnBlocks[Any], self.disturbances)
        return disturbances.gather(lambda d, i, t: d.interference(i, t, self.settings.grid), image, slot)

    def _dropped(self, part: slice, called: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Symbols whose packet was dropped are zero, and so is their `a`."""
        if self.disturbances is None:
            return called
        image, slot = self.slots.image[part], self.slots.slot[part]
        erased = self.disturbances.gather(lambda d, i, t: d.erased(i, t, self.settings.grid), image, slot)
        if erased is None:
            return called
        kept = torch.from_numpy(~erased).repeat_interleave(self.settings.layers, 1)
        return called[0] * kept, called[1] * kept, *called[2:]


def _lengthened(tail: np.ndarray, taps: int) -> np.ndarray:
    return np.pad(tail, [(0, 0)] * (tail.ndim - 1) + [(0, taps - tail.shape[-1])])


def one_call(
    setup: Setup, x: Tensor, power: Tensor | None, drawn: Mapping[str, np.ndarray], known: Mapping[str, Any]
) -> tuple[Tensor, ...]:
    """One call of the compiled graph, padded to its fixed number of slots.

    x complex64 `[slots, data * layers]`; power alike or None; drawn, known: arrays and tensors by argument name.
    -> x_hat, a `[slots, data * layers]`, and three mean powers `[slots]`.
    """
    gradients = torch.is_grad_enabled() and x.requires_grad
    graph, names = compiled_link(setup, gradients), list(arguments(setup))
    count = len(x)
    asked = {name: v for name, v in drawn.items() if name in names}
    told = dict(known) | {name: to_tensorflow(torch.from_numpy(_padded(v))) for name, v in asked.items()}
    if power is None:
        told["power"] = unit_power(setup)
    else:
        told["power"] = to_tensorflow(by_layer(_filled(power, 1.0), setup.layers))
    rest = [told[name] for name in names[1:]]
    through = differentiable(lambda sent: graph(sent, *rest))
    x_hat, a, *powers = through(by_layer(_filled(x, 0.0), setup.layers))
    return by_element(x_hat)[:count], by_element(a)[:count], *(p[:count] for p in powers)


def by_layer(places: Tensor, layers: int) -> Tensor:
    """Places `[slots, data * layers]`, whose layers alternate (TS 38.211, 7.3.1.3), as `[slots, layers, data]`.

    So a payload of k symbols takes k / layers resource elements, however few they are.
    """
    return places.reshape(len(places), -1, layers).transpose(1, 2).contiguous()


def by_element(values: Tensor) -> Tensor:
    """`by_layer` undone."""
    return values.transpose(1, 2).flatten(1)


def estimated(setup: Setup, drawn: Mapping[str, np.ndarray], known: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The receiver's estimate from the pilots of some slots, and its error variance, `[slots, rx, tx, ...]`."""
    told = dict(known) | {name: to_tensorflow(torch.from_numpy(_padded(v))) for name, v in drawn.items()}
    answers = compiled_estimate(setup)(*(told[name] for name in estimator_arguments(setup)))
    h_hat, error = (v.numpy()[: len(drawn["h"])] for v in answers)
    return h_hat, error


def _filled(values: Tensor, filling: float) -> Tensor:
    if len(values) == SLOTS:
        return values
    return torch.cat([values, values.new_full((SLOTS - len(values), *values.shape[1:]), filling)])


def _padded(values: np.ndarray) -> np.ndarray:
    if len(values) == SLOTS:
        return values
    return np.concatenate([values, np.ones((SLOTS - len(values), *values.shape[1:]), values.dtype)])


def check_snr(snr_db: float | Sequence[float], images: int) -> np.ndarray:
    """SNR in dB as float64 `[images]`; SemlinkError unless finite and within -30 to 60 dB."""
    snr = np.broadcast_to(np.asarray(snr_db, np.float64), (images,))
    if not np.all(np.isfinite(snr)) or snr.min() < SNR_LIMITS_DB[0] or snr.max() > SNR_LIMITS_DB[1]:
        raise SemlinkError(
            f"snr_db must be finite and within {SNR_LIMITS_DB[0]:g} to {SNR_LIMITS_DB[1]:g} dB, got {snr_db}"
        )
    return snr


def noise_key(snr_db: float | Sequence[float]) -> str:
    """Noise depends on a common SNR; with one SNR per image it does not, so that a batch can be split."""
    return f"{float(np.asarray(snr_db)):.6g}" if np.ndim(snr_db) == 0 else PER_IMAGE
