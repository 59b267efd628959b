"""The page in real headless Chromium, at the width of a phone and of a desktop, light and dark."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
PHONE, DESKTOP = 375, 1280

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium; apt-get install chromium to have this tested"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield found
        found.close()


class Opened:
    """A tab with the page, and all that it asked for or complained of."""

    def __init__(self, browser: Browser, page: Path, width: int, scheme: str) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        size = {"width": width, "height": 800}
        self.tab: Page = browser.new_page(viewport=size, color_scheme=scheme)
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        begun = time.monotonic()
        self.tab.goto(page.as_uri())
        # Two frames later all that is in sight is drawn.
        self.tab.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        self.seconds = time.monotonic() - begun

    def colour(self) -> str:
        return self.tab.evaluate("getComputedStyle(document.body).backgroundColor")


@pytest.fixture
def opened(browser: Browser, page: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    width, scheme = getattr(request, "param", (DESKTOP, "light"))
    found = Opened(browser, page, width, scheme)
    yield found
    found.tab.close()


BOTH = pytest.mark.parametrize(
    "opened",
    [(PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light"), (DESKTOP, "dark")],
    indirect=True,
    ids=str,
)


@BOTH
def test_nothing_is_asked_for_nothing_complains_and_axe_finds_no_serious_fault(opened, page):
    opened.tab.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    for fold in opened.tab.locator("details").all():
        fold.evaluate("fold => fold.open = true")
    found = Axe().run(opened.tab).response
    serious = [
        (fault["id"], [node["target"] for node in fault["nodes"]])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
    assert serious == []
    assert len(found["passes"]) > 20, "axe looked at next to nothing"
    assert [url for url in opened.requests if not url.startswith("data:")] == [page.as_uri()]
    assert opened.complaints == []


@BOTH
def test_nothing_is_wider_than_the_screen_and_all_pictures_are_there(opened):
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert opened.tab.evaluate(wide) <= 0
    broken = "[...document.images].filter(one => !one.complete || !one.naturalWidth).length"
    assert opened.tab.evaluate("document.images.length") > 50
    assert opened.tab.evaluate(broken) == 0
    charts = opened.tab.locator("figure.chart [role=img]:visible")
    assert charts.count() == opened.tab.locator("figure.chart").count() >= 8
    assert all(len(one.get_attribute("aria-label")) > 60 for one in charts.all())


def test_a_press_on_a_head_sorts_and_says_so_also_by_keyboard(opened):
    table = opened.tab.locator("#detection table").first
    head = table.locator("thead th").nth(1)

    def column() -> list[float]:
        return [float(text) for text in table.locator("tbody tr td:nth-child(2)").all_inner_texts()]

    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column() == sorted(column())
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column() == sorted(column(), reverse=True)
    table.locator("thead th").first.get_by_role("button").press("Space")
    assert head.get_attribute("aria-sort") is None
    assert table.locator("tbody th").all_inner_texts() == ["scratch", "unsup_8m"]


def test_numbers_sort_as_numbers_and_gaps_stay_last(opened):
    rows = "".join(f"<tr><td data-v='{value}'></td></tr>" for value in ("10", "", "9", "-2"))
    opened.tab.evaluate(
        """rows => {
          const table = document.querySelector("#detection table");
          table.querySelector("tbody").innerHTML = rows;
          for (let i = 0; i < 2; i++) table.querySelector("thead button").click();
        }""",
        rows,
    )
    values = "[...document.querySelectorAll('#detection tbody')][0].rows"
    order = opened.tab.evaluate(f"[...{values}].map(row => row.cells[0].dataset.v)")
    assert order == ["10", "9", "-2", ""]


def test_links_lead_to_sections_and_files(opened, page):
    for link in opened.tab.locator("nav a, a.skip").all():
        assert opened.tab.locator(link.get_attribute("href")).count() == 1
    for link in opened.tab.locator("a.csv").all():
        assert (page.parent / link.get_attribute("href")).is_file()


def test_the_first_tab_skips_to_the_content_and_focus_is_seen(opened):
    opened.tab.keyboard.press("Tab")
    focused = opened.tab.locator(":focus")
    assert focused.inner_text() == "Skip to the content"
    assert focused.bounding_box()["x"] >= 0
    outline = opened.tab.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(outline.removesuffix("px")) >= 2
    opened.tab.keyboard.press("Enter")
    assert opened.tab.evaluate("document.activeElement.id") == "content"


@BOTH
def test_the_switch_changes_the_colours_and_is_remembered(opened):
    before = opened.colour()
    switch = opened.tab.locator("#theme")
    assert "colours" in switch.get_attribute("aria-label")
    switch.click()
    after = opened.colour()
    assert after != before
    opened.tab.reload()
    assert opened.colour() == after
    opened.tab.locator("#theme").click()
    assert opened.colour() == before


def test_without_scripts_the_page_is_whole(browser, page):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    assert tab.locator("#theme").is_hidden()
    assert tab.locator("section").count() == 11
    context.close()


def test_it_is_drawn_in_no_time_and_small(opened, page):
    assert opened.seconds < 10  # half a second on an idle machine
    assert page.stat().st_size < 15e6
