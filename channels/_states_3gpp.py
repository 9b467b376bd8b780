"""What Sionna 1.2.2 works out anew for every user, asked of it once for each state that it depends on.

A user is in line of sight, without one, or in a building. Parameters of TR 38.901's table 7.5-6, the root of their
correlation and which clusters exist are the same for all users of a state, and Sionna spends two thousand operations a
draw on them. Here it answers once, for one user of each state, and draws gather from its answers, which are the same
numbers bit for bit. A cell has one user, as in `_drops`, so that no parameter depends on a neighbour's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

IN_SIGHT, INDOORS = (True, False, False), (False, False, True)  # of one user of each state
PARAMETERS = 7  # on the large scale that are correlated


def gathering(scenario: type, answering: Any) -> type:
    """A class of Sionna's scenarios with parameters by `state`, one cell a user; answering: made by `one_of_each`."""
    answers: dict[str, Any] = {}

    def get_param(self: Any, parameter_name: str) -> Any:
        import tensorflow as tf

        if parameter_name not in answers:
            answers[parameter_name] = answering.get_param(parameter_name)[0, 0]
        return tf.gather(answers[parameter_name], self.state)

    shortcuts = {
        "answering": answering,
        "get_param": get_param,
        "batch_size": property(lambda self: len(self._ut_loc)),
        "num_bs": 1,
        "num_ut": 1,
        "num_clusters_max": int(answering.num_clusters_max),
    }
    return type(scenario.__name__, (scenario,), shortcuts)


def one_of_each(scenario: Any) -> Any:
    """A scenario of Sionna's with one user of each state in one cell; what depends on their places is not there."""
    import tensorflow as tf

    scenario._ut_loc, scenario._bs_loc = tf.zeros([1, 3, 3]), tf.zeros([1, 1, 3])
    scenario._los, scenario._in_state = tf.constant([[IN_SIGHT]]), tf.constant([INDOORS])
    return scenario


def states(los: Any, indoor: Any) -> Any:
    """State of each user by number, shaped like `los`; of those in line of sight none is indoors."""
    import tensorflow as tf

    return tf.where(los, 0, tf.where(indoor, 2, 1))


def large_scale_generator(scenario: Any) -> Any:
    """Sionna's generator of large-scale parameters for a scenario that gathers."""
    import tensorflow as tf
    from sionna.phy.channel.tr38901 import LSPGenerator

    answering = LSPGenerator(scenario.answering)
    answering._compute_cross_lsp_correlation_matrix()
    roots = {"_cross_lsp_correlation_matrix_sqrt": answering._cross_lsp_correlation_matrix_sqrt[0, 0]}
    generator = _updating(LSPGenerator, roots)(scenario)
    generator._spatial_lsp_correlation_matrix_sqrt = tf.ones([1, 1, PARAMETERS, 1, 1])
    return generator


def rays_generator(scenario: Any) -> Any:
    """Sionna's generator of clusters and rays for a scenario that gathers."""
    from sionna.phy.channel.tr38901 import RaysGenerator

    answering = RaysGenerator(scenario.answering)
    answering._compute_clusters_mask()
    return _updating(RaysGenerator, {"_cluster_mask": answering._cluster_mask[0, 0]})(scenario)


def _updating(generator: type, answers: Mapping[str, Any]) -> type:
    """A class of Sionna's generators that, told of another topology, gathers these attributes by state."""

    def topology_updated_callback(self: Any) -> None:
        import tensorflow as tf

        for name, answer in answers.items():
            setattr(self, name, tf.gather(answer, self._scenario.state))

    return type(generator.__name__, (generator,), {"topology_updated_callback": topology_updated_callback})
