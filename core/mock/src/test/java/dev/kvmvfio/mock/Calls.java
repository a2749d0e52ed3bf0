package dev.kvmvfio.mock;

import dev.kvmvfio.bindings.iommufd.iommu_destroy;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_alloc;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_map;
import dev.kvmvfio.bindings.iommufd.iommu_ioas_unmap;
import dev.kvmvfio.bindings.iommufd.iommufd_h;
import dev.kvmvfio.bindings.kvm.kvm_create_device;
import dev.kvmvfio.bindings.kvm.kvm_device_attr;
import dev.kvmvfio.bindings.kvm.kvm_h;
import dev.kvmvfio.bindings.kvm.kvm_ioeventfd;
import dev.kvmvfio.bindings.kvm.kvm_irqfd;
import dev.kvmvfio.bindings.system.system_h;
import dev.kvmvfio.bindings.vfio.vfio_device_attach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_device_bind_iommufd;
import dev.kvmvfio.bindings.vfio.vfio_device_detach_iommufd_pt;
import dev.kvmvfio.bindings.vfio.vfio_group_status;
import dev.kvmvfio.bindings.vfio.vfio_h;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_map;
import dev.kvmvfio.bindings.vfio.vfio_iommu_type1_dma_unmap;
import dev.kvmvfio.bindings.vfio.vfio_irq_set;
import dev.kvmvfio.kernel.Errno;
import dev.kvmvfio.kernel.Kernel;
import java.lang.foreign.Arena;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/** The calls of the tests, as a program without any library would make them: numbers and structs. */
final class Calls {
    private final Kernel kernel;
    private final Arena arena = Arena.ofAuto();

    Calls(Kernel kernel) {
        this.kernel = kernel;
    }

    /** The errno of a result, or null for success. */
    static Errno errno(long result) {
        return result < 0 ? Errno.of((int) -result) : null;
    }

    MemorySegment struct(GroupLayout layout) {
        return arena.allocate(layout);
    }

    MemorySegment bytes(long size) {
        return arena.allocate(size, Long.BYTES);
    }

    /** Memory of this process at an address, which may be wrong. */
    @SuppressWarnings("restricted")
    static MemorySegment at(long address, long size) {
        return MemorySegment.ofAddress(address).reinterpret(size);
    }

    int open(String path) {
        return kernel.open(path, system_h.O_RDWR() | system_h.O_CLOEXEC());
    }

    String text(String path) {
        int fd = kernel.open(path, system_h.O_RDONLY());
        if (fd < 0) {
            return errno(fd).name();
        }
        MemorySegment buffer = bytes(4096);
        long length = kernel.read(fd, buffer);
        kernel.close(fd);
        return new String(buffer.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE), StandardCharsets.US_ASCII);
    }

    int eventFd() {
        return kernel.eventfd(0, system_h.EFD_NONBLOCK() | system_h.EFD_CLOEXEC());
    }

    int epoll() {
        return kernel.epollCreate(system_h.EPOLL_CLOEXEC());
    }

    /** Lets an epoll wait for a file that can be read; 0 or a negative errno. */
    int add(int epoll, int fd, long data) {
        return kernel.epollControl(epoll, system_h.EPOLL_CTL_ADD(), fd, system_h.EPOLLIN(), data);
    }

    /** Takes an eventfd's count; 0 when it was not signalled. */
    long take(int eventFd) {
        MemorySegment buffer = bytes(Long.BYTES);
        long result = kernel.read(eventFd, buffer);
        return Errno.EAGAIN.is(result) ? 0 : buffer.get(ValueLayout.JAVA_LONG, 0);
    }

    long signal(int eventFd) {
        MemorySegment one = bytes(Long.BYTES);
        one.set(ValueLayout.JAVA_LONG, 0, 1);
        return kernel.write(eventFd, one);
    }

    long mapMemory(long size) {
        return kernel.mmap(size, system_h.PROT_READ() | system_h.PROT_WRITE(),
                system_h.MAP_PRIVATE() | system_h.MAP_ANONYMOUS(), -1, 0);
    }

    // KVM

    int createVm(int kvm) {
        return kernel.ioctl(kvm, kvm_h.KVM_CREATE_VM(), 0);
    }

    int createDevice(int vm, int type, int flags, MemorySegment struct) {
        kvm_create_device.type(struct, type);
        kvm_create_device.flags(struct, flags);
        return kernel.ioctl(vm, kvm_h.KVM_CREATE_DEVICE(), struct);
    }

    int createVfioDevice(int vm) {
        MemorySegment struct = struct(kvm_create_device.layout());
        int result = createDevice(vm, kvm_h.KVM_DEV_TYPE_VFIO(), 0, struct);
        return result < 0 ? result : kvm_create_device.fd(struct);
    }

    int attr(int fd, long request, int group, long attribute, long address) {
        MemorySegment attr = struct(kvm_device_attr.layout());
        kvm_device_attr.group(attr, group);
        kvm_device_attr.attr(attr, attribute);
        kvm_device_attr.addr(attr, address);
        return kernel.ioctl(fd, request, attr);
    }

    int fileAttr(int device, long attribute, int fd) {
        MemorySegment number = bytes(Integer.BYTES);
        number.set(ValueLayout.JAVA_INT, 0, fd);
        return attr(device, kvm_h.KVM_SET_DEVICE_ATTR(), kvm_h.KVM_DEV_VFIO_FILE(), attribute, number.address());
    }

    int fileAdd(int device, int fd) {
        return fileAttr(device, kvm_h.KVM_DEV_VFIO_FILE_ADD(), fd);
    }

    int fileDel(int device, int fd) {
        return fileAttr(device, kvm_h.KVM_DEV_VFIO_FILE_DEL(), fd);
    }

    int irqFd(int vm, int fd, int gsi, int flags, int resampleFd) {
        MemorySegment irqFd = struct(kvm_irqfd.layout());
        kvm_irqfd.fd(irqFd, fd);
        kvm_irqfd.gsi(irqFd, gsi);
        kvm_irqfd.flags(irqFd, flags);
        kvm_irqfd.resamplefd(irqFd, resampleFd);
        return kernel.ioctl(vm, kvm_h.KVM_IRQFD(), irqFd);
    }

    int ioEventFd(int vm, int fd, long address, int length, int flags, long match) {
        MemorySegment ioEventFd = struct(kvm_ioeventfd.layout());
        kvm_ioeventfd.fd(ioEventFd, fd);
        kvm_ioeventfd.addr(ioEventFd, address);
        kvm_ioeventfd.len(ioEventFd, length);
        kvm_ioeventfd.flags(ioEventFd, flags);
        kvm_ioeventfd.datamatch(ioEventFd, match);
        return kernel.ioctl(vm, kvm_h.KVM_IOEVENTFD(), ioEventFd);
    }

    // Groups and containers

    int setContainer(int group, int container) {
        MemorySegment number = bytes(Integer.BYTES);
        number.set(ValueLayout.JAVA_INT, 0, container);
        return kernel.ioctl(group, vfio_h.VFIO_GROUP_SET_CONTAINER(), number);
    }

    int status(int group) {
        MemorySegment status = struct(vfio_group_status.layout());
        vfio_group_status.argsz(status, (int) status.byteSize());
        int result = kernel.ioctl(group, vfio_h.VFIO_GROUP_GET_STATUS(), status);
        return result < 0 ? result : vfio_group_status.flags(status);
    }

    int deviceFd(int group, String name) {
        return kernel.ioctl(group, vfio_h.VFIO_GROUP_GET_DEVICE_FD(), arena.allocateFrom(name));
    }

    /** Opens a group and a container and connects them; answers the group's and the container's numbers. */
    int[] openGroup(int number, long type) {
        int container = open("/dev/vfio/vfio");
        int group = open("/dev/vfio/" + number);
        setContainer(group, container);
        kernel.ioctl(container, vfio_h.VFIO_SET_IOMMU(), type);
        return new int[]{group, container};
    }

    int mapDma(int container, long iova, long address, long size, int flags) {
        MemorySegment map = struct(vfio_iommu_type1_dma_map.layout());
        vfio_iommu_type1_dma_map.argsz(map, (int) map.byteSize());
        vfio_iommu_type1_dma_map.flags(map, flags);
        vfio_iommu_type1_dma_map.iova(map, iova);
        vfio_iommu_type1_dma_map.vaddr(map, address);
        vfio_iommu_type1_dma_map.size(map, size);
        return kernel.ioctl(container, vfio_h.VFIO_IOMMU_MAP_DMA(), map);
    }

    int mapDma(int container, long iova, long address, long size) {
        return mapDma(container, iova, address, size,
                vfio_h.VFIO_DMA_MAP_FLAG_READ() | vfio_h.VFIO_DMA_MAP_FLAG_WRITE());
    }

    /** Unmaps; answers the bytes that were unmapped or a negative errno. */
    long unmapDma(int container, long iova, long size, int flags) {
        MemorySegment unmap = struct(vfio_iommu_type1_dma_unmap.layout());
        vfio_iommu_type1_dma_unmap.argsz(unmap, (int) vfio_iommu_type1_dma_unmap.data$offset());
        vfio_iommu_type1_dma_unmap.flags(unmap, flags);
        vfio_iommu_type1_dma_unmap.iova(unmap, iova);
        vfio_iommu_type1_dma_unmap.size(unmap, size);
        int result = kernel.ioctl(container, vfio_h.VFIO_IOMMU_UNMAP_DMA(), unmap);
        return result < 0 ? result : vfio_iommu_type1_dma_unmap.size(unmap);
    }

    // Character devices and iommufd

    /** Binds; answers the device's number in the iommufd or a negative errno. */
    int bind(int cdev, int iommufd) {
        MemorySegment bind = struct(vfio_device_bind_iommufd.layout());
        vfio_device_bind_iommufd.argsz(bind, (int) bind.byteSize());
        vfio_device_bind_iommufd.iommufd(bind, iommufd);
        int result = kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_BIND_IOMMUFD(), bind);
        return result < 0 ? result : vfio_device_bind_iommufd.out_devid(bind);
    }

    /** Attaches; answers the page table's number or a negative errno. */
    int attach(int cdev, int id) {
        MemorySegment attach = struct(vfio_device_attach_iommufd_pt.layout());
        vfio_device_attach_iommufd_pt.argsz(attach, (int) attach.byteSize());
        vfio_device_attach_iommufd_pt.pt_id(attach, id);
        int result = kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_ATTACH_IOMMUFD_PT(), attach);
        return result < 0 ? result : vfio_device_attach_iommufd_pt.pt_id(attach);
    }

    int detach(int cdev) {
        MemorySegment detach = struct(vfio_device_detach_iommufd_pt.layout());
        vfio_device_detach_iommufd_pt.argsz(detach, (int) detach.byteSize());
        return kernel.ioctl(cdev, vfio_h.VFIO_DEVICE_DETACH_IOMMUFD_PT(), detach);
    }

    int allocateIoas(int iommufd) {
        MemorySegment alloc = struct(iommu_ioas_alloc.layout());
        iommu_ioas_alloc.size(alloc, (int) alloc.byteSize());
        int result = kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_ALLOC(), alloc);
        return result < 0 ? result : iommu_ioas_alloc.out_ioas_id(alloc);
    }

    int destroy(int iommufd, int id) {
        MemorySegment destroy = struct(iommu_destroy.layout());
        iommu_destroy.size(destroy, (int) destroy.byteSize());
        iommu_destroy.id(destroy, id);
        return kernel.ioctl(iommufd, iommufd_h.IOMMU_DESTROY(), destroy);
    }

    /** Maps; answers the address or a negative errno. */
    long map(int iommufd, int ioas, long iova, long address, long length, int flags) {
        MemorySegment map = struct(iommu_ioas_map.layout());
        iommu_ioas_map.size(map, (int) map.byteSize());
        iommu_ioas_map.flags(map, flags);
        iommu_ioas_map.ioas_id(map, ioas);
        iommu_ioas_map.iova(map, iova);
        iommu_ioas_map.user_va(map, address);
        iommu_ioas_map.length(map, length);
        int result = kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_MAP(), map);
        return result < 0 ? result : iommu_ioas_map.iova(map);
    }

    long mapFixed(int iommufd, int ioas, long iova, long address, long length) {
        return map(iommufd, ioas, iova, address, length, iommufd_h.IOMMU_IOAS_MAP_FIXED_IOVA()
                | iommufd_h.IOMMU_IOAS_MAP_READABLE() | iommufd_h.IOMMU_IOAS_MAP_WRITEABLE());
    }

    /** Unmaps; answers the bytes or a negative errno. */
    long unmap(int iommufd, int ioas, long iova, long length) {
        MemorySegment unmap = struct(iommu_ioas_unmap.layout());
        iommu_ioas_unmap.size(unmap, (int) unmap.byteSize());
        iommu_ioas_unmap.ioas_id(unmap, ioas);
        iommu_ioas_unmap.iova(unmap, iova);
        iommu_ioas_unmap.length(unmap, length);
        int result = kernel.ioctl(iommufd, iommufd_h.IOMMU_IOAS_UNMAP(), unmap);
        return result < 0 ? result : iommu_ioas_unmap.length(unmap);
    }

    /** Opens a cdev, binds it, and attaches it to a new IOAS; answers the numbers of cdev, iommufd and IOAS. */
    int[] attachCdev(String name) {
        int iommufd = open("/dev/iommu");
        int cdev = open("/dev/vfio/devices/" + name);
        bind(cdev, iommufd);
        int ioas = allocateIoas(iommufd);
        attach(cdev, ioas);
        return new int[]{cdev, iommufd, ioas};
    }

    // Devices

    int setIrqs(int device, int index, int start, int flags, int count, int... eventFds) {
        MemorySegment set = bytes(vfio_irq_set.data$offset() + (long) eventFds.length * Integer.BYTES);
        vfio_irq_set.argsz(set, (int) set.byteSize());
        vfio_irq_set.flags(set, flags);
        vfio_irq_set.index(set, index);
        vfio_irq_set.start(set, start);
        vfio_irq_set.count(set, count);
        for (int i = 0; i < eventFds.length; i++) {
            set.set(ValueLayout.JAVA_INT, vfio_irq_set.data$offset() + (long) i * Integer.BYTES, eventFds[i]);
        }
        return kernel.ioctl(device, vfio_h.VFIO_DEVICE_SET_IRQS(), set);
    }

    long regionOffset(int index, long offset) {
        return ((long) index << 40) + offset;
    }

    long readInt(int device, int index, long offset) {
        MemorySegment buffer = bytes(Integer.BYTES);
        long result = kernel.pread(device, buffer, regionOffset(index, offset));
        return result < 0 ? result : Integer.toUnsignedLong(buffer.get(ValueLayout.JAVA_INT, 0));
    }

    long writeInt(int device, int index, long offset, long value) {
        MemorySegment buffer = bytes(Integer.BYTES);
        buffer.set(ValueLayout.JAVA_INT, 0, (int) value);
        return kernel.pwrite(device, buffer, regionOffset(index, offset));
    }

    /** Maps a part of a BAR; answers the address or a negative errno. */
    long mapBar(int device, int index, long offset, long size) {
        return kernel.mmap(size, system_h.PROT_READ() | system_h.PROT_WRITE(), system_h.MAP_SHARED(), device,
                regionOffset(index, offset));
    }

    /** Lets a device do DMA. */
    void setBusMaster(int device) {
        int config = vfio_h.VFIO_PCI_CONFIG_REGION_INDEX();
        writeInt(device, config, 4, readInt(device, config, 4) | 4);
    }

    void close(int... fds) {
        for (int fd : fds) {
            kernel.close(fd);
        }
    }
}
