"""Latents of pre-trained autoencoders over the air, denoised by pre-trained models: tiny ones, and exact ones."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from far_hub import nobody_answers
from tiny_models import autoencoder, controlnet, exact_receiver, go_offline, save_all, tiny_autoencoder, unet

from semlink import codecs
from semlink.codecs._diffusion import captions, latents, loading
from semlink.codecs._diffusion.latent_receiver import LatentReceiverPipeline
from semlink.codecs._diffusion.levels import alphas, step_of
from semlink.codecs._diffusion.states import received_states
from semlink.codecs._learned.codec import to_symbols
from semlink.codecs.latent_diffusion import write_captions
from semlink.simulator import Reception, SemlinkError, Stream, Transmission, check_codec
from semlink.simulator.bits import framing
from semlink.simulator.conformance.channel import check_reception
from semlink.simulator.conformance.codec import check_pictures, check_transmission, lost, noiseless, smooth_pictures
from semlink.simulator.training.channels import Surrogate

IMAGES = smooth_pictures(3, 64, 72)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("models"))


def words(images: torch.Tensor) -> Sequence[str]:
    return ["a red cat" if image.mean() > 0.5 else "dog" for image in images]


def create(models: Path, **settings):
    return codecs.create("latent_diffusion", **{"model": models / "sd", "steps": 2, **settings})


def guided(models: Path, **settings):
    return create(models, controlnet=models / "control", caption=words, **settings)


def received(sent: Transmission, snr_db: float = 5.0, seed: int = 0) -> Reception:
    """Over AWGN, bits streams sound."""
    batch = len(sent.streams[0].payload)
    return Surrogate(0, 0, 0)(sent, torch.full((batch,), snr_db), torch.Generator().manual_seed(seed))


def without(reception: Reception, name: str, payload: bytes | None = None) -> Reception:
    """That reception with every payload of a stream lost, or replaced."""
    streams = [replace(s, payload=(payload,) * len(s.payload)) if s.name == name else s for s in reception.streams]
    return replace(reception, streams=tuple(streams))


def test_conforms(models: Path) -> None:
    check_codec(guided(models, guidance=2.0), IMAGES[..., :50, :61], floor_db=5)  # the models are random


@pytest.mark.parametrize("settings", [{"vae": "taesd"}, {"vae": "wide", "rho": 1 / 24, "steps": 0}], ids=str)
def test_other_autoencoders(models: Path, settings: dict) -> None:
    codec = create(models, **{**settings, "vae": models / settings["vae"]})
    sent = codec.encode(IMAGES)
    check_transmission(sent, 3)
    assert sent.streams[0].payload.shape[1] == codec.uses(64, 72) == round(codec.rho * 3 * 64 * 72)
    check_pictures(codec.decode(received(sent)), IMAGES)


@pytest.mark.parametrize("kind", [autoencoder, tiny_autoencoder])
def test_latents_are_those_of_diffusers(kind) -> None:
    """As its pipelines scale them: (z - shift) scaling_factor, pictures within -1 and 1."""
    vae, images = kind(), IMAGES[:2]
    with torch.no_grad():
        encoded = vae.encode(2 * images - 1)
        z = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        wanted = vae.decode(z).sample / 2 + 0.5
    scaled = (z - (vae.config.get("shift_factor") or 0)) * vae.config.scaling_factor
    assert torch.allclose(latents.to_latents(vae, images), scaled, atol=1e-5)
    assert torch.allclose(latents.to_pictures(vae, scaled), wanted.clamp(0, 1), atol=1e-5)


def test_rates(models: Path) -> None:
    codec = guided(models, rho=1 / 48)
    sent = codec.encode(IMAGES)
    latent, scale, caption, edges = sent.streams
    assert latent.payload.shape == (3, 2 * 2 * 8 * 9) and torch.equal(*latent.payload.chunk(2, 1))
    assert scale.uses == 256 and edges.uses == 128 and caption.uses is None
    assert all(len(p) <= framing.room(edges.uses, framing.get("qpsk-0.25")) for p in edges.payload)
    assert all(s.protection == "robust" for s in (scale, caption, edges))
    assert [s.name for s in create(models).encode(IMAGES).streams] == ["latent", "scale"]
    for rho in (1 / 200, 1 / 70):
        with pytest.raises(SemlinkError, match="this autoencoder's latents take 1/96, 1/48, 1/32, 1/24 and"):
            create(models, rho=rho).encode(IMAGES)
    with pytest.raises(SemlinkError, match="take 1/24, 1/12, 1/8"):
        create(models, vae=models / "wide").uses(64, 64)


def test_scales_are_a_byte_each_and_fall_back() -> None:
    z = torch.randn(5, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    z = z * torch.tensor([0.05, 0.4, 1.0, 5.0])[:, None, None] + torch.tensor([-3.0, 0.0, 0.7, 2.0])[:, None, None]
    sent = latents.scale_bytes(z)
    assert all(len(scale) == 8 for scale in sent)
    mean, spread, missing = latents.scales([*sent[:3], None, b"short"], 4)
    unit = ((z - mean) / spread)[:3]
    assert missing == 2 and torch.allclose(unit.square().mean((2, 3)), torch.ones(3, 4), rtol=0.031)
    assert mean[3:].abs().max() == 0 and (spread[3:] == 1).all()


@pytest.mark.parametrize("copies", [2, 3])
def test_copies_add_their_signal_to_noise_ratios(copies: int) -> None:
    """Two copies of one level double the SINR; the contract holds for unequal ones as well."""
    generator = torch.Generator().manual_seed(0)
    x = to_symbols(torch.randn(40, 2, 40, 50, generator=generator))
    stream = Surrogate(0, 0, 0)(Transmission((Stream("x", "analog", x.repeat(1, copies)),)), torch.zeros(40), generator)
    once = latents.combined(stream.streams[0], copies)
    assert torch.allclose(once.a / (1 - once.a), torch.full_like(once.a, float(copies)), rtol=1e-4)
    fading = Surrogate(0, 1, 0)(Transmission((Stream("x", "analog", x.repeat(1, copies)),)), torch.zeros(40), generator)
    once = latents.combined(fading.streams[0], copies)
    sinr = (fading.streams[0].a / (1 - fading.streams[0].a)).reshape(40, copies, -1).sum(1)
    assert torch.allclose(once.a, sinr / (1 + sinr), atol=1e-5)
    check_reception(x.numpy(), once.x_hat.numpy(), once.a.numpy(), 0.04, "combined")


def test_states_of_the_model_have_its_signal_to_noise_ratio() -> None:
    """sqrt(alpha) z + sqrt(1 - alpha) n with n white: not at the level of the symbols but of the latent."""
    generator = torch.Generator().manual_seed(1)
    mean, spread = torch.tensor([[0.5, -2.0]])[..., None, None], torch.tensor([[0.3, 2.0]])[..., None, None]
    a = 0.98 * torch.rand(4, 2, 200, 200, generator=generator)
    u, noise = torch.randn(2, 4, 2, 200, 200, generator=generator)
    states, alpha = latents.to_model(a.sqrt() * u + (1 - a).sqrt() * noise, a, mean, spread)
    left = (states - alpha.sqrt() * (mean + spread * u)) / (1 - alpha).sqrt()
    assert torch.allclose(left, noise, atol=2e-3)
    assert (alpha[:, 0] > a[:, 0]).all() and (alpha[:, 1] < a[:, 1]).all()
    dead, none = latents.to_model(torch.zeros(1, 2, 1, 1), torch.zeros(1, 2, 1, 1), mean, spread)
    assert not none.any() and not dead.any()


@pytest.mark.parametrize("a", [0.9, 0.4])
def test_gaussian_latents_are_estimated_as_well_as_can_be(tmp_path: Path, a: float) -> None:
    """One step of the exact network from the measured level: error S^2 v / (S^2 + v), v = S^2 (1 - a) / a."""
    m, s, _ = latents.scales([bytes([144, 120, 128, 160, *[150] * 4])] * 8, 4)
    spread, mean = float(s[0, 0]), m[0].expand(4, 32, 32)
    generator = torch.Generator().manual_seed(2)
    z = mean + spread * torch.randn(8, 4, 32, 32, generator=generator)
    x = to_symbols((z - m) / s)
    x_hat = a * x + (a * (1 - a)) ** 0.5 * torch.randn(x.shape, dtype=torch.complex64, generator=generator)
    stream = replace(
        noiseless(Transmission((Stream("x", "analog", x),))).streams[0], x_hat=x_hat, a=torch.full(x.shape, a)
    )
    unit, level = received_states(stream, 2, 32, 32)
    states, alpha = latents.to_model(unit, level, m, s)
    pipeline = exact_receiver(tmp_path, mean, spread)
    found = pipeline(
        states, alpha, num_inference_steps=1, generator=torch.Generator().manual_seed(0), output_type="latent"
    )
    best = spread**2 * (1 - a)
    assert float((found.images - z).square().mean()) == pytest.approx(best, rel=0.03)
    assert pipeline.unet.asked == [int(step_of(pipeline.scheduler, alpha.min()))]
    plain = latents.least_square(unit, level, m, s)
    assert float((plain - z).square().mean()) == pytest.approx(best, rel=0.03), "Gaussian: the linear one is the best"
    untrue = pipeline(states, level, num_inference_steps=1, output_type="latent").images
    assert (untrue - z).square().mean() > 1.08 * best, "the level of the symbols is not that of the latent"


def test_many_steps_end_in_the_law_of_clean_latents(tmp_path: Path) -> None:
    """From a fading channel, symbols of every level: mean and spread are those of the latents."""
    spread, mean = 0.6, torch.linspace(-1, 1, 4 * 32 * 32).reshape(4, 32, 32)
    generator = torch.Generator().manual_seed(3)
    z = mean + spread * torch.randn(8, 4, 32, 32, generator=generator)
    alpha = (0.3 + 0.6 * torch.rand(z.shape, generator=generator)).round(decimals=1)
    states = alpha.sqrt() * z + (1 - alpha).sqrt() * torch.randn(z.shape, generator=generator)
    pipeline = exact_receiver(tmp_path, mean, spread, DPMSolverMultistepScheduler)
    clean = pipeline(states, alpha, num_inference_steps=40, generator=generator, output_type="latent").images
    assert float((clean - mean).mean()) == pytest.approx(0, abs=0.02)
    assert float((clean - mean).std()) == pytest.approx(spread, rel=0.05)


def test_start_step_is_that_of_the_measured_level(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec, asked = create(models), []
    pipeline = codec.pretrained.receiver(torch.device("cpu"))
    ask = pipeline._ask
    monkeypatch.setattr(pipeline, "_ask", lambda seen, step, *others: asked.append(step) or ask(seen, step, *others))
    sent = codec.encode(IMAGES[:1])
    for snr_db in (-5.0, 5.0, 15.0):
        asked.clear()
        reception = received(sent, snr_db)
        codec.decode(reception)
        *_, spread = codec.received(reception)
        snr = 10 ** (snr_db / 10)
        alpha = snr / (snr + spread.max() ** 2)  # of the noisiest channel
        assert asked[0] == int(step_of(pipeline.scheduler, alpha)) and len(asked) == 2


def test_schedulers_of_the_model_and_by_name(models: Path) -> None:
    sent = create(models).encode(IMAGES[:1])
    found = {}
    for name, kind in ((None, "DDIM"), ("lcm", "LCM"), ("dpm", "DPMSolverMultistep")):
        codec = create(models, scheduler=name, steps=3)
        pipeline = codec.pretrained.receiver(torch.device("cpu"))
        assert type(pipeline.scheduler).__name__ == f"{kind}Scheduler", "Euler cannot start within its schedule"
        assert abs(float(alphas(pipeline.scheduler)[-1]) - 0.0047) < 1e-3, "Stable Diffusion's noise levels"
        found[name] = codec.decode(received(sent))
        assert torch.equal(codec.decode(received(sent)), found[name]), f"{kind} draws noise of its own"
    assert not torch.allclose(found[None], found["lcm"], atol=1e-3)


def test_each_picture_alone_and_the_public_seed(models: Path) -> None:
    codec = guided(models, guidance=1.5, steps=3, rho=1 / 48)
    sent = codec.encode(IMAGES)
    reception = replace(received(sent), public_seed=2**63 + 7)
    whole = codec.decode(reception)
    for i in range(3):
        one = [
            replace(s, x_hat=s.x_hat[i : i + 1], a=s.a[i : i + 1])
            if s.kind == "analog"
            else replace(s, payload=s.payload[i : i + 1])
            for s in reception.streams
        ]
        assert torch.allclose(codec.decode(replace(reception, streams=tuple(one))), whole[i : i + 1], atol=1e-4)
    torch.manual_seed(5)
    assert torch.equal(codec.decode(reception), whole)
    assert not torch.allclose(codec.decode(replace(reception, public_seed=1)), whole, atol=1e-4)


def test_guides_matter_and_what_is_lost_goes_without(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    codec = guided(models)
    sent = codec.encode(IMAGES)
    reception = received(sent)
    whole = codec.decode(reception)
    for name, message in (
        ("caption", "3 of 3 captions lost"),
        ("edges", "3 of 3 edge maps lost"),
        ("scale", "scales of 3 of 3 latents lost"),
    ):
        caplog.clear()
        found = codec.decode(without(reception, name))
        check_pictures(found, IMAGES)
        assert message in caplog.text and not torch.allclose(found, whole, atol=1e-5)
        assert torch.equal(codec.decode(without(reception, name, b"\xff\xff\xff")), found), "bytes of nothing"
    plain = create(models)
    bare = replace(reception, streams=reception.streams[:2])
    assert torch.equal(plain.decode(bare), codec.decode(without(without(reception, "caption"), "edges")))
    assert not torch.allclose(guided(models, guidance=3.0).decode(reception), whole, atol=1e-5)
    assert not torch.allclose(guided(models, control=0.3).decode(reception), whole, atol=1e-5)


def test_bad_input_gives_defined_pictures(models: Path, caplog: pytest.LogCaptureFixture) -> None:
    for settings in ({}, {"rho": 1 / 48}, {"steps": 0}):
        codec = create(models, **settings)
        sent = codec.encode(IMAGES)
        reception = received(sent)
        stream, *others = reception.streams
        x_hat, a = stream.x_hat.clone(), stream.a.clone()
        x_hat[0, :9], a[1, 5] = complex("nan"), float("inf")
        caplog.clear()
        broken = codec.decode(replace(reception, streams=(replace(stream, x_hat=x_hat, a=a), *others)))
        check_pictures(broken, IMAGES)
        assert "10 symbols that are not finite" in caplog.text
        assert torch.allclose(broken[2], codec.decode(reception)[2], atol=1e-4)
        caplog.clear()
        nothing = codec.decode(lost(sent))
        check_pictures(nothing, IMAGES)
        assert "nothing arrived of 3 of 3 latents" in caplog.text
        assert torch.equal(nothing[0], nothing[1]), "the mean of latents, which nobody told"
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        check_pictures(create(models).decode(received(sent, -40.0)), IMAGES)
        check_pictures(create(models).decode(noiseless(sent)), IMAGES)
    assert caplog.text.count("beyond the schedule") == 2


def test_a_failing_model_leaves_the_latent_as_it_came(
    models: Path, caplog: pytest.LogCaptureFixture, monkeypatch
) -> None:
    codec, plain = create(models), create(models, steps=0)
    reception = received(codec.encode(IMAGES))
    pipeline = codec.pretrained.receiver(torch.device("cpu"))
    monkeypatch.setattr(pipeline, "_ask", lambda seen, *_: seen * float("nan"))
    assert torch.allclose(codec.decode(reception), plain.decode(reception), atol=1e-5)
    assert "the model failed on 3 of 3" in caplog.text


def test_no_steps_is_the_autoencoder_over_the_air(models: Path, tmp_path: Path) -> None:
    """And needs no other model; with a noiseless link it is the autoencoder."""
    codec = codecs.create("latent_diffusion", model=tmp_path / "nowhere", vae=models / "taesd", steps=0)
    vae = codec.vae()
    sent = codec.encode(IMAGES)
    wanted = latents.to_pictures(vae, latents.to_latents(vae, torch.nn.functional.pad(IMAGES, (0, 0, 0, 0))))
    assert torch.allclose(codec.decode(noiseless(sent)), wanted, atol=0.02)
    noisy = [(codec.decode(received(sent, snr_db)) - wanted).square().mean() for snr_db in (-5.0, 5.0, 15.0)]
    assert noisy == sorted(noisy, reverse=True)


def test_captions_by_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "captions.json"
    write_captions(file, IMAGES[:1], ["a photo of a red cat"])
    write_captions(file, IMAGES[1:2], ["zwei Hunde am Fluß"])
    source = captions.find_captions(file)
    assert captions.captions_of(source, IMAGES) == ["a photo of a red cat", "zwei Hunde am Fluß", ""]
    assert "no caption of 1 pictures" in caplog.text
    nearly = IMAGES[:1].clone()
    nearly[0, 0, 0, 0] += 1 / 255
    assert captions.fingerprints(nearly) != captions.fingerprints(IMAGES[:1])
    with pytest.raises(SemlinkError, match="write_captions"):
        captions.find_captions(str(tmp_path / "none.json"))(IMAGES)
    with pytest.raises(SemlinkError, match="1 captions for 3 pictures"):
        captions.captions_of(lambda images: ["one"], IMAGES)


def test_captions_travel_in_few_bytes() -> None:
    usual = "a group of people standing on top of a snowy mountain looking at the camera"
    for text in ("", "x", "日本", usual, "ÿ" * 5000):
        packed = captions.pack(text)
        assert len(packed) <= len(text.encode())
        assert captions.unpack(packed) == text[: captions.LONGEST // 2 if len(text) > 2000 else None]
    assert len(captions.pack(usual)) < 0.4 * len(usual)
    for bad in (None, b"\xff\xff", b"\xc3", b"\xfe"):
        assert captions.unpack(bad) is None


def test_a_captioner_of_the_hub(tmp_path: Path) -> None:
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipProcessor

    pil = pytest.importorskip("transformers.models.blip.image_processing_pil_blip", reason="image processors by PIL")
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *"abcdefgh"]))
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 5, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    text = {**sizes, **ids, "vocab_size": 14, "encoder_hidden_size": 16, "max_position_embeddings": 64}
    torch.manual_seed(0)
    config = BlipConfig(text_config=text, vision_config={**sizes, "image_size": 16, "patch_size": 8}, projection_dim=16)
    model = BlipForConditionalGeneration(config)
    torch.nn.init.constant_(model.text_decoder.cls.predictions.bias[6:7], 50)  # which says a and nothing else
    model.save_pretrained(tmp_path)
    size = {"height": 16, "width": 16}
    vocabulary = BertTokenizer(str(tmp_path / "vocab.txt"), bos_token="[DEC]")
    BlipProcessor(pil.BlipImageProcessorPil(size=size), vocabulary).save_pretrained(tmp_path)
    found = captions.captions_of(captions.find_captions(tmp_path), IMAGES[:2])
    assert found[0] == found[1] and set(found[0].split()) == {"a"}


def test_it_is_a_diffusers_pipeline(models: Path, tmp_path: Path) -> None:
    """Loaded from a StableDiffusionPipeline's folder, saved, loaded again; every output type."""
    made = LatentReceiverPipeline.from_pretrained(models / "sd", low_cpu_mem_usage=False)
    made.save_pretrained(tmp_path)
    again = LatentReceiverPipeline.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    for pipeline in (made, again):
        pipeline.set_progress_bar_config(disable=True)
    states, alpha = torch.randn(2, 4, 8, 9), torch.full((2, 1, 1, 1), 0.6)
    settings = {"prompt": "a red cat", "num_inference_steps": 2}

    def run(pipeline: LatentReceiverPipeline, output: str):
        generator = torch.Generator().manual_seed(0)
        return pipeline(states, alpha, **settings, generator=generator, output_type=output).images

    whole = run(made, "pt")
    assert whole.shape == (2, 3, 64, 72) and torch.allclose(run(again, "pt"), whole, atol=1e-4)
    assert abs(run(made, "np").transpose(0, 3, 1, 2) - whole.numpy()).max() < 1e-6
    assert run(made, "pil")[0].size == (72, 64) and run(made, "latent").shape == states.shape
    with pytest.raises(SemlinkError, match="known: latent, pt, np, pil"):
        made(states, alpha, output_type="jpeg")
    modules = {name: part for name, part in made.components.items() if name not in ("unet", "controlnet")}
    for network, control, message in (
        (unet(in_channels=9), None, "takes 9 latent channels, the autoencoder gives 4"),
        (made.unet, controlnet(unet(cross_attention_dim=8)), "made for another model .8 features .* has 16"),
    ):
        with pytest.raises(SemlinkError, match=message):
            LatentReceiverPipeline(**modules, unet=network, controlnet=control)


def test_dtype_device_and_memory(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = create(models).encode(IMAGES[:2])
    reception = received(sent, 0.0)
    whole = create(models).decode(reception)
    half = create(models, dtype="bfloat16", device="cpu")
    pipeline = half.pretrained.receiver(torch.device("cpu"))
    assert pipeline.unet.dtype == pipeline.text_encoder.dtype == torch.bfloat16 and pipeline.vae.dtype == torch.float32
    assert (half.decode(reception) - whole).abs().mean() < 0.02
    thrifty = create(models, memory="attention_slicing/vae_slicing/vae_tiling")
    assert thrifty.vae().use_slicing and thrifty.vae().use_tiling and not create(models).vae().use_slicing
    check_pictures(thrifty.decode(reception), IMAGES[:2])
    sliced = create(models, memory="attention_slicing/vae_slicing")
    assert torch.allclose(sliced.decode(reception), whole, atol=1e-4)
    asked = []
    monkeypatch.setattr(LatentReceiverPipeline, "enable_model_cpu_offload", lambda self, device: asked.append(device))
    create(models, memory="cpu_offload").decode(reception)
    assert asked == [torch.device("cpu")]


def test_wrong_settings_say_what_to_do(models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for settings, message in (
        ({"memory": "swap"}, "unknown memory option 'swap'; known: none, attention_slicing, .*vae_tiling"),
        ({"device": "abacus"}, "unknown device 'abacus'; give cpu, cuda"),
        ({"dtype": "int4"}, "unknown dtype 'int4'; known: float32"),
        ({"scheduler": "heun"}, "unknown scheduler 'heun'; known: ddim, dpm, lcm"),
        ({"steps": -1}, "give budget or a number"),
        ({"rho": 0}, "must be above 0"),
    ):
        with pytest.raises(SemlinkError, match=message):
            create(models, **settings)
    if not torch.cuda.is_available():
        with pytest.raises(SemlinkError, match="device cuda"):
            create(models, device="cuda").encode(IMAGES)
    with pytest.raises(SemlinkError, match="is of the class UNet2DConditionModel; it must be AutoencoderKL or"):
        create(models, vae=models / "sd" / "unet").encode(IMAGES)
    with pytest.raises(SemlinkError, match="takes 4 latent channels, the autoencoder gives 16"):
        codec = create(models, vae=models / "wide", rho=1 / 24)
        codec.decode(received(codec.encode(IMAGES[:1])))
    with pytest.raises(SemlinkError, match="did not load .*it needs model_index.json"):
        create(models, model=tmp_path).encode(IMAGES)


def test_offline_says_what_to_download(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_offline(monkeypatch)
    with pytest.raises(SemlinkError, match="hf download stabilityai/sd-turbo --local-dir FOLDER.*model_index.json"):
        codecs.create("latent_diffusion").encode(IMAGES)
    with pytest.raises(SemlinkError, match="hf download madebyollin/taesd --local-dir FOLDER.*config.json"):
        create(models, vae="madebyollin/taesd").encode(IMAGES)
    codec = create(models, controlnet="lllyasviel/sd-controlnet-scribble")
    with pytest.raises(SemlinkError, match="hf download lllyasviel/sd-controlnet-scribble"):
        codec.decode(received(codec.encode(IMAGES)))
    with pytest.raises(SemlinkError, match="hf download some/captioner .*tokenizer"):
        create(models, caption="some/captioner").encode(IMAGES)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    autoencoder().save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(SemlinkError, match="did not load .*safetensors"):
        loading.load_one_of({"AutoencoderKL": type(autoencoder())}, tmp_path)


def test_a_name_fails_at_once_where_the_hub_is_out_of_reach(monkeypatch, recwarn) -> None:
    nobody_answers(monkeypatch)
    with pytest.raises(SemlinkError, match="'me/sd' is neither a folder nor on the hub or in its cache") as error:
        codecs.create("latent_diffusion", model="me/sd").uses(64, 64)
    assert "\n" not in str(error.value) and not [w for w in recwarn if "symlinks" in str(w.message)]
