"""The kinds of adapter `portrait tune narrator` can train, each with the settings that suit our pairs."""

from typing import Any, Literal

Method = Literal["lora", "adalora", "prefix", "adapter"]
METHODS: tuple[Method, ...] = ("lora", "adalora", "prefix", "adapter")
LEARNING_RATE: dict[Method, float] = {"lora": 1.5e-3, "adalora": 4e-3, "prefix": 2e-2, "adapter": 1e-2}
LINEARS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VIRTUAL_TOKENS = 20


def adapter_config(method: Method, rank: int, steps: int, layers: int) -> Any:
    """The PEFT configuration for a model of so many `layers`.

    lora and adalora: rank `rank` on the linear parts; lora only in the upper two thirds of the layers, as gradients then end
    there. prefix: virtual tokens. adapter: scaled activations (IA3).
    """
    import peft

    if method == "lora":
        upper = list(range(layers // 3, layers))
        return peft.LoraConfig(
            r=rank, lora_alpha=2 * rank, target_modules=LINEARS, layers_to_transform=upper, task_type="CAUSAL_LM"
        )
    if method == "adalora":  # starts at 1.5 times the rank and gives the layers that need it most of what is kept
        return peft.AdaLoraConfig(
            init_r=rank * 3 // 2,
            target_r=rank,
            lora_alpha=2 * rank,
            target_modules=LINEARS,
            tinit=steps // 10,
            tfinal=steps // 3,
            deltaT=max(1, steps // 50),
            total_step=steps,
            task_type="CAUSAL_LM",
        )
    if method == "prefix":
        return peft.PrefixTuningConfig(num_virtual_tokens=VIRTUAL_TOKENS, task_type="CAUSAL_LM")
    return peft.IA3Config(
        target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"
    )
