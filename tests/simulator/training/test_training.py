"""Training: it learns through the real link, resumes, orthogonalises, and runs without TensorFlow."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

from semlink import channels, codecs
from semlink.simulator import Link, SemlinkError, TxInfo
from semlink.simulator.conformance.codec import noiseless, smooth_pictures
from semlink.simulator.training.channels import Surrogate, ThroughLink
from semlink.simulator.training.codec import Recipe, Trainer
from semlink.simulator.training.muon import orthogonalise
from semlink.simulator.training.pictures import refuse_tests
from semlink.simulator.training.quality import mean_psnr
from semlink.simulator.training.run import save_weights
from semlink.simulator.training.transplant import transplant

RECIPE = Recipe(steps=20, batch=8, lr=2e-3, snr_db=(10.0, 10.0), warm_up=2)


def pictures(count: int = 32) -> list[torch.Tensor]:
    return [(p * 255).to(torch.uint8) for p in smooth_pictures(count, 32, 32)]


def trainer(folder, channel, recipe: Recipe = RECIPE, name: str = "deepjscc") -> Trainer:
    torch.manual_seed(0)
    codec = codecs.create(name, rho=1 / 12)
    return Trainer(codec, codec.new_network(), channel, recipe, folder)


def test_learns_through_the_real_link(tmp_path) -> None:
    channel = ThroughLink(tuple(Link(channels.create(name), csi="perfect") for name in ("awgn", "rayleigh")))
    run = trainer(tmp_path, channel, replace(RECIPE, steps=12, ema=0.9), "adjscc")  # both share a compiled graph
    images = smooth_pictures(16, 32, 32)
    before = run.validate(images)[10.0]
    after = run.run(pictures(), images)[10.0]
    assert after > before + 1.5, f"{before:.2f} -> {after:.2f} dB"


def test_resumes_where_it_was(tmp_path) -> None:
    first = trainer(tmp_path, Surrogate())
    first.run(pictures(), smooth_pictures(4, 32, 32))
    again = trainer(tmp_path, Surrogate())
    assert again.step == first.step and again.seconds == first.seconds
    assert torch.equal(again.average.encoder[0].weight, first.average.encoder[0].weight)
    loaded = codecs.create("deepjscc", rho=1 / 12, weights=tmp_path / "weights.safetensors")
    sent = loaded.encode(smooth_pictures(2, 32, 32), TxInfo())
    assert sent.streams[0].payload.shape == (2, 256)
    with pytest.raises(SemlinkError, match="trained for rho 0.0833"):
        codecs.create("deepjscc", rho=1 / 6, weights=tmp_path / "weights.safetensors").encode(
            smooth_pictures(1, 32, 32)
        )


def test_surrogate_keeps_the_contract() -> None:
    """Regression of x_hat on x within bins of a, as for the link."""
    x = torch.randn(400, 2000, dtype=torch.complex64)
    from semlink.simulator import Stream, Transmission

    sent = Transmission((Stream("latent", "analog", x / x.abs().square().mean(1, keepdim=True).sqrt()),))
    stream = Surrogate(0.5, 0.5)(sent, torch.full((400,), 4.0), torch.Generator().manual_seed(1)).streams[0]
    for low, high in ((0.2, 0.4), (0.6, 0.8)):
        chosen = (stream.a > low) & (stream.a < high)
        a, x_hat, sent_x = stream.a[chosen], stream.x_hat[chosen], sent.streams[0].payload[chosen]
        assert abs((x_hat * sent_x.conj()).real.mean() / a.mean() - 1) < 0.02
        assert abs((x_hat - a * sent_x).abs().square().mean() / (a * (1 - a)).mean() - 1) < 0.02


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalise(torch.randn(96, 864, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.5 and values.max() < 1.3


def test_training_needs_no_tensorflow() -> None:
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['sionna'] = None;"
        "from semlink.simulator.training import channels, codec, run, tuning; from semlink import codecs;"
        "codecs.create('adjscc').new_network()"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_tensors_that_fit_are_transplanted(tmp_path, capsys) -> None:
    """Of a codec of another rate all layers but the first and last of the channel fit; some networks know better."""
    torch.manual_seed(0)
    small, large = (codecs.create("deepjscc", rho=rho).new_network() for rho in (1 / 12, 1 / 6))
    fresh = {name: value.clone() for name, value in large.state_dict().items()}
    transplant(large, small.state_dict(), tmp_path)
    own, found = small.state_dict(), large.state_dict()
    fitting = [name for name in own if own[name].shape == found[name].shape]
    assert 0 < len(fitting) < len(own)
    assert all(torch.equal(found[name], own[name] if name in fitting else fresh[name]) for name in found)
    assert capsys.readouterr().out == f"{len(fitting)} of {len(own)} tensors taken from {tmp_path}\n"

    class Knowing(torch.nn.Module):
        def adopt(self, state) -> None:
            self.adopted = state

    knowing = Knowing()
    transplant(knowing, own, tmp_path)
    assert knowing.adopted is own and not capsys.readouterr().out


def test_quality_is_the_metric_of_what_comes(tmp_path) -> None:
    """Over a channel without noise the PSNR is that of encoding and decoding; the same noise gives the same number."""
    run = trainer(tmp_path, Surrogate())
    run.codec.use(run.average)
    images, snr_db = smooth_pictures(4, 32, 32), torch.full((4,), 60.0)
    calm = mean_psnr(run.codec, Surrogate(0.0, 0.0), images, snr_db, torch.Generator().manual_seed(0))
    received = run.codec.decode(noiseless(run.codec.encode(images, TxInfo(snr_db=snr_db))))
    assert calm == pytest.approx(-10 * (received - images).square().mean((1, 2, 3)).log10().mean().item(), abs=0.01)
    one, other = (
        mean_psnr(run.codec, Surrogate(), images, snr_db - 60, torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert one == other


def test_an_unknown_loss_is_refused() -> None:
    with pytest.raises(SemlinkError, match="unknown loss 'l1'; known: log_mse, mse"):
        Recipe(loss="l1")


@pytest.mark.parametrize("name", ["kodak", "cifar10", "my-test-pictures", "test"])
def test_test_sets_are_not_for_training(name) -> None:
    with pytest.raises(SemlinkError, match="a test set is not for training; known training sets end in -train"):
        refuse_tests(["cifar10-train", name])
    refuse_tests(["cifar10-train", "contest"])


def test_the_same_weights_are_the_same_bytes(tmp_path) -> None:
    """A file of weights is a function of tensors, settings and metadata (the library alone shuffles the metadata)."""
    network = torch.nn.Linear(3, 2)
    network.settings = {"widths": [3, 2]}
    said = {name: name * 3 for name in "abcdefgh"}
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path in paths:
        save_weights(network, path, said)
    assert len({path.read_bytes() for path in paths}) == 1
    with safe_open(paths[0], "pt") as file:
        assert file.metadata() == {"settings": '{"widths": [3, 2]}', **said}
        assert all(torch.equal(file.get_tensor(name), value) for name, value in network.state_dict().items())


def test_tensorboard_shows_loss_rate_and_quality(tmp_path) -> None:
    """Its own reader finds what the curve has, and losses in between."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = trainer(tmp_path, Surrogate())
    run.follow(True)
    levels = run.run(pictures(), smooth_pictures(4, 32, 32))
    shown = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in shown.Scalars("loss")] == [10, 20]
    rates = [event.value for event in shown.Scalars("learning rate")]
    assert rates == sorted(rates, reverse=True) and rates[0] < RECIPE.lr
    told = {name: shown.Scalars(name)[-1].value for name in shown.Tags()["scalars"] if name.startswith("held out/")}
    assert sorted(told.values()) == pytest.approx(sorted(levels.values()), abs=1e-3)


def test_tensorboard_that_is_not_installed_is_told_in_a_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SemlinkError, match=r"pip install 'semlink\[tensorboard\]'"):
        trainer(tmp_path, Surrogate()).follow(True)
