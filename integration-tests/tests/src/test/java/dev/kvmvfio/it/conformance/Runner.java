package dev.kvmvfio.it.conformance;

import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_pci_dependent_device;
import dev.kvmvfio.bindings.vfio.vfio_pci_hot_reset_info;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/**
 * Runs a sequence on a kernel. No call blocks, and everything that a sequence leaves open is closed after it. What a
 * kernel may choose freely, numbers of files and addresses of memory, is not in the results.
 */
final class Runner implements AutoCloseable {
    private static final int BUFFER = 1024;
    private static final long PAUSE_NANOS = 20_000_000;
    private static final int EVENTFD_FLAGS = system_h.EFD_NONBLOCK() | system_h.EFD_CLOEXEC();
    /** Stands for a file that is not open, a number that names nothing and an address where nothing is. */
    private static final long NOTHING = 999;
    private static final String NONE = "none";
    private static final String PCI = "/sys/bus/pci/devices/";

    private final Kernel kernel;
    private final int patienceMillis;
    private final Arena arena = Arena.ofConfined();
    private final Map<String, Long> values = new LinkedHashMap<>();
    private final List<Integer> files = new ArrayList<>();
    private final Map<Long, Long> mappings = new LinkedHashMap<>();

    /**
     * Makes a runner for one sequence.
     *
     * @param kernel where it runs
     * @param patienceMillis how long an interrupt may take to arrive
     */
    Runner(Kernel kernel, int patienceMillis) {
        this.kernel = kernel;
        this.patienceMillis = patienceMillis;
    }

    /** What came of each step. */
    List<String> run(Sequence sequence) {
        List<String> results = new ArrayList<>();
        sequence.steps().forEach(step -> results.add(run(step)));
        return results;
    }

    private String run(Step step) {
        return switch (step.verb()) {
            case "open" -> madeFile(step, kernel.open(path(step.operand(0)), system_h.O_RDWR()));
            case "dup" -> madeFile(step, kernel.dup(fd(step)));
            case "eventfd" -> madeFile(step, kernel.eventfd((int) value(step.operand(0)), EVENTFD_FLAGS));
            case "memfd" -> madeFile(step, kernel.memfd(step.operand(0), (int) value(step.operand(1))));
            case "ftruncate" -> result(kernel.ftruncate(fd(step), value(step.operand(1))));
            case "close" -> close(step);
            case "mmap" -> mmap(step);
            case "munmap" -> munmap(value(step.operand(0)));
            case "read" -> read(fd(step), value(step.operand(1)), -1);
            case "pread" -> read(fd(step), value(step.operand(1)), value(step.operand(2)));
            case "write" -> result(kernel.write(fd(step), bytes(step.operand(1))));
            case "pwrite" -> result(kernel.pwrite(fd(step), bytes(step.operand(1)), value(step.operand(2))));
            case "poll" -> result(kernel.poll(fd(step), (int) value(step.operand(1)), 0));
            case "interrupts" -> interrupts(fd(step));
            case "wait" -> await(fd(step), value(step.operand(1)), (int) value(step.operand(2)));
            case "fill" -> fill(step);
            case "peek" -> hex(memory(step));
            case "ioctl" -> ioctl(step);
            default -> throw new IllegalArgumentException("no call " + step);
        };
    }

    static String result(long result) {
        return result >= 0 ? Long.toString(result) : Errno.of((int) -result).name();
    }

    private String madeFile(Step step, long fd) {
        values.put(step.name(), fd < 0 ? NOTHING : fd);
        if (fd < 0) {
            return result(fd);
        }
        files.add((int) fd);
        return "fd";
    }

    /** Closes what the sequence opened; another file's number may be the Java machine's. */
    private String close(Step step) {
        int fd = fd(step);
        if (!files.remove((Integer) fd)) {
            return "EBADF";
        }
        // The kernel may give the number to another file.
        values.put(step.operand(0), NOTHING);
        return result(kernel.close(fd));
    }

    private int fd(Step step) {
        return (int) value(step.operand(0));
    }

    private long value(String text) {
        int plus = text.indexOf('+');
        if (plus > 0) {
            return value(text.substring(0, plus)) + value(text.substring(plus + 1));
        }
        if (text.isEmpty()) {
            return 0;
        }
        if (text.startsWith("&")) {
            return arena.allocateFrom(ValueLayout.JAVA_INT, (int) value(text.substring(1))).address();
        }
        if (text.startsWith("\"")) {
            return arena.allocateFrom(text.substring(1, text.length() - 1)).address();
        }
        return Character.isLetter(text.charAt(0)) ? values.getOrDefault(text, NOTHING) : number(text);
    }

    private static long number(String text) {
        return text.startsWith("0x") ? Long.parseUnsignedLong(text.substring(2), 16) : Long.parseLong(text);
    }

    private MemorySegment bytes(String text) {
        byte[] bytes = HexFormat.of().parseHex(text);
        MemorySegment buffer = arena.allocate(Math.max(1, bytes.length));
        buffer.copyFrom(MemorySegment.ofArray(bytes));
        return buffer.asSlice(0, bytes.length);
    }

    /** A node, which for a device is named by its address because its number depends on the machine. */
    private String path(String text) {
        if (text.startsWith("group:")) {
            return "/dev/vfio/" + group(text.substring(6));
        }
        if (text.startsWith("cdev:")) {
            List<String> names = new ArrayList<>();
            kernel.list(PCI + text.substring(5) + "/vfio-dev", names);
            return "/dev/vfio/devices/" + (names.isEmpty() ? NONE : names.getFirst());
        }
        return text;
    }

    private String mmap(Step step) {
        long length = value(step.operand(0));
        boolean anonymous = step.operands().size() < 2;
        int protection = step.operand(3).isEmpty() ? 3 : (int) value(step.operand(3));
        int flags = step.operand(4).isEmpty() ? system_h.MAP_SHARED() : (int) value(step.operand(4));
        long address = anonymous
                ? kernel.mmap(length, protection, system_h.MAP_PRIVATE() | system_h.MAP_ANONYMOUS(), -1, 0)
                : kernel.mmap(length, protection, flags, (int) value(step.operand(1)), value(step.operand(2)));
        values.put(step.name(), isError(address) ? NOTHING : address);
        if (isError(address)) {
            return result(address);
        }
        mappings.put(address, length);
        return "address";
    }

    private String group(String device) {
        StringBuilder link = new StringBuilder();
        kernel.readlink(PCI + device + "/iommu_group", link);
        return link.isEmpty() ? NONE : link.substring(link.lastIndexOf("/") + 1);
    }

    private static boolean isError(long address) {
        return address < 0 && address > -4096;
    }

    private String munmap(long address) {
        Long length = mappings.remove(address);
        if (length == null) {
            return "EINVAL";
        }
        // The Java machine may take the address.
        values.values().removeIf(value -> value == address);
        return result(kernel.munmap(address, length));
    }

    private String read(int fd, long bytes, long offset) {
        MemorySegment buffer = arena.allocate(Math.max(1, bytes)).asSlice(0, bytes);
        long done = offset < 0 ? kernel.read(fd, buffer) : kernel.pread(fd, buffer, offset);
        return done < 0 ? result(done) : done + " " + hex(buffer.asSlice(0, done));
    }

    private static String hex(MemorySegment bytes) {
        return HexFormat.of().formatHex(bytes.toArray(ValueLayout.JAVA_BYTE));
    }

    /** How often an eventfd was signalled. */
    private String interrupts(int fd) {
        kernel.poll(fd, system_h.POLLIN(), patienceMillis);
        return read(fd, Long.BYTES, -1);
    }

    /** Waits until a register of the device has none of some bits. */
    private String await(int fd, long offset, int bits) {
        MemorySegment register = arena.allocate(Integer.BYTES);
        long end = System.nanoTime() + 100L * patienceMillis * 1_000_000;
        do {
            long done = kernel.pread(fd, register, offset);
            if (done < 0 || (register.get(ValueLayout.JAVA_INT, 0) & bits) == 0) {
                return result(done);
            }
            LockSupport.parkNanos(PAUSE_NANOS);
        } while (System.nanoTime() < end);
        return "never";
    }

    /** {@code fill m 0x1000 4096 0x5a} writes memory that was mapped. */
    private String fill(Step step) {
        MemorySegment memory = memory(step);
        if (memory.byteSize() > 0) {
            memory.fill((byte) value(step.operand(3)));
        }
        return "";
    }

    @SuppressWarnings("restricted") // only what the sequence mapped itself
    private MemorySegment memory(Step step) {
        long address = value(step.operand(0));
        long offset = value(step.operand(1));
        long bytes = value(step.operand(2));
        if (mappings.getOrDefault(address, 0L) < offset + bytes) {
            return MemorySegment.NULL;
        }
        return MemorySegment.ofAddress(address + offset).reinterpret(bytes);
    }

    private String ioctl(Step step) {
        Calls.Call call = Calls.of(step.operand(1));
        List<String> arguments = step.operands().subList(2, step.operands().size());
        boolean struct = arguments.stream().anyMatch(Runner::isField)
                || arguments.isEmpty() && call.struct() != null;
        if (struct) {
            return new StructCall(call, arguments).run(step);
        }
        long argument = arguments.isEmpty() ? 0 : value(arguments.getFirst());
        long result = kernel.ioctl(fd(step), call.request(), argument);
        return call.returnsFile() ? madeFile(step, result) : result(result);
    }

    private static boolean isField(String argument) {
        return argument.contains("=") && !argument.startsWith("\"");
    }

    /** An ioctl with a struct: fields by name, {@code tail} for what follows the struct, and arrays it points to. */
    private final class StructCall {
        private final Calls.Call call;
        private final MemorySegment struct = arena.allocate(BUFFER, Long.BYTES);
        private final Map<String, MemorySegment> arrays = new LinkedHashMap<>();
        private final MemorySegment before;

        StructCall(Calls.Call call, List<String> arguments) {
            this.call = call;
            call.struct().setSize(struct);
            if ("fd".equals(call.made())) {
                call.struct().field("fd").set(struct, -1);
            }
            arguments.forEach(this::set);
            before = MemorySegment.ofArray(struct.toArray(ValueLayout.JAVA_BYTE));
        }

        private void set(String argument) {
            int equals = argument.indexOf('=');
            String name = argument.substring(0, equals);
            String text = argument.substring(equals + 1);
            if (name.equals("tail")) {
                setTail(text.split(","));
            } else if (text.startsWith("@")) {
                call.struct().field(name).set(struct, array(name, text.substring(1).split(",")));
            } else {
                call.struct().field(name).set(struct, value(text));
            }
        }

        private void setTail(String[] numbers) {
            for (int i = 0; i < numbers.length; i++) {
                struct.set(ValueLayout.JAVA_INT_UNALIGNED, call.struct().size() + 4L * i, (int) value(numbers[i]));
            }
        }

        private long array(String name, String[] numbers) {
            MemorySegment array = arena.allocate(ValueLayout.JAVA_LONG, numbers.length);
            for (int i = 0; i < numbers.length; i++) {
                array.setAtIndex(ValueLayout.JAVA_LONG, i, value(numbers[i]));
            }
            arrays.put(name, array);
            return array.address();
        }

        String run(Step step) {
            Map<String, String> old = new LinkedHashMap<>();
            arrays.forEach((name, array) -> old.put(name, hex(array)));
            long result = kernel.ioctl(fd(step), call.request(), struct);
            StringBuilder text = new StringBuilder();
            if (call.returnsFile()) {
                text.append(madeFile(step, result));
            } else {
                text.append(result(result));
            }
            if (call.request() == vfio_h.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO()
                    && vfio_pci_hot_reset_info.flags(struct) == 0) {
                hideGroups();
            }
            describeFields(step, text);
            describeTail(text);
            arrays.forEach((name, array) -> {
                if (!hex(array).equals(old.get(name))) {
                    text.append(' ').append(name).append("=@").append(hex(array));
                }
            });
            return text.toString();
        }

        private void describeFields(Step step, StringBuilder text) {
            for (Struct.Field field : call.struct().fields()) {
                long value = field.get(struct);
                boolean made = field.name().equals(call.made());
                boolean changed = value != field.get(before);
                if (made && field.name().equals("fd")) {
                    if (changed) {
                        text.append(" fd=").append(madeFile(step, (int) value));
                    }
                    continue;
                }
                if (made) {
                    values.put(step.name(), value);
                }
                if (changed) {
                    text.append(String.format(" %s=0x%x", field.name(), value));
                }
            }
        }

        /** A group's number is the kernel's own choice: zero stands for the right one. */
        private void hideGroups() {
            for (int i = 0; i < vfio_pci_hot_reset_info.count(struct); i++) {
                MemorySegment device = struct.asSlice(
                        vfio_pci_hot_reset_info.sizeof() + i * vfio_pci_dependent_device.sizeof(),
                        vfio_pci_dependent_device.layout());
                int function = Byte.toUnsignedInt(vfio_pci_dependent_device.devfn(device));
                String address = String.format("%04x:%02x:%02x.%d", vfio_pci_dependent_device.segment(device),
                        vfio_pci_dependent_device.bus(device), function >> 3, function & 7);
                if (group(address).equals(Integer.toString(vfio_pci_dependent_device.group_id(device)))) {
                    vfio_pci_dependent_device.group_id(device, 0);
                }
            }
        }

        private void describeTail(StringBuilder text) {
            long start = call.struct().size();
            if (MemorySegment.mismatch(struct, start, BUFFER, before, start, BUFFER) < 0) {
                return;
            }
            long end = BUFFER;
            while (end > start && struct.get(ValueLayout.JAVA_BYTE, end - 1) == before.get(ValueLayout.JAVA_BYTE,
                    end - 1)) {
                end--;
            }
            if (end > start) {
                text.append(" tail=").append(hex(struct.asSlice(start, end - start)));
            }
        }
    }

    /** Closes and unmaps what the sequence left, and answers how many could not be. */
    int cleanUp() {
        int failures = 0;
        for (Map.Entry<Long, Long> mapping : mappings.entrySet()) {
            failures += kernel.munmap(mapping.getKey(), mapping.getValue()) == 0 ? 0 : 1;
        }
        mappings.clear();
        for (int fd : files) {
            failures += kernel.close(fd) == 0 ? 0 : 1;
        }
        files.clear();
        return failures;
    }

    @Override
    public void close() {
        cleanUp();
        arena.close();
    }
}
