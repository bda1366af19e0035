"""The ``data`` block of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from simulator.core.acting import GIVEN, Acts, If
from simulator.core.registry import PartSettings, Settings
from simulator.data.augmentation import Augmentation
from simulator.data.coreset import CoresetChoice
from simulator.data.partition import BySite, Iid
from simulator.data.sites.settings import SitesSettings


class PublicSource(Settings):
    """Where public images come from.

    Attributes:
        dataset: the data set whose training images to draw from. With the settings of the private data set, images are
            taken out of its training set before the nodes get theirs.
        samples: how many to draw.
    """

    dataset: SerializeAsAny[PartSettings]
    samples: int = Field(gt=0)


class Corruption(Settings):
    """What is made wrong with the nodes' private samples on purpose; `simulator.data.corruption` says how.

    Attributes:
        labels: noise in the labels of training and held-out samples.
        validation: whether validation samples, by which nodes calibrate and select, keep their true labels ("clean": a
            verified set) or have as much noise as training samples ("noisy").
        duplicates: so many training samples of each node are there twice, with different labels: the copy takes the
            place of another sample (as in Ravikumar et al., "Towards Memorization Estimation", ICML 2025).
    """

    acts: ClassVar[Acts] = {"validation": If(labels=GIVEN)}

    labels: SerializeAsAny[PartSettings] | None = None
    validation: Literal["clean", "noisy"] = "clean"
    duplicates: NonNegativeInt = 0

    @property
    def is_on(self) -> bool:
        """Whether anything is changed at all."""
        return self.labels is not None or self.duplicates > 0


class VerifiedSettings(Settings):
    """Samples that nodes know to be labelled right; `simulator.data.verified` says how they are set aside.

    Attributes:
        share: of each node's training samples.
        shared: whether every node has the verified samples of all nodes, which then leave the nodes that they come
            from, instead of its own alone. What nodes train on is the same in both cases.
    """

    share: float = Field(gt=0, lt=1)
    shared: bool = False


class CanarySettings(Settings):
    """Canaries: training samples of each node that stay or go by a coin of their own, for audits that guess the coins.

    A number alone stands for so many mislabelled ones.

    Attributes:
        number: how many at each node.
        kind: "mislabelled" ones have a wrong label, and "blank" ones are nothing but zeros, each of another class:
            whoever attacks looks at models. Of those in a "block", each gradient is a mark in an entry of its own of a
            block of parameters that no network reads: the strongest attack that there is on noise and clip, at no price
            in accuracy. With "direction", it is a mark in a random direction of the parameters that are trained
            (`simulator.core.canary_marks`).
        signs: with which sign marks contribute, round by round, over and over.
        coins: the seed of the coins, which nobody but the audit need know; None: the experiment's, by which whoever
            has it knows them.
    """

    acts: ClassVar[Acts] = {"signs": If(kind=("block", "direction"))}

    number: int = Field(default=0, ge=0)
    kind: Literal["mislabelled", "blank", "block", "direction"] = "mislabelled"
    signs: str = Field(default="+", pattern=r"^[+-]+$")
    coins: int | None = Field(default=None, ge=0, lt=2**64)

    @property
    def marked(self) -> bool:
        """Whether their gradients are marks."""
        return self.kind in ("block", "direction")

    @model_validator(mode="before")
    @classmethod
    def _a_number_alone(cls, given: Any) -> Any:
        return {"number": given} if isinstance(given, int) and not isinstance(given, bool) else given

    @model_serializer(mode="wrap")
    def _as_short(self, whole: SerializerFunctionWrapHandler) -> Any:
        """As a number where that says all, so that experiments of one release and the next are the same."""
        return self.number if self == CanarySettings(number=self.number) else whole(self)


class SubsetSettings(CoresetChoice):
    """Training on a coreset by the scores of another run; `simulator.data.subset` says how it is looked up.

    Attributes:
        run: its directory, or a folder with one such run for each seed.
    """

    run: Path


class DataSettings(Settings):
    """The ``data`` block of an experiment.

    Attributes:
        dataset: the private data set: labelled, with a test set.
        root: the folder that data sets lie in, from the current folder on; ``~`` is the home folder.
        sites: who the nodes are, where each is a site that keeps its own data, and what a sample is at all of them;
            None: the data set is one pool, which every node can read.
        partition: how the training samples are divided among the nodes; by default at random, in equal parts, and
            where nodes are ``sites``, by site.
        modality_by_node: of samples that have several, the one that each node holds, repeated as often as there are
            nodes; parameters then travel only between nodes of the same one. By default every node holds all.
        validation: share of each node's samples that it calibrates on and never trains on.
        held_out: share of each node's samples that it never uses: the non-members of audits.
        canaries: which of each node's training samples stay or go by a coin, for audits.
        verified: small clean sets by which methods correct models; None: there are none.
        public: sources of the unlabelled images that every node has, shuffled together.
        public_overlap: what to do if public images are, pixel by pixel, private or test images too: "refuse" the
            experiment, or "allow" it and tell.
        subset: a coreset that nodes train on, instead of on all of their samples; None: no such thing.
        test: what nodes are tested on: the "common" test set of the data set, a share of each node's "own" samples that
            it never uses, or "both".
        own_test: that share.
        train_samples: at most this many private training samples in all, a random subset; None for no limit.
        test_samples: at most this many test samples, a random subset; None for no limit.
        augment: random changes to training images.
        corruption: what is made wrong with the samples on purpose, after they are divided among the nodes.
    """

    acts: ClassVar[Acts] = {
        "public_overlap": If(public=GIVEN),
        "corruption.validation": If(validation=GIVEN),
        "own_test": If(test=("own", "both")),
        "test_samples": If(test=("common", "both")),
    }

    dataset: SerializeAsAny[PartSettings]
    root: Path = Path("~/data")
    sites: SitesSettings | None = None
    partition: SerializeAsAny[PartSettings] = Field(default_factory=lambda: Iid.Config(name="iid"))
    modality_by_node: tuple[str, ...] = ()
    validation: float = Field(default=0.1, ge=0, lt=1)
    held_out: float = Field(default=0.0, ge=0, lt=1)
    canaries: CanarySettings = CanarySettings()
    verified: VerifiedSettings | None = None
    public: tuple[PublicSource, ...] = ()
    public_overlap: Literal["refuse", "allow"] = "refuse"
    subset: SubsetSettings | None = None
    test: Literal["common", "own", "both"] = "common"
    own_test: float = Field(default=0.2, gt=0, lt=1)
    train_samples: int | None = Field(default=None, gt=0)
    test_samples: int | None = Field(default=None, gt=0)
    augment: Augmentation = Augmentation()
    corruption: Corruption = Corruption()

    @model_validator(mode="before")
    @classmethod
    def _by_site_where_nodes_are_sites(cls, given: Any) -> Any:
        """What a data set holds back to test with by default is no choice of anybody's: sites test on ``own_test``."""
        if not isinstance(given, Mapping) or given.get("sites") is None:
            return given
        dataset, changes = given.get("dataset"), dict[str, PartSettings]()
        if "partition" not in given:
            changes["partition"] = BySite.Config()
        if isinstance(dataset, PartSettings) and "test" in type(dataset).model_fields.keys() - dataset.model_fields_set:
            changes["dataset"] = dataset.model_copy(update={"test": None})
        return {**given, **changes}

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> DataSettings:
        if self.validation + self.held_out >= 1:
            raise ValueError("validation and held_out together must be less than 1")
        return self

    @model_validator(mode="after")
    def _list_each_source_once(self) -> DataSettings:
        sources = [source.dataset for source in self.public]
        if any(source in sources[:i] for i, source in enumerate(sources)):
            raise ValueError("public lists the same data set twice; list it once, with all of its samples")
        return self
