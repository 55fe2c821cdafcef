package weir.bench;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RichFlatMapFunction;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.state.StateTtlConfig;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;
import org.apache.kafka.clients.producer.ProducerRecord;

/**
 * jobs/userprofile for Flink: events from Kafka, cleaned, without duplicates, one profile a person, to Kafka, exactly
 * once. What is not valid is dropped and counted, not written as dead letters: the comparison has none.
 */
final class Profile {
    private static final OutputTag<Change> OWN = new OutputTag<>("own", Codable.type(Change.class)) {};
    private static final long EMIT_INTERVAL_MS = 1000;
    private static final Duration DEDUPE_TTL = Duration.ofHours(24);

    private Profile() {}

    private static final class Clean extends RichFlatMapFunction<byte[], ProfileEvent> {
        @Override
        public void flatMap(byte[] json, Collector<ProfileEvent> out) {
            Seen.event();
            try {
                out.collect(ProfileEvent.of(json));
            } catch (java.io.IOException | NumberFormatException bad) {
                getRuntimeContext().getMetricGroup().counter("bad").inc();
            }
        }
    }

    /** Lets an event_id through once. */
    private static final class Dedupe extends KeyedProcessFunction<String, ProfileEvent, ProfileEvent> {
        private transient ValueState<Boolean> seen;

        @Override
        public void open(OpenContext context) {
            ValueStateDescriptor<Boolean> descriptor = new ValueStateDescriptor<>("seen", Types.BOOLEAN);
            // on the heap each access looks at one more entry for its age, not at five
            descriptor.enableTimeToLive(
                    StateTtlConfig.newBuilder(DEDUPE_TTL).cleanupIncrementally(1, false).build());
            seen = getRuntimeContext().getState(descriptor);
        }

        @Override
        public void processElement(ProfileEvent event, Context context, Collector<ProfileEvent> out) throws Exception {
            if (seen.value() == null) {
                seen.update(true);
                out.collect(event);
            }
        }
    }

    /** An event into what it says about each of its ids. */
    private static final class Split extends ProcessFunction<ProfileEvent, Identity.Claim> {
        @Override
        public void processElement(ProfileEvent event, Context context, Collector<Identity.Claim> out) {
            String user = event.ids[0] == null ? null : "user:" + event.ids[0];
            if (user != null) {
                context.output(OWN, Change.add(user, "", false, event.body));
            }
            for (int kind = 1; kind < event.ids.length; kind++) {
                if (event.ids[kind] == null) {
                    continue;
                }
                Identity.Claim claim = new Identity.Claim();
                claim.id = ProfileEvent.KINDS[kind] + ":" + event.ids[kind];
                claim.user = user;
                claim.ts = event.body.ts;
                claim.eventId = event.body.eventId;
                claim.body = event.body;
                out.collect(claim);
                if (user == null) {
                    return; // it adds to the highest of its ids and to no other
                }
            }
        }
    }

    /** Members' fragments of one person; emits at most once an interval. */
    private static final class Person extends KeyedProcessFunction<String, Change, Tuple2<String, String>> {
        private transient MapState<String, Fragment> members;

        @Override
        public void open(OpenContext context) {
            members = getRuntimeContext()
                    .getMapState(new MapStateDescriptor<>("members", Types.STRING, Codable.type(Fragment.class)));
        }

        @Override
        public void processElement(Change change, Context context, Collector<Tuple2<String, String>> out)
                throws Exception {
            if (change.kind == Change.LEAVE) {
                members.remove(change.member);
            } else if (change.kind == Change.JOIN) {
                change.fragment.isShared = change.isShared;
                members.put(change.member, change.fragment);
            } else {
                Fragment fragment = members.get(change.member);
                if (fragment == null) {
                    fragment = new Fragment();
                }
                fragment.isShared = change.isShared;
                fragment.add(change.body);
                members.put(change.member, fragment);
            }
            long now = context.timerService().currentProcessingTime();
            long phase = (change.yid.hashCode() & 0x7fffffff) % EMIT_INTERVAL_MS;
            long due = now - Math.floorMod(now - phase, EMIT_INTERVAL_MS) + EMIT_INTERVAL_MS;
            context.timerService().registerProcessingTimeTimer(due);
            // at the end of the input timers of the clock are forgotten, those of event time fire
            context.timerService().registerEventTimeTimer(Long.MAX_VALUE);
        }

        @Override
        public void onTimer(long at, OnTimerContext context, Collector<Tuple2<String, String>> out) throws Exception {
            if (at != Long.MAX_VALUE) {
                context.timerService().deleteEventTimeTimer(Long.MAX_VALUE);
            }
            emit(context.getCurrentKey(), out);
        }

        private void emit(String yid, Collector<Tuple2<String, String>> out) throws Exception {
            boolean isUser = yid.startsWith("user:");
            List<String> ids = new ArrayList<>();
            ids.add(yid);
            Fragment all = new Fragment();
            Fragment own = null;
            for (Map.Entry<String, Fragment> member : members.entries()) {
                all.merge(member.getValue());
                if (member.getKey().isEmpty()) {
                    own = member.getValue();
                } else {
                    ids.add(member.getKey());
                }
            }
            Seen.row(0);
            if (own != null) {
                Collections.sort(ids);
                out.collect(Tuple2.of(yid, ProfileText.json(yid, ids, all, !isUser && own.isShared)));
            } else if (!isUser) {
                out.collect(Tuple2.of(yid, null));
            }
        }

        @Override
        public void close() {
            Seen.end();
        }
    }

    private static KafkaSink<Tuple2<String, String>> sink(Main.Options options) {
        String topic = options.out;
        KafkaRecordSerializationSchema<Tuple2<String, String>> schema = (pair, context, at) -> new ProducerRecord<>(
                topic,
                pair.f0.getBytes(StandardCharsets.UTF_8),
                pair.f1 == null ? null : pair.f1.getBytes(StandardCharsets.UTF_8));
        return KafkaSink.<Tuple2<String, String>>builder()
                .setBootstrapServers(options.brokers)
                .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
                .setTransactionalIdPrefix("flink-bench-" + options.out)
                .setKafkaProducerConfig(Copy.producer())
                .setRecordSerializer(schema)
                .build();
    }

    static void build(StreamExecutionEnvironment env, Main.Options options) {
        SingleOutputStreamOperator<Identity.Claim> claims = env.fromSource(
                        Copy.source(options), WatermarkStrategy.noWatermarks(), "events")
                .flatMap(new Clean())
                .returns(Codable.type(ProfileEvent.class))
                .keyBy(event -> event.body.eventId, Types.STRING)
                .process(new Dedupe())
                .returns(Codable.type(ProfileEvent.class))
                .process(new Split())
                .returns(Codable.type(Identity.Claim.class));
        DataStream<Change> changes = claims.keyBy(claim -> claim.id, Types.STRING)
                .process(new Identity())
                .returns(Codable.type(Change.class))
                .union(claims.getSideOutput(OWN));
        changes.keyBy(change -> change.yid, Types.STRING)
                .process(new Person())
                .returns(Types.TUPLE(Types.STRING, Types.STRING))
                .sinkTo(sink(options));
    }
}
