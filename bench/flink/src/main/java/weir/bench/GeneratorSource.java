package weir.bench;

import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.connector.source.Boundedness;
import org.apache.flink.api.connector.source.ReaderOutput;
import org.apache.flink.api.connector.source.Source;
import org.apache.flink.api.connector.source.SourceReader;
import org.apache.flink.api.connector.source.SourceReaderContext;
import org.apache.flink.api.connector.source.SourceSplit;
import org.apache.flink.api.connector.source.SplitEnumerator;
import org.apache.flink.api.connector.source.SplitEnumeratorContext;
import org.apache.flink.core.io.InputStatus;
import org.apache.flink.core.io.SimpleVersionedSerializer;

/**
 * Record i = f(i), in order, `count` of them, from one split. Flink's own data generator goes through a rate limiter
 * and hands over record by record; this one makes 64 a poll, which is what a good connector does.
 */
final class GeneratorSource<T> implements Source<T, GeneratorSource.Split, Long> {
    private static final int BATCH = 64;

    /** Makes records; what it returns may be the same object each time, since object reuse is on. */
    interface Maker<T> extends Serializable {
        T make(long index);

        /** With the time at which it is due, for records that tell it. */
        default T make(long index, long dueNs) {
            return make(index);
        }
    }

    /** Where to go on. */
    record Split(long next) implements SourceSplit {
        @Override
        public String splitId() {
            return "all";
        }
    }

    private final Maker<T> maker;
    private final long count;
    private final Pace pace; // null: as fast as it goes

    GeneratorSource(Maker<T> maker, long count) {
        this(maker, count, null);
    }

    GeneratorSource(Maker<T> maker, long count, Pace pace) {
        this.maker = maker;
        this.count = count;
        this.pace = pace;
    }

    @Override
    public Boundedness getBoundedness() {
        return Boundedness.BOUNDED;
    }

    @Override
    public SourceReader<T, Split> createReader(SourceReaderContext context) {
        return new Reader();
    }

    private final class Reader implements SourceReader<T, Split> {
        private CompletableFuture<Void> available = new CompletableFuture<>();
        private long next = -1;

        @Override
        public void start() {}

        @Override
        public InputStatus pollNext(ReaderOutput<T> output) {
            if (next < 0) {
                return InputStatus.NOTHING_AVAILABLE;
            }
            long end = Math.min(next + BATCH, count);
            if (pace != null) {
                return pollPaced(output, end);
            }
            while (next < end) {
                Seen.event();
                output.collect(maker.make(next++));
            }
            return next < count ? InputStatus.MORE_AVAILABLE : InputStatus.END_OF_INPUT;
        }

        /** What is due; when nothing is, it is asked again in a millisecond. */
        private InputStatus pollPaced(ReaderOutput<T> output, long end) {
            long now = System.nanoTime();
            while (next < end) {
                long due = pace.due(next, now);
                if (due > now) {
                    available = new CompletableFuture<Void>().completeOnTimeout(null, 1, TimeUnit.MILLISECONDS);
                    return InputStatus.NOTHING_AVAILABLE;
                }
                Seen.event();
                output.collect(maker.make(next++, due));
            }
            return next < count ? InputStatus.MORE_AVAILABLE : InputStatus.END_OF_INPUT;
        }

        @Override
        public List<Split> snapshotState(long checkpoint) {
            return next < 0 ? List.of() : List.of(new Split(next));
        }

        @Override
        public CompletableFuture<Void> isAvailable() {
            return available;
        }

        @Override
        public void addSplits(List<Split> splits) {
            next = splits.get(0).next();
            available.complete(null);
        }

        @Override
        public void notifyNoMoreSplits() {}

        @Override
        public void close() {}
    }

    /** Gives the one split to the one reader. Its state: where the split starts; -1: it is given. */
    private static final class Enumerator implements SplitEnumerator<Split, Long> {
        private final SplitEnumeratorContext<Split> context;
        private long next;

        Enumerator(SplitEnumeratorContext<Split> context, long next) {
            this.context = context;
            this.next = next;
        }

        @Override
        public void start() {}

        @Override
        public void handleSplitRequest(int subtask, String host) {}

        @Override
        public void addSplitsBack(List<Split> splits, int subtask) {
            for (Split split : new ArrayList<>(splits)) {
                next = split.next();
            }
        }

        @Override
        public void addReader(int subtask) {
            if (next >= 0) {
                context.assignSplit(new Split(next), subtask);
                next = -1;
            }
        }

        @Override
        public Long snapshotState(long checkpoint) {
            return next;
        }

        @Override
        public void close() {}
    }

    @Override
    public SplitEnumerator<Split, Long> createEnumerator(SplitEnumeratorContext<Split> context) {
        return new Enumerator(context, 0);
    }

    @Override
    public SplitEnumerator<Split, Long> restoreEnumerator(SplitEnumeratorContext<Split> context, Long next) {
        return new Enumerator(context, next);
    }

    @Override
    public SimpleVersionedSerializer<Split> getSplitSerializer() {
        return new Longs<>() {
            @Override
            long toLong(Split split) {
                return split.next();
            }

            @Override
            Split ofLong(long next) {
                return new Split(next);
            }
        };
    }

    @Override
    public SimpleVersionedSerializer<Long> getEnumeratorCheckpointSerializer() {
        return new Longs<>() {
            @Override
            long toLong(Long next) {
                return next;
            }

            @Override
            Long ofLong(long next) {
                return next;
            }
        };
    }

    /** What is one number, as bytes. */
    private abstract static class Longs<T> implements SimpleVersionedSerializer<T> {
        abstract long toLong(T object);

        abstract T ofLong(long number);

        @Override
        public int getVersion() {
            return 1;
        }

        @Override
        public byte[] serialize(T object) {
            return ByteBuffer.allocate(8).putLong(toLong(object)).array();
        }

        @Override
        public T deserialize(int version, byte[] bytes) {
            return ofLong(ByteBuffer.wrap(bytes).getLong());
        }
    }
}
