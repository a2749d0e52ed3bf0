package dev.kvmvfio.it.guest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.it.guest.GuestReports.Report;
import dev.kvmvfio.it.kvm.Assembler;
import dev.kvmvfio.it.kvm.Assembler.Register;
import dev.kvmvfio.it.kvm.HeldFiles;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.GuestException;
import dev.kvmvfio.kernel.Kernel;
import dev.kvmvfio.vmm.Machine;
import dev.kvmvfio.vmm.PortDevice;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What the machine does without a device, on any real KVM. */
abstract class NoDeviceGuestContract {
    private static final long MEMORY = 4 << 20;
    private static final long RUNNING = 0x100000;

    private final List<String> heldBefore = HeldFiles.now();
    private final Kernel kernel = Kernel.linux();
    private final Machine machine = new Machine(kernel, MEMORY);

    @AfterEach
    void nothingIsLeft() {
        assertThat(HeldFiles.now()).isEqualTo(heldBefore);
    }

    @Test
    void aGuestFindsAnEmptyBusAndTakesInterrupts() {
        try (machine; EventFd pin = EventFd.create(kernel)) {
            machine.vm().interrupts().addIrqFd(pin, NoDeviceGuest.PIN);
            machine.ports().add(NoDeviceGuest.BELL, 4, bell(pin));
            new NoDeviceGuest().load(machine);
            assertThat(new GuestReports(machine, NoDeviceGuest.FINDINGS).run()).extracting(Report::value)
                    .containsExactly(NoDeviceGuest.NOTHING, 1, 2);
        }
    }

    private PortDevice bell(EventFd pin) {
        return (_, _, value) -> {
            switch (value) {
                case NoDeviceGuest.RING_PIN -> pin.signal();
                case NoDeviceGuest.RING_MESSAGE ->
                    machine.vm().interrupts().signalMsi(BareGuest.unsigned(BareGuest.LOCAL_APIC), BareGuest.MSI_VECTOR);
                default -> throw new AssertionError(value);
            }
        };
    }

    @Test
    void aGuestThatTripleFaultsIsAnError() {
        try (machine) {
            BareGuest.load(machine, BareGuest.newProgram().ud2());
            assertThatThrownBy(machine::run).isInstanceOf(GuestException.class)
                    .hasMessageContaining("triple fault").hasMessageContaining("vCPU 0");
        }
    }

    /** Nothing is where the guest jumps to, so not even KVM can tell what the guest wants there. */
    @Test
    void anExitThatTheMachineDoesNotHandleIsAnError() {
        try (machine) {
            BareGuest.load(machine,
                    BareGuest.newProgram().mov(Register.RAX, 0xd000_0000L).jmp(Register.RAX));
            assertThatThrownBy(machine::run).isInstanceOf(GuestException.class)
                    .hasMessageContaining("could not be emulated").hasMessageContaining("rip 0xd0000000");
        }
    }

    /** The guest says by its memory that it runs, since it does not leave by itself after that. */
    @Test
    void aMachineIsStoppedFromAnotherThread() throws InterruptedException {
        try (machine) {
            Assembler program = BareGuest.newProgram();
            program.mov(Register.RDI, RUNNING).mov(Register.RAX, 1).store(4, Register.RDI, 0, Register.RAX);
            program.jmp(program.here());
            BareGuest.load(machine, program);
            Thread runner = Thread.ofPlatform().start(machine::run);
            while (runner.isAlive() && machine.ram().segment().get(ValueLayout.JAVA_INT, RUNNING) == 0) {
                Thread.sleep(10);
            }
            machine.stop();
            runner.join();
            assertThat(machine.exits()).isEqualTo(Map.of("Interrupted", 1));
        }
    }
}
