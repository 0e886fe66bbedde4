"""Tables of results as text."""

HEADINGS_AFTER_PEERS = ('ratio', 'target', 'GFLOP/s', 'of peak', 'met')


def number(value):
    """Return a number with three significant digits, '' for None."""
    if value is None:
        return ''
    if abs(value) >= 100:
        return f'{value:,.0f}'
    return f'{value:.3g}'


def format_table(headings, rows):
    """Return the lines of a table: first column left-aligned, others right-aligned."""
    lines = [tuple(map(str, row)) for row in (headings, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    lines.insert(1, tuple('-' * width for width in widths))
    return [
        '  '.join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in cells).rstrip()
        for cells in (enumerate(zip(line, widths, strict=True)) for line in lines)
    ]


def format_results(results):
    """Return the lines of the table of results, followed by the reasons of skipped rows."""
    measured = [result for result in results if result.skipped is None]
    peers = list(dict.fromkeys(peer for result in measured for peer in result.peers))
    headings = ('row', 'unit', 'ours', *peers, *HEADINGS_AFTER_PEERS)
    lines = format_table(headings, [_cells(result, peers) for result in measured]) if measured else []
    lines += [f'{result.name}: skipped, {result.skipped}' for result in results if result.skipped is not None]
    for result in measured:
        if result.lines:
            lines += ['', f'{result.name}: {result.title}', *(f'  {line}' for line in result.lines)]
    return lines


def describe(result):
    """Return a result as one line, to print when it is there."""
    if result.skipped is not None:
        return f'{result.name}: skipped, {result.skipped}'
    peers = ''.join(f', {peer} {number(time)}' for peer, time in result.peers.items())
    ratio = f', ratio {number(result.ratio)}' if result.peers else ''
    return f'{result.name}: {result.title}: ours {number(result.ours)} {result.unit}{peers}{ratio}'


def _cells(result, peers):
    target = number(result.target)
    if result.limit is not None:
        target = f'<= {number(result.limit)}'
    return (
        result.name,
        result.unit,
        number(result.ours),
        *(number(result.peers.get(peer)) for peer in peers),
        number(result.ratio),
        target,
        number(result.gflops),
        '' if result.peak_fraction is None else f'{result.peak_fraction:.0%}',
        {None: '', True: 'yes', False: 'no'}[result.met],
    )
