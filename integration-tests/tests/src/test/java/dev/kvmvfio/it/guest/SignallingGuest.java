package dev.kvmvfio.it.guest;

import static dev.kvmvfio.it.kvm.Assembler.Register.RAX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RCX;
import static dev.kvmvfio.it.kvm.Assembler.Register.RDI;

/** A guest that rings doorbells, and takes an interrupt of a level-triggered pin twice. */
final class SignallingGuest extends BareGuest {
    static final int PORT_BELL = 0x510;
    /** No memory is there. */
    static final long MEMORY_BELL = 0xd000_0000L;
    static final int VALUE = 7;
    static final int RUNG = 0x515;

    static final int PIN = 10;
    /** Asks the machine to raise the pin. */
    static final int RAISE = 0x610;
    static final int FINDINGS = 3;

    @Override
    void program() {
        code.out(PORT_BELL, 2, VALUE);
        code.mov(RDI, MEMORY_BELL).mov(RCX, VALUE).store(4, RDI, 0, RCX).store(4, RDI, 0, RCX);
        report(RUNG);
        code.mov(RAX, PIN);
        routePin();
        for (int i = 0; i < 2; i++) {
            code.out(RAISE, 4, 1);
            awaitInterrupt();
            report(SERVED);
        }
    }

    @Override
    void serveInterrupt() {
        code.add(SERVED, 1);
    }
}
