package weir.bench;

import java.io.Serializable;
import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;

/** Adds up digests of rows, and writes nothing. */
final class DigestSink<T> implements Sink<T> {
    interface Digester<T> extends Serializable {
        long digest(T row);
    }

    private final Digester<T> digester;

    DigestSink(Digester<T> digester) {
        this.digester = digester;
    }

    @Override
    public SinkWriter<T> createWriter(WriterInitContext context) {
        return new SinkWriter<>() {
            @Override
            public void write(T row, Context context) {
                Seen.row(digester.digest(row));
            }

            @Override
            public void flush(boolean isEnd) {}

            @Override
            public void close() {
                Seen.end();
            }
        };
    }
}
