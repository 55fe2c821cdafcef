package weir.bench;

import java.io.IOException;
import java.util.Properties;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.KafkaSourceBuilder;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/** Kafka to Kafka, exactly once: bytes in, the same bytes out. */
final class Copy {
    private Copy() {}

    private static final class Raw extends AbstractDeserializationSchema<byte[]> {
        @Override
        public byte[] deserialize(byte[] message) throws IOException {
            return message;
        }
    }

    static final class RawOut implements SerializationSchema<byte[]> {
        @Override
        public byte[] serialize(byte[] message) {
            return message;
        }
    }

    /** Marks and counts; its close is behind the last commit. */
    static final class CountMessage extends RichMapFunction<byte[], byte[]> {
        @Override
        public byte[] map(byte[] message) {
            Seen.event();
            Seen.row(0);
            return message;
        }

        @Override
        public void close() {
            Seen.end();
        }
    }

    static KafkaSource<byte[]> source(Main.Options options) {
        KafkaSourceBuilder<byte[]> builder = KafkaSource.<byte[]>builder()
                .setBootstrapServers(options.brokers)
                .setTopics(options.in)
                .setGroupId("flink-bench")
                .setStartingOffsets(OffsetsInitializer.earliest())
                .setValueOnlyDeserializer(new Raw())
                .setProperty("isolation.level", "read_committed")
                .setProperty("check.crcs", "false") // as librdkafka's default
                .setProperty("max.poll.records", "20000")
                .setProperty("max.partition.fetch.bytes", String.valueOf(4 << 20));
        return (options.isUnbounded ? builder : builder.setBounded(OffsetsInitializer.latest())).build();
    }

    static Properties producer() {
        Properties properties = new Properties();
        properties.setProperty("batch.size", String.valueOf(256 << 10));
        properties.setProperty("linger.ms", "20");
        properties.setProperty("transaction.timeout.ms", "600000");
        return properties;
    }

    static void build(StreamExecutionEnvironment env, Main.Options options) {
        KafkaSink<byte[]> sink = KafkaSink.<byte[]>builder()
                .setBootstrapServers(options.brokers)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix("flink-bench-" + options.out)
                .setKafkaProducerConfig(producer())
                .setRecordSerializer(KafkaRecordSerializationSchema.<byte[]>builder()
                        .setTopic(options.out)
                        .setValueSerializationSchema(new RawOut())
                        .build())
                .build();
        env.fromSource(source(options), WatermarkStrategy.noWatermarks(), "in")
                .map(new CountMessage())
                .returns(PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO)
                .sinkTo(sink);
    }
}
