"""Published networks over this link: a clone with the layout of Deep-JSCC-PyTorch, and weights that we know."""

import pickle
import sys
from pathlib import Path

import pytest
import torch

from semlink import codecs
from semlink.codecs._learned.clone import clone_module
from semlink.codecs._learned.weights import read_weights
from semlink.codecs.checkpoint.deep_jscc import ITS_DB
from semlink.simulator import ReceivedStream, Reception, SemlinkError, Transmission, check_codec
from semlink.simulator.conformance.codec import noiseless, smooth_pictures

SHIPPED = Path(codecs.__file__).parent / "weights/deepjscc-small-m8-snr10.safetensors"
CHANNEL = """
import torch
from torch import nn

class Channel(nn.Module):
    def __init__(self, channel_type, snr):
        super().__init__()
        self.snr = snr

    def forward(self, z):
        power = z.square().mean((1, 2, 3), keepdim=True)
        return z + torch.randn_like(z) * (power / 10 ** (self.snr / 10) / 2).sqrt()
"""
MODEL = """
from channel import Channel
from collections import OrderedDict
from torch import nn

def down(inputs, outputs, stride):
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(inputs, outputs, 5, stride, PAD), prelu=nn.PReLU()))

def up(inputs, outputs, stride, activate):
    conv = nn.ConvTranspose2d(inputs, outputs, 5, stride, 2, stride - 1)
    return nn.Sequential(OrderedDict(transconv=conv, activate=activate))

class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        for i, sizes in enumerate([(3, 16, 2), (16, 32, 2), (32, 32, 1), (32, 32, 1), (32, 2 * c, 1)]):
            setattr(self, f"conv{i + 1}", down(*sizes))

    def forward(self, x):
        for i in range(5):
            x = getattr(self, f"conv{i + 1}")(x)
        x = x / x.square().mean((1, 2, 3), keepdim=True).sqrt()
        return x.squeeze(0)

class Decoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        for i, sizes in enumerate([(2 * c, 32, 1), (32, 32, 1), (32, 32, 1), (32, 16, 2), (16, 3, 2)]):
            setattr(self, f"tconv{i + 1}", up(*sizes, nn.Sigmoid() if i == 4 else nn.PReLU()))

    def forward(self, z):
        for i in range(5):
            z = getattr(self, f"tconv{i + 1}")(z)
        return z

class DeepJSCC(nn.Module):
    def __init__(self, c, channel_type="AWGN", snr=None):
        super().__init__()
        self.encoder, self.decoder = Encoder(c), Decoder(c)
        self.channel = Channel(channel_type, snr)

    def forward(self, x):
        return self.decoder(self.channel(self.encoder(x)))
"""


def clone(folder: Path, padding: int = 2) -> Path:
    """A clone: model.py and the channel.py that it imports."""
    folder.mkdir()
    (folder / "channel.py").write_text(CHANNEL)
    (folder / "model.py").write_text(MODEL.replace("PAD", str(padding)))
    return folder


def theirs(name: str) -> str:
    """The name there of a tensor of our network of the same layers."""
    end, number, rest = name.split(".")
    layer, second = divmod(int(number), 2)
    inside = ("prelu" if second else "conv") if end == "encoder" else ("activate" if second else "transconv")
    return f"{end}.{'conv' if end == 'encoder' else 'tconv'}{layer + 1}.{inside}.{rest}"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """A clone and a weight file: our shipped network, whose decoder sees power 1/2 per real number, not 1."""
    folder = tmp_path_factory.mktemp("theirs")
    state = {theirs(name): tensor.float() for name, tensor in read_weights(SHIPPED)[0].items()}
    state["decoder.tconv1.transconv.weight"] /= 2**0.5
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, folder / "epoch_999.pkl")
    return {"repo": str(clone(folder / "clone")), "weights": str(folder / "epoch_999.pkl")}


def test_conforms_and_is_our_network_of_the_same_layers(files) -> None:
    codec, ours = codecs.create("checkpoint", rho=1 / 6, **files), codecs.create("deepjscc")
    images = smooth_pictures(3, 32, 32)
    check_codec(codec, images)
    sent, own = codec.encode(images), ours.encode(images)
    assert torch.allclose(sent.streams[0].payload, own.streams[0].payload, atol=1e-5)
    assert torch.allclose(codec.decode(noiseless(own)), ours.decode(noiseless(own)), atol=1e-5)
    assert len(codec.files()) == 3


def heard(sent: Transmission, snr_db: float) -> Reception:
    """Over AWGN: x_hat = a x + noise of variance a (1 - a), a = snr / (1 + snr)."""
    x, a = sent.streams[0].payload, 1 / (1 + 10 ** (-snr_db / 10))
    x_hat = a * x + (a * (1 - a)) ** 0.5 * torch.randn(x.shape, dtype=torch.complex64)
    return Reception((ReceivedStream("latent", "analog", x_hat, torch.full(x.shape, a)),), sent.session)


def test_its_snr_is_three_db_below_that_of_this_link(files) -> None:
    """The clone's own forward at 4 of its dB, and AWGN of 7.01 dB: the same error."""
    codec, images = codecs.create("checkpoint", rho=1 / 6, **files), smooth_pictures(64, 32, 32)
    theirs_whole = clone_module(Path(files["repo"]), "model").DeepJSCC(c=8, snr=4).eval()
    theirs_whole.load_state_dict(codec.network(32, 32).state_dict())
    torch.manual_seed(0)
    with torch.no_grad():
        told = theirs_whole(images)
    levels = [
        (pictures - images).square().mean().log10() * 10
        for pictures in (told, *(codec.decode(heard(codec.encode(images), snr_db)) for snr_db in (4 + ITS_DB, 4)))
    ]
    assert abs(levels[1] - levels[0]) < 0.1 and levels[2] - levels[0] > 1


def test_leaves_no_trace_in_this_process_and_pickles(files) -> None:
    before = dict(sys.modules), list(sys.path)
    codec = codecs.create("checkpoint", rho=1 / 6, **files)
    codec.check(32, 32)
    assert sys.path == before[1] and not {"model", "channel"} & (sys.modules.keys() - before[0].keys())
    assert not list(Path(files["repo"]).rglob("__pycache__"))
    assert pickle.loads(pickle.dumps(codec))._networks == {}


class Runs:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_weight_file_runs_nothing(files, tmp_path) -> None:
    torch.save({"encoder": Runs(tmp_path / "ran")}, tmp_path / "bad.pkl")
    with pytest.raises(SemlinkError, match="not a state dict of tensors alone; save one with") as error:
        codecs.create("checkpoint", rho=1 / 6, repo=files["repo"], weights=str(tmp_path / "bad.pkl")).check(32, 32)
    assert "\n" not in str(error.value) and not (tmp_path / "ran").exists()


def test_what_is_missing_or_does_not_fit_is_told(files, tmp_path) -> None:
    old = clone(tmp_path / "old", padding=0)
    torch.save({"fc.weight": torch.zeros(2)}, tmp_path / "other.pkl")
    wrong = {
        "give repo=FOLDER and weights=FILE": {},
        "no model.py in it": {**files, "repo": str(tmp_path)},
        "no such weights": {**files, "weights": str(tmp_path / "none.pkl")},
        "no network of Deep-JSCC-PyTorch": {**files, "weights": str(tmp_path / "other.pkl")},
        "before June 2024": {**files, "repo": str(old)},
    }
    for said, settings in wrong.items():
        with pytest.raises(SemlinkError, match=said):
            codecs.create("checkpoint", rho=1 / 6, **settings).check(32, 32)
    with pytest.raises(SemlinkError, match="trained for rho 0.1667, not 0.0833"):
        codecs.create("checkpoint", rho=1 / 12, **files).check(32, 32)
