package weir.bench;

import java.nio.charset.StandardCharsets;

/** struct nexmark_event. */
public final class Event {
    static final int PERSON = 0;
    static final int AUCTION = 1;
    static final int BID = 2;

    public long at;
    public long id;
    public long party;
    public long price;
    public long reserve;
    public long expires;
    public long category;
    public String name;
    public String text;
    public String card;
    public String city;
    public String state;
    public String extra;
    public int kind;

    void clear() {
        id = party = price = reserve = expires = category = 0;
        name = text = card = city = state = extra = null;
    }

    long digest() {
        long digest = 0;
        for (long number : new long[] {at, id, party, price, reserve, expires, category, kind}) {
            digest = Digest.number(digest, number);
        }
        for (String it : new String[] {name, text, card, city, state, extra}) {
            digest = Digest.text(digest, it, true);
        }
        return digest;
    }

    static String latin(byte[] bytes, int from, int size) {
        return new String(bytes, from, size, StandardCharsets.ISO_8859_1);
    }
}
