package dev.kvmvfio.it.guest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.kvmvfio.it.kvm.HeldFiles;
import dev.kvmvfio.it.lab.LabMachine;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.vmm.AssignedDevice;
import dev.kvmvfio.vmm.LinuxImage;
import dev.kvmvfio.vmm.LinuxMachine;
import dev.kvmvfio.vmm.Machine;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Linux in a virtual machine of ours uses devices of this machine with its own drivers. */
@Tag("in-lab")
public class LabLinuxTest {
    private static final String INTERFACES = "dev.kvmvfio.it.lab.LabMachine#interfaces";
    private static final PciAddress DISK = PciAddress.parse(LabMachine.NVME);
    private static final PciAddress NETWORK = PciAddress.parse(LabMachine.NETWORK);
    private static final long MEMORY = 256 << 20;
    private static final int DISK_SLOT = 1;
    private static final int NETWORK_SLOT = 2;
    private static final int PATIENCE_MINUTES = 10;

    private static final String SECTOR = "dd if=/dev/nvme0n1 bs=512 skip=%d count=1 2>/dev/null | grep -a kvm-vfio\n";
    private static final String INTERRUPTS = "grep -E '%s' /proc/interrupts\n";

    private final GuestConsole console = new GuestConsole();

    @AfterEach
    void nothingIsLeft() {
        assertThat(HeldFiles.now()).isEmpty();
    }

    private Machine boot(String command) throws IOException {
        LinuxImage linux = LinuxImage.read(Path.of("/guest/vmlinuz"), Path.of("/guest/initramfs.cpio"));
        return LinuxMachine.boot(Kernel.linux(), MEMORY, linux.withFile("command", command), console);
    }

    /** The whole disk is read between two lines of the console, and the guest does not leave for any of it. */
    @ParameterizedTest
    @MethodSource(INTERFACES)
    void linuxReadsADiskWithoutAnExit(VfioInterface by) throws Exception {
        String command = SECTOR.formatted(0) + SECTOR.formatted(16383) + """
                echo reading
                dd if=/dev/nvme0n1 of=/dev/null bs=64k iflag=direct 2>/tmp/result
                echo was read
                cat /tmp/result
                """ + INTERRUPTS.formatted("nvme0q1");
        try (Machine machine = boot(command)) {
            machine.attach(DISK, by, DISK_SLOT);
            CompletableFuture<Void> end = start(machine);
            console.await("reading");
            Map<String, Integer> before = machine.exits();
            console.await("was read");
            Map<String, Integer> after = machine.exits();
            end.get(PATIENCE_MINUTES, TimeUnit.MINUTES);
            assertThat(after.getOrDefault("MmioRead", 0)).isEqualTo(before.getOrDefault("MmioRead", 0));
            assertThat(after.getOrDefault("MmioWrite", 0)).isEqualTo(before.getOrDefault("MmioWrite", 0));
        }
        assertThat(console.text()).contains("kvm-vfio sector 0 ", "kvm-vfio sector 16383 ", "128+0 records in",
                "guest: the command ended with 0").containsPattern(tookInterrupts("nvme0q1"));
    }

    /** The guest pings the network while the disk is away, and finds the disk again. */
    @ParameterizedTest
    @MethodSource(INTERFACES)
    void aDeviceGoesAndComesBackWhileLinuxRuns(VfioInterface by) throws Exception {
        String ping = "until ping -c 1 10.0.2.2 >/tmp/ping; do true; done\necho %s\n";
        String command = SECTOR.formatted(5) + """
                ip link set eth0 up
                ip address add 10.0.2.15/24 dev eth0
                until [ "$(cat /sys/class/net/eth0/carrier)" = 1 ]; do sleep 0.1; done
                """ + ping.formatted("network with disk") + """
                echo 1 >/sys/bus/pci/devices/0000:00:01.0/remove
                echo disk removed
                """ + ping.formatted("network without disk") + """
                until [ -e /dev/nvme0n1 ]; do sleep 0.2; echo 1 >/sys/bus/pci/rescan; done
                """ + SECTOR.formatted(7) + INTERRUPTS.formatted("nvme0q1|eth0") + "echo end\n";
        try (Machine machine = boot(command)) {
            AssignedDevice disk = machine.attach(DISK, by, DISK_SLOT);
            machine.attach(NETWORK, by, NETWORK_SLOT);
            CompletableFuture<Void> end = start(machine);
            console.await("disk removed");
            machine.detach(disk);
            assertFree(DISK, by);
            console.await("network without disk");
            assertThat(console.text()).contains("kvm-vfio sector 5 ").doesNotContain("sector 7");
            machine.attach(DISK, by, DISK_SLOT);
            end.get(PATIENCE_MINUTES, TimeUnit.MINUTES);
        }
        assertThat(console.text()).contains("\nnetwork with disk\n", "kvm-vfio sector 7 ",
                "guest: the command ended with 0").containsPattern(tookInterrupts("eth0"))
                .containsPattern(tookInterrupts("nvme0q1"));
    }

    /** A line of /proc/interrupts, which older kernels write differently. */
    private static String tookInterrupts(String name) {
        return "[1-9]\\d* +PCI-MSI\\S* +\\d+-edge +" + name;
    }

    /** Another virtual machine can have it. */
    private static void assertFree(PciAddress device, VfioInterface by) {
        try (Kvm kvm = Kvm.open();
                Vm other = kvm.createVm();
                AttachedDevice attached = AttachedDevice.request(Kernel.linux(), device).via(by).attach(other)) {
            assertThat(attached.device().canReset()).isTrue();
        }
    }

    /** Runs the machine on a thread of its own; what it throws, {@code get} throws. */
    private static CompletableFuture<Void> start(Machine machine) {
        return CompletableFuture.runAsync(machine::run, task -> Thread.ofPlatform().start(task));
    }
}
