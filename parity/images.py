"""Image gradients and boundary targets: maps that must be equal, pixel for pixel."""

from __future__ import annotations

import re
from collections.abc import Callable

from bench.network.losses.boundaries import boundary_band, boundary_target, class_boundaries, class_planes
from bench.network.shape_streams.canny import canny, wrapped_bytes
from parity.compare import Check, Verdict, check_equal, check_values, judge
from parity.golden import Case, GoldenError, normalised

EDGES = re.compile(r"(?P<kind>onehot|binary|multiclass)(_r(?P<radius>\d+))?(?P<fixed>_fixed_onehot)?__(?P<map>.+)")


def run_canny(case: Case) -> Verdict:
    """The verdict on Canny edges of an image's bytes and, as released, of the normalised image truncated to bytes."""
    low, high = case.facts["thresholds"]
    checks: list[Check] = []
    for index in range(case.facts["n_images"]):
        image, norm = case.array(f"rgb_{index}"), case.array(f"norm_{index}")
        checks.append(check_values(f"norm_{index}", normalised(image)[0], norm, 1e-6, 1.0))
        wrapped = wrapped_bytes(norm.unsqueeze(0))
        checks.append(check_equal(f"norm_u8_{index}", wrapped[0].permute(1, 2, 0), case.array(f"norm_u8_{index}")))
        for key, given in (("rgb", image.permute(2, 0, 1).unsqueeze(0)), ("norm", wrapped)):
            edges = canny(given, low, high)[0, 0] * 255
            checks.append(check_equal(f"canny_{key}_{index}", edges, case.array(f"canny_{key}_{index}")))
    return judge(case, checks)


def run_edges(case: Case) -> Verdict:
    """The verdict on boundary targets from labels, as released and with every class."""
    checks: list[Check] = []
    for key in case.arrays:
        match = EDGES.fullmatch(key)
        if match is None:
            continue
        label, radius = case.array(f"label__{match['map']}").unsqueeze(0), int(match["radius"] or 0)
        if match["kind"] == "onehot":
            ours = class_planes(label, case.facts["num_classes"], form="as_published")[0]
        elif match["fixed"]:
            ours = boundary_band(label, radius, frame=True)
        elif match["kind"] == "binary":
            ours = boundary_target(label, radius, form="as_published")
        else:
            ours = class_boundaries(label, case.facts["num_classes"], radius, form="as_published")[0]
        checks.append(check_equal(key, ours, case.array(key)))
    unknown = [key for key in case.arrays if not EDGES.fullmatch(key) and not key.startswith("label__")]
    if unknown:
        raise GoldenError(f"arrays without a counterpart: {', '.join(unknown)}")
    return judge(case, checks)


IMAGES: dict[str, Callable[[Case], Verdict]] = {"canny": run_canny, "edges": run_edges}
"""Kind of a case -> function that runs it."""
