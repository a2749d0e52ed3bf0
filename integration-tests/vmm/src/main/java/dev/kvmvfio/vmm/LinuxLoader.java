package dev.kvmvfio.vmm;

import dev.kvmvfio.bindings.kvm.x86_64.kvm_regs;
import dev.kvmvfio.kvm.Vcpu;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/**
 * Loads a Linux kernel by the x86 boot protocol (the kernel's Documentation/arch/x86/boot.rst): the 64-bit entry of a
 * bzImage, with the zero page, the command line and the initial RAM disk in the guest's memory.
 */
final class LinuxLoader {
    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    // Offsets in the bzImage's header, which are those in the zero page too.
    private static final int SETUP_SECTORS = 0x1f1;
    private static final int HEADER_LENGTH = 0x201;
    private static final int HEADER = 0x202;
    private static final int VERSION = 0x206;
    private static final int LOADER_TYPE = 0x210;
    private static final int RAMDISK_ADDRESS = 0x218;
    private static final int RAMDISK_SIZE = 0x21c;
    private static final int COMMAND_LINE = 0x228;
    private static final int XLOADFLAGS = 0x236;
    private static final int COMMAND_LINE_SIZE = 0x238;
    private static final int PREFERRED_ADDRESS = 0x258;
    private static final int INIT_SIZE = 0x260;
    private static final int E820_COUNT = 0x1e8;
    private static final int E820_TABLE = 0x2d0;

    private static final int MAGIC = 0x53726448;
    private static final int VERSION_2_12 = 0x020c;
    private static final int HAS_64_BIT_ENTRY = 1;
    private static final int ENTRY_64 = 0x200;
    private static final int SECTOR = 512;
    private static final int UNKNOWN_LOADER = 0xff;

    private static final long ZERO_PAGE = LongMode.FREE;
    private static final long COMMAND_LINE_AT = ZERO_PAGE + 0x1000;
    private static final long STACK = 0x20000;
    private static final long LOW_END = 0x9fc00;
    private static final long HIGH_START = 0x100000;
    private static final int E820_RAM = 1;
    private static final int E820_ENTRY = 20;
    private static final long PAGE = 0x1000;

    private LinuxLoader() {
    }

    /**
     * Loads a kernel and makes the processor start it.
     *
     * @param ram the guest's memory, from its address 0
     * @throws IllegalArgumentException when it is no such kernel, or the memory is too small for it
     */
    static void load(Vcpu vcpu, MemorySegment ram, LinuxImage linux) {
        LongMode.enter(vcpu, ram, place(ram, linux), STACK);
        vcpu.x86().updateRegs(registers -> kvm_regs.rsi(registers, ZERO_PAGE));
    }

    /** Writes everything into memory but the processor's tables, and tells the entry. */
    static long place(MemorySegment ram, LinuxImage linux) {
        MemorySegment image = MemorySegment.ofArray(linux.bzImage());
        byte[] initramfs = linux.initramfs();
        check(image);
        int setup = (Math.max(1, Byte.toUnsignedInt(image.get(BYTE, SETUP_SECTORS))) + 1) * SECTOR;
        long kernelAt = image.get(LONG, PREFERRED_ADDRESS);
        long kernelEnd = kernelAt + Integer.toUnsignedLong(image.get(INT, INIT_SIZE));
        long initramfsAt = ram.byteSize() - initramfs.length & -PAGE;
        if (initramfsAt < kernelEnd) {
            throw new IllegalArgumentException(String.format(
                    "0x%x bytes of memory are too few: the kernel needs all up to 0x%x, the initial RAM disk 0x%x bytes",
                    ram.byteSize(), kernelEnd, initramfs.length));
        }
        MemorySegment.copy(image, setup, ram, kernelAt, image.byteSize() - setup);
        ram.asSlice(initramfsAt).copyFrom(MemorySegment.ofArray(initramfs));
        MemorySegment zeroPage = ram.asSlice(ZERO_PAGE, PAGE);
        int headerEnd = HEADER + Byte.toUnsignedInt(image.get(BYTE, HEADER_LENGTH));
        MemorySegment.copy(image, SETUP_SECTORS, zeroPage, SETUP_SECTORS, headerEnd - SETUP_SECTORS);
        zeroPage.set(BYTE, LOADER_TYPE, (byte) UNKNOWN_LOADER);
        zeroPage.set(INT, RAMDISK_ADDRESS, (int) initramfsAt);
        zeroPage.set(INT, RAMDISK_SIZE, initramfs.length);
        writeCommandLine(ram, image, linux.commandLine());
        zeroPage.set(INT, COMMAND_LINE, (int) COMMAND_LINE_AT);
        addMemory(zeroPage, 0, LOW_END);
        addMemory(zeroPage, HIGH_START, ram.byteSize());
        return kernelAt + ENTRY_64;
    }

    private static void check(MemorySegment image) {
        boolean isLinux = image.byteSize() > INIT_SIZE + Integer.BYTES && image.get(INT, HEADER) == MAGIC;
        if (!isLinux || image.get(SHORT, VERSION) < VERSION_2_12
                || (image.get(SHORT, XLOADFLAGS) & HAS_64_BIT_ENTRY) == 0) {
            throw new IllegalArgumentException("the kernel is no bzImage of 64-bit Linux 3.8 or later");
        }
    }

    private static void writeCommandLine(MemorySegment ram, MemorySegment image, String commandLine) {
        byte[] text = commandLine.getBytes(StandardCharsets.US_ASCII);
        if (text.length > image.get(INT, COMMAND_LINE_SIZE)) {
            throw new IllegalArgumentException("the kernel's command line is longer than "
                    + image.get(INT, COMMAND_LINE_SIZE) + " characters: " + commandLine);
        }
        ram.setString(COMMAND_LINE_AT, commandLine, StandardCharsets.US_ASCII);
    }

    private static void addMemory(MemorySegment zeroPage, long start, long end) {
        int count = zeroPage.get(BYTE, E820_COUNT);
        long entry = E820_TABLE + (long) count * E820_ENTRY;
        zeroPage.set(LONG, entry, start);
        zeroPage.set(LONG, entry + Long.BYTES, end - start);
        zeroPage.set(INT, entry + 2 * Long.BYTES, E820_RAM);
        zeroPage.set(BYTE, E820_COUNT, (byte) (count + 1));
    }
}
