"""Converts a Llama-family GGUF file to a folder transformers loads: safetensors in bf16, and the tokenizer.

    python -m deploy.local.gguf_conversion FILE FOLDER

transformers reads GGUF itself, but takes 45 s over this one, asks for one more package, and mistakes its end token.
"""

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast

LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTER_PARTS = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}
CONTROL_TOKEN = 3


class Metadata:
    """The key-value part of a GGUF file."""

    def __init__(self, reader: gguf.GGUFReader) -> None:
        self._fields = reader.fields

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def __getitem__(self, key: str) -> Any:
        """The value of a key.

        Raises:
            ValueError: the file has no such key.
        """
        if key not in self._fields:
            raise ValueError(f"the GGUF file has no {key}")
        return self._fields[key].contents()


def convert(source: Path, folder: Path) -> None:
    """Write `source` into `folder` as config, weights and tokenizer.

    Raises:
        ValueError: the file is of another architecture or tokenizer than the ones written here.
    """
    reader = gguf.GGUFReader(source)
    metadata = Metadata(reader)
    if metadata["general.architecture"] != "llama" or metadata["tokenizer.ggml.pre"] != "smollm":
        raise ValueError(f"{source} is not of the llama architecture with the smollm tokenizer")
    folder.mkdir(parents=True, exist_ok=True)
    config = read_config(metadata)
    weights = {hf_name(tensor.name): read_weight(tensor, config) for tensor in reader.tensors}
    config.tie_word_embeddings = "lm_head.weight" not in weights
    config.save_pretrained(folder)
    ends = {name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    read_tokenizer(metadata).save_pretrained(folder)


def read_config(metadata: Metadata) -> LlamaConfig:
    """The model's shape."""
    heads = metadata["llama.attention.head_count"]
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
        vocab_size=metadata["llama.vocab_size"],
        hidden_size=metadata["llama.embedding_length"],
        intermediate_size=metadata["llama.feed_forward_length"],
        num_hidden_layers=metadata["llama.block_count"],
        num_attention_heads=heads,
        num_key_value_heads=metadata["llama.attention.head_count_kv"],
        head_dim=metadata["llama.embedding_length"] // heads,
        max_position_embeddings=metadata["llama.context_length"],
        rms_norm_eps=metadata["llama.attention.layer_norm_rms_epsilon"],
        rope_parameters={
            "rope_type": "default",
            "rope_theta": metadata["llama.rope.freq_base"],
        },
        bos_token_id=metadata["tokenizer.ggml.bos_token_id"],
        eos_token_id=metadata["tokenizer.ggml.eos_token_id"],
        pad_token_id=metadata["tokenizer.ggml.padding_token_id"],
    )


def hf_name(name: str) -> str:
    """The transformers name of a GGUF tensor."""
    if not name.startswith("blk."):
        part, suffix = name.rsplit(".", 1)
        return f"{OUTER_PARTS[part]}.{suffix}"
    _, layer, part, suffix = name.split(".")
    return f"model.layers.{layer}.{LAYER_PARTS[part]}.{suffix}"


def read_weight(tensor: gguf.ReaderTensor, config: LlamaConfig) -> torch.Tensor:
    """A tensor, dequantised."""
    weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    if tensor.name.endswith("attn_q.weight"):
        weight = split_rotary_halves(weight, config.num_attention_heads)
    if tensor.name.endswith("attn_k.weight"):
        weight = split_rotary_halves(weight, config.num_key_value_heads or config.num_attention_heads)
    return torch.from_numpy(np.array(weight)).to(torch.bfloat16)


def split_rotary_halves(weight: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """GGUF keeps each rotary pair side by side, transformers keeps the two halves of a head apart."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read_tokenizer(metadata: Metadata) -> PreTrainedTokenizerFast:
    """The byte-level BPE tokenizer of SmolLM2, with its chat template."""
    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"]
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=tokens[metadata["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[metadata["tokenizer.ggml.eos_token_id"]],
        unk_token=tokens[metadata["tokenizer.ggml.unknown_token_id"]],
        pad_token=tokens[metadata["tokenizer.ggml.padding_token_id"]],
        model_max_length=metadata["llama.context_length"],
        clean_up_tokenization_spaces=False,
        chat_template=metadata["tokenizer.chat_template"],
    )


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
