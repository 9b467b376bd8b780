"""The contract that channels and impairments are written against: grid, fades, disturbances, antennas, registry."""
