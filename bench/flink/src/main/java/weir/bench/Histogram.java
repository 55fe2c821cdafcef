package weir.bench;

/** The twin of test/e2e/tools/histogram.h: 64 steps an octave, so a quantile is at most 1.6 % too large. */
public final class Histogram {
    private static final int BITS = 6;
    private static final int STEPS = 1 << BITS;

    private final long[] counts = new long[(63 - BITS + 1) * STEPS];
    long total;
    long max;

    private static int place(long value) {
        if (value < STEPS) {
            return (int) value;
        }
        int octave = 63 - BITS - Long.numberOfLeadingZeros(value);
        return octave * STEPS + (int) (value >>> octave);
    }

    /** The greatest of a place. */
    private static long value(int place) {
        if (place < 2 * STEPS) {
            return place;
        }
        int octave = place / STEPS - 1;
        return ((place % STEPS + STEPS + 1L) << octave) - 1;
    }

    /** What is negative counts as 0. */
    void add(long value) {
        long counted = Math.max(value, 0);
        counts[place(counted)]++;
        total++;
        max = Math.max(max, counted);
    }

    /** The value that so many of a million values do not exceed; 0: there are none. */
    long quantile(long perMillion) {
        long wanted = (total * perMillion + 999_999) / 1_000_000;
        long passed = 0;
        for (int place = 0; place < counts.length; place++) {
            passed += counts[place];
            if (passed >= wanted && passed > 0) {
                return Math.min(value(place), max);
            }
        }
        return 0;
    }

    /** `Histogram COUNT`: the median and the 99th percentile of the first COUNT squares. */
    public static void main(String[] arguments) {
        Histogram histogram = new Histogram();
        long count = Long.parseLong(arguments[0]);
        for (long root = 1; root <= count; root++) {
            histogram.add(root * root);
        }
        System.out.println(histogram.quantile(500_000) + " " + histogram.quantile(990_000));
    }
}
