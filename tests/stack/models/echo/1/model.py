"""Gives back what it is given; `ssl` is imported because it fails where the stub runs on another Python's library."""

import ssl  # noqa: F401

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        inputs = [pb_utils.get_input_tensor_by_name(request, "X").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("Y", given)]) for given in inputs]
