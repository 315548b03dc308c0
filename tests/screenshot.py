"""Take the README's picture: the real page with a real result, `make screenshot`.

Usage: python tests/screenshot.py OUT.png [TAB]
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parent / "support"))
sys.path.insert(2, str(Path(__file__).resolve().parent / "gradio_ui"))

from playwright.sync_api import expect, sync_playwright
from serving import served
from test_browser import chromium

from engine import Studio


def main(out: Path, tab: str = "Style") -> None:
    """Run the first example of a tab and photograph the page when it is done."""
    expect.set_options(timeout=300_000)
    with served(Studio()) as url, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
        page.goto(url)
        page.get_by_role("tab", name=tab).click()
        if tab == "Generate":
            page.locator("#generate-run").click()
        else:
            page.locator(".v-examples:visible button").first.click()
        expect(page.locator(".v-status:visible")).to_have_class("v-status v-done")
        page.wait_for_timeout(1000)  # pictures fade in
        out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=out)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
