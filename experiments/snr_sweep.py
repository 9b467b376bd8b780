"""Picture quality against SNR for each codec on each channel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from semlink.simulator.study import cli
from semlink.simulator.study.checks import check_metrics, reference_of


@dataclass(frozen=True)
class SnrSweep(cli.Flags):
    """How good is the received picture at each SNR, for each codec, on each channel?

    Sends pictures through codec, OFDM link and channel, measures them, and leaves in --out: rows.h5 (every image),
    summary.csv (means with 95 % intervals), run.json, and figures as PNG and PDF: against SNR and, with several rates,
    against channel uses. With --versus also versus.csv and figures of the paired differences to that codec. Kill it at
    any moment: the same command continues. Adding codecs, channels, SNRs or pictures keeps what is measured.
    """

    metrics: tuple[str, ...] = ("psnr", "ssim", "lpips_alex")
    """Quality metrics to measure and draw."""
    versus: str = ""
    """One of --codecs, such as digital: how much better are the others on the same pictures, fades and channel uses?"""

    def check_names(self) -> None:
        """SemlinkError for metrics, and a codec to compare with, that nobody knows."""
        check_metrics(self.metrics)
        reference_of(self.codecs, self.versus)


def main(flags: SnrSweep) -> int:
    """Measure, publish, draw and say where everything is."""
    from semlink.simulator.study.overview import overview
    from semlink.simulator.study.study import Study, run

    reference = reference_of(flags.codecs, flags.versus)
    answer = partial(overview, out=flags.out, reference=reference)
    more = {"versus": reference} if reference else {}
    return run(Study((cli.sweep_of(flags, flags.metrics),), answer, more=more), flags.out, cli.where(flags))


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
