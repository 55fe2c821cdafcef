package weir.bench;

import java.time.ZoneOffset;
import java.util.Map;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * The queries as Nexmark states them, in SQL; q12 in event time, and the key of q17 as one number, as in Keyed. A row for each
 * change: mini-batches would put out fewer.
 */
final class Sql {
    private Sql() {}

    private static final String BID = " FROM events WHERE kind = 2";
    /** Of an event: its auction and its day. */
    private static final String AUCTION_AND_DAY = "id * 65536 + TIMESTAMPDIFF(DAY, TIMESTAMP '1970-01-01 00:00:00', ts)";
    /** name: columns of the sink, in the order of the digest, and the query. */
    private static final Map<String, String[]> QUERIES = Map.of(
            "q0",
            new String[] {
                "auction BIGINT, bidder BIGINT, price BIGINT, ts TIMESTAMP(3), extra STRING",
                "SELECT id, party, price, ts, extra" + BID
            },
            "q1",
            new String[] {
                "auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), ts TIMESTAMP(3), extra STRING",
                "SELECT id, party, 0.908 * price, ts, extra" + BID
            },
            "q2",
            new String[] {"auction BIGINT, price BIGINT", "SELECT id, price" + BID + " AND MOD(id, 123) = 0"},
            "q14",
            new String[] {
                "auction BIGINT, bidder BIGINT, price DECIMAL(23, 3), ts TIMESTAMP(3), letters BIGINT, part STRING,"
                        + " extra STRING",
                "SELECT id, party, 0.908 * price, ts, count_char(extra, 'c'), CASE WHEN HOUR(ts) >= 8 AND HOUR(ts) <="
                        + " 18 THEN 'dayTime' WHEN HOUR(ts) <= 6 OR HOUR(ts) >= 20 THEN 'nightTime' ELSE 'otherTime'"
                        + " END, extra" + BID + " AND 0.908 * price > 1000000 AND 0.908 * price < 50000000"
            },
            "q21",
            new String[] {
                "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, channel_id STRING",
                "SELECT id, party, price, name, CASE WHEN LOWER(name) = 'apple' THEN '0' WHEN LOWER(name) = 'google'"
                        + " THEN '1' WHEN LOWER(name) = 'facebook' THEN '2' WHEN LOWER(name) = 'baidu' THEN '3' ELSE"
                        + " REGEXP_EXTRACT(body, '(&|^)channel_id=([^&]*)', 2) END" + BID
                        + " AND (REGEXP_EXTRACT(body, '(&|^)channel_id=([^&]*)', 2) IS NOT NULL OR LOWER(name) IN"
                        + " ('apple', 'google', 'facebook', 'baidu'))"
            },
            "q22",
            new String[] {
                "auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, dir1 STRING, dir2 STRING, dir3 STRING",
                "SELECT id, party, price, name, SPLIT_INDEX(body, '/', 3), SPLIT_INDEX(body, '/', 4),"
                        + " SPLIT_INDEX(body, '/', 5)" + BID
            },
            "q12",
            new String[] {
                "bidder BIGINT, till TIMESTAMP(3), bids BIGINT",
                "SELECT party, window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '10'"
                        + " SECOND)) WHERE kind = 2 GROUP BY party, window_start, window_end"
            },
            "q17",
            new String[] {
                "k BIGINT, total BIGINT, low BIGINT, middle BIGINT, high BIGINT, least BIGINT, most BIGINT, whole"
                        + " BIGINT, PRIMARY KEY (k) NOT ENFORCED",
                "SELECT k, COUNT(*), COUNT(*) FILTER (WHERE price < 10000), COUNT(*) FILTER (WHERE price >= 10000 AND"
                        + " price < 1000000), COUNT(*) FILTER (WHERE price >= 1000000), MIN(price), MAX(price),"
                        + " SUM(price) FROM (SELECT " + AUCTION_AND_DAY + " AS k, price" + BID + ") GROUP BY k"
            });

    /** How often a letter is in a text: as the Java string that the source has, which costs less than its bytes. */
    public static final class CountChar extends ScalarFunction {
        public long eval(String text, String letter) {
            return Queries.countOf(text, letter.charAt(0));
        }
    }

    static void run(StreamExecutionEnvironment env, Main.Options options) throws Exception {
        String[] query = QUERIES.get(options.workload);
        if (query == null) {
            throw new IllegalArgumentException("there is no workload " + options.workload + " in SQL");
        }
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        tables.getConfig().setLocalTimeZone(ZoneOffset.UTC);
        tables.createTemporarySystemFunction("count_char", CountChar.class);
        tables.getConfig().set("table.exec.sink.upsert-materialize", "NONE"); // keys and rows come in one order
        // records of one millisecond may follow each other; only q12 looks at event time
        String watermark = options.workload.equals("q12") ? ", WATERMARK FOR ts AS ts - INTERVAL '0.001' SECOND" : "";
        tables.executeSql("CREATE TABLE events (ts TIMESTAMP(3), id BIGINT, party BIGINT, price BIGINT, reserve BIGINT,"
                + " expires TIMESTAMP(3), category BIGINT, name STRING, body STRING, card STRING, city STRING,"
                + " region STRING, extra STRING, kind INT" + watermark + ") WITH ('connector' = 'weir-events', 'count' = '"
                + options.count + "')");
        tables.executeSql("CREATE TABLE results (" + query[0] + ") WITH ('connector' = 'weir-digest')");
        tables.executeSql("INSERT INTO results " + query[1]).await();
    }
}
