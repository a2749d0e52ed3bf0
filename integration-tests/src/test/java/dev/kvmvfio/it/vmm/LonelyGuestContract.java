package dev.kvmvfio.it.vmm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.kvmvfio.it.GuestHost;
import dev.kvmvfio.it.vmm.GuestReports.Report;
import dev.kvmvfio.kernel.EventFd;
import dev.kvmvfio.kernel.GuestException;
import dev.kvmvfio.kernel.Kernel;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What the machine does without a device, on any real KVM. */
abstract class LonelyGuestContract {
    private static final long MEMORY = 4 << 20;
    private static final int MESSAGE_ADDRESS = BareGuest.LOCAL_APIC;

    private final List<String> heldBefore = GuestHost.held();
    private final Kernel kernel = Kernel.linux();
    private final Machine machine = new Machine(kernel, MEMORY);

    @AfterEach
    void nothingIsLeft() {
        assertThat(GuestHost.held()).isEqualTo(heldBefore);
    }

    @Test
    void aGuestFindsAnEmptyBusAndTakesInterrupts() {
        try (machine; EventFd pin = EventFd.create(kernel)) {
            machine.vm().addIrqFd(pin, LonelyGuest.PIN);
            machine.ports().add(LonelyGuest.BELL, 4, bell(pin));
            new LonelyGuest().load(machine);
            assertThat(new GuestReports(machine, LonelyGuest.FINDINGS).run()).extracting(Report::value)
                    .containsExactly(LonelyGuest.NOTHING, 1, 2);
        }
    }

    private PortDevice bell(EventFd pin) {
        return new PortDevice() {
            @Override
            public int read(int offset, int size) {
                return 0;
            }

            @Override
            public void write(int offset, int size, int value) {
                switch (value) {
                    case LonelyGuest.RING_PIN -> pin.signal();
                    case LonelyGuest.RING_MESSAGE -> machine.vm().signalMsi(Integer.toUnsignedLong(MESSAGE_ADDRESS),
                            BareGuest.MSI_VECTOR);
                    default -> throw new AssertionError(value);
                }
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
            // jmp rax
            BareGuest.load(machine,
                    BareGuest.newProgram().mov(Assembler.Register.RAX, 0xd000_0000L).bytes(0xff, 0xe0));
            assertThatThrownBy(machine::run).isInstanceOf(GuestException.class)
                    .hasMessageContaining("could not be emulated").hasMessageContaining("rip 0xd0000000");
        }
    }

    @Test
    void aMachineIsStoppedFromAnotherThread() throws InterruptedException {
        try (machine) {
            Assembler program = BareGuest.newProgram();
            program.jmp(program.here());
            BareGuest.load(machine, program);
            Thread runner = Thread.ofPlatform().start(machine::run);
            Thread.sleep(100);
            machine.stop();
            runner.join();
            assertThat(machine.exits()).containsKey("Interrupted");
        }
    }
}
