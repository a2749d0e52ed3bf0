package dev.kvmvfio.vmm;

import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/**
 * Boots Linux with devices of the host, as an example of a virtual machine monitor:
 *
 * <pre>
 * LinuxVmm cdev|group ADDRESS[,ADDRESS…] COMMAND
 * </pre>
 *
 * runs the shell command in the guest, and prints the guest's serial console. {@link #FOLDER} has the kernel and its
 * initial RAM disk.
 */
public final class LinuxVmm {
    /** Where the lab has {@code vmlinuz} and {@code initramfs.cpio}. */
    static final Path FOLDER = Path.of("/guest");

    private static final long MEMORY = 256 << 20;
    /** The first PCI slot that is used. */
    private static final int FIRST_SLOT = 1;
    /**
     * No ACPI tables and no BIOS are there to say where PCI is; the speed of the processor is given, since measuring it
     * takes long under emulation.
     */
    private static final String COMMAND_LINE = "console=ttyS0 quiet loglevel=3 panic=-1 reboot=k pci=conf1 lpj=4000000 no_timer_check";

    private LinuxVmm() {
    }

    /**
     * Boots the guest and waits for its end.
     *
     * @param arguments interface, addresses, command
     * @throws IOException when the kernel cannot be read
     */
    public static void main(String[] arguments) throws IOException {
        if (arguments.length != 3) {
            System.err.println("usage: LinuxVmm cdev|group ADDRESS[,ADDRESS…] COMMAND");
            System.exit(2);
        }
        VfioInterface by = VfioInterface.valueOf(arguments[0].toUpperCase(Locale.ROOT));
        try (Machine machine = boot(Kernel.linux(), arguments[2], System.out)) {
            int slot = FIRST_SLOT;
            for (String address : arguments[1].split(",")) {
                machine.attach(PciAddress.parse(address), by, slot++);
            }
            machine.run();
        }
    }

    /**
     * Makes a machine that starts Linux when it is run, and stops when Linux resets it.
     *
     * @param kernel where the machine runs
     * @param command what the guest's shell shall do
     * @param console where the guest's serial console goes
     * @return the machine
     * @throws IOException when the kernel cannot be read
     */
    public static Machine boot(Kernel kernel, String command, OutputStream console) throws IOException {
        byte[] bzImage = Files.readAllBytes(FOLDER.resolve("vmlinuz"));
        byte[] initramfs = Cpio.append(Files.readAllBytes(FOLDER.resolve("initramfs.cpio")), "command", command);
        Machine machine = new Machine(kernel, MEMORY);
        try {
            machine.ports().add(Serial8250.COM1, Serial8250.PORTS,
                    new Serial8250(console, level -> machine.vm().setIrqLine(Serial8250.GSI, level)));
            machine.ports().add(Clock.PORT, Clock.PORTS, new Clock());
            machine.ports().add(KeyboardController.PORT, KeyboardController.PORTS,
                    new KeyboardController(machine::stop));
            LinuxLoader.load(machine.vcpu(), machine.ram().segment(), bzImage, initramfs, COMMAND_LINE);
            return machine;
        } catch (RuntimeException failure) {
            machine.close();
            throw failure;
        }
    }
}
