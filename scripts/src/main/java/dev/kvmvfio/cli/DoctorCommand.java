package dev.kvmvfio.cli;

import dev.kvmvfio.passthrough.Finding;
import dev.kvmvfio.passthrough.Finding.Level;
import dev.kvmvfio.passthrough.HostCheck;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code kvm-vfio doctor}: what this host lacks, and what mends it. */
@Command(name = "doctor", mixinStandardHelpOptions = true, description = "Checks every precondition of passthrough on this host, and names the command that mends what is missing. It changes nothing.", exitCodeListHeading = "Exit codes:%n", exitCodeList = {
    "0:nothing fails (there may be warnings)", "1:something fails", "2:wrong usage"})
final class DoctorCommand implements Callable<Integer> {
    @Mixin
    private HostOptions host;

    @Option(names = "--memory", paramLabel = "MIB", defaultValue = "1024", description = "How much guest memory a device shall reach, in MiB (default: ${DEFAULT-VALUE}).")
    private int memoryMib;

    @Spec
    private CommandSpec spec;

    private record Document(String level, List<Entry> findings) {
    }

    private record Entry(String id, String level, String reason, String remedy) {
        Entry(Finding finding) {
            this(finding.id(), name(finding.level()), finding.reason(), finding.remedy());
        }
    }

    private static String name(Level level) {
        return level.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public Integer call() {
        if (memoryMib < 1) {
            throw new ParameterException(spec.commandLine(), "--memory needs at least 1 MiB, not " + memoryMib);
        }
        List<Finding> findings = host.onHost(kernel -> HostCheck.run(kernel, (long) memoryMib << 20));
        Level worst = findings.stream().map(Finding::level).max(Comparator.naturalOrder()).orElseThrow();
        host.report(new Document(name(worst), findings.stream().map(Entry::new).toList()),
                () -> findings.forEach(this::print));
        return worst == Level.FAILS ? KvmVfioCommand.REFUSED : 0;
    }

    private void print(Finding finding) {
        host.line("%-7s  %-19s  %s", finding.level() == Level.OK ? "OK" : name(finding.level()), finding.id(),
                finding.reason());
        if (!finding.remedy().isEmpty()) {
            host.line("%-7s  %-19s  > %s", "", "", finding.remedy());
        }
    }
}
