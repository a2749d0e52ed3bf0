package dev.kvmvfio.kvm;

import dev.kvmvfio.internal.Rank;
import dev.kvmvfio.kernel.ClosedException;
import dev.kvmvfio.kernel.Handle;

/**
 * A message-signalled interrupt that the guest can get by a GSI. It belongs to the VM; closing it takes it out of the
 * VM's {@link GsiRoutes} ({@code KVM_SET_GSI_ROUTING}), after the irqfds that use it.
 *
 * <p><b>Thread-safety:</b> all methods may be called from any thread.
 */
public final class MsiRoute extends Handle {
    private final GsiRoutes routes;
    private final int gsi;
    private volatile Message message;

    /** What a device writes, and where, to interrupt. */
    record Message(long address, int data) {
        @Override
        public String toString() {
            return String.format("0x%x to address 0x%x", data, address);
        }
    }

    MsiRoute(GsiRoutes routes, int gsi, Message message) {
        super(Rank.MEMORY);
        this.routes = routes;
        this.gsi = gsi;
        this.message = message;
    }

    /**
     * The number to interrupt the guest by.
     *
     * @return the global system interrupt, which is free again after the close
     */
    public int gsi() {
        return gsi;
    }

    /**
     * Where the message goes.
     *
     * @return the address that the guest programmed
     */
    public long address() {
        return message.address();
    }

    /**
     * What the message says.
     *
     * @return the data that the guest programmed
     */
    public int data() {
        return message.data();
    }

    Message message() {
        return message;
    }

    void setMessage(Message changed) {
        message = changed;
    }

    /**
     * {@code KVM_SET_GSI_ROUTING}: changes the message while the route is in use. An interrupt that comes meanwhile is
     * the old message or the new one, and is not lost.
     *
     * @param address where the message goes
     * @param data what the message says
     * @throws dev.kvmvfio.kernel.KernelException when the kernel refuses; the route stays as it was
     * @throws ClosedException when this route is closed
     */
    public void setMessage(long address, int data) {
        routes.update(this, new Message(address, data));
    }

    @Override
    protected void release() {
        routes.remove(this);
    }

    @Override
    public String toString() {
        return "GSI " + gsi + ", message " + message;
    }
}
