"""Language models from a folder of Hugging Face's, whole or with adapters of low rank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from simulator.core.errors import wrong
from simulator.core.model import Model
from simulator.core.paths import place
from simulator.core.registry import PartSettings
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.torchvision_import import import_torchvision
from simulator.models.language_networks import Classifier, LanguageNetwork, NextTokens, check_padding
from simulator.models.lora import LoraSettings, with_adapters


class HuggingFace(Model):
    """A transformer with its weights and, but for next tokens, a new linear head on the mean over tokens.

    Nothing is downloaded (``rumormill[peft]``). Dropout is off. With ``lora`` nodes train and send adapters and the new
    head alone, and the rest is held once by each worker.
    """

    class Config(PartSettings):
        """Which model, and what of it is trained.

        Attributes:
            path: a folder with config.json and *.safetensors: absolute, relative to the current folder, or inside an
                installed package (``package:NAME/FOLDER``).
            lora: the adapters; None: all of the model is trained.
        """

        name: str = "huggingface"
        path: Path
        lora: LoraSettings | None = None

    config: Config

    takes = frozenset({"tokens"})

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network.

        Raises:
            InputError: there is no such model, it lacks weights, or it takes other tokens than those at hand.
        """
        folder = place(self.config.path, None, "model.path", "the current folder")
        transformers = _transformers()
        config = _configuration(transformers, folder)
        _check_tokens(folder, config, inputs)
        kind = transformers.AutoModelForCausalLM if outputs.task.by_token else transformers.AutoModel
        language_model, notes = _loaded(transformers, kind, folder, config)
        if self.config.lora is not None:
            with_adapters(language_model, self.config.lora)
        width = outputs.width
        network: LanguageNetwork = (
            NextTokens(language_model, width) if outputs.task.by_token else Classifier(language_model, width)
        )
        network.notes = tuple(notes)
        check_padding(network, inputs)
        return network

    def notes(self, network: nn.Module) -> Iterable[str]:
        """What of the folder's weights was left out."""
        assert isinstance(network, LanguageNetwork)
        return network.notes


def _transformers() -> Any:
    import_torchvision()  # transformers imports it in a way that fails beside some builds of torch
    try:
        import transformers
    except ImportError as error:
        what = "models of Hugging Face are read by transformers, which is not installed."
        raise wrong("model", what, "Install it: pip install 'rumormill[peft]'") from error
    return transformers


def _configuration(transformers: Any, folder: Path) -> Any:
    """The model's own, with all dropout off."""
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        what = f"{folder} holds no model: {str(error).splitlines()[0]}"
        raise wrong("model.path", what, "Give a folder that save_pretrained has written.") from error
    if config.is_encoder_decoder:
        what = f"{config.model_type} has an encoder and a decoder, and samples here are one text each."
        raise wrong("model.path", what, "Give a model of one of the two.")
    for name, value in config.to_dict().items():
        if isinstance(value, float) and ("dropout" in name or name.endswith(("_drop", "_pdrop"))):
            setattr(config, name, 0.0)
    return config


def _check_tokens(folder: Path, config: Any, inputs: InputSpec) -> None:
    """Refuse tokens that mean something else to the model, and more of them than it has places for."""
    known = _vocabulary(folder) or config.vocab_size
    if inputs.vocabulary != known:
        what = f"the model knows {known:,} tokens, and the data have {inputs.vocabulary:,}: they mean something else."
        raise wrong("model.path", what, f"Set tokenizer of the data set to the model's own: {folder}/tokenizer.json.")
    places = getattr(config, "max_position_embeddings", None)
    if places is not None and inputs.shape[0] > places:
        what = f"the model takes at most {places:,} tokens, and samples have {inputs.shape[0]:,}."
        raise wrong("model.path", what, f"Set length of the data set to {places} or less.")


def _vocabulary(folder: Path) -> int | None:
    """How many tokens the folder's tokenizer knows, which may be fewer than the model has embeddings for."""
    if not (folder / "tokenizer.json").is_file():
        return None
    import tokenizers  # transformers comes with it

    size: int = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    return size


def _loaded(transformers: Any, kind: Any, folder: Path, config: Any) -> tuple[nn.Module, list[str]]:
    """The model of this kind, in float32, and what of its weights was left out."""
    if torch.get_default_device().type == "meta":  # its memory is being reckoned
        return kind.from_config(config, attn_implementation="eager"), []
    try:
        with _quiet(transformers):
            model, report = kind.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                attn_implementation="eager",  # what vectorises over samples and models
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError) as error:
        what = f"{folder} cannot be loaded: {str(error).splitlines()[0]}"
        raise wrong("model.path", what, "Give a folder that save_pretrained has written.") from error
    if missing := sorted(report["missing_keys"]):
        what = f"{folder} has no weights for {', '.join(missing[:3])}: it holds no {type(model).__name__}."
        raise wrong("model.path", what, "Give a model that was trained for the task, or set another task.")
    notes = []
    if unexpected := sorted(report["unexpected_keys"]):
        notes.append(f"weights in {folder.name} that the model does without: {', '.join(unexpected)}")
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # another head, on the first token
        notes.append("the model's pooler is left out: the head sees the mean over tokens")
    return model, notes


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without a progress bar and a table of what `_loaded` tells itself."""
    log = transformers.utils.logging
    before, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(before)
        if bar:
            log.enable_progress_bar()
