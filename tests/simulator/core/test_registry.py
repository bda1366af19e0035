"""Parts by name: found through entry points, wrong names answered with the nearest."""

import pytest

from simulator.core.errors import InputError
from simulator.core.method import METHODS, Method
from simulator.core.mixer import MIXERS
from simulator.core.model_registry import MODELS
from simulator.core.registry import PartSettings, Registry
from simulator.mixers.gossip import Gossip


class Stranger(Method):
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


def test_a_part_of_an_installed_package_is_found_by_its_declaration(declare):
    declare("methods", "installed", "from simulator.core.method import Method\nclass Thing(Method): pass")

    assert "installed" in METHODS.names()
    assert METHODS.load("installed").__module__ == "stranger_package"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import gone_from_here", "No module named 'gone_from_here'"),
        ("tensor", "NameError: name 'tensor' is not defined"),
        ("1 +", "SyntaxError: invalid syntax"),
    ],
)
def test_whatever_a_strangers_module_raises_is_told_with_its_package(declare, code, told):
    declare("methods", "broken", code)

    with pytest.raises(InputError, match=rf"'broken' cannot be imported: {told}") as caught:
        METHODS.load("broken")
    assert "stranger_package" in caught.value.problems[0].advice


@pytest.mark.parametrize("thing", ["object", "print", "3"])
def test_what_is_no_part_is_refused(declare, thing):
    declare("methods", "thing", f"Thing = {thing}")

    with pytest.raises(InputError, match=r"'thing' is declared as stranger_package:Thing, which is no class of a part"):
        METHODS.load("thing")
    with pytest.raises(InputError, match=r"'thing' is no class of a part"):
        METHODS.add("thing", eval(thing))


def test_a_part_of_another_kind_is_refused(declare):
    declare("methods", "thing", "from simulator.mixers.gossip import Gossip as Thing")

    with pytest.raises(InputError, match=r"which is a Mixer, and no Method") as caught:
        METHODS.load("thing")
    assert "simulator.core.method.Method" in caught.value.problems[0].advice


def test_a_name_that_two_packages_claim_is_refused_and_not_guessed(declare):
    declare("mixers", "gossip", "", module="theirs")

    with pytest.raises(
        InputError, match=r"'gossip' is declared by several packages: as simulator.*:Gossip and as theirs"
    ):
        MIXERS.load("gossip")


def test_a_package_that_is_installed_twice_claims_a_name_once(declare):
    for _ in range(2):
        declare("mixers", "twice", "from simulator.mixers.gossip import Gossip as Thing")

    assert MIXERS.load("twice").__name__ == "Gossip"


def test_two_classes_that_claim_a_name_are_refused(register):
    register("methods", "mine", Stranger)
    register("methods", "mine", type("Stranger", (Method,), {"__module__": __name__}))  # the same class, defined anew

    with pytest.raises(InputError, match=r"two classes claim the name 'mine': .*:Stranger and .*:Other"):
        METHODS.add("mine", type("Other", (Method,), {}))
    with pytest.raises(InputError, match="'idkd' is the name of an installed part"):
        METHODS.add("idkd", Stranger)
    with pytest.raises(InputError, match="'my method' is no name"):
        METHODS.add("my method", Stranger)


def test_a_part_is_made_of_single_settings_too():
    assert Stranger(strength=2).config == Stranger.Config(strength=2.0)
    assert Gossip(rate=0.5).config == Gossip.Config(rate=0.5)


def test_a_constructor_that_does_not_keep_the_settings_is_refused(register):
    register("methods", "forgets", type("Forgets", (Stranger,), {"__init__": lambda self, config: None}))
    with pytest.raises(InputError, match="which does not keep the settings") as caught:
        METHODS.build(Stranger.Config(name="forgets"))
    assert "super().__init__(config)" in caught.value.problems[0].advice
