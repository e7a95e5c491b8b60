"""A real Kafka broker and a real Triton server on this machine, without Docker."""
