"""`roi_jscc` tuned for a segmenter: what it is trained for, and that received frames mean more for it."""

import pytest
import torch

from semlink import channels, codecs
from semlink.codecs._regions import unet
from semlink.codecs._regions.shapes import Shapes
from semlink.codecs.importance.box import Box
from semlink.codecs.importance.segmentation import Segmentation
from semlink.codecs.roi_jscc import RoiNetwork
from semlink.simulator import Link, SemlinkError, TxInfo, data
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.metrics.segmentation import confusion, mean_iou


def test_nothing_is_misread_in_the_same_pictures_and_more_with_more_noise() -> None:
    images = smooth_pictures(2, 64, 64)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    losses = [float(unet.misread(images + level * noise, images)) for level in (0.0, 0.05, 0.2)]
    assert abs(losses[0]) < 1e-6 < losses[1] < losses[2]


def test_what_is_misread_has_a_slope() -> None:
    images = smooth_pictures(1, 64, 64)
    received = (images + 0.05).clamp(0.1, 0.9).requires_grad_()
    unet.misread(received, images).backward()
    assert received.grad is not None and received.grad.abs().sum() > 0


def test_half_of_the_training_regions_come_from_the_given_importance() -> None:
    images = torch.rand(60, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = Box(0.0, 0.0, 1.0, 1.0)
    maps = Shapes(none=0.2, area=(0.02, 0.2), others=whole).maps(images)
    shares = maps.mean((1, 2))
    assert 15 <= int((shares == 1).sum()) <= 33 and 4 <= int((shares == 0).sum()) <= 20


def test_networks_of_another_rate_begin_with_the_same_first_planes() -> None:
    torch.manual_seed(0)
    large, small = RoiNetwork(planes=4), RoiNetwork(planes=2)
    small.adopt(large.state_dict())
    for part in range(2):
        assert torch.equal(
            small.encoder.last.weight[4 * part : 4 * part + 4], large.encoder.last.weight[8 * part :][:4]
        )
    for part in range(3):
        own = small.decoder.first.weight[:, 4 * part : 4 * part + 4]
        assert torch.equal(own, large.decoder.first.weight[:, 8 * part : 8 * part + 4])
    assert torch.equal(small.encoder.first.weight, large.encoder.first.weight)


def test_an_unknown_domain_is_refused() -> None:
    with pytest.raises(SemlinkError, match="unknown domain 'sea'; known: natural, street"):
        codecs.create("roi_jscc", domain="sea")


def test_received_frames_mean_more_than_those_of_the_natural_codec() -> None:
    try:
        frames = torch.stack(list(data.load("camvid-drives-val", 6)))
    except SemlinkError as error:
        pytest.skip(str(error))
    segmenter, link = Segmentation(), Link(channels.create("awgn"))
    sent = segmenter.labels(frames)
    found = {}
    for domain in ("natural", "street"):
        codec = codecs.create("roi_jscc", importance="segmentation", domain=domain)
        received = codec.decode(link(codec.encode(frames, TxInfo(snr_db=0.0)), snr_db=0.0, seed=0))
        counts = confusion(segmenter.labels(received), sent, len(unet.CLASSES)).sum(0)
        found[domain] = float(mean_iou(counts))
    assert found["street"] > found["natural"] + 0.05, found
