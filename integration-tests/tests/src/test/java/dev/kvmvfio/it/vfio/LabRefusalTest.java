package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.dma.DmaMapping;
import dev.kvmvfio.dma.DmaSpace;
import dev.kvmvfio.it.kvm.HeldFiles;
import dev.kvmvfio.it.lab.LabMachine;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a real kernel refuses, and what the message says then. */
@Tag("in-lab")
class LabRefusalTest {
    private static final String INTERFACES = "dev.kvmvfio.it.lab.LabMachine#interfaces";
    private static final long PAGE = 4096;
    private static final long MSI_WINDOW = 0xfee00000L;

    private Kvm kvm;
    private Vm vm;
    private Vm other;
    private HostMemory memory;

    @BeforeEach
    void open() {
        kvm = Kvm.open();
        vm = kvm.createVm();
        other = kvm.createVm();
        memory = HostMemory.allocate(Kernel.linux(), PAGE);
    }

    @AfterEach
    void close() {
        kvm.close();
        memory.close();
        assertThat(HeldFiles.now()).isEmpty();
    }

    private AttachedDevice attach(String address, VfioInterface by, Vm to) {
        return AttachedDevice.request(Kernel.linux(), PciAddress.parse(address)).via(by).attach(to);
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aDeviceThatIsAttachedElsewhere(VfioInterface by) {
        try (AttachedDevice attached = attach(LabMachine.EDU, by, vm)) {
            interfacesRefuse(LabMachine.EDU);
            assertThat(attached.isOpen()).isTrue();
        }
        attach(LabMachine.EDU, by, other).close();
    }

    private void interfacesRefuse(String address) {
        LabMachine.interfaces().forEach(by -> assertThatThrownBy(() -> attach(address, by, other)).as("%s", by)
                .isInstanceOfSatisfying(KernelException.class, refused -> {
                    assertThat(refused.errno()).isIn(Errno.EBUSY, Errno.EINVAL);
                    assertThat(refused.remedy()).containsAnyOf("open", "bound");
                }));
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aGroupThatIsNotViable(VfioInterface by) {
        LabMachine.bind(LabMachine.SIBLING, "virtio-pci");
        try {
            assertThatThrownBy(() -> attach(LabMachine.SHARED_EDU, by, vm))
                    .hasMessageContaining(LabMachine.SIBLING + " (virtio-pci, blocks the group)")
                    .hasMessageContaining(LabMachine.SHARED_EDU + " (vfio-pci)");
        } finally {
            LabMachine.bind(LabMachine.SIBLING, "vfio-pci");
        }
        attach(LabMachine.SHARED_EDU, by, vm).close();
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aDeviceWithoutADriver(VfioInterface by) {
        assertThatThrownBy(() -> attach(LabMachine.UNBOUND, by, vm)).isInstanceOf(HostException.class)
                .hasMessageContaining("bound to no driver, not to vfio-pci")
                .hasMessageContaining("kvm-vfio bind " + LabMachine.UNBOUND);
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void addressesThatAreReserved(VfioInterface by) {
        try (AttachedDevice attached = attach(LabMachine.EDU, by, vm)) {
            DmaSpace space = attached.dmaSpace();
            assertThat(space.iovaRanges()).isNotEmpty().noneMatch(range -> range.contains(MSI_WINDOW, PAGE));
            assertThatThrownBy(() -> space.map(MSI_WINDOW, memory)).isInstanceOf(KernelException.class)
                    .hasMessageContaining("reserved").hasMessageContaining(space.iovaRanges().getFirst().toString());
        }
    }

    @ParameterizedTest
    @MethodSource(INTERFACES)
    void addressesThatAreMappedAlready(VfioInterface by) {
        try (AttachedDevice attached = attach(LabMachine.EDU, by, vm)) {
            DmaMapping mapping = attached.dmaSpace().map(0x100000, memory);
            assertThatThrownBy(() -> attached.dmaSpace().map(0x100000, memory))
                    .isInstanceOfSatisfying(KernelException.class, refused -> {
                        assertThat(refused.errno()).isEqualTo(Errno.EEXIST);
                        assertThat(refused.remedy()).contains("IOVA 0x100000");
                    });
            assertThatThrownBy(() -> attached.dmaSpace().map(0x100001, memory))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("page size");
            memory.close();
            assertThat(mapping.isOpen()).isFalse();
            assertThat(attached.dmaSpace().mappings()).isEmpty();
        }
    }
}
