package dev.kvmvfio.api;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** {@code IOCTLS.md}, read. */
final class IoctlTable {
    static final Path FILE = PublicType.CORE.resolve("IOCTLS.md");

    private static final Pattern SECTION = Pattern.compile("^## (.*)\\n([^#]*+(?:#(?!# )[^#]*+)*+)", Pattern.MULTILINE);
    private static final Pattern ROW = Pattern.compile("^\\| (\\w+) \\| (.*?) \\|(.*)\\|$", Pattern.MULTILINE);
    private static final Pattern LINK = Pattern.compile("^\\[(\\w+)]: (\\S+)$", Pattern.MULTILINE);
    private static final Pattern HOME = Pattern
            .compile("(?:\\[(?<linked>\\w+)]|(?<type>[A-Z]\\w+))(?:\\.(?<member>\\w+))?(?<toCome> \\(to come\\))?");

    private final String text = PublicType.read(FILE);

    /**
     * Where a call lives.
     *
     * @param isLinked whether the type is there already
     * @param member a method, or a type within the type; empty when not drawn yet
     */
    record Home(String type, boolean isLinked, String member, boolean isToCome) {
        @Override
        public String toString() {
            return type + (member.isEmpty() ? "" : "." + member);
        }
    }

    /** @param homes none when the place says why there is none: raw, or an architecture */
    record Row(String name, String place, List<Home> homes, String note) {
        boolean isThere() {
            return homes.stream().anyMatch(home -> !home.isToCome());
        }
    }

    Stream<String> sections() {
        return SECTION.matcher(text).results().map(found -> found.group(1));
    }

    /** The rows of the table below a heading. */
    List<Row> rows(String section) {
        String body = SECTION.matcher(text).results().filter(found -> found.group(1).equals(section)).findFirst()
                .orElseThrow(() -> new AssertionError(FILE + " has no section " + section)).group(2);
        return ROW.matcher(body).results().skip(1).map(IoctlTable::row).toList();
    }

    private static Row row(MatchResult row) {
        String place = row.group(2);
        boolean isHome = Character.isUpperCase(place.charAt(0)) || place.startsWith("[");
        return new Row(row.group(1), place,
                isHome ? Arrays.stream(place.split(", ")).map(IoctlTable::home).toList() : List.of(),
                row.group(3).strip());
    }

    private static Home home(String text) {
        Matcher home = HOME.matcher(text);
        if (!home.matches()) {
            throw new AssertionError("not a home: " + text);
        }
        boolean isLinked = home.group("linked") != null;
        String member = home.group("member");
        return new Home(home.group(isLinked ? "linked" : "type"), isLinked, member == null ? "" : member,
                home.group("toCome") != null);
    }

    /** The files that the types lead to. */
    Map<String, String> links() {
        return LINK.matcher(text).results().collect(Collectors.toMap(link -> link.group(1), link -> link.group(2)));
    }
}
