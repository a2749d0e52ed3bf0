package dev.kvmvfio.it.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.Stream;
import javax.tools.Diagnostic;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The kernel accepts a wrong order without a word; the compiler does not. Each misordered program here is a step away
 * from one of the well ordered ones, and that step alone is what the compiler complains about.
 */
@Tag("mock")
class MisorderedProgramsTest {
    private static final String MISSING = "compiler.err.cant.resolve.location.args";
    private static final String OTHER_ARGUMENTS = "compiler.err.cant.apply.symbol";
    private static final String NO_OVERLOAD = "compiler.err.cant.apply.symbols";
    private static final String NOT_PUBLIC = "compiler.err.not.def.public.cant.access";
    private static final String PRIVATE = "compiler.err.report.access";
    private static final String OTHER_TYPE = "compiler.err.prob.found.req";
    private static final String SEALED = "compiler.err.local.classes.cant.extend.sealed";

    /** A program with everything at hand that can be opened in any order. */
    private static List<JavaSource.Complaint> compile(String statements) {
        return new JavaSource(JavaSource.imports() + """
                class Program {
                    static void run(Kvm kvm, Vm vm, KvmVfioDevice kvmVfio, PciDevice pci, HostMemory memory,
                            VfioCdev cdev, Iommufd iommufd, VfioGroup group, VfioContainer container,
                            GuestMemory guestMemory) {
                        %s
                    }
                }
                """.formatted(statements)).complaints();
    }

    static Stream<Arguments> wellOrdered() {
        return Stream.of(
                Arguments.of("by cdev", """
                        RegisteredCdev registered = kvmVfio.add(cdev);
                        BoundGuestDevice device = registered.bind(iommufd);
                        Ioas ioas = iommufd.allocateIoas();
                        device.attach(ioas);
                        guestMemory.mapInto(ioas);
                        device.mapBar(0).place(1 << 30);
                        vm.memory().add(1L << 32, device.region(Region.BAR0).map());
                        """),
                Arguments.of("by group", """
                        guestMemory.mapInto(container);
                        RegisteredGroup registered = kvmVfio.add(group);
                        GuestDevice device = registered.openDevice(container, pci.address());
                        device.mapBar(0).place(1 << 30);
                        device.connectMsix(4).program(0, 0xfee0_0000L, 0x41);
                        """),
                Arguments.of("by cdev, from nothing", """
                        try (Kvm myKvm = Kvm.open();
                                Vm myVm = myKvm.createVm();
                                Iommufd myIommufd = Iommufd.open();
                                VfioCdev myCdev = VfioCdev.open(PciDevice.find("0000:6a:01.0"))) {
                            KvmVfioDevice.create(myVm).add(myCdev).bind(myIommufd).attach(myIommufd.allocateIoas());
                        }
                        """),
                Arguments.of("by group, from nothing", """
                        try (VfioGroup myGroup = VfioGroup.open(pci.iommuGroup().orElseThrow());
                                VfioContainer myContainer = VfioContainer.open(myGroup)) {
                            KvmVfioDevice.create(vm).add(myGroup).openDevice(myContainer, pci.address()).reset();
                        }
                        """),
                Arguments.of("a driver in user space, by cdev", """
                        Ioas ioas = iommufd.allocateIoas();
                        ioas.map(0, memory);
                        BoundDevice device = cdev.bindWithoutKvm(iommufd);
                        device.attach(ioas);
                        device.interrupt(Interrupt.MSIX).enable(EventFd.create(pci.kernel()));
                        """),
                Arguments.of("a driver in user space, by group", """
                        VfioDevice device = group.openDeviceWithoutKvm(container, pci.address());
                        container.map(0, memory);
                        device.reset();
                        """),
                Arguments.of("in one call", """
                        try (AttachedDevice attached = AttachedDevice.request("0000:6a:01.0").attach(guestMemory)) {
                            attached.device().reset();
                        }
                        """),
                Arguments.of("in one call, with the steps' KVM-VFIO device",
                        """
                                GuestDevice device = AttachedDevice.request("0000:6a:01.0").attach(guestMemory, kvmVfio).device();
                                device.connectIntx(11);
                                """),
                Arguments.of("one method for what iommufd knows",
                        """
                                List<IommufdDevice> devices = List.of(cdev.bindWithoutKvm(iommufd), kvmVfio.add(cdev).bind(iommufd));
                                devices.forEach(device -> device.attach(iommufd.allocateIoas()));
                                """));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void wellOrdered(String name, String program) {
        assertThat(compile(program)).isEmpty();
    }

    static Stream<Arguments> misordered() {
        return Stream.of(
                program("BIND before FILE_ADD", MISSING, "bind", """
                        cdev.bind(iommufd);
                        """),
                program("BIND through the back door", NOT_PUBLIC, "bindFor", """
                        cdev.bindFor(true, iommufd);
                        """),
                program("BIND before FILE_ADD, and FILE_ADD after it", NO_OVERLOAD, "add", """
                        BoundDevice device = cdev.bindWithoutKvm(iommufd);
                        kvmVfio.add(device);
                        """),
                program("ATTACH before FILE_ADD", MISSING, "attach", """
                        cdev.attach(iommufd.allocateIoas());
                        """),
                program("ATTACH before BIND", MISSING, "attach", """
                        kvmVfio.add(cdev).attach(iommufd.allocateIoas());
                        """),
                program("ATTACH before an address space", OTHER_ARGUMENTS, "attach", """
                        kvmVfio.add(cdev).bind(iommufd).attach(iommufd);
                        """),
                program("BIND before /dev/iommu", OTHER_ARGUMENTS, "bind", """
                        kvmVfio.add(cdev).bind();
                        """),
                program("BIND of a group", MISSING, "bind", """
                        kvmVfio.add(group).bind(iommufd);
                        """),
                program("GET_DEVICE_FD before GROUP_ADD", MISSING, "openDevice", """
                        group.openDevice(container, pci.address());
                        """),
                program("GET_DEVICE_FD through the back door", NOT_PUBLIC, "openDeviceFor", """
                        group.openDeviceFor(true, pci.address());
                        """),
                program("GET_DEVICE_FD before SET_CONTAINER", OTHER_ARGUMENTS, "openDevice", """
                        kvmVfio.add(group).openDevice(pci.address());
                        """),
                program("GET_DEVICE_FD, and GROUP_ADD of the device", NO_OVERLOAD, "add", """
                        VfioDevice device = group.openDeviceWithoutKvm(container, pci.address());
                        kvmVfio.add(device);
                        """),
                program("GET_DEVICE_FD of a cdev", MISSING, "openDevice", """
                        kvmVfio.add(cdev).openDevice(container, pci.address());
                        """),
                program("SET_IOMMU before SET_CONTAINER", NO_OVERLOAD, "open", """
                        VfioContainer.open(pci.kernel());
                        """),
                program("MAP_DMA before SET_CONTAINER", NO_OVERLOAD, "open", """
                        VfioContainer.open().map(0, memory);
                        """),
                program("MAP before an address space", MISSING, "map", """
                        iommufd.map(0, memory);
                        """),
                program("MAP to a device", MISSING, "map", """
                        kvmVfio.add(cdev).bind(iommufd).map(0, memory);
                        """),
                program("MAP of memory that may go away", NO_OVERLOAD, "map", """
                        iommufd.allocateIoas().map(0, memory.segment());
                        """),
                program("a BAR for the guest before mmap", NO_OVERLOAD, "add", """
                        vm.memory().add(1 << 30, kvmVfio.add(cdev).bind(iommufd).region(Region.BAR0));
                        """),
                program("ATTACH of what came from a group", MISSING, "attach", """
                        kvmVfio.add(group).openDevice(container, pci.address()).attach(iommufd.allocateIoas());
                        """),
                program("ATTACH to a container", OTHER_ARGUMENTS, "attach", """
                        kvmVfio.add(cdev).bind(iommufd).attach(container);
                        """),
                program("FILE_ADD before CREATE_DEVICE", MISSING, "add", """
                        vm.add(cdev);
                        """),
                program("CREATE_DEVICE before CREATE_VM", OTHER_ARGUMENTS, "create", """
                        KvmVfioDevice.create(kvm);
                        """),
                program("a transaction before CREATE_VM", NO_OVERLOAD, "attach", """
                        AttachedDevice.request("0000:6a:01.0").attach(kvm);
                        """),
                program("the device of a transaction that did not begin", NOT_PUBLIC, "device", """
                        AttachedDevice.request("0000:6a:01.0").device();
                        """),
                program("a transaction with memory and a VM, which may be two VMs", NO_OVERLOAD, "attach", """
                        AttachedDevice.request("0000:6a:01.0").attach(guestMemory, vm);
                        """),
                program("DETACH before ATTACH", MISSING, "detach", """
                        cdev.bindWithoutKvm(iommufd).detach(null);
                        """),
                program("a guest's BAR of a device that KVM does not know, by cdev", MISSING, "mapBar", """
                        cdev.bindWithoutKvm(iommufd).mapBar(0);
                        """),
                program("a guest's BAR of a device that KVM does not know, by group", MISSING, "mapBar", """
                        group.openDeviceWithoutKvm(container, pci.address()).mapBar(0);
                        """),
                program("a guest's line from a device that KVM does not know", MISSING, "connectIntx", """
                        cdev.bindWithoutKvm(iommufd).connectIntx(11);
                        """),
                program("a guest's messages from a device that KVM does not know", MISSING, "connectMsix", """
                        group.openDeviceWithoutKvm(container, pci.address()).connectMsix(4);
                        """),
                program("a device that KVM does not know as a guest's", OTHER_TYPE, "GuestDevice", """
                        GuestDevice device = group.openDeviceWithoutKvm(container, pci.address());
                        """),
                program("a bound device that KVM does not know as a guest's", OTHER_TYPE, "BoundGuestDevice", """
                        BoundGuestDevice device = cdev.bindWithoutKvm(iommufd);
                        """),
                program("a BAR for another VM than the device's", OTHER_ARGUMENTS, "mapBar", """
                        kvmVfio.add(cdev).bind(iommufd).mapBar(vm, 0);
                        """),
                program("a line to another VM than the device's", OTHER_ARGUMENTS, "connectIntx", """
                        kvmVfio.add(cdev).bind(iommufd).connectIntx(vm, 11);
                        """),
                program("messages to another VM than the device's", NO_OVERLOAD, "connect", """
                        MsiVectors.connect(vm, kvmVfio.add(cdev).bind(iommufd).interrupt(Interrupt.MSIX), 4);
                        """),
                program("messages of an interrupt that sends none", MISSING, "connect", """
                        kvmVfio.add(cdev).bind(iommufd).connect(Interrupt.REQ, 1);
                        """),
                program("memory that no guest sees, in a transaction", MISSING, "memory", """
                        AttachedDevice.request("0000:6a:01.0").memory(0, memory);
                        """),
                program("a registration of a cdev as one of a group", OTHER_TYPE, "RegisteredGroup", """
                        RegisteredGroup registered = kvmVfio.add(cdev);
                        """),
                program("a registration that KVM knows nothing of", NOT_PUBLIC, "RegisteredCdev", """
                        new RegisteredCdev(kvmVfio, cdev).bind(iommufd);
                        """),
                program("a group's registration that KVM knows nothing of", NOT_PUBLIC, "RegisteredGroup", """
                        new RegisteredGroup(kvmVfio, group).openDevice(container, pci.address());
                        """),
                program("a device that nobody bound", NOT_PUBLIC, "BoundDevice", """
                        new BoundDevice(cdev, iommufd);
                        """),
                program("a guest's device that nobody bound", NOT_PUBLIC, "BoundGuestDevice", """
                        new BoundGuestDevice(kvmVfio.add(cdev), iommufd);
                        """),
                program("a device that nobody opened", NOT_PUBLIC, "VfioDevice", """
                        new VfioDevice(cdev.fd());
                        """),
                program("a guest's device that nobody opened", NOT_PUBLIC, "GuestDevice", """
                        new GuestDevice(cdev.fd(), kvmVfio.add(cdev));
                        """),
                program("what iommufd knows, of one's own kind", SEALED, "sealed", """
                        abstract class Mine implements IommufdDevice {
                        }
                        """),
                program("an address space that nobody allocated", NOT_PUBLIC, "Ioas", """
                        new Ioas(iommufd, 1);
                        """),
                program("a container without a group", PRIVATE, "VfioContainer", """
                        new VfioContainer(iommufd.fd(), List.of());
                        """),
                program("a registration of one's own kind", SEALED, "sealed", """
                        abstract class Mine extends Registration<VfioCdev> {
                        }
                        """));
    }

    private static Arguments program(String name, String code, String subject, String statements) {
        return Arguments.of(name, code, subject, statements);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void misordered(String name, String code, String subject, String program) {
        assertRefused(program, code, subject);
    }

    private static void assertRefused(String program, String code, String subject) {
        assertThat(compile(program)).as(program).isNotEmpty().allSatisfy(complaint -> {
            assertThat(complaint.kind()).isEqualTo(Diagnostic.Kind.ERROR);
            assertThat(complaint.code()).isEqualTo(code);
            assertThat(complaint.message()).containsPattern("\\b" + subject + "\\b");
            assertThat(program).contains(complaint.line());
        });
    }

    static Stream<String> uses() {
        return Stream.of("flags()", "regions()", "region(0)", "interrupts()", "interrupt(0)", "reset()", "vendorId()");
    }

    static Stream<Arguments> tooEarly() {
        return Stream.of("cdev", "kvmVfio.add(cdev)", "group", "kvmVfio.add(group)", "container")
                .flatMap(early -> uses().map(use -> Arguments.of(early, use)));
    }

    /** The kernel answers EINVAL to these on a cdev before BIND, and ENOTTY on a group. */
    @ParameterizedTest(name = "{0}.{1}")
    @MethodSource
    void tooEarly(String early, String use) {
        assertRefused(early + "." + use + ";", MISSING, use.substring(0, use.indexOf('(')));
    }

    @ParameterizedTest
    @MethodSource("uses")
    void inTime(String use) {
        assertThat(compile("kvmVfio.add(cdev).bind(iommufd)." + use + ";")).isEmpty();
        assertThat(compile("kvmVfio.add(group).openDevice(container, pci.address())." + use + ";")).isEmpty();
    }
}
