/**
 * KVM, VFIO and iommufd for Java: a thin, safe layer over the kernel's own calls.
 *
 * <p>{@link dev.kvmvfio.passthrough.AttachedDevice#request} attaches a device in one call; the package {@code vfio} has
 * its steps, {@code kvm} the virtual machine. For tests without hardware there is a module of its own,
 * {@code dev.kvmvfio.mock}.
 *
 * <p>A program needs Linux, a JDK 22 or later, and native access for this module alone:
 * {@code --enable-native-access=dev.kvmvfio}, or {@code ALL-UNNAMED} where the library is on the class path. A virtual
 * machine needs a {@code /dev/kvm} that the user may read and write. A device needs an IOMMU that is on and the driver
 * {@code vfio-pci}. {@link dev.kvmvfio.passthrough.HostCheck} says what a host lacks, as {@code kvm-vfio doctor} does.
 *
 * <p>A first program runs as it stands, here by {@code scripts/shell scripts/examples/HelloVm.java}:
 *
 * {@snippet lang=java :
 * import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
 * import dev.kvmvfio.bindings.kvm.x86_64.kvm_segment;
 * import dev.kvmvfio.bindings.kvm.x86_64.kvm_sregs;
 * import dev.kvmvfio.kernel.HostMemory;
 * import dev.kvmvfio.kernel.Kernel;
 * import dev.kvmvfio.kvm.Kvm;
 * import dev.kvmvfio.kvm.Vcpu;
 * import dev.kvmvfio.kvm.VcpuExit;
 * import dev.kvmvfio.kvm.Vm;
 * import java.lang.foreign.MemorySegment;
 * import java.util.HexFormat;
 *
 * // A virtual machine that says hello: memory, one vCPU, a few bytes of code.
 * class HelloVm {
 *     // Writes the text behind it to port 0x3f8, byte by byte, and halts.
 *     private static final byte[] CODE = HexFormat.of().parseHex(""
 *             + "baf803"      // mov dx, 0x3f8
 *             + "be0f10"      // mov si, 0x100f    the text
 *             + "ac"          // lodsb             next:
 *             + "84c0"        // test al, al
 *             + "7403"        // jz done
 *             + "ee"          // out dx, al
 *             + "ebf8"        // jmp next
 *             + "f4");        // hlt               done:
 *
 *     public static void main(String[] arguments) {
 *         try (Kvm kvm = Kvm.open();
 *                 Vm vm = kvm.createVm();
 *                 HostMemory ram = HostMemory.allocate(Kernel.linux(), 1 << 20)) {
 *             ram.segment().asSlice(0x1000).copyFrom(MemorySegment.ofArray(CODE));
 *             ram.segment().setString(0x100f, "Hello from a virtual machine\n");
 *             vm.memory().add(0, ram);
 *             Vcpu vcpu = vm.createVcpu(0);
 *             vcpu.x86().setCpuid(kvm.x86().supportedCpuid());
 *             // A processor starts in real mode with its code segment below 4 GiB.
 *             vcpu.x86().updateSregs(sregs -> {
 *                 kvm_segment.base(kvm_sregs.cs(sregs), 0);
 *                 kvm_segment.selector(kvm_sregs.cs(sregs), (short) 0);
 *             });
 *             vcpu.x86().updateRegs(regs -> kvm_regs.rip(regs, 0x1000));
 *             while (true) {
 *                 switch (vcpu.run()) {
 *                     case VcpuExit.PortWrite out when out.port() == 0x3f8 ->
 *                         System.out.write(out.value());
 *                     case VcpuExit.Halt _ -> {
 *                         return;
 *                     }
 *                     // What the guest did, where, and what helps.
 *                     case VcpuExit exit -> throw vcpu.unhandled(exit);
 *                 }
 *             }
 *         }
 *     }
 * }
 * }
 *
 * <p>Shorter examples import this; the mock is a module of its own:
 *
 * {@snippet lang=java :
 * import dev.kvmvfio.bindings.kvm.x86_64.*;
 * import dev.kvmvfio.dma.*;
 * import dev.kvmvfio.iommufd.*;
 * import dev.kvmvfio.kernel.*;
 * import dev.kvmvfio.kvm.*;
 * import dev.kvmvfio.kvm.x86.*;
 * import dev.kvmvfio.mock.*;
 * import dev.kvmvfio.mock.model.*;
 * import dev.kvmvfio.passthrough.*;
 * import dev.kvmvfio.pci.*;
 * import dev.kvmvfio.vfio.*;
 * import java.util.*;
 * }
 */
module dev.kvmvfio {
    requires transitive dev.kvmvfio.bindings;
    // For the events; without it there are none.
    requires static jdk.jfr;
    // Annotations, for compilers.
    requires static org.jspecify;

    exports dev.kvmvfio.dma;
    exports dev.kvmvfio.iommufd;
    exports dev.kvmvfio.kernel;
    exports dev.kvmvfio.kvm;
    exports dev.kvmvfio.kvm.aarch64;
    exports dev.kvmvfio.kvm.x86;
    exports dev.kvmvfio.passthrough;
    exports dev.kvmvfio.pci;
    exports dev.kvmvfio.vfio;
}
