"""The metadata is in setup.cfg; here are only the packages, found so that a codec may be one file or a whole folder.

The package `semlink` itself is simulator/package.
"""

from setuptools import find_packages, setup

FOLDERS = ("simulator", "codecs", "channels", "experiments")
FOUND = find_packages(include=[p for f in FOLDERS for p in (f, f"{f}.*")], exclude=["simulator.package"])

setup(packages=["semlink", *(f"semlink.{name}" for name in FOUND)])
