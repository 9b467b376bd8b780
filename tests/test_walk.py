"""A new user's walk: the wheel in an environment and a folder of its own, a sweep, its report, a notebook, a codec.

`make walk` says how long it took until the bar moved and until each misspelt word was answered. The time is that of
the processor, so that it is the same on a busy machine.
"""

import os
import re
import resource
import shutil
import site
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Sequence
from pathlib import Path

import pytest
from notebooks import cells
from PIL import Image

ROOT = Path(__file__).parent.parent
NOISE = re.compile(r"tensorflow|XLA|cuda|oneDNN|absl|Warning|Traceback|Retrying", re.IGNORECASE)
WORDS = {  # what a command is given, and what it was meant to be: every command, and each kind of word that they take
    "sweeep": "sweep",
    "completion bsh": "bash",
    "sweep --codecs semlnk": "semlink",
    "sweep --codecs adjscc:weigths=x": "weights",
    "sweep --codecs digital:source=jpg2000": "jpeg2000",
    "sweep --codecs semlink:base=atuo": "auto",
    "sweep --codecs roi_jscc:importance=segmentation:classes=pedestrain": "pedestrian",
    "sweep --codecs digital:mcs=qpks-0.50": "qpsk-0.50",
    "sweep --codecs roi_dual:select=threshld": "threshold",
    "sweep --codecs roi_jscc:importance=bx": "box",
    "sweep --codecs ddnm:inner=adjsc": "adjscc",
    "sweep --codecs cddm:scheduler=ddmi": "ddim",
    "sweep --codecs cddm:dtype=flaot32": "float32",
    "sweep --codecs cddm:device=cdua": "cuda",
    "sweep --codecs sgd_jscc:guidance=edgs": "edges",
    "sweep --codecs digital deepjscc --versus digitl": "digital",
    "sweep --channels tld": "tdl",
    "sweep --channels tdl:sped=3": "speed",
    "sweep --channels tdl:model=A3": "A30",
    "sweep --channels tdl:csi=lmse": "lmmse",
    "sweep --channels ray_traced:scene=munch": "munich",
    "sweep --channels tdl+cliping": "clipping",
    "sweep --channels tdl+clipping:rato_db=3": "ratio_db",
    "sweep --metrics pnsr": "psnr",
    "sweep --data kodk": "kodak",
    "sweep --snrr 3": "--snr",
    "sweep --style iee": "ieee",
    "sweep --scheduler tpc://here:8786": "tcp",
    "diffusion --metrics lpips_alx": "lpips_alex",
    "diffusion --codecs cddm:setps=4": "steps",
    "spic --versus digtal": "digital",
    "roi --roi bx": "box",
    "roi --roi box:x00=0.2": "x0",
    "roi --judge segmentation:network=pyramd": "pyramid",
    "roi --arms tld": "tdl",
    "power --rules waterfiling": "waterfilling",
    "mimo --metrics pnsr": "psnr",
    "robustness --train-channels rayleig": "rayleigh",
    "robustness --train-data cifar10-trian": "cifar10-train",
    "video --codecs h256": "h265",
    "video --codecs wvsc:intra=ture": "true",
    "video --codecs intra:codec=semlnk": "semlink",
    "video --codecs cvsc:controller=regrett": "regret",
    "video --data synthetc": "synthetic",
    "video --data synthetic --metrics psnr_p6": "psnr_p5",
    "realtime --controllers regrt": "regret",
    "realtime --clock wal": "wall",
    "train --codec adjsc": "adjscc",
    "train --channels surogate": "surrogate",
    "train --data cifar10-trian": "cifar10-train",
    "train --loss log_msee": "log_mse",
    "train --device cdua": "cuda",
    "train-diffusion --data cifar10-trian": "cifar10-train",
    "train-hybrid --size compct": "compact",
    "train-level --codec sgd_jsc": "sgd_jscc",
    "train-segmenter --network pyramd": "pyramid",
    "train-spic --validation camvid-drives-vall": "camvid-drives-val",
    "train-video --network wvcs": "wvsc",
    "train-video --photographs cifar10-trian": "cifar10-train",
    "redraw --style iee": "ieee",
    "report --oppen": "--open",
    "import-cir --carrier-freqency 3e9": "--carrier-frequency",
}
SWEEP = ("--data", "samples", "--limit", "2", "--snr", "10", "--rho", "1/6", "--channels", "awgn")
ANSWER = 1.5  # s of the processor, at most
# The bar moves after 7.0 to 8.0 s of an idle processor of this kind once the disk is warm (10.3 s the very first time),
# within the 10 s that a user should wait; 6.7 s beside three others at work. The bound is twice that: machines differ.
MOVEMENT = 15.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, which finds what the wheel requires where these tests do; and an empty folder."""
    folder = tmp_path_factory.mktemp("walk")
    pip = [sys.executable, "-m", "pip"]
    offline = ["-q", "--no-deps", "--no-index"]
    run([*pip, "wheel", *offline, "--no-build-isolation", "-w", str(folder / "dist"), str(ROOT)], ROOT)
    venv.create(folder / "env", with_pip=False)
    target = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))
    target.joinpath("shared.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    wheel = next((folder / "dist").glob("*.whl"))
    run([*pip, "--python", str(folder / "env/bin/python"), "install", *offline, str(wheel)], folder)
    (folder / "empty").mkdir()
    return folder


def run(command: Sequence[str], where: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A command as a new user gives it: nothing of this checkout is on the path."""
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SEMLINK_DATA")}
    found = subprocess.run(command, cwd=where, env=own, capture_output=True, text=True, check=False)
    assert found.returncode == code, f"{command}\n{found.stdout[-1000:]}\n{found.stderr[-3000:]}"
    return found


def semlink(home: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return run([str(home / "env/bin/semlink"), *arguments], home / "empty", code)


def quiet(found: subprocess.CompletedProcess[str]) -> bool:
    """No line of a framework among what was said."""
    return not NOISE.search(found.stderr + found.stdout)


@pytest.mark.slow
def test_the_wheel_is_what_runs(home: Path) -> None:
    code = "import semlink; print(semlink.__file__, semlink.__version__)"
    place, version = run([str(home / "env/bin/python"), "-c", code], home / "empty").stdout.split()
    assert next((home / "dist").glob("*.whl")).stat().st_size < 60e6
    assert Path(place).is_relative_to(home / "env") and semlink(home, "--version").stdout == f"semlink {version}\n"


@pytest.mark.slow
def test_every_misspelt_word_is_answered_in_a_line_with_a_suggestion(home: Path) -> None:
    semlink(home)  # bytecode is compiled once
    took = {}
    for words, meant in WORDS.items():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = semlink(home, *words.split(), code=2)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took[words] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        told = f"did you mean '{meant}'?"
        assert found.stderr.count("\n") == 1 and told in found.stderr and not found.stdout, f"{words}: {found.stderr}"
    print("".join(f"\n  {seconds:.2f} s  semlink {words}" for words, seconds in took.items()))
    assert max(took.values()) < ANSWER, took


@pytest.mark.slow
def test_a_sweep_moves_its_bar_soon_and_leaves_a_report(home: Path) -> None:
    load = "import torch, tensorflow, sionna.phy"  # a first time measures the disk
    run([str(home / "env/bin/python"), "-c", load], home / "empty")
    command = [str(home / "env/bin/semlink"), "sweep", *SWEEP, "--codecs", "deepjscc", "--out", "first"]
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SEMLINK_DATA")}
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=home / "empty", env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        said, moved = b"", 0.0
        while piece := os.read(process.stderr.fileno(), 4096):
            said += piece
            if not moved and re.search(rb"\b[12]/2 ", said):
                moved, wall = processor_time(process.pid), time.monotonic() - started
        printed = process.stdout.read().decode()
    assert process.returncode == 0, said.decode()
    print(f"\n  the bar moved after {moved:.1f} s of the processor, {wall:.1f} s on this machine")
    assert moved < MOVEMENT and "report.html" in printed
    assert not NOISE.search(said.decode() + printed), said.decode()
    page = (home / "empty/first/report.html").read_text()
    assert page.count("data:image/png;base64,") >= 3 and "http://" not in page and "https://" not in page


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_the_report_opens_in_chromium_without_an_error(home: Path) -> None:
    """The page of the sweep above, as a picture: report.png beside it."""
    page, shot = home / "empty/first/report.html", home / "empty/first/report.png"
    look = ["--window-size=1200,2400", f"--screenshot={shot}", "--enable-logging=stderr", "--virtual-time-budget=3000"]
    own = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home / 'chromium'}"]
    found = run([CHROMIUM, *own, *look, page.as_uri()], home / "empty")
    assert "CONSOLE" not in found.stderr, found.stderr
    with Image.open(shot) as picture:
        colours = picture.convert("RGB").getcolors(1 << 24)
        assert picture.size == (1200, 2400) and colours is not None and len(colours) > 1000  # photographs are in it
    print(f"\n  {shot}")


def processor_time(pid: int) -> float:
    """Seconds of the processor that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_the_first_notebook_runs(home: Path) -> None:
    book = ROOT / "docs/notebooks/first_link.ipynb"
    command = [
        str(home / "env/bin/python"),
        str(ROOT / "tests/notebooks.py"),
        str(book),
        "PICTURES=1",
        "SNRS_DB=(10.0,)",
    ]
    found = run(command, home / "empty")
    assert not found.stderr and quiet(found)


@pytest.mark.slow
def test_a_codec_in_a_file_is_swept(home: Path) -> None:
    """That of the notebook on it, untrained."""
    source = next(text for text, _ in cells(ROOT / "docs/notebooks/own_codec.ipynb") if "SOURCE = " in text)
    run([str(home / "env/bin/python"), "-c", source], home / "empty")
    found = semlink(home, "sweep", *SWEEP, "--codecs", "my_codec.py:MyCodec", "--out", "mine")
    assert quiet(found) and "my_codec.py:MyCodec" in found.stdout and (home / "empty/mine/report.html").exists()
    wrong = semlink(home, "sweep", *SWEEP, "--codecs", "my_codec.py:MyCodc", "--out", "mine", code=2)
    assert "did you mean 'MyCodec'?" in wrong.stderr and wrong.stderr.count("\n") == 1
