package dev.kvmvfio.cli;

import dev.kvmvfio.cli.Output.Cell;
import dev.kvmvfio.cli.Output.Style;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.Obstacle;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.apache.commons.cli.Option;
import org.apache.commons.cli.ParseException;

/** {@code kvm-vfio list}: the PCI devices, and which of them can be attached. */
final class ListCommand extends Command {
    private static final List<String> TITLES = List.of("ADDRESS", "ID", "DRIVER", "GROUP", "CDEV", "ATTACH", "NAME");
    private static final String BRANCH = "├─ ";
    private static final String LAST_BRANCH = "└─ ";
    private static final int NO_GROUP = -1;
    private static final Map<String, String> CLASSES = new TreeMap<>(Map.of("storage", "01", "nvme", "0108", "network",
            "02", "display", "03", "multimedia", "04", "bridge", "06", "usb", "0c03", "accelerator", "12"));
    private static final Pattern DIGITS = Pattern.compile("(?:0x)?([0-9a-f]{2,6})");
    private static final String ANY_DRIVER = "";

    private static final Option CLASS = valued("class", "CLASS",
            "Only devices of this class: " + String.join(", ", CLASSES.keySet())
                    + ", or the first digits of a class code, such as 0200.");
    private static final Option VENDOR = valued("vendor", "VENDOR",
            "Only devices of this vendor: its number, such as 8086, or a part of its name.");
    private static final Option DRIVER = valued("driver", "DRIVER",
            "Only devices that this driver has; - for those that none has.");
    private static final Option GROUPS = flag("groups",
            "Show the devices below their IOMMU groups. The devices of a group go to one user together.");

    ListCommand() {
        super("list", ANY_DEVICES,
                "Lists the PCI devices of this host, or those named. It says of each whether it can be attached, and why "
                        + "not.",
                """
                        {devices: [{address, vendorId, deviceId, classCode, name, driver, iommuGroup, cdev, attachable, \
                        obstacle: {reason, remedy}}]}; IDs and codes in hexadecimal, what a device does not have is null""",
                CLASS, VENDOR, DRIVER, GROUPS);
    }

    /** The classes that have a name. */
    static List<String> classes() {
        return List.copyOf(CLASSES.keySet());
    }

    private record Document(List<Device> devices) {
    }

    private record Device(String address, String vendorId, String deviceId, String classCode, String name,
            String driver,
            Integer iommuGroup, String cdev, boolean attachable, Problem obstacle) {
        Device(Candidate from) {
            this(from.address().toString(), Json.hex(4, from.vendorId()), Json.hex(4, from.deviceId()),
                    Json.hex(6, from.classCode()), from.name().orElse(null), from.driver().orElse(null),
                    from.iommuGroup().stream().boxed().findFirst().orElse(null), from.cdev().orElse(null),
                    from.isAttachable(), from.obstacle().map(Problem::new).orElse(null));
        }
    }

    private record Problem(String reason, String remedy) {
        Problem(Obstacle from) {
            this(from.reason(), Json.orNull(from.remedy()));
        }
    }

    /** Which devices are wanted. */
    private record Filter(String classCode, String vendor, String driver) {
        boolean takes(Candidate device) {
            return String.format(Locale.ROOT, "%06x", device.classCode()).startsWith(classCode)
                    && (driver.equals(ANY_DRIVER) || driver.equals(device.driver().orElse("-")))
                    && (vendor.isEmpty() || vendor.equals(String.format(Locale.ROOT, "%04x", device.vendorId()))
                            || device.name().filter(name -> name.toLowerCase(Locale.ROOT).contains(vendor))
                                    .isPresent());
        }
    }

    @Override
    int run(Invocation invocation) throws ParseException {
        Filter filter = new Filter(classCode(invocation.value(CLASS, "")), vendor(invocation.value(VENDOR, "")),
                invocation.value(DRIVER, ANY_DRIVER));
        List<Candidate> devices = invocation.onHost(kernel -> candidates(invocation, kernel)).stream()
                .filter(filter::takes).toList();
        invocation.report(new Document(devices.stream().map(Device::new).toList()), () -> {
            if (invocation.has(GROUPS)) {
                tree(invocation.out(), devices);
            } else {
                table(invocation.out(), devices);
            }
        });
        return 0;
    }

    private static List<Candidate> candidates(Invocation invocation, Kernel kernel) throws ParseException {
        if (invocation.parameters().isEmpty()) {
            return Candidate.list(kernel);
        }
        List<PciAddress> named = invocation.devices(kernel).stream().map(PciDevice::address).toList();
        return Candidate.list(kernel).stream().filter(device -> named.contains(device.address())).toList();
    }

    private static String classCode(String text) throws ParseException {
        String digits = CLASSES.getOrDefault(text.toLowerCase(Locale.ROOT), text.toLowerCase(Locale.ROOT));
        if (!digits.isEmpty() && !DIGITS.matcher(digits).matches()) {
            throw new ParseException("there is no class " + text + Suggestion.of(text, classes())
                    + "; it is one of " + String.join(", ", CLASSES.keySet()) + ", or digits such as 0200");
        }
        return digits.replace("0x", "");
    }

    private static String vendor(String text) {
        return text.toLowerCase(Locale.ROOT).replaceFirst("^0x", "");
    }

    private static void tree(Output out, List<Candidate> devices) {
        Map<Integer, List<Candidate>> groups = new TreeMap<>();
        devices.forEach(device -> groups.computeIfAbsent(device.iommuGroup().orElse(NO_GROUP), _ -> new ArrayList<>())
                .add(device));
        OptionalInt columns = out.columns().stream().map(width -> width - BRANCH.length()).findFirst();
        groups.forEach((group, members) -> {
            out.line(group == NO_GROUP ? "in no IOMMU group" : "IOMMU group " + group);
            Table table = new Table();
            members.forEach(member -> table.add(row(member)));
            List<List<Cell>> rows = table.fitted(columns);
            for (int i = 0; i < rows.size(); i++) {
                List<Cell> line = new ArrayList<>(rows.get(i));
                line.addFirst(new Cell(i < rows.size() - 1 ? BRANCH : LAST_BRANCH, Style.PLAIN));
                out.line(line);
            }
        });
    }

    private static void table(Output out, List<Candidate> devices) {
        Table table = new Table();
        table.add(TITLES.stream().map(title -> new Cell(title, Style.PLAIN)).toList());
        devices.forEach(device -> table.add(row(device)));
        table.fitted(out.columns()).forEach(out::line);
    }

    private static List<Cell> row(Candidate device) {
        Cell attach = device.obstacle().map(obstacle -> new Cell("no: " + obstacle.reason(), Style.WARNING))
                .orElse(new Cell("yes", Style.GOOD));
        return List.of(plain(device.address().toString()),
                plain(String.format(Locale.ROOT, "%04x:%04x", device.vendorId(), device.deviceId())),
                plain(device.driver().orElse("-")),
                plain(device.iommuGroup().stream().mapToObj(Integer::toString).findFirst().orElse("-")),
                plain(device.cdev().map(path -> path.substring(path.lastIndexOf('/') + 1)).orElse("-")), attach,
                plain(device.name().orElse(String.format(Locale.ROOT, "class %06x", device.classCode()))));
    }

    private static Cell plain(String text) {
        return new Cell(text, Style.PLAIN);
    }
}
