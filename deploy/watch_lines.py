"""A watched user as plain lines, for an output that is no terminal."""

from deploy.display import clock, shown
from deploy.watch import Change, Watched
from deploy.watch_view import about, declared
from schemas.messages import (
    BehaviorEvent,
    ConsentControl,
    EditControl,
    EraseControl,
    MuteControl,
    Recommendations,
    UserAttributes,
    UserProfile,
)
from schemas.topics import RECOMMENDATIONS, USER_PROFILES

PRESENT_EVENTS = 10


def present_lines(user: Watched, now_ms: int) -> list[str]:
    """What is there already, as lines like those of later changes: the last events, the profile and the list."""
    if not user.known:
        return [f"{clock(now_ms, now_ms)} nothing is known of {shown(user.user_id, 60)} yet"]
    changes = [
        Change(seen.topic, seen.arrived_ms, seen.event, seen.refusal) for seen in reversed(list(user.events)[:PRESENT_EVENTS])
    ]
    if user.profile:
        changes.append(Change(USER_PROFILES.name, user.profile_arrived_ms, user.profile))
    if user.recommendations:
        changes.append(Change(RECOMMENDATIONS.name, user.list_arrived_ms, user.recommendations))
    lines = [change_line(user, change, now_ms) for change in changes]
    return lines if user.erased_ms is None else [f"{clock(user.erased_ms, now_ms)} erased", *lines]


def change_line(user: Watched, change: Change, now_ms: int) -> str:
    """A change in one line, for an output that is no terminal."""
    kind, told = _told(user, change)
    return f"{clock(change.arrived_ms, now_ms)} {kind:<9}{shown(told, 400)}".rstrip()


def _told(user: Watched, change: Change) -> tuple[str, str]:
    message = change.message
    match message:
        case BehaviorEvent():
            return "event", f"{message.type} {about(user, message)}"
        case UserProfile():
            sentences = " ".join(f"[{sentence.source}] {sentence.text}" for sentence in message.summary)
            return "profile", f"{sentences} ({len(message.statements)} statements)"
        case Recommendations():
            titles = " | ".join(f"{rank} {shown(item.title, 40)}" for rank, item in enumerate(message.items, 1))
            return "list", titles or "empty"
        case UserAttributes():
            return "declared", declared(user)
        case ConsentControl():
            return "consent", f"{message.purpose} {'allowed' if message.granted else 'not allowed'}"
        case EditControl():
            return "edit", f"{message.topic}: {message.stance}"
        case MuteControl():
            return "mute", f"{message.target} {message.value}{'' if message.muted else ' lifted'}"
        case EraseControl():
            return "erased", ""
        case _ if change.refusal:
            return "refused", f"{change.refusal} in {change.topic}"
    return "gone", change.topic
