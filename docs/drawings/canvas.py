"""An SVG drawing that is readable on light and dark pages: it has a ground of its own."""

from __future__ import annotations

import base64
from io import BytesIO
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

STYLE = """
text { font: 15px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.small { font-size: 13px; fill: #57606a }
.bold { font-weight: 600 }
.ground { fill: #f6f8fa }
.line { stroke: #57606a; fill: none; stroke-width: 1.5 }
.core { fill: #9ecae1; stroke: #2166ac; stroke-width: 1.5 }
.halo { fill: #fddbb0; stroke: #b35806; stroke-width: 1.5; stroke-dasharray: 5 3 }
.empty { fill: #ffffff; stroke: #8c959f }
.on-picture { fill: #ffffff; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9da7b3 } .ground { fill: #161b22 }
  .line { stroke: #9da7b3 } .core { fill: #1f4e79; stroke: #79b8ff }
  .halo { fill: #5c3a12; stroke: #f0a04b } .empty { fill: #0d1117; stroke: #6e7681 }
}
"""
"""Blue and orange: told apart by everybody."""
SHARPNESS = 1.3
"""Pixels of a picture per pixel of the drawing."""


class Canvas:
    """A drawing of `width` x `height` pixels; `told` is what a screen reader says."""

    def __init__(self, width: int, height: int, told: str) -> None:
        self.size = width, height
        self.parts: list[str] = []
        self.told = told

    def rect(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A rectangle of a kind that the style describes."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" class="{kind}"/>'
        )

    def fill(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A rectangle of one colour."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{colour}"/>'
        )

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """A line of text; `kind` is its class in the style."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def path(self, path: str, colour: str = "", width: float = 1.5, place: str = "") -> None:
        """A path: in `colour`, or as the style has it."""
        look = (
            f'stroke="{colour}" fill="none" stroke-width="{width:g}"' if colour else 'class="line"'
        )
        self.parts.append(f'<path d="{path}" {look} {place}/>')

    def arrow(self, x: float, y: float, length: float = 40) -> None:
        """From (x, y) to the right."""
        self.path(f"M{x:g} {y:g}h{length:g}m-7 -5l7 5l-7 5")

    def picture(self, pixels: np.ndarray, x: float, y: float, side: float) -> None:
        """uint8 pixels, grey or (height, width, 3), as a JPEG of `side` pixels across."""
        rows, columns = pixels.shape[:2]
        size = round(side * SHARPNESS), round(side * SHARPNESS * rows / columns)
        buffer = BytesIO()
        Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS).save(
            buffer, "JPEG", quality=70
        )
        uri = base64.b64encode(buffer.getvalue()).decode()
        self.parts.append(
            f'<image x="{x:g}" y="{y:g}" width="{side:g}" height="{side * rows / columns:g}" '
            f'href="data:image/jpeg;base64,{uri}"/>'
        )

    def svg(self) -> str:
        """The whole file."""
        width, height = self.size
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" role="img"><title>{escape(self.told)}</title>'
            f"<style>{STYLE}</style>"
        )
        ground = f'<rect width="{width}" height="{height}" rx="8" class="ground"/>'
        return "\n".join([head, ground, *self.parts, "</svg>"]) + "\n"
