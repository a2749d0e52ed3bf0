package dev.kvmvfio.vmm;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * What it takes to boot Linux. The arrays are the image's own: nobody changes them.
 *
 * @param bzImage the kernel, as distributions name it {@code vmlinuz}
 * @param initramfs the initial RAM disk, an archive of cpio
 * @param commandLine the kernel's arguments
 */
public record LinuxImage(byte[] bzImage, byte[] initramfs, String commandLine) {
    /**
     * No ACPI tables and no BIOS are there to say where PCI is; the speed of the processor is given, since measuring it
     * takes long under emulation.
     */
    private static final String COMMAND_LINE = "console=ttyS0 quiet loglevel=3 panic=-1 reboot=k pci=conf1 lpj=4000000 no_timer_check";

    /**
     * Reads a kernel and its initial RAM disk.
     *
     * @param vmlinuz the file of the kernel
     * @param initramfs the file of the initial RAM disk
     * @return both, with the arguments that the machine wants
     * @throws IOException when one cannot be read
     */
    public static LinuxImage read(Path vmlinuz, Path initramfs) throws IOException {
        return new LinuxImage(Files.readAllBytes(vmlinuz), Files.readAllBytes(initramfs), COMMAND_LINE);
    }

    /**
     * Adds an executable file to the initial RAM disk.
     *
     * @param name where it is, without the leading slash
     * @param content what is in it
     * @return the image with the file
     */
    public LinuxImage withFile(String name, String content) {
        return new LinuxImage(bzImage, Cpio.append(initramfs, name, content), commandLine);
    }

    /**
     * Gives the kernel more arguments.
     *
     * @param arguments what follows those that there are
     * @return the image with them
     */
    public LinuxImage withArguments(String arguments) {
        return new LinuxImage(bzImage, initramfs, commandLine + " " + arguments);
    }
}
