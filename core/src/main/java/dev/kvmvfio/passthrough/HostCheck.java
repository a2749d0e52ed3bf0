package dev.kvmvfio.passthrough;

import static dev.kvmvfio.passthrough.Finding.fails;
import static dev.kvmvfio.passthrough.Finding.ok;
import static dev.kvmvfio.passthrough.Finding.warning;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.internal.Surroundings;
import dev.kvmvfio.internal.SystemFiles;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.KvmVfioException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.vfio.VfioContainer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Checks whether this host is ready for passthrough, and says what mends what is missing. It changes nothing, and opens
 * nothing but {@code /dev/kvm}.
 *
 * {@snippet :
 * HostCheck.run(Kernel.linux(), 1L << 30).forEach(System.out::println);
 * }
 *
 * <p>Each check gives one finding of its name; {@code devices} adds a finding {@code device} for each device that a VFIO
 * driver has and that cannot be attached.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class HostCheck {
    private static final Map<String, Function<HostCheck, List<Finding>>> CHECKS = checks();

    private static final int IPC_LOCK = 14;
    private static final String HUGE_PAGES = "/sys/kernel/mm/hugepages";
    private static final Pattern SIZE = Pattern.compile("hugepages-([1-9]\\d{0,11})kB");
    private static final String UNSAFE_NO_IOMMU = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
    private static final String KVM_DEVICE = "/sys/class/misc/kvm";
    private static final String NO_VIRTUALISATION = "the processor shows no VT-x or AMD-V";
    private static final String SWITCH_ON = "Switch virtualisation on in the firmware; a virtual machine needs it from its "
            + "host (nested)";
    private static final Pattern OFF = Pattern
            .compile("(iommu|intel_iommu|amd_iommu|intremap)=(\\S+,)?off(,\\S+)?|nointremap|noiommu");
    private static final Pattern ACS_OVERRIDE = Pattern.compile("pcie_acs_override(=[\\w:,]+)?");

    private final Kernel kernel;
    private final long memory;
    private final Surroundings surroundings;
    private final NodeRemedy nodes;
    private final KernelBuild build;
    private final String cpu;
    private final List<String> commandLine;
    private final boolean hasIommu;

    private HostCheck(Kernel kernel, long memory) {
        this.kernel = kernel;
        this.memory = memory;
        this.surroundings = new Surroundings(kernel);
        this.nodes = new NodeRemedy(kernel);
        this.build = new KernelBuild(kernel);
        this.cpu = text("/proc/cpuinfo");
        String options = SystemFiles.lines(kernel, "/proc/cmdline").findFirst().orElse("");
        this.commandLine = List.of(options.split("\\s+"));
        this.hasIommu = !IommuGroup.list(kernel).isEmpty();
    }

    private static Map<String, Function<HostCheck, List<Finding>>> checks() {
        Map<String, Function<HostCheck, List<Finding>>> checks = new LinkedHashMap<>();
        checks.put("cpu", check -> List.of(check.cpu()));
        checks.put("kvm", check -> List.of(check.kvm()));
        checks.put("kernel-options", check -> List.of(check.kernelOptions()));
        checks.put("iommu", check -> List.of(check.iommu()));
        checks.put("interrupt-remapping", check -> List.of(check.interruptRemapping()));
        checks.put("modules", check -> List.of(check.modules()));
        checks.put("container", check -> List.of(check.container()));
        checks.put("iommufd", check -> List.of(check.iommufd()));
        checks.put("devices", HostCheck::devices);
        checks.put("memlock", check -> List.of(check.memlock()));
        checks.put("huge-pages", check -> List.of(check.hugePages()));
        return checks;
    }

    /**
     * What can be checked.
     *
     * @return the names of the checks, in the order in which they build on each other
     */
    public static List<String> names() {
        return List.copyOf(CHECKS.keySet());
    }

    /**
     * Checks all of a host.
     *
     * @param kernel the host
     * @param memory how much guest memory a device shall reach, in bytes
     * @return one finding for each precondition, in the order in which they build on each other
     * @throws KernelException when the host's files cannot be read
     * @throws AnswerException when they say what cannot be
     */
    public static List<Finding> run(Kernel kernel, long memory) {
        return run(kernel, memory, names());
    }

    /**
     * Checks a part of a host, such as {@code kvm} alone.
     *
     * @param kernel the host
     * @param memory how much guest memory a device shall reach, in bytes
     * @param names some of {@link #names()}
     * @return the findings of these checks, in the order in which they build on each other
     * @throws IllegalArgumentException when there is no check of a name
     * @throws KernelException when the host's files cannot be read
     * @throws AnswerException when they say what cannot be
     */
    public static List<Finding> run(Kernel kernel, long memory, Collection<String> names) {
        names.stream().filter(name -> !CHECKS.containsKey(name)).findFirst().ifPresent(name -> {
            throw new IllegalArgumentException("there is no check " + name);
        });
        HostCheck check = new HostCheck(kernel, memory);
        return CHECKS.entrySet().stream().filter(entry -> names.contains(entry.getKey()))
                .flatMap(entry -> entry.getValue().apply(check).stream()).toList();
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
        return exists(Kvm.PATH) || exists(KVM_DEVICE)
                ? ok("cpu", "the processor shows no VT-x or AMD-V, but there is " + Kvm.PATH)
                : fails("cpu", NO_VIRTUALISATION, SWITCH_ON);
    }

    /** It makes a VM, which it closes at once: some containers may open the node and no more. */
    private Finding kvm() {
        try (Kvm kvm = Kvm.open(kernel); Vm _ = kvm.createVm()) {
            return ok("kvm", Kvm.PATH + " can be opened, API version " + kvm.apiVersion());
        } catch (KernelException refused) {
            if (!refused.operation().equals("open")) {
                return fails("kvm", refused.getMessage(), refused.remedy());
            }
            String reason = switch (refused.errno()) {
                case ENOENT -> "there is no " + Kvm.PATH;
                case EACCES -> "no permission for " + Kvm.PATH + nodes.whose(Kvm.PATH);
                case EPERM -> "a container or a security module refuses " + Kvm.PATH;
                default -> refused.getMessage();
            };
            String remedy = nodes.of(Kvm.PATH, refused.errno(), startKvm());
            return fails("kvm", reason, remedy.isEmpty() ? startKvm() : remedy);
        } catch (KvmVfioException notKvm) {
            return fails("kvm", notKvm.getMessage(), "");
        }
    }

    /** A module that is there and made no node was refused by the processor. */
    private String startKvm() {
        boolean intel = cpuHas("vmx");
        if (isX86() && !intel && !cpuHas("svm")) {
            return SWITCH_ON;
        }
        String module = intel ? "kvm_intel" : isX86() ? "kvm_amd" : "kvm";
        String option = intel ? "CONFIG_KVM_INTEL" : isX86() ? "CONFIG_KVM_AMD" : "CONFIG_KVM";
        if (exists("/sys/module/kvm") && build.missing(option).isEmpty()) {
            return SWITCH_ON + ". The kernel's log says what KVM found: sudo dmesg | grep -i kvm";
        }
        return build.load(module, option);
    }

    private Finding kernelOptions() {
        List<String> off = switchedOff();
        if (!off.isEmpty()) {
            return fails("kernel-options", "the kernel's command line has " + String.join(" ", off),
                    BootLoader.change(kernel, List.of(), off));
        }
        List<String> missing = build.missing("CONFIG_KVM", "CONFIG_IOMMU_API", "CONFIG_VFIO", "CONFIG_VFIO_PCI");
        if (!missing.isEmpty()) {
            return fails("kernel-options", "this kernel was built without " + String.join(", ", missing),
                    "Boot a kernel that has them, such as the distribution's own");
        }
        List<String> overrides = commandLine.stream().filter(ACS_OVERRIDE.asMatchPredicate()).toList();
        if (!overrides.isEmpty()) {
            return warning("kernel-options",
                    "pcie_acs_override makes groups look smaller than what the hardware can tell apart",
                    BootLoader.change(kernel, List.of(), overrides));
        }
        return ok("kernel-options", "nothing on the kernel's command line stands in the way");
    }

    /** The options of the other vendor's IOMMU say nothing here. */
    private List<String> switchedOff() {
        String other = cpu.contains("AuthenticAMD") ? "intel_iommu" : "amd_iommu";
        return commandLine.stream().filter(OFF.asMatchPredicate()).filter(option -> !option.startsWith(other)).toList();
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
                    switchOn("CONFIG_INTEL_IOMMU", "intel_iommu=on"));
        }
        if (exists("/sys/firmware/acpi/tables/IVRS")) {
            return fails("iommu", "the firmware has an IOMMU (AMD-Vi), and the kernel does not use it",
                    switchOn("CONFIG_AMD_IOMMU", ""));
        }
        return fails("iommu", "no IOMMU is switched on",
                "Switch it on in the firmware (VT-d, AMD-Vi or SMMU); a virtual machine needs one from its host");
    }

    /** The kernel uses what it finds, when it was built for it and told so, or not told otherwise. */
    private String switchOn(String buildOption, String option) {
        List<String> missing = build.missing(buildOption);
        if (!missing.isEmpty()) {
            return KernelBuild.another(missing);
        }
        List<String> off = switchedOff();
        List<String> added = Stream.of(option).filter(name -> !name.isEmpty() && !commandLine.contains(name)).toList();
        return off.isEmpty() && added.isEmpty()
                ? "The kernel's log says why: sudo dmesg | grep -iE 'iommu|dmar|amd-vi'"
                : BootLoader.change(kernel, added, off);
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
            return fails("modules", "the driver vfio-pci is not loaded",
                    build.load("vfio-pci", "CONFIG_VFIO", "CONFIG_VFIO_PCI"));
        }
        return ok("modules", "the driver vfio-pci is loaded");
    }

    private Finding container() {
        return node("container", "group", VfioContainer.PATH, Iommufd.PATH,
                build.load("vfio_iommu_type1", "CONFIG_VFIO", "CONFIG_VFIO_IOMMU_TYPE1"));
    }

    private Finding iommufd() {
        return node("iommufd", "cdev", Iommufd.PATH, VfioContainer.PATH, loadIommufd());
    }

    private String loadIommufd() {
        List<String> missing = build.missing("CONFIG_IOMMUFD", "CONFIG_VFIO_DEVICE_CDEV");
        return missing.isEmpty()
                ? build.load("iommufd", "CONFIG_IOMMUFD")
                : "Boot a kernel with " + String.join(" and ", missing) + " (Linux 6.6 or later)";
    }

    /** One of the two interfaces is enough. */
    private Finding node(String id, String kind, String path, String otherPath, String withoutDriver) {
        int result = kernel.access(path);
        if (result == 0) {
            return ok(id, path + " can be used, for the " + kind + " interface");
        }
        Errno errno = Errno.of(-result);
        String reason = errno == Errno.ENOENT
                ? "there is no " + path + ", which the " + kind + " interface needs"
                : "no permission for " + path + " (" + errno + "), which the " + kind + " interface needs"
                        + nodes.whose(path);
        String remedy = nodes.of(path, errno, withoutDriver);
        return kernel.access(otherPath) < 0 ? fails(id, reason, remedy) : warning(id, reason, remedy);
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
                        // What keeps a bound one is told below.
                        all.stream().noneMatch(bound)
                                && all.stream().anyMatch(candidate -> candidate.iommuGroup().isPresent())
                                        ? onHost("kvm-vfio list, then sudo kvm-vfio bind ADDRESS")
                                        : ""));
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
        return fails("memlock", "RLIMIT_MEMLOCK is " + mebibytes(limit) + ", and " + mebibytes(memory)
                + " of guest memory would be pinned for a device", raiseMemlock());
    }

    private String raiseMemlock() {
        if (surroundings.isPod()) {
            return "Add the capability IPC_LOCK in the container's securityContext";
        }
        return surroundings.editService().map(edit -> "Set LimitMEMLOCK=" + memory + ": " + edit)
                .orElse(surroundings.isContainer()
                        ? "Start the container with --ulimit memlock=" + memory
                        : "sudo prlimit --pid $$ --memlock=" + memory + ":" + memory
                                + "  # a container: --ulimit memlock=" + memory);
    }

    private String onHost(String command) {
        return surroundings.isContainer() ? "On the host: " + command : command;
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
                onHost("echo " + Math.ceilDiv(memory, bytes) + " | sudo tee " + HUGE_PAGES + "/" + smallest
                        + "/nr_hugepages"));
    }
}
