package dev.kvmvfio.mock;

import static dev.kvmvfio.mock.Calls.errno;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_region_info;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.mock.model.NotModelledException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** QEMU's teaching device, driven as a program drives it. */
class EduTest {
    private static final long BUFFER = 0x40000;
    private static final int PAGE = 4096;
    private static final int INTX = vfio_h.VFIO_PCI_INTX_IRQ_INDEX();
    private static final int MSI = vfio_h.VFIO_PCI_MSI_IRQ_INDEX();
    private static final int EVENTFD = vfio_h.VFIO_IRQ_SET_DATA_EVENTFD();
    private static final int TRIGGER = vfio_h.VFIO_IRQ_SET_ACTION_TRIGGER();

    private MockKernel kernel;
    private Calls calls;
    private int[] files;
    private int device;
    private int eventFd;
    private long memory;

    @BeforeEach
    void start() {
        kernel = MockKernel.example();
        calls = new Calls(kernel);
        files = calls.attachCdev("vfio1");
        device = files[0];
        eventFd = calls.eventFd();
        memory = calls.mapMemory(PAGE);
        calls.mapFixed(files[1], files[2], 0x10000, memory, PAGE);
    }

    @AfterEach
    void close() {
        kernel.munmap(memory, PAGE);
        calls.close(eventFd, device, files[1]);
        kernel.close();
    }

    private long read(long offset) {
        return calls.readInt(device, 0, offset);
    }

    private void write(long offset, long value) {
        assertThat(calls.writeInt(device, 0, offset, value)).isEqualTo(4);
    }

    @Test
    void registers() {
        assertThat(read(0)).isEqualTo(0x010000edL);
        write(4, 0x1234_5678L);
        assertThat(read(4)).isEqualTo(~0x1234_5678L & 0xffff_ffffL);
        write(8, 10);
        assertThat(read(8)).isEqualTo(3_628_800);
        assertThat(read(0x20) & 1).as("not computing any more").isZero();
        assertThat(read(0x30)).as("nothing there").isEqualTo(0xffff_ffffL);
        assertThat(calls.readInt(device, vfio_h.VFIO_PCI_CONFIG_REGION_INDEX(), 0)).isEqualTo(0x11e8_1234L);
    }

    @Test
    void itIsOfConventionalPci() {
        MemorySegment info = calls.bytes(32);
        vfio_region_info.argsz(info, 32);
        vfio_region_info.index(info, vfio_h.VFIO_PCI_CONFIG_REGION_INDEX());
        assertThat(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_REGION_INFO(), info)).isZero();
        assertThat(vfio_region_info.size(info)).isEqualTo(256);
        int error = vfio_h.VFIO_PCI_ERR_IRQ_INDEX();
        assertThat(errno(calls.setIrqs(device, error, 0, EVENTFD | TRIGGER, 1, eventFd))).isEqualTo(Errno.EINVAL);
    }

    @Test
    void itsBarCannotBeMapped() {
        MemorySegment info = calls.bytes(32);
        vfio_region_info.argsz(info, 32);
        assertThat(kernel.ioctl(device, vfio_h.VFIO_DEVICE_GET_REGION_INFO(), info)).isZero();
        assertThat(vfio_region_info.size(info)).isEqualTo(1 << 20);
        assertThat(vfio_region_info.flags(info) & vfio_h.VFIO_REGION_INFO_FLAG_MMAP()).isZero();
        assertThatThrownBy(() -> calls.mapBar(device, 0, 0, PAGE)).isInstanceOf(NotModelledException.class)
                .hasMessageContaining("mapping BAR 0 of");
    }

    @Test
    void anInterruptByTheLine() {
        calls.setIrqs(device, INTX, 0, EVENTFD | TRIGGER, 1, eventFd);
        write(0x60, 5);
        assertThat(calls.take(eventFd)).isEqualTo(1);
        assertThat(read(0x24)).isEqualTo(5);
        write(0x64, 1);
        assertThat(read(0x24)).isEqualTo(4);
        calls.setIrqs(device, INTX, 0, vfio_h.VFIO_IRQ_SET_DATA_NONE() | vfio_h.VFIO_IRQ_SET_ACTION_UNMASK(), 1);
        assertThat(calls.take(eventFd)).as("not acknowledged").isEqualTo(1);
        write(0x64, 4);
        calls.setIrqs(device, INTX, 0, vfio_h.VFIO_IRQ_SET_DATA_NONE() | vfio_h.VFIO_IRQ_SET_ACTION_UNMASK(), 1);
        assertThat(calls.take(eventFd)).isZero();
    }

    @Test
    void anInterruptAsAMessage() {
        calls.setBusMaster(device);
        calls.setIrqs(device, MSI, 0, EVENTFD | TRIGGER, 1, eventFd);
        write(0x60, 1);
        write(0x60, 2);
        assertThat(calls.take(eventFd)).isEqualTo(2);
        write(0x20, 0x80);
        write(8, 5);
        assertThat(calls.take(eventFd)).as("the factorial is ready").isEqualTo(1);
    }

    private void transfer(long source, long destination, long count, long command) {
        write(0x80, source);
        write(0x88, destination);
        write(0x90, count);
        write(0x98, command);
    }

    @Test
    void memoryThroughTheDeviceAndBack() {
        calls.setBusMaster(device);
        calls.setIrqs(device, MSI, 0, EVENTFD | TRIGGER, 1, eventFd);
        MemorySegment bytes = Calls.at(memory, PAGE);
        bytes.set(ValueLayout.JAVA_LONG, 0, 0x0102_0304_0506_0708L);
        transfer(0x10000, BUFFER, 8, 1);
        transfer(BUFFER, 0x10100, 8, 7);
        assertThat(bytes.get(ValueLayout.JAVA_LONG, 0x100)).isEqualTo(0x0102_0304_0506_0708L);
        assertThat(read(0x98) & 1).as("done").isZero();
        assertThat(calls.take(eventFd)).as("when it was asked for").isEqualTo(1);
        assertThat(read(0x24)).isEqualTo(0x100);
        assertThat(kernel.dmaFaults()).isEmpty();
    }

    @Test
    void dmaThatDoesNotLand() {
        MemorySegment bytes = Calls.at(memory, PAGE);
        transfer(BUFFER, 0x10000, 8, 3);
        assertThat(kernel.dmaFaults()).singleElement()
                .satisfies(fault -> assertThat(fault.reason()).contains("bus mastering is off"));
        calls.setBusMaster(device);
        bytes.fill((byte) 7);
        transfer(BUFFER, 0x20000, 8, 3);
        assertThat(kernel.dmaFaults()).last().satisfies(fault -> {
            assertThat(fault.iova()).isEqualTo(0x20000);
            assertThat(fault.isWrite()).isTrue();
        });
        assertThat(bytes.toArray(ValueLayout.JAVA_BYTE)).containsOnly(7);
        transfer(BUFFER, 0x1001_0000L, 8, 3);
        assertThat(bytes.get(ValueLayout.JAVA_LONG, 0)).as("28 bits of address").isZero();
    }
}
