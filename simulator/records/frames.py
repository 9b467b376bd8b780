"""The contents of a rows file as a data set of xarray and as a table of pandas."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas
    import xarray


def dataset(contents: bytes) -> xarray.Dataset:
    """All of a rows file, in memory: per-image numbers over (codec, channel, rho, snr_db, image)."""
    import xarray

    with xarray.open_dataset(io.BytesIO(contents), engine="h5netcdf") as found:
        return found.load()


def table(held: xarray.Dataset) -> pandas.DataFrame:
    """One line a picture and condition that was measured: condition, picture, CSI, and a column a number."""
    numbers = [name for name, values in held.data_vars.items() if "image" in values.dims and values.dtype.kind == "f"]
    frame = held[numbers].to_dataframe().dropna(how="all").reset_index()
    for name, along in (("image_id", "image"), ("csi", "channel")):
        frame.insert(len(held.sizes), name, frame[along].map(held[name].to_series()))
    return frame
