"""Recommendations from recorded events: splits, peers, our own models, and what they are worth (`portrait eval recs`)."""
