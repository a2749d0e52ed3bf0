package dev.kvmvfio.cli;

import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.Obstacle;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** {@code kvm-vfio list}: the PCI devices, and which of them can be attached. */
@Command(name = "list", mixinStandardHelpOptions = true, description = "Lists the PCI devices of this host, and says of each whether it can be attached, and why not.")
final class ListCommand implements Callable<Integer> {
    private static final List<String> TITLES = List.of("ADDRESS", "ID", "DRIVER", "GROUP", "CDEV", "ATTACH", "NAME");

    @Mixin
    private HostOptions host;

    private record Document(List<Device> devices) {
    }

    private record Device(String address, int vendorId, int deviceId, int classCode, String name, String driver,
            Integer iommuGroup, String cdev, boolean attachable, Obstacle obstacle) {
        Device(Candidate from) {
            this(from.address().toString(), from.vendorId(), from.deviceId(), from.classCode(),
                    from.name().orElse(null),
                    from.driver().orElse(null), from.iommuGroup().orElse(null), from.cdev().orElse(null),
                    from.isAttachable(), from.obstacle().orElse(null));
        }
    }

    @Override
    public Integer call() {
        List<Candidate> devices = host.onHost(Candidate::list);
        host.report(new Document(devices.stream().map(Device::new).toList()), () -> table(devices));
        return 0;
    }

    private void table(List<Candidate> devices) {
        List<List<String>> rows = new ArrayList<>(List.of(TITLES));
        devices.stream().map(ListCommand::row).forEach(rows::add);
        StringBuilder format = new StringBuilder();
        for (int column = 0; column < TITLES.size(); column++) {
            int index = column;
            format.append("%-").append(rows.stream().mapToInt(row -> row.get(index).length()).max().orElseThrow())
                    .append("s  ");
        }
        rows.forEach(row -> host.line(format.toString(), row.toArray()));
    }

    private static List<String> row(Candidate device) {
        return List.of(device.address().toString(), String.format("%04x:%04x", device.vendorId(), device.deviceId()),
                device.driver().orElse("-"), device.iommuGroup().map(String::valueOf).orElse("-"),
                device.cdev().map(path -> path.substring(path.lastIndexOf('/') + 1)).orElse("-"),
                device.obstacle().map(obstacle -> "no: " + obstacle.reason()).orElse("yes"),
                device.name().orElse(String.format("class %06x", device.classCode())));
    }
}
