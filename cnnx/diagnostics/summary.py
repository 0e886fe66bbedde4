"""Summary: a network's layers as a table, as text and in HTML; and a network in one line."""

from cnnx._util.representation import html_table
from cnnx.execution import graph
from cnnx.execution.fusion import describe_fusions

HEADER = ('layer', 'output shape', 'parameters', 'multiply-adds', 'reads')


def summary(network):
    """Print a line for each layer: output shape, parameters, multiply-adds; then the totals, and what is frozen.

    In a network that branches, a column has the layers that each one reads.

    Layers that run as one are named below; docs/performance.md says what a block is.
    """
    branches = not graph.is_chain(network.reads)
    rows = [HEADER, *_rows(network)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        left = f'{row[0]:{widths[0]}}  {row[1]:{widths[1]}}'
        line = f'{left}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}'
        print(f'{line}  {row[4]}'.rstrip() if branches else line)
    frozen = [layer for layer in network.layers if layer.frozen]
    if frozen:
        names = ', '.join(f'{layer.index} {type(layer).__name__}' for layer in frozen)
        print(f'frozen: {names}, {sum(layer.parameter_count for layer in frozen):,} of the parameters')
    for line in describe_fusions(network.layers, network.reads, network.loss) if network.runs_fused else ():
        print(line)


def describe(network):
    """Return a network in one line: its layers, shapes, parameters, and what it is compiled with."""
    kind, layers = type(network).__name__, network.layers
    if not layers:
        return f'<{kind} without layers>'
    count = f'{len(layers)} layer{"" if len(layers) == 1 else "s"}'
    line = f'{kind}: {count}, {network.input_shape} to {layers[-1].shape}, {_parameters(network):,} parameters'
    parts = [type(part).__name__ for part in (network.loss, network.optimizer) if part is not None]
    return f'<{line}; {" and ".join(parts) if parts else "not compiled"}>'


def as_html(network):
    """Return the table of `summary` in HTML, for notebooks."""
    return html_table(HEADER, _rows(network), describe(network).strip('<>'))


def _rows(network):
    """Return the cells of each layer's line, and of the totals."""
    rows = [
        (
            f'{layer.index} {type(layer).__name__}',
            str(layer.shape),
            f'{layer.parameter_count:,}',
            f'{layer.multiply_adds:,}',
            ', '.join('input' if place < 0 else str(place) for place in places),
        )
        for layer, places in zip(network.layers, network.reads, strict=True)
    ]
    return [*rows, ('total', '', f'{_parameters(network):,}', f'{network.multiply_adds:,}', '')]


def _parameters(network):
    return sum(layer.parameter_count for layer in network.layers)
