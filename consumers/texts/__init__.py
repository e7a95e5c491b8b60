"""From statements to published texts: sentences, prompts, the grounding check, and whose turn it is."""
