"""The report in a real browser: headless Chromium, driven by Playwright."""

import os
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "unit" / "report"))
import synthetic_report

from divscale.report import comparison
from divscale.report.model import Example, Neighbour, Repeats
from divscale.report.page import render
from divscale.report.statistics.compare import Side

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 300_000   # of a browser on busy cores
HOSTILE = ("<script>document.title = 'owned'</script><img src=http://example.org/x.png onerror=alert(1)>"
           "{{ 6 * 7 }}{% raw %}{{ self.__init__ }}</style><svg onload=alert(2)>")

if CHROMIUM is None and not os.environ.get("CI"):
    __test__ = False  # nothing is collected, and pytest's summary says why
    warnings.warn("the report was NOT looked at in a browser: install Chromium (Debian: apt-get install chromium)",
                  stacklevel=1)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    report = synthetic_report.build(labelled=(2, 20), sizes=(20, 50))
    wide_word = "x" * 400
    hostile = Neighbour(HOSTILE, HOSTILE, 0.9)
    report = replace(report, notes=(*report.notes, HOSTILE), study_yaml=f"name: {wide_word}\n", examples={
        0.2: (Example("email", "A message.", True, hostile, hostile), Example(HOSTILE, wide_word, False)),
        0.8: (Example("email", HOSTILE, True, Neighbour("http", "A request.", 0.5)),)},
        neighbours_from=HOSTILE, repeats={0.2: Repeats(20_000, 10_000, 12, 345, 0.95)})
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(report), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def comparison_file(tmp_path_factory):
    a, b = (synthetic_report.build(full=False, labelled=(2,), sizes=(50,), seed=seed) for seed in (1, 2))
    sides = [Side(report.dial, report.metrics, report.arms, report.sets) for report in (a, b)]
    found = comparison.compare(*sides, ("one", HOSTILE), [("recipe.temperature", "[0.2]", HOSTILE)])
    path = tmp_path_factory.mktemp("comparison") / "comparison.html"
    path.write_text(comparison.render(found), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.fail("Chromium is missing; install it (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE_MS)
        yield launched
        launched.close()


@pytest.fixture
def opened(browser, page_file):
    """Opens the report at a width and colour scheme; also gives every request and everything the console said."""
    contexts = []

    def open_at(width, scheme="light", file=page_file):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page, requests, messages = context.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("dialog", lambda dialog: (messages.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(file.as_uri())
        return page, requests, messages

    yield open_at
    for context in contexts:
        context.close()


def test_it_asks_the_network_for_nothing_and_the_console_stays_silent(opened, page_file):
    page, requests, messages = opened(1280)
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert messages == []
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_hostile_text_is_shown_and_not_run(opened):
    page, _, _ = opened(1280)
    assert page.title() == "quickstart · divscale"
    # a note, the sentence on real rows, an example, two neighbours; as a label: in the choice, of an example, of both
    assert page.locator("body").inner_text().count(HOSTILE) == 9
    assert page.locator("option", has_text=HOSTILE).count() == 1
    assert page.locator("script").count() == 0


@pytest.mark.parametrize("width", [360, 390, 1280])
def test_nothing_sticks_out_sideways_even_with_every_table_open(opened, width):
    page, _, _ = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_figures_fill_a_phone_and_their_smallest_letters_stay_legible(opened):
    page, _, _ = opened(360)
    widths = page.evaluate("[...document.images].map(image => [image.clientWidth, image.naturalWidth])")
    # At natural size (CSS pixels, 4/3 of a point) the smallest text is 9 pt, 12 px.
    assert min(12 * shown / natural for shown, natural in widths) >= 8.9


def test_the_headings_tell_the_story_in_order(opened):
    page, _, _ = opened(390)
    assert page.locator("h1").all_inner_texts() == ["quickstart"]
    assert page.locator("h2").all_inner_texts() == [
        "Dose and response", "The same with correctness held", "Full fine-tuning", "How much to mix in",
        "Real by generated rows", "What goes with the score", "What the dial changes", "What the generator wrote",
        "How it was made"]


def test_examples_can_be_chosen_by_level_and_by_label_with_the_keyboard_alone(opened):
    page, _, messages = opened(1280)
    shown = page.locator(".example").filter(visible=True)
    assert shown.count() == 3
    page.get_by_role("combobox", name="Temperature").focus()
    page.keyboard.press("ArrowDown")  # the first level
    assert shown.count() == 2 and page.locator("article").filter(visible=True).count() == 1
    assert "20,000 rows. Among the first 10,000: 12 repeat the text of an earlier one, 345 nearly its vector" in (
        page.locator("article").first.inner_text())
    page.keyboard.press("Tab")
    page.keyboard.press("e")  # the label "email"
    assert shown.count() == 1 and "Nearest real, 0.90" in shown.first.inner_text()
    page.get_by_role("combobox", name="Temperature").select_option("0.8")
    assert "Nearest real, 0.50 (http) A request." in shown.first.inner_text()
    assert messages == []


def test_text_has_contrast_in_light_and_in_dark(opened):
    luminance = """element => {
        const of = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number).map(v => v / 255)
            .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
        const [a, b] = [of(getComputedStyle(element).color), of(getComputedStyle(document.body).backgroundColor)];
        return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    }"""
    for scheme in ("light", "dark"):
        page, _, _ = opened(1280, scheme)
        for selector in ("h1", ".found", ".lead", ".hint", "td", "th", "summary", ".tag"):
            assert page.locator(selector).first.evaluate(luminance) >= 4.5, (scheme, selector)


@pytest.mark.parametrize(("which", "width", "scheme"), [
    ("page_file", 1280, "light"), ("page_file", 390, "dark"), ("comparison_file", 390, "light"),
    ("comparison_file", 1280, "dark")])
def test_axe_finds_nothing_serious_with_everything_open(opened, request, which, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page, _, messages = opened(width, scheme, request.getfixturevalue(which))
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    found = Axe().run(page).response
    assert len(found["passes"]) > 20
    wrong = [(v["id"], v["impact"], v["nodes"][0]["html"][:200]) for v in found["violations"]]
    assert wrong == []
    assert messages == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_keyboard_reaches_every_table_and_shows_where_it_is(opened):
    page, _, _ = opened(390)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    scrolling = page.locator(".scroll")
    assert scrolling.count() > 5
    names = page.evaluate("[...document.querySelectorAll('[role=region]')].map(region => region.ariaLabel)")
    assert len(set(names)) == len(names) == scrolling.count()
    page.locator("summary").first.focus()
    page.keyboard.press("Tab")
    focused = page.evaluate("[document.activeElement.className, getComputedStyle(document.activeElement).outlineWidth]")
    assert focused == ["scroll", "3px"]
    page.keyboard.press("ArrowRight")
    for _ in range(1200):  # the page's policy forbids Playwright's own way of waiting; scrolling is smooth
        if page.evaluate("document.activeElement.scrollLeft") > 0:
            return
        page.wait_for_timeout(50)
    pytest.fail("the arrow key scrolls no table")


def test_it_prints(opened, tmp_path):
    page, _, _ = opened(1280)
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 2 <= content.count(b"/Type /Page\n") + content.count(b"/Type/Page/") <= 20
