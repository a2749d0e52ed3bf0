package dev.kvmvfio.it.api;

import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.ObservedKernel;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vcpu;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.mock.MockCpu;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.pci.PciAddress;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The Linux that the examples run on: a host with the devices that they name, and guests that say hello. It is the
 * running Linux of the library's classes that are loaded with this one.
 */
public final class ExampleHost {
    private static final Pattern VM = Pattern
            .compile("ioctl\\((\\d+)<.*KVM_CREATE_VCPU, (?:0x)?(\\p{XDigit}+)\\) = \\d+");
    private static final int SERIAL = 0x3f8;
    private static MockKernel host;
    private static Kernel linux;
    private static End end;

    /** How a guest ends, or that the example brings its code. */
    public enum End {
        HALT, SHUTDOWN, OWN_CODE
    }

    private ExampleHost() {
    }

    /** What {@link Kernel#linux()} answers. */
    public static Kernel linux() {
        return linux;
    }

    /** A new host for the next example, whose guests end like this. */
    public static void start(End next) {
        end = next;
        host = MockKernel.host(KernelProfile.V6_12)
                .device("0000:6a:01.0",
                        d -> d.id(0x8086, 0x10d3).classCode(0x020000).group(26).cdev("vfio0").bar(0, 1 << 17)
                                .bar(1, 1 << 17).ioBar(2, 32).bar(3, 1 << 14).msi(1).msix(16))
                .hugePages(HugePages.SIZE_2M, 1024).hugePages(HugePages.SIZE_1G, 4).start();
        linux = ObservedKernel.observe(host, ExampleHost::load);
    }

    /** Each vCPU that is made gets its code. */
    private static void load(SystemCall call) {
        Matcher vcpu = VM.matcher(call.toString());
        if (end != End.OWN_CODE && vcpu.matches()) {
            host.guest(Integer.parseInt(vcpu.group(1))).program(Integer.parseInt(vcpu.group(2), 16),
                    ExampleHost::sayHello);
        }
    }

    private static void sayHello(MockCpu cpu) {
        "Hello\n".chars().forEach(letter -> cpu.out(SERIAL, 1, letter));
        if (end == End.SHUTDOWN) {
            cpu.shutdown();
        }
    }

    /** What an example finds: a VM and its vCPU, and the program's own way to attach a device. */
    public abstract static class Found {
        /** The host. */
        protected final MockKernel kernel = host;
        /** Its KVM. */
        protected Kvm kvm;
        /** A VM. */
        protected Vm vm;
        /** Its first vCPU. */
        protected Vcpu vcpu;

        /** Makes what the example does not make itself. */
        public void make(boolean withVcpu) {
            kvm = Kvm.open();
            vm = kvm.createVm();
            vcpu = withVcpu ? vm.createVcpu(0) : null;
        }

        /** The example. */
        public abstract void run() throws Exception;

        /** Gives a device to a new VM. */
        protected AutoCloseable attach(Kernel host, String address) {
            Kvm opened = Kvm.open(host);
            try {
                AttachedDevice.request(host, PciAddress.parse(address)).attach(opened.createVm());
                return opened;
            } catch (RuntimeException refused) {
                opened.close();
                throw refused;
            }
        }

        /** Gives back what {@link #make} made. */
        public void giveBack() {
            if (kvm != null) {
                kvm.close();
            }
        }
    }
}
