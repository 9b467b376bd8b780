"""Picture quality against SNR for each codec on each channel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.study import cli


@dataclass(frozen=True)
class SnrSweep(cli.Flags):
    """How good is the received picture at each SNR, for each codec, on each channel?

    Sends pictures through codec, OFDM link and channel, measures them, and leaves in --out: rows.h5 (every image),
    summary.csv (means with 95 % intervals), run.json, and figures as PNG and PDF. Kill it at any moment: the same
    command continues. Adding codecs, channels, SNRs or pictures keeps what is measured.
    """

    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips_alex")
    """Quality metrics to measure and draw."""


def main(flags: SnrSweep) -> int:
    """Measure, publish, draw and say where everything is."""
    from semlink.simulator.study import closing
    from semlink.simulator.sweep import runner

    outcome = runner.run(cli.sweep_of(flags, flags.metrics), flags.out, flags.workers)
    closing.show(outcome.out)
    return closing.failures(outcome)


if __name__ == "__main__":
    cli.start(
        main,
        SnrSweep(
            out=Path("results/snr_sweep"),
            codecs=("semlink", "deepjscc", "digital"),
            channels=("awgn", "tdl"),
            rho=(1 / 12,),
        ),
    )
