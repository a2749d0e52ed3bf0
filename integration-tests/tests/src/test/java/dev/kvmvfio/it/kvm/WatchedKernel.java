package dev.kvmvfio.it.kvm;

import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A kernel in front of another one that writes down every call which changes something, and can refuse one of them
 * before it reaches the other.
 */
public final class WatchedKernel implements Kernel {
    private static final Map<Long, String> NAMES = Map.ofEntries(
            Map.entry((long) vfio_h.VFIO_DEVICE_BIND_IOMMUFD(), "VFIO_DEVICE_BIND_IOMMUFD"),
            Map.entry((long) vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT(), "VFIO_DEVICE_DETACH_IOMMUFD_PT"),
            Map.entry((long) vfio_h.VFIO_GROUP_GET_DEVICE_FD(), "VFIO_GROUP_GET_DEVICE_FD"),
            Map.entry((long) vfio_h.VFIO_GROUP_UNSET_CONTAINER(), "VFIO_GROUP_UNSET_CONTAINER"),
            Map.entry((long) vfio_h.VFIO_IOMMU_UNMAP_DMA(), "VFIO_IOMMU_UNMAP_DMA"),
            Map.entry((long) iommufd_h.IOMMU_IOAS_UNMAP(), "IOMMU_IOAS_UNMAP"),
            Map.entry(kvm_h.KVM_SET_USER_MEMORY_REGION(), "KVM_SET_USER_MEMORY_REGION"));

    private final Kernel kernel;
    private final Map<Integer, String> paths = new ConcurrentHashMap<>();
    private final List<String> calls = new ArrayList<>();
    private int refuseAt = -1;
    private Errno refusal;

    public WatchedKernel(Kernel kernel) {
        this.kernel = kernel;
    }

    /** Refuses the call of that number, counted from zero and from now on. */
    public synchronized void refuse(int number, Errno errno) {
        calls.clear();
        refuseAt = number;
        refusal = errno;
    }

    /** What was called, the oldest first. */
    public synchronized List<String> calls() {
        return List.copyOf(calls);
    }

    /** The refusal, or 0 when the call shall be made. */
    private synchronized int note(String call) {
        calls.add(call);
        return calls.size() - 1 == refuseAt ? -refusal.number() : 0;
    }

    @Override
    public int open(String path, int flags) {
        if (path.startsWith("/sys/")) {
            return kernel.open(path, flags);
        }
        int refused = note("open " + path);
        int result = refused < 0 ? refused : kernel.open(path, flags);
        if (result >= 0) {
            paths.put(result, path);
        }
        return result;
    }

    /** A close cannot be refused: the kernel takes the number back whatever it answers. */
    @Override
    public int close(int fd) {
        String path = paths.remove(fd);
        if (path != null) {
            note("close " + path);
        }
        return kernel.close(fd);
    }

    @Override
    public int dup(int fd) {
        return kernel.dup(fd);
    }

    @Override
    public int ioctl(int fd, long request, MemorySegment argument) {
        int refused = note(name(request, argument));
        return refused < 0 ? refused : kernel.ioctl(fd, request, argument);
    }

    private static String name(long request, MemorySegment argument) {
        if (request == kvm_h.KVM_SET_DEVICE_ATTR()) {
            long attribute = kvm_device_attr.attr(argument);
            return attribute == kvm_h.KVM_DEV_VFIO_FILE_ADD()
                    ? "KVM_DEV_VFIO_FILE_ADD"
                    : attribute == kvm_h.KVM_DEV_VFIO_FILE_DEL() ? "KVM_DEV_VFIO_FILE_DEL" : "KVM_SET_DEVICE_ATTR";
        }
        return NAMES.getOrDefault(request & 0xffff_ffffL, "ioctl 0x" + Long.toHexString(request & 0xffff_ffffL));
    }

    @Override
    public long mmap(long length, int protection, int flags, int fd, long offset) {
        int refused = note("mmap");
        return refused < 0 ? refused : kernel.mmap(length, protection, flags, fd, offset);
    }

    @Override
    public int munmap(long address, long length) {
        note("munmap");
        return kernel.munmap(address, length);
    }

    @Override
    public long read(int fd, MemorySegment buffer) {
        return kernel.read(fd, buffer);
    }

    @Override
    public long write(int fd, MemorySegment buffer) {
        return kernel.write(fd, buffer);
    }

    @Override
    public long pread(int fd, MemorySegment buffer, long offset) {
        return kernel.pread(fd, buffer, offset);
    }

    @Override
    public long pwrite(int fd, MemorySegment buffer, long offset) {
        return kernel.pwrite(fd, buffer, offset);
    }

    @Override
    public int poll(int fd, int events, int timeoutMillis) {
        return kernel.poll(fd, events, timeoutMillis);
    }

    @Override
    public int eventfd(int initialValue, int flags) {
        int refused = note("eventfd");
        return refused < 0 ? refused : kernel.eventfd(initialValue, flags);
    }

    @Override
    public int memfd(String name, int flags) {
        int refused = note("memfd_create");
        return refused < 0 ? refused : kernel.memfd(name, flags);
    }

    @Override
    public int ftruncate(int fd, long length) {
        int refused = note("ftruncate");
        return refused < 0 ? refused : kernel.ftruncate(fd, length);
    }

    @Override
    public long rlimit(int resource) {
        return kernel.rlimit(resource);
    }

    @Override
    public int pageSize() {
        return kernel.pageSize();
    }

    @Override
    public int list(String path, List<String> names) {
        return kernel.list(path, names);
    }

    @Override
    public int readlink(String path, StringBuilder target) {
        return kernel.readlink(path, target);
    }

    @Override
    public int threadId() {
        return kernel.threadId();
    }

    @Override
    public int interrupt(int threadId) {
        return kernel.interrupt(threadId);
    }

    @Override
    public long deviceNumber(String path) {
        return kernel.deviceNumber(path);
    }

    @Override
    public int access(String path) {
        return kernel.access(path);
    }
}
