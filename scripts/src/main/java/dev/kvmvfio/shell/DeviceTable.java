package dev.kvmvfio.shell;

import dev.kvmvfio.cli.Visible;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.Obstacle;
import java.util.AbstractList;
import java.util.List;
import java.util.Locale;

/** PCI devices as a list, which prints as a table for people. */
public final class DeviceTable extends AbstractList<Candidate> {
    private final List<Candidate> candidates;

    DeviceTable(List<Candidate> candidates) {
        this.candidates = candidates;
    }

    @Override
    public Candidate get(int index) {
        return candidates.get(index);
    }

    @Override
    public int size() {
        return candidates.size();
    }

    @Override
    public String toString() {
        StringBuilder table = new StringBuilder();
        line(table, "ADDRESS", "DEVICE", "DRIVER", "GROUP", "CDEV", "CAN BE ATTACHED");
        for (Candidate each : candidates) {
            line(table, each.address().toString(),
                    String.format(Locale.ROOT, "%04x:%04x %s", each.vendorId(), each.deviceId(),
                            each.name().orElse("")),
                    each.driver().orElse("-"),
                    each.iommuGroup().stream().mapToObj(Integer::toString).findFirst().orElse("-"),
                    each.cdev().map(path -> path.substring(path.lastIndexOf('/') + 1)).orElse("-"),
                    each.obstacle().map(Obstacle::reason).map("no: "::concat).orElse("yes"));
        }
        return table.toString();
    }

    private static void line(StringBuilder table, String... cells) {
        String line = String.format(Locale.ROOT, "%-13s %-40.40s %-10s %5s  %-7s %s", (Object[]) cells);
        table.append('\n').append(Visible.of(line).stripTrailing());
    }
}
