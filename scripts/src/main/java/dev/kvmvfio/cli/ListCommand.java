package dev.kvmvfio.cli;

import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.Obstacle;
import java.util.ArrayList;
import java.util.List;

/** {@code kvm-vfio list}: the PCI devices, and which of them can be attached. */
final class ListCommand extends Command {
    private static final List<String> TITLES = List.of("ADDRESS", "ID", "DRIVER", "GROUP", "CDEV", "ATTACH", "NAME");

    ListCommand() {
        super("list", "",
                "Lists the PCI devices of this host, and says of each whether it can be attached, and why not.",
                """
                        {devices: [{address, vendorId, deviceId, classCode, name, driver, iommuGroup, cdev, attachable, \
                        obstacle: {reason, remedy}}]}; what a device does not have is null""");
    }

    private record Document(List<Device> devices) {
    }

    private record Device(String address, int vendorId, int deviceId, int classCode, String name, String driver,
            Integer iommuGroup, String cdev, boolean attachable, Obstacle obstacle) {
        Device(Candidate from) {
            this(from.address().toString(), from.vendorId(), from.deviceId(), from.classCode(),
                    from.name().orElse(null),
                    from.driver().orElse(null), from.iommuGroup().stream().boxed().findFirst().orElse(null),
                    from.cdev().orElse(null),
                    from.isAttachable(), from.obstacle().orElse(null));
        }
    }

    @Override
    int run(Invocation invocation) {
        List<Candidate> devices = invocation.onHost(Candidate::list);
        invocation.report(new Document(devices.stream().map(Device::new).toList()), () -> table(invocation, devices));
        return 0;
    }

    private static void table(Invocation invocation, List<Candidate> devices) {
        List<List<String>> rows = new ArrayList<>(List.of(TITLES));
        devices.stream().map(ListCommand::row).forEach(rows::add);
        StringBuilder format = new StringBuilder();
        for (int column = 0; column < TITLES.size(); column++) {
            int index = column;
            format.append("%-").append(rows.stream().mapToInt(row -> row.get(index).length()).max().orElseThrow())
                    .append("s  ");
        }
        rows.forEach(row -> invocation.println(format.toString(), row.toArray()));
    }

    private static List<String> row(Candidate device) {
        return List.of(device.address().toString(), String.format("%04x:%04x", device.vendorId(), device.deviceId()),
                device.driver().orElse("-"),
                device.iommuGroup().stream().mapToObj(Integer::toString).findFirst().orElse("-"),
                device.cdev().map(path -> path.substring(path.lastIndexOf('/') + 1)).orElse("-"),
                device.obstacle().map(obstacle -> "no: " + obstacle.reason()).orElse("yes"),
                device.name().orElse(String.format("class %06x", device.classCode())));
    }
}
