package weir.bench;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What a run has seen: `seen` and report() of bench/flink.c. The job runs in this very process, one subtask of each
 * operator: the source's thread writes what is of the source, the sink's what is of the sink, and main reads when the
 * job is over.
 */
final class Seen {
    private static final OperatingSystemMXBean OS =
            (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

    static long warm;
    static boolean isFull;

    static long events;
    private static long warmCpuNs;
    private static volatile long warmNs;
    static long rows;
    static long digest;
    private static long firstNs;
    private static long lastNs;
    private static long pauseNs;
    private static volatile long endCpuNs;
    private static volatile long endNs;

    private Seen() {}

    /** Of each event at the source. */
    static void event() {
        if (events++ == warm) {
            warmCpuNs = OS.getProcessCpuTime();
            warmNs = System.nanoTime();
        }
    }

    /** Of each row at the sink. The clock is read for one in 256, as often as in Weir's half. */
    static void row(long rowDigest) {
        digest += rowDigest;
        if ((rows++ & 255) != 0) {
            return;
        }
        long now = System.nanoTime();
        if (firstNs == 0) {
            firstNs = now;
        } else if (warmNs != 0 && now - lastNs > pauseNs) {
            pauseNs = now - lastNs;
        }
        lastNs = now;
    }

    /** When a sink is closed: behind the last checkpoint, and before the cluster is taken down. */
    static void end() {
        endCpuNs = OS.getProcessCpuTime();
        endNs = System.nanoTime();
    }

    private static double peakRssMb() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmHWM:")) {
                return Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024.0;
            }
        }
        throw new IOException("/proc/self/status has no VmHWM");
    }

    static void report(String workload) throws IOException {
        String started = System.getenv("WEIR_BENCH_STARTED_NS");
        double firstMs = started == null ? 0 : (firstNs - Long.parseLong(started)) / 1e6;
        System.out.printf(
                "{\"workload\":\"%s\",\"events\":%d,\"warm\":%d,\"rows\":%d,\"digest\":\"%016x\",\"cpu_s\":%.6f,"
                        + "\"wall_s\":%.6f,\"first_ms\":%.3f,\"pause_ms\":%.3f,\"rss_mb\":%.1f%s}%n",
                workload,
                events,
                warm,
                rows,
                digest,
                (endCpuNs - warmCpuNs) / 1e9,
                (endNs - warmNs) / 1e9,
                firstMs,
                pauseNs / 1e6,
                peakRssMb(),
                Pages.report());
    }
}
