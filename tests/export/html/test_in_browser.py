"""The page in Chromium: drawing, answers, cards, keyboard, widths."""

import os
import shutil

import numpy as np
import pytest
from axe import complaints
from drawings import placed_strokes

import cnnx
from cnnx.data import prepare_digit

sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
NOTHING = '\u2013'  # the answer where nothing is drawn
CHROMIUM = os.environ.get('CNNX_CHROMIUM') or shutil.which('chromium') or shutil.which('chromium-browser')
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason='Chromium is not installed'),
    pytest.mark.filterwarnings('ignore::ResourceWarning'),
]


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield started
        started.close()


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    path = tmp_path_factory.mktemp('page') / 'digits.html'
    cnnx.models.pretrained('lenet5-mnist').export(path)
    return path


@pytest.fixture
def show(browser):
    """Return a function that opens a page; at the end its console has to be empty."""
    said, opened = [], []

    def open_page(path, **settings):
        page = browser.new_page(**{'viewport': {'width': 1280, 'height': 900}, **settings})
        page.on('console', lambda message: said.append(message.text))
        page.on('pageerror', lambda error: said.append(str(error)))
        page.goto(path.as_uri())
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert said == []


def draw(page, digit, rng):
    """Draw a digit with the mouse, somewhere, of some size, slant and thickness."""
    lines, thickness = placed_strokes(digit, rng, 1)
    page.locator('#thickness').fill(str(int(np.clip(round(thickness * 120), 3, 12))))
    page.locator('#pad').scroll_into_view_if_needed()
    box = page.locator('#pad').bounding_box()
    for line in lines:
        places = [(box['x'] + x * box['width'], box['y'] + y * box['height']) for x, y in line]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place)
        page.mouse.up()
    settle(page)


def settle(page):
    page.evaluate(
        '() => new Promise((done) => (function look() { state.waiting ? requestAnimationFrame(look) : done(); })())'
    )


def answer(page):
    return page.locator('#answer').inner_text().split()[0]


@pytest.mark.parametrize('count', [10, pytest.param(100, marks=pytest.mark.slow)])
def test_it_reads_drawings_as_cnnx_does(show, digits, count):
    page, net, rng = show(digits), cnnx.models.pretrained('lenet5-mnist'), np.random.default_rng(0)
    pytest.importorskip('PIL', reason='Pillow is not installed')
    right = 0
    for number in range(count):
        page.locator('#clear').click()
        draw(page, number % 10, rng)
        values = page.evaluate('Array.from(pad.picture().values)')
        pixels = prepare_digit(np.array(values, np.float32).reshape(120, 120)).pixels
        assert answer(page) == str(net.predict_classes(pixels[np.newaxis])[0])
        right += answer(page) == str(number % 10)
    assert right >= 0.95 * count, f'{right} of {count}'


def test_undo_and_clear_by_button_and_key(show, digits):
    page = show(digits)
    draw(page, 7, np.random.default_rng(0))
    assert answer(page) == '7'
    page.locator('#undo').click()
    settle(page)
    assert answer(page) == NOTHING
    for _ in range(2):
        draw(page, 1, np.random.default_rng(0))
        assert answer(page) != NOTHING
        page.keyboard.press('Delete')
        settle(page)
        assert answer(page) == NOTHING
    draw(page, 7, np.random.default_rng(0))
    page.keyboard.press('Control+z')
    settle(page)
    assert page.evaluate('pad.isEmpty')


def test_undo_brings_back_what_clear_or_a_sample_took_away(show, digits):
    page = show(digits)
    for take_away in ('#clear', '#strip button:first-child'):
        page.locator('#clear').click()
        draw(page, 7, np.random.default_rng(0))
        page.locator(take_away).click()
        page.locator('#undo').click()
        settle(page)
        assert answer(page) == '7'


def test_an_empty_pad_has_empty_layers_and_no_card(show, digits):
    page = show(digits)
    pictures = "Array.from(document.querySelectorAll('.map canvas'), (canvas) => canvas.toDataURL())"
    empty = page.evaluate(pictures)
    assert len(set(empty[1:7])) == 1  # the maps of the first convolution
    page.locator('.layer').nth(1).locator('.map').first.click()
    assert not page.locator('#close').is_visible()
    page.locator('#strip button').first.click()
    assert len(set(page.evaluate(pictures)[1:7])) > 1
    page.locator('.layer').nth(1).locator('.map').first.click()
    assert page.locator('#close').is_visible()
    page.locator('#clear').click()
    settle(page)
    assert page.evaluate(pictures) == empty
    assert not page.locator('#close').is_visible()


def test_touch_draws_and_does_not_scroll(show, digits):
    page = show(digits, viewport={'width': 360, 'height': 640}, has_touch=True, is_mobile=True)
    page.locator('#pad').scroll_into_view_if_needed()
    box = page.locator('#pad').bounding_box()
    scrolled = page.evaluate('scrollY')
    session = page.context.new_cdp_session(page)
    places = [(box['x'] + box['width'] / 2, box['y'] + box['height'] * y) for y in np.linspace(0.2, 0.8, 12)]
    for i, (x, y) in enumerate(places):
        kind = 'touchStart' if i == 0 else 'touchMove'
        session.send('Input.dispatchTouchEvent', {'type': kind, 'touchPoints': [{'x': x, 'y': y}]})
    session.send('Input.dispatchTouchEvent', {'type': 'touchEnd', 'touchPoints': []})
    settle(page)
    assert answer(page) == '1'
    assert page.evaluate('scrollY') == scrolled
    page.wait_for_timeout(500)  # Chromium takes a tap right after a stroke for a part of its gesture
    page.locator('.layer').nth(1).locator('.map').nth(2).tap()
    tapped, card = page.locator('.map.touched').last.bounding_box(), page.locator('#card').bounding_box()
    assert page.locator('#card-title').inner_text().startswith('1. Convolution: map 3')
    assert tapped['y'] + tapped['height'] <= card['y']


def test_samples_say_whether_the_answer_is_right(show, digits):
    page = show(digits)
    page.get_by_label('Sample 15: 7').click()
    assert answer(page) == '7'
    assert page.locator('#verdict').inner_text() == 'Right: that is its label.'


def test_a_card_opens_the_arithmetic_of_a_number(show, digits):
    page = show(digits)
    page.get_by_label('Sample 1: 0').click()
    page.get_by_label('1. Convolution: map 2 of 6').click(position={'x': 40, 'y': 40})
    tables = page.locator('#card .numbers')
    assert tables.count() == 3
    assert tables.nth(2).locator('td').count() == 25
    value, total = page.evaluate(
        """() => {
          const { layer, place } = state.unit;
          const value = state.outputs[0][views.get(0).layout.index(place)];
          const read = sourcesOf(layer, place).map(([, [r, c]]) => state.x[r * 28 + c]);
          const weights = Array.from({ length: 25 }, (_, i) => layer.weights[i * 6 + place[2]]);
          return [value, read.reduce((sum, x, i) => sum + x * weights[i], layer.bias[place[2]])];
        }"""
    )
    assert value == pytest.approx(total, abs=1e-5)
    assert f'{abs(value):.2f}' in page.locator('#card .sum').first.inner_text()
    assert page.locator('#card .sum').last.inner_text().startswith('Next, 2. ReLU of ')
    assert page.locator('.map.touched').count() == 2
    page.keyboard.press('Escape')
    assert page.locator('.map.touched').count() == 0


def test_every_layer_has_cards(show, digits):
    page = show(digits)
    page.get_by_label('Sample 1: 0').click()
    for number in range(13):
        page.locator('.layer').nth(number + 1).locator('.map').first.click()
        assert page.locator('#card-title').inner_text().startswith(f'{number + 1}. ')
        assert page.locator('#card .sum b').first.is_visible()


def others():
    """Return networks whose layers and outputs are of many kinds, by name."""
    x = cnnx.Input((10, 10, 1))
    h = cnnx.Rescaling(2.0, -1.0)(x)
    a = cnnx.PReLU()(cnnx.BatchNormalization()(cnnx.Convolutional(4, 3, padding='same', groups=1)(h)))
    b = cnnx.GroupNormalization(2)(cnnx.Convolutional(4, 3, padding='same', dilation=2)(h))
    h = cnnx.Concatenate()(
        [cnnx.Add()([a, b]), cnnx.Multiply()([a, b]), cnnx.AveragePooling(3, stride=1, padding=1)(a)]
    )
    h = cnnx.LayerNormalization()(cnnx.Cropping(1)(cnnx.ZeroPadding(2)(h)))
    h = cnnx.GELU()(cnnx.UpSampling(2, interpolation='bilinear')(cnnx.MaxPooling(2)(h)))
    h = cnnx.Permute((1, 0, 2))(cnnx.Dropout(0.2)(h))
    graph = cnnx.Network(inputs=x, outputs=cnnx.Dense(2)(cnnx.GlobalMaxPooling()(h)), seed=0)
    to_signal, conv = cnnx.Reshape((64, 1), input_shape=(8, 8, 1)), cnnx.Convolutional1D(3, 5)
    signal = cnnx.Network(
        [
            to_signal,
            conv,
            cnnx.SELU(),
            cnnx.MaxPooling1D(2),
            cnnx.GlobalAveragePooling(),
            cnnx.Dense(1),
            cnnx.Sigmoid(),
        ],
        seed=0,
    )
    signal.compile(cnnx.BinaryCrossEntropy())
    convolutions = [cnnx.Convolutional(3, 3, input_shape=(9, 9, 1)), cnnx.TransposedConvolutional(3, 3), cnnx.Softmax()]
    return {'graph': graph, 'signal': signal, 'classes': cnnx.Network(convolutions, seed=0)}


@pytest.mark.parametrize('name', ['graph', 'signal', 'classes'])
def test_layers_of_other_networks_have_cards(show, name, tmp_path):
    net = others()[name]
    net.export(tmp_path / 'page.html')
    page = show(tmp_path / 'page.html')
    draw(page, 3, np.random.default_rng(0))
    assert page.locator('#answer').inner_text() != NOTHING
    for layer in net.layers:
        page.locator(f'.layer[aria-label^="{layer.index + 1}. "] .map').last.click()
        assert page.locator('#card-title').inner_text().startswith(f'{layer.index + 1}. ')
        assert page.locator('#card .sum b').first.is_visible()


def test_all_of_it_by_keyboard(show, digits):
    page = show(digits)
    page.get_by_label('Sample 1: 0').focus()
    page.keyboard.press('Enter')
    assert answer(page) == '0'
    page.get_by_label('3. Max-pooling: map 1 of 6').focus()
    page.keyboard.press('Enter')
    before = page.locator('#card-title').inner_text()
    page.keyboard.press('ArrowDown')
    assert page.locator('#card-title').inner_text() != before
    assert page.locator('#spoken').inner_text().startswith('3. Max-pooling: map 1')


def test_nothing_is_wider_than_the_window(show, digits):
    page = show(digits)
    page.get_by_label('Sample 7: 3').click()
    page.locator('.layer').nth(4).locator('.map').first.click()
    for width in (360, 768, 1280, 2560):
        page.set_viewport_size({'width': width, 'height': 900})
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        if 'CNNX_SCREENSHOTS' in os.environ:
            page.screenshot(path=f'{os.environ["CNNX_SCREENSHOTS"]}/page-{width}.png', full_page=True)


@pytest.mark.parametrize('view', ['occlusion', 'gradient'])
def test_what_speaks_for_the_answer_and_for_another_class(show, digits, view):
    page, given = show(digits), '(canvas) => canvas.toDataURL()'
    page.get_by_label('Sample 1: 0').click()
    pictures = {page.locator('#given').evaluate(given)}
    page.locator('#view').select_option(view)
    for choice, name in (('the answer', '0'), ('6', '6')):
        page.locator('#speaks-for').select_option(choice)
        sync_api.expect(page.locator('#view-hint')).to_contain_text(f'“{name}”', timeout=60_000)
        pictures.add(page.locator('#given').evaluate(given))
    assert len(pictures) == 3


def test_a_later_convolution_shows_what_it_looks_for_in_the_image(show, digits):
    page = show(digits)
    page.get_by_label('Sample 1: 0').click()
    page.get_by_label('4. Convolution: map 2 of 16').click(position={'x': 40, 'y': 40})
    picture = page.locator('#card .looked-for')
    before = picture.evaluate('(canvas) => canvas.toDataURL()')
    page.wait_for_function('(before) => document.querySelector(".looked-for").toDataURL() !== before', arg=before)


def test_brightening_finds_the_weights_of_one_dense_layer(show, tmp_path):
    net = cnnx.Network([cnnx.Flatten(input_shape=(8, 8, 1)), cnnx.Dense(2)], seed=0)
    weights = np.zeros((8, 8, 2), np.float32)
    weights[2, 3, 0], weights[5, 6, 1] = 2, -1
    net.layers[1].weights = weights.reshape(64, 2)
    net.export(tmp_path / 'page.html', samples=(np.ones((1, 8, 8, 1)), None), prepare='scale')
    page = show(tmp_path / 'page.html')
    page.get_by_label('Sample 1').click()
    found = """(wanted) => {
      const score = (x) => scoreFor(forward(network, x), wanted);
      const steps = gradient(state.x, network.input, score, 0.02);
      for (;;) { const step = steps.next(); if (step.done) return Array.from(step.value); }
    }"""
    for wanted in (0, 1):
        slopes = np.array(page.evaluate(found, wanted)).reshape(8, 8)
        np.testing.assert_allclose(slopes, weights[..., wanted], atol=1e-4)


def test_a_wrong_answer_names_the_label_and_a_target_is_shown(show, tmp_path):
    net = cnnx.Network([cnnx.Flatten(input_shape=(8, 8, 1)), cnnx.Dense(2), cnnx.Softmax()], seed=0)
    net.layers[1].weights, net.layers[1].bias = np.zeros((64, 2)), np.log([0.75, 0.25])
    x = np.ones((1, 8, 8, 1))
    net.export(tmp_path / 'classes.html', samples=(x, [1]))
    page = show(tmp_path / 'classes.html')
    page.get_by_label('Sample 1: 1').click()
    verdict = (
        'Wrong: its label is 1, to which the network gives 25.0\xa0%. “What speaks for” compares the two. '
        'The network is not sure: less than 90\xa0%.'
    )
    assert page.locator('#verdict').inner_text() == verdict
    numbers = cnnx.Network([cnnx.Flatten(input_shape=(8, 8, 1)), cnnx.Dense(2)], seed=0)
    numbers.export(tmp_path / 'numbers.html', samples=(x, [[0.5, -2.0]]))
    page = show(tmp_path / 'numbers.html')
    page.get_by_label('Sample 1').click()
    assert page.locator('#verdict').inner_text() == 'Its target: 0.50, \u22122.00.'
    assert page.locator('.scores .name').all_inner_texts() == ['number 1', 'number 2']


@pytest.mark.parametrize(('scheme', 'width'), [('light', 1280), ('dark', 360)])
def test_axe_finds_nothing(show, digits, scheme, width):
    page = show(digits, color_scheme=scheme, viewport={'width': width, 'height': 800})
    assert complaints(page) == []
    page.get_by_label('Sample 1: 0').click()
    page.locator('#view').select_option('occlusion')
    page.locator('summary').first.click()
    for layer in (4, 8):
        page.locator('.layer').nth(layer).locator('.map').first.click()
    sync_api.expect(page.locator('#view-hint')).to_contain_text('lue', timeout=60_000)
    assert complaints(page) == []


def test_names_are_text(show, tmp_path):
    net = cnnx.Network([cnnx.Flatten(input_shape=(8, 8, 3)), cnnx.Dense(2), cnnx.Softmax()], seed=0)
    net.class_names = ['</script><img src=x onerror="document.title=1">', 'cat']
    x = np.random.default_rng(0).random((2, 8, 8, 3))
    net.export(tmp_path / 'page.html', title='<b>bold</b>', samples=(x, [0, 1]))
    page = show(tmp_path / 'page.html')
    assert page.title() == '<b>bold</b>'
    assert page.locator('h1').inner_text() == '<b>bold</b>'
    assert page.locator('.scores .name').first.inner_text() == net.class_names[0]
    assert page.locator('img').count() == 0


def test_the_policy_allows_no_other_script_and_no_connection(browser, digits):
    page = browser.new_page()
    page.goto(digits.as_uri())
    ran = page.evaluate(
        """async () => {
          const script = document.createElement('script');
          script.textContent = 'globalThis.ran = true';
          document.body.append(script);
          const fetched = await fetch('data:,x').then(() => true, () => false);
          return [Boolean(globalThis.ran), fetched];
        }"""
    )
    assert ran == [False, False]
    page.close()


def test_a_picture_file_is_read(show, digits, tmp_path):
    images = pytest.importorskip('PIL.Image', reason='Pillow is not installed')
    from drawings import drawing

    grey = drawing(4, np.random.default_rng(3))
    images.fromarray((255 * grey).round().astype(np.uint8)).save(tmp_path / 'four.png')
    page = show(digits)
    page.locator('#file').set_input_files(tmp_path / 'four.png')
    sync_api.expect(page.locator('#answer')).to_contain_text('4 ')
    (tmp_path / 'text.png').write_text('no picture')
    page.locator('#file').set_input_files(tmp_path / 'text.png')
    sync_api.expect(page.locator('#notes')).to_contain_text('text.png: expected a picture')
