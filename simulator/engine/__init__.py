"""The engine seam: the only folder of the simulator that imports TensorFlow and Sionna, lazily."""
