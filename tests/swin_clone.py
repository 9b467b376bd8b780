"""A clone with the layout, names and signatures of SwinJSCC or WITT, without a line of theirs: no attention, a
residual layer in its place, but resolutions, masks, modulators and all that they do with a device.
"""

from pathlib import Path

import torch

from semlink.codecs.checkpoint import swin

WIDTHS, WINDOW = (16, 24), 2
ENDS = {
    "encoder": swin.Stages(WIDTHS, (1, 2), (2, 4), WINDOW),
    "decoder": swin.Stages(WIDTHS[::-1], (2, 1), (4, 2), WINDOW),
}

MODULES = """
import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, window, heads):
        super().__init__()
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.proj = nn.Linear(dim, dim)


class Block(nn.Module):
    def __init__(self, dim, resolution, window, heads, shift):
        super().__init__()
        self.input_resolution, self.shift = resolution, shift
        self.norm1, self.attn = nn.LayerNorm(dim), Attention(dim, window, heads)
        self.register_buffer("attn_mask", torch.zeros(resolution) if shift else None)

    def update_mask(self):
        if self.shift:
            self.attn_mask = torch.zeros(self.input_resolution).cuda()

    def forward(self, x):
        height, width = self.input_resolution
        assert x.shape[1] == height * width and height % 2 == 0 and width % 2 == 0
        mask = self.attn_mask.reshape(-1, 1) if self.shift else 0
        return x + self.attn.proj(self.norm1(x)) / 4 + mask


class Down(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.reduction, self.input_resolution = nn.Linear(4 * dim, out, bias=False), None

    def forward(self, x):
        x = x.transpose(1, 2).unflatten(2, self.input_resolution)
        return self.reduction(nn.functional.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2))


class Up(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.increment, self.input_resolution = nn.Linear(dim, 4 * out, bias=False), None

    def forward(self, x):
        x = self.increment(x).transpose(1, 2).unflatten(2, self.input_resolution)
        return nn.functional.pixel_shuffle(x, 2).flatten(2).transpose(1, 2)


class Gate(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(1, size), nn.Sigmoid())

    def forward(self, value):
        return self.fc(value)


def gated(x, outer, inner, value):
    condition = torch.tensor(value, dtype=torch.float).to(x.get_device())
    condition = condition.unsqueeze(0).expand(len(x), -1)
    return torch.sigmoid(outer[1](outer[0](x) * inner[0](condition / 13).unsqueeze(1)))
"""
ENCODER = """
from net.modules import *


class Layer(nn.Module):
    def __init__(self, dim, out, resolution, depth, heads, window, down):
        super().__init__()
        self.blocks = nn.ModuleList(Block(out, resolution, window, heads, i % 2) for i in range(depth))
        self.downsample = Down(dim, out) if down else None

    def forward(self, x):
        x = x if self.downsample is None else self.downsample(x)
        for block in self.blocks:
            x = block(x)
        return x

    def update_resolution(self, height, width):
        for block in self.blocks:
            block.input_resolution = height, width
            block.update_mask()
        if self.downsample is not None:
            self.downsample.input_resolution = 2 * height, 2 * width


class KIND_Encoder(nn.Module):
    def __init__(self, FIRST img_size, patch_size, in_chans, embed_dims, depths, num_heads, C, window_size=4,
                 mlp_ratio=4.0, qkv_bias=True, qk_scale=None, norm_layer=nn.LayerNorm, patch_norm=True):
        super().__init__()
        print("Encoder of", embed_dims)
        self.patch_embed = nn.Conv2d(3, embed_dims[0], 2, 2)
        self.layers = nn.ModuleList(
            Layer(embed_dims[i - 1], embed_dims[i], (img_size[0] >> i + 1, img_size[1] >> i + 1), depths[i],
                  num_heads[i], window_size, i)
            for i in range(len(depths))
        )
        last = embed_dims[-1]
        if C is not None:
            self.head_list = nn.Linear(last, C)
        for name in ("", "1") if SECOND else ("",):
            setattr(self, f"sm_list{name}", nn.ModuleList([nn.Linear(last, last), nn.Linear(last, last)]))
            setattr(self, f"bm_list{name}", nn.ModuleList([Gate(last)]))

    def forward(self, x, snr, RATE model):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        if model == "SwinJSCC_w/_SAandRA":
            x = x * gated(x, self.sm_list1, self.bm_list1, snr)
        elif model in ("WITT", "SwinJSCC_w/_SA"):
            x = x * gated(x, self.sm_list, self.bm_list, snr)
        if model.endswith("RA") and "w/o" not in model:
            gate = gated(x, self.sm_list, self.bm_list, rate)
            best = gate.sum(1).argsort(dim=1, descending=True)[:, :rate]
            mask = torch.zeros(len(x), x.shape[2]).cuda()
            mask[0, best[0]] = 1
            mask = mask.unsqueeze(1).expand(-1, x.shape[1], -1)
            return x * gate * mask, mask
        return self.head_list(x)

    def update_resolution(self, height, width):
        for i, layer in enumerate(self.layers):
            layer.update_resolution(height >> i + 1, width >> i + 1)
"""
DECODER = """
from net.modules import *
from net.encoder import Gate


class Layer(nn.Module):
    def __init__(self, dim, out, resolution, depth, heads, window):
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, resolution, window, heads, i % 2) for i in range(depth))
        self.upsample = Up(dim, out)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.upsample(x)

    def update_resolution(self, height, width):
        self.upsample.input_resolution = height, width
        for block in self.blocks:
            block.input_resolution = height, width
            block.update_mask()


class KIND_Decoder(nn.Module):
    def __init__(self, img_size, embed_dims, depths, num_heads, C, window_size=4, mlp_ratio=4.0, qkv_bias=True,
                 qk_scale=None, norm_layer=nn.LayerNorm, ape=False, patch_norm=True):
        super().__init__()
        count = len(depths)
        self.layers = nn.ModuleList(
            Layer(embed_dims[i], [*embed_dims, 3][i + 1], (img_size[0] >> count - i, img_size[1] >> count - i),
                  depths[i], num_heads[i], window_size)
            for i in range(count)
        )
        first = embed_dims[0]
        if C is not None:
            self.head_list = nn.Linear(C, first)
        self.sm_list = nn.ModuleList([nn.Linear(first, first), nn.Linear(first, first)])
        self.bm_list = nn.ModuleList([Gate(first)])

    def forward(self, x, snr, model):
        x = x if model.endswith("RA") and "w/o" not in model else self.head_list(x)
        if model in ("WITT", "SwinJSCC_w/_SA", "SwinJSCC_w/_SAandRA"):
            x = x * gated(x, self.sm_list, self.bm_list, snr)
        for layer in self.layers:
            x = layer(x)
        return x.reshape(len(x), self.H, self.W, 3).permute(0, 3, 1, 2)

    def update_resolution(self, height, width):
        self.H, self.W = height << len(self.layers), width << len(self.layers)
        for i, layer in enumerate(self.layers):
            layer.update_resolution(height << i, width << i)
"""


def swin_clone(folder: Path, kind: str = "SwinJSCC", second: bool = False) -> Path:
    """A clone of that kind. second: with the two modulators of SwinJSCC_w/_SAandRA."""
    swin = kind == "SwinJSCC"
    words = {"KIND": kind, "FIRST": "model," if swin else "", "RATE": "rate," if swin else "", "SECOND": str(second)}
    (folder / "net").mkdir(parents=True)
    (folder / "main.py").write_text("raise SystemExit('a script, which nothing imports')\n")
    for name, text in {"modules": MODULES, "encoder": ENCODER, "decoder": DECODER}.items():
        for word, own in words.items():
            text = text.replace(word, own)
        (folder / f"net/{name}.py").write_text(text)
    return folder


def trained(
    folder: Path, model: str = "SwinJSCC_w/_RA", kind: str = "SwinJSCC", channels: int | None = None
) -> dict[str, str]:
    """Clone and weights of random networks whose pictures say something of what was sent."""
    second = model.endswith("SAandRA") and "w/o" not in model
    repo = swin_clone(folder / "clone", kind, second)
    layout = swin.Layout(**ENDS, channels=channels, second=second)
    torch.manual_seed(3)
    network = swin.published(str(repo), layout, model)
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    state["module.encoder.layers.1.blocks.1.attn_mask"] = torch.zeros(64, 64)  # of the last size in its training
    torch.save({**state, "module.distortion_loss.window": torch.ones(3)}, folder / "net.model")
    return {"repo": str(repo), "weights": str(folder / "net.model"), "model": model}
