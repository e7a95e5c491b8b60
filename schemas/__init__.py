"""Contracts: topics, messages, user state, Triton tensors, settings, metrics, errors. Imports none of our other rooms."""
