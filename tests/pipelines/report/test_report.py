import re
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from pipelines.report import Curve, render

MakeCurve = Callable[..., Curve]


def test_report_has_every_file(a_curve: MakeCurve) -> None:
    names = {
        "table.md",
        "table.tex",
        "table.csv",
        "curve.svg",
        "curve.png",
        "index.html",
    }

    one = render([a_curve()])
    sigmas = render([a_curve(), a_curve(sigma=0.5)])
    runs = render([a_curve("a"), a_curve("b")])

    assert set(one) == names | {"certify.tsv"}
    assert set(sigmas) == names | {"certify_0.25.tsv", "certify_0.5.tsv"}
    assert set(runs) == names | {"certify_a_0.25.tsv", "certify_b_0.25.tsv"}


def test_same_certificates_in_any_order_give_the_same_bytes(a_curve: MakeCurve) -> None:
    curves = [a_curve(), a_curve(sigma=0.5), a_curve("other")]

    assert render(curves) == render(curves[::-1])


def test_page_stands_alone_and_escapes_what_it_is_given(a_curve: MakeCurve) -> None:
    page = render([a_curve("<b>run</b>")])["index.html"].decode()

    assert "<svg" in page
    assert "<b>run" not in page
    assert "&lt;b&gt;run" in page
    assert "no majority" in page
    assert not re.search(r"<(script|link|img|iframe)\b", page)
    assert not re.search(r"url\(\s*['\"]?https?:", page)


def test_pictures_are_what_their_names_say(a_curve: MakeCurve) -> None:
    files = render([a_curve(), a_curve("other")])

    assert files["curve.png"].startswith(b"\x89PNG")
    assert ElementTree.fromstring(files["curve.svg"]).tag.endswith("svg")


def test_report_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="curves of one data set; 0 curves have"):
        render([])


def test_data_sets_are_not_mixed(a_curve: MakeCurve) -> None:
    with pytest.raises(ValueError, match=r"\['cifar10', 'digits'\]"):
        render([a_curve(), a_curve("b", dataset="cifar10")])


def test_two_curves_of_one_name_are_refused(a_curve: MakeCurve) -> None:
    with pytest.raises(ValueError, match=r"digits at sigma 0\.25 comes 2 times"):
        render([a_curve(), a_curve()])


def test_curve_without_images_is_refused(a_curve: MakeCurve) -> None:
    none = a_curve().certificates[:0]

    with pytest.raises(ValueError, match=r"digits at sigma 0\.25 has none"):
        render([a_curve(certificates=none)])
