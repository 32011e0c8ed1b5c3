"""The queue page in a real browser: what it shows is the library's own, and all can use it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.view import monitor, serve_queue_page, write_queue_page
from voxloom.view._settings import Settings
from voxloom.view._simulation import simulate

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"none of {NAMES} is installed")
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
SLIDERS = {
    "subjects": 5,
    "samples_per_volume": 3,
    "max_length": 7,
    "num_workers": 1,
    "load_s": 0.5,
    "batch_size": 2,
    "step_s": 0.25,
}


class Watched:
    """A page, what it asked for, and what it complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, address: str) -> Any:
        self.page.goto(address)
        self.page.wait_for_selector(".stage")
        return self.page

    def check(self, own: str) -> None:
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith((own, "data:"))] == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def watch(browser: Any) -> Iterator[Callable[..., Watched]]:
    contexts = []

    def watch(**options: Any) -> Watched:
        contexts.append(browser.new_context(**options))
        return Watched(contexts[-1].new_page())

    yield watch
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_queue_page(tmp_path_factory.mktemp("page") / "queue.html").as_uri()


def fact(page: Any, name: str, stage: int = 0) -> str:
    return str(page.locator(".stage").nth(stage).locator(f"[data-fact={name}]").inner_text())


def slide(page: Any, name: str, value: float) -> None:
    page.locator(f"#{name}").fill(str(value))


def any_settings(rng: random.Random) -> Settings:
    return Settings(
        subjects=rng.randint(1, 20),
        samples_per_volume=rng.randint(1, 12),
        max_length=rng.choice([1, 2, 5, 13, 32, 100]),
        num_workers=rng.randint(0, 5),
        load_s=rng.choice([0.0, 0.1, 0.7, 3.0]),
        batch_size=rng.randint(1, 12),
        step_s=rng.choice([0.05, 0.3, 1.0]),
        shuffle_subjects=rng.random() < 0.8,
        shuffle_patches=rng.random() < 0.8,
        schedule=rng.choice(["spread", "fill"]),  # type: ignore[arg-type]
        seed=rng.choice([0, 1, 7, 2**53 - 1]),
        epochs=rng.randint(1, 3),
    )


@pytest.mark.parametrize("seed", range(2))
def test_what_the_page_computes_is_what_the_library_computes(
    watch: Callable[..., Watched], file: str, seed: int
) -> None:
    page = watch().open(file)
    rng = random.Random(seed)
    for _ in range(12):
        settings = any_settings(rng)
        expected = json.loads(json.dumps(simulate(settings).as_dict()))
        assert page.evaluate("s => voxloom.simulate(s)", asdict(settings)) == expected, settings


def test_every_slider_and_switch_changes_the_run_as_it_says(
    watch: Callable[..., Watched], file: str
) -> None:
    watched = watch()
    page = watched.open(file)
    settings = Settings()
    for name, value in SLIDERS.items():
        slide(page, name, value)
        settings = replace(settings, **{name: value})  # type: ignore[arg-type]
        check_end(page, settings)
    page.uncheck("#shuffle_subjects")
    settings = replace(settings, shuffle_subjects=False)
    check_end(page, settings)
    page.check("#schedule-fill")
    settings = replace(settings, schedule="fill")
    check_end(page, settings)
    page.uncheck("#shuffle_patches")
    check_end(page, replace(settings, shuffle_patches=False))
    watched.check(file)


def check_end(page: Any, settings: Settings, stage: int = 0) -> None:
    """Go to the end and compare all that is shown with the library's run."""
    run = simulate(settings)
    assert json.loads(page.evaluate(f"JSON.stringify(voxloom.player.films[{stage}].run)")) == (
        json.loads(json.dumps(run.as_dict()))
    )
    page.locator("#time").fill(page.get_attribute("#time", "max"))
    patches = [patch.subject for patch in run.patches]
    distinct = [len(set(patches[b.first : b.first + b.count])) for b in run.batches]
    loads = len(run.loads)
    assert fact(page, "batches", stage) == f"{len(run.batches)} of {len(run.batches)}"
    assert fact(page, "patches", stage) == f"{len(patches)} of {len(patches)}"
    assert fact(page, "loads", stage) == f"{loads} of {loads}"
    assert float(fact(page, "distinct", stage)) == pytest.approx(np.mean(distinct), abs=0.006)
    share = float(fact(page, "waiting", stage).removesuffix(" %"))
    assert share == pytest.approx(100 * run.waiting_share, abs=0.06)


def test_steps_go_from_batch_to_batch_and_each_moment_is_the_library_s(
    watch: Callable[..., Watched], file: str
) -> None:
    page = watch().open(file)
    run = simulate(Settings())
    for number, batch in enumerate(run.batches[:6], start=1):
        page.click("#step")
        now = batch.came_s
        row = page.locator(".batches li").first
        shown = [int(text) for text in row.locator(".cell").all_inner_texts()]
        assert row.locator(".number").inner_text() == str(number)
        assert shown == [
            patch.subject for patch in run.patches[batch.first : batch.first + batch.count]
        ]
        held = [patch for patch in run.patches if patch.granted_s <= now < patch.taken_s]
        ready = sorted(patch.subject for patch in held if patch.ready_s <= now)
        count = page.locator(".queue .count").inner_text()
        assert count == f"{len(ready)} ready, {len(held)} of 32 held"
        cells = page.locator(".slots .cell:is([class*=colour])").all_inner_texts()
        assert sorted(map(int, cells)) == ready
        assert page.locator(".slots .promised").count() == len(held) - len(ready)


def test_both_schedules_are_shown_side_by_side_on_request(
    watch: Callable[..., Watched], file: str
) -> None:
    page = watch(viewport={"width": 1280, "height": 900}).open(file)
    page.check("#schedule-both")
    assert page.locator(".stage").count() == 2
    for stage, schedule in enumerate(("spread", "fill")):
        check_end(page, Settings(schedule=schedule), stage)  # type: ignore[arg-type]
    left, right = (page.locator(".stage").nth(n).bounding_box() for n in range(2))
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    page.check("#schedule-spread")
    assert page.locator(".stage").count() == 1


def test_it_plays_pauses_restarts_and_stops_at_the_end(
    watch: Callable[..., Watched], file: str
) -> None:
    page = watch().open(file)
    time_s = "Number(document.getElementById('time').value)"
    page.click("#play")
    page.wait_for_function(f"() => {time_s} > 0.2")
    assert page.inner_text("#play") == "Pause"
    page.click("#play")
    assert page.inner_text("#play") == "Start"
    paused = page.evaluate(time_s)
    page.wait_for_timeout(100)
    assert page.evaluate(time_s) == paused
    page.click("#restart")
    assert page.evaluate(time_s) == 0
    page.locator("#speed").fill("4")
    assert page.inner_text("#speed-value").endswith(" 16")
    page.click("#play")
    page.wait_for_function("() => document.getElementById('play').textContent === 'Start'")
    total = len(simulate(Settings()).batches)
    assert fact(page, "batches") == f"{total} of {total}"
    page.click("#play")
    page.wait_for_function("() => document.getElementById('play').textContent === 'Pause'")


def test_a_keyboard_is_enough_and_a_summary_is_read_out(
    watch: Callable[..., Watched], file: str
) -> None:
    page = watch().open(file)
    order = []
    for _ in range(16):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
    assert [name for name in order if name in SLIDERS] == list(SLIDERS)
    assert {"shuffle_subjects", "shuffle_patches", "play", "step", "restart"} <= set(order)
    page.focus("#subjects")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("voxloom.player.films[0].settings.subjects") == 13
    page.focus("#step")
    page.keyboard.press("Enter")
    assert "batch 1 of" in page.inner_text("#summary")
    assert page.get_attribute("#summary", "aria-live") == "polite"
    assert "ready" in page.inner_text("#summary")
    assert "places hold a finished patch" in page.get_attribute(".slots", "aria-label")


def test_those_who_want_less_motion_get_a_calm_page(
    watch: Callable[..., Watched], file: str
) -> None:
    page = watch(reduced_motion="reduce").open(file)
    page.click("#step")
    cell = page.locator(".slots .arrived").first
    assert cell.evaluate("cell => getComputedStyle(cell).animationName") == "none"
    assert cell.evaluate("cell => getComputedStyle(cell).transitionDuration") == "0s"


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_nothing_sticks_out_and_nothing_serious_is_found_by_axe(
    watch: Callable[..., Watched], file: str, width: int, scheme: str
) -> None:
    page = watch(viewport={"width": width, "height": 800}, color_scheme=scheme).open(file)
    page.check("#schedule-both")
    for _ in range(12):
        page.click("#step")
    page.wait_for_timeout(400)  # colours that change are no colours to judge
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert serious(page) == []


def serious(page: Any) -> list[str]:
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {violation['nodes'][0]['html']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


def test_served_it_shows_the_planner_s_runs_and_asks_nobody_else(
    watch: Callable[..., Watched],
) -> None:
    with serve_queue_page() as server:
        watched = watch()
        page = watched.open(server.address)
        with page.expect_response("**/run?*"):
            slide(page, "subjects", 9)
        page.wait_for_function("() => voxloom.player.films[0].settings.subjects === 9")
        check_end(page, Settings(subjects=9))
        watched.check(server.address)
        assert sum("/run?" in url for url in watched.requests) >= 2


def test_when_the_server_is_gone_the_page_says_so(watch: Callable[..., Watched]) -> None:
    server = serve_queue_page()
    page = watch().open(server.address)
    server.close()
    slide(page, "subjects", 9)
    page.wait_for_selector("#problem:not([hidden])")
    assert "These settings cannot be shown" in page.inner_text("#problem")


def test_live_it_shows_the_queue_and_a_batch_in_pictures(watch: Callable[..., Watched]) -> None:
    rng = np.random.default_rng(0)
    images = [ScalarImage(tensor=rng.random((1, 12, 12, 12))) for _ in range(10)]
    dataset = SubjectsDataset([Subject(t1=image) for image in images])
    with Queue(dataset, 12, 4, UniformSampler(8), seed=0) as queue, monitor(queue) as live:
        watched = watch(viewport={"width": 390, "height": 800})
        page = watched.open(live.address)
        batches = queue.batches(4)
        for _ in range(6):
            next(batches)
        page.wait_for_function("() => document.querySelectorAll('#pictures img').length === 4")
        page.wait_for_function(
            "() => document.querySelector('[data-fact=patches]').textContent === '24 of 40'"
        )
        assert page.locator(".batches li").first.locator(".number").inner_text() == "6"
        assert page.locator("#stage-times tr").count() >= 3
        assert page.inner_text("#errors") == "None."
        assert page.locator("#pictures img").first.evaluate("img => img.naturalWidth") == 8
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert serious(page) == []
        watched.check(live.address)


def test_a_browser_without_the_token_is_sent_away(watch: Callable[..., Watched]) -> None:
    with serve_queue_page() as server:
        page = watch().page
        answer = page.goto(server.address.rsplit("/", 2)[0] + "/")
        assert answer.status == 403


def test_the_written_file_is_small(file: str) -> None:
    assert Path(file.removeprefix("file://")).stat().st_size < 100_000
