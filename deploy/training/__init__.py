"""`portrait train`: the learned user_encoder and its ranker, from recorded events to a version that Triton serves."""
