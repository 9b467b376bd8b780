"""What tables are measured by: errors and levels whose size theory tells."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scripts import loaded
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from semlink.codecs._diffusion.measuring import curve as sigma_curve
from semlink.codecs._diffusion.measuring import replaced, rms_error
from semlink.codecs._sources import ladder
from semlink.codecs._sources import measuring as coders
from semlink.codecs._sources.coders import coder
from semlink.codecs.semlink.hybrid import measuring as hybrid
from semlink.codecs.semlink.hybrid.measuring_thumbs import lloyd_max, moments, table
from semlink.codecs.semlink.hybrid.thumbs import coefficients
from semlink.simulator.values import Session, Stream, Transmission


class Plain:
    """Pixels less grey as symbols, scaled so that they have power 1; rho does not matter."""

    def at(self, rho: float) -> "Plain":
        return self

    def encode(self, images, tx) -> Transmission:
        flat = (images - 0.5).flatten(1)
        self.scale = flat.square().mean().sqrt() * 2**0.5
        symbols = torch.view_as_complex((flat / self.scale).unflatten(1, (-1, 2)))
        return Transmission((Stream("pixels", "analog", symbols),), Session(*images.shape[-2:]))

    def decode(self, reception) -> torch.Tensor:
        session, x_hat = reception.session, reception.streams[0].x_hat
        return 0.5 + self.scale * torch.view_as_real(x_hat).reshape(len(x_hat), 3, session.height, session.width)


def noise_pictures() -> torch.Tensor:
    """Gaussian around grey, of variance 0.01."""
    return 0.5 + 0.1 * torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_rms_error_is_that_of_the_linear_estimate() -> None:
    """Of symbols of power sigma^2 the error is sigma^2 / (1 + SNR)."""
    for snr in (0.0, 10.0):
        expected = (0.01 / (1 + 10 ** (snr / 10))) ** 0.5
        assert rms_error(Plain(), noise_pictures(), snr) == pytest.approx(expected, rel=0.02)
    found = sigma_curve(Plain(), noise_pictures(), (0.0, 10.0), "")
    assert found["sigma"] == sorted(found["sigma"], reverse=True) and found["snr_db"] == (0.0, 10.0)


def test_entries_of_a_table_are_replaced_by_what_they_are_about() -> None:
    def entry(rho: float, sigma: float) -> dict[str, object]:
        return {"inner": "adjscc", "rho": rho, "pool": 2, "side": 32, "sigma": [sigma]}

    assert replaced([entry(0.1, 1.0), entry(0.2, 2.0)], [entry(0.1, 3.0)]) == [entry(0.2, 2.0), entry(0.1, 3.0)]


def test_levels_alone_follow_theory() -> None:
    levels = np.array(hybrid.levels_alone(Plain(), noise_pictures()))
    assert levels.shape == (len(hybrid.ALONE), len(hybrid.SNR_DB), len(hybrid.METRICS))
    theory = [20 + 10 * np.log10(1 + 10 ** (snr / 10)) for snr in hybrid.SNR_DB]
    assert np.allclose(levels[..., 0], theory, atol=0.15) and (np.diff(levels[..., 1]) <= 1e-3).all()


def test_levels_of_equal_pictures_are_capped() -> None:
    pictures = torch.rand(2, 3, 8, 8)
    assert hybrid.levels(pictures, pictures) == [hybrid.MOST_DB, 0]
    found = hybrid.levels(pictures * 0 + 2, pictures * 0 + 0.5)
    assert found[0] == pytest.approx(6.021), "2 is cut to 1"


def test_psnr_of_coders_is_scikit_images() -> None:
    picture = data.astronaut()[:64, :48]
    other = np.clip(picture.astype(int) + 7, 0, 255).astype(np.uint8)
    assert coders.psnr(picture, other) == pytest.approx(peak_signal_noise_ratio(picture, other, data_range=255))
    assert coders.psnr(picture, picture) == coders.MOST_DB
    spread = picture.reshape(-1, 3).var(0).mean()
    assert coders.flat(picture) == pytest.approx(10 * np.log10(255**2 / spread))


def test_curves_of_coders_rise_from_the_mean_colour() -> None:
    picture = data.astronaut()[:64, :64]
    found = coders.curve("jpeg", [picture], (0.01, 2.0, 4.0))
    assert found["psnr"][0] == found["flat"] and found["grey"] < found["flat"] < found["psnr"][1] < found["psnr"][2]


def test_coders_are_compared_picture_by_picture(tmp_path: Path) -> None:
    """The table holds the first coder's mean level, and the others' mean difference to it on the same pictures."""
    pictures = [data.astronaut()[y : y + 48, y : y + 64] for y in (0, 100)]
    for place, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / f"{place}.png")
    page = tmp_path / "page.md"
    page.write_text("<!-- coders begin -->\n<!-- coders end -->\n")
    with loaded("compare_coders") as experiment:
        flags = experiment.CompareCodersFlags(("jpeg", "webp"), (str(tmp_path),), 2, (150, 600), tmp_path, tmp_path)
        assert experiment.main(flags) == 0
    first, other = (coders.levels(name, pictures, (150, 600)) for name in ("jpeg", "webp"))
    assert first.shape == (2, 2) and (first[:, 0] < first[:, 1]).all()
    for place, picture in enumerate(pictures):
        shown = ladder.code(coder("jpeg"), picture, 150).picture
        assert first[place, 0] == pytest.approx(peak_signal_noise_ratio(picture, shown, data_range=255))
    assert all(f"| {level:.2f} |" in page.read_text() for level in first.mean(0))
    assert all(f"| {gain:+.2f} ± " in page.read_text() for gain in (other - first).mean(0))


def test_lloyd_max_of_a_laplacian() -> None:
    """One bit: levels at the mean magnitude 1 / sqrt(2), error 1 / 2; two bits: 0.1762 (Max 1960; Paez and Glisson
    1972, table of the Laplacian)."""
    levels, error = lloyd_max(2)
    assert levels.tolist() == [pytest.approx(2**-0.5, abs=1e-3)] and error == pytest.approx(0.5, abs=1e-3)
    levels, error = lloyd_max(4)
    assert levels.tolist() == [pytest.approx(0.395, abs=0.03), pytest.approx(1.81, abs=0.03)]
    assert error == pytest.approx(0.176, abs=2e-3)


def test_the_shipped_table_of_thumbnails_has_these_quantisers() -> None:
    path = Path(hybrid.__file__).parents[2] / "tables" / "semlink-thumbs.json"
    shipped = json.loads(path.read_text())
    pictures = [data.astronaut()[y : y + 32, y : y + 32] for y in (0, 100, 200, 300)]
    found = table(pictures)
    assert found["levels"] == shipped["levels"] and found["left"] == shipped["left"]
    assert np.shape(found["variances"]) == np.shape(shipped["variances"]) == (3, 32, 32)


def test_moments_are_those_of_the_coefficients() -> None:
    pictures = [data.astronaut()[y : y + 8, y : y + 8] for y in range(0, 400, 20)]
    means, variances = moments(pictures)
    every = np.array([coefficients(picture) for picture in pictures])
    assert np.allclose(means[:, 0, 0], every.mean(0)[:, 0, 0]) and np.count_nonzero(means) == 3
    assert np.allclose(variances[:, 0, 0], every.var(0)[:, 0, 0])
    assert np.allclose(variances[:, 3, 2], (every**2).mean(0)[:, 3, 2])
