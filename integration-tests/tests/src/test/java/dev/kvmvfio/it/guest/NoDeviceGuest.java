package dev.kvmvfio.it.guest;

import static dev.kvmvfio.it.kvm.Assembler.Register.*;

import dev.kvmvfio.it.kvm.Assembler.Label;

/**
 * A guest without a device: it finds that the PCI bus is empty, and takes interrupts that it asks the machine for
 * through a port.
 */
final class NoDeviceGuest extends BareGuest {
    static final int NOTHING = 0x404;
    static final int SOMETHING = 0x200;
    /** It finds nothing, one interrupt of the IO-APIC's pin, and one more that is a message. */
    static final int FINDINGS = 3;
    static final int PIN = 10;

    static final int BELL = 0x610;
    static final int RING_PIN = 1;
    static final int RING_MESSAGE = 2;

    @Override
    void program() {
        lookAround();
        report(NOTHING);
        code.mov(RAX, PIN);
        routePin();
        code.out(BELL, 4, RING_PIN);
        awaitInterrupt();
        report(SERVED);
        code.out(BELL, 4, RING_MESSAGE);
        awaitInterrupt();
        report(SERVED);
    }

    /** A slot without a device reads as ones, and no device has such an identity. */
    private void lookAround() {
        for (int slot = 0; slot < 32; slot++) {
            Label next = code.newLabel();
            readConfig(null, slot << 11);
            code.mov(RCX, 0xffff_ffffL).cmp(RAX, RCX).je(next);
            report(SOMETHING);
            code.place(next);
        }
    }

    @Override
    void serveInterrupt() {
        code.add(SERVED, 1);
    }
}
