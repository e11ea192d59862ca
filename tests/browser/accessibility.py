"""What axe-core finds on a page that keeps people from using it."""

from __future__ import annotations

from functools import cache

from playwright.sync_api import Page

from tests.processes import REPOSITORY

AXE = REPOSITORY / "tests" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FIND = """async (tags) => {
    const { violations } = await axe.run(document, { runOnly: tags });
    return violations.flatMap(({ id, help, nodes }) =>
        nodes.map(({ target, failureSummary }) => `${id}: ${help}\\n  ${target}\\n  ${failureSummary}`));
}"""


@cache
def _axe() -> str:
    return AXE.read_text(encoding="utf-8")


def expect_accessible(page: Page) -> None:
    """Nothing on the page breaks WCAG 2.2 AA or good practice, as far as a program can tell."""
    # Not as a script of the page, whose policy lets in none of others.
    page.evaluate(_axe())
    found = page.evaluate(FIND, RULES)
    assert not found, "\n".join(found)
