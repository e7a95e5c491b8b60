"""From users to ranked lists: features, retrieval, ranking, policy, reasons. The profiler calls the encoder in between."""
