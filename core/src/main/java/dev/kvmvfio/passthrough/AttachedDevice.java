package dev.kvmvfio.passthrough;

import dev.kvmvfio.dma.DmaMapping;
import dev.kvmvfio.dma.DmaSpace;
import dev.kvmvfio.internal.Failures;
import dev.kvmvfio.internal.Lifecycle;
import dev.kvmvfio.internal.OneKernel;
import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.iommufd.Ioas;
import dev.kvmvfio.iommufd.Iommufd;
import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.pci.IommuGroup;
import dev.kvmvfio.pci.PciAddress;
import dev.kvmvfio.pci.PciDevice;
import dev.kvmvfio.vfio.Attachment;
import dev.kvmvfio.vfio.BoundGuestDevice;
import dev.kvmvfio.vfio.GuestDevice;
import dev.kvmvfio.vfio.KvmVfioDevice;
import dev.kvmvfio.vfio.RegisteredCdev;
import dev.kvmvfio.vfio.RegisteredGroup;
import dev.kvmvfio.vfio.VfioCdev;
import dev.kvmvfio.vfio.VfioContainer;
import dev.kvmvfio.vfio.VfioGroup;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A device that is attached to a VM: registered with KVM, opened, and given the guest's memory. Attaching is one
 * transaction; when a step fails, all steps before it are undone in reverse order.
 *
 * {@snippet :
 * try (Kvm kvm = Kvm.open();
 *         Vm vm = kvm.createVm();
 *         HostMemory ram = HostMemory.allocate(Kernel.linux(), 64 << 20);
 *         GuestMemory memory = GuestMemory.create(vm, 0, ram);
 *         AttachedDevice attached = AttachedDevice.request("0000:6a:01.0").attach(memory)) {
 *     attached.device().regions().forEach(System.out::println);
 * }
 * }
 *
 * <p>Closing it switches interrupts off, unmaps regions, unmaps the guest's memory, detaches the device, takes it from
 * KVM and closes it, in this order. It belongs to its VM, and is closed as well when its device is closed, with whatever
 * the device belongs to.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class AttachedDevice extends Handle {
    private final Consumer<Step> listener;
    private final InterfaceChoice choice;
    private volatile @Nullable GuestDevice device;
    private volatile @Nullable DmaSpace dmaSpace;
    /** Whether the listener will be told of the mappings that go. */
    private boolean told;

    private AttachedDevice(Consumer<Step> listener, InterfaceChoice choice) {
        super(Rank.ATTACHED_DEVICE);
        this.listener = listener;
        this.choice = choice;
    }

    /**
     * Begins a request for a device of the running Linux.
     *
     * @param address as {@code 0000:6a:01.0}
     * @return the request
     * @throws IllegalArgumentException when the text is no PCI address
     * @throws HostException when there is no such device
     */
    public static AttachRequest request(String address) {
        return request(Kernel.linux(), PciAddress.parse(address));
    }

    /**
     * Begins a request.
     *
     * @param kernel where the device is
     * @param address which device
     * @return the request
     * @throws HostException when there is no such device
     */
    public static AttachRequest request(Kernel kernel, PciAddress address) {
        return new AttachRequest(PciDevice.find(kernel, address));
    }

    /** A VM that has no KVM-VFIO device gets one for the time that this device is attached. */
    static AttachedDevice attach(AttachRequest request, Vm vm, Optional<KvmVfioDevice> existing,
            Optional<GuestMemory> memory) {
        OneKernel.require(vm, vm.fd().kernel(), request.device(), request.device().kernel());
        AttachedDevice attached = Lifecycle.adopt(new AttachedDevice(request.listener(), request.choice()), vm);
        return Lifecycle.complete(attached,
                self -> self.run(request.device(), existing.orElseGet(() -> self.create(vm)), memory));
    }

    private void run(PciDevice pci, KvmVfioDevice kvmVfio, Optional<GuestMemory> memory) {
        switch (choice.chosen()) {
            case CDEV -> attachCdev(pci, kvmVfio);
            case GROUP -> attachGroup(pci, kvmVfio);
        }
        memory.ifPresent(this::map);
    }

    private KvmVfioDevice create(Vm vm) {
        KvmVfioDevice created = KvmVfioDevice.create(vm);
        undo(created, created, "close");
        done("KVM_CREATE_DEVICE", vm, created.toString());
        return created;
    }

    private void attachCdev(PciDevice pci, KvmVfioDevice kvmVfio) {
        VfioCdev cdev = VfioCdev.open(pci);
        undo(cdev, cdev, "close");
        done("open", cdev, "");
        Iommufd iommufd = Iommufd.open(pci.kernel());
        closeLater(iommufd, cdev);
        undone(iommufd, iommufd, "close");
        done("open", iommufd, "");
        RegisteredCdev registered = kvmVfio.add(cdev);
        undo(registered, kvmVfio, "KVM_DEV_VFIO_FILE_DEL");
        done("KVM_DEV_VFIO_FILE_ADD", kvmVfio, cdev.toString());
        BoundGuestDevice bound = registered.bind(iommufd);
        opened(bound);
        done("VFIO_DEVICE_BIND_IOMMUFD", cdev, "device id " + bound.id() + " in " + iommufd);
        Ioas ioas = iommufd.allocateIoas();
        dmaSpace = ioas;
        undo(ioas, ioas, "IOMMU_DESTROY");
        done("IOMMU_IOAS_ALLOC", iommufd, "IOAS " + ioas.id());
        Attachment attachment = bound.attach(ioas);
        undo(attachment, cdev, "VFIO_DEVICE_DETACH_IOMMUFD_PT");
        done("VFIO_DEVICE_ATTACH_IOMMUFD_PT", cdev, "page table " + attachment.hwptId());
    }

    private void attachGroup(PciDevice pci, KvmVfioDevice kvmVfio) {
        IommuGroup iommuGroup = pci.iommuGroup().orElseThrow(
                () -> new HostException(pci + " is in no IOMMU group", "Switch the IOMMU on in the firmware"));
        VfioGroup group = VfioGroup.open(iommuGroup);
        Lifecycle.follow(group, () -> leftContainer(group));
        undo(group, group, "close");
        done("open", group, "");
        VfioContainer container = VfioContainer.open(group);
        dmaSpace = container;
        closeLater(container, group);
        undone(container, container, "close");
        done("open", container, "");
        done("VFIO_GROUP_SET_CONTAINER", group, "");
        done("VFIO_SET_IOMMU", container,
                container.iommuType().toString());
        RegisteredGroup registered = kvmVfio.add(group);
        undo(registered, kvmVfio, "KVM_DEV_VFIO_GROUP_DEL");
        done("KVM_DEV_VFIO_GROUP_ADD", kvmVfio, group.toString());
        GuestDevice opened = registered.openDevice(container, pci.address());
        opened(opened);
        done("VFIO_GROUP_GET_DEVICE_FD", group, opened.toString());
    }

    private void leftContainer(VfioGroup group) {
        if (dmaSpace != null) {
            tell(new Step(true, "VFIO_GROUP_UNSET_CONTAINER", group.toString(), ""));
        }
    }

    /** What a device's memory is mapped in is opened after the device's file, but closes after it too. */
    private void closeLater(Handle space, Handle file) {
        Lifecycle.adopt(space, this);
        Lifecycle.adopt(file, this);
    }

    private void map(GuestMemory memory) {
        DmaSpace space = dmaSpace();
        int others = space.mappings().size();
        memory.mapInto(space);
        space.mappings().stream().skip(others).forEach(this::mapped);
    }

    private void mapped(DmaMapping mapping) {
        done(choice.chosen().mapCall(), dmaSpace(),
                String.format("0x%x bytes at IOVA 0x%x", mapping.size(), mapping.iova()));
    }

    private void opened(GuestDevice opened) {
        device = opened;
        Lifecycle.follow(opened, this);
    }

    /** Told only when the undo is known: a watcher that throws ends the attach like a failed step. */
    private void done(String call, Object file, String result) {
        tell(new Step(false, call, file.toString(), result));
    }

    /** What the listener closes waits for nobody: it may wait itself, for who waits for this thread. */
    private void tell(Step step) {
        Lifecycle.callBack(() -> listener.accept(step));
    }

    /** It is closed with this device, the youngest first, and the listener is told then. */
    private void undo(Handle handle, Object file, String... calls) {
        Lifecycle.adopt(handle, this);
        undone(handle, file, calls);
    }

    private void undone(Handle handle, Object file, String... calls) {
        String name = file.toString();
        for (String call : calls) {
            Lifecycle.follow(handle, () -> tell(new Step(true, call, name, "")));
        }
    }

    /**
     * The device.
     *
     * @return it belongs to this attachment
     * @throws IllegalStateException while it is being attached
     */
    public GuestDevice device() {
        return Lifecycle.part(device, this);
    }

    /**
     * Where the device's DMA goes.
     *
     * @return it belongs to this attachment
     * @throws IllegalStateException while it is being attached
     */
    public DmaSpace dmaSpace() {
        return Lifecycle.part(dmaSpace, this);
    }

    /**
     * The interface that was used.
     *
     * @return and why
     */
    public InterfaceChoice choice() {
        return choice;
    }

    /** Memory goes before the device is detached, also what the program mapped by itself. */
    @Override
    protected boolean quiesce() {
        if (device != null && !Lifecycle.quiesce(device)) {
            return false;
        }
        List<DmaMapping> mappings = dmaSpace == null ? List.of() : dmaSpace.mappings().reversed();
        if (!told) {
            told = true;
            mappings.forEach(mapping -> undone(mapping, mapping, choice.chosen().unmapCall()));
        }
        return Lifecycle.closeAll(mappings);
    }

    @Override
    public String toString() {
        return (device == null ? "device" : device) + " attached by " + choice;
    }
}
