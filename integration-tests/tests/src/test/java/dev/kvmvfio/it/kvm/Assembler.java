package dev.kvmvfio.it.kvm;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * The few x86 instructions that a guest of the tests needs, as the bytes of 64-bit mode. Operands come in Intel's order,
 * the destination first; a size is 1, 2, 4 or 8 bytes.
 */
public final class Assembler {
    /** The general registers, in the processor's numbering. */
    public enum Register {
        /** Accumulator: what ports are read to and written from. */
        RAX,
        /** Counter: how often a string instruction repeats, and an MSR's number. */
        RCX,
        /** Data: a port's number. */
        RDX,
        /** Base. */
        RBX,
        /** Stack pointer. */
        RSP,
        /** Frame pointer. */
        RBP,
        /** Where a string instruction reads. */
        RSI,
        /** Where a string instruction writes. */
        RDI, R8, R9, R10, R11, R12, R13, R14, R15;

        private int low() {
            return ordinal() & 7;
        }

        private int high() {
            return ordinal() >> 3;
        }
    }

    /** A place in the program, which may be named before it is known. */
    public static final class Label {
        private int offset = -1;

        private Label() {
        }
    }

    /** Four bytes that hold the distance from their end to a label. */
    private record Distance(int at, Label to) {
    }

    private final long origin;
    private final ByteArrayOutputStream code = new ByteArrayOutputStream();
    private final List<Distance> distances = new ArrayList<>();

    /**
     * Begins a program.
     *
     * @param origin the guest's address of its first byte
     */
    public Assembler(long origin) {
        this.origin = origin;
    }

    /** The guest's address of the first byte. */
    public long origin() {
        return origin;
    }

    /** The program's bytes, with all labels filled in. */
    public byte[] assemble() {
        ByteBuffer bytes = ByteBuffer.wrap(code.toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
        distances.forEach(distance -> bytes.putInt(distance.at, placed(distance.to) - distance.at - Integer.BYTES));
        return bytes.array();
    }

    private static int placed(Label label) {
        if (label.offset < 0) {
            throw new IllegalStateException("a label is used and was never placed");
        }
        return label.offset;
    }

    public Label newLabel() {
        return new Label();
    }

    /** Puts a label here. */
    public Assembler place(Label label) {
        label.offset = code.size();
        return this;
    }

    /** A new label, put here. */
    public Label here() {
        Label label = newLabel();
        place(label);
        return label;
    }

    /** The guest's address of a label that is placed already. */
    public long addressOf(Label label) {
        return origin + placed(label);
    }

    /** Anything else, byte by byte. */
    public Assembler bytes(int... values) {
        for (int value : values) {
            code.write(value);
        }
        return this;
    }

    private Assembler int32(int value) {
        return bytes(value, value >> 8, value >> 16, value >> 24);
    }

    private Assembler int64(long value) {
        return int32((int) value).int32((int) (value >> 32));
    }

    private Assembler distance(Label to) {
        distances.add(new Distance(code.size(), to));
        return int32(0);
    }

    private static int rex(int size, Register reg, Register base) {
        return 0x40 | (size == Long.BYTES ? 8 : 0) | reg.high() << 2 | base.high();
    }

    private static int byteOrMore(int opcode, int size) {
        return size == 1 ? opcode : opcode + 1;
    }

    private Assembler operandSize(int size) {
        return size == Short.BYTES ? bytes(0x66) : this;
    }

    /** An instruction on two registers. */
    private Assembler registers(int opcode, Register destination, Register source) {
        return bytes(rex(Long.BYTES, source, destination), opcode, 0xc0 | source.low() << 3 | destination.low());
    }

    /** An instruction on a register and the memory at a base register plus a displacement. */
    private Assembler memory(int size, int opcode, Register reg, Register base, int displacement) {
        operandSize(size).bytes(rex(size, reg, base), byteOrMore(opcode, size), 0x80 | reg.low() << 3 | base.low());
        if (base.low() == Register.RSP.low()) {
            bytes(0x24);
        }
        return int32(displacement);
    }

    /** An instruction on 64 bits of a register and a constant, which is sign-extended; the operation is in the ModRM. */
    private Assembler constant(int operation, Register destination, int value) {
        return bytes(rex(Long.BYTES, Register.RAX, destination), 0x81, 0xc0 | operation << 3 | destination.low())
                .int32(value);
    }

    public Assembler mov(Register destination, long value) {
        return bytes(rex(Long.BYTES, Register.RAX, destination), 0xb8 | destination.low()).int64(value);
    }

    public Assembler mov(Register destination, Register source) {
        return registers(0x89, destination, source);
    }

    /** {@code mov} from memory; what is above a size of 1 or 2 stays as it was. */
    public Assembler load(int size, Register destination, Register base, int displacement) {
        return memory(size, 0x8a, destination, base, displacement);
    }

    /** {@code mov} to memory. */
    public Assembler store(int size, Register base, int displacement, Register source) {
        return memory(size, 0x88, source, base, displacement);
    }

    public Assembler add(Register destination, Register source) {
        return registers(0x01, destination, source);
    }

    public Assembler add(Register destination, int value) {
        return constant(0, destination, value);
    }

    public Assembler and(Register destination, int value) {
        return constant(4, destination, value);
    }

    public Assembler sub(Register destination, int value) {
        return constant(5, destination, value);
    }

    /** Moves the bits to the right, towards the lowest. */
    public Assembler shr(Register destination, int bits) {
        return bytes(rex(Long.BYTES, Register.RAX, destination), 0xc1, 0xe8 | destination.low(), bits);
    }

    public Assembler cmp(Register left, int right) {
        return constant(7, left, right);
    }

    public Assembler cmp(Register left, Register right) {
        return registers(0x39, left, right);
    }

    public Assembler jmp(Register to) {
        return bytes(rex(Integer.BYTES, Register.RAX, to), 0xff, 0xe0 | to.low());
    }

    public Assembler jmp(Label label) {
        return bytes(0xe9).distance(label);
    }

    /** Jumps when the last comparison was equal. */
    public Assembler je(Label label) {
        return bytes(0x0f, 0x84).distance(label);
    }

    public Assembler jne(Label label) {
        return bytes(0x0f, 0x85).distance(label);
    }

    public Assembler push(Register source) {
        return bytes(rex(Integer.BYTES, Register.RAX, source), 0x50 | source.low());
    }

    public Assembler pop(Register destination) {
        return bytes(rex(Integer.BYTES, Register.RAX, destination), 0x58 | destination.low());
    }

    /** Reads the port in DX to AL, AX or EAX. */
    public Assembler in(int size) {
        return operandSize(size).bytes(byteOrMore(0xec, size));
    }

    /** Writes AL, AX or EAX to the port in DX. */
    public Assembler out(int size) {
        return operandSize(size).bytes(byteOrMore(0xee, size));
    }

    /** Reads a port. */
    public Assembler in(int port, int size) {
        return mov(Register.RDX, port).in(size);
    }

    /** Writes a constant to a port. */
    public Assembler out(int port, int size, int value) {
        return mov(Register.RDX, port).mov(Register.RAX, value).out(size);
    }

    /** Reads the port in DX RCX times to memory at RDI. */
    public Assembler repIns(int size) {
        return operandSize(size).bytes(0xf3, byteOrMore(0x6c, size));
    }

    /** Writes memory at RSI to the port in DX, RCX times. */
    public Assembler repOuts(int size) {
        return operandSize(size).bytes(0xf3, byteOrMore(0x6e, size));
    }

    /** Loads the table of interrupt handlers: ten bytes in memory, its size minus one and its address. */
    public Assembler lidt(Register base, int displacement) {
        return bytes(rex(Integer.BYTES, Register.RBX, base), 0x0f, 0x01, 0x80 | 3 << 3 | base.low())
                .int32(displacement);
    }

    public Assembler iretq() {
        return bytes(0x48, 0xcf);
    }

    public Assembler cli() {
        return bytes(0xfa);
    }

    public Assembler sti() {
        return bytes(0xfb);
    }

    public Assembler hlt() {
        return bytes(0xf4);
    }

    public Assembler pause() {
        return bytes(0xf3, 0x90);
    }

    /** Raises the exception for an unknown instruction. */
    public Assembler ud2() {
        return bytes(0x0f, 0x0b);
    }
}
