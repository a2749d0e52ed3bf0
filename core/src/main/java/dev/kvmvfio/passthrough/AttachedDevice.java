package dev.kvmvfio.passthrough;

import dev.kvmvfio.dma.DmaMapping;
import dev.kvmvfio.dma.DmaSpace;
import dev.kvmvfio.internal.Failures;
import dev.kvmvfio.internal.Lifecycle;
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
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Objects;
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
 * KVM and closes it, in this order.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class AttachedDevice extends Handle {
    private record Undo(List<String> calls, String file, Handle handle) {
    }

    private final Deque<Undo> undos = new ArrayDeque<>();
    private final Consumer<Step> listener;
    private final InterfaceChoice choice;
    private @Nullable GuestDevice device;
    private @Nullable DmaSpace dmaSpace;

    private AttachedDevice(Consumer<Step> listener, InterfaceChoice choice) {
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
        AttachedDevice attached = Lifecycle.complete(new AttachedDevice(request.listener(), request.choice()),
                self -> self.run(request.device(), existing.orElseGet(() -> self.create(vm)), memory));
        return Lifecycle.adopt(attached, existing.isPresent() ? existing.get() : vm);
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
        opened(cdev);
        Iommufd iommufd = Iommufd.open(pci.kernel());
        closeLater(iommufd, cdev, "close");
        done("open", iommufd, "");
        RegisteredCdev registered = kvmVfio.add(cdev);
        undo(registered, kvmVfio, "KVM_DEV_VFIO_FILE_DEL");
        done("KVM_DEV_VFIO_FILE_ADD", kvmVfio, cdev.toString());
        BoundGuestDevice bound = registered.bind(iommufd);
        device = bound;
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
        opened(group);
        VfioContainer container = VfioContainer.open(group);
        dmaSpace = container;
        closeLater(container, group, "VFIO_GROUP_UNSET_CONTAINER", "close");
        done("open", container, "");
        done("VFIO_GROUP_SET_CONTAINER", group, "");
        done("VFIO_SET_IOMMU", container,
                container.iommuType().toString());
        RegisteredGroup registered = kvmVfio.add(group);
        undo(registered, kvmVfio, "KVM_DEV_VFIO_GROUP_DEL");
        done("KVM_DEV_VFIO_GROUP_ADD", kvmVfio, group.toString());
        device = registered.openDevice(container, pci.address());
        done("VFIO_GROUP_GET_DEVICE_FD", group, device.toString());
    }

    /** What a device's memory is mapped in is opened after the device's file, but closes after it too. */
    private void closeLater(Handle space, Handle file, String... calls) {
        undos.pop();
        undo(space, space, "close");
        undo(file, file, calls);
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

    private void opened(Handle handle) {
        undo(handle, handle, "close");
        done("open", handle, "");
    }

    /** Told only when the undo is known: a watcher that throws ends the attach like a failed step. */
    private void done(String call, Object file, String result) {
        listener.accept(new Step(false, call, file.toString(), result));
    }

    private void undo(Handle handle, Object file, String... calls) {
        undos.push(new Undo(List.of(calls), file.toString(), handle));
    }

    /**
     * The device.
     *
     * @return it belongs to this attachment
     */
    public GuestDevice device() {
        return Objects.requireNonNull(device);
    }

    /**
     * Where the device's DMA goes.
     *
     * @return it belongs to this attachment
     */
    public DmaSpace dmaSpace() {
        return Objects.requireNonNull(dmaSpace);
    }

    /**
     * The interface that was used.
     *
     * @return and why
     */
    public InterfaceChoice choice() {
        return choice;
    }

    @Override
    protected void quiesce() {
        if (device != null) {
            Lifecycle.quiesce(device);
        }
    }

    @Override
    protected void release() {
        Failures failures = new Failures();
        if (dmaSpace != null) {
            dmaSpace.mappings().reversed().forEach(mapping -> failures.attempt(() -> unmap(mapping)));
        }
        while (!undos.isEmpty()) {
            Undo undo = undos.pop();
            failures.attempt(() -> run(undo));
        }
        failures.throwFirst();
    }

    private void run(Undo undo) {
        undo.handle().close();
        undo.calls().forEach(call -> listener.accept(new Step(true, call, undo.file(), "")));
    }

    /** Also for what the program mapped later on. */
    private void unmap(DmaMapping mapping) {
        run(new Undo(List.of(choice.chosen().unmapCall()), mapping.toString(), mapping));
    }

    @Override
    public String toString() {
        return device + " attached by " + choice;
    }
}
