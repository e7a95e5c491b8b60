"""Which vector search the settings ask for."""

from consumers.search.exact import ExactIndex
from consumers.search.vector_index import VectorIndex
from schemas.settings import SearchSettings


def vector_index(settings: SearchSettings, dim: int) -> VectorIndex:
    """A new, empty index.

    Raises:
        ConfigError: Milvus is asked for and its client is not installed.
        Retryable: Milvus cannot be reached.
    """
    match settings.index:
        case "exact":
            return ExactIndex()
        case "milvus":
            from consumers.search.milvus_index import MilvusIndex

            token = settings.milvus_token.get_secret_value() if settings.milvus_token else ""
            return MilvusIndex(settings.milvus_address, token, settings.milvus_collection, dim)
        case kind:
            from consumers.search.faiss_index import FaissChoice, FaissIndex

            effort = FaissChoice(
                "ivf" if kind == "auto" else kind,
                settings.exact_up_to,
                settings.lists_probed,
                settings.graph_effort,
                settings.threads,
            )
            return FaissIndex(effort)
