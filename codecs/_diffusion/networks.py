"""The denoisers that this project trains: small diffusers U-Nets on pictures whose pixels were traded for channels."""

from __future__ import annotations

from typing import Any


def make_unet(channels: int, widths: tuple[int, ...], hints: int = 0, classes: int = 0, side: int = 16) -> Any:
    """A `UNet2DModel` for states of `channels` planes beside `hints` planes; attention at all but the first level.

    widths: features per level, each half the resolution of the one before. classes: number of labels besides the null
    label, whose number is `classes`; 0: the network knows no classes. side: typical height and width of a state.
    """
    from diffusers import UNet2DModel

    deeper = len(widths) - 1
    return UNet2DModel(
        sample_size=side,
        in_channels=channels + hints,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=2,
        down_block_types=("DownBlock2D", *["AttnDownBlock2D"] * deeper),
        up_block_types=(*["AttnUpBlock2D"] * deeper, "UpBlock2D"),
        norm_num_groups=16,
        attention_head_dim=32,
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=classes + 1 if classes else None,
    )


def make_scheduler(prediction: str = "v_prediction") -> Any:
    """DDIM over the linear schedule of DDPM (1e-4 to 0.02, 1000 steps)."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(clip_sample=False, prediction_type=prediction)
