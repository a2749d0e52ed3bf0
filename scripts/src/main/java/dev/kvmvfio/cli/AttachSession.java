package dev.kvmvfio.cli;

import dev.kvmvfio.kernel.Handle;
import dev.kvmvfio.kernel.HostMemory;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.kvm.Kvm;
import dev.kvmvfio.kvm.MemorySlot;
import dev.kvmvfio.kvm.Vm;
import dev.kvmvfio.passthrough.AttachRequest;
import dev.kvmvfio.passthrough.AttachedDevice;
import dev.kvmvfio.passthrough.GuestMemory;
import dev.kvmvfio.passthrough.Step;
import dev.kvmvfio.passthrough.VfioInterface;
import dev.kvmvfio.pci.PciAddress;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;

/**
 * A VM with some memory and one device, from the first open to the last close. A close from another thread waits until
 * an attach has ended.
 */
final class AttachSession implements AutoCloseable {
    private record Opened(String undo, AutoCloseable resource) {
    }

    private final Kernel kernel;
    private final Report report;
    private final Deque<Opened> opened = new ArrayDeque<>();

    /** The kernel may be an observer in front of the host. */
    AttachSession(Kernel host, Kernel kernel, Report report) {
        this.kernel = kernel;
        this.report = report;
        if (host instanceof AutoCloseable mock) {
            opened.push(new Opened("", mock));
        }
    }

    synchronized void attach(PciAddress address, Optional<VfioInterface> forced, long memorySize) {
        AttachRequest request = AttachedDevice.request(kernel, address).watch(report::step);
        forced.ifPresent(request::via);
        report.chosen(address, request.choice());
        Kvm kvm = opened("close", Kvm.open(kernel));
        done("open", kvm, "");
        done("KVM_GET_API_VERSION", kvm, "" + kvm.apiVersion());
        Vm vm = opened("close", kvm.createVm());
        done("KVM_CREATE_VM", kvm, vm.toString());
        HostMemory ram = HostMemory.allocate(kernel, memorySize);
        opened.push(new Opened("munmap", ram));
        done("mmap", ram, "");
        GuestMemory memory = GuestMemory.create(vm, 0, ram);
        MemorySlot slot = opened("KVM_SET_USER_MEMORY_REGION", memory.blocks().getFirst().slot());
        done("KVM_SET_USER_MEMORY_REGION", vm, slot.toString());
        AttachedDevice attached = request.attach(memory);
        opened.push(new Opened("", attached));
        report.attached(address, attached);
    }

    synchronized boolean isOpen() {
        return !opened.isEmpty();
    }

    private <H extends Handle> H opened(String undo, H handle) {
        opened.push(new Opened(undo, handle));
        return handle;
    }

    private void done(String call, Handle file, String result) {
        report.step(new Step(false, call, file.toString(), result));
    }

    @Override
    public synchronized void close() {
        if (!opened.isEmpty()) {
            Opened last = opened.pop();
            // The rest is closed too when this one fails.
            try (AttachSession _ = this) {
                close(last);
            }
        }
    }

    private void close(Opened last) {
        String resource = last.resource().toString();
        try {
            last.resource().close();
        } catch (RuntimeException failure) {
            throw failure;
        } catch (Exception failure) {
            throw new IllegalStateException(failure);
        }
        if (!last.undo().isEmpty()) {
            report.step(new Step(true, last.undo(), resource, ""));
        }
    }
}
