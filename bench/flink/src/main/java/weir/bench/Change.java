package weir.bench;

import java.io.IOException;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;

/** What a person is told about one of its members; "" is the person itself. As in jobs/userprofile/change.h. */
public final class Change implements Codable {
    static final byte ADD = 0;
    static final byte JOIN = 1;
    static final byte LEAVE = 2;

    String yid;
    String member;
    byte kind;
    boolean isShared;
    Contribution body; // ADD
    Fragment fragment; // JOIN

    public Change() {}

    Change(String yid, String member, byte kind) {
        this.yid = yid;
        this.member = member;
        this.kind = kind;
    }

    static Change add(String yid, String member, boolean isShared, Contribution body) {
        Change change = new Change(yid, member, ADD);
        change.isShared = isShared;
        change.body = body;
        return change;
    }

    static Change join(String yid, String member, boolean isShared, Fragment fragment) {
        Change change = new Change(yid, member, JOIN);
        change.isShared = isShared;
        change.fragment = fragment;
        return change;
    }

    @Override
    public void write(DataOutputView out) throws IOException {
        StringValue.writeString(yid, out);
        StringValue.writeString(member, out);
        out.writeByte(kind);
        out.writeBoolean(isShared);
        if (kind == ADD) {
            body.write(out);
        } else if (kind == JOIN) {
            fragment.write(out);
        }
    }

    @Override
    public void read(DataInputView in) throws IOException {
        yid = StringValue.readString(in);
        member = StringValue.readString(in);
        kind = in.readByte();
        isShared = in.readBoolean();
        if (kind == ADD) {
            body = new Contribution();
            body.read(in);
        } else if (kind == JOIN) {
            fragment = new Fragment();
            fragment.read(in);
        }
    }
}
