"""Which papers the report of a run names."""

from simulator.core.mixer import MIXERS
from simulator.data.dataset import DATASETS
from simulator.runs.report import _attacks, _sources


def test_parts_name_the_papers_that_they_cite_once():
    gossip = MIXERS.load("gossip"), "gossip"
    sources = list(_sources([gossip, gossip, (DATASETS.load("digits"), "digits")]))
    assert [source.text.split(":")[0] for source in sources] == ["gossip"]
    assert [paper.address for paper in sources[0].papers] == ["https://arxiv.org/abs/1705.09056"]


def test_the_attacks_of_an_audit_are_found_by_their_names():
    result = {"attacks": {"loss, rmia": {}, "logit_margin, rmia": {}, "no attack": {}}}
    assert [name for _, name in _attacks(result)] == ["rmia"]
    assert list(_attacks({"attacks": []})) == []
