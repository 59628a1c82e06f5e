"""What people see: JupyterLab in a real browser shows pictures, not their source, and no error."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mlops_kit import notebooks
from tests.conftest import ROOT, Walked

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
TOKEN = "a-token-of-this-test"
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are in the page, too
    "apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false"},
}
PATIENCE = 60_000  # ms; for machines that are busy
GRAPH = ".jp-RenderedSVG img"
ANY_ERROR = (
    '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
)


@dataclass(frozen=True)
class Lab:
    """A JupyterLab, and a browser that looks at it."""

    url: str
    folder: Path
    browser: Any

    def open(self, name: str) -> Any:
        """A page with one notebook."""
        page = self.browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(PATIENCE)
        page.goto(f"{self.url}/doc/tree/{name}?token={TOKEN}")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        return page


@pytest.fixture(scope="module")
def lab(walked: Walked, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here to look with: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    folder = tmp_path_factory.mktemp("lab")
    (folder / "runs").mkdir()
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", folder)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**walked.environment, **_own_jupyter(folder)}.items():
            patch.setenv(name, value)
        with Served(folder) as url, sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            yield Lab(url, folder, browser)
            browser.close()


def test_a_notebook_that_a_person_runs_shows_its_graph_and_its_charts(lab: Lab) -> None:
    page = lab.open("00_start_here.ipynb")
    page.locator(".jp-StatusBar-TextItem", has_text="Idle").wait_for()  # its kernel is there
    page.locator(".lm-MenuBar-item", has_text="Run").first.click()
    page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
    page.locator(GRAPH).nth(1).wait_for()
    shows_pictures(page, svg=2, png=1)


def test_papermills_copy_shows_the_same_because_it_is_signed(lab: Lab) -> None:
    copy = notebooks.run(lab.folder / "00_start_here.ipynb", {}, lab.folder / "runs")
    shows_pictures(lab.open(f"runs/{copy.name}"), svg=2, png=1)


def test_a_copy_from_elsewhere_shows_its_charts_as_png_and_its_graph_in_words(lab: Lab) -> None:
    (copy,) = (lab.folder / "runs").glob("00_start_here-*.ipynb")
    foreign = nbformat.read(copy, as_version=4)
    foreign.cells.append(nbformat.v4.new_markdown_cell("Changed by nobody whom this machine knows."))
    nbformat.write(foreign, lab.folder / "foreign.ipynb")
    page = lab.open("foreign.ipynb")
    shows_pictures(page, svg=0, png=2)  # the Gantt as the daily rentals
    assert "PrepareTrainingData" in page.locator(".jp-RenderedText").last.inner_text()


def shows_pictures(page: Any, svg: int, png: int) -> None:
    """So many pictures are there, each loaded and of a size that one sees; and nothing is red."""
    for selector, number in ((GRAPH, svg), (".jp-RenderedImage img", png)):
        if number:
            page.locator(selector).nth(number - 1).wait_for()
        assert page.locator(selector).count() == number, selector
        for place in range(number):
            picture = page.locator(selector).nth(place)
            picture.scroll_into_view_if_needed()
            box = picture.bounding_box()
            assert box["width"] > 100 and box["height"] > 100, box
            assert picture.evaluate("one => one.complete && one.naturalWidth > 100")
    assert page.locator(ANY_ERROR).count() == 0, page.locator(ANY_ERROR).first.inner_text()


def _own_jupyter(folder: Path) -> dict[str, str]:
    """Folders of Jupyter's own, so that neither side of the test sees the other's settings."""
    return {
        "JUPYTER_DATA_DIR": str(folder / ".jupyter" / "data"),
        "JUPYTER_CONFIG_DIR": str(folder / ".jupyter" / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / ".jupyter" / "runtime"),
        "IPYTHONDIR": str(folder / ".jupyter" / "ipython"),
    }


class Served:
    """JupyterLab on loopback for as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> str:
        settings = self.folder / ".jupyter" / "settings"
        for name, value in SETTINGS.items():
            path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": port,
            "ServerApp.port_retries": 0,
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "ServerApp.root_dir": self.folder,
            "IdentityProvider.token": TOKEN,
            "LabApp.user_settings_dir": settings,
        }
        argv = [sys.executable, "-m", "jupyterlab", *(f"--{key}={value}" for key, value in options.items())]
        self.log = (self.folder / ".jupyter" / "lab.log").open("wb")
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=subprocess.STDOUT, env=os.environ)
        deadline = time.monotonic() + PATIENCE / 1000
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, Path(
                self.log.name
            ).read_text()
            time.sleep(0.1)
        return self.url

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api?token={TOKEN}", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:  # a kernel that is being started keeps it; kernels end with it
            self.process.kill()
            self.process.wait()
        self.log.close()
