package weir.bench;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;

/** The twin of bench/flink_pages.c: large state, a fixed rate. What travels: index, key or visits, when it was due. */
final class Pages {
    private static final int PAGE_SIZE = 1000;
    private static final int WORDS = PAGE_SIZE / 8;

    private Pages() {}

    /** The page of a key, and how often it was written. */
    public static final class Page implements Codable {
        long visits;
        byte[] text = new byte[PAGE_SIZE];

        @Override
        public void write(DataOutputView out) throws IOException {
            out.writeLong(visits);
            out.write(text);
        }

        @Override
        public void read(DataInputView in) throws IOException {
            visits = in.readLong();
            in.readFully(text);
        }
    }

    private static final class VisitMaker implements GeneratorSource.Maker<Numbers> {
        private final long keys;
        private transient Numbers visit;

        VisitMaker(long keys) {
            this.keys = keys;
        }

        @Override
        public Numbers make(long index) {
            return make(index, 0);
        }

        @Override
        public Numbers make(long index, long dueNs) {
            if (visit == null) {
                visit = new Numbers(3);
            }
            return visit.set(index, Nexmark.mix(index % keys + 1), dueNs);
        }
    }

    private static long word(long key, long visits, long index) {
        return Nexmark.mix(key + visits * Nexmark.GOLDEN + index);
    }

    private static final class WritePage extends KeyedProcessFunction<Long, Numbers, Numbers> {
        private transient ValueState<Page> state;
        private transient Numbers out;

        @Override
        public void open(OpenContext context) {
            state = getRuntimeContext().getState(new ValueStateDescriptor<>("pages", Codable.type(Page.class)));
            out = new Numbers(3);
        }

        @Override
        public void processElement(Numbers visit, Context context, Collector<Numbers> collector) throws Exception {
            Page page = state.value();
            if (page == null) {
                page = new Page();
            }
            long key = visit.of[1];
            ByteBuffer words = ByteBuffer.wrap(page.text).order(ByteOrder.LITTLE_ENDIAN);
            if (page.visits > 0
                    && (words.getLong(0) != word(key, page.visits, 0)
                            || words.getLong(PAGE_SIZE - 8) != word(key, page.visits, WORDS - 1))) {
                throw new IllegalStateException("the page of key " + key + " is not what was written");
            }
            page.visits++;
            for (int i = 0; i < WORDS; i++) {
                words.putLong(8 * i, word(key, page.visits, i));
            }
            state.update(page);
            collector.collect(out.set(visit.of[0], page.visits, visit.of[2]));
        }
    }

    /** Looks at what comes out. Statics are of the one JVM; a job in a cluster has only the file. */
    private static final class Watch implements DigestSink.Digester<Numbers> {
        static final Histogram LATENCIES = new Histogram();
        static long wrong;
        static long gapNs;
        private static long lastNs;

        private final long keys;
        private final long fill;
        private final long from;
        private final String told;
        private transient boolean hasFirst;

        Watch(Main.Options options) {
            keys = options.keys;
            fill = options.fill;
            from = options.from;
            told = options.told;
        }

        private void tell(String word, long at, long index, boolean isRight) {
            if (told == null) {
                return;
            }
            String line = word + " " + ProcessHandle.current().pid() + " " + at + " " + index + " "
                    + (isRight ? "right" : "wrong") + "\n";
            try {
                Files.write(
                        Path.of(told),
                        line.getBytes(StandardCharsets.US_ASCII),
                        StandardOpenOption.CREATE,
                        StandardOpenOption.APPEND);
            } catch (IOException e) {
                throw new IllegalStateException("cannot write to " + told, e);
            }
        }

        @Override
        public long digest(Numbers row) {
            long index = row.of[0];
            long visits = row.of[1];
            long at = System.nanoTime();
            boolean isRight = visits == index / keys + 1;
            wrong += isRight ? 0 : 1;
            if (!hasFirst) {
                hasFirst = true;
                tell("first", at, index, isRight);
            }
            if (index == fill) {
                tell("filled", at, index, isRight);
            }
            if (index >= from) {
                if (lastNs != 0) {
                    gapNs = Math.max(gapNs, at - lastNs);
                }
                lastNs = at;
                LATENCIES.add(at - row.of[2]);
            }
            return Digest.number(Digest.number(0, index), visits);
        }
    }

    static void build(StreamExecutionEnvironment env, Main.Options options) {
        Seen.warm = options.from;
        long count = options.count == 0 ? Long.MAX_VALUE : options.count;
        env.fromSource(
                        new GeneratorSource<>(
                                new VisitMaker(options.keys), count, new Pace(options.fill, options.rate)),
                        WatermarkStrategy.noWatermarks(),
                        "visits",
                        Numbers.triples())
                .keyBy(visit -> visit.of[1], Types.LONG)
                .process(new WritePage())
                .returns(Numbers.triples())
                .sinkTo(new DigestSink<>(new Watch(options)));
    }

    private static double ms(long perMillion) {
        return Watch.LATENCIES.quantile(perMillion) / 1e6;
    }

    /** The members of the report that only this workload has; "": it was another one. */
    static String report() {
        if (Watch.LATENCIES.total == 0) {
            return "";
        }
        return String.format(
                Locale.ROOT,
                ",\"wrong\":%d,\"records\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f,"
                        + "\"gap_ms\":%.3f",
                Watch.wrong,
                Watch.LATENCIES.total,
                ms(500_000),
                ms(990_000),
                ms(999_000),
                Watch.LATENCIES.max / 1e6,
                Watch.gapNs / 1e6);
    }
}
