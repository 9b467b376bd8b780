"""experiments/video.py: the same rows however it is stopped, clips shown as the sweep measured them."""

import csv

import numpy as np
import pytest
from scripts import script

from semlink.simulator.analysis import clips as numbers
from semlink.simulator.analysis.clips import Moment, Original, Trace, summary
from semlink.simulator.data import clips
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records import rows
