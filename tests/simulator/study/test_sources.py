"""What the source of a plug-in says of its settings is what its class takes."""

import subprocess
import sys
from types import ModuleType

import pytest

from semlink import channels, codecs
from semlink.codecs import importance
from semlink.simulator import SemlinkError
from semlink.simulator.study.checks import check_words
from semlink.simulator.study.sources import settings_in


@pytest.mark.parametrize("name", codecs.names())
def test_the_source_says_what_the_class_takes(name: str) -> None:
    assert settings_in("semlink.codecs", name) == tuple(codecs.registry.settings(name))


def test_what_a_source_does_not_say_plainly_is_not_guessed() -> None:
    assert settings_in("semlink.codecs", "nobody") is None


@pytest.mark.parametrize("kinds", [channels, importance], ids=["channels", "importance"])
def test_dataclasses_say_their_fields(kinds: ModuleType) -> None:
    told = {name: settings_in(kinds.__name__, name) for name in kinds.names()}
    assert any(told.values())
    assert all(found is None or found == tuple(kinds.registry.settings(name)) for name, found in told.items())


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--codecs", "adjscc:weigths=x"], "did you mean 'weights'?"),
        (["--metrics", "pnsr"], "did you mean 'psnr'?"),
        (["--data", "kodk"], "did you mean 'kodak'?"),
        (["--channels", "tdl:csit=perfct"], "did you mean 'perfect'?"),
        (["--style", "iee"], "did you mean 'ieee'?"),
        (["--codecs", "semlink", "digital", "--versus", "digitl"], "did you mean 'digital'?"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_misspelt_words_are_answered_before_a_framework_loads(flags: list[str], told: str) -> None:
    code = (
        "import sys, atexit; atexit.register(lambda: print({'torch', 'tensorflow'} & sys.modules.keys() or 'light'))\n"
        "from semlink.simulator.study.command import main; main()"
    )
    found = subprocess.run([sys.executable, "-c", code, "sweep", *flags], capture_output=True, text=True, check=False)
    assert found.returncode == 2 and found.stderr.count("\n") == 1 and told in found.stderr
    assert found.stdout == "light\n"


OTHERS = {
    "video --data synthetic --metrics pnsr": "did you mean 'psnr'?",
    "video --data synthetc": "did you mean 'synthetic'?",
    "video --data synthetic --show ct": "not among the clips",
    "realtime --data synthetic --metrics psnr psnr_p5 lpips_alx": "did you mean 'lpips_alex'?",
    "roi --roi boxx": "did you mean 'box'?",
    "roi --judge segmentatoin": "did you mean 'segmentation'?",
    "roi --roi segmentation:clases=car": "did you mean 'classes'?",
    "roi --roi segmentation:classes=pedestrain": "did you mean 'pedestrian'?",
    "sweep --codecs roi_jscc:importance=segmentation:classes=pedestrain": "did you mean 'pedestrian'?",
    "sweep --codecs semlink:base=atuo": "did you mean 'auto'?",
    "sweep --codecs adjscc:weights=nowhere/at_all.safetensors": "no nowhere/at_all.safetensors is there",
    "diffusion --metrics psnrr": "did you mean 'psnr'?",
    "spic --metrics lpips_alx": "did you mean 'lpips_alex'?",
    "mimo --arrangements 2y2": "write transmit x receive antennas",
    "mimo --metrics pnsr": "did you mean 'psnr'?",
    "robustness --train-channels tld": "did you mean 'tdl'?",
    "robustness --metrics pnsr": "did you mean 'psnr'?",
    "power --csit perfct": "did you mean 'perfect'?",
}


def test_misspelt_words_of_other_commands_are_answered_as_soon() -> None:
    code = f"""
import sys
from semlink.simulator.study.command import run
for asked in {list(OTHERS)}:
    try: run(asked.split())
    except SystemExit as stop: print(stop.code, *{{"torch", "tensorflow"}} & sys.modules.keys() or ["light"])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.stdout.split("\n") == [*["2 light"] * len(OTHERS), ""], found.stdout + found.stderr
    for line, told in zip(found.stderr.splitlines(), OTHERS.values(), strict=True):
        assert told in line and line.startswith("error: ")


def test_a_misspelt_class_of_a_file_is_told_before_the_file_runs(tmp_path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("raise SystemExit(7)\nclass MyCodec:\n    pass\n")
    with pytest.raises(SemlinkError, match="unknown class 'MyCodc'; did you mean 'MyCodec'. known: MyCodec"):
        check_words("codec", [f"{path}:MyCodc"], codecs.names())
    check_words("codec", [f"{path}:MyCodec"], codecs.names())
