"""The page in a real browser: Debian's Chromium, without its sandbox and without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lvlm2p.teachers.evaluation import EvaluateConfig, evaluate, write_report
from tests.support import evaluation as planted
from tests.support.evaluation import ENVS, HOSTILE, Planted

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NAME = 'x/<b onclick="window.hacked=3">bold</b>'

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not Path(CHROMIUM).exists(), reason="no Chromium here: apt-get install chromium"
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with a good teacher, a hostile one that fails at times, and one often wrong."""
    teachers = {
        "good": Planted("good", planted.good, sees=0.9),
        NAME: Planted(NAME, planted.flaky, sees=0.6, reply=planted.hostile_reply),
        "sure": Planted("sure", planted.overconfident),
    }
    out = tmp_path_factory.mktemp("site")
    config = EvaluateConfig(
        teacher=list(teachers), env=list(ENVS[:2]), states=40, episodes=3, probes=8, out=out
    )
    write_report(evaluate(config, lambda name, sample=0: teachers[name], lambda *_: None), out)
    return out / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, site: Path) -> Iterator[Page]:
    """The opened page; whatever it complains about fails the test."""
    complaints: list[str] = []
    requests: list[str] = []
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(site.as_uri())
    yield opened
    assert opened.evaluate("window.hacked") is None
    opened.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def column(page: Page, number: int) -> list[str]:
    cells = page.locator(f"#table tbody tr > :nth-child({number})")
    values: list[str] = cells.evaluate_all("cells => cells.map(cell => cell.dataset.sort)")
    return values


def header(page: Page, name: str) -> Locator:
    return page.locator("#table thead").get_by_role("button", name=name, exact=True)


def test_it_opens_and_shows_everybody(page: Page) -> None:
    assert page.title().startswith("Teacher evaluation")
    assert column(page, 1) == ["good", NAME, "sure", "expert", "random"] * 2
    assert page.locator(".card").count() == 24
    assert page.locator(".verdict").count() == 6
    assert page.locator("figure svg").count() == 20
    assert page.locator("#gallery img").first.evaluate("image => image.naturalWidth") == 144


def test_the_table_sorts_by_any_column(page: Page) -> None:
    header(page, "top-1").click()
    falling = [float(value) for value in column(page, 3)]
    assert falling == sorted(falling, reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("top-1")
    header(page, "top-1").click()
    assert [float(value) for value in column(page, 3)] == sorted(falling)
    header(page, "teacher").click()
    assert column(page, 1) == sorted(column(page, 1), key=str.casefold)
    header(page, "scene").click()
    scenes = column(page, 12)
    assert scenes[-1] == ""
    assert scenes[0] != ""
    assert page.locator("th[aria-sort]").count() == 1


def test_the_gallery_filters(page: Page) -> None:
    def shown() -> int:
        return int(page.locator("#count").inner_text().split()[0])

    assert shown() == 80
    page.select_option("#teacher", label="good")
    page.select_option("#outcome", "wrong")
    assert shown() == 0
    page.select_option("#outcome", "right")
    assert shown() == 80
    assert page.locator(".card").first.locator(".answer").count() == 1
    page.select_option("#teacher", label=NAME)
    page.select_option("#outcome", "failed")
    failed = shown()
    assert 5 < failed < 40
    assert page.locator(".outcome").all_inner_texts() == ["– no label"] * min(24, failed)
    page.select_option("#task", "task lava-gap")
    assert 0 < shown() < failed
    page.select_option("#teacher", "")
    page.select_option("#outcome", "")
    assert shown() == 40
    page.locator("#more").click()
    assert page.locator(".card").count() == 40
    assert page.locator("#more").is_hidden()


def test_both_distributions_are_bars(page: Page) -> None:
    card = page.locator(".card").first
    best = card.locator(".about p").last.inner_text()
    assert card.locator(".bars").first.locator(".optimal").inner_text() in best
    bars = card.locator(".bars").first
    widths = bars.locator("b").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
    assert sum(widths) == pytest.approx(100, abs=0.5)
    plan = bars.locator("i").evaluate_all("bars => bars.map(bar => parseFloat(bar.style.width))")
    assert sum(plan) == pytest.approx(100, abs=0.5)


def test_the_analysis_is_drawn_on_the_picture(page: Page) -> None:
    """The agent's mark lies on the cell that the teacher named; a wrong place is red."""
    page.select_option("#teacher", label="good")
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    item = data["cases"][0]
    seen = item["answers"][0]["analysis"]
    picture = page.locator(".picture").first
    agent = picture.locator(".mark.agent")
    assert float(str(agent.evaluate("m => parseFloat(m.style.left)"))) == pytest.approx(
        100 * seen["agent_column"] / item["columns"], abs=0.01
    )
    assert float(str(agent.evaluate("m => parseFloat(m.style.top)"))) == pytest.approx(
        100 * seen["agent_row"] / item["rows"], abs=0.01
    )
    wrong = next(
        number
        for number, case in enumerate(data["cases"])
        if case["answers"][0]["told"]["target"] is False
    )
    while page.locator(".card").count() <= wrong:
        page.locator("#more").click()
    assert page.locator(".card").nth(wrong).locator(".mark.target.off").count() == 1


def test_a_hostile_transcript_stays_text(page: Page) -> None:
    page.select_option("#teacher", label=NAME)
    page.select_option("#outcome", "right")
    while page.locator("#more").is_visible():
        page.locator("#more").click()
    page.locator(".open").first.click()
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert NAME in dialog.locator("h2").inner_text()
    last = dialog.locator("pre").last
    said = str(last.evaluate("node => node.textContent"))
    assert said.startswith(HOSTILE[:40])
    assert "⟨U+202E⟩right to left⟨U+202C⟩" in said
    assert last.locator("*").count() == 0
    page.locator("#close").click()
    assert dialog.is_hidden()


def test_a_megabyte_is_cut_with_a_note(page: Page) -> None:
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    long = next(number for number, (_, left) in enumerate(data["texts"]) if left)
    at = next(
        number
        for number, case in enumerate(data["cases"])
        if any(turn[1] == long for turn in case["answers"][1].get("turns", []))
    )
    while page.locator(".card").count() <= at:
        page.locator("#more").click()
    page.locator(".card").nth(at).locator(".open").nth(1).click()
    assert (
        "more characters: the full text is in labels.parquet"
        in page.locator("#turns .note").inner_text()
    )


LAST = """cell => {
    const [own, region] = [cell, cell.closest(".scroll")].map((e) => e.getBoundingClientRect());
    return own.left >= region.left && own.right <= region.right + 1 && own.right <= innerWidth;
}"""
"""Whether a cell lies wholly inside its table's frame and the window."""


def test_every_column_is_seen_at_1280(page: Page) -> None:
    heads = page.locator("#table thead th")
    assert heads.last.inner_text() == "latency" and heads.count() == 14
    for cell in (*heads.all(), *page.locator("#table tbody tr").first.locator("th, td").all()):
        assert cell.evaluate(LAST)
    assert page.locator(".sideways:visible").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_every_column_is_reached_on_a_phone(browser: Browser, site: Path) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844})
    phone.goto(site.as_uri())
    hint = phone.locator("#summary .sideways")
    hint.wait_for(state="visible")
    assert "scroll the table sideways" in hint.inner_text()
    top = hint.bounding_box()
    assert top is not None and top["x"] >= 0 and top["x"] + top["width"] <= 390
    first, last = (phone.locator("#table thead th").nth(n) for n in (2, 13))
    assert first.evaluate(LAST) and not last.evaluate(LAST)  # top-1 is seen at once
    region = phone.locator("#summary .scroll")
    region.evaluate("node => { node.scrollLeft = node.scrollWidth; }")
    assert last.evaluate(LAST)
    assert phone.locator("#table tbody tr td:last-child").first.evaluate(LAST)
    names = phone.locator("#table tbody tr > th").first
    assert names.evaluate(LAST)  # whose numbers they are stays in sight
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    phone.set_viewport_size({"width": 1280, "height": 844})
    hint.wait_for(state="hidden")
    phone.close()


def test_it_fits_a_phone_in_the_dark(browser: Browser, site: Path) -> None:
    phone = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    phone.goto(site.as_uri())
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    phone.locator("details").first.locator("summary").click()
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    card = phone.locator(".card").first.bounding_box()
    assert card is not None
    assert card["width"] <= 390
    dark = phone.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(23, 23, 21)"
    phone.close()


def test_a_link_leads_to_one_state(page: Page) -> None:
    data = page.evaluate("JSON.parse(document.getElementById('data').textContent)")
    last = data["cases"][-1]["key"]
    page.select_option("#outcome", "wrong")
    page.evaluate("key => { location.hash = `state-${key}`; }", last)
    card = page.locator(f"#state-{last}")
    card.wait_for()
    assert page.evaluate("document.activeElement.id") == f"state-{last}"
    assert card.evaluate("node => node.getBoundingClientRect().top < innerHeight")
    link = page.locator(".card .link").first
    link.click()
    assert page.evaluate("location.hash") == f"#state-{link.inner_text()}"
    page.evaluate("location.hash = '#state-nobody'")
    page.evaluate("location.hash = '#summary'")


def test_a_page_opens_at_the_state_that_its_address_names(browser: Browser, site: Path) -> None:
    opened = browser.new_page(viewport={"width": 390, "height": 844})
    opened.goto(site.as_uri())
    keys = opened.evaluate(
        "JSON.parse(document.getElementById('data').textContent).cases.map(item => item.key)"
    )
    opened.goto("about:blank")
    opened.goto(f"{site.as_uri()}#state-{keys[-1]}")
    opened.locator(f"#state-{keys[-1]}").wait_for()
    assert opened.evaluate("document.activeElement.id") == f"state-{keys[-1]}"
    opened.close()


def test_arrow_keys_go_from_state_to_state(page: Page) -> None:
    cards = page.locator(".card")
    cards.first.focus()
    page.keyboard.press("ArrowRight")
    second = cards.nth(1).get_attribute("id")
    assert page.evaluate("document.activeElement.id") == second
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.id") == cards.first.get_attribute("id")
    cards.nth(23).focus()
    page.keyboard.press("ArrowRight")  # more are drawn
    assert page.evaluate("document.activeElement.id") == cards.nth(24).get_attribute("id")


def test_two_teachers_stand_side_by_side(page: Page) -> None:
    page.select_option("#teacher", label="sure")
    page.select_option("#beside", label="good")
    first = page.locator(".card").first
    names = first.locator(".who").all_inner_texts()
    assert names == ["sure", "good"]
    left, right = (first.locator(".answer").nth(n).bounding_box() for n in (0, 1))
    assert left is not None and right is not None
    assert left["x"] + left["width"] <= right["x"] and abs(left["y"] - right["y"]) < 2
    page.select_option("#outcome", "differ")
    count = int(page.locator("#count").inner_text().split()[0])
    assert 0 < count < 80
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_cheapest_that_is_good_enough(page: Page) -> None:
    said = page.locator("#price .choice").first.inner_text()
    assert "per 1,000 labels, top-1" in said or "Of none of these" in said
    assert page.locator("#price figure svg").count() == 2
    assert page.locator("#price b").count() == 0  # of the hostile name
    assert page.locator("#table tbody th .level").count() == 6


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(browser: Browser, site: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        bypass_csp=True,  # the page runs no script but its own, and axe is one
    )
    opened = context.new_page()
    opened.goto(site.as_uri())
    for summary in opened.locator("details summary").all():
        summary.click()
    found = axe.run(opened).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
    opened.locator(".open").first.click()
    found = axe.run(opened).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
    context.close()
