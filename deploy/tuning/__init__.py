"""Tuning profile_llm: pairs of facts and sentences, training of an adapter, and what the tuned model is worth."""
