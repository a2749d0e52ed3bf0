package dev.kvmvfio.mock.internal.vfio;

import static dev.kvmvfio.kernel.Errno.EINVAL;

import dev.kvmvfio.mock.internal.iommufd.IommufdFile;
import dev.kvmvfio.mock.internal.iommufd.IommufdPciDevice;
import dev.kvmvfio.mock.internal.kvm.VirtualMachine;
import dev.kvmvfio.mock.internal.pci.PciClient;
import dev.kvmvfio.mock.internal.pci.PciFunction;
import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.internal.system.Refusal;
import java.util.List;

/** A device that {@code vfio-pci} has: how often it is open, for which virtual machine, and by which interface. */
final class VfioPciDevice implements PciClient, Machine.Holder {
    private final VfioPci driver;
    private final PciFunction function;
    private final VfioPciGroup group;
    private final int index;
    private final VfioInterrupts interrupts;
    private int files;
    private int openCount;
    private VirtualMachine vm;
    private IommufdPciDevice iommufdDevice;
    private boolean attached;
    private boolean openedByCdev;

    VfioPciDevice(VfioPci driver, PciFunction function, VfioPciGroup group, int index) {
        this.driver = driver;
        this.function = function;
        this.group = group;
        this.index = index;
        this.interrupts = new VfioInterrupts(function);
        function.machine().add(this);
    }

    VfioPci driver() {
        return driver;
    }

    PciFunction function() {
        return function;
    }

    VfioPciGroup group() {
        return group;
    }

    /** The number in {@code vfioN}, and the minor number of the node. */
    int index() {
        return index;
    }

    String name() {
        return "vfio" + index;
    }

    VfioInterrupts interrupts() {
        return interrupts;
    }

    @Override
    public void lineRaised() {
        interrupts.lineRaised();
    }

    @Override
    public boolean hasMessages() {
        return interrupts.hasMessages();
    }

    @Override
    public boolean message(int vector) {
        return interrupts.message(vector);
    }

    @Override
    public boolean request() {
        return interrupts.request();
    }

    @Override
    public boolean error() {
        return interrupts.error();
    }

    @Override
    public boolean knowsVm() {
        return vm != null;
    }

    /** A file of the device is opened, which does not mean that the device is. The driver stays until it is closed. */
    void addFile() {
        files++;
    }

    void removeFile() {
        files--;
    }

    boolean hasFiles() {
        return files > 0;
    }

    boolean isOpen() {
        return openCount > 0;
    }

    /** The virtual machine that the driver was told of when the device was opened, or null. */
    VirtualMachine vm() {
        return vm;
    }

    /** What iommufd has made of this device, or null. */
    IommufdPciDevice iommufdDevice() {
        return iommufdDevice;
    }

    boolean isOpenedByCdev() {
        return openedByCdev;
    }

    void setOpenedByCdev(boolean byCdev) {
        openedByCdev = byCdev;
    }

    /** Tells the driver of a virtual machine, when this is the first open. */
    void knowVm(VirtualMachine machine) {
        if (openCount == 0 && machine != null) {
            vm = machine.get();
        }
    }

    void forgetVm() {
        if (openCount == 0 && vm != null) {
            vm.put();
            vm = null;
        }
    }

    /** Opens the device; {@code iommufd} is null for a device of a container. */
    void open(IommufdFile iommufd, boolean byGroup) {
        Refusal.when(openCount != 0 && !byGroup, EINVAL);
        if (openCount == 0) {
            firstOpen(iommufd);
        }
        openCount++;
    }

    private void firstOpen(IommufdFile iommufd) {
        if (iommufd != null) {
            iommufdDevice = iommufd.bind(function);
        } else {
            group.use();
        }
        try {
            Refusal.when(driver.needsVm(function) && vm == null, EINVAL);
        } catch (Refusal driverRefuses) {
            leave();
            throw driverRefuses;
        }
        function.enable();
    }

    void close() {
        if (openCount == 1) {
            interrupts.close();
            function.disable();
            leave();
        }
        openCount--;
    }

    private void leave() {
        if (iommufdDevice == null) {
            group.unuse();
            return;
        }
        detach();
        iommufdDevice.unbind();
        iommufdDevice = null;
    }

    /** Attaches the device to an object of iommufd, or moves it there; answers the page table's number. */
    int attach(int id) {
        int hwpt = attached ? iommufdDevice.replace(id) : iommufdDevice.attach(id);
        attached = true;
        return hwpt;
    }

    void detach() {
        if (attached) {
            iommufdDevice.detach();
            attached = false;
        }
    }

    @Override
    public List<String> held() {
        return isOpen() ? List.of(function + " is " + (openedByCdev ? "bound to iommufd" : "open")) : List.of();
    }
}
