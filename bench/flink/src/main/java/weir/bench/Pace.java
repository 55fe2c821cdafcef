package weir.bench;

import java.io.Serializable;

/** When a record is due: the first `fill` at once, those behind them so many a second. As in bench/flink_pages.c. */
final class Pace implements Serializable {
    private static final long NS_A_S = 1_000_000_000L;

    private final long fill;
    private final long perSecond;
    private transient long base;
    private transient long baseNs; // 0: the pace has not begun

    Pace(long fill, long perSecond) {
        this.fill = fill;
        this.perSecond = perSecond;
    }

    /** 0: at once. The pace begins with the first record that has one. */
    long due(long index, long nowNs) {
        if (index < fill) {
            return 0;
        }
        if (baseNs == 0) {
            base = index;
            baseNs = nowNs;
        }
        return baseNs + (index - base) * NS_A_S / perSecond;
    }
}
