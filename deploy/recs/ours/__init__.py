"""Portrait's own recommender: a sequence network, item-to-item models and counts, and a ranker that weighs them."""
