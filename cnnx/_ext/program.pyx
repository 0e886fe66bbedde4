"""Programs: a step of training or of inference as one call. Blocks of layers run tile by tile in one parallel region.

A batch is cut into tasks, and a task into tiles of a few samples. A tile goes forward through all blocks
and then back through them while what it computes is still in the cache. How a batch is cut depends on its
size alone, and every task adds up gradients of its own, which are then added in order: the bits do not
depend on the number of threads, nor on which thread takes which task.

A block that needs the whole batch at once, as batch normalization does, cuts the blocks into stretches: all
tasks go forward through a stretch before the next one begins, and so back. In the last stretch a tile goes
forward and then back.

Where there are fewer tasks than threads, as where one image is predicted, the threads share each block's forward
pass: each makes some rows of its output. Beside another run each task has one thread alone.

This module is compiled once, for any processor: the blocks that it calls are compiled for each tier.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset
from cython.parallel cimport parallel, threadid

import numpy as np

from cnnx._util.arrays import copy_with_slack
from cnnx._ext.inline.array_pointer cimport pointer_to
from cnnx._ext.inline.denormals cimport FpMode, flush_to_zero, restore_mode
from cnnx._ext.inline.even_parts cimport part_start

cdef extern from "threads.h" nogil:
    ctypedef struct Barrier "barrier":
        int waiting
        int turn
    int team_size()
    # Whether the caller is the first to ask for a task: exactly one thread gets it.
    bint claim(char* taken)
    void wait_for_all(Barrier* barrier, int threads)

cdef enum:
    TILE = 12                     # samples that go through the network together: a block of rows
    LEAST_TASKS = 4               # where there are so many samples
    MAX_TASKS = 32
    PART = 4096                   # weights that one thread prepares, or finishes, at a time

cdef size_t ALIGNMENT = 64
cdef size_t MAX_PARTIAL_BYTES = 1 << 26   # of all tasks of a block
cdef int running = 0                      # how many programs are


cdef class Block:
    """One or several layers that run as one unit: a forward and a backward pass, in the phases of program.pxd.

    Attributes:
        x_local, y_local: whether the arrays before and after the block hold a tile for each thread instead of
            a batch: what only this tile needs stays in the cache.
    """

    def __cinit__(self, *arguments, **settings):
        self._arrays = []

    cdef int take(self, x, y, dy, dx, weights=None, bias=None, dweights=None, dbias=None) except -1:
        """Keep a layer's arrays, or None: a block without gradients to write has no backward pass."""
        self.doubles = x.itemsize == sizeof(double)
        self.goes_back = dx is not None or dweights is not None
        self.x, self.y, self.dy, self.dx = self.pointer(x), self.pointer(y), self.pointer(dy), self.pointer(dx)
        self.weights, self.bias = self.pointer(weights), self.pointer(bias)
        self.dweights, self.dbias = self.pointer(dweights), self.pointer(dbias)
        return 0

    cdef void* pointer(self, array) except? NULL:
        """Return where an array's numbers stand, and keep it alive; NULL for None."""
        if array is None:
            return NULL
        self._arrays.append(array)
        return pointer_to(array)

    cdef void* room(self, size_t size) except NULL:
        """Return aligned memory for the block's own use, all zero."""
        return aligned(size, self._arrays)

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        """Do a phase's work; nothing where the block has none."""


cdef class Gather(Block):
    """Copy the samples of a batch from the array of all samples.

    Args:
        batch: (capacity, ...), written.
    """

    cdef const char* source
    cdef char* batch
    cdef size_t row
    cdef Py_ssize_t rows          # of the source
    cdef object _source

    def __init__(self, batch):
        self.batch = <char*> self.pointer(batch)
        self.row = batch.nbytes // len(batch)

    def read_from(self, source):
        """Take samples from an array like the batch's, contiguous, of any length; from None, take none."""
        self._source = None
        self.source = NULL
        if source is None:
            return
        self.rows = len(source)
        if source.nbytes != self.rows * self.row:
            raise ValueError(f'expected samples of {self.row} bytes, got {source.nbytes} bytes in {self.rows} samples')
        self._source = source
        self.source = <const char*> pointer_to(source)

    cdef int check(self, const int64_t* places, Py_ssize_t samples) except -1:
        """Raise an IndexError if a place, or the last of so many samples, is none of the source's."""
        cdef Py_ssize_t i
        if self.source == NULL:
            return 0
        if places == NULL and samples > self.rows:
            raise IndexError(f'expected {samples} samples, got {self.rows}')
        for i in range(samples if places != NULL else 0):
            if not 0 <= places[i] < self.rows:
                raise IndexError(f'expected places of {self.rows} samples, got {places[i]}')
        return 0

    cdef void run_phase(self, Phase phase, const Span* span, char* scratch) noexcept nogil:
        cdef Py_ssize_t i
        if phase != FORWARD or self.source == NULL:
            return
        for i in range(span.last - span.first):
            memcpy(
                self.batch + (span.y + i) * self.row,
                self.source + (span.first + i if span.order == NULL else span.order[span.first + i]) * self.row,
                self.row)


cdef void* aligned(size_t size, list kept) except NULL:
    """Return memory at the beginning of a cache line, all zero, that lives as long as the list."""
    array = np.zeros(size + ALIGNMENT, np.uint8)
    kept.append(array)
    return <void*> ((<size_t> pointer_to(array) + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


cdef class Program:
    """Blocks that run one after another over batches of up to `capacity` samples.

    Args:
        blocks: in the order of the forward pass; each writes what the next one reads.
        capacity: samples that their arrays hold.
        most_threads: threads whose tiles their local arrays hold; more are not used.
        fixed_weights: the weights never change: what is made from them alone is made in the first run.

    Attributes:
        tile: samples to a tile, at most.
    """

    tile = TILE

    cdef list _blocks
    cdef list _memory
    cdef void** blocks
    cdef Py_ssize_t* parts        # (blocks + 1) how many parts the blocks before have, all together
    cdef Py_ssize_t* cuts         # (blocks + 2) where stretches begin and the last one ends, in a run
    cdef char* taken              # (steps, MAX_TASKS) which tasks a thread has begun
    cdef Py_ssize_t count, capacity, most_tasks
    cdef size_t scratch_bytes
    cdef size_t partial_bytes     # of a task, the most of a block
    cdef char* scratch
    cdef int threads, most_threads
    cdef bint fixed_weights, prepared

    def __init__(self, list blocks, Py_ssize_t capacity, int most_threads=256, bint fixed_weights=False):
        cdef Block block
        self._memory = []
        self._blocks = blocks
        self.count = len(blocks)
        self.capacity = capacity
        self.most_threads = most_threads
        self.fixed_weights = fixed_weights
        self.blocks = <void**> aligned(max(1, self.count) * sizeof(void*), self._memory)
        self.parts = <Py_ssize_t*> aligned((self.count + 1) * sizeof(Py_ssize_t), self._memory)
        self.cuts = <Py_ssize_t*> aligned((self.count + 2) * sizeof(Py_ssize_t), self._memory)
        self.taken = <char*> aligned(2 * (self.count + 1) * MAX_TASKS, self._memory)
        for i in range(self.count):
            block = blocks[i]
            self.parts[i + 1] = self.parts[i] + (block.weights_size + PART - 1) // PART
            self.blocks[i] = <void*> block
            self.scratch_bytes = max(self.scratch_bytes, block.scratch_bytes)
            self.partial_bytes = max(self.partial_bytes, block.partial_bytes)
        self.most_tasks = max(
            <size_t> 1, min(<size_t> MAX_TASKS, MAX_PARTIAL_BYTES // max(<size_t> 1, self.partial_bytes)))
        for i in range(self.count):
            block = blocks[i]
            if block.partial_bytes:
                block.partials = <char*> block.room(self.tasks(capacity) * block.partial_bytes)
        self.scratch_bytes = (self.scratch_bytes + ALIGNMENT) // ALIGNMENT * ALIGNMENT

    cdef Py_ssize_t tasks(self, Py_ssize_t samples):
        """Return into how many tasks a batch is cut: few samples still make work for several threads.

        Never fewer than for a smaller batch: the memory of the tasks is made for the largest.
        """
        return min(self.most_tasks, max(min(samples, <Py_ssize_t> LEAST_TASKS), (samples + TILE - 1) // TILE))

    def run(
        self, Py_ssize_t samples, bint training, bint forward, bint backward, int num_threads,
        const int64_t[::1] order=None, Py_ssize_t begin=0, end=None,
    ):
        """Run a batch forward, backward or both, over what stands in the blocks' arrays.

        Args:
            samples: how many, at most the capacity.
            training: the forward pass keeps what the backward pass needs.
            forward, backward: which passes; both in one call go tile by tile.
            num_threads: how many threads share the work.
            order: where the samples stand in the sources of `Gather` blocks; None for the first ones.
            begin, end: run blocks[begin:end] alone.
        """
        cdef Span batch
        cdef void** blocks = self.blocks + begin
        cdef Py_ssize_t count = (self.count if end is None else <Py_ssize_t> end) - begin
        # Weights may have changed since an earlier run; a backward pass sees those of its forward pass.
        cdef bint prepare = not self.prepared or (forward and not self.fixed_weights)
        if begin < 0 or count < 0 or begin + count > self.count:
            raise ValueError(f'expected a range of {self.count} blocks, got {begin} to {end}')
        if not 0 <= samples <= self.capacity:
            raise ValueError(f'a program for {self.capacity} samples was given {samples}')
        if order is not None and order.shape[0] != samples:
            raise ValueError(f'expected an order of {samples} samples, got {order.shape[0]}')
        if samples == 0:
            return
        memset(&batch, 0, sizeof(Span))
        batch.samples, batch.tasks, batch.training, batch.parts = samples, self.tasks(samples), training, 1
        if order is not None:
            batch.order = &order[0]
        for block in self._blocks[begin:end]:
            if isinstance(block, Gather):
                (<Gather> block).check(batch.order, samples)
        self.prepared = self.prepared or count == self.count
        num_threads = min(num_threads, self.most_threads)
        if num_threads > self.threads:
            self.scratch = <char*> aligned(num_threads * self.scratch_bytes, self._memory)
            self.threads = num_threads
        cdef Py_ssize_t stretches = cut_up(blocks, count, self.cuts)
        cdef Py_ssize_t steps = 2 * stretches - 1 if forward and backward else stretches
        # What is added up for each task needs the tasks.
        cdef bint shared = forward and not (backward or training or self.partial_bytes) and batch.tasks < num_threads
        global running
        if shared and running:
            shared, num_threads = False, <int> batch.tasks
        cdef Work work = Work(
            blocks, self.cuts, stretches, steps, self.parts + begin, count, batch, prepare, forward, backward, shared,
            self.taken, self.scratch, self.scratch_bytes, Barrier(0, 0))
        memset(self.taken, 0, steps * MAX_TASKS)
        running += 1
        if num_threads == 1:
            with nogil:
                run_on_thread(&work, 0, 1)
        else:
            with nogil, parallel(num_threads=num_threads):
                run_on_thread(&work, threadid(), team_size())
        running -= 1


cdef struct Work:
    # What is run, as `Program.run` is given it, and where the threads wait for each other.
    void** blocks
    const Py_ssize_t* cuts
    Py_ssize_t stretches
    Py_ssize_t steps
    const Py_ssize_t* parts
    Py_ssize_t count
    Span batch
    bint prepare, forward, backward, shared
    char* taken
    char* scratch
    size_t scratch_bytes
    Barrier barrier


cdef void run_on_thread(Work* work, int thread, int team) noexcept nogil:
    """Do a thread's share of a run; a team may be smaller than was asked for."""
    cdef FpMode mode = flush_to_zero()
    cdef Py_ssize_t all_parts = work.parts[work.count] - work.parts[0], step, i
    cdef Py_ssize_t first = work.parts[0] + part_start(all_parts, thread, team)
    cdef Py_ssize_t last = work.parts[0] + part_start(all_parts, thread + 1, team)
    cdef char* scratch = work.scratch + thread * work.scratch_bytes
    cdef Step now
    if work.prepare:
        for i in range(first, last):
            run_part_of_weights(work, PREPARE, i, scratch)
        wait_for_all(&work.barrier, team)
    for step in range(work.steps):
        now = step_of(work, step, work.forward, work.backward)
        if work.shared:
            share_tasks(work, now, thread, team, scratch)
        else:
            run_tasks(work, now, thread, team, work.taken + step * MAX_TASKS, scratch)
        wait_for_all(&work.barrier, team)
        if work.stretches > 1:
            join_step(work, now, thread, team, scratch)
            wait_for_all(&work.barrier, team)
    if work.backward:
        # Each thread takes a part of the weights, not of the samples: no sum is cut.
        for i in range(first, last):
            run_part_of_weights(work, FINISH, i, scratch)
    restore_mode(mode)


cdef struct Step:
    # All tasks go through a stretch of blocks: forward, back, or forward and then back.
    Py_ssize_t first              # its blocks
    Py_ssize_t last               # and the one after them
    bint next_measures            # whether there is one: it measures the whole batch
    bint first_measures           # whether the first block does so
    bint forward
    bint backward


cdef Py_ssize_t cut_up(void** blocks, Py_ssize_t count, Py_ssize_t* cuts) noexcept:
    """Write where stretches begin and the last one ends; return how many there are."""
    cdef Py_ssize_t stretches = 1, i
    cuts[0] = 0
    for i in range(count):
        if (<Block> blocks[i]).of_batch:
            cuts[stretches] = i
            stretches += 1
    cuts[stretches] = count
    return stretches


cdef inline Step step_of(const Work* work, Py_ssize_t step, bint forward, bint backward) noexcept nogil:
    """Return a step of a run: forward through all stretches, then back, the last one both ways at once.

    Of three stretches: 0 forward, 1 forward, 2 forward and back, 1 back, 0 back.
    """
    cdef Py_ssize_t last = work.stretches - 1, i = step
    if not forward or step > last:
        i = (2 * last if forward else last) - step
    return Step(
        work.cuts[i], work.cuts[i + 1], i < last, i > 0,
        forward and step <= last, backward and (not forward or step >= last))


cdef void join_step(const Work* work, Step step, Py_ssize_t part, Py_ssize_t parts, char* scratch) noexcept nogil:
    """Work on the whole batch, between two steps."""
    if step.forward and step.next_measures:
        run_part(<Block> work.blocks[step.last], JOIN_X, work.batch, part, parts, scratch)
    if step.backward and step.first_measures:
        run_part(<Block> work.blocks[step.first], JOIN_DY, work.batch, part, parts, scratch)


cdef void run_part_of_weights(const Work* work, Phase phase, Py_ssize_t part, char* scratch) noexcept nogil:
    """Run a phase for a part of the weights of all blocks."""
    cdef Py_ssize_t i = 0
    while work.parts[i + 1] <= part:
        i += 1
    run_part(
        <Block> work.blocks[i], phase, work.batch, part - work.parts[i], work.parts[i + 1] - work.parts[i], scratch)


cdef void run_part(
    Block block, Phase phase, Span span, Py_ssize_t part, Py_ssize_t parts, char* scratch,
) noexcept nogil:
    span.part, span.parts = part, parts
    span.partial, span.partial_bytes = block.partials, block.partial_bytes
    if block.goes_back or phase == PREPARE or phase == JOIN_X:
        block.run_phase(phase, &span, scratch)


cdef void run_tasks(
    const Work* work, Step step, Py_ssize_t thread, Py_ssize_t threads, char* taken, char* scratch,
) noexcept nogil:
    """Run a thread's own tasks, and then those that no thread has begun.

    Its own ones are the same from step to step, so that what they write stays in the caches of one processor.
    """
    cdef Py_ssize_t first = part_start(work.batch.tasks, thread, threads), i, task
    for i in range(work.batch.tasks):
        task = (first + i) % work.batch.tasks
        if claim(taken + task):
            run_task(work, step, thread, task, scratch)


cdef void run_task(const Work* work, Step step, Py_ssize_t thread, Py_ssize_t task, char* scratch) noexcept nogil:
    """Carry a task's tiles, one after the other, through the blocks of a step."""
    cdef Py_ssize_t first = part_start(work.batch.samples, task, work.batch.tasks)
    cdef Py_ssize_t last = part_start(work.batch.samples, task + 1, work.batch.tasks)
    cdef Py_ssize_t tiles = (last - first + TILE - 1) // TILE, tile, i
    cdef void** blocks = work.blocks
    cdef Span span = work.batch
    span.task = task
    for tile in range(tiles):
        span.fresh = tile == 0
        span.first = first + part_start(last - first, tile, tiles)
        span.last = first + part_start(last - first, tile + 1, tiles)
        if step.forward:
            for i in range(step.first, step.last):
                run_span(<Block> blocks[i], FORWARD, &span, thread, scratch)
            if step.next_measures:
                run_span(<Block> blocks[step.last], MEASURE_X, &span, thread, scratch)
        if step.backward:
            if step.next_measures:
                run_span(<Block> blocks[step.last], BACKWARD, &span, thread, scratch)
            # A first block that measures dy goes back in the next step.
            for i in range(step.last - 1, step.first - (not step.first_measures), -1):
                run_span(<Block> blocks[i], BACKWARD, &span, thread, scratch)
            if step.first_measures:
                run_span(<Block> blocks[step.first], MEASURE_DY, &span, thread, scratch)


cdef void share_tasks(Work* work, Step step, Py_ssize_t thread, Py_ssize_t threads, char* scratch) noexcept nogil:
    """Carry all tiles forward through a step's blocks: each thread does a part of a block, or the first all of it."""
    cdef Py_ssize_t tiles = (work.batch.samples + TILE - 1) // TILE, tile, i
    cdef Span span = work.batch
    cdef bint shares
    for tile in range(tiles):
        span.first = part_start(work.batch.samples, tile, tiles)
        span.last = part_start(work.batch.samples, tile + 1, tiles)
        for i in range(step.first, step.last):
            shares = (<Block> work.blocks[i]).shares
            span.part, span.parts = thread if shares else 0, threads if shares else 1
            if shares or thread == 0:
                run_span(<Block> work.blocks[i], FORWARD, &span, 0, scratch)
            wait_for_all(&work.barrier, threads)


cdef inline void run_span(Block block, Phase phase, Span* span, Py_ssize_t thread, char* scratch) noexcept nogil:
    """Run a phase for a span, having set where it stands in the block's arrays."""
    if not block.goes_back and (phase == BACKWARD or phase == MEASURE_DY):
        return
    span.x = thread * TILE if block.x_local else span.first
    span.y = thread * TILE if block.y_local else span.first
    span.partial, span.partial_bytes = block.partials + span.task * block.partial_bytes, block.partial_bytes
    if span.fresh and phase == BACKWARD and block.partial_bytes > 0:
        memset(span.partial, 0, block.partial_bytes)
    block.run_phase(phase, span, scratch)


cdef int run_alone(Block block, Py_ssize_t samples, bint backward, int num_threads) except -1:
    """Run one block over a batch of all samples that its arrays hold, forward or backward."""
    Program([block], samples, num_threads).run(samples, True, not backward, backward, num_threads)
    return 0


cdef object in_whole_vectors(array):
    """Return an array whose last axis can be read in whole vectors to its end: a copy with slack, if need be."""
    whole = array.shape[array.ndim - 1] * array.itemsize % ALIGNMENT == 0
    return array if whole else copy_with_slack(np.asarray(array))
