package weir.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.types.StringValue;
import org.apache.flink.util.Collector;

/** Whom an id belongs to, and what its own events add up to. */
final class Identity extends KeyedProcessFunction<String, Identity.Claim, Change> {
    private static final int FANOUT_LIMIT = 64;

    private transient ValueState<Known> state;

    /** What an event says about one of its ids: an owner, or a contribution. */
    public static final class Claim implements Codable {
        String id;
        String user; // null: no evidence, but a contribution
        long ts;
        String eventId;
        Contribution body;

        @Override
        public void write(DataOutputView out) throws IOException {
            StringValue.writeString(id, out);
            StringValue.writeString(user, out);
            if (user == null) {
                body.write(out);
            } else {
                out.writeLong(ts);
                StringValue.writeString(eventId, out);
            }
        }

        @Override
        public void read(DataInputView in) throws IOException {
            id = StringValue.readString(in);
            user = StringValue.readString(in);
            if (user == null) {
                body = new Contribution();
                body.read(in);
            } else {
                ts = in.readLong();
                eventId = StringValue.readString(in);
            }
        }
    }

    /** All that is known of an id. */
    public static final class Known implements Codable {
        String owner; // null: none
        long ts = Long.MIN_VALUE; // of the newest evidence
        String eventId = "";
        List<String> claimants = new ArrayList<>(1);
        boolean isShared;
        Fragment fragment = new Fragment();

        @Override
        public void write(DataOutputView out) throws IOException {
            StringValue.writeString(owner, out);
            out.writeLong(ts);
            StringValue.writeString(eventId, out);
            out.writeInt(claimants.size());
            for (String claimant : claimants) {
                StringValue.writeString(claimant, out);
            }
            out.writeBoolean(isShared);
            fragment.write(out);
        }

        @Override
        public void read(DataInputView in) throws IOException {
            owner = StringValue.readString(in);
            ts = in.readLong();
            eventId = StringValue.readString(in);
            int count = in.readInt();
            for (int i = 0; i < count; i++) {
                claimants.add(StringValue.readString(in));
            }
            isShared = in.readBoolean();
            fragment.read(in);
        }
    }

    @Override
    public void open(OpenContext context) {
        state = getRuntimeContext().getState(new ValueStateDescriptor<>("known", Codable.type(Known.class)));
    }

    @Override
    public void processElement(Claim claim, Context context, Collector<Change> out) throws Exception {
        Known known = state.value();
        if (known == null) {
            known = new Known();
        }
        boolean isChanged = claim.user == null ? add(known, claim, out) : believe(known, claim, out);
        if (isChanged) {
            state.update(known);
        }
    }

    private static boolean add(Known known, Claim claim, Collector<Change> out) {
        known.fragment.add(claim.body);
        boolean isOwned = known.owner != null;
        out.collect(Change.add(isOwned ? known.owner : claim.id, isOwned ? claim.id : "", known.isShared, claim.body));
        return true;
    }

    private static boolean believe(Known known, Claim claim, Collector<Change> out) {
        if (known.isShared) {
            return false;
        }
        boolean isNew = !known.claimants.contains(claim.user);
        if (isNew) {
            known.claimants.add(claim.user);
        }
        if (known.claimants.size() > FANOUT_LIMIT) {
            share(known, claim, out);
            return true;
        }
        if (claim.ts < known.ts || claim.ts == known.ts && claim.eventId.compareTo(known.eventId) <= 0) {
            return isNew;
        }
        known.ts = claim.ts;
        known.eventId = claim.eventId;
        if (!claim.user.equals(known.owner)) {
            leave(known, claim, out);
            known.owner = claim.user;
            out.collect(Change.join(claim.user, claim.id, false, known.fragment));
        }
        return true;
    }

    /** Whoever has the fragment, has it no longer. */
    private static void leave(Known known, Claim claim, Collector<Change> out) {
        if (known.owner != null) {
            out.collect(new Change(known.owner, claim.id, Change.LEAVE));
        } else if (known.fragment.count > 0) {
            out.collect(new Change(claim.id, "", Change.LEAVE));
        }
    }

    private static void share(Known known, Claim claim, Collector<Change> out) {
        leave(known, claim, out);
        known.isShared = true;
        known.owner = null;
        known.claimants.clear();
        if (known.fragment.count > 0) {
            out.collect(Change.join(claim.id, "", true, known.fragment));
        }
    }
}
