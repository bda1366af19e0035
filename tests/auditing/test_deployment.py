"""What audits and accounting make of a deployment's run directory: the same as of a simulation's."""

from reference.deployment import Deployment
from reference.experiments import small

from auditing.membership.audit import MembershipAudit
from auditing.privacy.empirical_audit import EmpiricalPrivacyAudit
from simulator import run
from simulator.launch import audit

AUDITS = (
    MembershipAudit.Config(signals=("loss",), resamples=20, views=("final_model", "message")),
    EmpiricalPrivacyAudit.Config(),
)


def test_a_deployment_is_audited_as_a_simulation(tmp_path):
    data = ["data.public=[]", "data.partition=iid", "data.validation=0", "data.held_out=0.3", "data.canaries=20"]
    private = {"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0}
    experiment = small(*data, "rounds=4", "record.every=1", methods=[private])
    deployment = Deployment(experiment, tmp_path)
    assert deployment.p2p(4) == dict.fromkeys(range(4), 4)
    runs = {"simulated": run(experiment, tmp_path / "simulated").path, "deployed": deployment.collected(tmp_path)}
    for wanted in AUDITS:
        found = {name: audit(path, wanted) for name, path in runs.items()}
        files = {name: sorted(file.name for file in path.iterdir()) for name, path in found.items()}
        assert files["simulated"] == files["deployed"] != []
        for name in files["simulated"]:
            assert (found["simulated"] / name).read_bytes() == (found["deployed"] / name).read_bytes(), name
