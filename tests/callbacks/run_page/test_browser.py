"""The page in Chromium: it follows the file, can be paused, fits any width, and asks nothing of a network."""

import shutil
import sys
import time

import pytest
from axe import complaints
from run_views import report, view

from cnnx.callbacks.run_page.page import as_page
from cnnx.checkpoint import write_whole

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
LONG = 'a name of a class that is longer than most of them are'


@pytest.fixture(scope='module')
def one_page():
    """Return a page of the browser, and a list of what it complains of, and asks for beside files."""
    library = pytest.importorskip('playwright.sync_api', reason='needs playwright: pip install playwright')
    if CHROMIUM is None:
        pytest.skip('needs Chromium')
    with library.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        page, said = browser.new_page(), []
        page.on('console', lambda message: said.append(message.text))
        page.on('pageerror', lambda error: said.append(str(error)))
        page.on('request', lambda request: request.url[:5] in ('file:', 'data:') or said.append(request.url))
        yield page, said
        browser.close()


@pytest.fixture
def page(one_page):
    page, said = one_page
    yield page
    assert said == []


def write(path, page):
    write_whole(path, page.encode())  # as the callback does: the browser may read it at any time
    return path.as_uri()


def wait_for(page, selector, text):
    sys.modules['playwright.sync_api'].expect(page.locator(selector)).to_contain_text(text, timeout=60_000)


def test_the_page_follows_the_file_until_the_run_ends(page, tmp_path):
    path = tmp_path / 'run.html'
    page.goto(write(path, as_page(view(epoch=2, reload=0.3, written=time.time()))))
    assert page.locator('.facts').inner_text().startswith('epoch 2 of 4')
    write(path, as_page(view(epoch=3, reload=0.3, written=time.time())))
    wait_for(page, '.facts', 'epoch 3 of 4')
    write(path, as_page(report(epoch=4)))
    wait_for(page, '.state', 'finished')
    write(path, as_page(report(name='another')))
    page.wait_for_timeout(800)
    assert page.locator('h1').inner_text() == 'run'  # it does not load itself any more


def test_a_paused_page_stays_until_it_goes_on(page, tmp_path):
    path = tmp_path / 'run.html'
    page.goto(write(path, as_page(view(epoch=2, reload=0.3, written=time.time()))))
    page.keyboard.press('Tab')
    page.keyboard.press('Enter')
    assert page.locator('#pause').get_attribute('aria-pressed') == 'true'
    write(path, as_page(view(epoch=3, reload=0.3, written=time.time())))
    page.wait_for_timeout(800)
    assert 'epoch 2' in page.locator('.facts').inner_text()
    page.locator('#pause').click()
    wait_for(page, '.facts', 'epoch 3 of 4')


@pytest.mark.parametrize(('age', 'hidden'), [(0, True), (600, False)])
def test_a_page_that_is_not_written_any_more_says_so(page, tmp_path, age, hidden):
    page.goto(write(tmp_path / 'run.html', as_page(view(reload=9, written=time.time() - age))))
    assert page.locator('#stale').is_hidden() == hidden
    if not hidden:
        assert page.locator('#stale').inner_text().startswith('Nothing new for 10 min')


@pytest.mark.parametrize('width', [360, 2560])
def test_nothing_sticks_out(page, tmp_path, width):
    page.set_viewport_size({'width': width, 'height': 900})
    command = 'python ' + 'x' * 300
    for number, shown in enumerate((view(reload=99, command=command, name=LONG.replace(' ', '_')), report())):
        page.goto(write(tmp_path / f'{number}.html', as_page(shown)))
        assert page.evaluate('document.documentElement.scrollWidth') == width


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('shown', [view(reload=99), report(), report(state='stopped', reason='Ctrl-C stopped it.')])
def test_axe_finds_nothing(page, tmp_path, scheme, shown):
    page.emulate_media(color_scheme=scheme)
    page.goto(write(tmp_path / 'run.html', as_page(shown)))
    assert complaints(page) == []
