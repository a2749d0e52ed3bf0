package dev.kvmvfio.cli;

import dev.kvmvfio.cli.Output.Cell;
import dev.kvmvfio.cli.Output.Style;
import dev.kvmvfio.passthrough.Finding;
import dev.kvmvfio.passthrough.Finding.Level;
import dev.kvmvfio.passthrough.HostCheck;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio doctor}: what this host lacks, and what mends it. */
final class DoctorCommand extends Command {
    private static final int USUAL_MEMORY_MIB = 1024;
    private static final Option MEMORY = valued("memory", "SIZE",
            "How much guest memory a device shall reach, such as 512M or 2G (default: " + USUAL_MEMORY_MIB + "M).");

    DoctorCommand() {
        super("doctor", "[CHECK…]", "Checks every precondition of passthrough on this host, or the CHECKs alone, and "
                + "names the command that mends what is missing. It changes nothing, and exits with 1 when something "
                + "fails: doctor kvm exits with 0 where KVM works. The checks are "
                + String.join(", ", HostCheck.names()) + ".", """
                        {level, findings: [{id, level, reason, remedy}]}; level is ok, warning or fails, and at the \
                        beginning the worst of them; no remedy is null""", MEMORY);
    }

    private static final Map<Level, Style> STYLES = Map.of(Level.OK, Style.GOOD, Level.WARNING, Style.WARNING,
            Level.FAILS,
            Style.BAD);

    private record Document(String level, List<Entry> findings) {
    }

    private record Entry(String id, String level, String reason, String remedy) {
        Entry(Finding finding) {
            this(finding.id(), name(finding.level()), finding.reason(), Json.orNull(finding.remedy()));
        }
    }

    private static String name(Level level) {
        return level.name().toLowerCase(Locale.ROOT);
    }

    @Override
    List<String> choices() {
        return HostCheck.names();
    }

    @Override
    int run(Invocation invocation) throws ParseException {
        long memory = invocation.memory(MEMORY, USUAL_MEMORY_MIB);
        List<String> checks = checks(invocation.parameters());
        List<Finding> findings = invocation.onHost(kernel -> HostCheck.run(kernel, memory, checks));
        Level worst = findings.stream().map(Finding::level).max(Comparator.naturalOrder()).orElseThrow();
        invocation.report(new Document(name(worst), findings.stream().map(Entry::new).toList()),
                () -> findings.forEach(finding -> print(invocation, finding)));
        return worst == Level.FAILS ? KvmVfioCommand.REFUSED : 0;
    }

    private static List<String> checks(List<String> named) throws ParseException {
        List<String> all = HostCheck.names();
        for (String name : named) {
            if (!all.contains(name)) {
                throw new ParseException("there is no check " + name + Suggestion.of(name, all));
            }
        }
        return named.isEmpty() ? all : named;
    }

    private static void print(Invocation invocation, Finding finding) {
        Output out = invocation.out();
        out.wrapped(List.of(
                new Cell(String.format(Locale.ROOT, "%-9s", finding.level() == Level.OK ? "OK" : name(finding.level())),
                        STYLES.get(finding.level())),
                new Cell(String.format(Locale.ROOT, "%-21s", finding.id()), Style.PLAIN)),
                finding.reason());
        if (!finding.remedy().isEmpty()) {
            // A command is to be copied: it is not wrapped.
            out.line(" ".repeat(30) + "> " + finding.remedy());
        }
    }
}
