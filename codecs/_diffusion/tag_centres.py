"""The centres of tags (`guides`): k-means of AlexNet features of training pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor
from tqdm import tqdm

from semlink.codecs._diffusion import guides
from semlink.simulator import data
from semlink.simulator.training.pictures import refuse_tests

ROUNDS = 30  # of k-means


def features_of(names: Sequence[str], limit: int) -> Tensor:
    """Features of at most `limit` pictures of each set, float32 `[pictures, 256]`. SemlinkError for a test set."""
    refuse_tests(names)
    pictures = [picture for name in names for picture in data.load(name, limit)]
    return torch.cat([guides.features(picture[None]) for picture in tqdm(pictures, desc="features")])


def clusters(found: Tensor, count: int, seed: int) -> tuple[Tensor, np.ndarray]:
    """Centres of k-means, float16 `[count, features]`, and the number of the centre of each picture."""
    centres, nearest = kmeans2(found.double().numpy(), count, iter=ROUNDS, minit="++", seed=seed)
    return torch.from_numpy(centres).half(), nearest
