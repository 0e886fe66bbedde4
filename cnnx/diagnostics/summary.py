"""Summary: a network's layers as a table."""

from cnnx.execution.fusion import describe_fusions


def summary(network):
    """Print a line for each layer: output shape, parameters, multiply-adds; then the totals, and what is frozen.

    Layers that run as one are named below; docs/performance.md says what a block is.
    """
    rows = [('layer', 'output shape', 'parameters', 'multiply-adds')]
    rows += [
        (
            f'{layer.index} {type(layer).__name__}',
            str(layer.shape),
            f'{layer.parameter_count:,}',
            f'{layer.multiply_adds:,}',
        )
        for layer in network.layers
    ]
    parameters = sum(layer.parameter_count for layer in network.layers)
    rows.append(('total', '', f'{parameters:,}', f'{network.multiply_adds:,}'))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        left = f'{row[0]:{widths[0]}}  {row[1]:{widths[1]}}'
        print(f'{left}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}')
    frozen = [layer for layer in network.layers if layer.frozen]
    if frozen:
        names = ', '.join(f'{layer.index} {type(layer).__name__}' for layer in frozen)
        print(f'frozen: {names}, {sum(layer.parameter_count for layer in frozen):,} of the parameters')
    for line in describe_fusions(network.layers, network.loss) if network.fused else ():
        print(line)
