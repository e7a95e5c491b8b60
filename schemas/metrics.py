"""Every Prometheus metric of Portrait. docs/metrics.md lists them; a test fails when one is missing there."""

from prometheus_client import Counter, Gauge, Histogram

FAST_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
SLOW_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)

# the streaming core
MESSAGES = Counter("portrait_messages", "Messages read and committed", ["topic"])
DEAD_LETTERS = Counter("portrait_dead_letters", "Messages sent to dead-letters", ["reason"])
FUTURE_TIMES = Counter("portrait_future_times", "Times ahead of their Kafka timestamp, set back to it", ["topic"])
COMMIT_SECONDS = Histogram("portrait_commit_seconds", "Time of one commit, produce to store", buckets=FAST_S)
BATCH_MESSAGES = Histogram("portrait_batch_messages", "Messages in one micro-batch", buckets=(1, 5, 20, 100, 500, 2000, 10000))
ABORTS = Counter("portrait_aborts", "Transactions aborted and batches read again", ["cause"])
RETRIES = Counter("portrait_retries", "Batches that waited for a server and were tried again", ["cause"])
TABLE_RECORDS_SKIPPED = Counter("portrait_table_records_skipped", "Bad records of items and item-vectors skipped", ["reason"])
LAG = Gauge("portrait_lag_messages", "Messages not folded yet, of this worker's partitions", ["topic"])
PARTITIONS = Gauge("portrait_partitions", "User partitions assigned to this worker")
LOST_MESSAGES = Counter(
    "portrait_lost_messages", "Messages that retention deleted before they were read; their loss was accepted", ["topic"]
)
REPEATED = Counter(
    "portrait_repeated_messages",
    "Messages left out because they were read before: the client had gone back by itself",
    ["topic"],
)
RESTORED = Counter("portrait_restored_records", "Changelog records read to restore stores")
RESTORE_REMAINING = Gauge("portrait_restore_remaining_records", "Changelog records left to restore")
READY = Gauge("portrait_ready", "1 when this process does its work")

# profiler
FOLDED = Counter("portrait_events_folded", "Inputs that changed a state", ["kind"])
DUPLICATES = Counter("portrait_duplicate_events", "Events seen before and ignored")
LATE_EVENTS = Counter("portrait_late_events", "Events left out because their user's newest is too much newer")
LISTS = Counter("portrait_lists", "Lists published")
LIST_SECONDS = Histogram("portrait_list_stage_seconds", "user_encoder and top-k of one micro-batch", buckets=FAST_S)
LISTS_WITHOUT_VECTOR = Counter(
    "portrait_lists_without_vector", "Lists of users nothing is known of: popular and fresh items only"
)
LIST_PLACES = Counter("portrait_list_places", "Places of published main lists, by each source that gave the item", ["source"])
LISTS_CHECKED = Counter("portrait_lists_checked", "Published lists held against a fresh, exact computation")
LIST_ITEMS_DIFFERING = Counter("portrait_list_items_differing", "Items of checked lists that the fresh ones do not have")
LIST_SCORE_GAP = Histogram(
    "portrait_list_score_gap",
    "Largest difference of a checked list's scores from the fresh ones",
    buckets=(1e-6, 1e-4, 1e-3, 0.01, 0.1, 1),
)
PROFILE_REQUESTS = Counter("portrait_profile_requests", "Profiles asked for", ["reason"])
CATALOG_ITEMS = Gauge("portrait_catalog_items", "Items with a vector in this worker's catalogue")
ERASURES = Counter("portrait_erasures", "Users erased")
USERS_RELEARNT = Counter(
    "portrait_users_relearnt", "Users whose kept events taught this process anew what is popular and goes together"
)

# catalog
ITEMS_ENCODED = Counter("portrait_items_encoded", "Items turned into vectors")
ITEMS_REFUSED = Counter("portrait_items_refused", "Items left without a vector because text_encoder refuses their text")
ITEMS_WAITING = Gauge("portrait_items_waiting", "Items read and not encoded yet")

# narrator
NARRATOR_QUEUE = Gauge("portrait_narrator_queue_users", "Users waiting for a profile text")
PROFILES = Counter("portrait_profiles", "Profiles published")
SENTENCES = Counter("portrait_profile_sentences", "Sentences published, by who wrote them", ["source", "language"])
FACTS_WORDED = Counter(
    "portrait_profile_facts",
    "Facts of published texts: worded by the LLM for this text, remembered from another, in fixed words, or left out",
    ["source"],
)
GROUNDING_FAILURES = Counter("portrait_grounding_failures", "Texts refused by the grounding check", ["reason"])
TEXTS_BEGUN = Counter("portrait_texts_begun", "Profile texts begun, an LLM call each, by why they were asked for", ["reason"])
TEXT_WAIT_SECONDS = Histogram(
    "portrait_text_wait_seconds", "Time from the request of a text until it was begun", ["reason"], buckets=SLOW_S
)
TEXTS_HELD_BACK = Gauge("portrait_texts_held_back_users", "Users whose text waits for the budget or their own pause", ["by"])
SUPERSEDED = Counter("portrait_profile_requests_superseded", "Requests dropped for a newer one or a cancellation")
REQUESTS_EXPIRED = Counter(
    "portrait_profile_requests_expired", "Requests given up unanswered, as their topic was about to delete them"
)
GENERATED_TOKENS = Counter("portrait_llm_tokens", "Tokens generated by profile_llm")
GENERATION_SECONDS = Histogram("portrait_llm_seconds", "Time of one text, asked to answered", buckets=SLOW_S)

# calls of Triton
INFERENCE_SECONDS = Histogram("portrait_inference_seconds", "Time of one Triton call", ["model"], buckets=FAST_S)
INFERENCE_ERRORS = Counter("portrait_inference_errors", "Failed Triton calls", ["model", "kind"])
BREAKER_STATE = Gauge(
    "portrait_breaker_state", "0 a model is asked, 1 one call is let through to see, 2 it is not asked", ["model"]
)
CALLS_HELD_BACK = Counter("portrait_calls_held_back", "Triton calls not made because the model's breaker was open", ["model"])
CALLS_REPEATED = Counter("portrait_calls_repeated", "Triton calls made again at once, inside the budget", ["model"])
