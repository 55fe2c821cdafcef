package weir.bench;

import java.io.IOException;
import java.lang.reflect.Constructor;
import org.apache.flink.api.common.serialization.SerializerConfig;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.common.typeutils.TypeSerializer;
import org.apache.flink.api.common.typeutils.TypeSerializerSchemaCompatibility;
import org.apache.flink.api.common.typeutils.TypeSerializerSnapshot;
import org.apache.flink.api.java.typeutils.GenericTypeInfo;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.DataOutputView;

/** What writes and reads its own bytes: records and state of the job of profiles. */
public interface Codable {
    void write(DataOutputView out) throws IOException;

    /** Into an object that is new. */
    void read(DataInputView in) throws IOException;

    static <T extends Codable> TypeInformation<T> type(Class<T> type) {
        return new Info<>(type);
    }

    /** A type whose serializer is ours. */
    final class Info<T extends Codable> extends GenericTypeInfo<T> {
        Info(Class<T> type) {
            super(type);
        }

        @Override
        public TypeSerializer<T> createSerializer(SerializerConfig config) {
            return new Serializer<>(getTypeClass());
        }
    }

    /** Without state of its own, so it is its own duplicate. */
    final class Serializer<T extends Codable> extends TypeSerializer<T> {
        private final Class<T> type;
        private transient Constructor<T> maker; // looked up once

        Serializer(Class<T> type) {
            this.type = type;
        }

        @Override
        public boolean isImmutableType() {
            return false;
        }

        @Override
        public TypeSerializer<T> duplicate() {
            return this;
        }

        @Override
        public T createInstance() {
            try {
                if (maker == null) {
                    maker = type.getDeclaredConstructor();
                }
                return maker.newInstance();
            } catch (ReflectiveOperationException e) {
                throw new IllegalStateException(type + " has no constructor without arguments", e);
            }
        }

        @Override
        public T copy(T from) {
            try {
                DataOutputSerializer out = new DataOutputSerializer(256);
                from.write(out);
                return deserialize(new DataInputDeserializer(out.getSharedBuffer(), 0, out.length()));
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }

        @Override
        public T copy(T from, T reuse) {
            return copy(from);
        }

        @Override
        public int getLength() {
            return -1;
        }

        @Override
        public void serialize(T record, DataOutputView target) throws IOException {
            record.write(target);
        }

        @Override
        public T deserialize(DataInputView source) throws IOException {
            T made = createInstance();
            made.read(source);
            return made;
        }

        @Override
        public T deserialize(T reuse, DataInputView source) throws IOException {
            return deserialize(source);
        }

        @Override
        public void copy(DataInputView source, DataOutputView target) throws IOException {
            deserialize(source).write(target);
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Serializer && ((Serializer<?>) other).type == type;
        }

        @Override
        public int hashCode() {
            return type.hashCode();
        }

        @Override
        public TypeSerializerSnapshot<T> snapshotConfiguration() {
            return new Snapshot<>(type);
        }
    }

    /** The name of the class. */
    final class Snapshot<T extends Codable> implements TypeSerializerSnapshot<T> {
        private Class<T> type;

        public Snapshot() {}

        Snapshot(Class<T> type) {
            this.type = type;
        }

        @Override
        public int getCurrentVersion() {
            return 1;
        }

        @Override
        public void writeSnapshot(DataOutputView out) throws IOException {
            out.writeUTF(type.getName());
        }

        @Override
        @SuppressWarnings("unchecked")
        public void readSnapshot(int version, DataInputView in, ClassLoader loader) throws IOException {
            try {
                type = (Class<T>) Class.forName(in.readUTF(), true, loader);
            } catch (ClassNotFoundException e) {
                throw new IOException(e);
            }
        }

        @Override
        public TypeSerializer<T> restoreSerializer() {
            return new Serializer<>(type);
        }

        @Override
        public TypeSerializerSchemaCompatibility<T> resolveSchemaCompatibility(TypeSerializerSnapshot<T> old) {
            return TypeSerializerSchemaCompatibility.compatibleAsIs();
        }
    }
}
