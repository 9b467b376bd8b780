"""From a file of Sionna's arrays to the word of a channel."""

import numpy as np
import pytest
from scripts import loaded

from semlink.simulator import SemlinkError
from semlink.simulator.plugins import make_channel
from semlink.simulator.words import parse


def test_the_word_that_it_prints_is_the_channel(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "rt.npz", a=rng.standard_normal((3, 2, 1, 1, 5, 1)) + 0j, tau=rng.random((3, 1, 5)) * 1e-6)
    with loaded("import_cir") as script:
        out = tmp_path / "cir.h5"
        assert script.main(script.ImportCir(files=(tmp_path / "rt.npz",), out=out)) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0].startswith(f"{out}: 3 routes of 1 snapshots; 2 x 1 antennas, 13 taps within")
        assert make_channel(parse(said[1].split()[-1])).file().shape[0] == 3
        with pytest.raises(SemlinkError, match="say --files my.npz"):
            script.main(script.ImportCir())
