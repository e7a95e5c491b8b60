"""Which adapter the settings name, and the version that other weights get."""

from pathlib import Path

import pytest

from deploy.local import adapters
from deploy.local.adapters import adapter_folder, weights_version
from schemas.errors import ConfigError
from schemas.settings import ModelSettings


def saved_adapter(folder: Path, weights: bytes = b"weights") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


def test_the_builtin_adapter_goes_with_the_builtin_model_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "NARRATOR_FOLDER", tmp_path / "narrator")
    assert adapter_folder(ModelSettings()) is None  # not there yet
    saved_adapter(tmp_path / "narrator")
    assert adapter_folder(ModelSettings()) == tmp_path / "narrator"
    assert adapter_folder(ModelSettings(profile_llm="some/model")) is None
    assert adapter_folder(ModelSettings(profile_llm_adapter="")) is None


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    saved = saved_adapter(tmp_path / "mine")
    assert adapter_folder(ModelSettings(profile_llm="some/model", profile_llm_adapter=str(saved))) == saved
    (saved / "adapter_model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"PROFILE_LLM_ADAPTER.*has no adapter_model.safetensors"):
        adapter_folder(ModelSettings(profile_llm_adapter=str(saved)))


def test_other_weights_or_another_adapter_have_another_version(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"0" * 3_000_000)
    first, second = saved_adapter(tmp_path / "a"), saved_adapter(tmp_path / "b", b"Weights")
    alone = weights_version({"profile_llm": base})
    adapted = [weights_version({"profile_llm": base, "profile_llm_adapter": folder}) for folder in (first, second)]
    assert len({alone, *adapted}) == 3
    assert weights_version({"profile_llm": base}) == alone
    assert 1 <= alone <= 10**9
    (base / "model.safetensors").write_bytes(b"0" * 2_999_999 + b"1")
    assert weights_version({"profile_llm": base}) != alone
