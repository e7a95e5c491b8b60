"""Plots of an HTML report as inline SVG, and the text of one: everything is escaped, for items are hostile."""

import unicodedata
from collections.abc import Mapping, Sequence
from html import escape

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1,h2{line-height:1.2}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;text-align:left;
border-bottom:1px solid #dde3ea;vertical-align:top}.wrong{color:#b3261e}svg{display:block;margin:1rem 0}
text{font:12px system-ui,sans-serif;fill:#1c2430}.bar{fill:#3b6fb6}.other{fill:#b8c4d2}.line{fill:none;stroke:#3b6fb6;
stroke-width:2}.grid{stroke:#dde3ea}.axis{stroke:#1c2430}.sample{margin:.5rem 0;padding:.4rem .7rem;background:#f4f6f9}"""
WIDTH, ROW, LEFT = 640, 26, 250


def visible(text: str) -> str:
    """The text with every character that steers a screen written as its number."""
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c)[0] == "C" and c != "\n" else c for c in text)


def escaped(value: object) -> str:
    """The value as text that HTML shows as it is."""
    return escape(visible(str(value)))


def bars(title: str, rows: Sequence[tuple[str, float]], most: float = 1.0) -> str:
    """Horizontal bars, each with its value."""
    height = 30 + ROW * len(rows)
    parts = [f"<svg viewBox='0 0 {WIDTH + 75} {height}' width='{WIDTH + 75}' height='{height}' role='img'>"]
    parts.append(f"<text x='0' y='16' font-weight='bold'>{escaped(title)}</text>")
    for number, (name, value) in enumerate(rows):
        y, width = 28 + ROW * number, (WIDTH - LEFT) * min(1.0, value / most if most else 0.0)
        parts.append(f"<text x='0' y='{y + 14}'>{escaped(name)}</text>")
        parts.append(f"<rect class='other' x='{LEFT}' y='{y}' width='{WIDTH - LEFT}' height='18'/>")
        parts.append(f"<rect class='bar' x='{LEFT}' y='{y}' width='{width:.1f}' height='18'/>")
        parts.append(f"<text x='{WIDTH + 6}' y='{y + 14}'>{value:.4g}</text>")
    return "".join([*parts, "</svg>"])


def curve(title: str, points: Sequence[tuple[float, float]]) -> str:
    """A line of shares (0 to 1) over a count."""
    most = max((x for x, _ in points), default=1.0) or 1.0
    placed = " ".join(f"{40 + 560 * x / most:.1f},{190 - 160 * y:.1f}" for x, y in points)
    grid = "".join(
        f"<line class='grid' x1='40' x2='600' y1='{190 - 160 * y}' y2='{190 - 160 * y}'/>"
        f"<text x='4' y='{194 - 160 * y}'>{y}</text>"
        for y in (0, 0.25, 0.5, 0.75, 1)
    )
    ticks = "".join(
        f"<text x='{36 + 560 * x / most:.1f}' y='208'>{x:g}</text>" for x, _ in points[:: max(1, len(points) // 10)]
    )
    head = f"<text x='0' y='16' font-weight='bold'>{escaped(title)}</text>"
    line = f"<polyline class='line' points='{placed}'/>"
    return f"<svg viewBox='0 0 640 214' width='640' height='214' role='img'>{head}{grid}{ticks}{line}</svg>"


def whiskers(title: str, rows: Sequence[tuple[str, float, float, float]], zero: bool = False) -> str:
    """A dot with its interval for each name, value, low and high; with `zero`, a line where 0 is."""
    lowest = min([0.0, *(low for _, _, low, _ in rows)])
    most = max([*(high for *_, high in rows), lowest + 1e-9])
    height, scale = 30 + ROW * len(rows), (WIDTH - LEFT) / (most - lowest)
    parts = [f"<svg viewBox='0 0 {WIDTH + 75} {height}' width='{WIDTH + 75}' height='{height}' role='img'>"]
    parts.append(f"<text x='0' y='16' font-weight='bold'>{escaped(title)}</text>")
    if zero:
        at = LEFT - lowest * scale
        parts.append(f"<line class='axis' x1='{at:.1f}' x2='{at:.1f}' y1='24' y2='{height}'/>")
    for number, (name, value, low, high) in enumerate(rows):
        y = 37 + ROW * number
        begin, dot, end = (LEFT + (at - lowest) * scale for at in (low, value, high))
        parts.append(f"<text x='0' y='{y + 5}'>{escaped(name)}</text>")
        parts.append(f"<line class='grid' x1='{LEFT}' x2='{WIDTH}' y1='{y}' y2='{y}'/>")
        parts.append(f"<line class='line' x1='{begin:.1f}' x2='{end:.1f}' y1='{y}' y2='{y}'/>")
        parts.append(
            f"<circle class='bar' cx='{dot:.1f}' cy='{y}' r='4'/><text x='{WIDTH + 6}' y='{y + 5}'>{value:.4g}</text>"
        )
    return "".join([*parts, "</svg>"])


def scatter(title: str, across: str, up: str, points: Sequence[tuple[str, float, float]]) -> str:
    """Named points; up begins at 0, across is as wide as the points. Names stand at the right, in the order of height."""
    least, most = min(x for _, x, _ in points), max(x for _, x, _ in points)
    wide, high = max(1e-9, most - least), max([1e-9, *(y for _, _, y in points)])
    parts = ["<svg viewBox='0 0 700 340' width='700' height='340' role='img'>"]
    parts.append(f"<text x='0' y='16' font-weight='bold'>{escaped(title)}</text>")
    for step in range(5):
        share, x, y = step / 4, 60 + 460 * step / 4, 300 - 260 * step / 4
        parts.append(
            f"<line class='grid' x1='60' x2='520' y1='{y}' y2='{y}'/><line class='grid' x1='{x}' x2='{x}' y1='40' y2='300'/>"
        )
        parts.append(
            f"<text x='{x - 12}' y='316'>{least + wide * share:.3g}</text><text x='4' y='{y + 4}'>{high * share:.3g}</text>"
        )
    parts.append(f"<text x='240' y='334'>{escaped(across)}</text><text x='60' y='34'>{escaped(up)}</text>")
    free = 20.0
    for name, x_value, y_value in sorted(points, key=lambda point: -point[2]):
        x, y = 60 + 460 * (x_value - least) / wide, 300 - 260 * y_value / high
        free = max(y + 4, free + 13)  # labels sink, so that two of one height can both be read
        parts.append(f"<circle class='bar' cx='{x:.1f}' cy='{y:.1f}' r='4'/>")
        parts.append(f"<line class='grid' x1='{x:.1f}' y1='{y:.1f}' x2='566' y2='{free - 4:.1f}'/>")
        parts.append(f"<text x='570' y='{free:.1f}'>{escaped(name)}</text>")
    return "".join([*parts, "</svg>"])


def trails(title: str, across: str, up: str, lines: Mapping[str, Sequence[tuple[str, float, float]]]) -> str:
    """Named lines through points that have names; both axes are as wide as the points, so that small changes show."""
    points = [point for line in lines.values() for point in line]
    left, right = min(x for _, x, _ in points), max(x for _, x, _ in points)
    low, top = min(y for *_, y in points), max(y for *_, y in points)
    wide, high = max(1e-9, right - left), max(1e-9, top - low)
    parts = ["<svg viewBox='0 0 700 340' width='700' height='340' role='img'>"]
    parts.append(f"<text x='0' y='16' font-weight='bold'>{escaped(title)}</text>")
    for step in range(5):
        share, x, y = step / 4, 80 + 520 * step / 4, 290 - 230 * step / 4
        parts.append(f"<line class='grid' x1='80' x2='600' y1='{y}' y2='{y}'/>")
        parts.append(f"<text x='{x - 12}' y='316'>{left + wide * share:.3g}</text>")
        parts.append(f"<text x='4' y='{y + 4}'>{low + high * share:.4f}</text>")
    parts.append(f"<text x='240' y='334'>{escaped(across)}</text><text x='4' y='38'>{escaped(up)}</text>")
    for number, (name, line) in enumerate(lines.items()):
        placed = [(at, 80 + 520 * (x - left) / wide, 290 - 230 * (y - low) / high) for at, x, y in line]
        dashes, below = ("", -8) if number == 0 else (" stroke-dasharray='5 4'", 16)
        parts.append(f"<polyline class='line'{dashes} points='{' '.join(f'{x:.1f},{y:.1f}' for _, x, y in placed)}'/>")
        for at, x, y in placed:
            parts.append(f"<circle class='bar' cx='{x:.1f}' cy='{y:.1f}' r='3'/>")
            parts.append(f"<text x='{x - 8:.1f}' y='{y + below:.1f}'>{escaped(at)}</text>")
        parts.append(f"<text x='{placed[-1][1] + 18:.1f}' y='{placed[-1][2] + below / 2:.1f}'>{escaped(name)}</text>")
    return "".join([*parts, "</svg>"])
