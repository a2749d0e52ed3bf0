package dev.kvmvfio.it.abi;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * What a header declares: object-like macros, enumerators, structs and unions with their members. It reads what
 * {@code gcc -E -dD} prints, where conditions are decided and macros expanded, and knows no more C than the kernel's
 * headers use: a declaration that it misreads shows up as one that Java lacks.
 */
final class Declarations {
    private static final Pattern LINE_MARKER = Pattern.compile("# \\d+ \"(.*)\".*");
    /** Where this has a space, a function-like macro has its parenthesis. */
    private static final Pattern MACRO = Pattern.compile("#define (\\w+) (.+)");
    private static final Pattern IOCTL = Pattern.compile("_IO(R|W|WR)?\\(");
    private static final Pattern ATTRIBUTE = Pattern.compile("__attribute__\\s*\\(\\((\\w+|\\w+\\(\\w+\\))\\)\\)");
    private static final Pattern TOKEN = Pattern.compile("\\w+|[^\\w\\s]");

    private final Set<CExpression> expressions = new TreeSet<>();
    private final Iterator<String> tokens;

    private Declarations(Iterator<String> tokens) {
        this.tokens = tokens;
    }

    /** The C expressions for all that the headers of these names declare. */
    static Set<CExpression> of(String preprocessed, Set<String> headers) {
        var macros = new TreeSet<CExpression>();
        var code = new StringBuilder();
        boolean wanted = false;
        for (String line : preprocessed.lines().toList()) {
            var marker = LINE_MARKER.matcher(line);
            var macro = MACRO.matcher(line);
            if (marker.matches()) {
                wanted = headers.contains(marker.group(1));
            } else if (wanted && macro.matches()) {
                String name = macro.group(1);
                String body = macro.group(2).strip();
                macros.add(body.startsWith("\"") ? CExpression.text(name, body) : CExpression.constant(name));
            } else if (wanted && !line.startsWith("#")) {
                code.append(line).append('\n');
            }
        }
        var plain = ATTRIBUTE.matcher(code).replaceAll("");
        var declarations = new Declarations(TOKEN.matcher(plain).results().map(MatchResult::group).iterator());
        declarations.read();
        declarations.expressions.addAll(macros);
        return declarations.expressions;
    }

    /** The names of the ioctls that a header defines. */
    static Set<String> ioctls(String preprocessed, String header) {
        var names = new TreeSet<String>();
        boolean wanted = false;
        for (String line : preprocessed.lines().toList()) {
            var marker = LINE_MARKER.matcher(line);
            var macro = MACRO.matcher(line);
            if (marker.matches()) {
                wanted = marker.group(1).equals(header);
            } else if (wanted && macro.matches() && IOCTL.matcher(macro.group(2)).lookingAt()) {
                names.add(macro.group(1));
            }
        }
        return names;
    }

    private void read() {
        String keyword = "";
        String tag = "";
        while (tokens.hasNext()) {
            String token = tokens.next();
            if (token.equals("{") && (keyword.equals("enum") || tag.equals("enum"))) {
                enumerators();
            } else if (token.equals("{")) {
                String type = keyword + " " + tag;
                expressions.add(CExpression.size(type));
                members().forEach(member -> expressions.add(CExpression.offset(type, member)));
            }
            keyword = tag;
            tag = token;
        }
    }

    private void enumerators() {
        String previous = ",";
        for (String token = tokens.next(); !token.equals("}"); token = tokens.next()) {
            if (previous.equals(",")) {
                expressions.add(CExpression.constant(token));
            }
            previous = token;
        }
    }

    /** The members up to the closing brace; those of a nested struct by their path. */
    private List<String> members() {
        var members = new ArrayList<String>();
        var nested = List.<String>of();
        String name = "";
        String index = "";
        for (String token = tokens.next(); !token.equals("}"); token = tokens.next()) {
            switch (token) {
                case "{" -> {
                    nested = members();
                    name = "";
                }
                case "[" -> {
                    index = "[0]";
                    skipTo("]");
                }
                case ":" -> tokens.next();
                case ",", ";" -> {
                    if (name.isEmpty()) {
                        members.addAll(nested);
                    } else {
                        String prefix = name + index + ".";
                        members.add(name);
                        nested.forEach(member -> members.add(prefix + member));
                    }
                    index = "";
                    if (token.equals(";")) {
                        nested = List.of();
                    }
                }
                case "*" -> {
                }
                default -> name = token;
            }
        }
        return members;
    }

    private void skipTo(String end) {
        while (!tokens.next().equals(end)) {
        }
    }
}
