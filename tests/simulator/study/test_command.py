"""The command `semlink`: experiments by short names, from a shell."""

import subprocess
import sys
import time

import pytest

from semlink.simulator.study import command
from semlink.simulator.study.completion import completion


def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "semlink", *arguments], capture_output=True, text=True, check=False)


def test_every_command_is_an_experiment_with_a_line_about_it() -> None:
    *lines, last = command.overview().splitlines()[2:]
    assert last.split()[0] == "completion"
    assert [line.split()[0] for line in lines] == list(command.COMMANDS)
    assert all(line.endswith(".") and len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", ["sweep", "train"])
def test_help_of_a_command_is_that_of_its_experiment(name: str) -> None:
    found = shell(name, "--help")
    assert found.returncode == 0 and found.stderr == "" and f"semlink {name}" in found.stdout
    assert "--out" in found.stdout


def test_a_misspelt_command_and_a_misspelt_flag_are_told_in_a_line() -> None:
    found = shell("sweeep")
    assert found.returncode == 2 and found.stderr.startswith("error: unknown command 'sweeep'; did you mean 'sweep'?")
    found = shell("sweep", "--codecz", "digital")
    assert found.returncode == 2 and found.stderr.count("\n") == 1 and "did you mean '--codecs'" in found.stderr


def test_the_version_is_that_of_the_package() -> None:
    import semlink

    assert shell("--version").stdout == f"semlink {semlink.__version__}\n"


def test_the_package_has_its_parts_and_tells_what_it_is() -> None:
    started = time.perf_counter()
    code = "import semlink; print(semlink.codecs.names()[0], semlink.__version__); help(semlink)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("adjscc ") and "semantic codec is worth" in found.stdout
    assert time.perf_counter() - started < 10
    with pytest.raises(AttributeError, match="codec'; it has"):
        _ = __import__("semlink").codec


def completed(script: str, *words: str) -> set[str]:
    """What bash offers in place of the last word."""
    line = " ".join(f"'{word}'" for word in words)
    ask = f'{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _semlink; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return set(subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout.split())


def test_a_shell_completes_commands_flags_and_names() -> None:
    script = completion("bash", command.COMMANDS)
    assert completed(script, "semlink", "tr") == {name for name in command.COMMANDS if name.startswith("tr")}
    assert completed(script, "semlink", "sweep", "--sn") == {"--snr"}
    assert completed(script, "semlink", "train", "--tens") == {"--tensorboard"}
    assert completed(script, "semlink", "sweep", "--codecs", "digital", "adj") == {"adjscc"}
    assert completed(script, "semlink", "video", "--codecs", "h2") == {"h264", "h265"}
    assert completed(script, "semlink", "sweep", "--codecs", "adjscc", "--channels", "td") == {"tdl"}
    assert completed(script, "semlink", "redraw", "--style", "ieee-") == {"ieee-pgf"}


def test_only_shells_that_are_known_are_completed(capsys) -> None:
    assert command.run(["completion", "fish"]) == 2
    assert capsys.readouterr().err == "error: semlink completion takes bash or zsh, not 'fish'\n"
    assert command.run(["completion", "zsh"]) == 0 and "bashcompinit" in capsys.readouterr().out


def test_report_writes_the_page_anew_and_opens_it(tmp_path, monkeypatch) -> None:
    from semlink.experiments import report
    from semlink.simulator.study import closing

    opened: list[str] = []
    monkeypatch.setattr(report.webbrowser, "open", opened.append)
    monkeypatch.setattr(closing, "show", lambda out: (out / "report.html").write_text(""))
    assert report.main(report.Report(tmp_path)) == 0 and not opened
    assert report.main(report.Report(tmp_path, open=True)) == 0
    assert opened == [(tmp_path / "report.html").as_uri()]
