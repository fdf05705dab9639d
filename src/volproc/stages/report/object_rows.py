"""The table of objects as the page shows it: which objects, their numbers and their pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from volproc.stages.pictures import hex_colour
from volproc.stages.report.axis_agreement import Agreement
from volproc.stages.report.gallery import Gallery, Shades
from volproc.stages.report.object_listing import Floats, Objects, distribution
from volproc.stages.report.object_pictures import LARGE, SMALL, largest_sections, object_picture
from volproc.stages.report.report_page import ObjectRow, ObjectTable
from volproc.stages.report.run_state import Doubt

LOOK_FIRST = 5
"""How many of the least agreed objects are named."""
MOST_DOUBTFUL = 12


def object_table(
    gallery: Gallery,
    objects: Objects,
    agreements: Mapping[str, Agreement],
    *,
    file: str,
    count: int,
    doubt: Doubt | None,
    shades: Shades,
) -> ObjectTable:
    """Up to `count` objects, the most doubtful of them once more with large pictures."""
    labels = gallery.objects.info.provenance if gallery.objects else {}
    all_of = labels.get("recipe", {}).get("options", {}).get("object_class", "")

    def row(n: int) -> ObjectRow:
        of_class = objects.classes[n] if objects.classes else all_of
        return _row(objects, n, of_class, agreements)

    def pictured(n: int, axes: Iterable[int], pixels: int) -> tuple[str, ...]:
        if gallery.objects is None:
            return ()
        place = largest_sections(gallery.objects, objects, n)
        return tuple(
            object_picture(gallery, objects, n, place, axis=axis, pixels=pixels, shades=shades)
            for axis in axes
        )

    shown = objects.listed(count).tolist()
    ids = doubt.most_doubtful if doubt else ()
    first = objects.rows_of(ids) if ids else objects.doubtful(MOST_DOUBTFUL)
    rows = {n: replace(row(n), pictures=pictured(n, (0,), SMALL)) for n in shown}
    known = [one for one in rows.values() if one.all_axes_agree is not None]
    return ObjectTable(
        rows=tuple(rows.values()),
        total=len(objects),
        file=file,
        volume_um3=float(objects.volume_um3.sum()),
        volumes=distribution(objects.volume_um3),
        sphericities=distribution(objects.sphericity),
        look_first=tuple(sorted(known, key=lambda one: one.all_axes_agree or 0.0)[:LOOK_FIRST]),
        most_doubtful=tuple(
            replace(row(n), pictures=pictured(n, (0, 1, 2), LARGE))
            for n in first[:MOST_DOUBTFUL].tolist()
        ),
    )


def _row(objects: Objects, n: int, of_class: str, agreements: Mapping[str, Agreement]) -> ObjectRow:
    number, agreement = int(objects.ids[n]), agreements.get(of_class)
    agreed = float(agreement.objects[number]) if agreement and number else None
    return ObjectRow(
        id=number,
        colour=hex_colour(number),
        volume_um3=float(objects.volume_um3[n]),
        centroid_um=tuple(objects.centroid_um[n].tolist()),
        size_um=tuple(objects.size_um[n].tolist()),
        touches_border=bool(objects.touches_border[n]),
        all_axes_agree=_known(agreed),
        of_class=of_class,
        sphericity=_at(objects.sphericity, n),
        probability_right=_at(objects.probability_right, n),
        reason=objects.reasons[n] if objects.reasons else "",
    )


def _at(column: Floats | None, n: int) -> float | None:
    return None if column is None else _known(float(column[n]))


def _known(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else value
