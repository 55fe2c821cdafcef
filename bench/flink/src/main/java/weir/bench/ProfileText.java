package weir.bench;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A profile as JSON, byte for byte as jobs/userprofile writes it. */
final class ProfileText {
    private static final int INTERESTS = 3;

    private ProfileText() {}

    static String quoted(String text) {
        StringBuilder out = new StringBuilder(text.length() + 2);
        quote(text, out);
        return out.toString();
    }

    private static void quote(String text, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char it = text.charAt(i);
            switch (it) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (it < 0x20) {
                        out.append(String.format("\\u%04x", (int) it));
                    } else {
                        out.append(it);
                    }
                }
            }
        }
        out.append('"');
    }

    private static void join(Collection<String> texts, StringBuilder out) {
        String between = "";
        for (String text : texts) {
            out.append(between);
            quote(text, out);
            between = ",";
        }
    }

    private static String decimal(long units) {
        return BigDecimal.valueOf(units, 4).toPlainString();
    }

    private static Map<String, String> tags(Fragment it) {
        Map<String, String> tags = new TreeMap<>();
        tags.put("count", Long.toString(it.count));
        tags.put("first_seen", Long.toString(it.first));
        tags.put("last_seen", Long.toString(it.last));
        if (it.hasAmount) {
            tags.put("amount.sum", decimal(it.sum));
            tags.put("amount.max", decimal(it.max));
        }
        for (Fragment.Counter type : it.types) {
            tags.put("count." + type.name, Long.toString(type.count));
        }
        for (Fragment.Counter category : it.categories) {
            tags.put("category." + category.name, Long.toString(category.count));
        }
        for (Fragment.Tag tag : it.tags) {
            tags.put("tag." + tag.name, tag.value);
        }
        return tags;
    }

    private static List<String> interests(Fragment it) {
        List<Fragment.Counter> all = new ArrayList<>(it.categories);
        all.sort((a, b) -> a.count != b.count ? Long.compare(b.count, a.count) : a.name.compareTo(b.name));
        List<String> names = new ArrayList<>(INTERESTS);
        for (Fragment.Counter category : all.subList(0, Math.min(INTERESTS, all.size()))) {
            names.add(category.name);
        }
        return names;
    }

    private static long quality(Fragment it) {
        long quality = 50;
        for (Fragment.Counter type : it.types) {
            quality += switch (type.name) {
                case "repay" -> 5 * type.count;
                case "buy" -> 2 * Math.min(type.count, 10);
                case "overdue" -> -20 * type.count;
                default -> 0;
            };
        }
        return Math.max(0, Math.min(100, quality));
    }

    static String json(String yid, List<String> sortedIds, Fragment fragment, boolean isShared) {
        StringBuilder out = new StringBuilder(512).append("{\"yid\":");
        quote(yid, out);
        out.append(",\"ids\":[");
        join(sortedIds, out);
        out.append("],\"tags\":{");
        String between = "";
        for (Map.Entry<String, String> tag : tags(fragment).entrySet()) {
            out.append(between);
            quote(tag.getKey(), out);
            out.append(':').append(tag.getValue());
            between = ",";
        }
        out.append("},\"interest\":[");
        join(interests(fragment), out);
        out.append("],\"quality\":").append(quality(fragment)).append(",\"shared\":").append(isShared);
        return out.append('}').toString();
    }
}
