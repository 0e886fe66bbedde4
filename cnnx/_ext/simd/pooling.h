/* Max-pooling and average pooling of one window, with channels in the lanes.
 *
 * After the last channel stand other pixels' numbers, as long as the image goes on: whole vectors may be read and
 * written there where a later window, or the next pixel, writes over it.
 */
#if !defined(REAL) && !defined(CNNX_POOLING_H)
#define CNNX_POOLING_H

#include "max_and_relu.h"

#define BODY "pooling.h"
#include "for_float_and_double.h"

#define maxima_of_window(channels, rows, columns, x, ...) \
    BY_KIND(maxima_of_window, x)(channels, rows, columns, x, __VA_ARGS__)
#define mean_of_window(channels, rows, columns, x, ...) \
    BY_KIND(mean_of_window, x)(channels, rows, columns, x, __VA_ARGS__)
#define spread_over_row(channels, columns, pixels, dy, ...) \
    BY_KIND(spread_over_row, dy)(channels, columns, pixels, dy, __VA_ARGS__)

#elif defined(REAL)

/* y[c] = the maximum of the window, argmax[c] its place; the first of equals wins, and a NaN over every number.
 *
 * x: the window's first pixel in the image; `line` numbers to a row of the image, `there` of them to its end.
 * place, places: that pixel's place in the window, and places to a row of the window.
 * room: numbers that may be written from y on, channels or more.
 */
static inline void NAME(maxima_of_window)(
    ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t columns, const REAL *x, ptrdiff_t line, ptrdiff_t there,
    ptrdiff_t place, ptrdiff_t places, REAL *y, int32_t *argmax, ptrdiff_t room)
{
    for (ptrdiff_t c = 0; c < channels; c += WIDTH) {
        NAME(vector) largest = NAME(load_some)(x + c, there - c);
        NAME(mask) winner = (NAME(mask)){0} + (int32_t)place;
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t column = 0; column < columns; column++) {
                const ptrdiff_t at = r * line + column * channels + c;
                NAME(contend)(
                    NAME(load_some)(x + at, there - at), (int32_t)(place + r * places + column), &largest, &winner);
            }
        NAME(store_some)(y + c, largest, room - c);
        NAME(store_some_integers)(argmax + c, winner, room - c);
    }
}

/* y[c] = the mean of the window; arguments as above. */
static inline void NAME(mean_of_window)(
    ptrdiff_t channels, ptrdiff_t rows, ptrdiff_t columns, const REAL *x, ptrdiff_t line, ptrdiff_t there,
    REAL *y, ptrdiff_t room)
{
    for (ptrdiff_t c = 0; c < channels; c += WIDTH) {
        NAME(vector) sum = {0};
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t column = 0; column < columns; column++) {
                const ptrdiff_t at = r * line + column * channels + c;
                sum += NAME(load_some)(x + at, there - at);
            }
        NAME(store_some)(y + c, sum / (REAL)(rows * columns), room - c);
    }
}

/* dx[c] = dy[c] / pixels at some pixels of a row, and zero after them as far as vectors reach.
 *
 * Both arrays go on for `there` and `room` numbers. Rows and pixels come in order, so that what is made zero is
 * written later, or nobody's.
 */
static inline void NAME(spread_over_row)(
    ptrdiff_t channels, ptrdiff_t columns, ptrdiff_t pixels, const REAL *dy, ptrdiff_t there, REAL *dx, ptrdiff_t room)
{
    if (channels <= WIDTH) {
        const NAME(vector) gradient = NAME(first_lanes)(NAME(load_some)(dy, there), channels) / (REAL)pixels;
        for (ptrdiff_t column = 0; column < columns; column++)
            NAME(store_some)(dx + column * channels, gradient, room - column * channels);
        return;
    }
    for (ptrdiff_t column = 0; column < columns; column++)
        for (ptrdiff_t c = 0; c < channels; c += WIDTH) {
            const ptrdiff_t at = column * channels + c;
            const NAME(vector) gradient = NAME(first_lanes)(NAME(load_some)(dy + c, there - c), channels - c);
            NAME(store_some)(dx + at, gradient / (REAL)pixels, room - at);
        }
}

#endif
