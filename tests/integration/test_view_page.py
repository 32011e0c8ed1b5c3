"""`voxloom view` in a real browser: voxels and boxes are seen, and nobody else is asked."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import voxloom as tio
from voxloom.view import PageServer, serve_volumes

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pil = pytest.importorskip("PIL.Image", reason="pillow is not installed")

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for path in map(shutil.which, NAMES) if path), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"none of {NAMES} is installed")
OPTIONS = [
    *("--headless", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"),
    *("--enable-unsafe-swiftshader", "--disable-background-networking"),
]
ORANGE, BLUE = (230, 159, 0), (86, 180, 233)  # the first two of the palette


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PageServer]:
    phantom = tio.datasets.Phantom((48, 40, 16))
    affine = np.diag([-0.7, 0.7, 2.0, 1.0])
    t1 = tio.ScalarImage(tensor=phantom.t1.array, affine=affine)
    labels = np.minimum(phantom.seg.array, 1).astype(np.uint8)
    subject = tio.Subject(t1=t1, seg=tio.LabelMap(tensor=labels, affine=affine))
    named = [subject.replace(subject_id=name) for name in ("ann", "bob")]
    with serve_volumes(named, tio.UniformSampler((16, 16, 6)), 2, seed=1) as server:
        yield server


def count(page: Any, colour: tuple[int, int, int] | None = None) -> int:
    """Return how many pixels of the canvas are about of a colour, or of any grey but black."""
    shot = page.locator("#view").screenshot()
    pixels = np.asarray(pil.open(io.BytesIO(shot)).convert("RGB"), dtype=int)
    if colour is None:
        return int(((np.ptp(pixels, axis=2) < 4) & (pixels[..., 0] > 40)).sum())
    return int((np.abs(pixels - colour).max(axis=2) < 12).sum())


def shows(page: Any, number: int) -> None:
    page.wait_for_function(
        f"() => window.voxloomView && voxloomView.niivue.volumes.length === {number}"
        " && !document.getElementById('view').hasAttribute('aria-busy')"
    )
    page.wait_for_timeout(150)


class Watched:
    """A page of some width, what it asked for, and what it complained of."""

    def __init__(self, browser: Any, server: PageServer, width: int) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 800})
        self.own, self.width = server.address, width
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(server.address)
        shows(self.page, 3)

    def check_and_close(self) -> None:
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width
        found = axe.Axe().run(self.page).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
        assert self.complaints == []
        assert [url for url in self.asked if not url.startswith((self.own, "data:"))] == []
        self.page.close()


def test_volumes_labels_and_boxes_are_seen_and_can_be_chosen(
    browser: Any, server: PageServer
) -> None:
    watched = Watched(browser, server, 390)
    page = watched.page
    page.click("#patch-list button >> nth=0")
    assert "mm (right, front, head)" in page.inner_text("#place")
    assert count(page, ORANGE) > 30
    page.click("#patch-list button >> nth=1")
    page.wait_for_timeout(150)
    assert count(page, BLUE) > 30
    page.uncheck("#boxes")
    shows(page, 2)
    assert count(page, BLUE) == 0
    page.locator("#opacity").fill("1")
    page.wait_for_timeout(150)
    assert count(page, ORANGE) > 300  # the label map, over the image
    page.select_option("#labels", "")
    shows(page, 1)
    assert (count(page, ORANGE), count(page) > 300) == (0, True)
    page.select_option("#subject", "1")
    shows(page, 2)
    assert page.get_attribute("#view", "aria-label") == "Subject bob: t1, seg"
    page.locator("#x").fill("0.25")
    assert page.evaluate("voxloomView.niivue.scene.crosshairPos[0]") == pytest.approx(
        0.25, abs=0.01
    )
    page.select_option("#layout", "4")
    assert page.evaluate("voxloomView.niivue.opts.sliceType") == 4
    watched.check_and_close()


def test_on_a_wide_screen_it_is_seen_too(browser: Any, server: PageServer) -> None:
    watched = Watched(browser, server, 1280)
    assert count(watched.page) > 300
    watched.check_and_close()
