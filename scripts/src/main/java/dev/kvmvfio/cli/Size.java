package dev.kvmvfio.cli;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.commons.cli.ParseException;

/** Sizes of memory as people write them. */
final class Size {
    private static final Pattern FORM = Pattern.compile("(\\d+(?:\\.\\d+)?) ?([KMGT]?)(?:iB|B)?",
            Pattern.CASE_INSENSITIVE);
    private static final Map<String, Integer> SHIFTS = Map.of("K", 10, "", 20, "M", 20, "G", 30, "T", 40);
    private static final BigDecimal LEAST = BigDecimal.valueOf(1 << 20);
    private static final BigDecimal MOST = BigDecimal.valueOf(1L << 46);

    private Size() {
    }

    /** In bytes; a number alone counts MiB. */
    static long parse(String option, String text) throws ParseException {
        Matcher form = FORM.matcher(text);
        if (!form.matches()) {
            throw new ParseException("--" + option + " is a size such as 512M or 1.5G, not " + text);
        }
        int shift = SHIFTS.get(form.group(2).toUpperCase(Locale.ROOT));
        BigDecimal bytes = new BigDecimal(form.group(1)).multiply(new BigDecimal(BigInteger.ONE.shiftLeft(shift)));
        if (bytes.compareTo(LEAST) < 0 || bytes.compareTo(MOST) > 0) {
            throw new ParseException("--" + option + " is at least 1 MiB and at most 64 TiB, not " + text);
        }
        return bytes.longValue();
    }
}
