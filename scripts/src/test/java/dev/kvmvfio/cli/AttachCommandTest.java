package dev.kvmvfio.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AttachCommandTest extends CommandLineTest {
    private static final String DEVICE = "0000:6a:01.0";

    private List<String> calls(String mark) {
        return out.toString().lines().filter(line -> line.startsWith(mark)).map(line -> line.split(" +")[1]).toList();
    }

    @Test
    void aCdevIsAttachedAndGivenBack() throws IOException {
        assertThat(run("attach", "--mock", DEVICE)).isZero();
        assertThat(calls("+")).containsExactly("open", "KVM_GET_API_VERSION", "KVM_CREATE_VM", "mmap",
                "KVM_SET_USER_MEMORY_REGION", "KVM_CREATE_DEVICE", "open", "open", "KVM_DEV_VFIO_FILE_ADD",
                "VFIO_DEVICE_BIND_IOMMUFD", "IOMMU_IOAS_ALLOC", "VFIO_DEVICE_ATTACH_IOMMUFD_PT", "IOMMU_IOAS_MAP");
        assertThat(calls("-")).containsExactly("IOMMU_IOAS_UNMAP", "VFIO_DEVICE_DETACH_IOMMUFD_PT", "IOMMU_DESTROY",
                "KVM_DEV_VFIO_FILE_DEL", "close", "close", "close", "KVM_SET_USER_MEMORY_REGION", "munmap", "close",
                "close");
        assertThat(out.toString()).contains("by cdev (/dev/vfio/devices/vfio0 and /dev/iommu are there)")
                .contains(DEVICE + " is 8086:10d3").contains("MSI-X         5 vectors");
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void aGroupIsAttachedAndGivenBack() throws IOException {
        assertThat(run("attach", "--mock", "--interface", "group", DEVICE)).isZero();
        assertThat(calls("+")).containsSubsequence("VFIO_GROUP_SET_CONTAINER", "VFIO_SET_IOMMU",
                "KVM_DEV_VFIO_GROUP_ADD", "VFIO_GROUP_GET_DEVICE_FD", "VFIO_IOMMU_MAP_DMA");
        assertThat(calls("-")).containsSubsequence("VFIO_IOMMU_UNMAP_DMA", "KVM_DEV_VFIO_GROUP_DEL",
                "VFIO_GROUP_UNSET_CONTAINER", "close");
    }

    @Test
    void eachSystemCallIsTold() throws IOException {
        assertThat(run("attach", "--mock", "-v", DEVICE)).isZero();
        assertThat(err.toString().lines()).contains("open(\"/dev/kvm\", 0x80002) = 3",
                "ioctl(5<KVM device VFIO>, KVM_DEV_VFIO_FILE_ADD, [6</dev/vfio/devices/vfio0>]) = 0")
                .endsWith("close(3</dev/kvm>) = 0").noneMatch(line -> line.contains("/sys/"));
    }

    @Test
    void jsonIsOneDocument() throws IOException {
        assertThat(run("attach", "--mock", "--json", DEVICE)).isZero();
        JsonObject document = JsonParser.parseString(out.toString()).getAsJsonObject();
        assertThat(document.get("address").getAsString()).isEqualTo(DEVICE);
        assertThat(document.get("vendorId").getAsString()).isEqualTo("0x8086");
        assertThat(document.get("interface").getAsString()).isEqualTo("cdev");
        assertThat(texts(document.getAsJsonArray("steps"), "call")).contains("KVM_DEV_VFIO_FILE_ADD");
        assertThat(texts(document.getAsJsonArray("regions"), "name")).contains("BAR 0", "config space");
        assertThat(texts(document.getAsJsonArray("interrupts"), "name")).contains("INTx", "MSI", "MSI-X");
    }

    private static List<String> texts(JsonArray array, String member) {
        return StreamSupport.stream(array.spliterator(), false).map(JsonElement::getAsJsonObject)
                .map(object -> object.get(member).getAsString()).toList();
    }

    @ParameterizedTest
    @CsvSource({"attach --mock ../" + DEVICE + ",is no PCI address", "attach --mock /etc/passwd,is no PCI address",
        "attach --mock,DEVICE is missing", "attach --mock /dev/vfio/27,attach takes one device",
        "attach --mock --interface usb " + DEVICE + ",usb",
        "attach --mock --memory 0 " + DEVICE + ",at least 1 MiB", "attach --mock --fast " + DEVICE + ",--fast",
        "detach,detach", "'',which command?"})
    void wrongUsageIsTold(String line, String message) throws IOException {
        assertThat(run(line.isEmpty() ? new String[0] : line.split(" "))).isEqualTo(2);
        assertThat(err.toString()).contains(message);
        assertThat(out.toString()).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"0000:6f:00.0,there is no PCI device at 0000:6f:00.0",
        "0000:6d:00.0,'bound to no driver, not to vfio-pci'", "0000:6c:00.1,bound to the driver nvme",
        "0000:6c:00.0,'0000:6c:00.1 (nvme, blocks the group)'"})
    void aRefusalIsOneLine(String address, String message) throws IOException {
        assertThat(run("attach", "--mock", address)).isEqualTo(1);
        assertThat(err.toString().lines()).singleElement().asString().startsWith("kvm-vfio: ").contains(message);
    }

    @Test
    void ctrlCDetachesAndIsNoFailure() throws Exception {
        // What runs in a shell's background is told to ignore Ctrl-C.
        Process process = new ProcessBuilder("env", "--default-signal=INT",
                ProcessHandle.current().info().command().orElseThrow(),
                "--enable-native-access=ALL-UNNAMED", "-cp",
                System.getProperty("java.class.path") + File.pathSeparator + System.getProperty("jdk.module.path", ""),
                KvmVfioCommand.class.getName(), "attach", "--mock", DEVICE).redirectErrorStream(true).start();
        try (BufferedReader output = process.inputReader()) {
            String line = output.readLine();
            while (line != null && !line.startsWith("Press Enter")) {
                line = output.readLine();
            }
            assertThat(line).isNotNull();
            new ProcessBuilder("kill", "-INT", Long.toString(process.pid())).start().waitFor();
            assertThat(output.lines()).anyMatch(undone -> undone.startsWith("- KVM_DEV_VFIO_FILE_DEL"))
                    .noneMatch(text -> text.startsWith("kvm-vfio:"));
        }
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).isZero();
    }
}
