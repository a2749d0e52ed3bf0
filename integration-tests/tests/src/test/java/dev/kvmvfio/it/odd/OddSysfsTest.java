package dev.kvmvfio.it.odd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.kernel.AnswerException;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.HugePages;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kernel.KernelException;
import dev.kvmvfio.mock.MockKernel;
import dev.kvmvfio.mock.model.KernelProfile;
import dev.kvmvfio.passthrough.Candidate;
import dev.kvmvfio.passthrough.Finding;
import dev.kvmvfio.passthrough.HostCheck;
import dev.kvmvfio.pci.DriverBinding;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.assertj.core.api.AbstractThrowableAssert;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Files, folders and links of sysfs and procfs that are not what they should be. */
@Tag("mock")
@Timeout(5)
class OddSysfsTest {
    private static final String DEVICE = "/sys/bus/pci/devices/0000:6a:01.0";
    private static final String VENDOR = DEVICE + "/vendor";
    private static final String HUGE_PAGES = "/sys/kernel/mm/hugepages";

    private final MockKernel mock = MockKernel.host(KernelProfile.V6_12)
            .device("0000:6a:01.0", d -> d.id(0x8086, 0x10d3).group(26).cdev("vfio0"))
            .hugePages(HugePages.SIZE_2M, 32).start();

    @AfterEach
    void nothingIsLeft() {
        mock.close();
    }

    private static PciDevice device(Kernel kernel) {
        return PciDevice.find(kernel, PciAddress.parse("0000:6a:01.0"));
    }

    private Kernel withText(String path, String text) {
        return OddKernel.withText(mock, path, text);
    }

    private Kernel withLink(String path, String text) {
        return OddKernel.of(mock, call -> {
            if (call.is("readlink") && call.isOn(path)) {
                call.<StringBuilder>argument(1).append(text);
                return 0;
            }
            return call.real();
        });
    }

    private Kernel withNames(String path, String... names) {
        return OddKernel.of(mock, call -> {
            if (call.is("list") && call.isOn(path)) {
                call.<List<String>>argument(1).addAll(List.of(names));
                return 0;
            }
            return call.real();
        });
    }

    /** What a read of the file at hand answers, from the buffer. */
    private Kernel withReads(String path, Function<MemorySegment, Long> read) {
        return OddKernel.of(mock,
                call -> call.is("read") && call.isOn(path) ? read.apply(call.argument(1)) : call.real());
    }

    private static AbstractThrowableAssert<?, ?> assertOdd(Runnable reading) {
        return assertThatThrownBy(reading::run).isInstanceOf(AnswerException.class);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"''|''", "0x|0x", "0x10000|0x10000", "-1|-1", "ten|ten", "1 2|1 2",
        "99999999999999999999|99999999999999999999", "'1\n2'|1?2"})
    void aNumberThatIsNone(String text, String shown) {
        assertOdd(() -> device(withText(VENDOR, text)).vendorId())
                .hasMessageStartingWith("read on " + VENDOR + " answered \"" + shown + "\", which is n");
    }

    @Test
    void aLongTextIsNotShownToItsEnd() {
        assertOdd(() -> device(withText(VENDOR, "7".repeat(1 << 20))).vendorId())
                .hasMessageContaining(VENDOR).hasMessageContaining("\"7777").message().hasSizeLessThan(200);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "/", "../../../kernel/iommu_groups/", "../x", "../2147483648", "../-1"})
    void aGroupWithoutANumber(String link) {
        String path = DEVICE + "/iommu_group";
        assertOdd(() -> device(withLink(path, link)).iommuGroup())
                .hasMessageStartingWith("readlink on " + path + " answered \"" + link.replaceAll(".*/", "") + "\"");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "x", "26 ", "99999999999"})
    void aGroupInTheListWithoutANumber(String name) {
        assertOdd(() -> IommuGroup.list(withNames("/sys/kernel/iommu_groups", "26", name)))
                .hasMessageStartingWith("readdir on /sys/kernel/iommu_groups answered \"" + name + "\"");
    }

    @Test
    void aDeviceWithoutAnAddress() {
        assertOdd(() -> PciDevice.list(withNames("/sys/bus/pci/devices", "0000:6a:01.0", "card")))
                .hasMessage("readdir on /sys/bus/pci/devices answered \"card\", which is no PCI address");
    }

    @Test
    void whatIsNotOfPciInAGroupIsLeftOut() {
        Kernel kernel = withNames("/sys/kernel/iommu_groups/26/devices", "AMDI0096:00", "0000:6a:01.0", "card");
        assertThat(device(kernel).iommuGroup().orElseThrow().devices()).asString().isEqualTo("[0000:6a:01.0]");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "240", "a:b", "1:2:3", "240:99999999999", ":"})
    void aCdevWithoutANumber(String text) {
        String path = DEVICE + "/vfio-dev/vfio0/dev";
        assertOdd(() -> device(withText(path, text)).vfioDeviceNumber()).hasMessage(
                "read on " + path + " answered \"" + text + "\", which is no device number");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "hugepages", "hugepages-0kB", "hugepages--1kB", "hugepages-99999999999999999999kB",
        "2 MiB"})
    void hugePagesWithoutASize(String name) {
        assertOdd(() -> HostCheck.run(withNames(HUGE_PAGES, name), 1 << 30))
                .hasMessage("readdir on " + HUGE_PAGES + " answered \"" + name + "\", which is no size of huge pages");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "many", "-1", "99999999999999999999"})
    void hugePagesWithoutACount(String text) {
        String path = HUGE_PAGES + "/hugepages-2048kB/free_hugepages";
        assertOdd(() -> HostCheck.run(withText(path, text), 1 << 30)).hasMessageStartingWith("read on " + path);
    }

    @Test
    void aDeviceThatIsNoVfioDeviceAnyMore() {
        AtomicInteger looks = new AtomicInteger();
        Kernel kernel = OddKernel.of(mock, call -> call.is("list") && call.isOn(DEVICE + "/vfio-dev")
                && looks.incrementAndGet() > 1 ? -Errno.ENOENT.number() : call.real());
        assertThatThrownBy(() -> Candidate.list(kernel)).hasMessageStartingWith("0000:6a:01.0 ");
    }

    @Test
    void aFileWithoutAnEnd() {
        assertOdd(() -> device(withReads(VENDOR, buffer -> buffer.fill((byte) '1').byteSize())).vendorId())
                .hasMessageStartingWith("read on " + VENDOR + " answered text without an end");
    }

    @Test
    void aFileOfCrumbsWithoutAnEnd() {
        assertOdd(() -> device(withReads(VENDOR, _ -> 1L)).vendorId())
                .hasMessageStartingWith("read on " + VENDOR + " answered text without an end");
    }

    /** On a large host they are many megabytes, of which the first lines tell enough. */
    @Test
    void moreInterruptsThanAreRead() {
        Kernel kernel = withText("/proc/interrupts", "0: 1 IR-IO-APIC 2-edge timer\n".repeat(1 << 20));
        assertThat(HostCheck.run(kernel, 1 << 26)).extracting(Finding::reason)
                .contains("a device can raise no interrupts but its own");
    }

    @Test
    void aLineWithoutAnEnd() {
        assertOdd(() -> HostCheck.run(withText("/proc/cmdline", "quiet ".repeat(1 << 16)), 1 << 30))
                .hasMessageStartingWith("read on /proc/cmdline answered a line of 393215 bytes, \"quiet quiet");
    }

    @Test
    void moreThanThereIsRoomFor() {
        assertOdd(() -> device(withReads(VENDOR, buffer -> buffer.byteSize() + 1)).vendorId())
                .hasMessage("read on " + VENDOR + " answered 4097 bytes for 4096");
    }

    @Test
    void shortReadsAreReadOn() {
        Kernel kernel = OddKernel.of(mock, call -> call.is("read")
                ? mock.read(call.argument(0), call.<MemorySegment>argument(1).asSlice(0, 2))
                : call.real());
        assertThat(device(kernel).vendorId()).isEqualTo(0x8086);
    }

    @Test
    void aReadThatIsInterruptedIsMadeAgain() {
        AtomicInteger reads = new AtomicInteger();
        Kernel kernel = OddKernel.of(mock, call -> call.is("read") && reads.incrementAndGet() % 3 != 0
                ? (Object) (long) -Errno.EINTR.number()
                : call.real());
        assertThat(device(kernel).vendorId()).isEqualTo(0x8086);
        assertThat(reads.get()).isGreaterThan(3);
    }

    @Test
    void aReadThatIsAlwaysInterruptedEnds() {
        Kernel kernel = withReads(VENDOR, _ -> (long) -Errno.EINTR.number());
        assertThatThrownBy(() -> device(kernel).vendorId()).isInstanceOf(KernelException.class)
                .hasMessage("read on " + VENDOR + ": EINTR (Interrupted system call)");
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 5, 1L << 40})
    void aPartOfATextIsWritten(long taken) {
        Kernel kernel = OddKernel.of(mock, call -> call.is("write") ? (Object) taken : call.real());
        assertOdd(() -> DriverBinding.unbind(device(kernel)))
                .hasMessageContaining("write on " + DEVICE + "/driver_override answered " + taken + " for the 1 bytes");
    }

    /** Each volume is made of the next, and the last one of the first; or there is no last one. */
    @ParameterizedTest
    @ValueSource(ints = {3, Integer.MAX_VALUE})
    void volumesInACircle(int circle) {
        String block = "/sys/class/block";
        Kernel kernel = OddKernel.of(mock, call -> {
            String path = call.is("list") || call.is("readlink") ? call.argument(0) : "";
            if (path.equals(block)) {
                call.<List<String>>argument(1).addAll(List.of("v0", "v1", "v2"));
                return 0;
            }
            if (path.startsWith(block) && call.is("readlink")) {
                call.<StringBuilder>argument(1).append("../../devices/0000:6a:01.0/").append(path);
                return 0;
            }
            if (path.endsWith("/holders")) {
                int volume = Integer.parseInt(path.replaceAll("\\D", ""));
                call.<List<String>>argument(1).add("v" + (volume + 1) % circle);
                return 0;
            }
            return call.real();
        });
        assertThat(device(kernel).uses()).isEmpty();
    }

    @Test
    void aFileIsClosedWhateverItAnswers() {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        assertOdd(() -> withReads(VENDOR, _ -> Long.MAX_VALUE).readFile(VENDOR, content));
        assertThat(mock.leaks()).isEmpty();
    }
}
