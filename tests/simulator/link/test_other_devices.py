"""Tensors of a device that TensorFlow does not have: one counted copy each way, gradients too."""

import subprocess
import sys
from pathlib import Path

import pytest

SETUP = """
import torch, far_device
from semlink import channels
from semlink.simulator import Link, Stream, Transmission
from semlink.simulator.engine import bridge
from semlink.simulator.engine.backend import tensorflow

torch.manual_seed(0)
x = torch.randn(3, 500, dtype=torch.complex64)
x = x / x.abs().square().mean(1, keepdim=True).sqrt()
"""

BRIDGE = """
near, far = (x.detach().clone().to(d).requires_grad_() for d in ("cpu", "far"))
square = bridge.differentiable(lambda v: [v * tensorflow().math.conj(v), v])
grads = []
for own in (near, far):
    bridge.crossings.clear()
    y, z = square(own)
    assert y.device == z.device == own.device
    loss = (y.to("cpu").real * 2 + z.to("cpu").imag).sum()
    assert bridge.crossings["moved"] == (3 if own is far else 0), bridge.crossings
    grads.append(torch.autograd.grad(loss, own)[0])
    assert bridge.crossings["moved"] == (6 if own is far else 0), bridge.crossings
assert grads[1].device.type == "far" and torch.allclose(grads[0], grads[1].to("cpu"))
assert torch.equal(bridge.to_torch(bridge.to_tensorflow(x.to("far"))), x)
"""

LINK = """
link = Link(channels.create("rayleigh"))
found = []
for device in ("cpu", "far"):
    bridge.crossings.clear()
    own = x.detach().clone().to(device).requires_grad_()
    streams = Stream("latent", "analog", own), Stream("words", "bits", [b"ab", b"c", b"def"], mcs="qpsk-0.38")
    result = link.run(Transmission(streams), 10.0, seed=1)
    received = result.reception.streams[0]
    assert received.x_hat.device == received.a.device == own.device
    x_hat = received.x_hat.to("cpu")
    loss = (x_hat.abs().square() + x_hat.real).sum()
    (grad,) = torch.autograd.grad(loss, own)
    assert grad.device == own.device
    found.append((x_hat.detach(), received.a.to("cpu"), grad.to("cpu"), bridge.crossings["moved"]))
    assert result.reception.streams[1].payload == (b"ab", b"c", b"def")
near, far = found
assert all(torch.equal(a, b) for a, b in zip(near[:3], far[:3]))
assert (near[3], far[3]) == (0, 5), (near[3], far[3])  # x there, x_hat and a back; two gradients
"""


@pytest.mark.parametrize("code", [BRIDGE, pytest.param(LINK, marks=pytest.mark.slow)], ids=["bridge", "link"])
def test_values_gradients_and_copies_are_those_of_the_host(code: str) -> None:
    path = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
    done = subprocess.run([sys.executable, "-c", path + SETUP + code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
