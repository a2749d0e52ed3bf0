package dev.kvmvfio.it.vfio;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.SystemCall;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.Attachment;
import dev.kvmvfio.vfio.BoundDevice;
import dev.kvmvfio.vfio.Interrupt;
import dev.kvmvfio.vfio.Region;
import dev.kvmvfio.vfio.RegionMapping;
import dev.kvmvfio.vfio.VfioCdev;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("mock")
class ReplacedAttachmentTest {
    @Test
    void theDeviceWorksOnAndMovesToTheOtherAddressSpace() {
        try (MockKernel mock = MockKernel.example();
                HostMemory memory = HostMemory.allocate(mock, 1 << 16);
                EventFd eventFd = EventFd.create(mock);
                Iommufd iommufd = Iommufd.open(mock);
                VfioCdev cdev = VfioCdev.open(PciDevice.find(mock, PciAddress.parse("0000:6a:01.0")))) {
            BoundDevice device = cdev.bindWithoutKvm(iommufd);
            Ioas first = iommufd.allocateIoas();
            Ioas second = iommufd.allocateIoas();
            second.map(0, memory);
            Attachment replaced = device.attach(first);
            RegionMapping bar = device.region(Region.BAR0).map();
            device.interrupt(Interrupt.MSI).enable(eventFd);
            Attachment current = device.attach(second);
            assertThat(replaced.isOpen()).isFalse();
            assertThat(current.isOpen()).isTrue();
            bar.writeInt(0, 7);
            assertThat(bar.readInt(0)).isEqualTo(7);
            device.interrupt(Interrupt.MSI).trigger(0);
            assertThat(eventFd.take()).isEqualTo(1);
            first.close();
            assertThat(mock.trace()).extracting(SystemCall::name).doesNotContain("VFIO_DEVICE_DETACH_IOMMUFD_PT");
            current.close();
            assertThat(mock.trace()).extracting(SystemCall::name).contains("VFIO_DEVICE_DETACH_IOMMUFD_PT");
        }
    }
}
