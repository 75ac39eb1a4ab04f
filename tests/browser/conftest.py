"""The pages as people see them: Chromium before a running service that delivers to a stand-in PACS.

For a test:
- `service`, `pacs`, `tokens` (secret by role), `head` (what became of a phantom head CT with a bleed).
- `page_as("viewer")`: a page that is logged in so; `page_as("")`: of nobody; `page`: an operator's.
- `screenshot("worklist", page)`: var/screenshots/worklist-1366.png and -3840.png.
- `axe(page)`: serious and critical violations of the rules of accessibility, in words; [] where there are none.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from app.access import Role
from app.demo.pacs import Pacs
from app.demo.studies import HEAD, Case, draw
from app.outcomes import StudyOutcome
from app.tokens import make
from tests.e2e.conftest import ROOT, Service, installed
from tests.integration.workflow.tiny import write_bundle

CHROMIUM = "/usr/bin/chromium"
SCREENSHOTS = ROOT / "var" / "screenshots"
LAPTOP, BIG = (1366, 768), (3840, 2160)
ROLES = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
BUNDLES = ("head_ct_hemorrhage", "chest_radiograph", "wrist_fracture")
SMALL = {"name": "small", "bundle": "brightness", "replace": True, "when": {"Modality": "CT", "Rows": {"max": 64}}}
"""Studies of small images go to a bundle that answers at once; `tests.integration.workflow.tiny` makes them."""
PATIENCE_MS = 60_000
GRAVE = frozenset({"serious", "critical"})

PageAs = Callable[..., Page]
Screenshot = Callable[[str, Page], Sequence[Path]]


@pytest.fixture(scope="session")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    """Where the results go."""
    with Pacs(tmp_path_factory.mktemp("pacs")) as pacs:
        yield pacs


@pytest.fixture(scope="session")
def _secrets() -> Mapping[Role, tuple[str, str]]:
    """Secret and line of a token of each role."""
    made = {role: make(f"the-{role}", role) for role in ROLES}
    return {role: (secret, token.line()) for role, (secret, token) in made.items()}


@pytest.fixture(scope="session")
def tokens(_secrets: Mapping[Role, tuple[str, str]]) -> Mapping[str, str]:
    """The secret of each role, for `Authorization: Bearer …` and the log-in page."""
    return {str(role): secret for role, (secret, _) in _secrets.items()}


@pytest.fixture(scope="session")
def service(
    tmp_path_factory: pytest.TempPathFactory, pacs: Pacs, _secrets: Mapping[Role, tuple[str, str]]
) -> Iterator[Service]:
    """The whole service, for all browser tests: each sends studies of its own."""
    folder = tmp_path_factory.mktemp("browser")
    bundles = folder / "bundles"
    bundles.mkdir()
    write_bundle(bundles)
    for name in BUNDLES:
        shutil.copytree(ROOT / "bundles" / name, bundles / name, symlinks=True)
    (folder / "rules.yaml").write_text(yaml.safe_dump({"rules": [SMALL]}))
    tokens_file = folder / "tokens"
    tokens_file.write_text("".join(line for _, line in _secrets.values()))
    destination = {"name": "pacs", "host": "127.0.0.1", "port": pacs.port, "ae_title": pacs.ae_title}
    with installed(
        folder,
        bundles={"folder": str(bundles)},
        routes=[str(folder / "rules.yaml")],
        destinations=[destination],
        audit={"file": str(folder / "audit.log")},
        **_http(folder, tokens_file),
    ) as service:
        service.start()
        yield service
        assert service.stop() == 0


def _http(folder: Path, tokens_file: Path) -> Mapping[str, object]:
    from tests.integration.receive.dcmtk import free_port

    return {"http": {"port": free_port(), "access": {"tokens_file": str(tokens_file)}}}


@pytest.fixture(scope="session")
def head(service: Service, tmp_path_factory: pytest.TempPathFactory) -> StudyOutcome:
    """A phantom head CT with a bleed, sent as a scanner does, read and delivered."""
    folder = tmp_path_factory.mktemp("head")
    drawn = draw(Case(HEAD, "bleed"), 1011, folder, uuid4().hex)
    sent = service.send(sorted(file for file in folder.rglob("*") if file.is_file()))
    assert set(sent.statuses) == {0}
    return service.outcome(drawn.uid, patience_s=240)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Of a module: while it runs, no other test of this process can run an event loop."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def page_as(browser: Browser, service: Service, tokens: Mapping[str, str]) -> Iterator[PageAs]:
    """Opens pages of people of a role. What a page's own scripts raise, or its policy forbids, fails the test."""
    pages: list[Page] = []
    problems: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            problems.append(message.text)

    def open_page(role: str = "operator", size: tuple[int, int] = LAPTOP) -> Page:
        context = browser.new_context(
            base_url=service.address,
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark",
            reduced_motion="reduce",  # a row that fades in has no colours to judge meanwhile
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        pages.append(page)
        page.on("console", heard)
        page.on("pageerror", lambda error: problems.append(str(error)))
        if role:
            log_in(page, tokens[role])
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert problems == []


@pytest.fixture
def page(page_as: PageAs) -> Page:
    """An operator's."""
    return page_as("operator")


@pytest.fixture
def screenshot() -> Screenshot:
    """Photographs a page as a laptop and as a 4K screen show it; for people to look at."""

    def take(name: str, page: Page) -> Sequence[Path]:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        before, taken = page.viewport_size, []
        for width, height in (LAPTOP, BIG):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(300)  # for what follows the size by a script
            taken.append(SCREENSHOTS / f"{name}-{width}.png")
            page.screenshot(path=taken[-1], caret="initial")  # to hide it takes an inline style
        if before is not None:
            page.set_viewport_size(before)
        return taken

    return take


@pytest.fixture
def axe() -> Callable[[Page], list[str]]:
    """Asks axe-core."""

    def violations(page: Page) -> list[str]:
        found = Axe().run(page).response["violations"]
        return [
            f"{each['id']}: {each['help']}: {node['target']}: {node.get('failureSummary', '')}"
            for each in found
            if each["impact"] in GRAVE
            for node in each["nodes"]
        ]

    return violations


def log_in(page: Page, secret: str) -> None:
    """Log in by the form."""
    page.goto("/login")
    page.get_by_label("Access token").fill(secret)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/")
