"""What a chain of hardware does to a signal on average, measured with known symbols, h = 1 and no noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from semlink.channels.base.fade import unit_phasor
from semlink.channels.base.grid import Grid
from semlink.channels.base.impaired import Impaired
from semlink.channels.base.impairment import RX_OVERSAMPLING
from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.engine.hardware import receive, transmit
from semlink.simulator.engine.knowledge import Distortion

SLOTS = 128


def measure(impaired: Impaired, grid: Grid, rng: np.random.Generator) -> Distortion:
    """Gain, distortion and interference of the impairments (Bussgang's decomposition y = G c x + d, E[d x*] = 0).

    c is the common phase of each OFDM symbol, which estimators follow.
    """
    images = np.arange(SLOTS)
    disturbance = impaired.disturb(rng, SLOTS)
    sent = np.exp(0.5j * np.pi * rng.integers(4, size=(SLOTS, 1, grid.symbols, grid.subcarriers))).astype(np.complex64)
    turns = disturbance.phase(images, 0 * images, grid)
    told = hardware_constants(impaired)
    amplified = transmit(sent, *(told[k] for k in ("saturation", "smoothness", "tx_mu", "tx_nu")))
    heard, common = amplified, np.ones((1, 1, 1, 1))
    if turns is not None:
        phasor = unit_phasor(turns)
        common = phasor.mean(-1)[:, None, :, None]
        heard = receive(amplified, phasor, told["rx_mu"], told["rx_nu"])
    elif impaired.rx_iq != (1, 0):
        unit = np.ones((SLOTS, grid.symbols, RX_OVERSAMPLING * grid.subcarriers), np.complex64)
        heard = receive(amplified, unit, told["rx_mu"], told["rx_nu"])
    return _decomposed(np.asarray(heard), common * sent, _profile(disturbance, grid), np.mean(np.abs(common) ** 2))


def _decomposed(heard: np.ndarray, wanted: np.ndarray, profile: np.ndarray, common: float) -> Distortion:
    gain = complex((heard * wanted.conj()).mean() / (np.abs(wanted) ** 2).mean())
    rest = float((np.abs(heard - gain * wanted) ** 2).mean())
    power = abs(gain) ** 2 * float(common)
    return Distortion(gain, power, rest / power, profile)


def _profile(disturbance: Any, grid: Grid) -> np.ndarray:
    """Mean interference power of every subcarrier, the same in all OFDM symbols."""
    images = np.arange(SLOTS)
    found = [disturbance.interference(images, 0 * images + slot, grid) for slot in range(4)]
    if found[0] is None:
        return np.zeros((grid.symbols, grid.subcarriers), np.float32)
    power = np.mean([np.abs(f) ** 2 for f in found], axis=(0, 1, 2))
    return np.broadcast_to(power, (grid.symbols, grid.subcarriers)).astype(np.float32)


def hardware_constants(impaired: Impaired | None) -> dict[str, Any]:
    """Amplifier and IQ arguments of the graph by name."""
    tf = tensorflow()
    saturation, smoothness = impaired.amplifier if impaired else (np.inf, np.inf)
    iq = {"tx": impaired.tx_iq if impaired else (1, 0), "rx": impaired.rx_iq if impaired else (1, 0)}
    told: dict[str, Any] = {"saturation": np.float32(saturation), "smoothness": np.float32(smoothness)}
    for end, (mu, nu) in iq.items():
        told |= {f"{end}_mu": np.complex64(mu), f"{end}_nu": np.complex64(nu)}
    return {name: tf.constant(value) for name, value in told.items()}


def hardware_arguments(distortion: Distortion, impaired: Impaired | None) -> dict[str, Any]:
    """All arguments of the graph that describe hardware and stay the same."""
    tf = tensorflow()
    told = {"gain": np.complex64(distortion.gain), "distortion": np.float32(distortion.ratio)}
    told["overrun"] = np.float32(distortion.overrun)
    return hardware_constants(impaired) | {
        **{name: tf.constant(value) for name, value in told.items()},
        "profile": tf.constant(distortion.profile),
    }
