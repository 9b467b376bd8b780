"""Sionna 1.2.2's drops of 3GPP TR 38.901, made to say what the report does: what ours are compared with.

Corrected: `distance_3d` was the horizontal distance; depths in buildings were one uniform draw, where clause 7.4.3.1
has the least of two; users in buildings had the path loss of no line of sight, where the same clause has that of the
way to the building, in line of sight with the probability of table 7.4.2-1 at its outdoor length; RMa's offset of
zenith angles (table 7.5-9) was in radians among degrees; one ray's offset (table 7.5-3) lacked a digit. Left as it is:
for users above 13 m the report draws UMa's height of the environment from 12, 15, ... m, Sionna from all between.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from semlink.channels._clusters import OFFSETS
from semlink.channels._drops import Drops, heights

Values = dict[str, np.ndarray]


def sionnas_users(channel: Drops, rng: np.random.Generator, users: int) -> Values:
    """Sionna's users of that channel at the places that `rng` gives; all by name, `[users, ...]` each."""
    scenario, large, small = generators(channel)
    place_all(channel, scenario, rng, users)
    large.topology_updated_callback()
    small.topology_updated_callback()
    parameters = large()
    rays, loss = small(parameters), large.sample_pathloss()
    named = {"los": scenario.los, "k": parameters.k_factor, "gain": 10 ** (-loss / 10) * parameters.sf}
    named |= {name: getattr(rays, name) for name in ("delays", "powers", "aoa", "zoa", "aod", "zod")}
    named |= {"delay_spread": scenario.get_param("cDS"), "direct_aod": scenario.los_aod, "direct_zod": scenario.los_zod}
    return {name: value.numpy()[:, 0, 0] for name, value in named.items()}


def generators(channel: Drops) -> tuple[Any, Any, Any]:
    """Sionna's scenario and its generators of large-scale parameters and of rays."""
    import tensorflow as tf
    from sionna.phy.channel import tr38901

    element = tr38901.PanelArray(1, 1, "single", "V", "omni", channel.carrier_frequency)
    arrays = {"ut_array": element, "bs_array": element, "direction": "downlink"}
    arrays |= {} if channel.scenario == "RMa" else {"o2i_model": "low"}
    scenario = corrected(getattr(tr38901, f"{channel.scenario}Scenario"))(channel.carrier_frequency, **arrays)
    small = tr38901.RaysGenerator(scenario)
    small._ray_offsets = tf.constant(OFFSETS, tf.float32)
    return scenario, tr38901.LSPGenerator(scenario), small


def place_all(channel: Drops, scenario: Any, rng: np.random.Generator, users: int) -> None:
    """Users at random places of the scenario, drawn as `semlink.channels._drops.placed` does it."""
    import tensorflow as tf
    from sionna.phy import config

    config.seed = int(rng.integers(1 << 31))
    area = channel.min_distance**2, channel.max_distance**2
    distance, azimuth = np.sqrt(rng.uniform(*area, users)), rng.uniform(-np.pi / 3, np.pi / 3, users)
    indoors = rng.random(users) < channel.indoor
    height = heights(rng, indoors, channel.floors) if channel.indoor else np.full(users, 1.5)
    place = np.stack([distance * np.cos(azimuth), distance * np.sin(azimuth), height], -1)
    user, base = (
        tf.constant(v[:, None], tf.float32) for v in (place, np.tile([0, 0, channel.base_height], (users, 1)))
    )
    zeros, los = tf.zeros([users, 1, 3]), None if channel.los == "any" else channel.los == "los"
    scenario.set_topology(user, base, zeros, zeros, zeros, tf.constant(indoors)[:, None], los)


def corrected(scenario: type) -> type:
    """A class of Sionna's scenarios, e.g. UMiScenario, with these corrections."""
    mended = {
        "distance_3d": property(lambda self: self._distance_3d),
        "_sample_indoor_distance": _go_inside,
        "_sample_los": _look_from_outside,
        "_compute_pathloss_basic": _lose_outside,
    }
    if scenario.__name__.startswith("RMa"):
        mended["_compute_lsp_log_mean_std"] = _in_degrees
    return type(scenario.__name__, (scenario,), mended)


def _go_inside(scenario: Any) -> None:
    """Depths of users in buildings, the least of two uniform draws: 1 - sqrt(1 - u) has its law."""
    import tensorflow as tf

    super(type(scenario), scenario)._sample_indoor_distance()
    most = scenario.max_2d_in
    depth = most * (1 - tf.sqrt(1 - scenario._distance_2d_in / most))
    scenario._distance_2d_in, scenario._distance_2d_out = depth, scenario.distance_2d - depth
    scenario._distance_3d_in = depth / scenario.distance_2d * scenario.distance_3d
    scenario._distance_3d_out = scenario.distance_3d - scenario._distance_3d_in


def _look_from_outside(scenario: Any) -> None:
    """Line of sight as if buildings had no walls, kept as `sight`; of it users in buildings have none."""
    import tensorflow as tf

    inside = scenario._in_state
    scenario._in_state = tf.zeros_like(inside)
    super(type(scenario), scenario)._sample_los()
    scenario._in_state, scenario.sight = inside, scenario._los
    scenario._los = tf.logical_and(scenario.sight, tf.logical_not(inside[:, None]))


def _lose_outside(scenario: Any) -> None:
    """Basic path loss by `sight`."""
    los = scenario._los
    scenario._los = scenario.sight
    super(type(scenario), scenario)._compute_pathloss_basic()
    scenario._los = los


def _in_degrees(scenario: Any) -> None:
    import numpy as np

    super(type(scenario), scenario)._compute_lsp_log_mean_std()
    scenario._zod_offset = scenario._zod_offset * (180 / np.pi)
