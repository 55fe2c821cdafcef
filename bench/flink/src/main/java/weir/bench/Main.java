package weir.bench;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * Flink's half of the comparison: one workload in one JVM, which holds job manager and task manager, and one line of
 * JSON; with --remote HOST:PORT it gives the job to a cluster instead. Arguments are those of bench_flink, and `-D name=value` is a setting of Flink.
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
        boolean isUnbounded;
        long fill;
        long rate = 20_000;
        long from;
        String told;
        String remote;
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
                    case "--unbounded" -> isUnbounded = true;
                    case "--fill" -> fill = Long.parseLong(arguments[++i]);
                    case "--rate" -> rate = Long.parseLong(arguments[++i]);
                    case "--from" -> from = Long.parseLong(arguments[++i]);
                    case "--told" -> told = arguments[++i];
                    case "--remote" -> remote = arguments[++i];
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
        all.put("generator", Queries::generator);
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
        all.put("pages", Pages::build);
        return all;
    }

    private static void build(StreamExecutionEnvironment env, Options options) throws Exception {
        Build build = workloads().get(options.workload);
        if (build == null) {
            throw new IllegalArgumentException("there is no workload " + options.workload);
        }
        build.build(env, options);
    }

    /** To a cluster that has our classes already; what it measures it tells by a file. */
    private static void submit(Options options) throws Exception {
        String[] address = options.remote.split(":");
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createRemoteEnvironment(
                address[0], Integer.parseInt(address[1]), options.flink);
        env.setParallelism(1);
        build(env, options);
        System.out.println(env.executeAsync(options.workload).getJobID());
        System.exit(0); // threads of the client would live on
    }

    public static void main(String[] arguments) throws Exception {
        Options options = new Options(arguments);
        if (options.remote != null) {
            submit(options);
        }
        Seen.warm = options.warm;
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, options.flink);
        if (options.isSql) {
            Sql.run(env, options);
        } else {
            build(env, options);
            env.execute(options.workload);
        }
        Seen.report(options.workload);
    }
}
