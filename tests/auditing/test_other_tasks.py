"""Signals and audits where a sample is no image and has no class."""

import numpy as np
import pytest
import torch
from reference.experiments import small
from reference.marks import first
from torch import nn

from auditing.attacks import curvature
from auditing.attacks.embedding_signals import of_embeddings
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import SIGNALS, signals_named
from auditing.class_shares.audit import ClassSharesAudit
from auditing.early_exit.audit import EarlyExitAudit
from auditing.membership.audit import MembershipAudit
from auditing.membership.choice import Choice
from auditing.memorization import MemorizationAudit
from auditing.privacy.audit import EmpiricalPrivacyAudit
from auditing.robustness import RobustnessAudit
from methods.differential_privacy.dp_sgd import DPSGD
from simulator import run
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.offers import offered
from simulator.core.preparation import AsStored
from simulator.core.samples import Samples
from simulator.core.task import TASKS
from simulator.data.kinds.tokens import TokenPreparation
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report
from simulator.tasks.binary import Binary
from simulator.tasks.next_token import NextToken
from simulator.tasks.regression import Regression

VOCABULARY, LENGTH = 11, 5


class Odd(Binary):
    """Whether a digit is odd."""

    def specify(self, targets, names, vocabulary):
        return super().specify(targets % 2, (), vocabulary)

    def losses(self, outputs, targets):
        return super().losses(outputs, targets % 2)

    def statistics(self, outputs, targets):
        return super().statistics(outputs, targets % 2)

    def margins(self, outputs, targets):
        return super().margins(outputs, targets % 2)


class TwoArrays(nn.Module):
    """Takes one array by each name."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 1))

    def forward(self, features, wave):
        return self.layers(torch.cat([features, wave.flatten(1)], 1))


class Reader(nn.Module):
    """Embeddings of tokens and of their places, attention over tokens that are no padding, and the next token."""

    def __init__(self, embeds=True):
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, 4), nn.Embedding(LENGTH, 4)
        self.embeds = embeds

    def forward(self, ids, mask):
        x = self.tokens(ids) if self.embeds else self.tokens.weight[ids]
        x = (x + self.places(torch.arange(ids.shape[1])))[:, None]
        x = nn.functional.scaled_dot_product_attention(x, x, x, attn_mask=mask[:, None, None, :])[:, 0]
        return x.tanh() @ self.tokens.weight.T


def seeded(network, *args):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FlatModule(network(*args), "fp64")


def arrays(number=7):
    rng = np.random.default_rng(0)
    inputs = {"features": rng.normal(size=(number, 3)), "wave": rng.normal(size=(number, 1, 2))}
    return {name: torch.from_numpy(values) for name, values in inputs.items()}, rng


def tokens(number=7):
    rng = np.random.default_rng(1)
    ids, lengths = torch.from_numpy(rng.integers(0, VOCABULARY, (number, LENGTH))), rng.integers(2, LENGTH + 1, number)
    mask = torch.arange(LENGTH) < torch.from_numpy(lengths)[:, None]
    targets = ids.roll(-1, 1).masked_fill(~mask.roll(-1, 1), -100)
    return {"ids": ids, "lengths": torch.from_numpy(lengths.astype(np.int32))}, targets


def measured(name, model, inputs, targets):
    samples = Samples(inputs, targets, torch.arange(len(targets)))
    return torch.from_numpy(signals_named([name])[name].values(model, samples, np.random.default_rng(0)))


@pytest.mark.slow
@pytest.mark.parametrize("task", first([Binary(), Regression()]))
def test_signals_of_several_arrays_are_those_of_the_tasks_loss(task):
    inputs, rng = arrays()
    targets = torch.from_numpy(rng.integers(0, 2, 7) if isinstance(task, Binary) else rng.normal(size=7))
    model = ProbedModel(seeded(TwoArrays), AsStored(), task)
    outputs = model.outputs(inputs).detach()
    torch.testing.assert_close(measured("loss", model, inputs, targets), task.losses(outputs, targets))
    norms, traces = [], []
    for k in range(7):
        one = {name: values[k : k + 1] for name, values in inputs.items()}
        model.network.differentiate(model.losses(one, targets[k : k + 1]).sum())
        norms.append(model.network.gradient.norm().item())

        def loss(x, k=k):
            return model.losses({"features": x[None, :3], "wave": x[3:].view(1, 1, 2)}, targets[k : k + 1]).sum()

        whole = torch.cat([values.flatten() for values in one.values()])
        traces.append(torch.autograd.functional.hessian(loss, whole).trace().item())
    np.testing.assert_allclose(measured("gradient_norm", model, inputs, targets), norms)
    many = torch.stack([measured_trace(model, inputs, targets, seed) for seed in range(300)]).mean(0)
    np.testing.assert_allclose(many, traces, atol=0.05 * np.abs(traces).max())


def measured_trace(model, inputs, targets, seed):
    samples = Samples(inputs, targets, torch.arange(len(targets)))
    return torch.from_numpy(SIGNALS.load("curvature_hvp")().values(model, samples, np.random.default_rng(seed)))


def test_a_margin_is_the_tasks_own_where_there_are_no_classes():
    inputs, rng = arrays()
    targets, model = torch.from_numpy(rng.integers(0, 2, 7)), ProbedModel(seeded(TwoArrays), AsStored(), Binary())
    outputs = model.outputs(inputs)[:, 0].detach()
    expected = torch.where(targets == 1, outputs, -outputs)
    torch.testing.assert_close(measured("logit_margin", model, inputs, targets), expected)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # vmap over fused attention
def test_gradients_of_tokens_are_those_in_the_embeddings_of_tokens_and_not_of_places():
    (stored, targets), network = tokens(), seeded(Reader)
    inputs = TokenPreparation()(stored)
    model = ProbedModel(network, TokenPreparation(), NextToken())
    places, weight = network.module.places.weight.detach(), network.module.tokens.weight.detach()
    expected = []
    for k in range(7):
        x = weight[inputs["ids"][k]].clone().requires_grad_()
        mask = inputs["mask"][k : k + 1, None, None, :]
        y = (x + places)[None, None]
        y = nn.functional.scaled_dot_product_attention(y, y, y, attn_mask=mask)[:, 0].tanh() @ weight.T
        (gradient,) = torch.autograd.grad(NextToken().losses(y, targets[k : k + 1]).sum(), x)
        expected.append(gradient.norm().item())
    np.testing.assert_allclose(measured("embedding_gradient", model, stored, targets), expected)
    bends = measured("embedding_curvature", model, stored, targets)
    assert bends.isfinite().all()
    assert (bends > 0).all()
    assert measured("gradient_norm", model, stored, targets).isfinite().all()
    with pytest.raises(InputError, match=r"no second derivatives[\s\S]*curvature_fd or embedding_curvature"):
        curvature.hvp(*of_embeddings(model, inputs, targets), np.random.default_rng(0))


def test_a_network_without_embeddings_of_its_tokens_is_refused():
    (inputs, targets), network = tokens(), seeded(Reader, False)
    with pytest.raises(InputError, match=r"none of the network's 2 torch\.nn\.Embedding is given the tokens"):
        measured("embedding_gradient", ProbedModel(network, TokenPreparation(), NextToken()), inputs, targets)


def test_what_does_not_suit_is_left_out_and_told_or_refused_where_it_was_named():
    offers = offered("tokens", TokenPreparation()(tokens()[0]), NextToken())
    choice = Choice.of(MembershipAudit.Config(replicas=4), offers)
    assert choice.signals == ["loss", "logit_margin", "gradient_norm"]
    assert not {"class_threshold", "rmia"} & set(choice.attacks)
    assert {"threshold", "lira_online"} < set(choice.attacks)
    assert not choice.problems
    told = " ".join(choice.notes)
    assert "curvature_hvp needs continuous inputs" in told
    assert (
        "Ask for what suits them: embedding_curvature, embedding_gradient, gradient_norm, logit_margin, loss." in told
    )
    named = MembershipAudit.Config(replicas=4, signals=("curvature_fd", "loss"), attacks=("rmia",))
    assert [str(each).split(",")[0] for each in Choice.of(named, offers).problems] == [
        "--attack: rmia needs classes",
        "--signal: curvature_fd needs continuous inputs",
    ]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A run of nodes that tell odd digits from even ones."""
    TASKS.add("odd", Odd)
    changes = ("rounds=2", "data.held_out=0.4", "data.partition=iid", "data.validation=0.1", "data.public=[]")
    yield run(small(*changes, task={"name": "odd"}), tmp_path_factory.mktemp("runs"))
    TASKS.remove("odd")


def test_a_run_without_classes_is_audited_by_what_suits_it(odd, capsys):
    folder = AuditFolder(audit(odd.path, MembershipAudit.Config(samples=20, resamples=10, views=("final_model",))))
    result = folder.result()
    signals = ("loss", "logit_margin", "gradient_norm", "curvature_hvp")
    assert [*result["attacks"]] == [f"{signal}, threshold" for signal in signals]
    assert result["gap"] == "auroc on members less that on non-members"
    assert len(result["gaps"]) == 4
    assert "left out: modified_entropy needs classes" in " ".join(capsys.readouterr().err.split())
    final = AuditFolder(audit(odd.path, MemorizationAudit.Config(attacks=("final_loss",), resamples=5)))
    assert final.result()["scores"] == ["final loss"]
    page = write_run_report(odd.directory).read_text()
    assert "Not asked: left out: modified_entropy" in page


def test_canaries_whose_gradients_are_marks_need_no_classes(odd, tmp_path, register):
    register("methods", "dp_sgd", DPSGD)
    method = {"name": "dp_sgd", "clip": 0.1, "noise_multiplier": 4.0, "delta": 1e-5}
    quiet = ("rounds=2", "data.partition=iid", "data.public=[]", "data.canaries={kind: block, number: 20, coins: 1}")
    done = run(small(*quiet, task={"name": "odd"}, methods=[method]), tmp_path)
    folder = AuditFolder(audit(done.path, EmpiricalPrivacyAudit.Config(confidence=1 - 1e-6)))
    (section,) = EmpiricalPrivacyAudit.sections(folder)
    assert section.verdict.startswith("No node's empirical epsilon exceeds its promise.")
    assert section.tables[0].header[-1] == "auroc"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (MembershipAudit.Config(attacks=("class_threshold",)), "--attack: class_threshold needs classes"),
        (MemorizationAudit.Config(), "--attack: trajectories needs classes"),
        (ClassSharesAudit.Config(), "--audit: class_shares needs classes, and this run has none"),
        (EarlyExitAudit.Config(), "--audit: early_exit needs classes"),
        (EmpiricalPrivacyAudit.Config(), "data.canaries: this run has no canaries"),
        (RobustnessAudit.Config(), "--audit: robustness needs classes"),
    ],
)
def test_audits_of_classes_refuse_a_run_without_any(odd, settings, told):
    with pytest.raises(InputError) as caught:
        audit(odd.path, settings)
    assert str(caught.value).startswith(told)
