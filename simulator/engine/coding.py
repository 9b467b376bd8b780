"""CRC + 5G LDPC + QAM of one block shape, traced once each (Sionna blocks; 3GPP TS 38.212)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from semlink.simulator.bits.mcs import Mcs
from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.rng import generator

BLOCKS = 32  # code blocks per compiled call; the last call is padded
FEW = 4  # of a call for no more than that: the frames of a clip come one by one
ITERATIONS = 20


def encode(information: np.ndarray, mcs: Mcs, symbols: int) -> np.ndarray:
    """uint8 `[blocks, bytes]` to QAM symbols complex64 `[blocks, symbols]` of mean power 1."""
    bits = np.unpackbits(information ^ scrambling(information.shape[1]), axis=1).astype(np.float32)
    return _in_calls(lambda part: (_encoder(mcs, symbols, len(part))(part).numpy(),), bits)[0]


def decode(x_hat: np.ndarray, a: np.ndarray, mcs: Mcs, symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """x_hat complex64 and a float32 `[blocks, symbols]` to uint8 `[blocks, bytes]` and CRC verdicts bool `[blocks]`."""
    bits, ok = _in_calls(lambda x, r: tuple(t.numpy() for t in _decoder(mcs, symbols, len(x))(x, r)), x_hat, a)
    return np.packbits(bits.astype(np.uint8), axis=1) ^ scrambling(mcs.information_bytes(symbols)), ok.reshape(
        -1
    ).astype(bool)


@cache
def scrambling(length: int) -> np.ndarray:
    """Pseudo-random bytes XORed to a block's, so that a constant payload still gives QAM symbols of mean power 1."""
    return generator("scrambling").integers(0, 256, length, dtype=np.uint8)


def _in_calls(function: Callable[..., tuple[np.ndarray, ...]], *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Apply to BLOCKS or to FEW rows at a time, zero rows added to the last call and taken off its answer."""
    answers = [function(*part) for part in _padded(arrays)]
    return tuple(np.concatenate(a)[: len(arrays[0])] for a in zip(*answers, strict=True))


def _padded(arrays: tuple[np.ndarray, ...]) -> Iterator[list[np.ndarray]]:
    blocks = FEW if len(arrays[0]) <= FEW else BLOCKS
    for start in range(0, len(arrays[0]), blocks):
        rows = [a[start : start + blocks] for a in arrays]
        yield [np.pad(r, [(0, blocks - len(r))] + [(0, 0)] * (r.ndim - 1)) for r in rows]


@cache
def _code(mcs: Mcs, symbols: int, rows: int) -> Any:
    """Sionna's blocks belong to the graph that they were first used in, so each number of rows has its own."""
    from sionna.phy.fec.crc import CRCEncoder
    from sionna.phy.fec.ldpc import LDPC5GEncoder

    crc = CRCEncoder("CRC24A" if mcs.crc(symbols) == 24 else "CRC16")
    k = 8 * mcs.information_bytes(symbols) + mcs.crc(symbols)
    return crc, LDPC5GEncoder(k, mcs.coded_bits(symbols), num_bits_per_symbol=mcs.bits_per_symbol)


@cache
def _encoder(mcs: Mcs, symbols: int, rows: int) -> Callable[[Any], Any]:
    tf = tensorflow()
    from sionna.phy.mapping import Mapper

    crc, ldpc = _code(mcs, symbols, rows)
    mapper = Mapper("qam", mcs.bits_per_symbol)

    def encoder(bits: Any) -> Any:
        return tf.tile(mapper(ldpc(crc(bits))), [1, mcs.repeat])

    return tf.function(encoder, autograph=False)  # XLA compiles for seconds and gains nothing on LDPC graphs


@cache
def _decoder(mcs: Mcs, symbols: int, rows: int) -> Callable[[Any, Any], tuple[Any, Any]]:
    tf = tensorflow()
    from sionna.phy.fec.crc import CRCDecoder
    from sionna.phy.fec.ldpc import LDPC5GDecoder
    from sionna.phy.mapping import Demapper

    crc, ldpc = _code(mcs, symbols, rows)
    check = CRCDecoder(crc)
    decoder = LDPC5GDecoder(ldpc, num_iter=ITERATIONS, hard_out=True, cn_update="boxplus")
    demapper = Demapper("app", "qam", mcs.bits_per_symbol)

    def decode_blocks(x_hat: Any, a: Any) -> tuple[Any, Any]:
        reliability = tf.clip_by_value(a, 1e-6, 1 - 1e-6)
        unbiased = x_hat / tf.cast(reliability, tf.complex64)
        llr = demapper(unbiased, (1 - reliability) / reliability)
        llr = tf.reduce_sum(tf.reshape(llr, [rows, mcs.repeat, -1]), 1)
        return check(decoder(llr))

    return tf.function(decode_blocks, autograph=False)
