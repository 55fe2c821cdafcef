package weir.bench;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;

/** What one event says, whoever it is about. */
public final class Contribution implements Codable {
    String eventId;
    long ts;
    String type;
    String category; // null: none
    boolean hasAmount;
    long amount; // in units of 0.0001
    final List<String> tags = new ArrayList<>(4); // name, value as JSON, name, value, ...

    void setTag(String name, String value) {
        for (int i = 0; i < tags.size(); i += 2) {
            if (tags.get(i).equals(name)) {
                tags.set(i + 1, value);
                return;
            }
        }
        tags.add(name);
        tags.add(value);
    }

    @Override
    public void write(DataOutputView out) throws IOException {
        StringValue.writeString(eventId, out);
        out.writeLong(ts);
        StringValue.writeString(type, out);
        StringValue.writeString(category, out);
        out.writeBoolean(hasAmount);
        out.writeLong(amount);
        out.writeShort(tags.size());
        for (String tag : tags) {
            StringValue.writeString(tag, out);
        }
    }

    @Override
    public void read(DataInputView in) throws IOException {
        eventId = StringValue.readString(in);
        ts = in.readLong();
        type = StringValue.readString(in);
        category = StringValue.readString(in);
        hasAmount = in.readBoolean();
        amount = in.readLong();
        int count = in.readShort();
        for (int i = 0; i < count; i++) {
            tags.add(StringValue.readString(in));
        }
    }
}
