"""Data sets that torchvision knows how to download; copies already on the machine are used first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from simulator.core.errors import InputError, wrong
from simulator.core.registry import PartSettings
from simulator.core.torchvision_import import import_torchvision
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.idx import read_idx

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


class FashionMNIST(Dataset):
    """Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747): 60,000 + 10,000 gray images of 28x28, 10 classes.

    Looked for in ``root/FashionMNIST/raw``, where torchvision keeps it, then where Debian's package
    dataset-fashion-mnist puts it.
    """

    class Config(PartSettings):
        """Whether what is missing is fetched.

        Attributes:
            download: fetch the data into ``root`` where no copy is found.
        """

        name: str = "fashion_mnist"
        download: bool = True

    config: Config

    class_names = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
    )  # fmt: skip

    def load(self, root: Path) -> ArrayData:
        """Read the four IDX files of the first folder that has them all.

        Raises:
            InputError: no copy was found and none could be downloaded, or a file is damaged.
        """
        kept = root / "FashionMNIST" / "raw"
        files = _idx_files(kept) or _idx_files(DEBIAN_FASHION_MNIST) or self._download(root, kept)
        x_train, y_train, x_test, y_test = map(read_idx, files)
        return ArrayData(
            x_train=x_train[..., None],
            y_train=y_train.astype(np.int64),
            x_test=x_test[..., None],
            y_test=y_test.astype(np.int64),
            class_names=self.class_names,
        )

    def _download(self, root: Path, kept: Path) -> list[Path]:
        looked = f"no Fashion-MNIST in {kept} or {DEBIAN_FASHION_MNIST}"
        mend = f"install Debian's package dataset-fashion-mnist, or put its four files into {kept}."
        if not self.config.download:
            raise wrong("", f"{looked}, and downloading is switched off.", f"Set download: true, or {mend}")
        try:
            import_torchvision().datasets.FashionMNIST(root, download=True)
        except (OSError, RuntimeError) as error:
            raise wrong(
                "", f"{looked}, and downloading failed: {_one_line(error)}.", f"Mend the connection, or {mend}"
            ) from error
        return _idx_files(kept)


class CIFAR10(Dataset):
    """CIFAR-10 (Krizhevsky 2009): 50,000 + 10,000 RGB images of 32x32, 10 classes, kept as torchvision does."""

    class Config(PartSettings):
        """Whether what is missing is fetched.

        Attributes:
            download: fetch the data into ``root`` where they are not there yet.
        """

        name: str = "cifar10"
        download: bool = True

    config: Config

    torchvision_name = "CIFAR10"

    def load(self, root: Path) -> ArrayData:
        """Read the training and test batches; torchvision verifies their checksums.

        Raises:
            InputError: the data are not there, or damaged, and could not be downloaded.
        """
        source = getattr(import_torchvision().datasets, self.torchvision_name)
        try:
            train = source(root, train=True, download=self.config.download)
            test = source(root, train=False)
        except (OSError, RuntimeError) as error:
            raise self._absent(root, source, error) from error
        return ArrayData(
            x_train=train.data,
            y_train=np.array(train.targets, dtype=np.int64),
            x_test=test.data,
            y_test=np.array(test.targets, dtype=np.int64),
            class_names=tuple(train.classes),
        )

    def _absent(self, root: Path, source: Any, error: Exception) -> InputError:
        looked, mend = (
            f"no intact {source.__name__} in {root / source.base_folder}",
            f"unpack {source.url} into {root}.",
        )
        if not self.config.download:
            return wrong("", f"{looked}, and downloading is switched off.", f"Set download: true, or {mend}")
        return wrong("", f"{looked}, and downloading failed: {_one_line(error)}.", f"Mend the connection, or {mend}")


class CIFAR100(CIFAR10):
    """CIFAR-100 (Krizhevsky 2009): 50,000 + 10,000 RGB images of 32x32, 100 classes, kept as torchvision does."""

    class Config(CIFAR10.Config):
        """Whether what is missing is fetched, as for `CIFAR10`."""

        name: str = "cifar100"

    config: Config

    torchvision_name = "CIFAR100"


def _idx_files(folder: Path) -> list[Path]:
    """Training images and labels, test images and labels, plain or gzipped; empty unless all four are there."""
    names = [f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    copies = [[path for path in (folder / name, folder / f"{name}.gz") if path.is_file()] for name in names]
    return [paths[0] for paths in copies] if all(copies) else []


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(" .")
