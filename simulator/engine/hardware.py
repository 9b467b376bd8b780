"""What hardware does to OFDM symbols: amplifier, IQ imbalance, phase errors, and paths beyond the cyclic prefix.

Pure functions of tensors for any compiled graph: static shapes, differentiable. Grids are complex64
`[batch, antennas..., symbols, subcarriers]`, antennas standing for any number of axes; subcarriers count from the
lowest frequency up. A waveform is the useful part of a symbol, scaled so that its mean power is the mean |X|^2 of the
subcarriers. The cyclic prefix is left out: it repeats the end of the useful part, so it commutes with everything
memoryless, and the receiver drops it.
"""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

from semlink.channels.base.fade import OVERSAMPLING
from semlink.channels.base.impairment import RX_OVERSAMPLING
from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.errors import SemlinkError

TX_OVERSAMPLING = 4  # keeps products of up to the seventh order from folding back into the band
TINY, SHARP = 1e-37, 1e6  # float32 neither underflows nor tells a smoothness of SHARP from a hard limit


def transmit(grid: Any, saturation: Any, smoothness: Any, mu: Any, nu: Any) -> Any:
    """Grid behind the transmitter's IQ modulator and its amplifier, in this order; what falls out of band is dropped.

    saturation: float scalar (tensor or not) in units of the rms amplitude of one antenna, inf for a linear amplifier;
    total power 1 per resource element is shared evenly by the antennas. smoothness: as in `amplify`. mu, nu: complex64
    scalars. With (inf, inf, 1, 0) the grid comes back as it is, to rounding.
    """
    rms = 1 / sqrt(prod(grid.shape[1:-2]))
    wave = mix(to_wave(grid, TX_OVERSAMPLING), mu, nu)
    return to_grid(amplify(wave, saturation * rms, smoothness), grid.shape[-1])


def receive(grid: Any, phasor: Any, mu: Any, nu: Any) -> Any:
    """Grid behind the receiver's mixer, which turns the samples by `phasor`, and its IQ demodulator.

    phasor: complex64 `[batch, symbols, RX_OVERSAMPLING * subcarriers]`, common to all antennas. mu, nu: complex64.
    """
    antennas = len(grid.shape) - 3
    phasor = phasor[(slice(None), *(None,) * antennas)]
    return to_grid(mix(to_wave(grid, RX_OVERSAMPLING) * phasor, mu, nu), grid.shape[-1])


def overrun(sent: Any, tail: Any, cyclic_prefix: int) -> Any:
    """What paths beyond the cyclic prefix change, `[batch, (rx,) symbols, subcarriers]`: add it to H X.

    sent: X, `[batch, (tx,) symbols, subcarriers]`. tail: `Fade.tail`, `[batch, (rx, tx,) symbols, taps]`; zeros at its
    end change nothing. cyclic_prefix: of the grid, in its samples. H is `Fade.at`: all paths, as if the prefix were
    long enough. The first samples of a window then hold the end of the symbol before it instead of a cyclic
    extension. The symbol before the first of a slot is taken to be the slot's last one, which has the same statistics
    and needs no other slot. SemlinkError for taps that reach back more than a symbol.
    """
    tf = tensorflow()
    size, reach = OVERSAMPLING * sent.shape[-1], tail.shape[-1] - 1
    if reach > size:
        raise SemlinkError(f"{tail.shape[-1]} taps reach back more than a symbol of {size} samples")
    many = len(sent.shape) == 4
    if reach == 0:
        return tf.zeros([*tail.shape[: 2 if many else 1], *sent.shape[-2:]], tf.complex64)
    wave = to_wave(sent, OVERSAMPLING)
    before = tf.roll(wave, 1, axis=-2)[..., size - reach :]
    extension = tf.roll(wave, OVERSAMPLING * cyclic_prefix, axis=-1)[..., size - reach :]
    edge, taps = (tf.signal.fft(_longer(v, 2 * reach)) for v in (before - extension, tail))
    heard = tf.reduce_sum(taps * edge[:, None], 2) if many else taps * edge
    return to_grid(_longer(tf.signal.ifft(heard)[..., reach:], size), sent.shape[-1])


def amplify(wave: Any, saturation: Any, smoothness: Any) -> Any:
    """Rapp's amplifier g(r) = r / (1 + (r / A)^(2p))^(1 / 2p) on the envelope; the phase is kept.

    saturation: A, in the units of the wave; inf is linear. smoothness: p from 0.5 on; inf clips hard.
    """
    tf = tensorflow()
    p = tf.minimum(tf.cast(smoothness, tf.float32), SHARP)
    power = tf.math.real(wave) ** 2 + tf.math.imag(wave) ** 2
    over = tf.math.log(tf.maximum(power / tf.cast(saturation, tf.float32) ** 2, TINY))
    # ln(1 + u^(2p)) / 2p without the overflow of u^(2p)
    loss = tf.maximum(over, 0.0) / 2 + tf.math.log1p(tf.exp(-p * tf.abs(over))) / (2 * p)
    return wave * tf.cast(tf.exp(-loss), tf.complex64)


def mix(wave: Any, mu: Any, nu: Any) -> Any:
    """mu s + nu conj(s)."""
    tf = tensorflow()
    return tf.cast(mu, tf.complex64) * wave + tf.cast(nu, tf.complex64) * tf.math.conj(wave)


def to_wave(grid: Any, oversampling: int) -> Any:
    """Subcarriers to the samples of the useful part, `[..., oversampling * subcarriers]`."""
    tf = tensorflow()
    count = grid.shape[-1]
    size, negative = oversampling * count, count // 2
    empty = tf.zeros([*grid.shape[:-1], size - count], tf.complex64)
    spectrum = tf.concat([grid[..., negative:], empty, grid[..., :negative]], -1)
    return tf.signal.ifft(spectrum) * (size / sqrt(count))


def to_grid(wave: Any, subcarriers: int) -> Any:
    """Samples of the useful part to the occupied subcarriers: the inverse of `to_wave`."""
    tf = tensorflow()
    size, negative = wave.shape[-1], subcarriers // 2
    spectrum = tf.signal.fft(wave) * (sqrt(subcarriers) / size)
    return tf.concat([spectrum[..., size - negative :], spectrum[..., : subcarriers - negative]], -1)


def _longer(values: Any, size: int) -> Any:
    """Zeros at the end of the last axis up to `size`."""
    padding = [[0, 0]] * (len(values.shape) - 1) + [[0, size - values.shape[-1]]]
    return tensorflow().pad(values, padding)
