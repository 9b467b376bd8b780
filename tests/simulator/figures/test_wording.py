"""Channels as people say them."""

import pytest

from semlink.simulator.figures.wording import channel_title, file_names, wrapped


@pytest.mark.parametrize(
    ("word", "csi", "title"),
    [
        ("awgn", "perfect", "AWGN, perfect CSI"),
        ("tdl", "ls", "TDL, LS estimates"),
        ("tdl:csi=lmmse,delay_spread=3e-07,model=C,speed=30", "lmmse", "TDL, 300 ns, model C, 30 m/s, LMMSE estimates"),
        ("rayleigh:rx_antennas=2", "ls", "Rayleigh, rx antennas 2, LS estimates"),
        ("tdl+clipping:ratio_db=3+cfo:hertz=100", "ls", "TDL + Clipping, ratio 3 dB + CFO, 100 Hz, LS estimates"),
        ("recorded:path=cir.h5", "", "Recorded, path cir.h5, CSI unknown"),
        ("mine:deep=true,base=none", "new", "Mine, base none, deep, new"),
    ],
)
def test_words_become_titles(word: str, csi: str, title: str) -> None:
    assert channel_title(word, csi) == title


def test_long_titles_are_wrapped_between_words() -> None:
    lines = wrapped("TDL, 300 ns, model C, 30 m/s, 2 antennas, LMMSE estimates").splitlines()
    assert len(lines) == 2 and all(len(line) <= 44 for line in lines)


def test_words_become_file_names_each_another() -> None:
    words = {
        "awgn": "awgn",
        "tdl:csi=lmmse,delay_spread=3e-07,model=C": "tdl_300_ns_model_C_LMMSE_estimates",
        "tdl+clipping:ratio_db=3": "tdl+clipping_ratio_3_dB",
        "adjscc:weights=/home/me/mine.safetensors": "adjscc_weights_mine.safetensors",
    }
    assert file_names(words) == words
    same = ("a:path=x/b.h5", "a:path=y/b.h5")
    assert file_names(same) == {
        same[0]: "a_path=x_b.h5_" + file_names(same)[same[0]][-16:],
        same[1]: file_names(same)[same[1]],
    }
    assert len(set(file_names(same).values())) == 2
