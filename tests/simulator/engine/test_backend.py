"""TensorFlow comes without keras, until somebody asks for it."""

import importlib
import subprocess
import sys
from importlib.util import find_spec

import pytest

from semlink.simulator.engine.backend import later


def test_a_package_is_found_but_waits(tmp_path, monkeypatch) -> None:
    (tmp_path / "heavy_one").mkdir()
    (tmp_path / "heavy_one/__init__.py").write_text("weight = 3")
    monkeypatch.syspath_prepend(tmp_path)
    with later("heavy_one"):
        assert find_spec("heavy_one").origin.endswith("heavy_one/__init__.py")
        with pytest.raises(ImportError, match="heavy_one is imported later"):
            importlib.import_module("heavy_one.inside")
        assert "heavy_one" not in sys.modules
    assert importlib.import_module("heavy_one").weight == 3
    monkeypatch.delitem(sys.modules, "heavy_one")


@pytest.mark.slow
def test_tensorflow_has_keras_when_it_is_asked_for() -> None:
    code = """
import sys
from semlink.simulator.engine.backend import tensorflow
tf = tensorflow()
assert "keras" not in sys.modules and "pandas" not in sys.modules
from tensorflow.keras import layers
assert tf.keras.layers.Dense is layers.Dense and layers.Dense(3)(tf.zeros((2, 2))).shape == (2, 3)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
