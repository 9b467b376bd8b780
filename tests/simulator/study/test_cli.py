"""The shared command line: flags, early one-line errors, quiet and quick --help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study import cli, rates

ROOT = Path(__file__).parents[3]
STUDIES = ("roi.py", "diffusion.py", "mimo.py", "power.py", "robustness.py")
EXPERIMENTS = [ROOT / "experiments" / name for name in ("snr_sweep.py", "redraw.py", *STUDIES)]
HEAVY = ("torch", "tensorflow", "sionna", "matplotlib", "h5py", "scipy")


@dataclass(frozen=True)
class Question(cli.Flags):
    """A question."""

    steps: int = 3
    """Steps."""


DEFAULT = Question(out=Path("results/q"), codecs=("adjscc", "deepjscc"))


def outcome(capsys, *arguments, main=lambda flags: 0):
    code = cli.run(main, DEFAULT, arguments)
    return code, capsys.readouterr().err


def test_flags_are_typed_and_negative_snrs_parse():
    words = "--codecs adjscc --channels awgn tdl:model=C,speed=30 --snr -5 0 -.5 -1e1 15 --rho 0.1667 1/12 --data kodak"
    flags = cli.read(
        DEFAULT, [*words.split(), "--limit", "24", "--out", "results/mine", "--workers", "2", "--steps", "4"]
    )
    assert flags.snr == (-5.0, 0.0, -0.5, -10.0, 15.0) and flags.channels == ("awgn", "tdl:model=C,speed=30")
    assert flags.rho == (1 / 6, 1 / 12) and flags.limit == 24 and flags.out == Path("results/mine")
    assert (flags.workers, flags.steps, flags.seed, flags.codecs) == (2, 4, 0, ("adjscc",))


def test_targets_are_part_of_what_is_asked():
    asked = cli.sweep_of(cli.read(DEFAULT, "--target-ci 0.05 --target-lost 100".split()), ("psnr",))
    assert (asked.target_ci, asked.target_lost, asked.stops) == (0.05, 100, True)
    assert not cli.sweep_of(DEFAULT, ("psnr",)).stops


def test_defaults_are_the_experiments():
    assert cli.read(DEFAULT, []) == DEFAULT


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/12", 1 / 12),
        ("0.0833", 1 / 12),
        ("0.08333", 1 / 12),
        ("0.1667", 1 / 6),
        ("0.167", 1 / 6),
        ("0.333", 1 / 3),
        ("0.0417", 1 / 24),
        ("3/400", 3 / 400),
        ("5/37", 5 / 37),
        ("2/3", 2 / 3),
    ],
)
def test_rounded_rates_mean_what_they_round(text, value):
    assert rates.read_rate(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("0.083", 0.083),
        ("0.3", 0.3),
        ("1", 1.0),
        ("2", 2.0),
        ("0.07", 0.07),
        ("0.085", 0.085),
        ("0.164", 0.164),
        ("0.345", 0.345),
    ],
)
def test_other_rates_stay_as_they_are(text, value):
    assert rates.read_rate(text) == pytest.approx(value, abs=1e-12)


def test_the_same_rate_is_measured_once():
    flags = cli.read(DEFAULT, ["--rho", "0.167", "1/6", "0.1667", "3/18", "1/12"])
    assert cli.sweep_of(flags, ("psnr",)).rho == (1 / 6, 1 / 12)


@pytest.mark.parametrize("text", ["1e400", "x", "1/0", "nan", ""])
def test_no_rate(text):
    with pytest.raises(ValueError, match="rate"):
        rates.read_rate(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--codecs nosuch", "unknown codec 'nosuch'; known: adjscc, "),
        ("--channels tdl moon", "unknown channel 'moon'; known: awgn"),
        ("--channels tdl:model", "cannot read 'tdl:model'"),
        ("--colour red", "unknown flag '--colour'; known flags: --out --data --limit"),
        ("extra", "unknown argument 'extra'"),
        ("--snr 0 nan", "--snr nan"),
        ("--snr 61", "between -30 and 60"),
        ("--snr -inf", "--snr -inf"),
        ("--rho 0", "--rho 0"),
        ("--rho -1", "--rho -1"),
        ("--limit 0", "--limit 0"),
        ("--workers 0", "--workers 0"),
        ("--target-ci 0", "--target-ci 0: give half of an interval"),
        ("--target-ci nan", "--target-ci nan: give half of an interval"),
        ("--target-lost 0", "--target-lost 0: give a whole number of at least 1"),
        ("--scheduler nowhere", "--scheduler nowhere: give an address, such as tcp://"),
        ("--workers 2 --scheduler tcp://a:1", "--workers counts processes of this machine"),
        ("--seed -1", "--seed -1"),
        ("--codecs", "--codecs needs at least one"),
        (f"--seed {2**64}", "--seed 18446744073709551616: give a whole number of at most 2^63 - 1"),
        (f"--seed {2**63}", "at most 2^63 - 1"),
        ("--codecs adjsc", "unknown codec 'adjsc'; did you mean 'adjscc'? known: adjscc, "),
        ("--channels raleigh", "unknown channel 'raleigh'; did you mean 'rayleigh'? known: awgn, "),
        ("--channels tdl+cliping", "unknown impairment 'cliping' in tdl+cliping; did you mean 'clipping'? known: "),
        ("--chanels tdl", "unknown flag '--chanels'; did you mean '--channels'? known flags: --out "),
        ("--channels tdl:modle=C", "unknown setting of channel tdl: 'modle'; did you mean 'model'? known: model, "),
        ("--channels tdl:csy=ls", "did you mean 'csi'? known: model, delay_spread, speed, "),
        ("--channels tdl+cfo:herz=3", "unknown setting of impairment cfo: 'herz'; did you mean 'hertz'? known: hertz"),
        ("--codecs adjscc:foo=3", "unknown setting of codec adjscc: 'foo'; known: weights\n"),
        ("--codecs adjscc:rho=3", "unknown setting of codec adjscc: 'rho'; known: weights\n"),
        ("--channels tdl:speed=nan", "channel tdl:speed=nan: speed must be a finite number\n"),
        ("--channels tdl:speed=fast", "channel tdl:speed=fast: speed must be a finite number\n"),
        ("--channels tdl:speed=none", "channel tdl:speed=none: speed must be a finite number\n"),
        ("--channels awgn+aging:slots=inf", "slots must be a finite number\n"),
        ("--channels tdl:model=Q", "channel tdl:model=Q: "),
        ("--channels tdl:speed=-1", "channel tdl:speed=-1: "),
        ("--channels tdl+erasure:rate=2", "channel tdl+erasure:rate=2: "),
        ("--channels tdl:csi=sl", "unknown csi 'sl'; did you mean 'ls'? known: perfect, ls, ls-nearest, lmmse\n"),
        ("--channels tdl:equalizer=foo", "unknown equalizer 'foo'; known: lmmse, zf, mf\n"),
        ("--channels tdl:power=unifrom", "unknown power 'unifrom'; did you mean 'uniform'? known: importance, "),
        ("--channels tdl:csit=perfekt", "unknown csit 'perfekt'; did you mean 'perfect'? known: none, "),
        ("--channels tdl:precoding=sdv", "unknown precoding 'sdv'; did you mean 'svd'? known: none, svd\n"),
        ("--channels tdl:placement=odrer", "unknown placement 'odrer'; did you mean 'order'? known: order, "),
        ("--codecs adjscc:weights=/no/where.st", "adjscc:weights=/no/where.st: no /no/where.st is there\n"),
        ("--codecs ddnm:prior=~/nothing", "ddnm:prior=~/nothing: no ~/nothing is there"),
        ("--codecs semlink:hybrid=none.safetensors", "no none.safetensors is there"),
        ("--channels recorded:path=nowhere.h5", "nowhere.h5"),
        ("--channels recorded", "channel recorded: say path, as in recorded:path=...\n"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(capsys, arguments, said):
    code, error = outcome(capsys, *arguments.split(), main=lambda flags: pytest.fail("must not run"))
    assert code == 2 and said in error
    assert error.startswith("error: ") and error.count("\n") == 1


@dataclass(frozen=True)
class Training:
    """Flags of a training script."""

    codec: str = "adjscc"
    """Codec."""
    seed: int = 0
    """Seed."""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--codec", "adjsc"), "unknown codec 'adjsc'; did you mean 'adjscc'?"),
        (("--codec", "adjscc:wieghts=x"), "unknown setting of codec adjscc: 'wieghts'; did you mean 'weights'?"),
        (("--seed", str(2**63)), "at most 2^63 - 1"),
    ],
)
def test_scripts_with_other_flags_check_theirs(capsys, arguments, said):
    assert cli.run(lambda flags: pytest.fail("must not run"), Training(), arguments) == 2
    assert said in capsys.readouterr().err
    assert cli.run(lambda flags: 0, Training(), ["--seed", str(2**63 - 1)]) == 0


def test_right_settings_are_right(capsys):
    codecs = (
        "--codecs adjscc:weights=x semlink:size=compact,base=none img2img:steps=budget,sigma_y=none digital:mcs=none"
    )
    channels = (
        "--channels awgn+aging:slots=none,seconds=1 tdl:speed=3,csi=perfect,csit=none+erasure:packet=slot rayleigh"
    )
    assert outcome(capsys, *codecs.split(), *channels.split(), "--seed", str(2**63 - 1)) == (0, "")


def test_a_file_that_is_nearly_there_is_suggested(capsys, tmp_path):
    (tmp_path / "mine.safetensors").touch()
    _, error = outcome(capsys, "--codecs", f"adjscc:weights={tmp_path}/mien.safetensors")
    assert error.endswith(f"mien.safetensors is there; did you mean '{tmp_path}/mine.safetensors'?\n")


@dataclass(frozen=True)
class Places:
    """Flags of all kinds of places."""

    out: Path = Path("~/out")
    """Folder."""
    train_data: tuple[str, ...] = ("cifar10",)
    """Sets."""
    data: str = "samples"
    """Set."""
    init: Path | None = None
    """File."""
    name: str = "~/no place"
    """Word."""


def test_the_home_folder_is_written_as_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    flags = cli.read(Places(), ["--train-data", "cifar10", "~/a", "--data", "~/b", "--init", "~/c"])
    assert flags == Places(Path("/home/me/out"), ("cifar10", "/home/me/a"), "/home/me/b", Path("/home/me/c"))
    assert cli.read(DEFAULT, ["--out=~/x"]).out == Path("/home/me/x")


def test_plugins_get_paths_from_the_home_folder(monkeypatch, tmp_path):
    from semlink import codecs
    from semlink.channels.base.registry import Registry

    monkeypatch.setenv("HOME", str(tmp_path))
    assert codecs.create("adjscc", weights="~/w.st").weights == f"{tmp_path}/w.st"
    assert codecs.create("ddnm", inner="adjscc:weights=~/w.st").inner.weights == f"{tmp_path}/w.st"
    given = Registry("semlink.codecs", "codec").create("img2img", model="~/sd", prompt="a ~ b", sigma_y=0.1)
    assert given.pretrained.model == f"{tmp_path}/sd" and given.prompt == "a ~ b"


def test_a_seed_of_the_limit_is_written_and_drawn_from(tmp_path):
    import h5py
    import torch

    from semlink.simulator.rng import generator, public_seed
    from semlink.simulator.training.run import step_generator

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["seed"] = cli.LARGEST_SEED
        assert file.attrs["seed"] == cli.LARGEST_SEED and file.attrs["seed"].dtype == "int64"
    torch.Generator().manual_seed(cli.LARGEST_SEED)
    step_generator(cli.LARGEST_SEED, 10**9, "cpu")
    assert step_generator(7, 3, "cpu").initial_seed() == 7 * 1_000_003 + 4
    assert generator("fade", cli.LARGEST_SEED).random() < 1 and public_seed(cli.LARGEST_SEED) < 2**31


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--out", ""], "--out is empty"), (["--out="], "--out is empty"), (["--limit", "2", "--data", ""], "--data is")],
)
def test_an_empty_place_is_not_the_working_folder(capsys, arguments, said):
    code, error = outcome(capsys, *arguments, main=lambda flags: pytest.fail("must not run"))
    assert code == 2 and said in error and error.count("\n") == 1
    assert cli.read(DEFAULT, ["--out", "."]).out == Path(".")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (SemlinkError("file x:\n broken"), 2, "error: file x: broken\n"),
        (PermissionError(13, "Permission denied", "out"), 2, "error: Permission denied: out\n"),
        (KeyboardInterrupt(), 130, "same command"),
    ],
)
def test_errors_become_exit_codes(capsys, raised, code, said):
    def main(flags):
        raise raised

    found, error = outcome(capsys, main=main)
    assert found == code and said in error and error.count("\n") == 1


def test_sigterm_says_and_does_what_ctrl_c_does(capsys):
    def main(flags):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
        pytest.fail("must not go on")

    before = signal.getsignal(signal.SIGTERM)
    found, error = outcome(capsys, main=main)
    assert found == 143 and error == "stopped; what was measured is kept: give the same command again to continue\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_plugin_that_ends_the_process_is_an_error(capsys):
    found, error = outcome(capsys, main=lambda flags: sys.exit(0))
    assert found == 2 and "error: test_cli.py:" in error and "sys.exit(0)" in error and error.count("\n") == 1


def test_mistakes_of_ours_keep_their_traceback():
    def main(flags):
        return {}["nothing"]

    with pytest.raises(KeyError):
        cli.run(main, DEFAULT, [])


def test_exit_code_of_main_is_passed_on(capsys):
    assert outcome(capsys, main=lambda flags: 1)[0] == 1


def test_the_sweep_has_what_the_flags_said():
    flags = replace(DEFAULT, codecs=("a", "a"), snr=(0.0, 5.0, 0.0), seed=3, limit=2)
    found = cli.sweep_of(flags, ("psnr", "psnr"))
    assert (found.codecs, found.snr_db, found.metrics, found.seed, found.limit) == (("a",), (0.0, 5.0), ("psnr",), 3, 2)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_help_loads_nothing_heavy(path):
    code = f"import runpy, sys; sys.argv = [{str(path)!r}, '--help']\n"
    code += "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    code += f"except SystemExit as stop: print('LOADED', [m for m in {HEAVY!r} if m in sys.modules], stop.code)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "LOADED [] 0" in shown and "--out" in shown


def test_help_lists_what_is_known():
    shown = subprocess.run(
        [sys.executable, str(EXPERIMENTS[0]), "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert "Known codecs: adjscc" in shown and "rayleigh" in shown and "Es/N0" in shown


def test_unknown_codec_from_the_shell():
    command = [sys.executable, str(EXPERIMENTS[0]), "--codecs", "nosuch"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2 and found.stdout == ""
    assert found.stderr.startswith("error: unknown codec 'nosuch'; known: adjscc") and found.stderr.count("\n") == 1


def test_framework_noise_is_dropped_and_other_output_is_not():
    code = """
import os, subprocess, sys
from semlink.simulator import quiet
quiet.silence()
os.write(2, b"E0000 00:00:1795249779.955996    4189 cuda_dnn.cc:8579] Unable to register cuDNN factory\\n")
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"terminate called after an error\\n")
subprocess.run([sys.executable, "-c", "import os; os.write(2, b'W0000 00:00:1 child] noise\\\\nchild speaks\\\\n')"])
print("python speaks", file=sys.stderr)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted(found.stderr.splitlines()) == ["child speaks", "python speaks", "terminate called after an error"]


@pytest.mark.slow
def test_tensorflow_and_xla_are_quiet():
    code = """
from semlink.simulator import quiet
quiet.silence()
import tensorflow as tf
tf.function(lambda x: 2 * x, jit_compile=True)(tf.ones(2))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stderr == ""
