package weir.bench;

/**
 * The twin of test/support/nexmark.c, bit for bit: every constant and every draw is in the order of that file, and a
 * change there is a change here. Nothing but the JDK, so that the test that compares the two needs no Flink.
 */
public final class Nexmark {
    static final long GOLDEN = 0x9e3779b97f4a7c15L;
    static final long STEP = 0xa0761d6478bd642fL;
    private static final long STRIDE = 0xbf58476d1ce4e5b9L;
    private static final long TWIST = 0xe7037ed1a0b428dbL;
    private static final long BASE_MS = 1700000000000L;
    private static final int EVENTS_PER_MS = 100;
    private static final long FIRST_ID = 1000;
    private static final long AUCTIONS = 3;
    private static final long EPOCH = 50;
    private static final long HOT = 100;
    private static final long PEOPLE = 1000;
    private static final long IN_FLIGHT = 100;
    private static final long LEAD = 10;
    private static final int CATEGORIES = 5;
    private static final int HORIZON_MS = 17;
    private static final int OCTAVES = 20;
    private static final int POOL_SIZE = 1 << 16;
    private static final int POOL_LEFT_OUT = 1024;
    private static final int COLD_CHANNELS = 10000;
    private static final String[] HOT_CHANNELS = {"Google", "Facebook", "Baidu", "Apple"};
    private static final String[] FIRST_NAMES = {
        "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"
    };
    private static final String[] LAST_NAMES = {
        "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"
    };
    private static final String[] STATES = {"AZ", "CA", "ID", "OR", "WA", "WY"};
    private static final String[] CITIES = {
        "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"
    };

    private final long seed;
    private final byte[] pool = new byte[POOL_SIZE];
    final String[] channels = new String[HOT_CHANNELS.length + COLD_CHANNELS];
    final String[] urls = new String[channels.length];
    private final String[] names = new String[FIRST_NAMES.length * LAST_NAMES.length];
    private final byte[] scratch = new byte[32];
    private long state;
    /** Of the bid made last: its place in `channels`. */
    int channel;

    Nexmark(long seed) {
        this.seed = seed;
        state = mix(seed);
        for (int i = 0; i < POOL_SIZE; i++) {
            pool[i] = (byte) ('a' + below(26));
        }
        for (int i = 0; i < channels.length; i++) {
            makeChannel(i);
        }
        for (int i = 0; i < names.length; i++) {
            names[i] = FIRST_NAMES[i / LAST_NAMES.length] + " " + LAST_NAMES[i % LAST_NAMES.length];
        }
    }

    static long mix(long x) {
        x = (x ^ (x >>> 30)) * 0xbf58476d1ce4e5b9L;
        x = (x ^ (x >>> 27)) * 0x94d049bb133111ebL;
        return x ^ (x >>> 31);
    }

    static long start(long seed, long index) {
        return seed * STRIDE + (index + 1) * GOLDEN;
    }

    /** Of a state that has made its step: below `limit`. */
    static long below(long state, long limit) {
        long twisted = state ^ TWIST;
        return ((state * twisted ^ Math.multiplyHigh(state, twisted)) >>> 32) * limit >>> 32;
    }

    private long below(long limit) {
        return below(state += STEP, limit);
    }

    private int poolAt() {
        return (int) below(POOL_SIZE - POOL_LEFT_OUT);
    }

    private String slice(long size) {
        return Event.latin(pool, poolAt(), (int) size);
    }

    private void makeChannel(int index) {
        int cold = index - HOT_CHANNELS.length;
        StringBuilder url = new StringBuilder("https://www.nexmark.com/");
        for (int i = 0; i < 3; i++) {
            url.append(slice(5)).append('/');
        }
        url.append("item.htm?query=1");
        channels[index] = cold < 0 ? HOT_CHANNELS[index] : "channel-" + cold;
        if (cold >= 0 && below(10) > 0) {
            url.append("&channel_id=").append(cold * 2654435761L % (1L << 32) >> 1);
        }
        urls[index] = url.toString();
    }

    private static long lastPerson(long number) {
        return number / EPOCH;
    }

    private static long lastAuction(long number) {
        return number / EPOCH * AUCTIONS + Math.min(number % EPOCH, AUCTIONS) - 1;
    }

    private long anyPerson(long number) {
        long people = lastPerson(number) + 1;
        long active = Math.min(people, PEOPLE);
        return people - active + below(active + LEAD);
    }

    private long anyAuction(long number) {
        long last = lastAuction(number);
        long first = Math.max(last - IN_FLIGHT, 0);
        return first + below(last - first + 1 + LEAD);
    }

    private long price() {
        long octave = 100L << below(OCTAVES);
        return octave + below(octave);
    }

    private String extra(long size) {
        long least = size - size / 5;
        long chosen = least + below(2 * (size - least) + 1);
        return slice(chosen);
    }

    private void makePerson(long number, Event event) {
        event.id = FIRST_ID + lastPerson(number);
        event.name = names[(int) below(names.length)];
        event.text = slice(7) + "@nexmark.com";
        for (int i = 0; i < 19; i++) {
            scratch[i] = i % 5 == 4 ? (byte) ' ' : (byte) ('0' + below(10));
        }
        event.card = Event.latin(scratch, 0, 19);
        event.city = CITIES[(int) below(CITIES.length)];
        event.state = STATES[(int) below(STATES.length)];
        event.extra = extra(120);
    }

    private void makeAuction(long number, Event event) {
        event.id = FIRST_ID + lastAuction(number);
        event.party = FIRST_ID + (below(4) > 0 ? lastPerson(number) / HOT * HOT : anyPerson(number));
        event.price = price();
        event.reserve = event.price + price();
        event.expires = event.at + 1 + below(2 * HORIZON_MS);
        event.category = 10 + below(CATEGORIES);
        event.name = slice(20);
        event.text = slice(100);
        event.extra = extra(320);
    }

    /** Without a branch, as in C: half of them would be guessed wrong. */
    private static long either(boolean isFirst, long first, long second) {
        long mask = isFirst ? -1L : 0L;
        return first & mask | second & ~mask;
    }

    private void makeBid(long number, Event event) {
        boolean isHot = below(2) > 0;
        long cold = anyAuction(number);
        event.id = FIRST_ID + either(isHot, lastAuction(number) / HOT * HOT, cold);
        isHot = below(4) > 0;
        cold = anyPerson(number);
        event.party = FIRST_ID + either(isHot, lastPerson(number) / HOT * HOT + 1, cold);
        event.price = price();
        isHot = below(2) > 0;
        channel = (int) (either(isHot, 0, HOT_CHANNELS.length) + below(either(isHot, HOT_CHANNELS.length, COLD_CHANNELS)));
        event.name = channels[channel];
        event.text = urls[channel];
        event.extra = extra(68);
    }

    void make(long index, Event event) {
        state = start(seed, index);
        long number = index + 1;
        long offset = number % EPOCH;
        event.clear();
        event.at = BASE_MS + index / EVENTS_PER_MS;
        event.kind = offset == 0 ? Event.PERSON : offset <= AUCTIONS ? Event.AUCTION : Event.BID;
        if (event.kind == Event.PERSON) {
            makePerson(number, event);
        } else if (event.kind == Event.AUCTION) {
            makeAuction(number, event);
        } else {
            makeBid(number, event);
        }
    }

    /** `Nexmark SEED COUNT`: the digest of the first COUNT events, in hexadecimal. */
    public static void main(String[] arguments) {
        Nexmark nexmark = new Nexmark(Long.parseLong(arguments[0]));
        Event event = new Event();
        long count = Long.parseLong(arguments[1]);
        long digest = 0;
        for (long i = 0; i < count; i++) {
            nexmark.make(i, event);
            digest += event.digest();
        }
        System.out.printf("%016x%n", digest);
    }
}
