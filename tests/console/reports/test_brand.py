"""A provider's brand, judged before a report is written."""

import io

import pytest
from PIL import Image

from console.reports.brand import LOGO_SIDE, SECTIONS, Brand, BrandError, brand_of, picture, time_zone_of


def png(size=(300, 80), **more):
    out = io.BytesIO()
    Image.new("RGB", size, (10, 90, 60)).save(out, "PNG", **more)
    return out.getvalue()


def brand(tmp_path, text, name="default", **parameters):
    (tmp_path / f"{name}.yaml").write_text(text)
    return brand_of(tmp_path, parameters)


def test_without_a_file_it_is_a_plain_one(tmp_path):
    assert brand_of(tmp_path / "nowhere", {}) == Brand()


def test_a_file_says_whose_report_it_is_and_the_tree_overrides_single_values(tmp_path):
    (tmp_path / "logo.png").write_bytes(png())
    text = (
        "provider: Northlight\nlogo: logo.png\ncolour: '#0B5C7A'\nlanguage: de\ntime_zone: Europe/Berlin\n"
        "sections: [summary, cases]\npaper: Letter\n"
    )
    found = brand(tmp_path, text, "gold", report_brand="gold", report_customer="Acme", report_language="fr")
    assert (found.name, found.provider, found.customer, found.language) == (
        "gold",
        "Northlight",
        "Acme",
        "fr",
    )
    assert (found.colour, found.sections, found.paper) == ("#0b5c7a", ("summary", "cases"), "Letter")
    assert found.logo_size == (300, 80)
    assert brand_of(tmp_path, {"report_brand": "gold"}, language="es").language == "es"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("colour: red", 'it takes a colour as "#rrggbb"'),
        ("colour: '#ffee00'", "cannot be read on white"),
        ("accent: 3", 'it takes a colour as "#rrggbb"'),
        ("language: nl", "it takes one of en, de, fr, es"),
        ("paper: A3", "it takes one of A4, Letter"),
        ("time_zone: Mars/Olympus", "There is no time zone"),
        ("sections: [summary, poem]", f"it takes a list of {', '.join(SECTIONS)}"),
        ("sections: [summary, summary]", "each at most once"),
        ("sections: []", "it takes a list of"),
        ("provider: [a]", "it takes a text of at most 80 characters"),
        (f"provider: {'x' * 81}", "it takes a text of at most 80 characters"),
        ("colr: '#000000'", "there is no such thing; it takes accent, colour"),
        ("- a", "has to be a mapping"),
        ("provider: a\nprovider: b", "is not understood: Line 2"),
        ("logo: ../../etc/passwd", "the name of a PNG or JPEG file beside the brand"),
        ("logo: nothing.png", "cannot be read: No such file"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, text, why):
    with pytest.raises(BrandError) as caught:
        brand(tmp_path, text)
    assert why in str(caught.value)
    assert "default.yaml" in str(caught.value)


def test_a_brand_that_the_tree_names_has_to_be_there_and_to_be_a_name(tmp_path):
    with pytest.raises(BrandError, match="There is no brand 'gold'"):
        brand_of(tmp_path, {"report_brand": "gold"})
    for wrong in ("../gold", 7, ""):
        with pytest.raises(BrandError, match="report_brand"):
            brand_of(tmp_path, {"report_brand": wrong})
    with pytest.raises(BrandError, match="The tree's parameter report_colour"):
        brand_of(tmp_path, {"report_colour": "blue"})


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x" * 100, b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", b"GIF89a" + bytes(40),
        png()[:60], b"\x89PNG\r\n\x1a\n" + bytes(200), b"%PDF-1.4",
    ],
)  # fmt: skip
def test_a_logo_that_is_no_picture_is_refused(data):
    with pytest.raises(BrandError, match="logo is no picture in PNG or JPEG"):
        picture(data, "logo")


def test_a_logo_is_made_anew_so_that_nothing_but_its_pixels_is_sent(tmp_path):
    from PIL.PngImagePlugin import PngInfo

    extra = PngInfo()
    extra.add_text("Comment", "the password is hunter2")
    data = png((1200, 400), pnginfo=extra) + b"<script>alert(1)</script>"
    made, size = picture(data, "logo")
    assert b"hunter2" not in made
    assert b"script" not in made
    assert max(size) == LOGO_SIDE
    with Image.open(io.BytesIO(made)) as again:
        assert again.size == size
    with pytest.raises(BrandError, match="4001 x 5 pixels"):
        picture(png((4001, 5)), "logo")


def test_the_time_zone_of_a_brand_is_told_without_the_rest_of_it_and_none_of_what_is_none(tmp_path):
    (tmp_path / "default.yaml").write_text("time_zone: Europe/Berlin\nlogo: missing.png\n")
    (tmp_path / "list.yaml").write_text("[1]")
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "number.yaml").write_text("time_zone: 7")
    assert time_zone_of(tmp_path, "") == time_zone_of(tmp_path, "default") == "Europe/Berlin"
    for name in ("list", "broken", "number", "none", "../default", "a/b"):
        assert time_zone_of(tmp_path, name) == ""
