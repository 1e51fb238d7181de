"""The learning curve's picture."""

import itertools
import math
import re
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from service.web.curve import HEIGHT, LEFT, RIGHT, WIDTH, Series, curve_svg, curves_svg

SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Point:
    seconds: float
    nauc: float | None
    alc: float | None = None


def labels(svg: str) -> list[str]:
    return ["".join(t.itertext()) for t in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def dots(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    return [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter(f"{SVG}circle")]


def test_the_axis_is_the_challenges_logarithmic_time() -> None:
    (x, _), (end, _) = dots(curve_svg([Point(60, 0.5), Point(1200, 0.9)], 1200))
    expected = LEFT + math.log(2) / math.log(21) * (WIDTH - LEFT - RIGHT)
    assert x == pytest.approx(expected, abs=0.06)
    assert end == WIDTH - RIGHT


def test_ticks_of_the_challenges_budget() -> None:
    found = labels(curve_svg([], 1200))
    assert [t for t in found if "min" in t or t.endswith(" s")] == [
        "10 s",
        "1 min",
        "5 min",
        "10 min",
        "20 min",
    ]


@pytest.mark.parametrize("budget", [1, 7.5, 60, 90, 1800, 7200])
def test_ticks_never_touch_and_end_at_the_budget(budget: float) -> None:
    root = ElementTree.fromstring(curve_svg([], budget))
    marks = [t for t in root.iter(f"{SVG}text") if re.search(r"\d (s|min)$", t.text or "")]
    places = [float(t.attrib["x"]) for t in marks]
    assert places[-1] == WIDTH - RIGHT
    assert all(b - a > 55 for a, b in itertools.pairwise(places))


def test_the_score_holds_until_the_next_and_to_the_end() -> None:
    svg = curve_svg([Point(10, 0.25), Point(60, 0.75)], 120)
    (x1, y1), (x2, y2) = dots(svg)
    assert f"H{x1}V{y1}H{x2}V{y2}" in svg
    assert f"M{x2} {y2}H{WIDTH - RIGHT}" in svg
    assert y2 < y1 < HEIGHT


def test_late_and_undefined_scores_are_left_out() -> None:
    svg = curve_svg([Point(10, 0.5, 0.3), Point(20, None, None), Point(61, 0.9, 0.3)], 60)
    assert len(dots(svg)) == 1
    assert any("ALC 0.3000" in t and "1 prediction" in t for t in labels(svg))


def test_a_score_below_chance_extends_the_axis() -> None:
    svg = curve_svg([Point(10, -0.4)], 60)
    assert "-0.5" in labels(svg)
    assert dots(svg)[0][1] < HEIGHT


def test_from_near_the_later_scores_fill_the_axis() -> None:
    points = [Point(1, 0.1), Point(5, 0.962), Point(20, 0.97), Point(50, 0.9781)]
    svg = curve_svg(points, 60, near=True)
    assert labels(svg)[:3] == ["0.97", "0.975", "0.98"]
    heights = [y for _, y in dots(svg)]  # the others are below the axis
    assert len(heights) == 2
    assert heights[0] - heights[1] > 0.5 * (HEIGHT - 80)


@pytest.mark.parametrize("scores", [[1.0, 1.0], [-0.3, -0.25], [0.0, 0.9], [0.5], [0.31, 0.29]])
def test_an_axis_from_near_has_a_few_lines_around_the_later_scores(scores: list[float]) -> None:
    svg = curve_svg([Point(n + 1, s) for n, s in enumerate(scores)], 60, near=True)
    lines = [float(t) for t in labels(svg) if re.fullmatch(r"-?\d+(\.\d+)?", t)]
    assert 2 <= len(lines) <= 6
    assert lines[0] <= scores[-1] <= lines[-1] <= 1


def test_it_is_described_in_words() -> None:
    root = ElementTree.fromstring(curve_svg([Point(3, 0.5, 0.4), Point(9, 0.8, 0.6)], 60))
    assert root.attrib["role"] == "img"
    assert root.findtext(f"{SVG}title") == "Learning curve, ALC 0.6000"
    assert "0.500 after 3.0 s, 0.800 after 9.0 s" in (root.findtext(f"{SVG}desc") or "")


def test_only_a_picture_of_its_own_brings_a_style() -> None:
    assert "<style>" in curve_svg([], 60)
    assert "style" not in curve_svg([Point(1, 0.1, 0.1)], 60, inline=True)


def test_several_curves_are_told_apart_by_dashes_and_letters() -> None:
    series = [
        Series(f"<{name}>", [Point(10, nauc), Point(50, nauc)], budget)
        for name, nauc, budget in (("one", 0.5, 60), ("two", 0.51, 120))
    ]
    root = ElementTree.fromstring(curves_svg(series, "Both <of> them"))
    lines = [p for p in root.iter(f"{SVG}path") if p.get("stroke-width") == "2.2"]
    assert len({(line.get("stroke"), line.get("stroke-dasharray")) for line in lines}) == 2
    letters = {t.text: t for t in root.iter(f"{SVG}text") if t.get("font-weight") == "700"}
    assert list(letters) in (["A", "B"], ["B", "A"])
    ends = [(float(letter.get("x")), float(letter.get("y"))) for letter in letters.values()]
    assert abs(ends[0][1] - ends[1][1]) >= 16  # they do not touch
    assert max(x for x, _ in ends) + 10 <= WIDTH
    assert float(letters["A"].get("x")) < float(letters["B"].get("x"))  # its budget is shorter
    description = root.findtext(f"{SVG}desc")
    assert "A, <one>: NAUC over time" in description
    assert "B, <two>: NAUC over time" in description
    assert root.findtext(f"{SVG}title") == "Both <of> them"


def test_curves_beside_leave_the_own_one_shaded() -> None:
    beside = [Series("linear", [Point(5, 0.3)], 60)]
    svg = curve_svg([Point(10, 0.5, 0.4)], 60, inline=True, beside=beside)
    assert svg.count('fill-opacity=".18"') == 1
    assert "A: NAUC" in svg
    assert "B, linear: NAUC" in svg
    assert ">A</text>" not in curve_svg([Point(10, 0.5, 0.4)], 60)


def test_a_curve_of_very_many_points_is_a_small_picture() -> None:
    points = [Point(seconds / 3, min(1.0, seconds / 20000), 0.5) for seconds in range(1, 21600)]
    picture = curve_svg(points, 7200)
    assert len(picture) < 90_000
    assert "21599 predictions" in picture
    assert dots(picture)[-1] == pytest.approx((WIDTH - RIGHT, 40), abs=2)
