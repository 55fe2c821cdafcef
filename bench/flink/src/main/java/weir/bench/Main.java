package weir.bench;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Flink's half of the comparison: one workload in one JVM, which holds job manager and task manager, and one line of
 * JSON. Arguments are those of bench_flink, and `-D name=value` is a setting of Flink.
 */
public final class Main {
    static final long SEED = 7;

    private Main() {}

    static final class Options {
        String workload = "q0";
        long count = 1_000_000;
        long warm;
        long keys = 1_000_000;
        boolean isZipf;
        boolean isSql;
        String brokers = "localhost:9092";
        String in = "in";
        String out = "out";
        final Configuration flink = new Configuration();

        Options(String[] arguments) {
            for (int i = 0; i < arguments.length; i++) {
                switch (arguments[i]) {
                    case "--workload" -> workload = arguments[++i];
                    case "--count" -> count = Long.parseLong(arguments[++i]);
                    case "--warm" -> warm = Long.parseLong(arguments[++i]);
                    case "--keys" -> keys = Long.parseLong(arguments[++i]);
                    case "--zipf" -> isZipf = true;
                    case "--sql" -> isSql = true;
                    case "--digest" -> Seen.isFull = true;
                    case "--brokers" -> brokers = arguments[++i];
                    case "--in" -> in = arguments[++i];
                    case "--out" -> out = arguments[++i];
                    case "-D" -> {
                        String[] pair = arguments[++i].split("=", 2);
                        flink.setString(pair[0], pair[1]);
                    }
                    default -> throw new IllegalArgumentException("there is no option " + arguments[i]);
                }
            }
        }
    }

    /** Builds the graph of a workload. */
    interface Build {
        void build(StreamExecutionEnvironment env, Options options) throws Exception;
    }

    private static Map<String, Build> workloads() {
        Map<String, Build> all = new HashMap<>();
        all.put("source", Queries::source);
        all.put("q0", Queries::q0);
        all.put("q1", Queries::q1);
        all.put("q2", Queries::q2);
        all.put("q14", Queries::q14);
        all.put("q21", Queries::q21);
        all.put("q22", Queries::q22);
        all.put("q12", Keyed::q12);
        all.put("q17", Keyed::q17);
        all.put("rmw", Keyed::rmw);
        all.put("copy", Copy::build);
        all.put("userprofile", Profile::build);
        return all;
    }

    public static void main(String[] arguments) throws Exception {
        Options options = new Options(arguments);
        Seen.warm = options.warm;
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, options.flink);
        if (options.isSql) {
            Sql.run(env, options);
        } else {
            Build build = workloads().get(options.workload);
            if (build == null) {
                throw new IllegalArgumentException("there is no workload " + options.workload);
            }
            build.build(env, options);
            env.execute(options.workload);
        }
        Seen.report(options.workload);
    }
}
