package weir.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;

/**
 * What the events of one id add up to. One value of state: a read and a write an event, which should cost Flink less than an
 * entry for each tag (not measured). (Weir keeps an entry for each tag and count, so that a large fragment is not read as a whole.)
 */
public final class Fragment implements Codable {
    long count; // 0: there is none
    long first = Long.MAX_VALUE;
    long last = Long.MIN_VALUE;
    boolean hasAmount;
    long sum;
    long max = Long.MIN_VALUE;
    boolean isShared;
    List<Counter> types = new ArrayList<>(4);
    List<Counter> categories = new ArrayList<>(4);
    List<Tag> tags = new ArrayList<>(4);

    static final class Counter {
        final String name;
        long count;

        Counter(String name, long count) {
            this.name = name;
            this.count = count;
        }
    }

    /** The greatest (ts, event id) has the say. */
    static final class Tag {
        final String name;
        String value;
        long ts;
        String eventId;

        Tag(String name) {
            this.name = name;
            this.ts = Long.MIN_VALUE;
        }

        void set(String newValue, long newTs, String newEventId) {
            if (newTs > ts || newTs == ts && newEventId.compareTo(eventId) >= 0) {
                value = newValue;
                ts = newTs;
                eventId = newEventId;
            }
        }
    }

    private static void count(List<Counter> counters, String name, long amount) {
        for (Counter counter : counters) {
            if (counter.name.equals(name)) {
                counter.count += amount;
                return;
            }
        }
        counters.add(new Counter(name, amount));
    }

    private Tag tag(String name) {
        for (Tag tag : tags) {
            if (tag.name.equals(name)) {
                return tag;
            }
        }
        Tag made = new Tag(name);
        tags.add(made);
        return made;
    }

    private void addAmounts(long otherSum, long otherMax) {
        hasAmount = true;
        sum += otherSum;
        max = Math.max(max, otherMax);
    }

    void add(Contribution it) {
        count++;
        first = Math.min(first, it.ts);
        last = Math.max(last, it.ts);
        if (it.hasAmount) {
            addAmounts(it.amount, it.amount);
        }
        count(types, it.type, 1);
        if (it.category != null) {
            count(categories, it.category, 1);
        }
        for (int i = 0; i < it.tags.size(); i += 2) {
            tag(it.tags.get(i)).set(it.tags.get(i + 1), it.ts, it.eventId);
        }
    }

    void merge(Fragment other) {
        count += other.count;
        first = Math.min(first, other.first);
        last = Math.max(last, other.last);
        if (other.hasAmount) {
            addAmounts(other.sum, other.max);
        }
        for (Counter counter : other.types) {
            count(types, counter.name, counter.count);
        }
        for (Counter counter : other.categories) {
            count(categories, counter.name, counter.count);
        }
        for (Tag it : other.tags) {
            tag(it.name).set(it.value, it.ts, it.eventId);
        }
    }

    private static void write(List<Counter> counters, DataOutputView out) throws IOException {
        out.writeInt(counters.size());
        for (Counter counter : counters) {
            StringValue.writeString(counter.name, out);
            out.writeLong(counter.count);
        }
    }

    private static void read(List<Counter> counters, DataInputView in) throws IOException {
        int size = in.readInt();
        for (int i = 0; i < size; i++) {
            counters.add(new Counter(StringValue.readString(in), in.readLong()));
        }
    }

    @Override
    public void write(DataOutputView out) throws IOException {
        out.writeLong(count);
        out.writeLong(first);
        out.writeLong(last);
        out.writeBoolean(hasAmount);
        out.writeLong(sum);
        out.writeLong(max);
        out.writeBoolean(isShared);
        write(types, out);
        write(categories, out);
        out.writeInt(tags.size());
        for (Tag it : tags) {
            StringValue.writeString(it.name, out);
            StringValue.writeString(it.value, out);
            out.writeLong(it.ts);
            StringValue.writeString(it.eventId, out);
        }
    }

    @Override
    public void read(DataInputView in) throws IOException {
        count = in.readLong();
        first = in.readLong();
        last = in.readLong();
        hasAmount = in.readBoolean();
        sum = in.readLong();
        max = in.readLong();
        isShared = in.readBoolean();
        read(types, in);
        read(categories, in);
        int size = in.readInt();
        for (int i = 0; i < size; i++) {
            Tag it = new Tag(StringValue.readString(in));
            it.value = StringValue.readString(in);
            it.ts = in.readLong();
            it.eventId = StringValue.readString(in);
            tags.add(it);
        }
    }
}
