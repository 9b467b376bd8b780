"""Sionna 1.2.2's scenarios of 3GPP TR 38.901, made to say what the report does where they differ.

Corrected: `distance_3d` was the horizontal distance; depths in buildings were one uniform draw, where clause 7.4.3.1
has the least of two; users in buildings had the path loss of no line of sight, where the same clause has that of the
way to the building, in line of sight with the probability of table 7.4.2-1 at its outdoor length; RMa's offset of
zenith angles (table 7.5-9) was in radians among degrees. Left as it is: for users above 13 m the report draws UMa's
height of the environment from 12, 15, ... m, Sionna from all values between.
"""

from __future__ import annotations

from typing import Any

from semlink.channels._states_3gpp import states


def corrected(scenario: type) -> type:
    """A class of Sionna's scenarios, e.g. UMiScenario, with these corrections, which also tells each user's `state`."""
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
    scenario.state = states(scenario._los, inside[:, None])


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
