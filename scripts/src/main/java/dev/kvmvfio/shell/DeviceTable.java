package dev.kvmvfio.shell;

import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.Obstacle;
import java.util.List;

/**
 * PCI devices as a table for people.
 *
 * @param candidates its rows
 */
public record DeviceTable(List<Candidate> candidates) {
    @Override
    public String toString() {
        StringBuilder table = new StringBuilder();
        line(table, "ADDRESS", "DEVICE", "DRIVER", "GROUP", "CDEV", "CAN BE ATTACHED");
        for (Candidate each : candidates) {
            line(table, each.address().toString(),
                    String.format("%04x:%04x %s", each.vendorId(), each.deviceId(), each.name().orElse("")),
                    each.driver().orElse("-"),
                    each.iommuGroup().stream().mapToObj(Integer::toString).findFirst().orElse("-"),
                    each.cdev().map(path -> path.substring(path.lastIndexOf('/') + 1)).orElse("-"),
                    each.obstacle().map(Obstacle::reason).map("no: "::concat).orElse("yes"));
        }
        return table.toString();
    }

    private static void line(StringBuilder table, String... cells) {
        table.append('\n').append(String.format("%-13s %-40.40s %-10s %5s  %-7s %s", (Object[]) cells).stripTrailing());
    }
}
