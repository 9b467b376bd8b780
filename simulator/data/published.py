"""Sets that are fetched where they are missing: the Kodak suite and CIFAR-10, from where they were published."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from semlink.simulator.fetch import Published, fetched, writing
from semlink.simulator.files import write_aside

_DIGESTS = """
a56e27cbf5f843c048b6af1d6e090760e9c92fadba88b7dee0205918a37523bd
4f4b74a79237e311d72cad958237b5f7088d8bce1c82305ebefe1a70e3022dfd
e25ca1ff2f0c0cb5fdfd5f9b0a0bb21ac4c3de3c84a67f35b09a85d3306249db
e3b946107c5d3441c022f678d0c3caf1e224d81b1604ba840a4f88e562de61aa
10349e963c5c813d327852f82c1795fa4148d69fedffc4c589bee458e3ac3d53
363510303b715d4cbc384e1ce227e466b613a09e1b71ae985882bf8e7fbd9b18
b77d3f006f42414bb242222e0482e750c0fb9e5ee8d4bed2f6f11c5605fe54a4
ba23983c76b4832ee0e8af0592664756841a16779acd69f792e268fb6d13d6e7
6a4361c2fc194feb4edaa9f9a4a0620fb9943e460ac7fdf037fb0f6dd6607a7d
9dfb70f5867c29ff9ed6313683f19b3d867849e40fbc0c4c54a4a89df341cf23
7936814b58b5387fce2e4e2488b4ec830dadd95fa9520f358ddb30990b50f2b6
d78c37c2f04f23761ed2367dd77e2db584ddd4c3950833fecf89f199a8126980
bc34a3ce58dea09dce1704c997171602de90cb34d0c8503a988b77f473d39b08
55a94550ff18f3246c4074fd32b77b0c74447c26b6ad274d564d999c0450ba6e
7538cbb80cb9103606c48b806eae57d56c885c7f90b9b3be70a41160f9cbb683
a89c7268ccd4718ba424a99fc4643c572cf692ca6eae887185ceb4e9f11d2e54
37afcc89fbdcb76d9518e04b2fc011027e2f4cd14b3b2f83cefd721641a47c5b
1a9258c365988961d87a0598725b609139c303ad48a5aad6c503c3b1a87849aa
b7450b264b1b0a411390d8931b112c27905a992520fc90569dc4b920aa32bbdc
3b46c71e3b92a563820ba32936be8330c586c41f938efd94be938386aae4328a
ac958597c82073f6bb65129c68f72b651db5b9efd82e11547d07350214bc268b
1cee58eb1f2d9c7ebb254d208a03c783ce6cf2c4d8c2cf45e235dd23b4ce1b29
e3111a2fd4da24af15d6459ef9eacfe54106b38e27b4a21821b75c3f5d2d5baf
1071c68372cc5a01435c2c225a5cf7d4bb803846ec08bb6b3d6721b156d7cb96
"""
KODAK = tuple(
    Published(f"https://r0k.us/graphics/kodak/kodak/kodim{number:02}.png", digest)
    for number, digest in enumerate(_DIGESTS.split(), start=1)
)
CIFAR = Published(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)


def fetch_kodak(folder: Path) -> None:
    """The 24 pictures (15 MB) as `folder`: all of them or no folder. SemlinkError as of `fetched`.

    What came before an interruption is not fetched again.
    """
    aside = _aside(folder)
    fetched(KODAK, aside, "kodak (15 MB)")
    with writing(folder):
        if folder.is_dir():
            folder.rmdir()  # it holds no picture
        aside.rename(folder)


def fetch_cifar(folder: Path, files: Sequence[str]) -> None:
    """These batches of CIFAR-10 (of 170 MB in all) in `folder`. SemlinkError as of `fetched`."""
    aside = _aside(folder)
    (archive,) = fetched((CIFAR,), aside, "cifar10 (170 MB)")
    with writing(folder), tarfile.open(archive) as packed:
        folder.mkdir(exist_ok=True)
        for file in files:
            _unpack(packed, file, folder / file)
    shutil.rmtree(aside, ignore_errors=True)


def _aside(folder: Path) -> Path:
    """Where what is fetched for a folder lies until all of it is there."""
    return folder.with_name(f".{folder.name}-fetched")


def _unpack(packed: tarfile.TarFile, name: str, path: Path) -> None:
    """A file of the archive's one folder, all or nothing."""
    inside = packed.extractfile(f"{path.parent.name}/{name}")
    assert inside is not None  # a digest says what the archive holds
    write_aside(path, lambda aside: aside.write_bytes(inside.read()))
