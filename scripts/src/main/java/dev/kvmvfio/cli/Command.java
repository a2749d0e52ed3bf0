package dev.kvmvfio.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import org.apache.commons.cli.DefaultParser;
import org.apache.commons.cli.HelpFormatter;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.apache.commons.cli.ParseException;

/** One of the program's commands: its options, what they mean, and what it does. */
abstract class Command {
    static final Option JSON = flag("json", "Print one JSON document instead of lines.");
    static final Option MOCK = flag("mock", "Do it on the embedded model of a kernel and its host.");
    private static final Option HELP = Option.builder("h").longOpt("help").desc("Tell all this.").get();
    private static final int WIDTH = 100;

    private final String name;
    private final String parameter;
    private final String description;
    private final String json;
    private final Options options = new Options();

    /**
     * Describes a command.
     *
     * @param parameter what follows the options; empty when nothing does
     * @param json the members of the document that {@code --json} prints; empty when there is none
     */
    Command(String name, String parameter, String description, String json, Option... own) {
        this.name = name;
        this.parameter = parameter;
        this.description = description;
        this.json = json;
        for (Option option : own) {
            options.addOption(option);
        }
        if (!json.isEmpty()) {
            options.addOption(MOCK).addOption(JSON);
        }
        options.addOption(HELP);
    }

    static Option flag(String name, String description) {
        return Option.builder().longOpt(name).desc(description).get();
    }

    static Option valued(String name, String value, String description) {
        return Option.builder().longOpt(name).hasArg().argName(value).desc(description).get();
    }

    /** Returns the exit code. */
    abstract int run(Invocation invocation) throws IOException, ParseException;

    final int run(List<String> words, PrintWriter out, PrintWriter err) throws IOException, ParseException {
        Invocation invocation = new Invocation(DefaultParser.builder().setAllowPartialMatching(false).get()
                .parse(options, words.toArray(String[]::new)), out, err);
        if (invocation.has(HELP)) {
            printHelp(out);
            return 0;
        }
        List<String> parameters = invocation.parameters();
        if (parameters.isEmpty() && !parameter.isEmpty()) {
            throw new ParseException(parameter + " is missing");
        }
        int wanted = parameter.isEmpty() ? 0 : 1;
        if (parameters.size() > wanted) {
            throw new ParseException("there is no place for " + parameters.get(wanted));
        }
        return run(invocation);
    }

    // The formatter that is not deprecated prints a table with titles, and blanks at the ends of lines.
    @SuppressWarnings("deprecation")
    private void printHelp(PrintWriter out) {
        HelpFormatter formatter = HelpFormatter.builder().get();
        formatter.setSyntaxPrefix("Usage: ");
        formatter.setOptionComparator(null);
        formatter.printHelp(out, WIDTH, "kvm-vfio " + name + " [OPTION…] " + parameter, "\n" + description + "\n\n",
                options, 2, 2, json.isEmpty() ? "" : "\nJSON: " + json);
        out.flush();
    }

    String name() {
        return name;
    }

    String description() {
        return description;
    }

    String parameter() {
        return parameter;
    }

    Options options() {
        return options;
    }
}
