package weir.bench;

import org.apache.flink.api.common.functions.FilterFunction;
import org.apache.flink.api.common.functions.FlatMapFunction;
import org.apache.flink.api.common.functions.MapFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.util.Collector;

/** The queries without state, by hand, on the DataStream API: chained, object reuse on, a row object per operator. */
final class Queries {
    static final long HOUR_MS = 3600000;
    static final long DAY_MS = 24 * HOUR_MS;

    private Queries() {}

    static SingleOutputStreamOperator<Event> events(StreamExecutionEnvironment env, Main.Options options) {
        return env.fromSource(
                new GeneratorSource<>(new EventMaker(), options.count),
                Keyed.watermarks(options),
                "events",
                TypeInformation.of(Event.class));
    }

    private static final class EventMaker implements GeneratorSource.Maker<Event> {
        private transient Nexmark nexmark;
        private transient Event event;

        @Override
        public Event make(long index) {
            if (nexmark == null) {
                nexmark = new Nexmark(Main.SEED);
                event = new Event();
            }
            nexmark.make(index, event);
            return event;
        }
    }

    static boolean isBid(Event event) {
        return event.kind == Event.BID;
    }

    /** The events alone: one record makes all of them, and tells their digest. */
    private record AllMaker(long count) implements GeneratorSource.Maker<Event> {
        private static final int BATCH = 64;

        @Override
        public Event make(long index) {
            Nexmark nexmark = new Nexmark(Main.SEED);
            Event event = new Event();
            long digest = 0;
            for (long i = 0; i < count; i += BATCH) {
                digest += makeBatch(nexmark, event, i, Math.min(i + BATCH, count));
            }
            event.id = digest;
            return event;
        }

        /** Not all of them in one call: it would never be compiled as it is called for the queries. */
        private static long makeBatch(Nexmark nexmark, Event event, long first, long end) {
            long digest = 0;
            for (long i = first; i < end; i++) {
                if (i > 0) {
                    Seen.event(); // the first one was counted by the source
                }
                nexmark.make(i, event);
                digest += Seen.isFull ? event.digest() : event.id ^ event.price ^ event.extra.length();
            }
            return digest;
        }
    }

    static void generator(StreamExecutionEnvironment env, Main.Options options) {
        env.fromSource(
                        new GeneratorSource<>(new AllMaker(options.count), 1),
                        Keyed.watermarks(options),
                        "all",
                        TypeInformation.of(Event.class))
                .sinkTo(new DigestSink<>(event -> event.id));
    }

    /** What q0, q1 and q2 put out. */
    public static final class Bid {
        public long auction;
        public long bidder;
        public long price;
        public long at;
        public String extra;
    }

    private static final class Project implements MapFunction<Event, Bid> {
        private final long factor;
        private transient Bid bid;

        Project(long factor) {
            this.factor = factor;
        }

        @Override
        public Bid map(Event event) {
            if (bid == null) {
                bid = new Bid();
            }
            bid.auction = event.id;
            bid.bidder = event.party;
            bid.price = event.price * factor;
            bid.at = event.at;
            bid.extra = event.extra;
            return bid;
        }
    }

    private static long digestOf(Bid bid) {
        long digest = Digest.number(Digest.number(0, bid.auction), bid.bidder);
        return Digest.text(Digest.number(Digest.number(digest, bid.price), bid.at), bid.extra, Seen.isFull);
    }

    private static void project(
            StreamExecutionEnvironment env,
            Main.Options options,
            FilterFunction<Event> filter,
            long factor,
            DigestSink.Digester<Bid> digester) {
        events(env, options)
                .filter(filter)
                .map(new Project(factor))
                .returns(Bid.class)
                .sinkTo(new DigestSink<>(digester));
    }

    static void q0(StreamExecutionEnvironment env, Main.Options options) {
        project(env, options, Queries::isBid, 1, Queries::digestOf);
    }

    static void q1(StreamExecutionEnvironment env, Main.Options options) {
        project(env, options, Queries::isBid, 908, Queries::digestOf);
    }

    static void q2(StreamExecutionEnvironment env, Main.Options options) {
        project(
                env,
                options,
                event -> isBid(event) && event.id % 123 == 0,
                1,
                bid -> Digest.number(Digest.number(0, bid.auction), bid.price));
    }

    /** q14. */
    public static final class TimedBid {
        public long auction;
        public long bidder;
        public long price;
        public long at;
        public long count;
        public String part;
        public String extra;
    }

    static String partOfDay(long at) {
        long hour = at % DAY_MS / HOUR_MS;
        if (hour >= 8 && hour <= 18) {
            return "dayTime";
        }
        return hour <= 6 || hour >= 20 ? "nightTime" : "otherTime";
    }

    static long countOf(String text, char letter) {
        long count = 0;
        for (int at = text.indexOf(letter); at >= 0; at = text.indexOf(letter, at + 1)) {
            count++;
        }
        return count;
    }

    private static final class TellTime implements MapFunction<Event, TimedBid> {
        private transient TimedBid bid;

        @Override
        public TimedBid map(Event event) {
            if (bid == null) {
                bid = new TimedBid();
            }
            bid.auction = event.id;
            bid.bidder = event.party;
            bid.price = event.price * 908;
            bid.at = event.at;
            bid.count = countOf(event.extra, 'c');
            bid.part = partOfDay(event.at);
            bid.extra = event.extra;
            return bid;
        }
    }

    static void q14(StreamExecutionEnvironment env, Main.Options options) {
        events(env, options)
                .filter(it -> isBid(it) && it.price * 908 > 1000000000L && it.price * 908 < 50000000000L)
                .map(new TellTime())
                .returns(TimedBid.class)
                .sinkTo(new DigestSink<>(bid -> {
                    long digest = Digest.number(Digest.number(0, bid.auction), bid.bidder);
                    digest = Digest.number(Digest.number(digest, bid.price), bid.at);
                    digest = Digest.text(Digest.number(digest, bid.count), bid.part, Seen.isFull);
                    return Digest.text(digest, bid.extra, Seen.isFull);
                }));
    }

    /** q21. */
    public static final class ChannelBid {
        public long auction;
        public long bidder;
        public long price;
        public String channel;
        public String channelId;
    }

    private static final class TellChannel implements FlatMapFunction<Event, ChannelBid> {
        private static final String NAME = "channel_id=";
        private transient ChannelBid bid;

        private static String idOf(Event event) {
            if (event.name.equalsIgnoreCase("apple")) {
                return "0";
            } else if (event.name.equalsIgnoreCase("google")) {
                return "1";
            } else if (event.name.equalsIgnoreCase("facebook")) {
                return "2";
            } else if (event.name.equalsIgnoreCase("baidu")) {
                return "3";
            }
            return idInUrl(event.text);
        }

        /** What (&|^)channel_id=([^&]*) finds, without the engine of regular expressions. */
        private static String idInUrl(String url) {
            int at = url.indexOf(NAME);
            while (at > 0 && url.charAt(at - 1) != '&') {
                at = url.indexOf(NAME, at + 1);
            }
            if (at < 0) {
                return null;
            }
            int stop = url.indexOf('&', at);
            return url.substring(at + NAME.length(), stop < 0 ? url.length() : stop);
        }

        @Override
        public void flatMap(Event event, Collector<ChannelBid> out) {
            String id = event.kind == Event.BID ? idOf(event) : null;
            if (id == null) {
                return;
            }
            if (bid == null) {
                bid = new ChannelBid();
            }
            bid.auction = event.id;
            bid.bidder = event.party;
            bid.price = event.price;
            bid.channel = event.name;
            bid.channelId = id;
            out.collect(bid);
        }
    }

    static void q21(StreamExecutionEnvironment env, Main.Options options) {
        events(env, options)
                .flatMap(new TellChannel())
                .returns(ChannelBid.class)
                .sinkTo(new DigestSink<>(bid -> {
                    long digest = Digest.number(Digest.number(0, bid.auction), bid.bidder);
                    digest = Digest.text(Digest.number(digest, bid.price), bid.channel, Seen.isFull);
                    return Digest.text(digest, bid.channelId, Seen.isFull);
                }));
    }

    /** q22. */
    public static final class SplitBid {
        public long auction;
        public long bidder;
        public long price;
        public String channel;
        public String first;
        public String second;
        public String third;
    }

    private static final class SplitUrl implements MapFunction<Event, SplitBid> {
        private transient SplitBid bid;

        private static String part(String text, int index) {
            int at = 0;
            for (; index > 0; index--) {
                at = text.indexOf('/', at) + 1;
                if (at == 0) {
                    return null;
                }
            }
            int stop = text.indexOf('/', at);
            return text.substring(at, stop < 0 ? text.length() : stop);
        }

        @Override
        public SplitBid map(Event event) {
            if (bid == null) {
                bid = new SplitBid();
            }
            bid.auction = event.id;
            bid.bidder = event.party;
            bid.price = event.price;
            bid.channel = event.name;
            bid.first = part(event.text, 3);
            bid.second = part(event.text, 4);
            bid.third = part(event.text, 5);
            return bid;
        }
    }

    static void q22(StreamExecutionEnvironment env, Main.Options options) {
        events(env, options)
                .filter(Queries::isBid)
                .map(new SplitUrl())
                .returns(SplitBid.class)
                .sinkTo(new DigestSink<>(bid -> {
                    long digest = Digest.number(Digest.number(0, bid.auction), bid.bidder);
                    digest = Digest.text(Digest.number(digest, bid.price), bid.channel, Seen.isFull);
                    digest = Digest.text(digest, bid.first, Seen.isFull);
                    digest = Digest.text(digest, bid.second, Seen.isFull);
                    return Digest.text(digest, bid.third, Seen.isFull);
                }));
    }
}
