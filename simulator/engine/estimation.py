"""Channel estimators: conditional mean of the gain of every resource element, and the error variance that is left.

All work on unit-power gains and scale by the local power that the receiver tracks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from semlink.simulator.engine.backend import squared, tensorflow
from semlink.simulator.engine.pilots import combs, pilot_grid, pilots, separable_interpolation
from semlink.simulator.engine.setup import SLOTS, Setup, arguments

Estimator = Callable[[Any, dict[str, Any]], tuple[Any, Any]]


def make_estimator(setup: Setup) -> Estimator:
    """(y `[SLOTS, rx, symbols, subcarriers]`, arguments by name) -> h_hat and its error variance, shaped like h."""
    if setup.csi == "perfect":
        return _remembered(setup) if setup.recalled else _perfect(setup)
    estimate = _wiener(setup) if setup.csi == "lmmse" else _ls(setup)
    return _updated(setup, estimate) if setup.recalled else estimate


def _perfect(setup: Setup) -> Estimator:
    def estimate(y: Any, told: dict[str, Any]) -> tuple[Any, Any]:
        h = told["h"] * common_gain(setup, told)
        return h, tensorflow().zeros(h.shape)

    return estimate


def _updated(setup: Setup, estimate: Estimator) -> Estimator:
    """Prediction `known` and what the pilots say beyond it; `local` is then the power of the prediction's error."""
    sent = pilot_grid(setup.grid, setup.tx)

    def update(y: Any, told: dict[str, Any]) -> tuple[Any, Any]:
        innovation, error = estimate(y - tensorflow().reduce_sum(told["known"] * sent, 2), told)
        return told["known"] + innovation, error

    return update


def _remembered(setup: Setup) -> Estimator:
    """Known gains of another time: their conditional mean now, with correlation `memory`."""
    tf = tensorflow()

    def estimate(y: Any, told: dict[str, Any]) -> tuple[Any, Any]:
        root = _lift(tf.sqrt(told["local"]))
        h = told["known"] * common_gain(setup, told) / tf.cast(root, tf.complex64)
        memory = tf.ones_like(h) * told["memory"]
        return _scaled(conditional_mean(h, memory, tf.ones(h.shape), _line_of_sight(setup, told)), root)

    return estimate


@cache
def compiled_estimate(setup: Setup) -> Callable[..., tuple[Any, Any]]:
    """What the receiver makes of the pilots of SLOTS slots alone; takes the tensors of `estimator_arguments(setup)`."""
    tf = tensorflow()
    specifications, estimate, sent = arguments(setup), make_estimator(setup), pilot_grid(setup.grid, setup.tx)
    asked = estimator_arguments(setup)

    def function(*tensors: Any) -> tuple[Any, Any]:
        told = dict(zip(asked, tensors, strict=True))
        noise = tf.cast(tf.sqrt(told["n0"]), tf.complex64)[:, None, None, None] * told["noise"]
        return estimate(tf.reduce_sum(told["h"] * sent, 2) + noise, told)

    compiled = tf.function(function, jit_compile=True, autograph=False)
    return compiled.get_concrete_function(*(specifications[name] for name in asked))


def estimator_arguments(setup: Setup) -> list[str]:
    """Names of the arguments of `compiled_estimate`, in order."""
    other = ("x", "power", "precoder", "tail", "phasor", "interference", "profile", "gain")
    hardware = ("saturation", "smoothness", "tx_mu", "tx_nu", "rx_mu", "rx_nu")
    return [name for name in arguments(setup) if name not in other + hardware]


def common_gain(setup: Setup, told: dict[str, Any]) -> Any:
    """Gain of the hardware chain and common phase of each OFDM symbol, `[SLOTS, 1, 1, symbols, 1]`; 1 without any."""
    if not setup.hardware:
        return 1.0
    return (told["gain"] * tensorflow().reduce_mean(told["phasor"], -1))[:, None, None, :, None]


def _ls(setup: Setup) -> Estimator:
    tf = tensorflow()
    observe, interpolate = observing(setup), interpolating(setup)

    def estimate(y: Any, told: dict[str, Any]) -> tuple[Any, Any]:
        root = _lift(tf.sqrt(told["local"]))
        level = _lift(pilot_noise(setup, told)) * told["noise_gain"]
        if setup.hardware:
            level += told["added_noise"] / root**2
        unit = interpolate(observe(y) * tf.cast(1 / root[..., 0], tf.complex64))
        cross, power = tf.math.conj(told["cross"]), told["signal"] + level
        return _scaled(conditional_mean(unit, cross, power, _line_of_sight(setup, told), told["line"]), root)

    return estimate


def _wiener(setup: Setup) -> Estimator:
    tf = tensorflow()
    observe = observing(setup)
    shape = [SLOTS, setup.rx, setup.tx, setup.grid.symbols, setup.grid.subcarriers]

    def estimate(y: Any, told: dict[str, Any]) -> tuple[Any, Any]:
        root = _lift(tf.sqrt(told["local"]))
        observed = observe(y) * tf.cast(told["whitening"] / root[..., 0], tf.complex64)
        gains = 1 / (told["eigenvalues"] + pilot_noise(setup, told)[:, None, None])
        modes = tf.einsum("srtp,tqp->srtq", observed, told["basis"]) * tf.cast(gains[:, None], tf.complex64)
        h_hat = tf.reshape(tf.einsum("srtq,tqe->srte", modes, told["spread"]), shape)
        known = tf.einsum("stq,tqe->ste", gains, squared(told["spread"]))  # E|h_hat|^2 = E[h h_hat*]
        known = tf.reshape(known, [SLOTS, 1, *shape[2:]])
        if not setup.specular:
            return _scaled((h_hat, tf.maximum(1 - known, 0.0) + tf.zeros(shape)), root)
        unbiased = h_hat / tf.cast(known, tf.complex64)
        return _scaled(conditional_mean(unbiased, tf.ones_like(h_hat), 1 / known, _line_of_sight(setup, told)), root)

    return estimate


def observing(setup: Setup) -> Callable[[Any], Any]:
    """y to the gains of each antenna's pilots, with their noise: `[SLOTS, rx, tx, pilots]`."""
    tf, rows = tensorflow(), list(setup.grid.pilot_symbols)
    comb = combs(setup.grid, setup.tx)
    sent = tf.constant([p[c] for p, c in zip(pilots(setup.grid, setup.tx), comb, strict=True)], tf.complex64)

    def observe(y: Any) -> Any:
        raster = tf.reshape(tf.gather(y, rows, axis=2), [SLOTS, setup.rx, -1])
        return tf.gather(raster, comb, axis=2) * tf.math.conj(sent)  # of modulus 1

    return observe


def interpolating(setup: Setup) -> Callable[[Any], Any]:
    """Gains of pilots to those of all elements, `[SLOTS, rx, tx, symbols, subcarriers]`: in frequency, then in time."""
    tf = tensorflow()
    in_time, in_frequency = separable_interpolation(setup.grid, setup.csi, setup.tx)
    times, frequencies = (tf.constant(m, tf.complex64) for m in (in_time, in_frequency))
    shape = [SLOTS, setup.rx, setup.tx, len(setup.grid.pilot_symbols), -1]

    def interpolate(gains: Any) -> Any:
        gains = tf.reshape(gains, shape)
        if setup.tx > 1:  # one antenna's pilots are on all subcarriers
            gains = tf.einsum("srtpn,tkn->srtpk", gains, frequencies)
        return tf.reduce_sum(times[:, :, None] * gains[:, :, :, None], 4)

    return interpolate


def pilot_noise(setup: Setup, told: dict[str, Any]) -> Any:
    """White noise on the pilots over the local power of the channel, `[SLOTS]`; distortion and overrun count in."""
    level = told["n0"] / told["local"]
    return level + told["distortion"] + told["overrun"] if setup.hardware else level


def conditional_mean(h_hat: Any, cross: Any, power: Any, los: Any | None, line: Any | None = None) -> tuple[Any, Any]:
    """E[h | h_hat] and the error variance left, from cross = E[h h_hat*] and power = E|h_hat|^2.

    h is Gaussian but for a specular part of power `los` and uniform phase, whose phase has a von Mises law given
    h_hat; the linear shrinkage alone would leave estimates of a strong line of sight biased. line: the gain with which
    the specular part of h is in h_hat, 1 by default.
    """
    tf = tensorflow()
    if los is None:
        shrink = cross * tf.cast(1 / power, tf.complex64)
        error = tf.maximum(1 - squared(cross) / power, 0.0)
        return shrink * h_hat, error + tf.zeros(h_hat.shape)
    line = tf.ones([1] * 5, tf.complex64) if line is None else line
    through = tf.maximum(tf.sqrt(squared(line)), 1e-6)
    scattered = cross - tf.cast(los, tf.complex64) * tf.math.conj(line)
    spread = tf.maximum(power - los * through**2, 1e-9)
    shrink = scattered * tf.cast(1 / spread, tf.complex64)
    size = tf.maximum(tf.sqrt(squared(h_hat)), 1e-9)
    concentration = 2 * tf.sqrt(los) * through * size / spread
    certainty = tf.math.bessel_i1e(concentration) / tf.math.bessel_i0e(concentration)
    direction = h_hat * tf.math.conj(line) * tf.cast(1 / (size * through), tf.complex64)
    specular = tf.cast(tf.sqrt(los) * certainty, tf.complex64) * direction
    rest = 1 - shrink * line
    error = 1 - los - squared(scattered) / spread + squared(rest) * los * (1 - certainty**2)
    return shrink * h_hat + rest * specular, tf.maximum(error, 0.0)


def _line_of_sight(setup: Setup, told: dict[str, Any]) -> Any | None:
    return _lift(told["specular"]) if setup.specular else None


def _scaled(estimate: tuple[Any, Any], root: Any) -> tuple[Any, Any]:
    return estimate[0] * tensorflow().cast(root, tensorflow().complex64), estimate[1] * root**2


def _lift(values: Any) -> Any:
    """`[SLOTS]` against `[SLOTS, rx, tx, symbols, subcarriers]`."""
    return values[:, None, None, None, None]
