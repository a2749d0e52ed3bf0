package dev.kvmvfio.it.odd;

import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.x86_64.kvm_run;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/**
 * Some odd answers, which a seed chooses: to one call, or to all of a kind from that one on. What it answers is what
 * another kernel did, changed; so whatever a program still has can be given back when no answer is odd any more.
 */
final class OddAnswers implements OddKernel.Oddity {
    private static final long[] NUMBERS = {0, 1, 2, 3, 4, 7, 8, 100, 255, 256, 4095, 4096, 65536, 1 << 20,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE, -1, 0xffff_ffffL, 1L << 32, Long.MAX_VALUE, Long.MIN_VALUE};
    private static final List<String> TEXTS = List.of("", " ", "-1", "0x", "0xffffffff", "99999999999999999999", "\n\n",
            "a b",
            "..", "/", "0000:6a:01.0", "vfio-pci", "1:2:3", "7".repeat(1 << 16), "x ".repeat(1 << 18));
    private static final List<Errno> ERRNOS = List.of(Errno.EINTR, Errno.EAGAIN, Errno.E2BIG, Errno.EMSGSIZE,
            Errno.EINVAL,
            Errno.ENOENT, Errno.ENODEV, Errno.EIO, Errno.EBUSY, Errno.EPERM, Errno.ENOMEM, Errno.ENOTTY);
    /** What a call opens belongs to who made it, and nobody can close a number that the kernel kept to itself. */
    private static final List<Long> OPEN = List.of(kvm_h.KVM_CREATE_VM() & 0xffff_ffffL,
            kvm_h.KVM_CREATE_VCPU() & 0xffff_ffffL, vfio_h.VFIO_GROUP_GET_DEVICE_FD() & 0xffff_ffffL);

    private final Kernel real;
    private final SplittableRandom random;
    private final List<Oddity> planned = new ArrayList<>();
    /** Mappings that it said were gone, and were not. */
    private final Map<Long, Long> kept = new HashMap<>();
    private MemorySegment shared = MemorySegment.NULL;
    private boolean healed;
    private int calls;

    /** Which call, by its number, and whether those of its kind that follow too. */
    private final class Oddity {
        private final int first;
        private final boolean lasting = random.nextInt(3) == 0;
        private final long seed = random.nextLong();
        private Object kind;

        Oddity(int first) {
            this.first = first;
        }

        boolean concerns(OddKernel.Call call) {
            if (calls == first) {
                kind = kindOf(call);
            }
            return calls == first || lasting && kindOf(call).equals(kind);
        }

        /** The same change each time, but for what it changes. */
        SplittableRandom random() {
            return new SplittableRandom(seed);
        }
    }

    /** To one or several of so many calls. */
    OddAnswers(Kernel real, long seed, int most) {
        this.real = real;
        this.random = new SplittableRandom(seed);
        int oddities = 1 + random.nextInt(3);
        for (int i = 0; i < oddities; i++) {
            planned.add(new Oddity(random.nextInt(most)));
        }
    }

    /** The memory that a vCPU shares with the kernel, which a run changes. */
    void share(MemorySegment kvmRun) {
        shared = kvmRun;
    }

    /** From now on each answer is the other kernel's, and what it kept is given back. */
    void heal() {
        healed = true;
        kept.forEach(real::munmap);
    }

    private static Object kindOf(OddKernel.Call call) {
        return call.is("ioctl") ? (Object) call.request() : call.name();
    }

    @Override
    public Object answer(OddKernel.Call call) throws Throwable {
        Oddity odd = healed ? null : planned.stream().filter(some -> some.concerns(call)).findFirst().orElse(null);
        calls++;
        return odd == null ? call.real() : change(call, odd.random());
    }

    private Object change(OddKernel.Call call, SplittableRandom choice) throws Throwable {
        return switch (call.name()) {
            case "ioctl" -> ioctl(call, choice);
            case "open", "eventfd", "memfd" -> opening(call, choice);
            case "mmap" -> call.answer(errno(choice));
            case "munmap" -> unmapping(call, choice);
            case "close" -> {
                call.real();
                yield call.answer(errno(choice));
            }
            case "read", "pread", "write", "pwrite" -> transfer(call, choice);
            case "readFile" -> file(call, choice);
            case "list" -> names(call, choice);
            case "readlink" -> link(call, choice);
            case "pageSize" -> call.answer(number(choice));
            default -> call.answer(choice.nextBoolean() ? errno(choice) : number(choice));
        };
    }

    private static long errno(SplittableRandom choice) {
        return -ERRNOS.get(choice.nextInt(ERRNOS.size())).number();
    }

    private static long number(SplittableRandom choice) {
        return choice.nextInt(4) == 0 ? choice.nextLong() : NUMBERS[choice.nextInt(NUMBERS.length)];
    }

    private static long result(SplittableRandom choice) {
        return number(choice) & Integer.MAX_VALUE;
    }

    private Object opening(OddKernel.Call call, SplittableRandom choice) throws Throwable {
        if (choice.nextBoolean()) {
            return call.answer(errno(choice));
        }
        long opened = ((Number) call.real()).longValue();
        if (opened >= 0) {
            real.close((int) opened);
        }
        return call.answer(choice.nextBoolean() ? Integer.MAX_VALUE : 1000);
    }

    private Object unmapping(OddKernel.Call call, SplittableRandom choice) {
        long errno = errno(choice);
        if (Errno.ENOENT.is(errno)) {
            kept.put(call.argument(0), call.argument(1));
        }
        return call.answer(errno);
    }

    private Object ioctl(OddKernel.Call call, SplittableRandom choice) throws Throwable {
        if (OPEN.contains(call.request())) {
            return opening(call, choice);
        }
        if (call.is(kvm_h.KVM_CREATE_DEVICE())) {
            return creatingDevice(call, choice);
        }
        int kind = choice.nextInt(8);
        if (kind == 0) {
            return call.answer(errno(choice));
        }
        if (kind == 1 && !cannotBeUndone(call)) {
            return call.answer(result(choice));
        }
        Object result = call.real();
        if (kind == 2 && !cannotBeUndone(call)) {
            return call.answer(errno(choice));
        }
        if (kind <= 3) {
            return call.answer((int) result < 0 ? (int) result : result(choice));
        }
        MemorySegment struct = call.is(kvm_h.KVM_RUN()) ? shared : call.struct();
        for (int i = kind; i < 8; i++) {
            scribble(struct, call.is(kvm_h.KVM_RUN()) ? 128 : struct.byteSize(), choice);
        }
        if (call.is(kvm_h.KVM_RUN()) && choice.nextBoolean() && struct.byteSize() > 0) {
            kvm_run.exit_reason(struct, choice.nextInt(40));
        }
        return result;
    }

    private Object creatingDevice(OddKernel.Call call, SplittableRandom choice) throws Throwable {
        if (choice.nextBoolean()) {
            return call.answer(choice.nextBoolean() ? errno(choice) : result(choice));
        }
        Object result = call.real();
        MemorySegment request = call.struct();
        if ((int) result == 0 && kvm_create_device.flags(request) == 0) {
            real.close(kvm_create_device.fd(request));
            kvm_create_device.fd(request,
                    choice.nextBoolean() ? Integer.MAX_VALUE : (int) number(choice) | Integer.MIN_VALUE);
        }
        return result;
    }

    /** What a kernel did not do, and said it did, or did and said it did not, it refuses for ever to undo. */
    private static boolean cannotBeUndone(OddKernel.Call call) {
        return Stream.of(kvm_h.KVM_SET_USER_MEMORY_REGION(), kvm_h.KVM_IRQFD(), kvm_h.KVM_IOEVENTFD(),
                kvm_h.KVM_SET_DEVICE_ATTR(), (long) vfio_h.VFIO_IOMMU_UNMAP_DMA(),
                (long) vfio_h.VFIO_GROUP_SET_CONTAINER(), (long) vfio_h.VFIO_GROUP_UNSET_CONTAINER(),
                (long) vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT(), (long) iommufd_h.IOMMU_IOAS_UNMAP(),
                (long) iommufd_h.IOMMU_DESTROY()).anyMatch(call::is);
    }

    /** Another value in one of the members. */
    private static void scribble(MemorySegment struct, long size, SplittableRandom choice) {
        long bytes = Math.min(struct.byteSize(), size);
        if (bytes >= Long.BYTES && choice.nextInt(3) == 0) {
            struct.set(ValueLayout.JAVA_LONG_UNALIGNED, choice.nextLong(bytes / Long.BYTES) * Long.BYTES,
                    number(choice));
        } else if (bytes >= Integer.BYTES) {
            struct.set(ValueLayout.JAVA_INT_UNALIGNED, choice.nextLong(bytes / Integer.BYTES) * Integer.BYTES,
                    (int) number(choice));
        }
    }

    private Object transfer(OddKernel.Call call, SplittableRandom choice) throws Throwable {
        switch (choice.nextInt(4)) {
            case 0 -> {
                return call.answer(errno(choice));
            }
            case 1 -> {
                return call.answer(number(choice));
            }
            default -> {
                Object result = call.real();
                if (call.name().endsWith("read")) {
                    scribble(call.argument(1), Long.MAX_VALUE, choice);
                }
                return result;
            }
        }
    }

    private Object file(OddKernel.Call call, SplittableRandom choice) throws Throwable {
        ByteArrayOutputStream content = call.argument(1);
        switch (choice.nextInt(8)) {
            case 0 -> {
                return call.answer(errno(choice));
            }
            case 1 -> {
                byte[] piece = new byte[1 + choice.nextInt(4096)];
                Arrays.fill(piece, (byte) "1\n a:".charAt(choice.nextInt(5)));
                while (true) {
                    content.writeBytes(piece);
                }
            }
            case 2, 3 -> {
                ByteArrayOutputStream whole = new ByteArrayOutputStream();
                int result = real.readFile(call.argument(0), whole);
                byte[] bytes = whole.toByteArray();
                for (int i = 0; i < bytes.length && i < 8; i++) {
                    bytes[choice.nextInt(bytes.length)] = (byte) choice.nextInt(128);
                }
                content.write(bytes, 0, choice.nextInt(bytes.length + 1));
                return result;
            }
            default -> {
                content.writeBytes(text(choice).getBytes(StandardCharsets.UTF_8));
                return 0;
            }
        }
    }

    private static String text(SplittableRandom choice) {
        return choice.nextInt(4) == 0
                ? Long.toHexString(choice.nextLong()).substring(choice.nextInt(16) / 2)
                : TEXTS.get(choice.nextInt(TEXTS.size()));
    }

    private Object names(OddKernel.Call call, SplittableRandom choice) throws Throwable {
        if (choice.nextInt(4) == 0) {
            return call.answer(errno(choice));
        }
        List<String> names = Objects.requireNonNull(call.argument(1));
        if (choice.nextBoolean()) {
            call.real();
        }
        if (!names.isEmpty() && choice.nextBoolean()) {
            names.remove(choice.nextInt(names.size()));
        }
        if (choice.nextBoolean()) {
            names.add(text(choice));
        }
        return 0;
    }

    private Object link(OddKernel.Call call, SplittableRandom choice) {
        if (choice.nextInt(4) == 0) {
            return call.answer(errno(choice));
        }
        call.<StringBuilder>argument(1).append(choice.nextBoolean() ? "../../" : "").append(text(choice));
        return 0;
    }
}
