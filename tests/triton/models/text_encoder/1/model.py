"""Vectors that depend on the text alone. A text with REFUSE is refused; one with SLEEP takes 20 ms."""

import time
import zlib

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().reshape(-1)
        if any(b"REFUSE" in text for text in texts):
            error = pb_utils.TritonError("text_encoder: not a text of mine", pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse(error=error)
        time.sleep(0.02 * sum(b"SLEEP" in text for text in texts))
        vectors = np.stack([vector(text) for text in texts])
        return pb_utils.InferenceResponse([pb_utils.Tensor("EMBEDDING", vectors)])


def vector(text):
    drawn = np.random.default_rng(zlib.crc32(text)).standard_normal(384)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)
