"""The client of Triton, for the roles: what else is in here they need not know. The only owner of tritonclient."""

from consumers.inference.client import InferenceClient
from consumers.inference.refused_texts import Vectors
from consumers.inference.text_stream import Generation, Sampling

__all__ = ["Generation", "InferenceClient", "Sampling", "Vectors"]
