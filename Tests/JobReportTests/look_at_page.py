"""Looks at pages in Chromium, as people do: on screens of two widths, in the light and the dark scheme, on paper.

Usage: look_at_page.py BROWSER PAGE... Prints one line for each problem, and then the number of pages; exits with 1 if
there are problems. With KFACD_SCREENSHOTS, the name of a directory, it also keeps pictures and PDFs there.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

WIDTHS = (360, 1280)
SCHEMES = ("light", "dark")

# What a page must not have, measured inside it.
PROBE = """
() => {
  const problems = [];
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width)
    problems.push(`the page is ${document.documentElement.scrollWidth} wide`);

  const levels = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map(e => Number(e.tagName[1]));
  if (levels.filter(level => level == 1).length != 1 || levels[0] != 1) problems.push("the page has not one h1 first");
  levels.forEach((level, i) => {
    if (i > 0 && level > levels[i - 1] + 1) problems.push(`a heading of level ${level} follows ${levels[i - 1]}`);
  });

  const named = text => JSON.stringify(text.trim().slice(0, 50));
  for (const box of document.querySelectorAll("body *")) {
    const overflow = getComputedStyle(box).overflowX;
    const scrolls = (overflow == "auto" || overflow == "scroll") && box.scrollWidth > box.clientWidth;
    if (scrolls && !(box.tabIndex == 0 && box.getAttribute("role") == "region" && box.ariaLabel))
      problems.push(`${box.tagName}.${box.className} scrolls, and is no region with a name`);
  }
  for (const table of document.querySelectorAll("table")) {
    if (!table.caption) problems.push("a table has no caption");
    for (const cell of table.querySelectorAll("th"))
      if (!cell.scope) problems.push(`the heading ${named(cell.textContent)} has no scope`);
  }
  for (const picture of document.querySelectorAll("svg"))
    if (picture.getAttribute("role") != "img" || !picture.querySelector("title")?.textContent)
      problems.push("a picture has no role or title");
  const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
  if (new Set(ids).size != ids.length) problems.push("an id occurs twice");
  for (const link of document.querySelectorAll('a[href^="#"]'))
    if (!ids.includes(link.hash.slice(1))) problems.push(`${link.hash} leads nowhere`);

  // Contrast, by the definitions of WCAG 2.2.
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = color => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = color => {
    const [r, g, b] = color.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  const seen = new Set();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement, style = getComputedStyle(element);
    if (!node.data.trim() || ["STYLE", "title", "desc"].includes(element.tagName)) continue;
    texts += 1;
    const isPicture = element instanceof SVGElement;
    const below = background(element);
    const text = over(rgba(isPicture ? style.fill : style.color), below);
    const [light, dark] = [luminance(text), luminance(below)].sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    const what = `${element.tagName}.${element.className.baseVal ?? element.className}`;
    if (contrast < 4.5 && !seen.has(what)) {
      seen.add(what);
      problems.push(`${what} ${named(node.data)} has a contrast of ${contrast.toFixed(2)}`);
    }
    const box = element.getBoundingClientRect();
    if (!element.closest(".wide, .skip") && (box.right > width + 1 || box.left < -1))
      problems.push(`${what} ${named(node.data)} reaches beyond the page`);
  }
  if (texts == 0) problems.push("the page shows no text");
  return problems;
}
"""

REGIONS = "[...document.querySelectorAll('[tabindex=\"0\"], a[href]')]"


def unreachable(page: Page) -> list[str]:
    """Regions and links that the Tab key does not reach."""
    page.evaluate(f"{REGIONS}.forEach((e, i) => e.setAttribute('data-stop', i)); document.activeElement?.blur()")
    expected = page.evaluate(f"{REGIONS}.length")
    reached = set()
    for _ in range(expected + 1):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement?.getAttribute('data-stop')"))
    missing = [stop for stop in range(expected) if str(stop) not in reached]
    return [f"{len(missing)} of {expected} regions and links are not reached by Tab"] if missing else []


def on_paper(page: Page, pdf: Path) -> list[str]:
    """Words of the tables that the printed page lacks."""
    words = page.evaluate(
        "[...document.querySelectorAll('caption, th, td')].flatMap(e => e.textContent.trim().split(/\\s+/))"
    )
    page.pdf(path=pdf, format="A4")
    text = subprocess.run(["pdftotext", pdf, "-"], check=True, capture_output=True, text=True).stdout
    found = "".join(text.split()).replace("-", "")
    # A long word may be broken, and scripts from right to left are written in another order.
    missing = sorted({word for word in words if word.isascii() and word.replace("-", "")[:6] not in found})
    return [f"on paper {len(missing)} words are missing, such as {missing[:5]}"] if missing else []


def look(page: Page, path: Path, pictures: Path | None) -> list[str]:
    """The problems of one page."""
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"the console says: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"an error: {error}"))
    page.on(
        "request",
        lambda request: None if request.url == path.as_uri() else problems.append(f"it asks for {request.url}"),
    )
    for scheme in SCHEMES:
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.goto(path.as_uri())
            problems += [f"{scheme}, {width}: {problem}" for problem in page.evaluate(PROBE)]
            if pictures:
                page.screenshot(path=pictures / f"{path.stem}-{scheme}-{width}.png", full_page=True)
    problems += unreachable(page)
    page.emulate_media(color_scheme="light")
    with tempfile.TemporaryDirectory() as directory:
        problems += on_paper(page, (pictures or Path(directory)) / f"{path.stem}.pdf")
    return problems


def main() -> int:
    browser_path, *names = sys.argv[1:]
    pictures = Path(os.environ["KFACD_SCREENSHOTS"]) if "KFACD_SCREENSHOTS" in os.environ else None
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    count = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        for name in names:
            path = Path(name).resolve()
            page = browser.new_page()
            for problem in look(page, path, pictures):
                print(f"{path.name}: {problem}")
                count += 1
            page.close()
        browser.close()
    print(f"{len(names)} pages")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
