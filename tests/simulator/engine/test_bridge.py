"""The bridge: shared memory, counted copies, gradients equal to torch's own, clear refusals."""

import subprocess
import sys

import pytest
import torch

from semlink.simulator.engine import bridge
from semlink.simulator.engine.backend import tensorflow


@pytest.mark.parametrize("dtype", bridge.DTYPES, ids=str)
def test_round_trip_shares_memory(dtype: torch.dtype) -> None:
    x = torch.randn(64, 3).to(dtype)
    bridge.crossings.clear()
    crossed = bridge.to_tensorflow(x)
    back = bridge.to_torch(crossed)
    assert back.data_ptr() == x.data_ptr() and torch.equal(back, x)
    assert bridge.crossings == {"shared": 2}
    x[0, 0] = 7
    assert complex(crossed.numpy()[0, 0]) == 7


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.T,
        lambda x: x[:, ::2],
        lambda x: x.conj(),
        lambda x: x.conj().imag,
        lambda x: x[1:],
        lambda x: x.expand(2, *x.shape),
    ],
    ids=["transposed", "strided", "conjugated", "negated", "unaligned", "expanded"],
)
def test_other_views_are_copied_once(view) -> None:
    x = view(torch.randn(9, 4, dtype=torch.complex64))
    bridge.crossings.clear()
    assert torch.equal(bridge.to_torch(bridge.to_tensorflow(x)), x.resolve_conj().resolve_neg())
    assert bridge.crossings["copied"] == 1


@pytest.mark.slow
def test_unaligned_memory_does_not_abort_the_process() -> None:
    code = (
        "import torch; from semlink.simulator.engine import bridge;"
        "from semlink.simulator.engine.backend import tensorflow as t;"
        "x = torch.arange(1001.)[1:]; y = bridge.to_torch(t().square(bridge.to_tensorflow(x)));"
        "assert torch.equal(y, x * x)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_empty_tensors_cross() -> None:
    assert bridge.to_torch(bridge.to_tensorflow(torch.empty(0, 5))).shape == (0, 5)


def test_refusals_name_the_remedy() -> None:
    with pytest.raises(TypeError, match="int64 cannot cross.*float32"):
        bridge.to_tensorflow(torch.arange(3))
    with pytest.raises(ValueError, match="device meta holds no data"):
        bridge.to_tensorflow(torch.empty(3, device="meta"))
    with pytest.raises(TypeError, match="eager tf.Tensor"):
        bridge.to_torch([1.0])


def complex_map(lib, a, b):
    """A non-holomorphic map written once for both frameworks."""
    conj, absolute = (torch.conj, torch.abs) if lib is torch else (lib.math.conj, lib.abs)
    size = absolute(a * b)
    return a * conj(b) + (0.3 + 0.2j) * a * a, size * size + absolute(a)


def test_gradients_equal_torchs_own() -> None:
    torch.manual_seed(0)
    tf = tensorflow()
    inputs = [torch.randn(50, dtype=torch.complex64, requires_grad=True) for _ in range(2)]
    weights = torch.randn(50, dtype=torch.complex64), torch.randn(50)
    grads = []
    for function in (lambda a, b: complex_map(torch, a, b), bridge.differentiable(lambda a, b: complex_map(tf, a, b))):
        y, z = function(*inputs)
        loss = (y * weights[0]).real.sum() + (z * weights[1]).sum()
        grads.append(torch.autograd.grad(loss, inputs))
    for own, crossed in zip(*grads, strict=True):
        assert (own - crossed).abs().max() / own.abs().max() < 1e-4


def test_used_twice_and_asked_twice() -> None:
    square = bridge.differentiable(lambda x: [x * x])
    x = torch.randn(20, requires_grad=True)
    (y,) = square(x)
    (z,) = square(y + x)
    loss = (y * z).sum()
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    (second,) = torch.autograd.grad(loss, x)
    own = x.detach().requires_grad_()
    (wanted,) = torch.autograd.grad((own**2 * (own**2 + own) ** 2).sum(), own)
    assert torch.equal(first, second) and torch.allclose(first, wanted, rtol=1e-4)


def test_without_gradients_nothing_is_recorded() -> None:
    square = bridge.differentiable(lambda x: [x * x])
    with torch.no_grad():
        (y,) = square(torch.ones(4, requires_grad=True))
    assert not y.requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch and TensorFlow both see")
def test_gpu_memory_is_shared() -> None:
    x = torch.randn(1000, device="cuda")
    assert bridge.to_torch(bridge.to_tensorflow(x)).data_ptr() == x.data_ptr()
