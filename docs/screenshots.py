"""Takes the pictures in docs/images from a running service with the sample loaded.

    make run                      # in one terminal
    .venv/bin/python docs/screenshots.py http://127.0.0.1:8000 lead PASSWORD

Needs a Chromium; CHROMIUM names it where it is not /usr/bin/chromium.
"""

import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"


def main(address: str, name: str, password: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"{address}/sign-in")
        page.fill("input[name=name]", name)
        page.fill("input[name=password]", password)
        page.press("input[name=password]", "Enter")
        page.wait_for_url("**/queue*")
        page.screenshot(path=IMAGES / "queue.png")
        page.keyboard.press("n")
        page.wait_for_url("**/items/*")
        page.wait_for_timeout(500)
        page.screenshot(path=IMAGES / "item.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
