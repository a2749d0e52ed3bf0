package dev.kvmvfio.cli;

import java.util.Locale;
import org.apache.commons.cli.Option;

/** {@code kvm-vfio manual}: a page for man(1), made of what the help says. */
final class ManualCommand extends Command {
    private static final String BEGINNING = """
            .TH KVM\\-VFIO 8 "" "%s" "System administration"
            .SH NAME
            kvm\\-vfio \\- attach PCI devices of the host to virtual machines
            .SH SYNOPSIS
            .B kvm\\-vfio
            COMMAND [OPTION...]
            .SH DESCRIPTION
            %s
            """;
    private static final String END = """
            .SH EXIT STATUS
            %s
            .SH ENVIRONMENT
            .TP
            .B NO_COLOR
            When it is set and not empty, nothing is coloured. Only a terminal ever gets colours.
            .SH FILES
            .TP
            .I /run/kvm\\-vfio
            The drivers that devices had before bind, for unbind.
            .TP
            .I /etc/udev/rules.d/60\\-kvm\\-vfio\\-*.rules
            What bind \\-\\-persist wrote.
            .SH SEE ALSO
            .BR lspci (8),
            .BR udev (7)
            """;

    ManualCommand() {
        super("manual", "",
                "Prints a page for man: kvm-vfio manual | man -l -, or into a file kvm-vfio.8 below a folder man8.",
                "");
    }

    @Override
    int run(Invocation invocation) {
        StringBuilder page = new StringBuilder(
                String.format(Locale.ROOT, BEGINNING, KvmVfioCommand.VERSION, text(KvmVfioCommand.SUMMARY)));
        page.append(".SH COMMANDS\n");
        for (Command command : KvmVfioCommand.commands()) {
            page.append(".SS ").append(text(command.synopsis())).append('\n').append(text(command.description()))
                    .append('\n');
            for (Option option : command.options().getOptions()) {
                page.append(".TP\n.B ").append(text(name(option))).append('\n').append(text(option.getDescription()))
                        .append('\n');
            }
            if (!command.json().isEmpty()) {
                page.append(".PP\nJSON: ").append(text(command.json())).append('\n');
            }
        }
        invocation.out().lines(page + String.format(Locale.ROOT, END, text(KvmVfioCommand.EXIT_CODES)));
        return 0;
    }

    private static String name(Option option) {
        return (option.getOpt() == null ? "" : "-" + option.getOpt() + ", ") + "--" + option.getLongOpt()
                + (option.hasArg() ? "=" + option.getArgName() : "");
    }

    /** A backslash, a hyphen, and a dot at the beginning of a line mean something to troff. */
    private static String text(String words) {
        String escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("…", "...");
        return escaped.startsWith(".") || escaped.startsWith("'") ? "\\&" + escaped : escaped;
    }
}
