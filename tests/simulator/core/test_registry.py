"""Parts by name: found through entry points, wrong names answered with the nearest."""

from importlib.metadata import EntryPoint

import pytest

from simulator.core import registry
from simulator.core.errors import InputError
from simulator.core.method import METHODS
from simulator.core.mixer import MIXERS
from simulator.core.model import MODELS
from simulator.core.registry import Part, PartSettings, Registry
from simulator.mixers.gossip import Gossip


class Stranger(Part):
    """From another package."""

    class Config(PartSettings):
        name: str = "stranger"
        strength: float = 1.0


def test_names_are_sorted_and_hold_the_built_in_parts():
    assert MODELS.names() == sorted(MODELS.names())
    assert {"mlp", "cnn", "resnet20"} <= set(MODELS.names())
    assert {"idkd", "quasi_global_momentum"} <= set(METHODS.names())


def test_a_part_is_built_from_its_settings():
    config = Gossip.Config(order="combine_then_adapt")

    built = MIXERS.build(config)
    assert type(built) is Gossip
    assert built.config is config


def test_a_strangers_part_comes_in_by_the_same_door(register):
    register("methods", "stranger", Stranger)

    assert "stranger" in METHODS.names()
    assert METHODS.build(Stranger.Config(strength=2.0)).config.strength == 2.0


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(InputError) as caught:
        METHODS.load("quasi_global_momentun")
    (problem,) = caught.value.problems

    assert problem.what == "unknown name 'quasi_global_momentun'."
    assert problem.advice.startswith("Did you mean 'quasi_global_momentum'? Known methods: ")


def test_a_name_like_no_other_is_answered_with_all_known_ones():
    with pytest.raises(InputError) as caught:
        MIXERS.load("xyzzy")

    assert "Did you mean" not in caught.value.problems[0].advice
    assert "gossip" in caught.value.problems[0].advice


def test_a_kind_without_parts_says_so():
    with pytest.raises(InputError, match="Known gadgets: none"):
        Registry("gadgets").load("lever")


def test_a_part_that_cannot_be_imported_names_its_package(register):
    register("methods", "broken", ImportError("No module named 'stranger'"))

    with pytest.raises(InputError, match=r"'broken' cannot be imported: No module named 'stranger'") as caught:
        METHODS.load("broken")
    assert "stranger.package" in caught.value.problems[0].advice


@pytest.mark.parametrize("error", [NameError("name 'tensor' is not defined"), SyntaxError("invalid syntax")])
def test_whatever_a_strangers_module_raises_is_told_with_its_kind(register, error):
    register("methods", "broken", error)

    with pytest.raises(InputError, match=rf"'broken' cannot be imported: {type(error).__name__}: {error}"):
        METHODS.load("broken")


@pytest.mark.parametrize("thing", [object, print, 3])
def test_what_is_no_part_is_refused(register, thing):
    register("methods", "thing", thing)

    with pytest.raises(InputError, match=r"'thing' is declared as stranger\.package:.*, which is no class of a part"):
        METHODS.load("thing")


def test_a_name_that_two_packages_claim_is_refused_and_not_guessed(monkeypatch):
    claims = [EntryPoint("gossip", value, "rumormill.mixers") for value in ("mine:Gossip", "yours:Gossip")]
    monkeypatch.setattr(registry, "_entry_points", lambda group: {"gossip": claims})

    with pytest.raises(
        InputError, match="'gossip' is declared by several packages: as mine:Gossip and as yours:Gossip"
    ):
        MIXERS.load("gossip")


def test_a_package_that_is_installed_twice_claims_a_name_once(monkeypatch):
    (installed,) = registry._entry_points("rumormill.mixers")["gossip"]
    monkeypatch.setattr(registry, "_entry_points", lambda group: {"gossip": [installed, installed]})

    assert MIXERS.load("gossip").__name__ == "Gossip"
