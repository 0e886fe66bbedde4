"""The graph of a network: forward and backward through layers that read one or several others.

A node is a layer, or, on the fast path, several that run as one. For each node in order, `reads` has the places of the
nodes whose outputs it reads, all before it; -1 is the network's input. A node that reads several takes a list of
arrays, and returns a list of gradients. In a chain, reads is ((-1,), (0,), (1,), ...).
"""

from collections import Counter


def forward(reads, x, run):
    """Return [x, the output of node 0, that of node 1, ...].

    Args:
        reads: which nodes read which.
        x: the input.
        run: run(i, x) computes the output of node i; x is an array, or a list where the node reads several.
    """
    outputs = [x]
    for i, places in enumerate(reads):
        outputs.append(run(i, _one_or_all([outputs[place + 1] for place in places])))
    return outputs


def backward(reads, dy, run, wanted=None, add=lambda place, a, b: a + b):
    """Return the gradients by what `forward` returned, as a list like its; None where there is none.

    A node whose output is read several times gets the sum of the gradients, the last reader's first.

    Args:
        reads: which nodes read which.
        dy: the gradient of the last output.
        run: run(i, dy) computes the gradient of what node i reads: an array or None, or a list where it reads several.
        wanted: whether the backward pass goes through a node, for each; by default through all.
        add: add(i, a, b) returns the sum of two gradients by the output of node i, which is not written into either:
            a node may use its own again, or hand one to several.
    """
    gradients = [None] * len(reads) + [dy]
    for i in range(len(reads) - 1, -1, -1):
        if gradients[i + 1] is None or (wanted is not None and not wanted[i]):
            continue
        dx = run(i, gradients[i + 1])
        for place, each in zip(reads[i], dx if len(reads[i]) > 1 else [dx], strict=True):
            so_far = gradients[place + 1]
            gradients[place + 1] = each if so_far is None or each is None else add(place, so_far, each)
    return gradients


def _one_or_all(arrays):
    return arrays[0] if len(arrays) == 1 else arrays


def is_chain(reads):
    """Whether each node reads the one before it and nothing else."""
    return all(places == (i - 1,) for i, places in enumerate(reads))


def chains(reads):
    """Return the places of the nodes as chains, each as long as can be: a node alone reads the one just before it."""
    counts = Counter(place for places in reads for place in places)
    found = []
    for i, places in enumerate(reads):
        if i > 0 and places == (i - 1,) and counts[i - 1] == 1:
            found[-1].append(i)
        else:
            found.append([i])
    return found


def without(reads, left_out):
    """Return the graph without some nodes that pass on what they read: which nodes stay, and what each reads."""
    kept, place_of = [], {-1: -1}
    for i, places in enumerate(reads):
        if i in left_out:
            place_of[i] = place_of[places[0]]
        else:
            place_of[i] = len(kept)
            kept.append(i)
    return kept, [tuple(place_of[place] for place in reads[i]) for i in kept]
