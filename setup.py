"""The metadata is in setup.cfg; here are only the packages, found so that a codec may be one file or a whole folder."""

from setuptools import find_packages, setup

FOLDERS = ("simulator", "codecs", "channels")

setup(packages=[f"semlink.{name}" for name in find_packages(include=[p for f in FOLDERS for p in (f, f"{f}.*")])])
