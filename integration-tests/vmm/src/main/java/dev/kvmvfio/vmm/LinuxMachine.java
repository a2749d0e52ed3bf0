package dev.kvmvfio.vmm;

import dev.kvmvfio.kernel.Kernel;
import java.io.OutputStream;

/** A machine with what Linux expects of a PC: a serial console, a clock, and a way to reset it. */
public final class LinuxMachine {
    private LinuxMachine() {
    }

    /**
     * Makes a machine that starts Linux when it is run, and stops when Linux resets it.
     *
     * @param kernel where the machine runs
     * @param ramSize its memory in bytes, a multiple of the page size
     * @param linux what it boots
     * @param console where the guest's serial console goes
     * @return the machine, for the caller to close
     * @throws IllegalArgumentException when it is no such kernel, or the memory is too small for it
     */
    public static Machine boot(Kernel kernel, long ramSize, LinuxImage linux, OutputStream console) {
        Machine machine = new Machine(kernel, ramSize);
        try {
            IoPorts ports = machine.ports();
            ports.add(Serial8250.COM1, Serial8250.PORTS,
                    new Serial8250(console, level -> machine.vm().interrupts().setLine(Serial8250.GSI, level)));
            ports.add(Clock.PORT, Clock.PORTS, new Clock());
            ports.add(KeyboardController.PORT, KeyboardController.PORTS, new KeyboardController(machine::stop));
            LinuxLoader.load(machine.vcpu(), machine.ram().segment(), linux);
            return machine;
        } catch (RuntimeException failure) {
            machine.close();
            throw failure;
        }
    }
}
