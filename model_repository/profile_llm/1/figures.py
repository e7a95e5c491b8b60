"""What profile_llm reports on Triton's own metrics page: how texts came to be answered, and how many wait or are at work."""

import time

import triton_python_backend_utils as pb_utils
from desk import Desk

EVERY_S = 0.5


class Figures:
    """Metrics of one version of the model. Without metrics on the server it does nothing."""

    def __init__(self, version: str) -> None:
        self._updated_s = 0.0
        self._told: dict[str, int] = {}
        try:
            self._texts = family("portrait_profile_llm_texts", "Texts answered, by how they came about", "COUNTER")
            self._prompts = family("portrait_profile_llm_prompts", "Texts waiting and being written, now", "GAUGE")
            self._cache = family("portrait_profile_llm_cache_bytes", "Bytes of texts remembered", "GAUGE")
        except pb_utils.TritonModelException as error:
            pb_utils.Logger.log_info(f"profile_llm: no metrics of its own: {error}")
            self._metrics = {}
            return
        self._metrics = {
            name: parent.Metric(labels={"version": version, **labels})
            for name, parent, labels in [
                *((name, self._texts, {"source": name}) for name in ("written", "joined", "cached")),
                *((name, self._prompts, {"state": name}) for name in ("waiting", "at_work")),
                ("cache", self._cache, {}),
            ]
        }

    def update(self, desk: Desk, at_work: int) -> None:
        """Tell Triton, at most twice a second: each number is a call to another process."""
        if not self._metrics or time.monotonic() - self._updated_s < EVERY_S:
            return
        self._updated_s = time.monotonic()
        for name, total in vars(desk.counts).items():
            if total > self._told.get(name, 0):
                self._metrics[name].increment(total - self._told.get(name, 0))
                self._told[name] = total
        for name, value in {"waiting": desk.waiting, "at_work": at_work, "cache": desk.cache.used_bytes}.items():
            if value != self._told.get(name):
                self._metrics[name].set(value)
                self._told[name] = value

    def close(self) -> None:
        """Metrics have to go before their families."""
        self._metrics.clear()


def family(name: str, description: str, kind: str) -> "pb_utils.MetricFamily":
    return pb_utils.MetricFamily(name=name, description=description, kind=getattr(pb_utils.MetricFamily, kind))
