"""The fold of tag_fold.py in Quix Streams, exactly once: run with the Python of an environment that holds quixstreams.

`python quix_fold.py BROKER STATE_FOLDER`; ends on SIGTERM. Quix keeps, logs and publishes per event, as it is made to.
"""

import sys
import warnings

warnings.simplefilter("ignore")  # of its dependencies

from quixstreams import Application, State  # noqa: E402

HISTORY_LENGTH = 50


def fold(event: dict, state: State) -> dict:
    """Take one event into the user's state; gives the summary that subscribers are told."""
    known = state.get("state") or {"count": 0, "events": [], "tags": {}}
    known["count"] += 1
    known["events"].append((event["event_id"], event["item_id"], event["weight"]))
    if len(known["events"]) > HISTORY_LENGTH:
        del known["events"][0]
    tags = known["tags"]
    for tag in event["tags"]:
        tags[tag] = tags.get(tag, 0.0) + event["weight"]
    state.set("state", known)
    _, strongest = max(zip(tags.values(), tags, strict=True))
    return {"count": known["count"], "event_id": event["event_id"], "tag": strongest}


def main(broker: str, state_folder: str, commit_interval_s: float) -> None:
    """Run until told to stop."""
    app = Application(
        broker_address=broker,
        consumer_group="quix-fold",
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=state_folder,
        commit_interval=commit_interval_s,
        loglevel="WARNING",
        producer_extra_config={"retry.backoff.ms": 2},  # as ours: with the default each commit waits 100 ms
    )
    events = app.topic("fold-events", value_deserializer="json", key_deserializer="str")
    summaries = app.topic("quix-summaries", value_serializer="json", key_serializer="str")
    app.dataframe(events).apply(fold, stateful=True).to_topic(summaries)
    app.run()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
