package weir.bench;

import java.io.Serializable;
import java.util.List;
import java.util.Set;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.connector.source.ScanTableSource;
import org.apache.flink.table.connector.source.SourceProvider;
import org.apache.flink.table.data.DecimalData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.data.binary.BinaryStringData;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.table.factories.DynamicTableSourceFactory;
import org.apache.flink.table.types.logical.DecimalType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.types.RowKind;

/** The tables 'weir-events', which the generator fills, and 'weir-digest', which adds up digests. */
public final class SqlTables {
    private SqlTables() {}

    private static final ConfigOption<Long> COUNT =
            ConfigOptions.key("count").longType().noDefaultValue();

    public static final class Events implements DynamicTableSourceFactory {
        @Override
        public String factoryIdentifier() {
            return "weir-events";
        }

        @Override
        public Set<ConfigOption<?>> requiredOptions() {
            return Set.of(COUNT);
        }

        @Override
        public Set<ConfigOption<?>> optionalOptions() {
            return Set.of();
        }

        @Override
        public DynamicTableSource createDynamicTableSource(DynamicTableFactory.Context context) {
            return new EventTable(
                    Long.parseLong(context.getCatalogTable().getOptions().get(COUNT.key())));
        }
    }

    private record EventTable(long count) implements ScanTableSource {
        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }

        @Override
        public ScanRuntimeProvider getScanRuntimeProvider(ScanContext context) {
            return SourceProvider.of(new GeneratorSource<>(new RowMaker(), count), 1);
        }

        @Override
        public DynamicTableSource copy() {
            return this;
        }

        @Override
        public String asSummaryString() {
            return "events";
        }
    }

    /** Channels and their URLs are converted once, as a connector that knows its data would. */
    private static final class RowMaker implements GeneratorSource.Maker<RowData> {
        private transient Nexmark nexmark;
        private transient Event event;
        private transient GenericRowData row;
        private transient StringData[] channels;
        private transient StringData[] urls;

        private static StringData[] converted(String[] texts) {
            StringData[] all = new StringData[texts.length];
            for (int i = 0; i < texts.length; i++) {
                all[i] = binary(texts[i]);
            }
            return all;
        }

        /** Its bytes are made at once: what comes next reads them, and not the string. */
        private static StringData binary(String text) {
            return text == null
                    ? null
                    : BinaryStringData.fromBytes(text.getBytes(java.nio.charset.StandardCharsets.ISO_8859_1));
        }

        @Override
        public RowData make(long index) {
            if (nexmark == null) {
                nexmark = new Nexmark(Main.SEED);
                event = new Event();
                row = new GenericRowData(14);
                channels = converted(nexmark.channels);
                urls = converted(nexmark.urls);
            }
            nexmark.make(index, event);
            boolean isBid = event.kind == Event.BID;
            row.setField(0, TimestampData.fromEpochMillis(event.at));
            row.setField(1, event.id);
            row.setField(2, event.party);
            row.setField(3, event.price);
            row.setField(4, event.reserve);
            row.setField(5, isBid ? null : TimestampData.fromEpochMillis(event.expires));
            row.setField(6, event.category);
            row.setField(7, isBid ? channels[nexmark.channel] : binary(event.name));
            row.setField(8, isBid ? urls[nexmark.channel] : binary(event.text));
            row.setField(9, binary(event.card));
            row.setField(10, binary(event.city));
            row.setField(11, binary(event.state));
            row.setField(12, binary(event.extra));
            row.setField(13, event.kind);
            return row;
        }
    }

    public static final class Results implements DynamicTableSinkFactory {
        @Override
        public String factoryIdentifier() {
            return "weir-digest";
        }

        @Override
        public Set<ConfigOption<?>> requiredOptions() {
            return Set.of();
        }

        @Override
        public Set<ConfigOption<?>> optionalOptions() {
            return Set.of();
        }

        @Override
        public DynamicTableSink createDynamicTableSink(DynamicTableFactory.Context context) {
            return new ResultTable(
                    context.getPhysicalRowDataType().getLogicalType().getChildren());
        }
    }

    private record ResultTable(List<LogicalType> types) implements DynamicTableSink {
        @Override
        public ChangelogMode getChangelogMode(ChangelogMode requested) {
            return requested.containsOnly(RowKind.INSERT) ? requested : ChangelogMode.upsert();
        }

        @Override
        public SinkRuntimeProvider getSinkRuntimeProvider(Context context) {
            Field[] fields = new Field[types.size()];
            for (int i = 0; i < fields.length; i++) {
                fields[i] = field(i, types.get(i));
            }
            return SinkV2Provider.of(new DigestSink<>(row -> {
                long digest = 0;
                for (Field field : fields) {
                    digest = field.add(digest, row);
                }
                return digest;
            }));
        }

        @Override
        public DynamicTableSink copy() {
            return this;
        }

        @Override
        public String asSummaryString() {
            return "digest";
        }
    }

    /** Adds one column to a digest. */
    private interface Field extends Serializable {
        long add(long digest, RowData row);
    }

    private static Field field(int at, LogicalType type) {
        return switch (type.getTypeRoot()) {
            case BIGINT -> (digest, row) -> Digest.number(digest, row.getLong(at));
            case TIMESTAMP_WITHOUT_TIME_ZONE -> (digest, row) ->
                    Digest.number(digest, row.getTimestamp(at, 3).getMillisecond());
            case DECIMAL -> decimal(at, (DecimalType) type);
            case VARCHAR -> (digest, row) -> text(digest, (BinaryStringData) row.getString(at));
            default -> throw new IllegalArgumentException("no digest of a " + type);
        };
    }

    private static Field decimal(int at, DecimalType type) {
        int precision = type.getPrecision();
        int scale = type.getScale();
        return (digest, row) -> {
            DecimalData value = row.getDecimal(at, precision, scale);
            long unscaled = value.isCompact()
                    ? value.toUnscaledLong()
                    : value.toBigDecimal().unscaledValue().longValueExact();
            return Digest.number(digest, unscaled);
        };
    }

    private static long text(long digest, BinaryStringData text) {
        if (Seen.isFull) {
            return Digest.bytes(digest, text.toBytes());
        }
        return Digest.number(digest, text.getSizeInBytes());
    }
}
