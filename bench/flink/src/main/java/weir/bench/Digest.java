package weir.bench;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** The digests of test/support/nexmark.h: of a set of records, whatever their order. */
final class Digest {
    private static final VarHandle WORDS =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private Digest() {}

    static long number(long digest, long number) {
        digest = (digest ^ number) * Nexmark.GOLDEN;
        return digest ^ (digest >>> 32);
    }

    /** Not full: only the length counts, which costs next to nothing. Texts are ASCII. */
    static long text(long digest, String text, boolean isFull) {
        if (!isFull) {
            return number(digest, text == null ? 0 : text.length());
        }
        return bytes(digest, text == null ? new byte[0] : text.getBytes(StandardCharsets.ISO_8859_1));
    }

    static long bytes(long digest, byte[] bytes) {
        digest = number(digest, bytes.length);
        int at = 0;
        for (; at + 8 <= bytes.length; at += 8) {
            digest = number(digest, (long) WORDS.get(bytes, at));
        }
        if (at < bytes.length) {
            long word = 0;
            for (int i = bytes.length - 1; i >= at; i--) {
                word = word << 8 | bytes[i] & 0xff;
            }
            digest = number(digest, word);
        }
        return digest;
    }
}
