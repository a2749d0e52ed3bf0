package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.BoundGuestDevice;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.RegisteredCdev;
import dev.kvmvfio.vfio.RegisteredGroup;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioDevice;
import dev.kvmvfio.vfio.VfioGroup;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Orders that types cannot forbid. Where the kernel would obey in silence, it is not even asked. */
@Tag("mock")
class MisorderedCallsTest {
    private static final PciAddress ADDRESS = PciAddress.parse("0000:6a:01.0");
    private static final PciAddress ELSEWHERE = PciAddress.parse("0000:6b:00.0");

    private final MockKernel mock = MockKernel.example();
    private Kvm kvm;
    private KvmVfioDevice kvmVfio;
    private Iommufd iommufd;

    @BeforeEach
    void open() {
        kvm = Kvm.open(mock);
        kvmVfio = KvmVfioDevice.create(kvm.createVm());
        iommufd = Iommufd.open(mock);
    }

    @AfterEach
    void close() {
        kvm.close();
        iommufd.close();
        assertThat(mock.leaks()).isEmpty();
        mock.close();
    }

    private VfioCdev cdev() {
        return VfioCdev.open(PciDevice.find(mock, ADDRESS));
    }

    private VfioGroup group(PciAddress address) {
        return VfioGroup.open(PciDevice.find(mock, address).iommuGroup().orElseThrow());
    }

    private void assertNever(String call) {
        assertThat(mock.trace()).extracting(SystemCall::name).doesNotContain(call);
    }

    @Test
    void aCdevThatIsBoundIsNotRegistered() {
        try (VfioCdev cdev = cdev()) {
            cdev.bindWithoutKvm(iommufd);
            assertThatThrownBy(() -> kvmVfio.add(cdev)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("/dev/vfio/devices/vfio0").hasMessageContaining("is bound already");
            assertNever("KVM_DEV_VFIO_FILE_ADD");
        }
    }

    @Test
    void aGroupWithADeviceThatKvmDoesNotKnowIsNotRegistered() {
        try (VfioGroup group = group(ADDRESS); VfioContainer container = VfioContainer.open(group)) {
            VfioDevice device = group.openDeviceWithoutKvm(container, ADDRESS);
            assertThatThrownBy(() -> kvmVfio.add(group)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining(ADDRESS.toString()).hasMessageContaining("was opened without KVM");
            assertNever("KVM_DEV_VFIO_FILE_ADD");
            device.close();
            assertThat(kvmVfio.add(group).openDevice(container, ADDRESS).vm()).isSameAs(kvmVfio.vm());
        }
    }

    @Test
    void aFileIsRegisteredWithOneVm() {
        KvmVfioDevice other = KvmVfioDevice.create(kvm.createVm());
        try (VfioCdev cdev = cdev()) {
            RegisteredCdev registered = kvmVfio.add(cdev);
            assertThatThrownBy(() -> other.add(cdev)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("registered with another VM");
            registered.close();
            assertThat(other.add(cdev).bind(iommufd).vm()).isSameAs(other.vm());
        }
        try (VfioGroup group = group(ELSEWHERE)) {
            RegisteredGroup registered = kvmVfio.add(group);
            assertThatThrownBy(() -> other.add(group)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("registered with another VM");
            registered.close();
            assertThat(other.add(group).isOpen()).isTrue();
        }
    }

    @Test
    void aFileIsRegisteredOnce() {
        try (VfioCdev cdev = cdev()) {
            RegisteredCdev registered = kvmVfio.add(cdev);
            assertThatThrownBy(() -> kvmVfio.add(cdev)).isInstanceOfSatisfying(KernelException.class, refused -> {
                assertThat(refused.errno()).isEqualTo(Errno.EEXIST);
                assertThat(refused.remedy()).contains("registered with this VM already");
            });
            assertThat(registered.bind(iommufd).vm()).isSameAs(kvmVfio.vm());
        }
    }

    @Test
    void aClosedRegistrationOpensNothing() {
        try (VfioCdev cdev = cdev()) {
            RegisteredCdev registered = kvmVfio.add(cdev);
            registered.close();
            assertThatThrownBy(() -> registered.bind(iommufd)).isInstanceOf(IllegalStateException.class)
                    .hasMessageEndingWith("is closed");
            assertNever("VFIO_DEVICE_BIND_IOMMUFD");
            assertThat(cdev.isOpen()).isTrue();
        }
        try (VfioGroup group = group(ADDRESS); VfioContainer container = VfioContainer.open(group)) {
            RegisteredGroup registered = kvmVfio.add(group);
            registered.close();
            assertThatThrownBy(() -> registered.openDevice(container, ADDRESS))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageEndingWith("is closed");
            assertNever("VFIO_GROUP_GET_DEVICE_FD");
        }
    }

    @Test
    void aCdevIsBoundOnce() {
        try (VfioCdev first = cdev(); VfioCdev second = cdev()) {
            RegisteredCdev registered = kvmVfio.add(first);
            BoundGuestDevice bound = registered.bind(iommufd);
            assertThatThrownBy(() -> registered.bind(iommufd)).isInstanceOf(KernelException.class)
                    .hasMessageContaining("EINVAL").hasMessageContaining("bound already");
            assertThatThrownBy(() -> second.bindWithoutKvm(iommufd)).isInstanceOf(KernelException.class)
                    .hasMessageContaining("EINVAL").hasMessageContaining("another open of its cdev");
            assertThat(bound.canReset()).isTrue();
        }
    }

    /** Address spaces of two iommufds may have the same number, and only the number is given to the kernel. */
    @Test
    void aDeviceIsAttachedInItsOwnIommufd() {
        try (VfioCdev cdev = cdev(); Iommufd another = Iommufd.open(mock)) {
            Ioas own = iommufd.allocateIoas();
            Ioas foreign = another.allocateIoas();
            assertThat(foreign.id()).isEqualTo(own.id());
            BoundGuestDevice device = kvmVfio.add(cdev).bind(iommufd);
            assertThatThrownBy(() -> device.attach(foreign)).isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("another iommufd");
            assertNever("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
            assertThat(device.attach(own).ioas()).isSameAs(own);
        }
    }

    @Test
    void aDeviceIsOpenedInItsGroupsContainer() {
        try (VfioGroup group = group(ADDRESS);
                VfioGroup elsewhere = group(ELSEWHERE);
                VfioContainer container = VfioContainer.open(elsewhere)) {
            RegisteredGroup registered = kvmVfio.add(group);
            assertThatThrownBy(() -> registered.openDevice(container, ADDRESS))
                    .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("add it there first");
            assertThatThrownBy(() -> group.openDeviceWithoutKvm(container, ADDRESS))
                    .isInstanceOf(IllegalArgumentException.class);
            assertNever("VFIO_GROUP_GET_DEVICE_FD");
            container.add(group);
            assertThat(registered.openDevice(container, ADDRESS).vm()).isSameAs(kvmVfio.vm());
            assertThatThrownBy(() -> container.add(group)).isInstanceOf(KernelException.class)
                    .hasMessageContaining("in a container already");
        }
    }
}
