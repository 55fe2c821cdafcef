package weir.bench;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.SimpleTypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.common.typeutils.base.TypeSerializerSingleton;
import org.apache.flink.api.java.typeutils.GenericTypeInfo;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;

/**
 * A few numbers with the leanest serializer that can be written by hand: what travels to keyed operators and what
 * their states hold. struct triple, tally and statistic of bench/flink.c.
 */
public final class Numbers {
    final long[] of;

    Numbers(int count) {
        of = new long[count];
    }

    Numbers set(long a, long b, long c) {
        of[0] = a;
        of[1] = b;
        of[2] = c;
        return this;
    }

    long digest() {
        long digest = 0;
        for (long number : of) {
            digest = Digest.number(digest, number);
        }
        return digest;
    }

    static TypeInformation<Numbers> triples() {
        return new Info(new Triples());
    }

    static TypeInformation<Numbers> statistics() {
        return new Info(new Statistics());
    }

    private static final class Info extends GenericTypeInfo<Numbers> {
        private final TypeSerializer<Numbers> serializer;

        Info(TypeSerializer<Numbers> serializer) {
            super(Numbers.class);
            this.serializer = serializer;
        }

        @Override
        public TypeSerializer<Numbers> createSerializer(
                org.apache.flink.api.common.serialization.SerializerConfig config) {
            return serializer;
        }
    }

    /** Of three. */
    public static final class Triples extends Serializer {
        public Triples() {
            super(3);
        }

        @Override
        public TypeSerializerSnapshot<Numbers> snapshotConfiguration() {
            return new TriplesSnapshot();
        }
    }

    public static final class TriplesSnapshot extends SimpleTypeSerializerSnapshot<Numbers> {
        public TriplesSnapshot() {
            super(Triples::new);
        }
    }

    /** Of eight. */
    public static final class Statistics extends Serializer {
        public Statistics() {
            super(8);
        }

        @Override
        public TypeSerializerSnapshot<Numbers> snapshotConfiguration() {
            return new StatisticsSnapshot();
        }
    }

    public static final class StatisticsSnapshot extends SimpleTypeSerializerSnapshot<Numbers> {
        public StatisticsSnapshot() {
            super(Statistics::new);
        }
    }

    private abstract static class Serializer extends TypeSerializerSingleton<Numbers> {
        private final int count;

        Serializer(int count) {
            this.count = count;
        }

        @Override
        public boolean isImmutableType() {
            return false;
        }

        @Override
        public Numbers createInstance() {
            return new Numbers(count);
        }

        @Override
        public Numbers copy(Numbers from) {
            return copy(from, createInstance());
        }

        @Override
        public Numbers copy(Numbers from, Numbers reuse) {
            System.arraycopy(from.of, 0, reuse.of, 0, count);
            return reuse;
        }

        @Override
        public int getLength() {
            return 8 * count;
        }

        @Override
        public void serialize(Numbers record, DataOutputView target) throws IOException {
            for (long number : record.of) {
                target.writeLong(number);
            }
        }

        @Override
        public Numbers deserialize(DataInputView source) throws IOException {
            return deserialize(createInstance(), source);
        }

        @Override
        public Numbers deserialize(Numbers reuse, DataInputView source) throws IOException {
            for (int i = 0; i < count; i++) {
                reuse.of[i] = source.readLong();
            }
            return reuse;
        }

        @Override
        public void copy(DataInputView source, DataOutputView target) throws IOException {
            target.write(source, 8 * count);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Numbers && Arrays.equals(of, ((Numbers) other).of);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(of);
    }
}
