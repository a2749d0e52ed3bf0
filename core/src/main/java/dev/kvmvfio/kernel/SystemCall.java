package dev.kvmvfio.kernel;

import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_h;
import java.lang.foreign.Arena;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A system call, decoded. As text it is a line like those of strace: the call, the file with its number, the ioctl by
 * its name, each field of its struct, and what came back. A field that the call changed shows both values.
 *
 * <pre>
 * ioctl(6&lt;/dev/vfio/devices/vfio0&gt;, VFIO_DEVICE_BIND_IOMMUFD, {argsz=0x10, flags=0, iommufd=7&lt;/dev/iommu&gt;, out_devid=0 =&gt; 1}) = 0
 * </pre>
 *
 * <p>The arguments become text only when they are asked for.
 *
 * <p><b>Thread-safety:</b> immutable.
 */
public final class SystemCall {
    static final String FILE_ADD = "KVM_DEV_VFIO_FILE_ADD";
    static final String FILE_DEL = "KVM_DEV_VFIO_FILE_DEL";

    private static final MemorySegment.Scope FOR_EVER = Arena.global().scope();

    private final String operation;
    private final String file;
    private final String name;
    private final Arguments arguments;
    private final Supplier<String> text;
    private final long result;

    /** What a call is told, which may look different when it has returned. */
    interface Arguments {
        /** Keeps what is needed to write the arguments, which the caller may overwrite as soon as it goes on. */
        Supplier<String> capture(boolean returned, long result);
    }

    private SystemCall(String operation, String file, String name, Arguments arguments, Supplier<String> text,
            long result) {
        this.operation = operation;
        this.file = file;
        this.name = name;
        this.arguments = arguments;
        this.text = text;
        this.result = result;
    }

    static SystemCall of(String operation, String file, Supplier<String> text) {
        return new SystemCall(operation, file, operation, (returned, result) -> text, text, 0);
    }

    static SystemCall of(String operation, String file, Arguments arguments) {
        return new SystemCall(operation, file, operation, arguments, arguments.capture(false, 0), 0);
    }

    /** An ioctl; files says what an open file's number stands for, with the number. */
    static SystemCall ioctl(FileKind kind, String file, long request, MemorySegment argument,
            IntFunction<String> files) {
        Ioctls.Known ioctl = kind.ioctls().find(request);
        MemorySegment before = copy(ioctl.layout(), argument);
        String name = nameOf(kind, ioctl, before);
        Arguments arguments = name.equals(FILE_ADD) || name.equals(FILE_DEL)
                ? (returned, result) -> attribute(Objects.requireNonNull(before), returned && result >= 0, files)
                : (returned, result) -> struct(ioctl.layout(), argument, before, returned, files);
        return new SystemCall("ioctl", file, name, arguments, arguments.capture(false, 0), 0);
    }

    /** Memory without an arena may be any address, and a bad one is the kernel's to refuse: it is not read. */
    static @Nullable MemorySegment copy(@Nullable MemoryLayout layout, MemorySegment argument) {
        if (layout == null || argument.byteSize() == 0 || argument.scope().equals(FOR_EVER)) {
            return null;
        }
        long size = layout == Ioctls.TEXT ? argument.byteSize() : Math.min(layout.byteSize(), argument.byteSize());
        // Java aligns an array by its elements.
        MemorySegment copy = MemorySegment.ofArray(new long[Math.toIntExact((size + 7) / 8)]).asSlice(0, size);
        return copy.copyFrom(argument.asSlice(0, size));
    }

    static String nameOf(FileKind kind, long request, MemorySegment argument) {
        Ioctls.Known ioctl = kind.ioctls().find(request);
        return nameOf(kind, ioctl, kind == FileKind.KVM_DEVICE ? copy(ioctl.layout(), argument) : null);
    }

    /** A file is handed to KVM through an attribute, which is no name for what happens. */
    private static String nameOf(FileKind kind, Ioctls.Known ioctl, @Nullable MemorySegment attr) {
        if (kind != FileKind.KVM_DEVICE || !ioctl.name().equals("KVM_SET_DEVICE_ATTR") || attr == null
                || attr.byteSize() < kvm_device_attr.sizeof()
                || kvm_device_attr.group(attr) != kvm_h.KVM_DEV_VFIO_FILE()) {
            return ioctl.name();
        }
        long attribute = kvm_device_attr.attr(attr);
        return attribute == kvm_h.KVM_DEV_VFIO_FILE_ADD()
                ? FILE_ADD
                : attribute == kvm_h.KVM_DEV_VFIO_FILE_DEL() ? FILE_DEL : ioctl.name();
    }

    private static Supplier<String> struct(@Nullable MemoryLayout layout, MemorySegment argument,
            @Nullable MemorySegment before,
            boolean returned, IntFunction<String> files) {
        if (layout == null || before == null) {
            return () -> argument.address() == 0 ? "0" : "0x" + Long.toHexString(argument.address());
        }
        MemorySegment after = returned ? Objects.requireNonNull(copy(layout, argument)) : before;
        if (layout == Ioctls.TEXT) {
            return () -> '"' + text(before) + '"';
        }
        if (layout == Ioctls.FILE) {
            String file = files.apply(before.get(ValueLayout.JAVA_INT_UNALIGNED, 0));
            return () -> "[" + file + "]";
        }
        if (layout instanceof ValueLayout value) {
            return () -> "[" + StructText.value(value, 0, before, after) + "]";
        }
        return StructText.describe((GroupLayout) layout, before, after, files);
    }

    /** Text that ends in a zero, or with the memory. */
    static String text(MemorySegment bytes) {
        String all = new String(bytes.toArray(ValueLayout.JAVA_BYTE), StandardCharsets.US_ASCII);
        int end = all.indexOf(0);
        return end < 0 ? all : all.substring(0, end);
    }

    /** The kernel has read the file's number only when it accepted the address. */
    @SuppressWarnings("restricted")
    private static Supplier<String> attribute(MemorySegment attr, boolean accepted, IntFunction<String> files) {
        if (!accepted) {
            return StructText.describe(kvm_device_attr.layout(), attr, attr, files);
        }
        MemorySegment number = MemorySegment.ofAddress(kvm_device_attr.addr(attr)).reinterpret(Integer.BYTES);
        String file = files.apply(number.get(ValueLayout.JAVA_INT_UNALIGNED, 0));
        return () -> "[" + file + "]";
    }

    /**
     * The same call when it has returned.
     *
     * @param result what the program gets: zero or more, or a negative errno
     * @return the call with its result and what it changed
     */
    public SystemCall returned(long result) {
        return new SystemCall(operation, file, name, arguments, arguments.capture(true, result), result);
    }

    /**
     * The system call.
     *
     * @return such as {@code ioctl}
     */
    public String operation() {
        return operation;
    }

    /**
     * What it was made on.
     *
     * @return the number of a file and what it is, such as {@code 3</dev/kvm>}; a path; or empty
     */
    public String file() {
        return file;
    }

    /**
     * The call's own name.
     *
     * @return for an ioctl its request, such as {@code KVM_CREATE_VM}, or for a file handed to KVM
     *         {@code KVM_DEV_VFIO_FILE_ADD}; a number when the request is not known; otherwise the system call
     */
    public String name() {
        return name;
    }

    /**
     * Its arguments, without the file and the request.
     *
     * @return text for people; may be empty
     */
    public String arguments() {
        return text.get();
    }

    /**
     * What the program got.
     *
     * @return zero or more, or a negative errno
     */
    public long result() {
        return result;
    }

    /**
     * How the call failed.
     *
     * @return the errno; empty when it succeeded
     */
    public Optional<Errno> errno() {
        return result < 0 ? Optional.of(Errno.of((int) -result)) : Optional.empty();
    }

    @Override
    public String toString() {
        StringBuilder line = new StringBuilder(operation).append('(').append(file);
        if (!name.equals(operation)) {
            line.append(", ").append(name);
        }
        String told = arguments();
        if (!told.isEmpty()) {
            line.append(file.isEmpty() ? "" : ", ").append(told);
        }
        return line.append(") = ").append(answer()).toString();
    }

    private String answer() {
        if (result < 0) {
            return "-1 " + Errno.describe((int) -result);
        }
        return switch (operation) {
            case "mmap" -> "0x" + Long.toHexString(result);
            case "stat" -> DeviceNumber.of(result).toString();
            default -> Long.toString(result);
        };
    }
}
