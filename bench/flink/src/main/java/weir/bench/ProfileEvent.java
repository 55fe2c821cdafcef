package weir.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.math.BigDecimal;
import java.math.RoundingMode;
import org.apache.flink.core.memory.DataInputView;
import org.apache.flink.core.memory.DataOutputView;
import org.apache.flink.types.StringValue;

/** An event of the main job, out of JSON by a streaming parser. Of a repeated member the last counts. */
public final class ProfileEvent implements Codable {
    static final String[] KINDS = {"user", "idcard", "phone", "email", "device", "cookie"}; // by rank
    private static final JsonFactory FACTORY = new JsonFactory();
    private static final long AMOUNT_MAX = 10_000_000_000_000_000L;

    Contribution body = new Contribution();
    String[] ids = new String[KINDS.length]; // null: none of that kind

    /** What cannot be read; the job's dead letter. */
    static final class BadEvent extends IOException {
        BadEvent(String reason) {
            super(reason);
        }
    }

    static ProfileEvent of(byte[] json) throws IOException {
        ProfileEvent event = new ProfileEvent();
        event.body.ts = -1;
        try (JsonParser parser = FACTORY.createParser(json)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new BadEvent("bad-json");
            }
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                event.readMember(parser.currentName(), parser);
            }
            if (parser.nextToken() != null) {
                throw new BadEvent("bad-json");
            }
        }
        event.check();
        return event;
    }

    private void check() throws BadEvent {
        boolean hasId = false;
        for (String id : ids) {
            hasId |= id != null;
        }
        if (body.eventId == null || body.ts < 0 || body.type == null || !hasId) {
            throw new BadEvent("missing-member");
        }
    }

    private static String text(JsonParser parser, boolean mayBeEmpty) throws IOException {
        if (parser.nextToken() != JsonToken.VALUE_STRING) {
            throw new BadEvent("bad-member");
        }
        String text = parser.getText();
        if (text.isEmpty() && !mayBeEmpty) {
            throw new BadEvent("bad-member");
        }
        return text;
    }

    private void readMember(String name, JsonParser parser) throws IOException {
        switch (name) {
            case "event_id" -> body.eventId = text(parser, false);
            case "ts" -> {
                if (parser.nextToken() != JsonToken.VALUE_NUMBER_INT) {
                    throw new BadEvent("bad-member");
                }
                body.ts = parser.getLongValue();
            }
            case "type" -> body.type = text(parser, false);
            case "source" -> text(parser, true);
            case "category" -> body.category = text(parser, true);
            case "amount" -> {
                if (!parser.nextToken().isNumeric()) {
                    throw new BadEvent("bad-member");
                }
                body.hasAmount = true;
                body.amount = units(parser.getText());
            }
            case "ids" -> readIds(parser);
            case "tags" -> readTags(parser);
            default -> {
                parser.nextToken();
                parser.skipChildren();
            }
        }
    }

    private void readIds(JsonParser parser) throws IOException {
        ids = new String[KINDS.length];
        if (parser.nextToken() != JsonToken.START_OBJECT) {
            throw new BadEvent("bad-member");
        }
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            int kind = kindOf(parser.currentName());
            ids[kind] = text(parser, false);
        }
    }

    private static int kindOf(String name) throws BadEvent {
        for (int i = 0; i < KINDS.length; i++) {
            if (KINDS[i].equals(name)) {
                return i;
            }
        }
        throw new BadEvent("unknown-id-kind");
    }

    private void readTags(JsonParser parser) throws IOException {
        body.tags.clear();
        if (parser.nextToken() != JsonToken.START_OBJECT) {
            throw new BadEvent("bad-member");
        }
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            switch (value) {
                case VALUE_STRING -> body.setTag(name, ProfileText.quoted(parser.getText()));
                case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT, VALUE_TRUE, VALUE_FALSE -> body.setTag(name, parser.getText());
                default -> throw new BadEvent("bad-member");
            }
        }
    }

    /** The decimal as written in units of 0.0001, rounded half away from zero. */
    static long units(String text) throws BadEvent {
        BigDecimal value = new BigDecimal(text);
        long digits = (long) value.precision() - value.scale(); // in front of the point
        if (value.signum() == 0 || digits < -5) {
            return 0;
        }
        if (digits > 20) {
            throw new BadEvent("bad-member");
        }
        BigDecimal units = value.setScale(4, RoundingMode.HALF_UP).movePointRight(4);
        if (units.abs().compareTo(BigDecimal.valueOf(AMOUNT_MAX)) > 0) {
            throw new BadEvent("bad-member");
        }
        return units.longValueExact();
    }

    @Override
    public void write(DataOutputView out) throws IOException {
        body.write(out);
        for (String id : ids) {
            StringValue.writeString(id, out);
        }
    }

    @Override
    public void read(DataInputView in) throws IOException {
        body.read(in);
        for (int i = 0; i < ids.length; i++) {
            ids[i] = StringValue.readString(in);
        }
    }
}
