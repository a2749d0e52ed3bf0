package dev.kvmvfio.it.guest;

import static dev.kvmvfio.it.kvm.Assembler.Register.*;

import dev.kvmvfio.it.kvm.Assembler.Label;
import dev.kvmvfio.it.kvm.Assembler.Register;
import java.util.List;

/**
 * A guest that finds QEMU's edu device, places its BAR, and uses it: with INTx, then with MSI, then at another place.
 * Between {@link #BEGIN} and {@link #END} it uses the device: memory, BAR and interrupts, but no port.
 */
final class EduGuest extends BareGuest {
    static final int BEGIN = 0xbe917;
    static final int END = 0xe4d;
    static final int NOT_FOUND = 0x404;
    /** How many findings come before the first use, of each use, and where the BAR was before it moved. */
    static final int FINDINGS = 3;
    static final int FINDINGS_OF_USE = 6;
    static final int FINDINGS_OF_MOVE = 1;
    static final int USES = 3;

    static final int IDENTITY = 0x010000ed;
    static final int BAR_SIZE_ANSWER = -(1 << 20);
    static final long SOURCE = 0x100000;
    /** A page for each use. */
    static final long DESTINATIONS = 0x101000;
    static final int PAGE = 0x1000;
    static final int LIVENESS = 0x12345678;

    /** How many interrupts one use of the device takes: raised by a register, then by the ends of DMA. */
    private static final int RAISED = 20;
    private static final int ROUNDS = 2;
    static final int INTERRUPTS = RAISED + 2 * ROUNDS;

    private static final int EDU = 0x11e81234;
    private static final int BAR_ADDRESS = 0xe000_0000;
    private static final int MOVED_BAR_ADDRESS = 0xe030_0000;
    private static final long BUFFER = 0x40000;
    private static final int START = 0x1;
    private static final int FROM_DEVICE = 0x2;
    private static final int INTERRUPT = 0x4;

    private static final Register BAR = R15;
    private static final Register SPURIOUS = R12;

    @Override
    void program() {
        Label none = code.newLabel();
        Label end = code.newLabel();
        code.mov(SPURIOUS, 0);
        findDevice(EDU, none);
        report(CONFIG);
        placeBar();
        routeIntx();
        useDevice(DESTINATIONS);
        enableMsi();
        useDevice(DESTINATIONS + PAGE);
        moveBar();
        useDevice(DESTINATIONS + 2 * PAGE);
        code.jmp(end).place(none);
        report(NOT_FOUND);
        code.place(end);
    }

    /** Takes the interrupt back at the device, so that its line falls before the processor is done with it. */
    @Override
    void serveInterrupt() {
        Label mine = code.newLabel();
        Label end = code.newLabel();
        code.load(4, RAX, BAR, 0x24).cmp(RAX, 0).jne(mine);
        code.add(SPURIOUS, 1).jmp(end);
        code.place(mine).store(4, BAR, 0x64, RAX).add(SERVED, 1);
        code.place(end);
    }

    /** Reports what the BAR answers when it is asked for its size. */
    private void placeBar() {
        writeConfig(null, BARS, -1);
        readConfig(null, BARS);
        report(RAX);
        writeConfig(null, BARS, BAR_ADDRESS);
        writeConfig(null, COMMAND, MEMORY_DECODING | BUS_MASTER);
        code.mov(BAR, unsigned(BAR_ADDRESS));
    }

    /** While the device decodes memory. Reports what is left where the BAR was. */
    private void moveBar() {
        writeConfig(null, BARS, MOVED_BAR_ADDRESS);
        code.load(4, RAX, BAR, 0);
        report(RAX);
        code.mov(BAR, unsigned(MOVED_BAR_ADDRESS));
    }

    /** Reports the interrupt line, which is the IO-APIC's pin. */
    private void routeIntx() {
        readConfig(null, INTERRUPT_LINE);
        code.and(RAX, 0xff);
        report(RAX);
        routePin();
    }

    /** Finds the capability, whose second byte says where the next one is, and programs its one message. */
    private void enableMsi() {
        Label next = code.newLabel();
        Label found = code.newLabel();
        readConfig(null, 0x34);
        code.place(next).and(RAX, 0xfc).mov(R8, RAX);
        readConfig(R8, 0);
        code.mov(RCX, RAX).and(RCX, 0xff).cmp(RCX, MSI).je(found);
        code.shr(RAX, 8).jmp(next);
        code.place(found);
        writeConfig(R8, 4, LOCAL_APIC);
        writeConfig(R8, 8, 0);
        writeConfig(R8, 12, MSI_VECTOR);
        writeConfig(R8, 0, 1 << 16);
    }

    /** Reports the identity, the inverted liveness, how many interrupts were served and how many were spurious. */
    private void useDevice(long destination) {
        forgetInterrupts();
        report(BEGIN);
        code.load(4, R9, BAR, 0);
        code.mov(RAX, LIVENESS).store(4, BAR, 4, RAX).load(4, R10, BAR, 4);
        for (int i = 0; i < RAISED; i++) {
            code.mov(RAX, 1).store(4, BAR, 0x60, RAX);
            awaitInterrupt();
        }
        for (int i = 0; i < ROUNDS; i++) {
            copy(SOURCE, BUFFER, START | INTERRUPT);
            copy(BUFFER, destination, START | FROM_DEVICE | INTERRUPT);
        }
        report(END);
        List.of(R9, R10, SERVED, SPURIOUS).forEach(this::report);
    }

    private void copy(long from, long to, int command) {
        code.mov(RAX, from).store(8, BAR, 0x80, RAX).mov(RAX, to).store(8, BAR, 0x88, RAX);
        code.mov(RAX, PAGE).store(8, BAR, 0x90, RAX).mov(RAX, command).store(8, BAR, 0x98, RAX);
        awaitInterrupt();
    }
}
