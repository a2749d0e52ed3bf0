package dev.kvmvfio.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import org.apache.commons.cli.DefaultParser;
import org.apache.commons.cli.HelpFormatter;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.Options;
import org.apache.commons.cli.ParseException;
import org.apache.commons.cli.UnrecognizedOptionException;

/** One of the program's commands: its options, what they mean, and what it does. */
abstract class Command {
    static final Option JSON = flag("json", "Print one JSON document instead of lines.");
    static final Option MOCK = flag("mock",
            "Use a model of a kernel and its host instead of this one. Each call starts a new one, so what bind did is "
                    + "not there in the next.");
    /** What follows the options. */
    static final String DEVICE = "DEVICE";
    static final String DEVICES = "DEVICE…";
    static final String ANY_DEVICES = "[DEVICE…]";
    /** How a device can be named; the help of each command with one says it. */
    static final String NAMES = " DEVICE is an address (0000:6a:01.0 or 6a:01.0), the name of a device (eth1, nvme0, vfio0, "
            + "pci_0000_6a_01_0), or a path in /sys or /dev. /dev/vfio/26 stands for all devices of IOMMU group 26.";
    private static final Option HELP = Option.builder("h").longOpt("help").desc("Print this help.").get();
    private static final int USUAL_WIDTH = 100;
    private static final int LEAST_WIDTH = 40;

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
        this.description = parameter.contains(DEVICE) ? description + NAMES : description;
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

    final int run(List<String> words, Output out, Output err) throws IOException, ParseException {
        Invocation invocation = new Invocation(parse(words), out, err);
        if (invocation.has(HELP)) {
            printHelp(out);
            return 0;
        }
        List<String> parameters = invocation.parameters();
        if (parameters.isEmpty() && !parameter.isEmpty() && !parameter.startsWith("[")) {
            throw new ParseException(parameter.replace("…", "") + " is missing");
        }
        int most = parameter.isEmpty() ? 0 : parameter.contains("…") ? Integer.MAX_VALUE : 1;
        if (parameters.size() > most) {
            throw new ParseException(name + " takes no further word: " + parameters.get(most));
        }
        return run(invocation);
    }

    private org.apache.commons.cli.CommandLine parse(List<String> words) throws ParseException {
        try {
            return DefaultParser.builder().setAllowPartialMatching(false).get().parse(options,
                    words.toArray(String[]::new));
        } catch (UnrecognizedOptionException unknown) {
            String wrong = unknown.getOption();
            throw new ParseException("there is no option " + wrong
                    + Suggestion.of(wrong,
                            options.getOptions().stream().map(option -> "--" + option.getLongOpt()).toList()));
        }
    }

    void printHelp(Output out) {
        out.lines(help(Math.max(LEAST_WIDTH, Math.min(USUAL_WIDTH, out.columns().orElse(USUAL_WIDTH)))));
    }

    // The formatter that is not deprecated prints a table with titles, and blanks at the ends of lines.
    @SuppressWarnings("deprecation")
    private String help(int width) {
        HelpFormatter formatter = HelpFormatter.builder().get();
        formatter.setSyntaxPrefix("Usage: ");
        formatter.setOptionComparator(null);
        StringWriter text = new StringWriter();
        formatter.printHelp(new PrintWriter(text), width, synopsis(), "\n" + description + "\n\n", options, 2, 2,
                json.isEmpty() ? "" : "\nJSON: " + json);
        return text.toString();
    }

    final String synopsis() {
        return ("kvm-vfio " + name + " [OPTION…] " + parameter).strip();
    }

    final String name() {
        return name;
    }

    final String description() {
        return description;
    }

    /** What can stand for the parameter, when that is a few words. */
    List<String> choices() {
        return parameter.contains("|") ? List.of(parameter.split("\\|")) : List.of();
    }

    final String parameter() {
        return parameter;
    }

    final String json() {
        return json;
    }

    final Options options() {
        return options;
    }
}
