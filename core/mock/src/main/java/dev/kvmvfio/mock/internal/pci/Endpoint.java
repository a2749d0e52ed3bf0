package dev.kvmvfio.mock.internal.pci;

import dev.kvmvfio.mock.internal.system.Machine;
import dev.kvmvfio.mock.model.DmaFault;
import dev.kvmvfio.mock.model.PciEndpoint;
import java.lang.foreign.MemorySegment;

/** A device's own side: its interrupt line, its messages and its DMA. */
public final class Endpoint implements PciEndpoint {
    private final Machine machine;
    private final PciFunction function;
    private boolean intx;

    Endpoint(PciFunction function) {
        this.machine = function.machine();
        this.function = function;
    }

    @Override
    public String address() {
        return function.address();
    }

    @Override
    public void raiseIntx() {
        machine.locked(() -> {
            intx = true;
            function.client().lineRaised();
        });
    }

    @Override
    public void lowerIntx() {
        machine.locked(() -> {
            intx = false;
        });
    }

    public boolean isIntxRaised() {
        return intx;
    }

    @Override
    public boolean sendMessage(int vector) {
        return machine.locked(() -> isBusMaster() && function.client().message(vector));
    }

    @Override
    public boolean hasMessages() {
        return machine.locked(() -> function.client().hasMessages());
    }

    @Override
    public boolean read(long iova, MemorySegment into) {
        return machine.locked(() -> done(iova, false, blocked() ? blockedBy() : translation().read(iova, into)));
    }

    @Override
    public boolean write(long iova, MemorySegment from) {
        return machine.locked(() -> done(iova, true, blocked() ? blockedBy() : translation().write(iova, from)));
    }

    private IovaMap translation() {
        return function.group() == null ? null : function.group().translation();
    }

    private boolean blocked() {
        return !isBusMaster() || translation() == null;
    }

    private String blockedBy() {
        return isBusMaster()
                ? "no IOMMU mapping is attached to the device"
                : "bus mastering is off in the command register";
    }

    private boolean isBusMaster() {
        return (function.config().command() & PciConfigSpace.BUS_MASTER) != 0;
    }

    private boolean done(long iova, boolean write, String failure) {
        if (failure != null) {
            machine.dmaFaults().add(new DmaFault(address(), iova, write, failure));
        }
        return failure == null;
    }

    @Override
    public MemorySegment bar(int index) {
        return machine.locked(() -> {
            Bar bar = function.bar(index);
            if (bar == null || bar.spec().registers() != null) {
                throw new IllegalArgumentException("BAR " + index + " of " + address() + " is no memory");
            }
            return bar.content();
        });
    }

    @Override
    public boolean requestRelease() {
        return machine.locked(() -> function.client().request());
    }

    @Override
    public boolean reportError() {
        return machine.locked(() -> function.client().error());
    }

    @Override
    public boolean wasOpenedForVm() {
        return machine.locked(() -> function.client().knowsVm());
    }
}
