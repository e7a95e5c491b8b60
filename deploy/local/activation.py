"""Puts another version of user_encoder in service: at once where a Triton of this project runs, else when it next starts."""

from collections.abc import Callable

from deploy.local import triton_http
from deploy.local.encoder_versions import EncoderVersions
from deploy.local.links import ModelVersion, link_version
from deploy.local.record import read_record, stack_folder
from deploy.local.triton import LOAD_TIMEOUT_S
from schemas.errors import ConfigError, Retryable
from schemas.settings import Settings
from schemas.tensors import USER_ENCODER

Say = Callable[[str], None]


def activate(version: int, settings: Settings, say: Say) -> None:
    """Serve this version from now on. Triton loads it beside the one in use, which answers until the new one is ready.

    Raises:
        ConfigError: there is no such version, or Triton could not load it: then the one before stays in service.
    """
    versions = EncoderVersions.of(settings)
    before, folder = versions.active, versions.servable(version)
    folder_of_stack = stack_folder(settings)
    record = read_record(folder_of_stack)
    triton = record.service("triton") if record else None
    links = folder_of_stack / "triton" / "models" / USER_ENCODER.name
    if triton is None or triton.pid is None or not links.is_dir():
        versions.note_active(version)
        say(f"user_encoder {version} will be served by the Triton that `portrait up` starts next")
        return
    say(f"loading user_encoder {version} on Triton at {triton.addresses['grpc']}; {before} answers meanwhile")
    link_version(links, ModelVersion(version, folder))
    try:
        triton_http.load_model(triton.addresses["http"], USER_ENCODER.name, LOAD_TIMEOUT_S)
    except Retryable as error:
        link_version(links, ModelVersion(before, versions.path(before)))
        why = str(error).partition("\n")[0]
        raise ConfigError(f"Triton could not load user_encoder {version}: {why}; {before} stays in service") from error
    versions.note_active(version)
    say(f"user_encoder {version} is in service")
