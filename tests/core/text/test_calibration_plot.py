"""The plot of a calibration."""

from __future__ import annotations

from xml.etree import ElementTree

from onnxembed.text.calibration_plot import Point, scatter

SVG = "{http://www.w3.org/2000/svg}"


def test_labels_are_escaped() -> None:
    drawn = ElementTree.fromstring(scatter([Point(1, 0.5, "<a & b>", "c")], "a < b"))  # our own text
    texts = [text.text for text in drawn.findall(f"{SVG}text")]
    assert texts[0] == "a < b"
    assert texts[-1] == "<a & b>"


def test_places_follow_numbers() -> None:
    points = [Point(48, 0.7, "a", "x"), Point(96, 0.9, "b", "y"), Point(192, 1, "c", "y")]
    drawn = ElementTree.fromstring(scatter(points, "title")).findall(f"{SVG}circle")
    across = [float(one.attrib["cx"]) for one in drawn]
    down = [float(one.attrib["cy"]) for one in drawn]
    assert across[2] - across[1] == across[1] - across[0] > 0
    assert down == sorted(down, reverse=True)
    assert [one.attrib["fill"] for one in drawn] == ["#1f5fa8", "#c2571a", "#c2571a"]
