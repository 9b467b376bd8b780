"""Studies, each a script: `python experiments/snr_sweep.py --help`, or `semlink sweep --help` once installed."""
