package dev.kvmvfio.passthrough;

import static dev.kvmvfio.passthrough.Finding.fails;
import static dev.kvmvfio.passthrough.Finding.ok;
import static dev.kvmvfio.passthrough.Finding.warning;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.vfio.VfioContainer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Checks whether this host is ready for passthrough, and says what mends what is missing. It changes nothing, and opens
 * nothing but {@code /dev/kvm}.
 *
 * {@snippet :
 * HostCheck.run(Kernel.linux(), 1L << 30).forEach(System.out::println);
 * }
 *
 * <p>The findings' ids are {@code cpu}, {@code kvm}, {@code kernel-options}, {@code iommu},
 * {@code interrupt-remapping}, {@code modules}, {@code container}, {@code iommufd}, {@code devices}, {@code device}
 * (for each device that a VFIO driver has and that cannot be attached), {@code memlock} and {@code huge-pages}.
 */
public final class HostCheck {
    private static final int IPC_LOCK = 14;
    private static final String HUGE_PAGES = "/sys/kernel/mm/hugepages";
    private static final Pattern SIZE = Pattern.compile("hugepages-([1-9]\\d{0,11})kB");
    private static final String UNSAFE_NO_IOMMU = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";

    private final Kernel kernel;
    private final long memory;
    private final String cpu;
    private final List<String> commandLine;
    private final boolean hasIommu;

    private HostCheck(Kernel kernel, long memory) {
        this.kernel = kernel;
        this.memory = memory;
        this.cpu = text("/proc/cpuinfo");
        String options = SystemFiles.lines(kernel, "/proc/cmdline").findFirst().orElse("");
        this.commandLine = List.of(options.split("\\s+"));
        this.hasIommu = !IommuGroup.list(kernel).isEmpty();
    }

    /**
     * Checks a host.
     *
     * @param kernel the host
     * @param memory how much guest memory a device shall reach, in bytes
     * @return one finding for each precondition, in the order in which they build on each other
     * @throws KernelException when the host's files cannot be read
     * @throws AnswerException when they say what cannot be
     */
    public static List<Finding> run(Kernel kernel, long memory) {
        HostCheck check = new HostCheck(kernel, memory);
        List<Finding> findings = new ArrayList<>();
        findings.add(check.cpu());
        findings.add(check.kvm());
        findings.add(check.kernelOptions());
        findings.add(check.iommu());
        findings.add(check.interruptRemapping());
        findings.add(check.modules());
        findings.addAll(check.nodes());
        findings.addAll(check.devices());
        findings.add(check.memlock());
        findings.add(check.hugePages());
        return findings;
    }

    private String text(String path) {
        return SystemFiles.text(kernel, path).orElse("");
    }

    private boolean exists(String path) {
        return SystemFiles.exists(kernel, path);
    }

    private boolean cpuHas(String flag) {
        return Pattern.compile("(?m)^flags\\s*:.* " + flag + "( |$)").matcher(cpu).find();
    }

    private boolean isX86() {
        return cpu.contains("vendor_id");
    }

    private Finding cpu() {
        if (cpuHas("vmx")) {
            return ok("cpu", "the processor has VT-x");
        }
        if (cpuHas("svm")) {
            return ok("cpu", "the processor has AMD-V");
        }
        if (!isX86()) {
            return ok("cpu", "on this processor " + Kvm.PATH + " tells whether it has virtualisation");
        }
        return kernel.access(Kvm.PATH) == 0
                ? ok("cpu", "the processor shows no VT-x or AMD-V, but there is " + Kvm.PATH)
                : fails("cpu", "the processor shows no VT-x or AMD-V",
                        "Switch virtualisation on in the firmware; a virtual machine needs it from its host (nested)");
    }

    private Finding kvm() {
        try (Kvm kvm = Kvm.open(kernel)) {
            return ok("kvm", Kvm.PATH + " can be opened, API version " + kvm.apiVersion());
        } catch (KernelException refused) {
            String module = cpuHas("vmx") ? "kvm_intel" : cpuHas("svm") ? "kvm_amd" : "kvm";
            return switch (refused.errno()) {
                case ENOENT -> fails("kvm", "there is no " + Kvm.PATH,
                        whenMissing(Kvm.PATH, "kvm", "sudo modprobe " + module));
                case EACCES -> fails("kvm", "no permission for " + Kvm.PATH,
                        "sudo usermod -aG kvm \"$USER\" && newgrp kvm");
                case EPERM -> fails("kvm", "a container or a security module refuses " + Kvm.PATH,
                        "Start the container with --device " + Kvm.PATH);
                default -> fails("kvm", refused.getMessage(), "sudo modprobe " + module);
            };
        } catch (KvmVfioException notKvm) {
            return fails("kvm", notKvm.getMessage(), "");
        }
    }

    private Finding kernelOptions() {
        List<String> off = commandLine.stream()
                .filter(Pattern.compile("(iommu|intel_iommu|amd_iommu|intremap)=off|nointremap|noiommu")
                        .asMatchPredicate())
                .toList();
        if (!off.isEmpty()) {
            return fails("kernel-options", "the kernel's command line has " + String.join(" ", off),
                    changeCommandLine("", off));
        }
        List<String> missing = missingBuildOptions("CONFIG_KVM", "CONFIG_IOMMU_API", "CONFIG_VFIO", "CONFIG_VFIO_PCI");
        if (!missing.isEmpty()) {
            return fails("kernel-options", "this kernel was built without " + String.join(", ", missing),
                    "Boot a kernel that has them, such as the distribution's own");
        }
        if (commandLine.stream().anyMatch(option -> option.startsWith("pcie_acs_override"))) {
            return warning("kernel-options",
                    "pcie_acs_override makes groups look smaller than what the hardware can tell apart",
                    changeCommandLine("", List.of("pcie_acs_override")));
        }
        return ok("kernel-options", "nothing on the kernel's command line stands in the way");
    }

    /** Empty also when the kernel does not tell how it was built. */
    private List<String> missingBuildOptions(String... options) {
        String config = "\n" + text("/boot/config-" + text("/proc/sys/kernel/osrelease"));
        return config.length() == 1
                ? List.of()
                : Stream.of(options).filter(
                        option -> !config.contains("\n" + option + "=y") && !config.contains("\n" + option + "=m"))
                        .toList();
    }

    /** The command that adds an option to the kernel's command line, or takes some away. */
    private String changeCommandLine(String added, List<String> removed) {
        if (exists("/usr/sbin/grubby")) {
            String remove = removed.isEmpty() ? "" : " --remove-args=\"" + String.join(" ", removed) + "\"";
            return "sudo grubby --update-kernel=ALL" + remove + (added.isEmpty() ? "" : " --args=" + added)
                    + " && sudo reboot";
        }
        if (exists("/etc/default/grub")) {
            String edit = added.isEmpty()
                    ? removed.stream().map(option -> "s/" + option + "[^ \"]*//").collect(Collectors.joining("; "))
                    : "s/^GRUB_CMDLINE_LINUX=\"/&" + added + " /";
            return "sudo sed -i '" + edit + "' /etc/default/grub && sudo update-grub && sudo reboot";
        }
        return added.isEmpty()
                ? "Take it from the kernel's command line in the boot loader, and boot again"
                : "Add " + added + " to the kernel's command line in the boot loader, and boot again";
    }

    private Finding iommu() {
        if (hasIommu) {
            return ok("iommu", "the IOMMU is on: " + IommuGroup.list(kernel).size() + " groups"
                    + names("/sys/class/iommu"));
        }
        if (text(UNSAFE_NO_IOMMU).equals("Y")) {
            return fails("iommu", "there is no IOMMU, and VFIO's unsafe mode without one is not supported", "");
        }
        if (exists("/sys/firmware/acpi/tables/DMAR")) {
            return fails("iommu", "the firmware has an IOMMU (VT-d), and the kernel does not use it",
                    changeCommandLine("intel_iommu=on", List.of()));
        }
        return fails("iommu", "no IOMMU is switched on",
                "Switch it on in the firmware (VT-d, AMD-Vi or SMMU); a virtual machine needs one from its host");
    }

    private String names(String folder) {
        List<String> names = SystemFiles.names(kernel, folder);
        return names.isEmpty() ? "" : " by " + String.join(", ", names);
    }

    private Finding interruptRemapping() {
        String id = "interrupt-remapping";
        return switch (InterruptRemapping.of(kernel)) {
            case ON -> ok(id, "a device can raise no interrupts but its own");
            case UNKNOWN -> ok(id, "this platform does not tell whether interrupts are remapped");
            case OFF -> InterruptRemapping.isUnsafeAllowed(kernel, "vfio_iommu_type1")
                    || InterruptRemapping.isUnsafeAllowed(kernel, "iommufd")
                            ? warning(id, "there is none, and allow_unsafe_interrupts is set: a guest can raise any "
                                    + "interrupt of the host", "Give devices to trusted guests only")
                            : fails(id, "there is none, so VFIO takes no device",
                                    "Switch it on in the firmware (VT-d with interrupt remapping, AMD-Vi, x2APIC)");
        };
    }

    private Finding modules() {
        if (!exists("/sys/bus/pci/drivers/vfio-pci")) {
            return fails("modules", "the driver vfio-pci is not loaded", "sudo modprobe vfio-pci");
        }
        return ok("modules", "the driver vfio-pci is loaded");
    }

    private List<Finding> nodes() {
        int container = kernel.access(VfioContainer.PATH);
        int iommufd = kernel.access(Iommufd.PATH);
        boolean none = container < 0 && iommufd < 0;
        List<String> missing = missingBuildOptions("CONFIG_IOMMUFD", "CONFIG_VFIO_DEVICE_CDEV");
        return List.of(
                node("container", "group", VfioContainer.PATH, container, none,
                        whenMissing(VfioContainer.PATH, "vfio", "sudo modprobe vfio_iommu_type1")),
                node("iommufd", "cdev", Iommufd.PATH, iommufd, none,
                        whenMissing(Iommufd.PATH, "iommu", missing.isEmpty()
                                ? "sudo modprobe iommufd"
                                : "Boot a kernel with " + String.join(" and ", missing) + " (Linux 6.6 or later)")));
    }

    /** The kernel makes the node of a device that it has, so one that is missing was kept from a container. */
    private String whenMissing(String path, String device, String withoutTheDevice) {
        return exists("/sys/class/misc/" + device) ? "Start the container with --device " + path : withoutTheDevice;
    }

    /** One of the two interfaces is enough. */
    private static Finding node(String id, String kind, String path, int result, boolean none, String whenMissing) {
        if (result == 0) {
            return ok(id, path + " can be used, for the " + kind + " interface");
        }
        Errno errno = Errno.of(-result);
        String reason = errno == Errno.ENOENT
                ? "there is no " + path + ", which the " + kind + " interface needs"
                : "no permission for " + path + " (" + errno + "), which the " + kind + " interface needs";
        String remedy = switch (errno) {
            case ENOENT -> whenMissing;
            case EPERM -> "Start the container with --device " + path;
            default -> "sudo chown \"$USER\" " + path;
        };
        return none ? fails(id, reason, remedy) : warning(id, reason, remedy);
    }

    private List<Finding> devices() {
        List<Candidate> all = Candidate.list(kernel);
        List<Finding> findings = new ArrayList<>();
        long attachable = all.stream().filter(Candidate::isAttachable).count();
        Predicate<Candidate> bound = candidate -> candidate.driver().filter("vfio-pci"::equals).isPresent();
        findings.add(attachable > 0
                ? ok("devices", attachable + " of " + all.size() + " PCI devices can be attached")
                : fails("devices",
                        all.stream().anyMatch(bound)
                                ? "no PCI device can be attached"
                                : "no PCI device is bound to vfio-pci",
                        all.stream().filter(bound.negate()).filter(candidate -> candidate.iommuGroup().isPresent())
                                .findAny().map(_ -> "kvm-vfio list, then sudo kvm-vfio bind ADDRESS").orElse("")));
        all.stream().filter(bound.and(Predicate.not(Candidate::isAttachable))).map(HostCheck::blocked)
                .forEach(findings::add);
        return findings;
    }

    private static Finding blocked(Candidate candidate) {
        Obstacle obstacle = candidate.obstacle().orElseThrow();
        return warning("device", candidate.address() + " cannot be attached: " + obstacle.reason(), obstacle.remedy());
    }

    private Finding memlock() {
        long limit = kernel.rlimit(system_h.RLIMIT_MEMLOCK());
        if (mayLockAll()) {
            return ok("memlock", "this process may pin any amount of memory (CAP_IPC_LOCK)");
        }
        if (limit >= memory) {
            return ok("memlock", limit == Long.MAX_VALUE
                    ? "there is no limit for pinned memory"
                    : "RLIMIT_MEMLOCK is " + mebibytes(limit) + ", enough for " + mebibytes(memory)
                            + " of guest memory");
        }
        return fails("memlock",
                "RLIMIT_MEMLOCK is " + mebibytes(limit) + ", and " + mebibytes(memory)
                        + " of guest memory would be pinned for a device",
                "sudo prlimit --pid $$ --memlock=" + memory + ":" + memory + "  # a container: --ulimit memlock="
                        + memory);
    }

    private static String mebibytes(long bytes) {
        return bytes % (1 << 20) == 0 ? (bytes >> 20) + " MiB" : (bytes >> 10) + " KiB";
    }

    private boolean mayLockAll() {
        Matcher effective = Pattern.compile("(?m)^CapEff:\\s*([0-9a-f]{1,16})$").matcher(text("/proc/self/status"));
        return effective.find() && (Long.parseUnsignedLong(effective.group(1), 16) >>> IPC_LOCK & 1) == 1;
    }

    /** The size in a name such as {@code hugepages-2048kB}, in bytes. */
    private static long bytesOf(String hugePages) {
        return SystemFiles.parse("readdir", HUGE_PAGES, hugePages, "size of huge pages", name -> {
            Matcher size = SIZE.matcher(name);
            if (!size.matches()) {
                throw new IllegalArgumentException(name);
            }
            return Long.parseLong(size.group(1)) << 10;
        });
    }

    private Finding hugePages() {
        List<String> sizes = SystemFiles.names(kernel, HUGE_PAGES);
        if (sizes.isEmpty()) {
            return warning("huge-pages", "this kernel has no huge pages", "");
        }
        List<String> free = new ArrayList<>();
        for (String size : sizes) {
            long bytes = bytesOf(size);
            long count = SystemFiles.number(kernel, HUGE_PAGES + "/" + size + "/free_hugepages", Integer.MAX_VALUE)
                    .orElse(0L);
            if (count > 0) {
                free.add(count + " of " + mebibytes(bytes));
            }
            if (count >= Math.ceilDiv(memory, bytes)) {
                return ok("huge-pages", count + " of " + mebibytes(bytes) + " are free");
            }
        }
        String smallest = Collections.min(sizes, Comparator.comparingLong(HostCheck::bytesOf));
        long bytes = bytesOf(smallest);
        return warning("huge-pages",
                (free.isEmpty() ? "none are free" : "only " + String.join(", ", free) + " are free")
                        + ": guest memory of ordinary pages takes longer to pin and more of the IOMMU's tables",
                "echo " + Math.ceilDiv(memory, bytes) + " | sudo tee " + HUGE_PAGES + "/" + smallest + "/nr_hugepages");
    }
}
