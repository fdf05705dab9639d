"""The figure of crowd_methods.py: how many volunteers cria needs for what cria-2021 reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp, log

WIDTH, HEIGHT, LEFT, BOTTOM = 520, 400, 60, 50
COLOURS = {"clean": "#2a9d8f", "typical": "#1d4e89", "bad": "#c1440e"}


def needed(curve: Mapping[int, float], aim: float) -> float | None:
    """Volunteers at which a falling `curve` (volunteers to nm) comes down to `aim`.

    Straight between measured points on logarithmic axes; no guess beyond them: the smallest panel
    if it is good enough, None if none is.

    >>> needed({5: 80.0, 20: 40.0}, 40.0), needed({5: 80.0}, 90.0), needed({5: 80.0}, 70.0)
    (20.0, 5.0, None)
    >>> round(needed({5: 80.0, 20: 40.0}, 80 / 2**0.5), 6)
    10.0
    """
    sizes = sorted(curve)
    if curve[sizes[0]] <= aim:
        return float(sizes[0])
    for few, more in pairwise(sizes):
        if curve[more] <= aim:
            part = log(curve[few] / aim) / log(curve[few] / curve[more])
            return exp(log(few) + part * log(more / few))
    return None


def needed_figure(points: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """An SVG: per crowd, volunteers of cria-2021 (across) and of cria for the same MASD (up)."""
    largest = max(n for crowd in points.values() for pair in crowd for n in pair)
    top = 5 * -(-largest // 5)

    def x(n: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * n / top

    def y(n: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 20) * n / top

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for tick in range(0, int(top) + 1, 5):
        out += [
            f'<path d="M{x(tick):.1f} {y(0)}V{y(top)}M{x(0)} {y(tick):.1f}H{x(top)}" '
            'stroke="#ddd"/>',
            f'<text x="{x(tick):.1f}" y="{y(0) + 16}" text-anchor="middle">{tick}</text>',
            f'<text x="{x(0) - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>',
        ]
    for share, name in ((1, "as many"), (0.5, "half")):
        out += [
            f'<path d="M{x(0)} {y(0)}L{x(top)} {y(top * share):.1f}" stroke="#999" '
            'stroke-dasharray="4 3"/>',
            f'<text x="{x(top * 0.97):.1f}" y="{y(top * share * 0.97) - 6:.1f}" fill="#777" '
            f'text-anchor="end">{name}</text>',
        ]
    for place, (crowd, pairs) in enumerate(points.items()):
        colour = COLOURS.get(crowd, "black")
        line = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in pairs)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [
            f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="4" fill="{colour}"/>' for a, b in pairs
        ]
        out.append(f'<text x="{x(0) + 12}" y="{36 + 18 * place}" fill="{colour}">{crowd}</text>')
    out += [
        f'<text x="{x(top / 2):.0f}" y="{HEIGHT - 12}" text-anchor="middle">'
        "volunteers of cria-2021</text>",
        f'<text transform="translate(18 {y(top / 2):.0f}) rotate(-90)" text-anchor="middle">'
        "volunteers that cria needs for the same MASD</text>",
        "</svg>",
    ]
    return "\n".join(out) + "\n"
