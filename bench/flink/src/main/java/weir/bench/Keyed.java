package weir.bench;

import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.KeyedStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import java.time.Duration;

/** The keyed workloads: Numbers travel and are kept. */
final class Keyed {
    private Keyed() {}

    static WatermarkStrategy<Event> watermarks(Main.Options options) {
        if (!options.workload.equals("q12")) {
            return WatermarkStrategy.noWatermarks();
        }
        return WatermarkStrategy.<Event>forMonotonousTimestamps().withTimestampAssigner((event, before) -> event.at);
    }

    private static KeyedStream<Numbers, Long> byKey(DataStream<Numbers> triples) {
        return triples.keyBy(triple -> triple.of[0], Types.LONG);
    }

    /** Fills one object again and again. */
    private abstract static class ToNumbers implements MapFunction<Event, Numbers> {
        private transient Numbers numbers;

        abstract void fill(Event event, Numbers numbers);

        @Override
        public Numbers map(Event event) {
            if (numbers == null) {
                numbers = new Numbers(3);
            }
            fill(event, numbers);
            return numbers;
        }
    }

    private static final class ByBidder extends ToNumbers {
        @Override
        void fill(Event event, Numbers numbers) {
            numbers.set(event.party, event.at, 0);
        }
    }

    private static final class Count implements AggregateFunction<Numbers, Long, Long> {
        @Override
        public Long createAccumulator() {
            return 0L;
        }

        @Override
        public Long add(Numbers bid, Long count) {
            return count + 1;
        }

        @Override
        public Long getResult(Long count) {
            return count;
        }

        @Override
        public Long merge(Long a, Long b) {
            return a + b;
        }
    }

    private static final class WithWindow extends ProcessWindowFunction<Long, Numbers, Long, TimeWindow> {
        @Override
        public void process(Long bidder, Context context, Iterable<Long> counts, Collector<Numbers> out) {
            out.collect(new Numbers(3).set(bidder, context.window().getEnd(), counts.iterator().next()));
        }
    }

    static void q12(StreamExecutionEnvironment env, Main.Options options) {
        DataStream<Numbers> bids = Queries.events(env, options)
                .filter(Queries::isBid)
                .map(new ByBidder())
                .returns(Numbers.triples());
        byKey(bids)
                .window(TumblingEventTimeWindows.of(Duration.ofSeconds(10)))
                .aggregate(new Count(), new WithWindow(), Types.LONG, Types.LONG, Numbers.triples())
                .sinkTo(new DigestSink<>(Numbers::digest));
    }

    private static final class ByAuctionAndDay extends ToNumbers {
        @Override
        void fill(Event event, Numbers numbers) {
            numbers.set(event.id << 16 | event.at / Queries.DAY_MS, event.price, 0);
        }
    }

    private static final class AddBid extends KeyedProcessFunction<Long, Numbers, Numbers> {
        private transient ValueState<Numbers> statistic;

        @Override
        public void open(OpenContext context) {
            statistic = getRuntimeContext()
                    .getState(new ValueStateDescriptor<>("statistic", Numbers.statistics()));
        }

        @Override
        public void processElement(Numbers bid, Context context, Collector<Numbers> out) throws Exception {
            Numbers it = statistic.value();
            long price = bid.of[1];
            if (it == null) {
                it = new Numbers(8);
                it.of[0] = bid.of[0];
                it.of[5] = price;
            }
            it.of[1]++;
            it.of[2] += price < 10000 ? 1 : 0;
            it.of[3] += price >= 10000 && price < 1000000 ? 1 : 0;
            it.of[4] += price >= 1000000 ? 1 : 0;
            it.of[5] = Math.min(it.of[5], price);
            it.of[6] = Math.max(it.of[6], price);
            it.of[7] += price;
            statistic.update(it);
            out.collect(it);
        }
    }

    static void q17(StreamExecutionEnvironment env, Main.Options options) {
        DataStream<Numbers> bids = Queries.events(env, options)
                .filter(Queries::isBid)
                .map(new ByAuctionAndDay())
                .returns(Numbers.triples());
        byKey(bids)
                .process(new AddBid())
                .returns(Numbers.statistics())
                .sinkTo(new DigestSink<>(Numbers::digest));
    }

    private static final class VisitMaker implements GeneratorSource.Maker<Numbers> {
        private final long keys;
        private final boolean isZipf;
        private transient Numbers visit;
        private long state;

        VisitMaker(long keys, boolean isZipf) {
            this.keys = keys;
            this.isZipf = isZipf;
        }

        private long below(long limit) {
            return Nexmark.below(state += Nexmark.STEP, limit);
        }

        @Override
        public Numbers make(long index) {
            if (visit == null) {
                visit = new Numbers(3);
            }
            state = Nexmark.start(Main.SEED, index);
            long rank;
            if (isZipf) {
                long first = 1L << below(63 - Long.numberOfLeadingZeros(keys));
                rank = first + below(first);
            } else {
                rank = below(keys);
            }
            long amount = below(1000);
            return visit.set(rank * Nexmark.GOLDEN, amount, index);
        }
    }

    private static final class AddVisit extends KeyedProcessFunction<Long, Numbers, Numbers> {
        private transient ValueState<Numbers> state;
        private transient Numbers out;

        @Override
        public void open(OpenContext context) {
            state = getRuntimeContext().getState(new ValueStateDescriptor<>("tally", Numbers.triples()));
            out = new Numbers(3);
        }

        @Override
        public void processElement(Numbers visit, Context context, Collector<Numbers> collector) throws Exception {
            Numbers tally = state.value();
            if (tally == null) {
                tally = new Numbers(3);
            }
            tally.set(tally.of[0] + 1, tally.of[1] + visit.of[1], visit.of[2]);
            state.update(tally);
            collector.collect(out.set(visit.of[0], tally.of[0], tally.of[1]));
        }
    }

    static void rmw(StreamExecutionEnvironment env, Main.Options options) {
        DataStream<Numbers> visits = env.fromSource(
                new GeneratorSource<>(new VisitMaker(options.keys, options.isZipf), options.count),
                WatermarkStrategy.noWatermarks(),
                "visits",
                Numbers.triples());
        byKey(visits)
                .process(new AddVisit())
                .returns(Numbers.triples())
                .sinkTo(new DigestSink<>(Numbers::digest));
    }
}
