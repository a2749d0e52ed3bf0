package dev.kvmvfio.it.guest;

import static dev.kvmvfio.it.kvm.Assembler.Register.*;

import dev.kvmvfio.it.kvm.Assembler;
import dev.kvmvfio.it.kvm.Assembler.Label;
import dev.kvmvfio.it.kvm.Assembler.Register;
import dev.kvmvfio.vmm.LongMode;
import dev.kvmvfio.vmm.Machine;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * A guest without an operating system, in 64-bit mode, which takes interrupts and reads the PCI bus. It tells what it
 * finds by 32-bit writes to the port of {@link GuestReports}.
 */
abstract class BareGuest {
    static final int INTX_VECTOR = 0x40;
    static final int MSI_VECTOR = 0x41;
    static final int LOCAL_APIC = 0xfee0_0000;

    // Of a PCI device's configuration space: registers, bits of the first, and the number of a capability.
    static final int COMMAND = 0x04;
    static final int MEMORY_DECODING = 0x2;
    static final int BUS_MASTER = 0x4;
    static final int BARS = 0x10;
    static final int INTERRUPT_LINE = 0x3c;
    static final int MSI = 0x05;

    private static final long IDT = 0x9000;
    private static final long IDT_POINTER = 0xa000;
    private static final long CODE = 0x10000;
    private static final long STACK = 0x20000;
    private static final int CODE_SELECTOR = 8;
    private static final int INTERRUPT_GATE = 0x8e;
    private static final int IO_APIC = 0xfec0_0000;

    // What the registers hold throughout the program.
    static final Register CONFIG = RBX;
    static final Register SERVED = R14;
    private static final Register APIC = R13;
    private static final Register EXPECTED = R11;

    final Assembler code = new Assembler(CODE);

    /** What the guest does. */
    abstract void program();

    /** What the guest does in an interrupt, with RAX to itself; it counts in {@link #SERVED}. */
    abstract void serveInterrupt();

    /** Loads the program and makes the machine's processor start it. */
    void load(Machine machine) {
        MemorySegment ram = machine.ram().segment();
        Label handler = code.newLabel();
        Label start = code.newLabel();
        code.jmp(start).place(handler).push(RAX);
        serveInterrupt();
        code.mov(RAX, 0).store(4, APIC, 0xb0, RAX).pop(RAX).iretq();
        code.place(start);
        prepareInterrupts();
        code.mov(CONFIG, 0x8000_0000L);
        program();
        code.cli().hlt();
        gate(ram, INTX_VECTOR, code.addressOf(handler));
        gate(ram, MSI_VECTOR, code.addressOf(handler));
        ram.set(ValueLayout.JAVA_SHORT, IDT_POINTER, (short) 0xfff);
        ram.set(ValueLayout.JAVA_LONG_UNALIGNED, IDT_POINTER + Short.BYTES, IDT);
        load(machine, code);
    }

    /** Makes the machine's processor start a program that was assembled for {@link #newProgram}'s place. */
    static void load(Machine machine, Assembler program) {
        byte[] bytes = program.assemble();
        MemorySegment.copy(MemorySegment.ofArray(bytes), 0, machine.ram().segment(), CODE, bytes.length);
        LongMode.enter(machine.vcpu(), machine.ram().segment(), CODE, STACK);
    }

    static Assembler newProgram() {
        return new Assembler(CODE);
    }

    private static void gate(MemorySegment ram, int vector, long handler) {
        long gate = IDT + 16L * vector;
        ram.set(ValueLayout.JAVA_LONG, gate, handler & 0xffff | (long) CODE_SELECTOR << 16
                | (long) INTERRUPT_GATE << 40 | (handler >> 16 & 0xffff) << 48);
        ram.set(ValueLayout.JAVA_LONG, gate + Long.BYTES, handler >> 32);
    }

    /** The PIC, which the machine starts with, is masked; the local APIC is switched on. */
    private void prepareInterrupts() {
        code.mov(RAX, IDT_POINTER).lidt(RAX, 0);
        code.out(0x21, 1, 0xff).out(0xa1, 1, 0xff);
        code.mov(APIC, unsigned(LOCAL_APIC)).mov(RAX, 0x1ff).store(4, APIC, 0xf0, RAX);
        forgetInterrupts();
    }

    void forgetInterrupts() {
        code.mov(SERVED, 0).mov(EXPECTED, 0);
    }

    /** Lets the IO-APIC's pin whose number is in RAX interrupt the processor while its level is high. */
    void routePin() {
        code.mov(RDI, unsigned(IO_APIC)).add(RAX, RAX).add(RAX, 0x10).store(4, RDI, 0, RAX);
        code.mov(RCX, INTX_VECTOR | 1 << 15).store(4, RDI, 0x10, RCX);
        code.add(RAX, 1).store(4, RDI, 0, RAX).mov(RCX, 0).store(4, RDI, 0x10, RCX);
    }

    /** Interrupts are off between the look at the counter and the halt, so none is missed. */
    void awaitInterrupt() {
        Label arrived = code.newLabel();
        code.add(EXPECTED, 1);
        Label look = code.here();
        code.cli().cmp(SERVED, EXPECTED).je(arrived).sti().hlt().jmp(look).place(arrived);
    }

    /** How the configuration port addresses a device on bus 0. */
    static int configAddress(int slot) {
        return 1 << 31 | slot << 11;
    }

    /** Leaves in {@link #CONFIG} the address of the device with these two identities, or jumps. */
    void findDevice(int identities, Label none) {
        Label next = code.newLabel();
        Label found = code.newLabel();
        code.place(next);
        readConfig(null, 0);
        code.cmp(RAX, identities).je(found);
        code.add(CONFIG, 0x800).mov(RAX, 0x8001_0000L).cmp(CONFIG, RAX).jne(next).jmp(none);
        code.place(found);
    }

    private void selectConfig(Register capability, int register) {
        code.mov(RDX, 0xcf8).mov(RAX, CONFIG).add(RAX, register);
        if (capability != null) {
            code.add(RAX, capability);
        }
        code.out(4);
    }

    /** Reads four bytes, of a capability when a register has its place, to RAX. */
    void readConfig(Register capability, int register) {
        selectConfig(capability, register);
        code.in(0xcfc, 4);
    }

    void writeConfig(Register capability, int register, int value) {
        selectConfig(capability, register);
        code.out(0xcfc, 4, value);
    }

    void report(int value) {
        code.out(GuestReports.PORT, 4, value);
    }

    /** Reports a register, which is not RDX. */
    void report(Register value) {
        code.mov(RDX, GuestReports.PORT).mov(RAX, value).out(4);
    }

    static long unsigned(int address) {
        return Integer.toUnsignedLong(address);
    }
}
